"""The call shapes, through pipeline and transport: a value, a server stream, a socket.

They differ only in what opening returns. Each step here is one attempt; the call's
pipeline decides how many there are.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from voicekit.clients.refusals import body_of
from voicekit.errors import (
    InvalidRequestError,
    OutcomeUnknownError,
    RemoteProtocolError,
    TransportError,
    VoicekitError,
)
from voicekit.operation import OperationClass
from voicekit.pipeline import open_call
from voicekit.resilience.repeats import outcome_unknown
from voicekit.streams import Decoder, Opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Mapping

    from voicekit.clients.refusals import Dialect
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Response, Socket
    from voicekit.transport.messages import Request
    from voicekit.transport.transport import Transport

T = TypeVar("T")

# It goes into a message, so it must look like one.
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,48}")
_REFUSAL_BYTES = 1 << 16
_REFUSAL_WAIT = 1.0
"""Seconds. The status is known already; what explains it may come late, or never."""
MAX_BODY_BYTES = 16 << 20
"""A whole answer beyond this is taken for a fault of the server."""


class Sender(Protocol):
    """Sends one request and waits for the headers: a ``Transport``, or what stands before one."""

    async def send(self, request: Request, call: Call) -> Response:
        """See ``HttpTransport.send``."""
        ...


async def open_stream(
    transport: Sender,
    call: Call,
    prepare: Callable[[], Awaitable[Request]],
    dialect: Dialect,
    decode: Callable[[Response], Decoder[T]],
) -> Opened[T]:
    """Open a server stream: return at the commit point, first useful output in hand.

    ``prepare`` makes the request, anew for each attempt, so that a fresh key is used. ``decode``
    makes the decoder for a response with status 200; it refuses a wrong content type.

    Raises:
        OutcomeUnknownError: It is an effect, and may have happened.
        VoicekitError: With the evidence of ``call``, which has ended then.
    """

    async def step(call: Call) -> Opened[T]:
        response = await _send(transport, call, await prepare(), dialect)
        try:
            decoder = decode(response)
            items: deque[T] = deque()
            while not decoder.progress and not decoder.done:
                data = await response.chunk()
                if not data:
                    items.extend(decoder.eof(delimited=response.delimited))
                    break
                items.extend(decoder.feed(data))
        except BaseException as error:
            response.abort()
            if isinstance(error, Exception) and not isinstance(error, VoicekitError):
                raise _unreadable(error) from None
            raise
        call.committed()
        return Opened(call.root, response, decoder, items)

    return await _open(call, step)


async def fetch(
    transport: Sender,
    call: Call,
    prepare: Callable[[], Awaitable[Request]],
    dialect: Dialect,
    read: Callable[[bytes, Response], T],
    *,
    kinds: tuple[str, ...] = (),
    most: int = MAX_BODY_BYTES,
    status: int | Container[int] = 200,
) -> T:
    """One request, one whole answer, read by ``read``.

    Reading is part of the attempt, so that an error which came with a success is an error of
    the call. The content type, where there is one, must hold one of ``kinds``; beyond ``most``
    bytes an answer is taken for a fault of the server. ``status`` is that of a success, or all
    that are.

    Raises:
        OutcomeUnknownError: It is an effect, and may have happened.
        VoicekitError: With the evidence of ``call``. The call has ended either way.
    """

    async def step(call: Call) -> T:
        response = await _send(transport, call, await prepare(), dialect, status)
        try:
            if kinds:
                check_type(response, kinds)
            result = read(await read_body(response, most), response)
        except BaseException as error:
            response.abort()
            if isinstance(error, Exception) and not isinstance(error, VoicekitError):
                raise _unreadable(error) from None
            raise
        call.committed()
        return result

    result = await _open(call, step)
    call.end()
    return result


async def fetch_json(
    transport: Transport,
    call: Call,
    prepare: Callable[[], Awaitable[Request]],
    dialect: Dialect,
    read: Callable[[dict[str, Any], Response], T],
) -> T:
    """``fetch`` of one JSON object.

    Raises:
        VoicekitError: With the evidence of ``call``. The call has ended either way.
    """

    def parse(body: bytes, response: Response) -> T:
        value = body_of(body)
        if not isinstance(value, dict):
            raise RemoteProtocolError("the answer is no JSON object")
        return read(value, response)

    return await fetch(transport, call, prepare, dialect, parse, kinds=("json",))


async def _open(call: Call, step: Callable[[Call], Awaitable[T]]) -> T:
    """Whatever the policies are, or if there are none: an effect that may have happened says so.

    Raises:
        OutcomeUnknownError: Caused by what the policies let through.
    """
    try:
        return await open_call(call, step)
    except VoicekitError as error:
        effect = call.operation.kind is OperationClass.EFFECT
        if effect and error.outcome == "unknown" and not isinstance(error, OutcomeUnknownError):
            raise outcome_unknown(error, call, error.retry_stopped) from error
        raise


def _unreadable(error: Exception) -> RemoteProtocolError:
    """A reader that chokes is the server's doing; what it choked on may be content."""
    return RemoteProtocolError(f"the answer cannot be read ({type(error).__name__})")


