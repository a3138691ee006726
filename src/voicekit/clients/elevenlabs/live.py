"""Speech from text that is still being written, a part of ``ElevenLabsClient``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

from voicekit.clients.elevenlabs.authorized import Authorized
from voicekit.clients.elevenlabs.config import SessionSettings, SpeechSettings
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.options import SpeechOptions
from voicekit.clients.elevenlabs.protocol import socket_url
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.sockets import ContextSocket
from voicekit.clients.execute import open_socket
from voicekit.clients.utterance import Studio
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.transport.config import WarmReport
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.clients.base import Credential
    from voicekit.transport.lease import DialFacts
    from voicekit.transport.pool import SocketPool
    from voicekit.transport.transport import Transport

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

CUTOFF_MARGIN: Final = 5.0
"""Seconds before the server's inactivity timeout at which a socket is taken for dead."""


class LiveSpeech(Authorized):
    """Text in pieces, over sockets that stay open."""

    def open_speech(self, **options: Unpack[SpeechOptions]) -> Utterance:
        """One session is one utterance: ``send``, ``finish``, iterate; or ``cancel``.

        No I/O before the handle is awaited, entered or iterated.

        Raises:
            InvalidArgumentError: An option makes no sense, or the model or the format is
                not for sockets.
        """
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return Utterance(self._studio(settings, OPEN_SPEECH), settings)

    def _studio(self, settings: SessionSettings, operation: Operation) -> Studio:
        return Studio(
            make_call=partial(self._call, operation, settings),
            pool=partial(self._socket_pool, settings),
            key=self._credential.get,
            background=lambda: self.transport.background,
            dialect=DIALECT,
        )

    def _socket_pool(self, settings: SessionSettings) -> SocketPool:
        """The sockets that are alike in everything a handshake fixes."""
        url = socket_url(self.base_url, settings.target)
        key = (url, self._credential.fingerprint, frozenset(settings.headers.items()))
        return self.transport.socket_pool(key, partial(self._make_pool, url, settings))

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
        pool = (
            self._socket_pool(self._family(SpeechSettings).session)
            if self._speaks_on_sockets
            else None
        )
        if pool is None:
            return await super()._warm(n)
        # Sockets first to ask, so that they do not take over what was dialled for HTTP.
        async with asyncio.TaskGroup() as group:
            sockets = group.create_task(pool.warm(n))
            http = group.create_task(super()._warm(n))
        return _sum(sockets.result(), http.result())

    @property
    def _speaks_on_sockets(self) -> bool:
        """Whether the constructor's settings make a socket: a voice, and a model that has one."""
        try:
            return bool(self._family(SpeechSettings).session)
        except InvalidArgumentError:
            return False


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


def _sum(one: WarmReport, other: WarmReport) -> WarmReport:
    return WarmReport(
        opened=one.opened + other.opened,
        reused=one.reused + other.reused,
        failures=tuple(sorted(one.failures + other.failures)),
        elapsed=max(one.elapsed, other.elapsed),
    )
