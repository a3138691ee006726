"""Columns 35 to 37: WebSockets that are refused, lost or closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from live import check_nothing_lost, listening_only, listens
from struck import (
    CUTS,
    amid,
    at_end,
    before,
    closing,
    named,
    partial,
    reset,
    socketed,
    struck,
    survived,
)

from faults import OK, Fault, expect, fails, sockets
from frames import Line, striking
from voicekit import events
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    InvalidRequestError,
    RateLimitError,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from cell import Cell, Result
    from servers import Visit

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
    assert result.elapsed < 0.1 + cell.canary.tolerance, f"took {result.elapsed:.3f} s"

    result, seen = await _refused(cell, _refusing("503 Unavailable"), 1)
    expect(cell, result, OK)
    assert len(seen) == 2
    result, seen = await _refused(cell, _refusing("503 Unavailable"), 9)
    expect(cell, result, fails(UnavailableError))
    assert 1 < len(seen) <= 1 + cell.row.repeats


async def _on_the_way_back(cell: Cell) -> None:
    """A lost connection whose successor is refused first: still one call, with one end."""
    for status in ("503 Unavailable", "429 Slow Down"):
        with named(status):
            result, lines, seen = await _refused_again(cell, status, "Retry-After-Ms: 120\r\n")
            expect(cell, result, OK)
            check_nothing_lost(lines)
            assert len(seen) == 3
            assert seen[2].at - seen[1].at >= 0.118, "it did not wait as long as it was asked to"
            [again] = [e for e in cell.events if isinstance(e, events.Reconnected)][-1:]
            assert again.attempt == 2
    with named("401"):
        result, _, seen = await _refused_again(cell, "401 Unauthorized")
        partial(cell, result, AuthenticationError)
        assert len(seen) == 2, "it was repeated"
    assert [end.result for end in cell.ends] == ["ok", "ok", "error"]


async def _refused_again(
    cell: Cell, status: str, headers: str = ""
) -> tuple[Result, list[Line], list[Any]]:
    """One call whose socket is cut in the middle, and whose next handshake is refused."""
    lines: list[Line] = []
    cut, refuse = striking(lines, reset, at=amid), _refusing(status, headers)
    refusals = [refuse]

    async def script(visit: Visit) -> None:
        struck = any(line.struck_at for line in lines)
        await (refusals.pop() if struck and refusals else cut)(visit)

    seen = len(cell.server.seen)
    cell.server.script = script
    result = await cell.call(await cell.make())
    return result, lines, cell.server.seen[seen:]


# -- 36, 37: the end of a socket ----------------------------------------------------------------


async def _cut_before(cell: Cell) -> None:
    for name, cut in CUTS.items():
        with named(name):
            survived(cell, *await struck(cell, cut, before))


async def _cut_amid(cell: Cell) -> None:
    for name, cut in CUTS.items():
        with named(name):
            result, lines = await struck(cell, cut, amid)
            if listens(cell.row):
                survived(cell, result, lines)
            else:
                partial(cell, result, ConnectionLostError)


async def _cut_at_end(cell: Cell) -> None:
    """All output is there but for the word that it is all: no quiet end of speech."""
    for name, cut in CUTS.items():
        with named(name):
            result, lines = await struck(cell, cut, at_end(cell))
            if listens(cell.row):  # all is final, and only a summary is missing
                expect(cell, result, OK)
                check_nothing_lost(lines)
            else:
                partial(cell, result, ConnectionLostError)
                assert result.received == cell.reference.received


_CODES: dict[int, type[VoicekitError]] = {
    1000: ConnectionLostError,
    1008: InvalidRequestError,
    1009: InvalidRequestError,
    1011: UnavailableError,
}


async def _closed_before(cell: Cell) -> None:
    for code, kind in _CODES.items():
        with named(str(code)):
            result, lines = await struck(cell, closing(code), before)
            if kind is InvalidRequestError:
                expect(cell, result, fails(kind))
                assert len(lines) == 1, "it was said again"
            else:
                survived(cell, result, lines)


async def _closed_amid(cell: Cell) -> None:
    for code, kind in _CODES.items():
        with named(str(code)):
            result, lines = await struck(cell, closing(code), amid)
            if listens(cell.row) and kind is not InvalidRequestError:
                survived(cell, result, lines)
            else:
                partial(cell, result, kind)


COLUMNS: tuple[Fault, ...] = (
    Fault(
        number="35a", title="handshake refused", run=_handshake, applies=sockets
    ),
    Fault(
        number="35b", title="refused when dialled again", run=socketed(_on_the_way_back),
        applies=listening_only,
    ),
    Fault(
        number="36a", title="cut before the first output", run=socketed(_cut_before),
        applies=sockets, racy=True,
    ),
    Fault(
        number="36b", title="cut in the middle", run=socketed(_cut_amid), applies=sockets,
        racy=True,
    ),
    Fault(
        number="36c", title="cut before the end marker", run=socketed(_cut_at_end),
        applies=sockets, racy=True,
    ),
    Fault(
        number="37a", title="closed before the first output", run=socketed(_closed_before),
        applies=sockets,
    ),
    Fault(
        number="37b", title="closed in the middle", run=socketed(_closed_amid), applies=sockets
    ),
)  # fmt: skip
