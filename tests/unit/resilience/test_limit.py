"""The concurrency limit around calls: places, the queue, refusals, what is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

from voicekit import events
from voicekit.deadlines import deadline
from voicekit.errors import (
    InvalidArgumentError,
    OverloadedError,
    RateLimitError,
    UnavailableError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.limit import Limit, LimitStats
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio

OPERATION = Operation(
    provider="testing", name="test", kind=OperationClass.COMPUTE, limits=Limits(connect=None)
)


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.fixture
def seen() -> RecordingObserver:
    return RecordingObserver()


def make(most: int | None = None, **settings: Any) -> Limit:
    return Limit(most, clock=asyncio.get_running_loop().time, **settings)


def busy(limit: Limit) -> tuple[int, int]:
    stats = limit.stats()
    return stats.in_flight, stats.queued


class Worker:
    """One call through a limit; its step lasts until ``go`` or ``fail``."""

    def __init__(self, limit: Limit, observer: events.Observer | None = None) -> None:
        self.call = Call(OPERATION, observer=observer)
        self.started = False
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(Pipeline((limit,)).open(self.call, self._step))

    async def _step(self, call: Call) -> Any:
        self.started = True
        return await self._end

    async def answer(self, capacity: tuple[int, int] | None = None) -> None:
        """The call is open: it goes on, as a stream does."""
        self.call.capacity = capacity
        self._end.set_result("opened")
        assert await self.task == "opened"

    async def go(self, capacity: tuple[int, int] | None = None) -> None:
        await self.answer(capacity)
        self.call.end()
        await turns()

    async def fail(self, error: Exception) -> None:
        self._end.set_exception(error)
        with pytest.raises(type(error)):
            await self.task
        await turns()

    async def cancel(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
        await turns()


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def workers(
    limit: Limit, count: int, observer: events.Observer | None = None
) -> list[Worker]:
    made = [Worker(limit, observer) for _ in range(count)]
    await turns()
    return made


def refusal(code: str | None = "concurrent_limit_exceeded", **facts: Any) -> RateLimitError:
    return RateLimitError("status 429", status=429, code=code, **facts)


async def test_no_more_than_the_limit_are_under_way() -> None:
    """The others wait, and begin in the order in which they came."""
    limit = make(2)
    made = await workers(limit, 4)
    assert [w.started for w in made] == [True, True, False, False]
    assert busy(limit) == (2, 2)
    await made[1].go()
    assert [w.started for w in made] == [True, True, True, False]
    await made[0].fail(UnavailableError("status 503"))
    assert made[3].started
    await made[2].go()
    await made[3].go()
    assert busy(limit) == (0, 0)


async def test_a_place_is_held_until_the_call_ends() -> None:
    """An open stream occupies the provider; its opening is not its end."""
    limit = make(1)
    first, second = await workers(limit, 2)
    await first.answer()
    await turns()
    assert not second.started
    first.call.end()
    first.call.end()
    await turns()
    assert second.started
    await second.cancel()
    assert busy(limit) == (0, 0)


async def test_alone_around_any_function() -> None:
    """``run`` holds the place as long as the function runs, and hands its errors through."""
    limit = make(3)
    running = most = 0

    async def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return running

    await asyncio.gather(*(limit.run(work) for _ in range(10)))
    assert most == 3

    async def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await limit.run(broken)
    assert busy(limit) == (0, 0)


async def test_a_full_queue_turns_away_at_once() -> None:
    """Without waiting, saying how full it is and when to come again."""
    limit = make(1, queue=1)
    first, _, third = made = await workers(limit, 3)
    assert third.task.done()
    with pytest.raises(OverloadedError, match=r"1 calls wait already \(at most 1 at a time\)") as e:
        await third.task
    assert e.value.retry_after == 5.0  # nothing is known yet
    assert (e.value.provider, e.value.outcome, e.value.attempts) == ("testing", "not_applied", 0)
    await asyncio.sleep(2)
    await first.go()
    (fourth,) = await workers(limit, 1)
    (fifth,) = await workers(limit, 1)
    with pytest.raises(OverloadedError) as e:
        await fifth.task
    assert e.value.retry_after == pytest.approx(4.0)  # two are before it, each for 2 s
    assert limit.stats().rejected == 2
    await made[1].go()
    await fourth.go()


async def test_nobody_waits_longer_than_allowed() -> None:
    """Then the call is turned away; the wait is counted, and the queue forgets it."""
    limit = make(1, max_wait=3.0)
    first, second = await workers(limit, 2)
    before = asyncio.get_running_loop().time()
    with pytest.raises(OverloadedError, match=r"no place came free within 3 s \(") as e:
        await second.task
    assert asyncio.get_running_loop().time() - before == pytest.approx(3.0)
    assert e.value.timings is not None
    assert e.value.timings.queue == pytest.approx(3.0)
    assert busy(limit) == (1, 0)
    await first.go()
    assert limit.stats() == LimitStats(
        limit=1, in_flight=0, queued=0, rejected=1, known_maximum=1, waited_s=pytest.approx(3.0)
    )


async def test_nobody_waits_longer_than_its_deadline() -> None:
    """The smaller of the two; the error says which it was."""
    limit = make(1)
    (first,) = await workers(limit, 1)
    with deadline(0.5):
        (second,) = await workers(limit, 1)
    with pytest.raises(OverloadedError, match="all that the call had left"):
        await second.task
    with deadline(0.0):
        (third,) = await workers(limit, 1)
    with pytest.raises(OverloadedError, match="no place is free"):
        await third.task
    await first.go()


@pytest.mark.parametrize("settings", [{"queue": 0}, {"max_wait": 0}])
async def test_it_need_not_queue_at_all(settings: dict[str, Any]) -> None:
    """No queue, or no time to wait: turned away at once."""
    limit = make(1, **settings)
    first, second = await workers(limit, 2)
    assert second.task.done()
    with pytest.raises(OverloadedError):
        await second.task
    await first.go()


async def test_what_was_waited_is_told(seen: RecordingObserver) -> None:
    """Depth and seconds, on the call that waited; nothing on one that did not."""
    limit = make(1)
    first, second, third = await workers(limit, 3, seen)
    await asyncio.sleep(0.5)
    await first.go()
    await asyncio.sleep(0.25)
    await second.go()
    await third.go()
    assert [(e.call, e.depth) for e in seen.of(events.Queued)] == [
        (second.call.id, 1),
        (third.call.id, 2),
    ]
    assert [(e.call, e.seconds) for e in seen.of(events.Waited)] == [
        (second.call.id, pytest.approx(0.5)),
        (third.call.id, pytest.approx(0.75)),
    ]
    assert second.call.timings.queue == pytest.approx(0.5)
    assert first.call.timings.queue == 0.0
    assert limit.stats().waited_s == pytest.approx(1.25)


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


async def test_two_attempts_of_a_call_hold_two_places() -> None:
    """A hedge's loser frees its own; the winner's is held until the call ends."""
    limit = make(3)
    call = Call(OPERATION)
    twin = call.twin()
    won = asyncio.Event()

    async def step(attempt: Call) -> str:
        if attempt is call:
            await asyncio.sleep(3600)
        await won.wait()
        return "won"

    loser = asyncio.create_task(limit(call, step))
    winner = asyncio.create_task(limit(twin, step))
    await turns()
    assert busy(limit) == (2, 0)
    won.set()
    assert await winner == "won"
    call.adopt(twin)
    loser.cancel()
    await asyncio.gather(loser, return_exceptions=True)
    assert busy(limit) == (1, 0)
    call.end()
    assert busy(limit) == (0, 0)


async def test_both_attempts_of_a_call_may_be_answered() -> None:
    """In one turn of the loop; the call's end frees both places."""
    limit = make(3)
    call = Call(OPERATION)

    async def step(_: Call) -> None:
        await asyncio.sleep(1)

    await asyncio.gather(limit(call, step), limit(call.twin(), step))
    assert busy(limit) == (2, 0)
    call.end()
    assert busy(limit) == (0, 0)


