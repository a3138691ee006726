"""Speech from text that is still being written, a part of ``ElevenLabsClient``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

from voicekit.clients.elevenlabs.authorized import Authorized
from voicekit.clients.elevenlabs.config import SessionSettings, SpeechSettings
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.options import SpeechOptions
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.sockets import ContextSocket
from voicekit.clients.execute import open_socket
from voicekit.clients.speaking import Speaking, dial_of, stream_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call
from voicekit.transport.config import WarmReport
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.clients.base import Credential
    from voicekit.transport.lease import DialFacts
    from voicekit.transport.pool import SocketPool
    from voicekit.transport.transport import Transport

STREAM_SPEECH: Final = stream_of(PROVIDER)
FED_SPEECH: Final = replace(STREAM_SPEECH, session=True)
"""The same by its name, and so under the same policies; but over a socket."""
OPEN_SPEECH: Final = replace(FED_SPEECH, name="open_speech")
DIAL: Final = dial_of(PROVIDER)

CUTOFF_MARGIN: Final = 5.0
"""Seconds before the server's inactivity timeout at which a socket is taken for dead."""


class LiveSpeech(Authorized, Speaking):
    """Text in pieces, over sockets that stay open."""

    _dialect = DIALECT

    def open_speech(self, **options: Unpack[SpeechOptions]) -> Utterance:
        """One session is one utterance: ``send``, ``finish``, iterate; or ``cancel``.

        No I/O before the handle is awaited, entered or iterated.

        Raises:
            InvalidArgumentError: An option makes no sense, or the model or the format is
                not for sockets.
        """
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return Utterance(self._studio(settings, OPEN_SPEECH), settings)

    def _make_pool(self, url: str, settings: SessionSettings) -> SocketPool:
        from voicekit.transport.pool import SocketPool

        pool = SocketPool(
            dial=partial(_dial, self.transport, self._credential, url, settings.headers),
            config=self._places.sized(self.transport.config),
            background=self.transport.background,
            cutoff=max(1.0, settings.inactivity_timeout - CUTOFF_MARGIN),
            one_use=settings.single,
        )
        self._places.watch(pool)
        return pool

    async def _warm(self, n: int) -> WarmReport:
        """``n`` HTTP connections, and as many sockets of the constructor's settings.

        Neither is billed: no request is sent, and an idle socket counts against no limit,
        since only generation does. Source: models page, concurrency, August 2025.
        """
        try:
            settings = self._family(SpeechSettings).session
        except InvalidArgumentError:  # no voice, or a model without sockets
            return await super()._warm(n)
        return await self._warm_both(self._socket_pool(settings), n)


async def _dial(
    transport: Transport,
    credential: Credential,
    url: str,
    extra: Mapping[str, str],
    facts: DialFacts,
) -> ContextSocket:
    """Open one socket. It has limits of its own; cancelled, it leaves nothing open."""
    call = Call(DIAL)

    async def step(call: Call) -> ContextSocket:
        headers = {"xi-api-key": await credential.get(), **extra}
        request = Request("GET", url, headers)
        socket = await open_socket(transport, call, request, DIALECT, apart=not facts.waited_for)
        return ContextSocket(socket, tls_s=call.tls_s)

    try:
        socket = await call.attempt(step)
    except BaseException as error:
        call.end(error)
        raise
    call.end()
    return socket