async def _send(
    transport: Sender,
    call: Call,
    request: Request,
    dialect: Dialect,
    status: int | Container[int] = 200,
) -> Response:
    response = await transport.send(request, call)
    call.request_id = request_id_of(response.headers, dialect)
    if dialect.read_capacity is not None:
        call.capacity = dialect.read_capacity(response.headers)
    if response.status == status:
        return response
    if not isinstance(status, int) and response.status in status:
        return response
    body = await read_refusal(response)
    if 300 <= response.status < 400:
        raise RemoteProtocolError(f"status {response.status}: redirects are not followed")
    if response.status < 400:
        raise RemoteProtocolError(f"status {response.status} is no answer")
    raise dialect.read_error(response.status, response.headers, body)


async def read_refusal(response: Response) -> bytes:
    """What a refusal says, as far as it comes soon: half an explanation is better than none."""
    body = bytearray()
    try:
        async with asyncio.timeout(_REFUSAL_WAIT):
            while len(body) < _REFUSAL_BYTES and (data := await response.chunk()):
                body += data
    except (TimeoutError, TransportError):
        pass
    finally:
        response.abort()
    return bytes(body[:_REFUSAL_BYTES])


def request_id_of(headers: Mapping[str, str], dialect: Dialect) -> str | None:
    """The provider's id of a request, if its response names one."""
    for name in dialect.request_id_headers:
        if value := headers.get(name):
            return value[:200]
    return None


async def read_body(response: Response, most: int) -> bytes:
    """The whole body.

    Raises:
        RemoteProtocolError: It is longer than ``most`` bytes.
    """
    parts: list[bytes] = []
    size = 0
    while data := await response.chunk():
        size += len(data)
        if size > most:
            raise RemoteProtocolError(f"the answer is longer than {most} bytes")
        parts.append(data)
    return b"".join(parts)


def check_type(response: Response, expected: tuple[str, ...]) -> None:
    """Refuse a body that cannot be what was asked for.

    Raises:
        RemoteProtocolError: The content type holds none of ``expected``, or the body
            is compressed although we never ask for that.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and not any(word in kind for word in expected):
        said = kind if _MEDIA_TYPE.fullmatch(kind) else "unreadable"
        raise RemoteProtocolError(f"the answer is of type {said!r}")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise RemoteProtocolError("the answer is compressed, unasked")


async def open_socket(
    transport: Transport, call: Call, request: Request, dialect: Dialect, *, apart: bool = False
) -> Socket:
    """One attempt at a WebSocket; ``apart``, it leaves warm connections to who waits.

    Raises:
        ProviderError: The handshake was refused.
        VoicekitError: A TransportError or DeadlineError.
    """
    from voicekit.transport.ws_aiohttp import HandshakeRefused

    try:
        socket = await transport.dial_socket(request, call, apart=apart)
    except HandshakeRefused as refused:
        call.request_id = request_id_of(refused.headers, dialect)
        if refused.status < 400:
            raise InvalidRequestError(
                "this is no WebSocket endpoint", status=refused.status
            ) from None
        raise dialect.read_error(refused.status, refused.headers, refused.body) from None
    call.request_id = request_id_of(socket.headers, dialect)
    return socket