async def test_a_sessions_next_connection_takes_no_second_place() -> None:
    """The one before is gone; waiting for its own place would be for ever."""
    limit = make(1)
    (session,) = await workers(limit, 1)
    await session.answer()

    async def dial_again(_: Call) -> str:
        return "again"

    assert await limit(session.call, dial_again) == "again"
    assert busy(limit) == (1, 0)
    session.call.end()
    assert busy(limit) == (0, 0)


async def test_a_call_that_has_ended_keeps_no_place() -> None:
    """An answer that comes too late has nobody to free its place later."""
    limit = make(1)
    (late,) = await workers(limit, 1)
    late.call.end()
    await late.answer()
    assert busy(limit) == (0, 0)


async def test_a_place_comes_back_from_any_thread() -> None:
    """A forgotten stream is ended by the collector, wherever that runs; who waits hears of it."""
    limit = make(1)
    first, second = await workers(limit, 2)
    await first.answer()
    loop = asyncio.get_running_loop()
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


async def test_a_refusal_lowers_the_limit_and_successes_raise_it(
    seen: RecordingObserver,
) -> None:
    """Once for all calls of that moment; each change is told with its cause."""
    limit = make()
    made = await workers(limit, 10, seen)
    for worker in made[:4]:
        await worker.fail(refusal())
    assert limit.stats().limit == 7
    for worker in made[4:]:
        await worker.go()
    for _ in range(7):
        batch = await workers(limit, 4, seen)
        for worker in batch:
            await worker.answer()
        for worker in batch:
            worker.call.end()
    changes = seen.of(events.LimitChanged)
    assert [(e.limit, e.previous, e.cause) for e in changes] == [
        (7, None, "refused"),
        (8, 7, "recovered"),
        (9, 8, "recovered"),
    ]
    assert changes[0].call == made[0].call.id


