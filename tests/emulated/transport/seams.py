"""What the transport's tests share: calls without a client, servers of raw bytes, a canary."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

import voicekit.transport.http_aiohttp
import voicekit.transport.ws_aiohttp  # noqa: F401 - importing is no part of any limit
from voicekit import events
from voicekit.clients.execute import fetch_json, open_stream
from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.streams import Stream
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

KEY = "sk-marked-key-7d1f"
SPEECH = "marked speech: the walrus sings at noon"
HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "xi-api-key": KEY,
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
}
LIMITS = Limits(connect=2.0, first_output=5.0, gap=5.0, total=20.0)
DIALECT = Dialect(
    provider="testing",
    request_id_headers=("x-request-id",),
    read_error=lambda status, headers, body: build(
        class_of(status), status, headers, detail=str(body_of(body))
    ),
)


def operation(limits: Limits = LIMITS, kind: OperationClass = OperationClass.COMPUTE) -> Operation:
    return Operation(provider="testing", name="test", kind=kind, limits=limits)


def make_call(limits: Limits = LIMITS, observer: events.Observer | None = None) -> Call:
    return Call(operation(limits), observer=observer)


def chat_body(text: str, **more: Any) -> bytes:
    return json.dumps(
        {"model": "gpt-test", "messages": [{"role": "user", "content": text}], **more}
    ).encode()


def post(url: str, body: bytes = b"{}") -> Request:
    return Request("POST", url, HEADERS, body)


async def chat(
    transport: Transport, base: str, text: str, *, limits: Limits = LIMITS, **facts: Any
) -> dict[str, Any]:
    """One whole chat answer: a POST with a body of its own."""
    call = make_call(limits, facts.get("observer"))

    async def prepare() -> Request:
        return post(base + "/chat/completions", chat_body(text))

    return await fetch_json(transport, call, prepare, DIALECT, lambda value, _response: value)


class Pieces:
    """A decoder that takes every piece as useful output, but for pieces of dots."""

    def __init__(self) -> None:
        self.progress = 0
        self.done = False

    def feed(self, data: bytes) -> list[bytes]:
        useful = data.strip(b".\n")
        self.done = useful.endswith(b"END")
        if not useful:
            return []
        self.progress += 1
        return [useful]

    def eof(self, *, delimited: bool) -> list[bytes]:
        return []


def stream(
    transport: Transport,
    request: Request,
    limits: Limits = LIMITS,
    observer: events.Observer | None = None,
) -> Stream[bytes]:
    """A handle over a stream of raw pieces."""

    async def prepare() -> Request:
        return request

    return Stream(
        lambda: open_stream(
            transport,
            make_call(limits, observer),
            prepare,
            DIALECT,
            lambda _response: Pieces(),
        )
    )


# -- servers of raw bytes ------------------------------------------------------------

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Speaks whatever a test wants. ``served`` counts the connections."""

    def __init__(
        self,
        handler: Handler,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._handler = handler
        self._address = address
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.served = 0
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._address, ssl=self._tls)
        host, port = self._server.sockets[0].getsockname()[:2]
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://{'localhost' if self._tls else host}:{port}"
        self.ws_url = "ws" + self.url[4:]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        # asyncio serves what it has accepted in a task of its own; cancelled before that has
        # begun, nobody would close the socket.
        for _ in range(3):
            await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._handler(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one request; b"" when the client has gone."""
    try:
        head = await read_head(reader)
    except asyncio.IncompleteReadError:
        return b""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head


def answers(*pieces: bytes, pause: float = 0.0, then: str = "close") -> Handler:
    """A handler that answers each request with ``pieces``, then closes, waits or goes on."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if then == "hang":
                await reader.read()  # until the client goes
            if then == "close":
                return

    return handle


def response(
    body: bytes = b"{}",
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    headers: str = "",
    length: int | None = None,
) -> bytes:
    length = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
        f"{headers}\r\n".encode()
        + body
    )


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextlib.contextmanager
def deaf_listener() -> Iterator[int]:
    """A port whose accept queue takes connections that nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose accept queue is full: a SYN gets no answer."""
    with contextlib.ExitStack() as stack:
        listening = socket.socket()
        stack.callback(listening.close)
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(3):
            filler = socket.socket()
            stack.callback(filler.close)
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


# -- measuring -------------------------------------------------------------------------


class Canary:
    """Measures how late the loop is, so that a busy machine widens tolerances."""

    def __init__(self) -> None:
        self.lag = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._sing())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _sing(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.lag = max(self.lag, time.monotonic() - before - 0.01)

    @property
    def tolerance(self) -> float:
        return 0.1 + 3 * self.lag


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything behind it, as a traceback would show it."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            todo += [link.__cause__, link.__context__]


def shows_secrets(error: BaseException) -> list[str]:
    """Where the chain of ``error`` quotes the marked key or speech; empty is good."""
    found = []
    for link in chain(error):
        for shown in (str(link), repr(link), repr(link.args)):
            if KEY in shown or SPEECH in shown:
                found.append(shown)
    return found


@contextlib.contextmanager
def dials_wait(transport: Transport) -> Iterator[asyncio.Event]:
    """Dials go on only when the event is set."""
    connector = transport._opened().connector
    gate, real = asyncio.Event(), connector._wrap_create_connection

    async def waits(*args: Any, **kwargs: Any) -> Any:
        await gate.wait()
        return await real(*args, **kwargs)

    connector._wrap_create_connection = waits  # type: ignore[method-assign]
    try:
        yield gate
    finally:
        gate.set()
        connector._wrap_create_connection = real  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def transports(**options: Any) -> AsyncIterator[Transport]:
    """A transport that is closed afterwards, within a second."""
    transport = Transport(**options)
    try:
        yield transport
    finally:
        await transport.aclose()
