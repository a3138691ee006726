"""I1 to I10: what must hold in every cell, whatever went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from operations import KEY, WORDS
from seams import chain

from settling import open_sockets
from voicekit import events
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from cell import Cell, Result

TOLERANCE = 0.05
STALL = 0.005
_MORE, _UPLOAD = 0.002, 0.004
"""What each call adds to that which the cell begins in the same turn of the loop. A recording of
more than half a megabyte becomes a file in memory in that turn."""
_TICK = 0.002
_MARKS = (KEY, KEY[:12], WORDS)


class Canary:
    """How late the loop is, and how much of that is the loop's own work.

    Attributes:
        lag: The longest that a timer was late; the machine's part included.
        stall: The longest that the loop worked without a break. What a callback does on the
            processor counts, what other processes take from it does not.
    """

    def __init__(self) -> None:
        self.lag = self.stall = 0.0
        self._task: asyncio.Task[None] | None = None
        self._forgives = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._sing())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task

    @property
    def tolerance(self) -> float:
        return max(TOLERANCE, 3 * self.lag)

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """The cell itself blocks the loop."""
        yield
        self._forgives += 1

    async def _sing(self) -> None:
        while True:
            forgiven = self._forgives
            before, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(_TICK)
            if forgiven == self._forgives:
                late = time.monotonic() - before - _TICK
                self.lag = max(self.lag, late)
                self.stall = max(self.stall, min(late, time.thread_time() - worked))


@dataclass
class Noise:
    """What nobody took: warnings, errors in the loop, errors of finalizers."""

    heard: list[str] = field(default_factory=list)

    def on_loop(self, _: Any, context: dict[str, Any]) -> None:
        self.heard.append(f"loop: {context.get('message')} {context.get('exception')!r}")

    def unraisable(self, lost: Any) -> None:
        self.heard.append(f"unraisable: {lost.exc_value!r} in {lost.object!r}")


@contextlib.contextmanager
def listening() -> Iterator[Noise]:
    noise, hook = Noise(), sys.unraisablehook
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sys.unraisablehook = noise.unraisable
        try:
            yield noise
            gc.collect()
        finally:
            sys.unraisablehook = hook
    noise.heard += [f"{w.category.__name__}: {w.message}" for w in caught]


@dataclass(frozen=True)
class Held:
    """What the process holds at a moment."""

    tasks: frozenset[asyncio.Task[Any]]
    timers: int
    sockets: int

    @classmethod
    def now(cls) -> Held:
        loop = asyncio.get_running_loop()
        timers = [t for t in getattr(loop, "_scheduled", ()) if not t.cancelled()]
        return cls(frozenset(asyncio.all_tasks()), len(timers), open_sockets())


class BrokenError(AssertionError):
    """Invariants that do not hold."""

    @property
    def may_be_the_machines(self) -> bool:
        """Nothing but a stall (I8), or a socket that is there for longer than the server's loop
        takes on a machine that is not busy (I6). What is ours would come again at once.
        """
        told = str(self)
        alone = told.startswith(("I8", "I6 left behind: tasks set(), 0 timers, 1 sockets"))
        return alone and ";" not in told


def check(cell: Cell) -> None:
    """All but I6 to I9, which need the cell to end first.

    Raises:
        BrokenError: Naming each invariant that does not hold.
    """
    broken = [
        *(f"I1 {found}" for found in _late(cell)),
        *(f"I2 {found}" for found in _attempts(cell)),
        *(f"I3 {found}" for found in _effects(cell)),
        *(f"I10 {found}" for found in _received(cell)),
    ]
    if cell.subject.typed:
        broken += [f"I4 {found}" for found in _terminal(cell)]
        broken += [f"I5 {found}" for found in _typed(cell)]
    more = (_UPLOAD if cell.row.uploads else _MORE) * (cell.most - 1)
    if cell.canary.stall > STALL + cell.subject.work + more:
        broken.append(f"I8 the loop worked {cell.canary.stall * 1e3:.1f} ms without a break")
    if broken:
        raise BrokenError("; ".join(broken))


def _late(cell: Cell) -> Iterator[str]:
    for result in cell.results:
        limit = cell.row.limits.total or 0.0
        if result.elapsed > limit + cell.canary.tolerance:
            yield f"took {result.elapsed:.3f} s, with a deadline of {limit:g} s"


def _attempts(cell: Cell) -> Iterator[str]:
    most = 1 + cell.row.repeats
    for end in cell.ends:
        if end.attempts > most + cell.hops:
            yield f"{end.attempts} attempts, the policy allows {most}"
    seen, most = len(cell.server.seen) - cell.hops, most * len(cell.results)
    if seen > most:
        yield f"the server saw {seen} requests, the policy allows {most}"
    if cell.subject.typed and not cell.row.socket:
        counted = sum(end.attempts for end in cell.ends)
        if seen > counted:
            yield f"the server saw {seen} requests, we counted {counted}"


def _effects(cell: Cell) -> Iterator[str]:
    if cell.row.kind != "E":
        return
    applied = len(cell.server.applied)
    if applied > len(cell.results):
        yield f"{len(cell.results)} calls had {applied} effects"
    may_be = [r for r in cell.results if r.ok or getattr(r.error, "outcome", "") != "not_applied"]
    if applied > len(may_be):
        yield f"{applied} effects, but only {len(may_be)} calls say that there may be one"


def _terminal(cell: Cell) -> Iterator[str]:
    started = Counter(e.call for e in cell.events if isinstance(e, events.CallStarted))
    ended = Counter(e.call for e in cell.events if isinstance(e, events.CallEnded))
    for call in started.keys() | ended.keys():
        if (started[call], ended[call]) != (1, 1):
            yield f"call {call} began {started[call]} and ended {ended[call]} times"
    said = Counter(end.result for end in cell.ends)
    held = Counter("ok" if r.ok else "cancelled" if r.cancelled else "error" for r in cell.results)
    if cell.row.outlives:  # what nobody waits for any more ends as it ends
        said, held = Counter(total=said.total()), Counter(total=held.total())
    if not cell.row.socket and said != held:
        yield f"events say {dict(said)}, callers say {dict(held)}"
    for end in cell.ends:
        if end.result == "ok" and end.outcome != "applied":
            yield f"a success was {end.outcome}"
    claims = [r for r in cell.results if getattr(r.error, "outcome", "") == "not_applied"]
    # A handshake does nothing yet; what is said on the socket does.
    applied = [seen for seen in cell.server.applied if seen.answered or not cell.row.socket]
    if len(claims) == len(cell.results) and applied:
        yield "nothing was applied, they say; the server knows better"
    if not cell.server.seen and not cell.server.opened and cell.alone:
        for result in cell.results:
            if result.error is not None and result.error.outcome != "not_applied":  # type: ignore[attr-defined]
                yield f"no server saw it, and yet it is {result.error.outcome}"  # type: ignore[attr-defined]


def _typed(cell: Cell) -> Iterator[str]:
    for result in cell.results:
        error = result.error
        if error is None or result.cancelled:
            continue
        if not isinstance(error, VoicekitError):
            yield f"{type(error).__name__} is none of ours: {error!r}"
            continue
        if error.provider != cell.row.provider:
            yield f"{error!r} is of provider {error.provider!r}"
        if error.operation not in {cell.row.name, *cell.row.also}:
            yield f"{error!r} is of operation {error.operation!r}"
        for link in chain(error):
            for shown in (str(link), repr(link), repr(link.args)):
                yield from (f"{mark!r} in {shown}" for mark in _MARKS if mark in shown)
            if KEY in repr(vars(link)):  # what a vendor quotes may be the caller's words, no more
                yield f"the key in an attribute of {type(link).__name__}"
    for event in cell.events:
        shown = repr(event)
        yield from (f"{mark!r} in {shown}" for mark in _MARKS if mark in shown)


def _received(cell: Cell) -> Iterator[str]:
    whole = cell.reference.received
    for result in cell.results:
        if result.ok and result.received != whole:
            yield f"a success gave {_told(result, whole)}"
        elif not whole.startswith(result.received):
            yield f"a failure gave {_told(result, whole)}"


def _told(result: Result, whole: bytes) -> str:
    common = next(
        (at for at, (a, b) in enumerate(zip(result.received, whole, strict=False)) if a != b),
        min(len(result.received), len(whole)),
    )
    return f"{len(result.received)} bytes of {len(whole)}, alike for {common}"
