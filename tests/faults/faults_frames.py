"""Column 40: frames that nobody expects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from live import listens, spoken_to
from struck import named, socketed

from faults import OK, Fault, expect, sockets
from frames import BINARY, PING, TEXT, Frame, Line, framed, written
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from cell import Cell, Result

_PONG = 10
_OVERSIZED = 17 << 20
"""Bytes: more than any provider's message has."""

Said = Callable[[Line], Awaitable[None]]


def _raw(data: bytes) -> Said:
    async def say(line: Line) -> None:
        await line.visit.write(data)

    return say


def _text(data: str | bytes) -> Said:
    raw = data.encode() if isinstance(data, str) else data
    return _raw(written(TEXT, raw))


# What a newer server may say, and an older client does not know. It is not there, for us.
_UNKNOWN: dict[str, Said] = {
    "an unknown message": _text('{"type":"Surprise","surprise":[1,{"a":null}]}'),
    "an unknown message without a type": _text('{"surprise":true}'),
    "an empty message": _text("{}"),
    "null where a word is due": _text('{"type":null,"audio":null,"contextId":null}'),
    "another's audio": _text('{"audio":"AAAA","contextId":"somebody-else","type":"Audio"}'),
    "a ping": _raw(written(PING, b"are you there")),
    "an unasked pong": _raw(written(_PONG, b"")),
}
# What makes no sense. It is ignored, or ends the socket with an error that says so.
_BROKEN: dict[str, Said] = {
    "no JSON": _text('{"type":'),
    "no object": _text("[1, 2, 3]"),
    "a number": _text("7"),
    "deep nesting": _text("[" * 100_000),
    "no UTF-8": _text(b'{"type":"\xff\xfe"}'),
    "wrong types": _text('{"type":"Results","channel":7,"audio":{"a":1},"isFinal":"yes"}'),
    "numbers that are none": _text('{"type":"Results","start":NaN,"duration":-1e999}'),
    "audio that is none": _text('{"audio":"!!!!","isFinal":null,"type":5}'),
    "reserved bits": _raw(b"\xf1\x03abc"),
    "a reserved opcode": _raw(b"\x83\x03abc"),
    "a continuation of nothing": _raw(b"\x80\x03abc"),
    "half a message, and another": _raw(b'\x01\x03{"a' + written(TEXT, b"{}")),
    "a ping that is too long": _raw(b"\x89\x7e\x00\xc8" + bytes(200)),
    "a close frame of one byte": _raw(b"\x88\x01a"),
    "a close code that must not be": _raw(written(8, b"\x03\xed")),
    "an oversized message": _raw(b"\x81\x7f" + _OVERSIZED.to_bytes(8, "big") + b"x" * 4096),
}
# What the other kind of socket would say.
_OTHER_KIND = _raw(written(BINARY, bytes(range(256)) * 4))


async def _with(cell: Cell, say: Said, *, late: bool, times: int = 1) -> Result:
    """A call in which ``say`` is said ahead of the first output, or of the third."""
    left = [times]

    async def out(line: Line, frame: Frame) -> None:
        heard = sum(each.useful for each in line.given)
        if left[0] > 0 and frame.useful and heard == (2 if late else 0):
            left[0] -= 1
            await say(line)
        await line.give(frame)

    if listens(cell.row):
        spoken_to(cell, pace=0.0)
    cell.server.script = framed([], out)
    client = await cell.make()
    result = await cell.call(client)
    assert left[0] < times, f"it was not said: {result.error!r}"
    cell.server.script = cell.good
    expect(cell, await cell.call(client), OK)  # nothing of it is left in the pool
    await client.aclose()
    return result


async def _unknown(cell: Cell) -> None:
    for name, say in _UNKNOWN.items():
        for late in (False, True):
            with named(name):
                expect(cell, await _with(cell, say, late=late), OK)


def _broken(*, late: bool) -> Callable[[Cell], Awaitable[None]]:
    async def run(cell: Cell) -> None:
        broken = dict(_BROKEN)
        if cell.row.id != "deepgram.open_speech":
            broken["bytes where text is due"] = _OTHER_KIND
        for name, say in broken.items():
            with named(name):
                result = await _with(cell, say, late=late)
                if result.error is not None:
                    assert isinstance(result.error, VoicekitError), repr(result.error)
                if name == "an oversized message":
                    most = cell.row.limits.gap or 0.0
                    assert result.elapsed < most, "the rest of it was waited for"

    return run


async def _twice(cell: Cell) -> None:
    """Each message but audio, which carries no number, comes twice."""

    async def out(line: Line, frame: Frame) -> None:
        if frame.kind == TEXT and b'"audio":"' not in frame.data:
            frame = replace(frame, raw=frame.raw * 2)
        await line.give(frame)

    cell.server.script = framed([], out)
    for _ in range(3):  # what came twice must not be the next one's
        expect(cell, await cell.call(), OK)


async def _early(cell: Cell) -> None:
    """The end is told before the first output, which follows it: ignored, or typed."""
    end: Callable[[Line], object] = {
        "elevenlabs": lambda line: {"isFinal": True, "contextId": _context(line)},
        "deepgram": lambda _line: (
            {"type": "Metadata", "duration": 1.0}
            if listens(cell.row)
            else {"type": "Flushed", "sequence_id": 0}
        ),
    }[cell.row.provider]

    async def say(line: Line) -> None:
        while listens(cell.row) and b"CloseStream" not in b"".join(line.text):
            await asyncio.sleep(0.001)  # unasked, it would be no end
        await line.say(json.dumps(end(line)))

    result = await _with(cell, say, late=False)
    if result.error is not None:
        assert isinstance(result.error, VoicekitError), repr(result.error)
    else:
        assert result.received == cell.reference.received, "a quiet end"


def _context(line: Line) -> Any:
    return json.loads(line.text[0]).get("context_id")


COLUMNS: tuple[Fault, ...] = (
    Fault(number="40a", title="unknown frames", run=socketed(_unknown), applies=sockets),
    Fault(
        number="40b", title="broken frames before the first output",
        run=socketed(_broken(late=False)), applies=sockets,
    ),
    Fault(
        number="40c", title="broken frames in the middle", run=socketed(_broken(late=True)),
        applies=sockets,
    ),
    Fault(number="40d", title="frames that come twice", run=socketed(_twice), applies=sockets),
    Fault(number="40e", title="an end that comes early", run=socketed(_early), applies=sockets),
)  # fmt: skip
