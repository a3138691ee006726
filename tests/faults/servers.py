"""The scripted server of the grid: a thread of its own, its own journal, any fault on any request.

It speaks raw HTTP/1.1, so that it can also speak it wrongly. A client's event loop may block:
the server goes on, as a real one would. WebSockets pass through to the emulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
HOST = "127.0.0.1"
_HOP = {"transfer-encoding", "content-length", "connection", "keep-alive", "date", "server"}


class ServerThread:
    """An event loop in a thread, for servers that go on while the client's loop is blocked."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="faults-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done over there, blocking here."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


@dataclass
class Seen:
    """One request, as far as it came. The grid's truth.

    Attributes:
        whole: It came to its last byte, so that the server may have applied it.
        refused: The server said that it did not apply it.
        left_at: When the client hung up on it before an answer had ended.
    """

    at: float
    connection: int
    number: int
    method: str = ""
    path: str = ""
    head: bytes = b""
    body: bytes = b""
    whole: bool = False
    refused: bool = False
    answered: bool = False
    left_at: float | None = None

    def header(self, name: str) -> str:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""


@dataclass
class Reply:
    """A good answer, as a provider gave it: what each fault is a distortion of."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunked: bool

    def head(self, *framing: str) -> bytes:
        lines = [f"HTTP/1.1 {self.status}", *(f"{k}: {v}" for k, v in self.headers), *framing]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def framed(self) -> str:
        return "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}"

    def wire(self, data: bytes | None = None, *, end: bool = True) -> bytes:
        """``data`` (all of the body) as it goes after the head."""
        data = self.body if data is None else data
        if not self.chunked:
            return data
        return (b"%x\r\n%s\r\n" % (len(data), data) if data else b"") + (
            b"0\r\n\r\n" if end else b""
        )

    @classmethod
    def parse(cls, raw: bytes) -> Reply:
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        names = {name.lower(): value for name, value in pairs}
        chunked = "chunked" in names.get("transfer-encoding", "")
        kept = tuple((name, value) for name, value in pairs if name.lower() not in _HOP)
        return cls(status.partition(" ")[2], kept, _joined(body) if chunked else body, chunked)


def _joined(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
        if not length:
            break
    return whole


class Visit:
    """One request being answered.

    Attributes:
        number: Of this request among all that came to the server, from 1.
        on_line: Of this request on its connection, from 1.
    """

    def __init__(
        self, server: FaultServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        seen: Seen, on_line: int,
    ) -> None:  # fmt: skip
        self.server, self.reader, self.writer = server, reader, writer
        self.seen, self.number, self.on_line = seen, seen.number, on_line
        self.reply = server.reply

    async def read(self) -> None:
        """Take the rest of the request: its body."""
        if self.seen.whole:
            return
        length, chunked = self.seen.header("content-length"), self.seen.header("transfer-encoding")
        if length:
            missing = int(length) - len(self.seen.body)
            while missing > 0:
                piece = await self.reader.read(min(missing, 1 << 16))
                if not piece:
                    raise ConnectionResetError
                self.seen.body += piece
                missing -= len(piece)
        elif chunked:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                self.seen.body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        self.seen.whole = True

    def takes_little(self) -> None:
        """The system keeps no more than some kilobytes of what is not read."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    async def read_some(self, size: int) -> None:
        """Take no more than so many bytes of the body."""
        self.seen.body += await self.reader.readexactly(size)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def good(self) -> None:
        """The right answer."""
        await self.read()
        reply = self.reply
        await self.write(reply.head(reply.framed()) + reply.wire())
        self.seen.answered = True

    async def say(
        self, status: str, body: bytes = b"{}", *, kind: str = "application/json", headers: str = ""
    ) -> None:
        """A whole answer of the fault's own."""
        self.seen.refused |= status[:3] in {"400", "401", "403", "404", "410", "413", "423", "429"}
        await self.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"{headers}\r\n".encode()
            + body
        )
        self.seen.answered = True

    async def linger(self, reads: bool) -> None:
        """Give the client time to read the answer; read what it still sends meanwhile, or not."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(0.1):
                while not reads or await self.reader.read(1 << 16):
                    await asyncio.sleep(0.001)
        self.reset()

    def reset(self) -> None:
        """Hang up with an RST."""
        reset(self.writer)

    async def hang(self) -> None:
        """Say nothing more until the client goes."""
        with contextlib.suppress(OSError):
            while await self.reader.read(1 << 16):
                pass
        self.seen.left_at = time.monotonic()


Script = Callable[[Visit], Awaitable[None]]


async def good(visit: Visit) -> None:
    await visit.good()


def first(fault: Script, times: int = 1) -> Script:
    """``fault`` for the first requests from now on, then the right answer."""
    left = [times]

    async def script(visit: Visit) -> None:
        left[0] -= 1
        await (fault if left[0] >= 0 else good)(visit)

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, AttributeError):  # a TLS transport that has just ended
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FaultServer:
    """One provider's address. Answers as ``script`` says, which may change at any time.

    Attributes:
        seen: Every request, in order, but for those that ``aside`` answered.
        aside: Answers, well and at once, what is none of the operation's requests.
        others: What it answered.
        opened: How many connections were accepted.
        lines: Those open now.
    """

    def __init__(self, reply: Reply | None, relay: int | None, tls: ssl.SSLContext | None) -> None:
        self.reply = reply or Reply("200 OK", (), b"", chunked=False)
        self.script: Script = good
        self.aside: Callable[[Seen], Reply | None] | None = None
        self.seen: list[Seen] = []
        self.others: list[Seen] = []
        self.opened = 0
        self.sent = 0
        self.lines: dict[asyncio.StreamWriter, bool] = {}
        self.port = 0
        self.relay_port, self._tls = relay, tls
        self._stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str = HOST, port: int = 0) -> None:
        self._server = await asyncio.start_server(
            self._accept, host, port or self.port, ssl=self._tls, backlog=256
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._stopped = True
        self._server.close()
        for _ in range(3):
            await asyncio.sleep(0)
        for writer in list(self.lines):
            writer.transport.abort()  # a TLS close would wait for a client that waits for us
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)

    async def drop(self, *, how: str, idle: bool = True) -> int:
        """Hang up on every (idle) connection now; returns how many."""
        dropped = 0
        for writer, busy in list(self.lines.items()):
            if busy and idle:
                continue
            dropped += 1
            if how == "rst":
                reset(writer)
            else:
                with contextlib.suppress(OSError, AttributeError):
                    raw = writer.get_extra_info("socket")
                    with socket.socket(fileno=os.dup(raw.fileno())) as wire:
                        writer.close()
                        wire.shutdown(socket.SHUT_WR)  # a TLS close waits for the other side
        for _ in range(3):
            await asyncio.sleep(0)
        return dropped

    @property
    def applied(self) -> list[Seen]:
        """Requests that may have had an effect."""
        return [seen for seen in self.seen if seen.whole and not seen.refused]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopped:  # the kernel had accepted it before
            writer.transport.abort()
            return
        self.opened += 1
        line = self.opened
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.lines[writer] = False
        seen: Seen | None = None
        try:
            count = 0
            while head := await _head(reader):
                self.lines[writer] = True
                seen = Seen(time.monotonic(), line, len(self.seen) + 1, head=head)
                seen.method, seen.path, _ = head.decode("latin-1").split(" ", 2)
                if self.aside is not None and (reply := self.aside(seen)) is not None:
                    self.others.append(seen)
                    visit = Visit(self, reader, writer, seen, count)
                    visit.reply = reply
                    await visit.good()
                    self.lines[writer] = False
                    continue
                count += 1
                self.seen.append(seen)
                await self.script(Visit(self, reader, writer, seen, count))
                self.lines[writer] = False
                if writer.is_closing():
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if seen is not None and not seen.answered:
                seen.left_at = time.monotonic()
        finally:
            self._tasks.discard(task)
            self.lines.pop(writer, None)
            with contextlib.suppress(Exception):
                writer.close()
                await writer.wait_closed()
            writer.transport.abort()

    async def relay(self, visit: Visit) -> None:
        """Let the emulator answer: its journal knows what a socket's frames were."""
        reader, writer = await asyncio.open_connection(HOST, self.relay_port)
        writer.write(visit.seen.head)
        back = asyncio.ensure_future(_pump(reader, visit.writer))
        visit.seen.whole = visit.seen.answered = True
        try:
            await _pump(visit.reader, writer)
            await back
        finally:
            back.cancel()
            writer.transport.abort()


async def relayed(visit: Visit) -> None:
    await visit.server.relay(visit)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof() if writer.can_write_eof() else writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
