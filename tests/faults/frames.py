"""WebSockets that pass through to the emulator frame by frame, so that a fault may strike at any.

What was said on each is kept: the journal of the columns 35 to 40.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from servers import HOST, Script, Visit, reset

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
_GOODBYE = 0.2


@dataclass(frozen=True)
class Frame:
    """One frame, unmasked; no peer here cuts messages into several."""

    kind: int
    data: bytes
    raw: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def useful(self) -> bool:
        """It carries output: audio, or what was heard."""
        return self.kind == BINARY or b'"audio":"' in self.data or b'"type":"Results"' in self.data


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(2)
    length, raw = head[1] & 0x7F, head
    if length >= 126:
        more = await reader.readexactly(2 if length == 126 else 8)
        length, raw = int.from_bytes(more, "big"), raw + more
    mask = await reader.readexactly(4) if head[1] & 0x80 else b""
    data = await reader.readexactly(length)
    raw += mask + data
    if mask and data:
        key = (mask * (length // 4 + 1))[:length]
        data = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
    return Frame(head[0] & 0x0F, data, raw)


def written(kind: int, data: bytes) -> bytes:
    """A frame of a server's."""
    size = len(data)
    if size < 126:
        head = bytes((0x80 | kind, size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | kind, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 127, size)
    return head + data


class Struck(Exception):  # noqa: N818 - the fault's own end, no error
    """The line has ended as the fault wanted it."""


class Line:
    """One WebSocket.

    Attributes:
        told: What the client said on it.
        given: What it was given, in order.
        struck_at: When a fault struck on it.
        left: The client has closed it, or gone.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.told: list[Frame] = []
        self.given: list[Frame] = []
        self.struck_at: float | None = None
        self.left = asyncio.Event()

    @property
    def audio(self) -> bytes:
        """The audio that the client sent."""
        return b"".join(frame.data for frame in self.told if frame.kind == BINARY)

    @property
    def text(self) -> list[bytes]:
        """The messages that the client sent."""
        return [frame.data for frame in self.told if frame.kind == TEXT]

    # -- what a fault does ------------------------------------------------------------------

    async def give(self, frame: Frame) -> None:
        self.given.append(frame)
        await self.visit.write(frame.raw)

    async def say(self, data: str | bytes, kind: int | None = None) -> None:
        """A message of the fault's own."""
        raw = data.encode() if isinstance(data, str) else data
        kind = (TEXT if isinstance(data, str) else BINARY) if kind is None else kind
        await self.visit.write(written(kind, raw))

    async def close(self, code: int, reason: str = "") -> None:
        """A close frame, and soon the end."""
        await self.say(struct.pack(">H", code) + reason.encode(), CLOSE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self.left.wait()
        self.fin()

    def fin(self) -> None:
        self.visit.writer.close()

    def reset(self) -> None:
        reset(self.visit.writer)

    async def hang(self) -> None:
        """Neither read nor write any more; the socket stays open until the client's end of it."""
        transport = self.visit.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()


Turn = Callable[[Line, Frame], Awaitable[None]]
"""What is done with a frame on its way; it may be given, changed, or lead to ``Struck``."""


async def given(line: Line, frame: Frame) -> None:
    """The frame as it is."""
    await line.give(frame)


async def ignored(_line: Line, _frame: Frame) -> None:
    """Nothing is done at this frame."""


def framed(lines: list[Line], out: Turn = given, into: Turn = ignored) -> Script:
    """Relay with ``out`` for each frame to the client, ``into`` for each that it sends.

    Args:
        lines: Where each socket is added.
        out: Gives the frame to the client, or does something else.
        into: Looks at the frame before it goes on to the emulator.
    """

    async def script(visit: Visit) -> None:
        line = Line(visit)
        lines.append(line)
        reader, writer = await asyncio.open_connection(HOST, visit.server.relay_port)
        pumps: list[asyncio.Task[None]] = []
        try:
            writer.write(visit.seen.head)
            visit.seen.whole = visit.seen.answered = True
            await visit.write(await reader.readuntil(b"\r\n\r\n"))
            pumps = [
                asyncio.create_task(_pump_in(line, writer, into)),
                asyncio.create_task(_pump_out(line, reader, out)),
            ]
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                with contextlib.suppress(Struck, OSError, asyncio.IncompleteReadError):
                    pump.result()
        finally:
            # First what waits for nothing: this may be cancelled once more.
            for pump in pumps:
                pump.cancel()
            writer.transport.abort()
            visit.writer.close()
            if pumps:
                await asyncio.wait(pumps)
            for pump in pumps:
                pump.cancelled() or pump.exception()

    return script


async def _pump_in(line: Line, writer: asyncio.StreamWriter, into: Turn) -> None:
    try:
        while True:
            frame = await read_frame(line.visit.reader)
            line.told.append(frame)
            if frame.kind == CLOSE:
                line.left.set()
            await into(line, frame)
            writer.write(frame.raw)
            await writer.drain()
    finally:
        line.left.set()


async def _pump_out(line: Line, reader: asyncio.StreamReader, out: Turn) -> None:
    while True:
        await out(line, await read_frame(reader))


def striking(
    lines: list[Line],
    strike: Callable[[Line], Awaitable[None]],
    *,
    at: Callable[[Line, Frame], bool],
    times: int = 1,
) -> Script:
    """``strike`` in place of the frame to the client that ``at`` names, so many times in all."""
    left = [times]

    async def out(line: Line, frame: Frame) -> None:
        if left[0] > 0 and at(line, frame):
            left[0] -= 1
            line.struck_at = time.monotonic()
            await strike(line)
            raise Struck
        await line.give(frame)

    return framed(lines, out)
