"""Speech from text that is still being written, a part of ``DeepgramClient``."""

from __future__ import annotations

import asyncio
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
from voicekit.clients.utterance import Studio
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.transport.config import WarmReport
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.transport.lease import DialFacts
    from voicekit.transport.pool import SocketPool

OPEN_SPEECH: Final = Operation(
    provider=PROVIDER,
    name="open_speech",
    service="speech",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=5.0, gap=5.0),
    session=True,
)
DIAL: Final = Operation(
    provider=PROVIDER,
    name="dial_speech",
    kind=OperationClass.PURE,
    limits=Limits(connect=2.0, first_output=5.0),
)
"""A socket's own opening, which serves many calls; first output is the handshake's answer."""

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


class LiveSpeech(Authorized):
    """Text in pieces, over sockets that stay open."""

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

    def _studio(self, settings: SessionSettings, operation: Operation) -> Studio:
        return Studio(
            make_call=partial(self._call, operation, settings),
            pool=partial(self._speech_sockets, settings),
            key=self._credential.get,
            background=lambda: self.transport.background,
            dialect=DIALECT,
        )

    def _speech_sockets(self, settings: SessionSettings) -> SocketPool:
        """The sockets that are alike in everything a handshake fixes."""
        url = f"ws{self.base_url.removeprefix('http')}{settings.target}"
        key = (url, self._credential.fingerprint, frozenset(settings.headers.items()))
        return self.transport.socket_pool(key, partial(self._make_pool, url, settings.headers))

    def _make_pool(self, url: str, headers: Mapping[str, str]) -> SocketPool:
        from voicekit.transport.pool import SocketPool

        config = self.transport.config
        if self._own_places:
            config = replace(config, max_connections=SOCKETS)
        return SocketPool(
            dial=partial(self._dial_speech, url, headers),
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
            pool = self._speech_sockets(settings.session)
        except InvalidArgumentError:  # a format that sockets do not make
            return await super()._warm(n)
        # Sockets first to ask, so that they do not take over what was dialled for HTTP.
        async with asyncio.TaskGroup() as group:
            sockets = group.create_task(pool.warm(n))
            http = group.create_task(super()._warm(n))
        return _sum(sockets.result(), http.result())


def _sum(one: WarmReport, other: WarmReport) -> WarmReport:
    return WarmReport(
        opened=one.opened + other.opened,
        reused=one.reused + other.reused,
        failures=tuple(sorted(one.failures + other.failures)),
        elapsed=max(one.elapsed, other.elapsed),
    )
