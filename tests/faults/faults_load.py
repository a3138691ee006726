"""Columns 19 and 22 to 25: what many calls together make of a server that is slow or down."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import scaled
from operations import Row

from faults import OK, Fault, expect, fails, http
from voicekit import events
from voicekit.errors import CircuitOpenError, VoicekitError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_LEAST = 10
"""Calls in the window before the default breaker may open."""
_HEDGE_AFTER = 0.06
_LATE = 0.25
_PROBES = 6
"""In 0.45 s, from 0.03 s on and doubled: four. Not doubled: twelve."""


async def _down(visit: Visit) -> None:
    await visit.read()
    await visit.say("503 Unavailable", b'{"error": {"message": "down"}}')


async def _tail(cell: Cell) -> None:
    """Two of a hundred answers are late; a second request is there sooner."""
    client = await cell.make(policies=scaled.policies(retry=None, hedge=scaled.hedge(_HEDGE_AFTER)))
    calls = 100

    async def late(visit: Visit) -> None:
        if visit.number % 50 == 25:
            await visit.read()
            await asyncio.sleep(_LATE)
        await cell.good(visit)

    cell.server.script = late
    for _ in range(calls):
        expect(cell, await cell.call(client), OK)
        left = [task for task in asyncio.all_tasks() if "hedge" in task.get_name()]
        assert not left, f"an attempt outlives its call: {left}"
    took = sorted(result.elapsed for result in cell.results)
    p95, p99 = took[int(calls * 0.95)], took[int(calls * 0.99) - 1]
    extra = len(cell.server.seen) - calls
    if cell.row.kind in {"P", "C"} and not cell.row.uploads:
        assert p99 <= p95 + _HEDGE_AFTER + cell.canary.tolerance, f"p95 {p95:.3f}, p99 {p99:.3f}"
        assert extra <= math.ceil(calls * 0.04), f"{extra} requests more"
    elif cell.row.kind in {"I", "E"}:
        assert extra == 0, "what acts, or repeats by itself, is never asked for twice at a time"


async def _outage(cell: Cell) -> None:
    """All requests fail. The breaker opens early, and then says no at once."""
    cell.server.script = _down
    refused = []
    for _ in range(40):
        result = await cell.call()
        if isinstance(result.error, CircuitOpenError):
            refused.append(result)
        else:
            expect(cell, result, fails(VoicekitError))
    seen = len(cell.server.seen)
    assert len(refused) >= 40 - _LEAST - 1, f"{len(refused)} calls of 40 were refused"
    assert seen <= _LEAST + 1, f"{seen} requests until it opened"
    # Nothing is waited for, so that what a refusal takes is what it works.
    took = sorted(result.worked for result in refused)[len(refused) // 2]
    most = 0.003 if cell.row.uploads else 0.001  # the form of an upload is written first
    assert took < most, f"a refusal took {took * 1e3:.2f} ms"
    cell.healthy = False


async def _half_fail(cell: Cell) -> None:
    """Every other request fails: no row of failures is ever long, and yet the server is ill."""

    async def half(visit: Visit) -> None:
        await (_down(visit) if visit.number % 2 else cell.good(visit))

    cell.server.script = half
    for _ in range(30):
        result = await cell.call()
        if isinstance(result.error, CircuitOpenError):
            break
    else:
        raise AssertionError(f"still closed after {len(cell.server.seen)} requests")
    assert len(cell.server.seen) <= 2 * _LEAST
    cell.healthy = False


async def _recovery(cell: Cell) -> None:
    """Two probes at a time, then closed; a failure from before that changes nothing."""
    limits = replace(cell.row.limits, first_output=1.9)
    client = await cell.make(
        policies=scaled.policies(retry=None, breaker=scaled.breaker(open_for=0.1)),
        limits={cell.row.name: limits},
    )
    probing, closed = threading.Event(), threading.Event()
    early = await _held_until(cell, client, probing)
    late = await _held_until(cell, client, closed)
    cell.server.script = _down
    while not isinstance((await cell.call(client)).error, CircuitOpenError):
        assert len(cell.results) < 20, "it does not open"

    now = most = 0

    async def probed(visit: Visit) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        probing.set()  # a failure from before the outage, in the middle of the probes
        await asyncio.sleep(0.02)
        await cell.good(visit)
        now -= 1

    cell.server.script = probed
    before = len(cell.server.seen)
    tries = 0
    while len(cell.server.seen) < before + 2:
        await cell.together(5, client)
        await asyncio.sleep(0.01)
        tries += 1
        assert tries < 60, "no probe was let through"
    assert most <= 2, f"{most} probes at a time"
    expect(cell, await cell.call(client), OK)
    closed.set()
    await asyncio.gather(early, late)
    for _ in range(3):
        expect(cell, await cell.call(client), OK)
    if cell.subject.typed:
        states = [each.state for each in cell.events if isinstance(each, events.BreakerChanged)]
        assert states == ["open", "half_open", "closed"], f"what came late counted: {states}"


async def _ill_for_long(cell: Cell) -> None:
    """Probes that hang give their places up in time; each that fails doubles the period."""
    limits = {cell.row.name: replace(cell.row.limits, first_output=1.9)}
    settings = {"open_for": 0.03, "probe_limit": 0.1}
    client = await _opened(cell, limits, settings)
    cell.server.script = _hangs
    before, hung = len(cell.server.seen), []
    while len(cell.server.seen) < before + 2:
        hung.append(asyncio.create_task(cell.call(client)))
        await asyncio.sleep(0.01)
    since = time.monotonic()
    cell.server.script = cell.good
    while not (await cell.call(client)).ok:
        assert time.monotonic() - since < 1.0, "probes that hang keep their places"
        await asyncio.sleep(0.005)
    for task in hung:
        task.cancel()
    await asyncio.wait(hung)
    client = await _opened(cell, limits, settings)
    before, until = len(cell.server.seen), time.monotonic() + 0.45
    while time.monotonic() < until:
        expect(cell, await cell.call(client), fails(VoicekitError))
        await asyncio.sleep(0.005)
    probes = len(cell.server.seen) - before
    assert 1 <= probes <= _PROBES, f"{probes} probes of a server that stays down"


async def _opened(cell: Cell, limits: Any, settings: Any) -> Any:
    """A client whose circuit is open."""
    client = await cell.make(
        policies=scaled.policies(retry=None, breaker=scaled.breaker(**settings)), limits=limits
    )
    cell.server.script = _down
    for _ in range(_LEAST + 1):
        result = await cell.call(client)
        if isinstance(result.error, CircuitOpenError):
            return client
    raise AssertionError("it does not open")


async def _hangs(visit: Visit) -> None:
    await visit.read()
    await visit.hang()


async def _held_until(cell: Cell, client: Any, over: threading.Event) -> asyncio.Task[Any]:
    """A call under way, which fails when ``over`` is set."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def late(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(held.set)
        while not over.is_set():
            await asyncio.sleep(0.002)
        await _down(visit)

    cell.server.script = late
    call = asyncio.create_task(cell.call(client))
    await held.wait()
    return call


