"""The columns of the grid: what may go wrong, one entry each, by group in ``faults_*.py``.

A column strikes (``run``), and checks what ``fault-grid.md`` says beside the invariants,
which the cell checks by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operations import Row

from voicekit.errors import OutcomeUnknownError, VoicekitError

if TYPE_CHECKING:
    from cell import Cell, Result

GROUPS = (
    "connect",
    "pool",
    "request",
    "load",
    "bounds",
    "body",
    "socket",
    "silence",
    "frames",
    "local",
    "acting",
    "cache",
    "members",
)
LIVE = ""
REPEATS = frozenset({"5", "11", "13b", "18", "20", "26", "28b", "30", "34", "41"})
"""Columns in which it shows what may be repeated, and what comes of a part."""
BACKOFF = 0.03 + 0.06
"""Seconds that the scaled back-offs of two repeats take at most."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One column.

    Attributes:
        number: Of the grid's page, with a letter where the page names several things.
        applies: Empty for a live cell, else the reason why this row has none.
        run: Strikes and checks.
        racy: The full grid repeats it 1,000 times instead of 20.
        tls: Over TLS, over plain TCP, or both, as cells of their own.
        ours: Nobody else has what it strikes.
    """

    number: str
    title: str
    run: Callable[[Cell], Awaitable[None]]
    applies: Callable[[Row], str] = lambda _row: LIVE
    racy: bool = False
    tls: tuple[bool, ...] = (False,)
    ours: bool = False

    def reason(self, row: Row) -> str:
        """Why the cell of that row is not live; empty if it is."""
        if row.like and self.number not in REPEATS:
            return f"goes the same way as {row.like}"
        return self.applies(row)

    def id(self, tls: bool) -> str:
        return f"{self.number} {self.title}{' (TLS)' if tls else ''}"


@dataclass(frozen=True)
class Expect:
    """How a call must come out. ``kinds`` empty is a success; ``or_ok`` allows one."""

    kinds: tuple[type[BaseException], ...] = ()
    outcome: str | None = None
    or_ok: bool = False


OK = Expect()
UNKNOWN = Expect((OutcomeUnknownError,), "unknown")
OK_OR_UNKNOWN = Expect((OutcomeUnknownError,), "unknown", or_ok=True)
"""Where it is a race whether an effect's connection is seen to end before it is used."""


def fails(*kinds: type[BaseException], outcome: str | None = None) -> Expect:
    return Expect(kinds or (VoicekitError,), outcome)


def by_kind(others: Expect, effect: Expect) -> dict[str, Expect]:
    """One expectation for what may be repeated, one for what must not."""
    return {"P": others, "C": others, "I": others, "E": effect}


def expect(cell: Cell, result: Result, wanted: Expect | dict[str, Expect]) -> None:
    """Check how one call came out.

    Raises:
        AssertionError: It did not come out so.
    """
    if isinstance(wanted, dict):
        wanted = wanted[cell.row.kind]
    if not wanted.kinds:
        if result.error is not None:
            raise AssertionError(f"failed: {result.error!r}") from result.error
        return
    if result.error is None and wanted.or_ok:
        return
    assert result.error is not None, f"succeeded with {len(result.received)} bytes"
    if not cell.subject.typed:
        return
    assert isinstance(result.error, wanted.kinds), f"failed with {result.error!r}"
    found = getattr(result.error, "outcome", None)
    assert wanted.outcome in {None, found}, f"outcome {found}: {result.error!r}"


def attempts_of(result: Result) -> int:
    return int(getattr(result.error, "attempts", 1) or 1)


def at_limit(cell: Cell, result: Result, limit: float) -> None:
    """Each attempt of a failed call ended at ``limit`` ± tolerance."""
    count = attempts_of(result)
    slack = count * cell.canary.tolerance
    least, most = count * limit - slack, count * limit + BACKOFF + slack
    assert least <= result.elapsed <= most, (
        f"{count} attempts took {result.elapsed:.3f} s, limit {limit:g} s"
    )


# -- to which rows a column applies -------------------------------------------------------------


def all_rows(_row: Row) -> str:
    return LIVE


def http(row: Row) -> str:
    return "a WebSocket has columns of its own: 35 to 40" if row.socket else LIVE


def limits(row: Row) -> str:
    if "429" in row.final:
        return "refused logins count: none is repeated by itself"
    return http(row)


def bodies(row: Row) -> str:
    return "its answer is a status, without a body" if row.bodiless else http(row)


def uploads(row: Row) -> str:
    return LIVE if row.uploads else "its request leaves in one piece: column 13"


def streams(row: Row) -> str:
    if row.socket:
        return http(row)
    return LIVE if row.streams else "the caller gets it whole or not at all"


def sockets(row: Row) -> str:
    return LIVE if row.socket else "no WebSocket"


def columns() -> tuple[Fault, ...]:
    """Every column, in order."""
    found: list[Fault] = []
    for group in GROUPS:
        found += importlib.import_module(f"faults_{group}").COLUMNS
    return tuple(found)