async def test_what_the_provider_tells_is_the_limit(seen: RecordingObserver) -> None:
    """From the first answer on; more than it, and who waits begins at once."""
    limit = make()
    (first,) = await workers(limit, 1, seen)
    await first.answer((1, 2))
    made = await workers(limit, 3)
    assert [w.started for w in made] == [True, False, False]
    await made[0].answer((2, 3))
    await turns()
    assert [w.started for w in made] == [True, True, False]
    first.call.end()
    made[0].call.end()
    await turns()
    await made[1].go((2, 3))
    await made[2].go((1, 3))
    assert limit.stats().known_maximum == 3
    assert [(e.limit, e.cause) for e in seen.of(events.LimitChanged)] == [(2, "told")]


async def test_a_refusal_per_minute_pauses_instead() -> None:
    """Fewer at a time would not help; nobody asks before the time that the provider named."""
    limit = make(5)
    first, running = await workers(limit, 2)
    await first.fail(refusal("rate_limit_exceeded", retry_after=2.0))
    assert limit.stats().limit == 5
    made = await workers(limit, 2)
    assert not any(w.started for w in made)
    await asyncio.sleep(1.9)
    await running.go()
    assert not any(w.started for w in made)
    await asyncio.sleep(0.2)
    assert all(w.started for w in made)
    for worker in made:
        await worker.go()
    assert busy(limit) == (0, 0)


async def test_a_pause_grows_with_later_refusals() -> None:
    """Who waits for its end waits for the later one."""
    limit = make(5)
    first, second = await workers(limit, 2)
    await first.fail(refusal("tokens", retry_after=1.0))
    (waiting,) = await workers(limit, 1)
    await asyncio.sleep(0.5)
    await second.fail(refusal("tokens", retry_after=2.0))
    await asyncio.sleep(1.0)
    assert not waiting.started
    await asyncio.sleep(1.1)
    assert waiting.started
    await waiting.go()


