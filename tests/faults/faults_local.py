"""Columns 41 to 43 and 47: what happens on our own side."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from operations import Row
from world import patched

from faults import OK, Fault, expect, fails
from voicekit.errors import ClosedError, ConnectError, VoicekitError, WrongLoopError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_LEAVE = 12
"""More than the calls which a breaker judges by."""


@types.coroutine
def _cancelled_at(at: int, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """``work``, whose task is cancelled when it waits for the ``at``-th time."""
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    waits = 0
    while True:
        try:
            future = step()
        except StopIteration as end:
            return end.value, waits >= at
        waits += 1
        if waits == at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            sent = yield future
            step = lambda sent=sent: work.send(sent)  # noqa: E731
        except BaseException as error:
            step = lambda error=error: work.throw(error)  # noqa: E731


async def _cancelled_everywhere(cell: Cell) -> None:
    """At each wait of a call in turn; on a cold client, and on a warm one."""
    for warm in (False, True):
        client = await cell.make() if not warm else await cell.client()
        at = 0
        struck = True
        while struck:
            at += 1

            async def once(at: int = at, client: Any = client) -> Any:
                return await _cancelled_at(at, cell.call(client))

            task = asyncio.create_task(once())
            begun = time.monotonic()
            await asyncio.wait([task])
            result, struck = task.result()
            if struck:
                assert result.cancelled, f"cancelled at wait {at}, it gave {result.error!r}"
                assert time.monotonic() - begun < 2.0
            else:
                expect(cell, result, OK)
            assert at < 400
        await _many_leave(cell, client)
        if not warm:
            expect(cell, await cell.call(client), OK)


async def _many_leave(cell: Cell, client: Any) -> None:
    """One caller after the other leaves at the first wait; the next finds all as it was."""
    for _ in range(_LEAVE):
        task = asyncio.create_task(_left(cell, client))
        await asyncio.wait([task])
        result = task.result()
        assert result.cancelled, f"cancelled at its first wait, it gave {result.error!r}"
    expect(cell, await cell.call(client), OK)


async def _left(cell: Cell, client: Any) -> Any:
    result, _ = await _cancelled_at(1, cell.call(client))
    return result


async def _loop_blocked(cell: Cell) -> None:
    saw = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def soon(visit: Visit) -> None:
        loop.call_soon_threadsafe(saw.set)
        await asyncio.sleep(0.02)
        await cell.good(visit)

    cell.server.script = soon
    call = asyncio.create_task(cell.call())
    await saw.wait()
    with cell.canary.forgiving():
        time.sleep(0.2)
    expect(cell, await call, OK)


async def _executor_full(cell: Cell) -> None:
    """Somebody blocks every thread of the default executor."""
    gate = threading.Event()
    loop = asyncio.get_running_loop()
    blocked = [loop.run_in_executor(None, gate.wait, 3.0) for _ in range(40)]
    try:
        expect(cell, await cell.call(), OK)
    finally:
        gate.set()
        await asyncio.gather(*blocked)
        await loop.shutdown_default_executor()


async def _clock_steps(cell: Cell) -> None:
    """The wall clock is an hour ahead, then an hour behind, and steps in the middle of a call."""
    real = time.time
    for step in (3600.0, -3600.0):
        expect(cell, await cell.call(), OK)
        with patched(time, time=lambda step=step: real() + step):
            expect(cell, await cell.call(), OK)
            cell.drop()
            await cell.jitter()
            call = asyncio.create_task(cell.call())
            await asyncio.sleep(0)
        expect(cell, await call, OK)


async def _no_descriptors(cell: Cell) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await cell.client()
    if cell.tls:
        expect(cell, await cell.call(), OK)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        while True:
            fillers.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        result = await cell.call()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in fillers:
            os.close(each)
    expect(cell, result, fails(ConnectError, outcome="not_applied"))


async def _second_loop(cell: Cell) -> None:
    """A client belongs to the loop that opened it, and says so."""
    expect(cell, await cell.call(), OK)
    client, found = await cell.client(), []

    def elsewhere() -> None:
        async def ask() -> None:
            found.append(await cell.call(client, counts=False))

        asyncio.run(ask())

    with cell.canary.forgiving():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert isinstance(found[0].error, WrongLoopError), found[0].error
    assert found[0].error.outcome == "not_applied"
    # That call has ended as well; it is none of those that the invariants count.
    cell.results.append(found[0])


async def _closed_in_flight(cell: Cell) -> None:
    client = await cell.make()
    saw = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hang(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(saw.set)
        await visit.hang()

    cell.server.script = hang
    call = asyncio.create_task(cell.call(client))
    await saw.wait()
    begun = time.monotonic()
    await client.aclose()
    closed = time.monotonic() - begun
    result = await call
    took = time.monotonic() - begun
    assert took < 1.0 + cell.canary.tolerance, f"closed after {closed:.3f}, told after {took:.3f} s"
    expect(cell, result, fails(VoicekitError))
    after = await cell.call(client, counts=False)  # which is no call any more
    expect(cell, after, fails(ClosedError, outcome="not_applied"))


async def _open_and_close(cell: Cell) -> None:
    for _ in range(30):
        client = cell.subject.make(
            cell.row, url=cell.url, ca=cell.world.ca if cell.tls else None, observer=cell.recorder
        )
        async with client:
            expect(cell, await cell.call(client), OK)


def _no_fork(_row: Row) -> str:
    return "the server of the grid is a thread, which a fork would not take along"


COLUMNS = (
    Fault(number="41", title="cancelled at every wait", run=_cancelled_everywhere, racy=True),
    Fault(number="42a", title="loop blocked for 200 ms", run=_loop_blocked),
    Fault(number="42b", title="default executor full", run=_executor_full),
    Fault(number="43", title="wall clock steps by an hour", run=_clock_steps),
    Fault(number="47a", title="no descriptors left", run=_no_descriptors),
    Fault(number="47b", title="another event loop", run=_second_loop),
    Fault(number="47c", title="closed with work in flight", run=_closed_in_flight),
    Fault(number="47d", title="opened and closed, again and again", run=_open_and_close),
    Fault(number="47e", title="fork", run=_second_loop, applies=_no_fork),
)
