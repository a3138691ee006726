"""A call on whose socket a fault strikes, and how it must come out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from live import check_nothing_lost, listens, spoken_to
from world import patched

from faults import OK, expect, fails
from frames import Frame, Line, striking
from voicekit import events
from voicekit.clients.deepgram import outages
from voicekit.errors import StreamInterruptedError, VoicekitError

if TYPE_CHECKING:
    from cell import Cell, Result

Strike = Callable[[Line], Awaitable[None]]
_PROMPT = 0.05
_TAKEN = 0.02
"""Seconds after which what was sent is surely read: an RST would discard it."""
RECONNECT = 0.1
"""Seconds, a tenth of the grid's: from a loss to a connection that takes audio."""
_END_MARKS = {
    "elevenlabs.open_speech": b'"isFinal":true',
    "elevenlabs.open_speech+single": b'"isFinal":true',
    "deepgram.open_speech": b'"Flushed"',
    "deepgram.open_transcription": b'"type":"Metadata"',
}


@contextlib.contextmanager
def _scaled() -> Iterator[None]:
    """The pauses between the dials of a transcription, a tenth as long."""
    with patched(outages, FIRST_DELAY_S=0.015, MAX_DELAY_S=0.3):
        yield


def socketed(strikes: Callable[[Cell], Awaitable[None]]) -> Callable[[Cell], Awaitable[None]]:
    """A column of sockets, whose recording tells what was lost."""

    async def run(cell: Cell) -> None:
        if listens(cell.row):
            spoken_to(cell)
        with _scaled():
            await strikes(cell)
        _ended_last(cell)

    return run


def _ended_last(cell: Cell) -> None:
    """Nothing happens in a call after its terminal event."""
    over: set[int] = set()
    for event in cell.events:
        call = getattr(event, "call", 0)
        assert call not in over, f"{event!r} comes after the end of its call"
        if isinstance(event, events.CallEnded):
            over.add(call)


# -- when a fault strikes -----------------------------------------------------------------------


def before(_line: Line, frame: Frame) -> bool:
    """At the first output, which nobody gets."""
    return frame.useful


def amid(line: Line, frame: Frame) -> bool:
    """At the third output."""
    return frame.useful and sum(each.useful for each in line.given) == 2


def at_end(cell: Cell) -> Callable[[Line, Frame], bool]:
    """Where all output is there, and only its end is to be told."""
    mark = _END_MARKS[cell.row.id]
    return lambda line, frame: mark in frame.data and any(each.useful for each in line.given)


async def struck(cell: Cell, strike: Strike, at: Any, *, times: int = 1) -> tuple[Result, Any]:
    """One call, of a client of its own, on whose socket ``strike`` strikes."""
    lines: list[Line] = []
    cell.server.script = striking(lines, strike, at=at, times=times)
    result = await cell.call(await cell.make())
    assert any(line.struck_at for line in lines), "it did not strike"
    return result, [line for line in lines if line.told]


def survived(cell: Cell, result: Result, lines: list[Line]) -> None:
    """Nobody was to notice: it was all said, or heard, on another socket."""
    expect(cell, result, OK)
    assert len(lines) == 2, f"{len(lines)} sockets were spoken to"
    if listens(cell.row):
        check_nothing_lost(lines)
        if cell.subject.typed:
            [again] = [e for e in cell.events if isinstance(e, events.Reconnected)][-1:]
            assert again.lost == 0
            assert again.outage <= RECONNECT + cell.canary.tolerance, f"{again.outage:.3f} s"
    else:
        once, again = (_without_context(line) for line in lines)
        assert again[: len(once)] == once, "it was told something else"


def _without_context(line: Line) -> list[Any]:
    said = [json.loads(text) for text in line.text]
    for message in said:
        message.pop("context_id", None)
    return [message for message in said if message.get("type") != "Close"]


def partial(cell: Cell, result: Result, *causes: type[VoicekitError]) -> None:
    """It broke off: what came is there, and the error says how much that is, and why."""
    expect(cell, result, fails(StreamInterruptedError, outcome="partial"))
    error = result.error
    if not cell.subject.typed or not isinstance(error, StreamInterruptedError):
        return
    assert isinstance(error.__cause__, causes), repr(error.__cause__)
    if not listens(cell.row):
        assert error.delivered_bytes == len(result.received) > 0


async def reset(line: Line) -> None:
    await asyncio.sleep(_TAKEN)
    line.reset()


async def fin(line: Line) -> None:
    line.fin()


def closing(code: int, reason: str = "") -> Strike:
    async def close(line: Line) -> None:
        await line.close(code, reason)

    return close


CUTS = {"RST": reset, "FIN": fin}


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
