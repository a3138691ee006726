"""Columns beside 19, 21, 22, 30 and 33: how much we ask of others at most, and take from them."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import scaled
from operations import Row

from faults import LIVE, OK, Expect, Fault, bodies, expect, fails, http, limits
from voicekit import events
from voicekit.errors import OverloadedError, RateLimitError, VoicekitError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Script, Visit

_CALLS = 40
_BUDGET = 10 + 0.1 * _CALLS
"""Requests more than calls that a budget pays for."""
_PLACES = 2
_CALLERS = 12
_QUEUE = 3
_LEAVE = 15
"""More than the repeats that a budget pays for."""
_TOTAL = 0.6
_MOST = 60 << 20
"""Bytes of memory: the bound of an answer for each of three attempts, and something beside."""
_FLOOD = 150
"""MB of it."""


async def _all_late(cell: Cell) -> None:
    """Every answer is late, and hedging helps nobody: it stops by itself."""
    client = await cell.make(policies=scaled.policies(retry=None, hedge=scaled.hedge(0.004)))

    async def late(visit: Visit) -> None:
        await visit.read()
        await asyncio.sleep(0.015)
        await cell.good(visit)

    cell.server.script = late
    for _ in range(_CALLS):
        expect(cell, await cell.call(client), OK)
    extra = len(cell.server.seen) - _CALLS
    assert extra <= _BUDGET, f"{extra} requests more, the budget pays for {_BUDGET:g}"


async def _so_many_at_a_time(cell: Cell) -> None:
    """The provider takes two at a time; so many are sent, and the others wait."""
    client = await cell.make(policies=scaled.policies(limit=scaled.limit(_PLACES)))
    now = most = 0

    async def counted(visit: Visit) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await visit.read()
        await asyncio.sleep(0.01)
        now -= 1  # before the answer, which may call for the next
        await cell.good(visit)

    cell.server.script = counted
    for _ in range(2):  # each place comes back
        for result in await cell.together(_CALLERS, client):
            expect(cell, result, OK)
    assert most <= _PLACES, f"{most} at a time"
    client = await cell.make(policies=scaled.policies(limit=scaled.limit(_PLACES, queue=_QUEUE)))
    refused = [r for r in await cell.together(_CALLERS, client) if not r.ok]
    assert len(refused) == _CALLERS - _PLACES - _QUEUE, f"{len(refused)} were turned away"
    for result in refused:
        expect(cell, result, fails(OverloadedError, outcome="not_applied"))
        assert result.elapsed < 0.05 + cell.canary.tolerance, f"took {result.elapsed:.3f} s"


def _slow_down(header: str = "") -> Script:
    async def limited(visit: Visit) -> None:
        await visit.read()
        await visit.say("429 Slow Down", b'{"error": {"message": "slow"}}', headers=header)

    return limited


async def _fewer_than_asked(cell: Cell) -> None:
    """The provider asks for a pause: nobody comes before. It takes two at a time: we learn it."""
    alone = scaled.policies(retry=None, breaker=None)
    client = await cell.make(policies=alone)
    cell.server.script = cell.first(_slow_down("Retry-After: 0.2\r\n"))
    expect(cell, await cell.call(client), fails(RateLimitError, outcome="not_applied"))
    for result in await cell.together(3, client):
        expect(cell, result, OK)
    first, *later = cell.server.seen
    waited = min(seen.at for seen in later) - first.at
    assert waited > 0.19, f"the next came after {waited:.3f} s of a pause of 0.2 s"
    now = most = 0

    async def two(visit: Visit) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        script = cell.good if now <= _PLACES else _slow_down()
        await visit.read()
        await asyncio.sleep(0.01)
        now -= 1
        await script(visit)

    cell.server.script = two
    client = await cell.make(policies=scaled.policies(retry=None, breaker=None))
    for _ in range(4):
        most = 0
        for result in await cell.together(_CALLERS, client):
            expect(cell, result, Expect((RateLimitError,), "not_applied", or_ok=True))
    assert most <= _CALLERS // 2, f"{most} at a time, of whom two are taken"


async def _left_in_back_off(cell: Cell) -> None:
    """Who leaves before the repeat takes nothing from what pays for the others' repeats."""
    client = await cell.make(
        policies=scaled.policies(retry=scaled.retry(base=0.2), breaker=None, limit=None)
    )
    cell.server.script = _slow_down()
    for left in range(1, _LEAVE + 1):
        call = asyncio.create_task(cell.call(client))
        while len(cell.recorder.of(events.RetryScheduled)) < left and not call.done():
            await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.wait([call])
    cell.server.script = cell.first(_slow_down())
    expect(cell, await cell.call(client), OK)


