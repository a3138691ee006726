"""Columns 35 to 40: WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from live import check_nothing_lost, listens, spoken_to
from world import patched

from faults import LIVE, OK, Fault, expect, fails, sockets
from frames import Frame, Line, striking
from voicekit import events
from voicekit.clients.deepgram import outages
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from cell import Cell, Result
    from operations import Row
    from servers import Visit

Strike = Callable[[Line], Awaitable[None]]
_PROMPT = 0.05
_TAKEN = 0.02
"""Seconds after which what was sent is surely read: an RST would discard it."""
_RECONNECT = 0.1
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


def _socketed(strikes: Callable[[Cell], Awaitable[None]]) -> Callable[[Cell], Awaitable[None]]:
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


def _before(_line: Line, frame: Frame) -> bool:
    """At the first output, which nobody gets."""
    return frame.useful


def _amid(line: Line, frame: Frame) -> bool:
    """At the third output."""
    return frame.useful and sum(each.useful for each in line.given) == 2


def _at_end(cell: Cell) -> Callable[[Line, Frame], bool]:
    """Where all output is there, and only its end is to be told."""
    mark = _END_MARKS[cell.row.id]
    return lambda line, frame: mark in frame.data and any(each.useful for each in line.given)


async def _struck(cell: Cell, strike: Strike, at: Any, *, times: int = 1) -> tuple[Result, Any]:
    """One call, of a client of its own, on whose socket ``strike`` strikes."""
    lines: list[Line] = []
    cell.server.script = striking(lines, strike, at=at, times=times)
    result = await cell.call(await cell.make())
    assert any(line.struck_at for line in lines), "it did not strike"
    return result, [line for line in lines if line.told]


def _survived(cell: Cell, result: Result, lines: list[Line]) -> None:
    """Nobody was to notice: it was all said, or heard, on another socket."""
    expect(cell, result, OK)
    assert len(lines) == 2, f"{len(lines)} sockets were spoken to"
    if listens(cell.row):
        check_nothing_lost(lines)
        if cell.subject.typed:
            [again] = [e for e in cell.events if isinstance(e, events.Reconnected)][-1:]
            assert again.lost == 0
            assert again.outage <= _RECONNECT + cell.canary.tolerance, f"{again.outage:.3f} s"
    else:
        once, again = (_without_context(line) for line in lines)
        assert again[: len(once)] == once, "it was told something else"


def _without_context(line: Line) -> list[Any]:
    said = [json.loads(text) for text in line.text]
    for message in said:
        message.pop("context_id", None)
    return [message for message in said if message.get("type") != "Close"]


def _partial(cell: Cell, result: Result, *causes: type[VoicekitError]) -> None:
    """It broke off: what came is there, and the error says how much that is, and why."""
    expect(cell, result, fails(StreamInterruptedError, outcome="partial"))
    error = result.error
    if not cell.subject.typed or not isinstance(error, StreamInterruptedError):
        return
    assert isinstance(error.__cause__, causes), repr(error.__cause__)
    if not listens(cell.row):
        assert error.delivered_bytes == len(result.received) > 0


# -- 35: the handshake --------------------------------------------------------------------------


def _refusing(status: str, headers: str = "") -> Any:
    async def refuse(visit: Visit) -> None:
        await visit.read()
        await visit.say(status, b'{"error": {"message": "no"}}', headers=headers)

    return refuse


async def _refused(cell: Cell, refuse: Any, times: int) -> tuple[Result, list[Any]]:
    seen = len(cell.server.seen)
    cell.server.script = cell.first(refuse, times)
    result = await cell.call(await cell.make())
    return result, cell.server.seen[seen:]


async def _handshake(cell: Cell) -> None:
    """A refused handshake is what the same refusal of a request is."""
    result, seen = await _refused(cell, _refusing("401 Unauthorized"), 9)
    expect(cell, result, fails(AuthenticationError, outcome="not_applied"))
    assert getattr(result.error, "status", None) == 401
    assert len(seen) == 1, "it was repeated"

    for header, least in (("Retry-After: 1", 1.0), ("Retry-After-Ms: 150", 0.15)):
        for status in ("429 Slow Down", "503 Unavailable"):
            if least == 1.0 and status.startswith("503"):
                continue
            result, seen = await _refused(cell, _refusing(status, header + "\r\n"), 1)
            expect(cell, result, OK)
            waited = seen[1].at - seen[0].at
            most = least * 1.1 + cell.canary.tolerance
            assert least - 0.002 <= waited <= most, f"{status}, {header}: {waited:.3f} s"
            assert len(seen) == 2

    result, seen = await _refused(cell, _refusing("429 Slow Down", "Retry-After: 3600\r\n"), 9)
    expect(cell, result, fails(RateLimitError, outcome="not_applied"))
    assert getattr(result.error, "retry_after", None) == 3600
    assert len(seen) == 1
    assert result.elapsed < 0.1 + cell.canary.tolerance

    result, seen = await _refused(cell, _refusing("503 Unavailable"), 1)
    expect(cell, result, OK)
    assert len(seen) == 2
    result, seen = await _refused(cell, _refusing("503 Unavailable"), 9)
    expect(cell, result, fails(UnavailableError))
    assert 1 < len(seen) <= 1 + cell.row.repeats


async def _on_the_way_back(cell: Cell) -> None:
    """A lost connection whose successor is refused first: still one call, with one end."""
    for status in ("503 Unavailable", "429 Slow Down"):
        with _named(status):
            result, lines, seen = await _refused_again(cell, status, "Retry-After-Ms: 120\r\n")
            expect(cell, result, OK)
            check_nothing_lost(lines)
            assert len(seen) == 3
            assert seen[2].at - seen[1].at >= 0.118, "it did not wait as long as it was asked to"
            [again] = [e for e in cell.events if isinstance(e, events.Reconnected)][-1:]
            assert again.attempt == 2
    with _named("401"):
        result, _, seen = await _refused_again(cell, "401 Unauthorized")
        _partial(cell, result, AuthenticationError)
        assert len(seen) == 2, "it was repeated"
    assert [end.result for end in cell.ends] == ["ok", "ok", "error"]


async def _refused_again(
    cell: Cell, status: str, headers: str = ""
) -> tuple[Result, list[Line], list[Any]]:
    """One call whose socket is cut in the middle, and whose next handshake is refused."""
    lines: list[Line] = []
    cut, refuse = striking(lines, _reset, at=_amid), _refusing(status, headers)
    refusals = [refuse]

    async def script(visit: Visit) -> None:
        struck = any(line.struck_at for line in lines)
        await (refusals.pop() if struck and refusals else cut)(visit)

    seen = len(cell.server.seen)
    cell.server.script = script
    result = await cell.call(await cell.make())
    return result, lines, cell.server.seen[seen:]


# -- 36, 37: the end of a socket ----------------------------------------------------------------


async def _reset(line: Line) -> None:
    await asyncio.sleep(_TAKEN)
    line.reset()


async def _fin(line: Line) -> None:
    line.fin()


def _closing(code: int, reason: str = "") -> Strike:
    async def close(line: Line) -> None:
        await line.close(code, reason)

    return close


_CUTS = {"RST": _reset, "FIN": _fin}


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error


async def _cut_before(cell: Cell) -> None:
    for name, cut in _CUTS.items():
        with _named(name):
            _survived(cell, *await _struck(cell, cut, _before))


async def _cut_amid(cell: Cell) -> None:
    for name, cut in _CUTS.items():
        with _named(name):
            result, lines = await _struck(cell, cut, _amid)
            if listens(cell.row):
                _survived(cell, result, lines)
            else:
                _partial(cell, result, ConnectionLostError)


async def _cut_at_end(cell: Cell) -> None:
    """All output is there but for the word that it is all: no quiet end of speech."""
    for name, cut in _CUTS.items():
        with _named(name):
            result, lines = await _struck(cell, cut, _at_end(cell))
            if listens(cell.row):  # all is final, and only a summary is missing
                expect(cell, result, OK)
                check_nothing_lost(lines)
            else:
                _partial(cell, result, ConnectionLostError)
                assert result.received == cell.reference.received


_CODES: dict[int, type[VoicekitError]] = {
    1000: ConnectionLostError,
    1008: InvalidRequestError,
    1009: InvalidRequestError,
    1011: UnavailableError,
}


async def _closed_before(cell: Cell) -> None:
    for code, kind in _CODES.items():
        with _named(str(code)):
            result, lines = await _struck(cell, _closing(code), _before)
            if kind is InvalidRequestError:
                expect(cell, result, fails(kind))
                assert len(lines) == 1, "it was said again"
            else:
                _survived(cell, result, lines)


async def _closed_amid(cell: Cell) -> None:
    for code, kind in _CODES.items():
        with _named(str(code)):
            result, lines = await _struck(cell, _closing(code), _amid)
            if listens(cell.row) and kind is not InvalidRequestError:
                _survived(cell, result, lines)
            else:
                _partial(cell, result, kind)


def _listening_only(row: Row) -> str:
    return sockets(row) or (LIVE if listens(row) else "only transcriptions are dialled again")


COLUMNS: tuple[Fault, ...] = (
    Fault(
        number="35a", title="handshake refused", run=_handshake, applies=sockets
    ),
    Fault(
        number="35b", title="refused when dialled again", run=_socketed(_on_the_way_back),
        applies=_listening_only,
    ),
    Fault(
        number="36a", title="cut before the first output", run=_socketed(_cut_before),
        applies=sockets, racy=True,
    ),
    Fault(
        number="36b", title="cut in the middle", run=_socketed(_cut_amid), applies=sockets,
        racy=True,
    ),
    Fault(
        number="36c", title="cut before the end marker", run=_socketed(_cut_at_end),
        applies=sockets, racy=True,
    ),
    Fault(
        number="37a", title="closed before the first output", run=_socketed(_closed_before),
        applies=sockets,
    ),
    Fault(
        number="37b", title="closed in the middle", run=_socketed(_closed_amid), applies=sockets
    ),
)  # fmt: skip