async def _brown_out(cell: Cell) -> None:
    """Every answer is five times as late as usual, and none fails."""
    slow_after = (cell.row.limits.first_output or 0.0) / 2

    async def slow(visit: Visit) -> None:
        await asyncio.sleep(slow_after * 1.25)
        await cell.good(visit)

    cell.server.script = slow
    client = await cell.client()
    results = []
    for _ in range(3):
        results += await cell.together(6)
    shed = [r for r in results if isinstance(r.error, CircuitOpenError)]
    assert shed, "callers pile up on a server that is slow"
    assert cell.waiting(client) == 0
    cell.healthy = False


def _left(row: Row) -> str:
    if row.outlives:
        return "what nobody waits for goes on, to be undone: column 48a"
    if row.uploads:
        return "probes that hang are begun until two are there, each with its upload: see 24"
    return http(row)


def _timed(row: Row) -> str:
    if row.uploads:
        return "how late the answer to an upload is depends on its length: slow is not measured"
    return http(row)


COLUMNS = (
    Fault(number="19", title="two of a hundred answers are late", run=_tail, applies=http),
    Fault(number="22", title="everything fails", run=_outage, applies=http),
    Fault(number="23", title="every other request fails", run=_half_fail, applies=http),
    Fault(number="24", title="recovery", run=_recovery, applies=http, racy=True),
    Fault(number="24b", title="ill for long", run=_ill_for_long, applies=_left),
    Fault(number="25", title="brown-out", run=_brown_out, applies=_timed),
)
