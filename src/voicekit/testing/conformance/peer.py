"""A server of raw bytes for the checks of HTTP transports, and a call that takes notes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Self

from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.timing import ConnectionInfo
from voicekit.transport.messages import Request, Upload

SECRET: Final = "sk-marked-secret-2c7e"  # noqa: S105 - a mark to look for
HEADERS: Final = {"Authorization": f"Bearer {SECRET}", "Accept-Encoding": "identity"}
_LENGTH: Final = re.compile(rb"(?im)^content-length: *([0-9]+)\r$")
_CHUNKED: Final = re.compile(rb"(?im)^transfer-encoding: *chunked\r$")

Handler = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One request, as it came, and how to answer it."""

    def __init__(
        self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.peer = peer
        self._reader = reader
        self._writer = writer
        self.head = b""
        self.body = b""

    async def read(self) -> bool:
        """Take the next request; False when the client has left."""
        try:
            self.head = await self._reader.readuntil(b"\r\n\r\n")
            self.peer.heads.append(self.head)
            length = _LENGTH.search(self.head)
            if length is not None:
                self.body = await self._reader.readexactly(int(length[1]))
            elif _CHUNKED.search(self.head):
                self.body = await self._read_chunks()
        except (asyncio.IncompleteReadError, OSError):
            return False
        return True

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return bytes(body)

    async def write(self, data: bytes) -> None:
        """Send it now."""
        self._writer.write(data)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def answer(self, body: bytes = b"{}", *, status: int = 200, headers: str = "") -> None:
        """A whole answer."""
        head = f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        await self.write(head.encode() + body)

    async def gone(self) -> None:
        """Wait until the client has left."""
        with contextlib.suppress(OSError):
            while await self._reader.read(4096):
                pass
        self.peer.left.set()

    def close(self) -> None:
        """Hang up, after this request's handler."""
        self._writer.close()


class Peer:
    """A server on the loopback interface that answers each request by ``handler``.

    Attributes:
        url: Where it is.
        heads: The request line and headers of each request, as they came.
        bodies: Of those that came whole.
        connections: How many were opened.
        arrived: Set once a whole request has come.
        left: Set once a handler has seen its client leave.
        go: Set by a check, for a handler that waits for it.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.url = ""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.go = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}/v1/check"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None  # noqa: S101 - entered
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            visit = Visit(self, reader, writer)
            if not await visit.read():
                return
            self.bodies.append(visit.body)
            self.arrived.set()
            await self._handler(visit)


async def always(visit: Visit) -> None:
    """Answer ``{}``."""
    await visit.answer()


async def stalled(visit: Visit, body: bytes = b"") -> None:
    """Begin an answer of nine bytes with ``body``, and wait until the client has left."""
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + body)
    await visit.gone()


class WatchedCall(Call):
    """A call that notes what it is told, in order, repeats once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.told: list[str] = []
        super().__init__(
            Operation(provider="conformance", name="check", kind=OperationClass.PURE),
            limits=limits or Limits(connect=5.0),
        )

    def _note(self, word: str) -> None:
        if word not in self.told[-1:]:
            self.told.append(word)

    def dialing(self, *, shared: bool = False) -> None:
        """See ``Call``."""
        self._note("dialing")
        super().dialing(shared=shared)

    def uploading(self, connection: ConnectionInfo, *, replayable: bool = True) -> None:
        """See ``Call``."""
        self._note("uploading")
        super().uploading(connection, replayable=replayable)

    def progressed(self) -> None:
        """See ``Call``."""
        self._note("progressed")
        super().progressed()

    def sent(self, connection: ConnectionInfo, *, whole: bool = True) -> None:
        """See ``Call``."""
        self._note("sent" if whole else "sent early")
        super().sent(connection, whole=whole)


def ask(url: str, body: bytes | Upload | None = b"{}", method: str = "POST") -> Request:
    """A request with a secret in its headers."""
    return Request(method, url, HEADERS, body)


class Pieces:
    """An upload of given pieces; one that is an exception is raised in its place."""

    def __init__(
        self, *pieces: bytes | Exception, size: int | None = None, replayable: bool = True
    ) -> None:
        self._pieces = pieces
        self.size = size
        self.replayable = replayable
        self.closed = False

    async def open(self) -> AsyncIterator[bytes]:
        """The pieces."""
        try:
            for piece in self._pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                await asyncio.sleep(0)
        finally:
            self.closed = True


def unused_url() -> str:
    """Where nobody listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"
