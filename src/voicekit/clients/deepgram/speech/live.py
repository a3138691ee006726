"""Speech from text that is still being written, a part of ``DeepgramClient``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

from voicekit.clients.deepgram.authorized import Authorized
from voicekit.clients.deepgram.errors import DIALECT, PROVIDER
from voicekit.clients.deepgram.protocol import headers_of
from voicekit.clients.deepgram.speech.config import SessionSettings, SpeechSettings
from voicekit.clients.deepgram.speech.options import SpeechOptions
from voicekit.clients.deepgram.speech.sockets import SpeakSocket
from voicekit.clients.deepgram.speech.utterance import Utterance
from voicekit.clients.execute import open_socket
from voicekit.clients.speaking import Speaking, dial_of, stream_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call
from voicekit.transport.config import WarmReport
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.transport.lease import DialFacts
    from voicekit.transport.pool import SocketPool

STREAM_SPEECH: Final = stream_of(PROVIDER)
FED_SPEECH: Final = replace(STREAM_SPEECH, session=True)
"""The same by its name, and so under the same policies; but over a socket."""
OPEN_SPEECH: Final = replace(FED_SPEECH, name="open_speech")
DIAL: Final = dial_of(PROVIDER)

SOCKETS: Final = 10
"""Speech sockets of one kind at a time, unless a pool or a transport says otherwise. The vendor
counts open ones: 15 of a project (sheet §9), and other processes want some, too."""

MAX_AGE: Final = 3300.0
"""Seconds. The vendor ends a session with NET-0003, after 60 minutes as production clients have
it (sheet §6, unverified): replaced five minutes before, outside of any utterance."""

CUTOFF: Final = 300.0
"""Seconds of idleness after which a socket is replaced. The vendor documents no limit (sheet
§13); load balancers forget silent connections after 350 s. The pool learns a shorter one from
what it sees."""


class LiveSpeech(Authorized, Speaking):
    """Text in pieces, over sockets that stay open."""

    _dialect = DIALECT

    _own_places: bool
    """Whether nobody else said how many connections there may be."""

    def open_speech(self, **options: Unpack[SpeechOptions]) -> Utterance:
        """One session is one utterance: ``send``, ``finish``, iterate; or ``cancel``.

        No I/O before the handle is awaited, entered or iterated.

        Raises:
            InvalidArgumentError: An option makes no sense, or the format is not for sockets.
        """
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return Utterance(self._studio(settings, OPEN_SPEECH), settings)

    def _make_pool(self, url: str, settings: SessionSettings) -> SocketPool:
        from voicekit.transport.pool import SocketPool

        config = self.transport.config
        if self._own_places:
            config = replace(config, max_connections=SOCKETS)
        return SocketPool(
            dial=partial(self._dial_speech, url, settings.headers),
            config=config,
            background=self.transport.background,
            cutoff=CUTOFF,
            max_age=MAX_AGE,
        )

    async def _dial_speech(
        self, url: str, headers: Mapping[str, str], _facts: DialFacts
    ) -> SpeakSocket:
        """Open one socket, in a background task."""

        async def step(call: Call) -> SpeakSocket:
            key = await self._credential.get()
            request = Request("GET", url, headers_of(self._scheme, key, headers))
            inner = await open_socket(self.transport, call, request, DIALECT)
            return SpeakSocket(inner, tls_s=call.tls_s)

        # Not one of the client's calls: it serves many, and is in the pool's statistics.
        return await Call(DIAL, secret=self._credential.last).attempt(step)

    async def _warm(self, n: int) -> WarmReport:
        """``n`` connections for HTTP and for listening; with options of speech, ``n`` sockets, too.

        Nothing is billed, but an open speech socket counts against the project's concurrent
        ones, so a client whose constructor names nothing of speech opens none. An open
        stream of transcription counts as well, and needs audio within 10 s: of those, TLS
        only, on which a handshake takes one round trip. Source: sheet §3, §6 and §9.
        """
        settings = self._family(SpeechSettings)
        if not (settings.options or settings.extra_body):
            return await super()._warm(n)
        try:
            pool = self._socket_pool(settings.session)
        except InvalidArgumentError:  # a format that sockets do not make
            return await super()._warm(n)
        return await self._warm_both(pool, n)
