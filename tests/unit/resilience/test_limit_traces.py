"""Whatever happens to its callers, the concurrency limit loses no place."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from limited import OPERATION, busy, make, refusal, turns, workers

from voicekit import events
from voicekit.errors import OverloadedError, UnavailableError
from voicekit.operation import Call
from voicekit.resilience.limit import Limit
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    """The one behind it moves up; the wait counts for the cancelled call."""
    limit = make(1)
    first, second, third = await workers(limit, 3)
    await asyncio.sleep(1)
    await second.cancel()
    assert busy(limit) == (1, 1)
    assert second.call.queue_s == pytest.approx(1.0)
    await first.go()
    assert third.started
    await third.go()
    assert busy(limit) == (0, 0)


@pytest.mark.parametrize("order", ["granted first", "cancelled first"])
async def test_a_place_on_its_way_to_a_cancelled_caller_is_not_lost(order: str) -> None:
    """Grant and cancellation in one turn of the loop, either way round."""
    limit = make(1)
    first, second, third = await workers(limit, 3)
    await first.answer()
    if order == "granted first":
        first.call.end()
        second.task.cancel()
    else:
        second.task.cancel()
        first.call.end()
    with pytest.raises(asyncio.CancelledError):
        await second.task
    await turns()
    assert not second.started
    assert third.started
    await third.go()
    assert busy(limit) == (0, 0)


async def test_a_wait_that_ends_in_the_turn_of_a_cancellation() -> None:
    """Given up and cancelled at once: cancelled, and nothing is given back that was not given."""
    limit = make(1, max_wait=1.0)
    first, second = await workers(limit, 2)
    asyncio.get_running_loop().call_later(1.0, second.task.cancel)
    with pytest.raises((asyncio.CancelledError, OverloadedError)):
        await second.task
    assert busy(limit) == (1, 0)
    await first.go()
    assert busy(limit) == (0, 0)


async def test_a_cancelled_step_gives_its_place_back() -> None:
    """At once, not when somebody collects the call."""
    limit = make(1)
    first, second = await workers(limit, 2)
    await first.cancel()
    assert second.started
    await second.go()


async def test_a_place_comes_back_from_any_thread() -> None:
    """A forgotten stream is ended by the collector, wherever that runs; who waits hears of it."""
    threads: set[int] = set()
    loop = asyncio.get_running_loop()

    def clock() -> float:
        threads.add(threading.get_ident())
        return loop.time()

    limit = Limit(1, clock=clock)
    first, second = await workers(limit, 2)
    await first.answer()
    await loop.run_in_executor(None, first.call.end)
    await turns()
    assert second.started
    await second.answer()
    thread = threading.Thread(target=second.call.end)
    thread.start()
    thread.join()
    assert busy(limit) == (0, 0)
    (third,) = await workers(limit, 1)
    assert third.started
    await third.go()
    assert threads == {threading.get_ident()}, "the work is done in the loop's thread alone"


async def test_a_place_from_another_thread_needs_no_queue() -> None:
    """It is there for the next call, though nobody waited when it came."""
    limit = make(1, queue=0)
    (first,) = await workers(limit, 1)
    await first.answer()
    thread = threading.Thread(target=first.call.end)
    thread.start()
    thread.join()
    (second,) = await workers(limit, 1)
    assert second.started
    await second.go()


class _Litter:
    """Ends a call when the collector finds it."""

    def __init__(self, free: Callable[[], None]) -> None:
        self.me, self.free = self, free

    def __del__(self) -> None:
        self.free()


class _Collecting(OrderedDict[Any, Any]):
    """A queue in whose most tender moment the collector runs."""

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        gc.collect()
        return super().popitem(last=last)


async def test_a_collection_in_the_middle_of_its_work() -> None:
    """A place that comes back while others are handed out is handed out too, once."""
    limit = make(2)
    limit._state.waiting = _Collecting()
    made = await workers(limit, 8)
    await made[0].answer()
    await made[1].answer()
    gc.disable()
    try:
        _Litter(made[1].call.end)
        made[0].call.end()
    finally:
        gc.enable()
    assert busy(limit) == (2, 4)
    await turns()
    assert [w.started for w in made] == [True] * 4 + [False] * 4
    for worker in made[2:]:
        await worker.go()
    assert busy(limit) == (0, 0)


async def test_no_timer_is_left_behind() -> None:
    """Neither of a wait nor of a pause, whichever way the wait ended."""
    loop = asyncio.get_running_loop()

    def timers() -> int:
        return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]

    before = timers()
    limit = make(1)
    first, second, third = await workers(limit, 3)
    await first.fail(refusal("tokens", retry_after=1.0))
    assert timers() == before + 3
    await second.cancel()
    await third.cancel()
    assert timers() == before


async def test_an_observer_that_fails_costs_no_place() -> None:
    """A call's own observer is its own affair, the places are everybody's."""

    class Broken:
        def on_event(self, event: events.Event, /) -> None:
            if isinstance(event, events.Queued | events.Waited | events.LimitChanged):
                raise ZeroDivisionError

    limit = make(1)
    first, second = await workers(limit, 2, Broken())
    with pytest.raises(ZeroDivisionError):
        await second.task
    await first.fail(UnavailableError())
    assert busy(limit) == (0, 0)
    (told,) = await workers(limit, 1, Broken())
    told.call.capacity = (1, 1)
    await told.fail(refusal())
    assert busy(limit) == (0, 0)


@pytest.mark.parametrize("pause", [0.0, 3.0])
async def test_a_loop_that_is_gone_holds_nobody_up(pause: float) -> None:
    """Its waiters will never wake; the ones of the next loop get the places."""
    limit = make(1)
    gone = asyncio.new_event_loop()

    async def hold(_: Call) -> None:
        if pause:
            raise refusal("tokens", retry_after=pause)

    async def leave_behind() -> tuple[Call, asyncio.Task[None]]:
        call = Call(OPERATION)
        await asyncio.gather(limit(call, hold), return_exceptions=True)
        waiter = asyncio.ensure_future(limit(Call(OPERATION), hold))
        await asyncio.sleep(0)
        return call, waiter

    left: list[tuple[Call, asyncio.Task[None]]] = []
    thread = threading.Thread(target=lambda: left.append(gone.run_until_complete(leave_behind())))
    thread.start()
    thread.join()
    gone.close()
    ((call, waiter),) = left
    waiter._log_destroy_pending = False  # type: ignore[attr-defined]
    assert busy(limit) == (0 if pause else 1, 1)
    call.end()
    before = asyncio.get_running_loop().time()
    assert await limit.run(lambda: asyncio.sleep(0, "here")) == "here"
    assert asyncio.get_running_loop().time() - before == pytest.approx(pause, abs=0.01)
    assert busy(limit) == (0, 0)
    waiter.get_coro().close()  # type: ignore[union-attr]
    assert busy(limit) == (0, 0)
