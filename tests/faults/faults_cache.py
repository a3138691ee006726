"""Columns 44 to 46: what is asked for again and again, and is kept."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from operations import Row

from faults import LIVE, OK, Fault, expect, fails
from voicekit.cache import MemoryStorage
from voicekit.errors import InvalidRequestError, StreamInterruptedError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_CALLERS = 200
_ENTRIES = 20_000


def _kept(row: Row) -> str:
    return LIVE if row.cached else "no cache keeps what it gives"


def _kept_audio(row: Row) -> str:
    if row.cached and not row.s:
        return "it comes whole or not at all"
    return _kept(row)


def _no_redis(_row: Row) -> str:
    return "there is no storage on a network yet: Redis comes with an issue of its own"


async def _around(cell: Cell, stack: AsyncExitStack, **options: Any) -> Any:
    """The cell's own client with a cache around it."""
    client = await cell.client()
    return await stack.enter_async_context(cell.subject.cached(cell.row, client, **options))


async def _stampede(cell: Cell) -> None:
    """Two hundred ask at once for what nobody has asked for before: one request."""
    async with AsyncExitStack() as stack:
        cache = await _around(cell, stack)
        cell.server.script = _slowly(cell)
        results = await cell.together(_CALLERS, cache)
        for result in results:
            expect(cell, result, OK)
            assert result.received == cell.reference.received
        assert len(cell.server.seen) == 1, f"{len(cell.server.seen)} loads"
        expect(cell, await cell.call(cache), OK)
        assert len(cell.server.seen) == 1, "it was not kept"
    cell.results[:] = cell.results[:1]


def _slowly(cell: Cell) -> Any:
    async def slowly(visit: Visit) -> None:
        await visit.read()
        await asyncio.sleep(0.1)
        await cell.good(visit)

    return slowly


async def _stampede_fails(cell: Cell) -> None:
    """The one request fails: everybody is told, nothing is kept."""

    async def refuse(visit: Visit) -> None:
        await visit.read()
        await asyncio.sleep(0.1)
        await visit.say("400 No", b'{"error": {"message": "no"}}')

    async with AsyncExitStack() as stack:
        cache = await _around(cell, stack)
        cell.server.script = refuse
        for result in await cell.together(_CALLERS, cache):
            expect(cell, result, fails(InvalidRequestError))
        assert len(cell.server.seen) == 1, f"{len(cell.server.seen)} loads"
        failed = cell.results[0]
        cell.server.script = cell.good
        well = await cell.call(cache)
        expect(cell, well, OK)
        assert len(cell.server.seen) == 2, "the failure was kept"
    cell.results[:] = [failed, well]


async def _leader_leaves(cell: Cell) -> None:
    """Who asked first is cancelled, before the answer and in its middle; the others get it."""
    loop = asyncio.get_running_loop()
    loads = []
    for share in (0.0, 0.5):
        begun, go = asyncio.Event(), asyncio.Event()

        async def halting(
            visit: Visit, share: float = share, begun: Any = begun, go: Any = go
        ) -> None:
            await visit.read()
            reply = visit.reply
            half = int(len(reply.body) * share)
            if half:
                await visit.write(
                    reply.head(reply.framed()) + reply.wire(reply.body[:half], end=False)
                )
            loop.call_soon_threadsafe(begun.set)
            while not go.is_set():
                await asyncio.sleep(0.002)
            head = b"" if half else reply.head(reply.framed())
            await visit.write(head + reply.wire(reply.body[half:]))
            visit.seen.answered = True

        async with AsyncExitStack() as stack:
            cache = await _around(cell, stack)
            cell.server.script = halting
            before = len(cell.server.seen)
            leader = asyncio.create_task(cell.call(cache))
            await begun.wait()
            await cell.jitter()
            followers = [asyncio.create_task(cell.call(cache)) for _ in range(20)]
            cell.most = max(cell.most, 20)
            await cell.jitter()
            await asyncio.sleep(0)
            leader.cancel()
            await asyncio.wait([leader])
            assert leader.result().cancelled or leader.result().ok
            go.set()
            for task in followers:
                expect(cell, await task, OK)
            loads.append(followers[0].result())
            assert len(cell.server.seen) == before + 1, "another load"
            expect(cell, await cell.call(cache), OK)
            assert len(cell.server.seen) == before + 1, "it was not kept"
    cell.results[:] = loads


async def _cut(cell: Cell) -> None:
    """What broke off is not kept, and not played to whoever asks next."""

    async def cut(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(f"Content-Length: {len(reply.body)}"))
        await visit.write(reply.body[: len(reply.body) // 2])
        await asyncio.sleep(0.02)
        visit.writer.close()

    async with AsyncExitStack() as stack:
        cache = await _around(cell, stack)
        cell.server.script = cell.first(cut)
        torn = await cell.call(cache)
        expect(cell, torn, fails(StreamInterruptedError, outcome="partial"))
        well = await cell.call(cache)
        expect(cell, well, OK)
        assert len(cell.server.seen) == 2, "a part was kept"
        expect(cell, await cell.call(cache), OK)
        assert len(cell.server.seen) == 2, "the whole was not kept"
    cell.results[:] = [torn, well]


async def _expiry(cell: Cell) -> None:
    """A full cache is over all at once; the next callers do not pay for that."""
    now = [1000.0]
    storage = MemoryStorage(most=256 << 20, clock=lambda: now[0])
    with cell.canary.forgiving():
        for number in range(_ENTRIES):
            await storage.put(f"speech:{number:032x}", b"x" * 64, ttl=60.0)
        gc.collect()
        gc.freeze()  # a collection that looks at all of them is not the cache's work
    await asyncio.sleep(0.005)
    assert storage.stats().entries == _ENTRIES
    async with AsyncExitStack() as stack:
        cache = await _around(cell, stack, storage=storage)
        now[0] += 120.0
        at = time.thread_time()
        assert await storage.get("speech:" + "0" * 32) is None, "it is over"
        worked = time.thread_time() - at
        assert worked <= 0.005, f"a look took {worked * 1e3:.1f} ms of work"
        for _ in range(20):
            expect(cell, await cell.call(cache), OK)
        assert len(cell.server.seen) == 1
        assert (storage.stats().entries or 0) < _ENTRIES, "nothing is freed"
    with cell.canary.forgiving():
        await storage.aclose()
    await asyncio.sleep(0.005)
    cell.results[:] = cell.results[:1]


COLUMNS: tuple[Fault, ...] = (
    Fault(number="44", title="Redis is down", run=_stampede, applies=_no_redis),
    Fault(number="45a", title="stampede", run=_stampede, applies=_kept, racy=True),
    Fault(
        number="45b", title="stampede, the load fails", run=_stampede_fails, applies=_kept,
        racy=True,
    ),
    Fault(
        number="45c", title="stampede, the leader leaves", run=_leader_leaves, applies=_kept,
        racy=True,
    ),
    Fault(number="45d", title="what is cut is not kept", run=_cut, applies=_kept_audio),
    Fault(number="46", title="a full cache expires", run=_expiry, applies=_kept),
)  # fmt: skip