@pytest.mark.parametrize(
    ("code", "retry_after", "limit", "paused"),
    [
        ("concurrent_limit_exceeded", 1.0, 2, False),
        (None, None, 2, False),
        (None, 1.0, 2, True),
        ("rate_limit_exceeded", None, None, False),
        ("rate_limit_exceeded", 60.0, None, False),
        ("rate_limit_exceeded", 0.0, None, False),
    ],
)
async def test_what_a_refusal_does(
    code: str | None, retry_after: float | None, limit: int | None, paused: bool
) -> None:
    """By what the provider counted, and for how long it asks us to stay away."""
    bound = make()
    made = await workers(bound, 4)
    await made[0].fail(refusal(code, retry_after=retry_after))
    assert bound.stats().limit == limit
    for worker in made[1:]:
        await worker.go()
    (next_one,) = await workers(bound, 1)
    assert next_one.started is not paused
    await asyncio.sleep(1.1)
    assert next_one.started
    await next_one.go()


async def test_a_pause_that_is_too_long_is_not_waited_for() -> None:
    """Turned away at once, with the seconds that are left of it."""
    limit = make(5)
    (first,) = await workers(limit, 1)
    await first.fail(refusal("tokens", retry_after=4.0))
    with deadline(1.0):
        (second,) = await workers(limit, 1)
    assert second.task.done()
    with pytest.raises(OverloadedError, match="asked for a pause, of which 4 s are left") as e:
        await second.task
    assert e.value.retry_after == pytest.approx(4.0)


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


async def test_a_loop_that_is_gone_holds_nobody_up() -> None:
    """Its waiters will never wake; the ones of the next loop get the places."""
    limit = Limit(1)
    gone = asyncio.new_event_loop()

    async def hold(_: Call) -> None:
        return None

    async def leave_behind() -> tuple[Call, asyncio.Task[None]]:
        call = Call(OPERATION)
        await limit(call, hold)
        waiter = asyncio.ensure_future(limit(Call(OPERATION), hold))
        await asyncio.sleep(0)
        return call, waiter

    thread = threading.Thread(target=lambda: left.append(gone.run_until_complete(leave_behind())))
    left: list[tuple[Call, asyncio.Task[None]]] = []
    thread.start()
    thread.join()
    gone.close()
    ((call, waiter),) = left
    waiter._log_destroy_pending = False  # type: ignore[attr-defined]
    assert busy(limit) == (1, 1)
    call.end()
    assert await limit.run(lambda: asyncio.sleep(0, "here")) == "here"
    assert busy(limit) == (0, 0)
    waiter.get_coro().close()  # type: ignore[union-attr]
    assert busy(limit) == (0, 0)


def test_fresh_keeps_the_settings_and_nothing_else() -> None:
    """Each credential learns for itself."""

    async def main() -> Limit:
        limit = Limit(9, least=2, queue=3, max_wait=1.5, decrease=0.5)
        (worker,) = await workers(limit, 1)
        await worker.fail(refusal())
        assert limit.stats().limit == 2
        return limit.fresh()

    fresh = asyncio.run(main())
    assert fresh.stats() == LimitStats(
        limit=9, in_flight=0, queued=0, rejected=0, known_maximum=9, waited_s=0.0
    )
    assert (fresh.most, fresh.least, fresh.queue) == (9, 2, 3)
    assert (fresh.max_wait, fresh.decrease) == (1.5, 0.5)


def test_it_reads_like_a_part_of_a_sentence() -> None:
    """In the pipeline's repr."""
    assert repr(Limit(10)) == "limit (≤ 10, queue 100 for 5 s)"
    assert repr(Limit(max_wait=0.5)) == "limit (as the provider allows, queue 100 for 0.5 s)"


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"most": 0}, "most"),
        ({"most": 2, "least": 3}, "most"),
        ({"most": 2.5}, "most"),
        ({"most": True}, "most"),
        ({"least": 0}, "least"),
        ({"queue": -1}, "queue"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("inf")}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
        ({"max_wait": "5"}, "max_wait"),
        ({"decrease": 0}, "decrease"),
        ({"decrease": 1}, "decrease"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], argument: str) -> None:
    """Before anything is limited."""
    with pytest.raises(InvalidArgumentError) as e:
        Limit(**settings)
    assert e.value.argument == argument
