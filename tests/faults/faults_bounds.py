"""Columns beside 19, 21, 22, 30 and 33: how much we ask of others at most, and take from them."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import scaled
from operations import Row

from faults import LIVE, OK, Fault, bodies, expect, fails, http
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_CALLS = 40
_BUDGET = 10 + 0.1 * _CALLS
"""Requests more than calls that a budget pays for."""
_PLACES = 2
_CALLERS = 12
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
    Fault(number="22b", title="everything fails, no breaker", run=_unbroken, applies=http),
    Fault(number="30b", title="useful output without end", run=_endless, applies=_streams),
    Fault(number="33b", title="a body longer than any answer", run=_too_long, applies=_bounded),
)