async def _unbroken(cell: Cell) -> None:
    """All fail, and no breaker stops us: repeats are paid for, and then there are none."""
    client = await cell.make(policies=scaled.policies(breaker=None))

    async def down(visit: Visit) -> None:
        await visit.read()
        await visit.say("503 Unavailable", b'{"error": {"message": "down"}}')

    cell.server.script = down
    for _ in range(_CALLS):
        expect(cell, await cell.call(client), fails(VoicekitError))
    extra = len(cell.server.seen) - _CALLS
    assert extra <= _BUDGET, f"{extra} requests more, the budget pays for {_BUDGET:g}"


async def _endless(cell: Cell) -> None:
    """Useful output without end, each piece in time."""
    if cell.row.audio:
        cell.lengthened(20)
    limits = {cell.row.name: replace(cell.row.limits, total=_TOTAL)}
    client = await cell.make(limits=limits)

    async def endless(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(f"Content-Length: {len(reply.body) + (1 << 30)}"))
        step = max(1, len(reply.body) // 100)
        at = 0
        while at < len(reply.body) - step:
            await visit.write(reply.body[at : at + step])
            at += step
            await asyncio.sleep(0.02)
        await visit.hang()

    cell.server.script = endless
    result = await cell.call(client)
    expect(cell, result, fails(VoicekitError, outcome="partial"))
    assert result.received
    assert result.elapsed <= _TOTAL + cell.canary.tolerance, f"took {result.elapsed:.3f} s"


async def _too_long(cell: Cell) -> None:
    """More than any answer can be, as fast as it can come."""
    if cell.row.audio:
        with cell.canary.forgiving():
            cell.lengthened(60)
        cell.healthy = False  # that is the good answer now, and too long as well

    async def floods(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(f"Content-Length: {len(reply.body) + (_FLOOD << 20)}"))
        await visit.write(reply.body)
        for _ in range(_FLOOD):
            await visit.write(b" " * (1 << 20))
        visit.seen.answered = True

    cell.server.script = cell.first(floods, 9)
    tracemalloc.start()
    try:
        result = await cell.call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expect(cell, result, fails(VoicekitError))
    assert peak < _MOST + len(cell.reference.received), f"{peak >> 20} MB"


def _streams(row: Row) -> str:
    if row.socket:
        return http(row)
    if row.streams and row.follows:
        return "a length of more than max_bytes is refused at once: column 33b"
    return LIVE if row.streams else "what comes whole is bounded by its first output: column 18"


def _waits(row: Row) -> str:
    if row.outlives or row.turns:
        return "what nobody waits for goes on: columns 48a and 48d"
    return limits(row)


def _bounded(row: Row) -> str:
    if row.socket or row.bodiless:
        return bodies(row)
    if row.streams and not row.audio:
        return "text is handed out as it comes, and bounded by its total limit: column 30b"
    if row.provider == "elevenlabs" and row.uploads:
        return "each word of ten hours, with its times: a quarter of a gigabyte is no fault"
    return LIVE


COLUMNS = (
    Fault(number="19b", title="every answer is late", run=_all_late, applies=http),
    Fault(number="21b", title="more callers than places", run=_so_many_at_a_time, applies=http),
    Fault(number="21c", title="fewer places than callers", run=_fewer_than_asked, applies=limits),
    Fault(number="41b", title="leaving in a back-off", run=_left_in_back_off, applies=_waits),
    Fault(number="22b", title="everything fails, no breaker", run=_unbroken, applies=http),
    Fault(number="30b", title="useful output without end", run=_endless, applies=_streams),
    Fault(number="33b", title="a body longer than any answer", run=_too_long, applies=_bounded),
)
