"""What the clients share that speak: limits, operations, and pools of sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voicekit.clients.audio_body import AudioDecoder, most_bytes, summed
from voicekit.clients.base import Client
from voicekit.clients.urls import socket_url
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.streams import SpeechStream
from voicekit.transport.config import WarmReport, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Mapping

    from voicekit.clients.refusals import Dialect
    from voicekit.errors import VoicekitError
    from voicekit.operation import Call
    from voicekit.speech import AudioChunk, Usage
    from voicekit.streams import Opened
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Response
    from voicekit.transport.pool import SocketPool
    from voicekit.transport.transport import Transport

_LIMITS: Final = Limits(connect=2.0, first_output=5.0, gap=5.0)
_WHOLE_S: Final = 30.0
_PER_CHARACTER_S: Final = 0.015
"""What a character adds to the total limit of a whole synthesis."""


def stream_of(provider: str, service: str = "speech") -> Operation:
    """Speech as a provider makes it."""
    return Operation(
        provider=provider,
        name="stream_speech",
        service=service,
        kind=OperationClass.COMPUTE,
        limits=_LIMITS,
    )


def whole_of(stream: Operation) -> Operation:
    """The same, whole."""
    return replace(stream, name="synthesize", limits=replace(_LIMITS, total=_WHOLE_S))


def patient(whole: Operation, text: str) -> Limits:
    """The limits of a whole synthesis of this text."""
    return replace(whole.limits, total=_WHOLE_S + _PER_CHARACTER_S * len(text))


def misplaced(
    sessions: Container[str], whole: Container[str], allowed: str
) -> Mapping[str, tuple[Container[str], str, str]]:
    """Options of speech that have no effect on a whole text, and those that need one."""
    pieces = "open_speech(), text in pieces, or the constructor"
    return {
        "text": (sessions, "is an option of sessions", pieces),
        "session": (whole, "needs the whole text", allowed),
    }


def dial_of(provider: str) -> Operation:
    """A socket's own opening, which serves many calls; first output is the handshake's answer."""
    return Operation(
        provider=provider,
        name="dial_speech",
        kind=OperationClass.PURE,
        limits=Limits(connect=2.0, first_output=5.0),
    )


def spoken(
    transport: Transport,
    open_part: Callable[..., Awaitable[Opened[AudioChunk]]],
    request: Any,
    operation: Operation,
    limits: Limits | None,
    usage: Callable[[Mapping[str, str]], Usage | None] = lambda _headers: None,
) -> SpeechStream:
    """The stream of a request, which is spoken in as many parts as it has bodies.

    ``usage`` reads what a response says that it costs.
    """
    if len(request.bodies) == 1 and not request.resume:
        open_whole = partial(open_part, request, operation, 0, limits)
        return SpeechStream(open_whole, format=request.format, usage=usage)
    from voicekit.clients.resumable import speech_in_parts  # not for a single part

    parts = speech_in_parts(
        len(request.bodies),
        lambda part, left: open_part(request, operation, part, left or limits),
        request.format,
        lambda: transport.background,
        resume=request.resume,
    )
    return SpeechStream(
        parts.open,
        format=request.format,
        usage=lambda _newest: summed(map(usage, parts.all_headers)),
        parts=parts,
    )


def part_decoder(
    request: Any,
    part: int,
    error_of: Callable[[Any, int, Mapping[str, str]], VoicekitError],
    response: Response,
) -> AudioDecoder:
    """Reads the audio of one of the bodies."""
    return AudioDecoder(
        request.format,
        response.headers,
        most=most_bytes(request.format, request.characters[part]),
        error_of=error_of,
    )


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Studio:
    """What a client lends to its utterances."""

    make_call: Callable[[], Call]
    pool: Callable[[], SocketPool]
    key: Callable[[], Awaitable[str]]
    background: Callable[[], Background]
    dialect: Dialect


class Speaking(Client):
    """Text in pieces, over sockets that stay open."""

    _dialect: ClassVar[Dialect]

    def _studio(self, settings: Any, operation: Operation) -> Studio:
        return Studio(
            make_call=partial(self._call, operation, settings),
            pool=partial(self._socket_pool, settings),
            key=self._credential.get,
            background=lambda: self.transport.background,
            dialect=self._dialect,
        )

    def _socket_pool(self, settings: Any) -> SocketPool:
        """The sockets that are alike in everything a handshake fixes."""
        url = socket_url(self.base_url, settings.target)
        key = (url, self._credential.fingerprint, frozenset(settings.headers.items()))
        return self.transport.socket_pool(key, partial(self._make_pool, url, settings))

    def _make_pool(self, url: str, settings: Any) -> SocketPool:
        raise NotImplementedError

    async def _warm_both(self, pool: SocketPool, n: int) -> WarmReport:
        """``n`` sockets, and as many connections for HTTP."""
        # Sockets first to ask, so that they do not take over what was dialled for HTTP.
        async with asyncio.TaskGroup() as group:
            sockets = group.create_task(pool.warm(n))
            http = group.create_task(super()._warm(n))
        both = together((sockets.result(), http.result()))
        return replace(both, failures=tuple(sorted(both.failures)))
