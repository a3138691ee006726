"""Hedging: a second attempt beside a late first one, and nothing of either left behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import random
import weakref
from functools import partial
from typing import Any

import pytest
from rivals import Answer, Does, Permits, Provider, check_events, now, operation

from voicekit.alarms import alarm_clock
from voicekit.deadlines import deadline
from voicekit.errors import (
    CircuitOpenError,
    FirstOutputTimeout,
    InvalidArgumentError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.events import AttemptStarted, FirstOutput, HedgeEnded, HedgeStarted
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.hedge import Hedge
from voicekit.resilience.limit import Limit
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL, VirtualLoop
from voicekit.timing import ConnectionInfo

pytestmark = pytest.mark.anyio

BAD = UnavailableError("no")
WORSE = UnavailableError("no, again")


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def hedge(after: float | None = 0.5, **options: Any) -> Hedge:
    return Hedge(after, clock=asyncio.get_running_loop().time, **options)


class Run:
    """One call under a hedge, with everything that can be seen of it."""

    def __init__(
        self, policy: Hedge, *scripts: Does, kind: Operation | None = None, **options: Any
    ) -> None:
        self.seen = RecordingObserver()
        self.permits = Permits()
        self.provider = Provider(*scripts)
        self.call = Call(kind or operation(), observer=self.seen, **options)
        self.pipeline = Pipeline((policy, self.permits))
        self.begun = False

    async def __call__(self) -> Answer:
        self.begun = True
        try:
            answer = await self.pipeline.open(self.call, self.provider)
        finally:
            assert self.provider.running == 0, "an attempt outlives its call"
            assert not len(alarm_clock(asyncio.get_running_loop())), "an alarm is still set"
            for each in self.provider.answers:
                assert each.freed == 1 or self.call.ended_at is None
        self.call.end()
        assert [each.freed for each in self.provider.answers if each is not answer] in ([], [1])
        assert answer.freed == 0
        assert self.permits.held == 0
        ended = check_events(self.seen)
        assert ended.request_id == f"r{answer.number}", "the evidence is the winner's"
        return answer

    @property
    def over(self) -> HedgeEnded:
        (over,) = self.seen.of(HedgeEnded)
        return over


# -- who wins ---------------------------------------------------------------------------------


async def test_a_quick_call_is_one_attempt() -> None:
    """No second request, no event, and evidence that says so."""
    run = Run(hedge(), Does(takes=0.4))
    answer = await run()
    assert (answer.number, run.provider.begun, run.call.attempts) == (1, 1, 1)
    assert not run.call.hedged
    assert not run.seen.of(HedgeStarted)


async def test_a_late_first_attempt_is_overtaken() -> None:
    """The second is the answer; the first is cancelled; the call has the second's evidence."""
    policy = hedge()
    run = Run(policy, Does(takes=9.0), Does(takes=0.1))
    started = now()
    answer = await run()
    assert now() - started == pytest.approx(0.6)
    assert (answer.number, run.provider.cancelled) == (2, 1)
    assert run.provider.begun_at == [started, pytest.approx(started + 0.5)]
    assert (run.call.attempts, run.call.hedged) == (2, True)
    assert [event.attempt for event in run.seen.of(AttemptStarted)] == [1, 2]
    assert [event.after for event in run.seen.of(HedgeStarted)] == [0.5]
    assert (run.over.winner, run.over.loser_s) == (2, pytest.approx(0.6))
    stats = policy.stats()
    assert (stats.calls, stats.hedges, stats.wins) == (1, 1, 1)
    assert (stats.after, stats.loser_s) == (0.5, pytest.approx(0.6))


async def test_a_first_attempt_that_is_only_a_little_late_wins() -> None:
    """The second is cancelled, and its cost is what it ran."""
    policy = hedge()
    run = Run(policy, Does(takes=0.7), Does(takes=9.0))
    answer = await run()
    assert (answer.number, run.provider.cancelled) == (1, 1)
    assert (run.over.winner, run.over.loser_s) == (1, pytest.approx(0.2))
    assert policy.stats().wins == 0


async def test_of_two_at_once_the_first_wins() -> None:
    """The second came in the same tick; what it opened is freed, and there is one first output."""
    run = Run(hedge(), Does(takes=1.0), Does(takes=0.5, deaf=True))
    answer = await run()
    assert [each.number for each in run.provider.answers] in ([1, 2], [2, 1])
    assert answer.number == 1
    assert len(run.seen.of(FirstOutput)) == 1


async def test_a_loser_that_succeeds_while_it_is_cancelled_is_freed() -> None:
    """A cancellation may come too late; whatever it opened then would leak."""
    run = Run(hedge(), Does(takes=1.0, deaf=True), Does(takes=0.3))
    answer = await run()
    first, second = sorted(run.provider.answers, key=lambda each: each.number)
    assert answer is second
    assert (first.freed, second.freed) == (1, 0)


async def test_a_loser_that_cannot_be_freed_costs_nobody_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, by the type of its error."""

    class Stuck(Answer):
        def abandon(self) -> None:
            raise OSError("no")

    class Stubborn(Provider):
        async def __call__(self, call: Call) -> Answer:
            answer = await super().__call__(call)
            return Stuck(1, call) if answer.number == 1 else answer

    provider = Stubborn(Does(takes=1.0, deaf=True), Does(takes=0.3))
    with caplog.at_level(logging.WARNING, "voicekit.resilience"):
        answer = await Pipeline((hedge(),)).open(Call(operation()), provider)
    assert answer.number == 2
    assert [record.getMessage() for record in caplog.records] == [
        "a hedge's loser cannot be freed: OSError"
    ]


async def test_the_loser_has_ended_before_the_answer_comes() -> None:
    """Nothing of a call outlives it, even if its end takes a while."""
    run = Run(hedge(), Does(takes=9.0, lingers=0.25), Does(takes=0.1))
    started = now()
    assert (await run()).number == 2
    assert now() - started == pytest.approx(0.85)


# -- failures ---------------------------------------------------------------------------------


async def test_hedging_is_not_retrying() -> None:
    """A first attempt that fails in time has failed, with its own error."""
    run = Run(hedge(), Does(takes=0.1, error=BAD))
    with pytest.raises(UnavailableError) as caught:
        await run()
    assert caught.value is BAD
    assert run.provider.begun == 1
    assert check_events(run.seen).result == "error"


async def test_a_first_attempt_that_fails_late_leaves_it_to_the_second() -> None:
    """The second was begun anyhow."""
    run = Run(hedge(), Does(takes=0.6, error=BAD), Does(takes=0.4))
    assert (await run()).number == 2
    assert (run.over.winner, run.over.loser_s) == (2, pytest.approx(0.6))


async def test_a_second_attempt_that_fails_leaves_it_to_the_first() -> None:
    """It must not be worse to hedge than not to."""
    run = Run(hedge(), Does(takes=2.0), Does(takes=0.1, error=WORSE))
    assert (await run()).number == 1
    assert (run.over.winner, run.over.loser_s) == (1, pytest.approx(0.1))


@pytest.mark.parametrize("second", [0.05, 0.2, 0.1], ids=["earlier", "later", "at once"])
async def test_when_both_fail_the_error_is_the_firsts(second: float) -> None:
    """Whichever failed last: the caller asked for the first."""
    run = Run(hedge(), Does(takes=0.6, error=BAD), Does(takes=second, error=WORSE))
    with pytest.raises(UnavailableError) as caught:
        await run()
    assert caught.value is BAD
    assert caught.value.attempts == 2
    assert run.over.winner is None
    assert check_events(run.seen).result == "error"
    assert run.permits.held == 0


async def test_an_attempt_that_cancels_itself_has_failed() -> None:
    """As the step alone would have it."""

    async def step(_: Call) -> None:
        raise asyncio.CancelledError

    task = asyncio.ensure_future(Pipeline((hedge(),)).open(Call(operation()), step))
    await asyncio.wait([task])
    assert task.cancelled()


async def test_an_error_keeps_nothing_alive() -> None:
    """What an attempt had in hand goes with its error, without waiting for the collector."""

    class Held:
        pass

    kept: list[weakref.ref[Held]] = []

    async def step(_: Call) -> None:
        held = Held()
        kept.append(weakref.ref(held))
        await asyncio.sleep(0.6)
        raise UnavailableError("no")

    gc.disable()
    try:
        await Pipeline((hedge(),)).open(Call(operation()), step)
    except UnavailableError:
        pass
    finally:
        gc.enable()
    assert [each() for each in kept] == [None, None]


# -- what is hedged, and when -----------------------------------------------------------------


@pytest.mark.parametrize("kind", OperationClass)
async def test_only_what_reads_or_computes_is_hedged(kind: OperationClass) -> None:
    """What acts must not act twice, not even by chance."""
    run = Run(hedge(), Does(takes=2.0), Does(takes=0.1), kind=operation(kind))
    doubled = kind in {OperationClass.PURE, OperationClass.COMPUTE}
    assert (await run()).number == (2 if doubled else 1)
    assert run.provider.begun == (2 if doubled else 1)


async def test_a_session_is_never_hedged() -> None:
    """Somebody would have to talk to both."""
    run = Run(hedge(), Does(takes=2.0), Does(takes=0.1), kind=operation(session=True))
    assert (await run()).number == 1
    assert run.provider.begun == 1


async def test_what_is_never_hedged_passes_untouched() -> None:
    """In the caller's own task, and uncounted."""
    policy = hedge()
    run = Run(policy, kind=operation(OperationClass.EFFECT))
    task = asyncio.current_task()
    assert task is not None
    await run()
    assert run.provider.tasks == [task.get_name()]
    assert policy.stats().calls == 0


async def test_an_upload_that_can_be_read_only_once_is_never_hedged() -> None:
    """From its first byte on; the delay passes later."""

    class Uploading(Provider):
        async def __call__(self, call: Call) -> Answer:
            call.uploading(ConnectionInfo(reused=True), replayable=False)
            return await super().__call__(call)

    provider = Uploading(Does(takes=2.0), Does(takes=0.1))
    assert (await Pipeline((hedge(),)).open(Call(operation()), provider)).number == 1
    assert provider.begun == 1


async def test_the_budget_bounds_the_hedges() -> None:
    """When every call is slow: what it holds, and then one for every ten calls."""
    policy = hedge(budget=Budget(3.0, 0.1))
    for _ in range(40):
        await Run(policy, Does(takes=1.0))()
    # It is full at first, so that what the first call pays in is lost.
    assert policy.stats().hedges == 3 + 3
    assert policy.stats().calls == 40


async def test_without_a_budget_every_late_call_is_hedged() -> None:
    """Whoever asks for that gets it."""
    policy = hedge(budget=None)
    for _ in range(40):
        await Run(policy, Does(takes=1.0))()
    assert policy.stats().hedges == 40


async def test_a_second_attempt_that_was_refused_here_is_not_paid_for() -> None:
    """An open circuit below refuses it before the provider is asked."""
    budget = Budget(1.0, 0.0)
    policy = hedge(budget=budget)
    run = Run(policy, Does(takes=2.0), Does(takes=0.0, error=CircuitOpenError("open")))
    assert (await run()).number == 1
    assert budget.left == 1.0
    assert (await Run(policy, Does(takes=2.0), Does(takes=0.1))()).number == 2
    assert budget.left == 0.0


@pytest.mark.parametrize(("sent", "left"), [(False, 1.0), (True, 0.0)])
async def test_a_second_attempt_that_was_never_sent_is_not_paid_for(
    sent: bool, left: float
) -> None:
    """The first was there while the second still waited for a connection."""
    budget = Budget(1.0, 0.0)

    async def step(call: Call) -> str:
        if call is not call.root:
            call.dialing()
            if sent:
                call.sent(ConnectionInfo(reused=False))
        await asyncio.sleep(1.0)
        return "there"

    call = Call(operation(), limits=Limits(connect=2.0))
    assert await Pipeline((hedge(budget=budget),)).open(call, step) == "there"
    assert (call.hedged, budget.left) == (True, left)


async def test_a_call_that_waits_for_a_place_of_ours_is_not_late() -> None:
    """The delay begins with its place, whatever queue it waited in; nothing is asked twice."""
    loop = asyncio.get_running_loop()
    policy, limit = hedge(0.15), Limit(2, clock=loop.time)
    around = Pipeline((policy, limit))

    async def ask() -> None:
        await asyncio.sleep(0.1)

    await asyncio.gather(*(around.run(ask) for _ in range(20)))
    assert policy.budget is not None
    assert (policy.stats().hedges, policy.budget.left) == (0, 10.0)


@pytest.mark.parametrize("after", [0.5, 0.1])
async def test_a_call_that_is_late_after_it_waited_is_hedged(after: float) -> None:
    """At the very moment: its place, and the delay."""
    loop = asyncio.get_running_loop()
    limit = Limit(2, clock=loop.time)
    begun: list[float] = []

    async def step(call: Call) -> None:
        begun.append(loop.time())
        await asyncio.sleep(9.0 if call is call.root else 0.1)

    async def hold() -> None:
        await asyncio.sleep(1.3)

    held = [asyncio.ensure_future(limit.run(hold)) for _ in range(2)]
    await asyncio.sleep(0)
    started = loop.time()
    await Pipeline((hedge(after), limit)).open(Call(operation()), step)
    assert [at - started for at in begun] == pytest.approx([1.3, 1.3 + after])
    await asyncio.gather(*held)


async def test_a_full_pool_is_no_reason_to_hedge() -> None:
    """As the limit's queue; the wait is the call's own account of it."""
    loop = asyncio.get_running_loop()

    async def step(call: Call) -> None:
        call.queue_since = loop.time()
        await asyncio.sleep(2.0)
        call.queue_s, call.queue_since = 2.0, None
        await asyncio.sleep(0.4)

    policy = hedge()
    await Pipeline((policy,)).open(Call(operation()), step)
    assert policy.stats().hedges == 0


async def test_a_second_attempt_takes_no_place_in_the_queue() -> None:
    """It would wait where calls wait that have none at all; these would be turned away."""
    loop = asyncio.get_running_loop()
    policy, limit = hedge(0.05), Limit(1, queue=5, clock=loop.time)
    around = Pipeline((policy, limit))

    async def step(_: Call) -> None:
        await asyncio.sleep(0.1)

    async def later(number: int, call: Call) -> None:
        await asyncio.sleep(number * 0.06)
        await around.open(call, step)
        call.end()

    await asyncio.gather(*(later(number, Call(operation())) for number in range(12)))
    assert policy.budget is not None
    assert (limit.stats().rejected, policy.budget.left) == (0, 10.0)


async def test_a_pause_of_the_event_loop_is_no_reason_to_hedge() -> None:
    """Every delay has passed at once then; the answers are there too, and only unread."""
    policy = hedge()
    arrived = asyncio.get_running_loop().create_future()

    async def step(_: Call) -> int:
        await arrived  # the reader is woken …
        await asyncio.sleep(0)  # … and reads
        return 1

    # At the very moment, since a virtual loop cannot be held up.
    asyncio.get_running_loop().call_later(0.5, arrived.set_result, None)
    assert await Pipeline((policy,)).open(Call(operation()), step) == 1
    assert policy.stats().hedges == 0


async def test_each_attempt_has_its_own_limits() -> None:
    """The first one's first-output limit does not end the second, which began later."""
    limits = Limits(connect=None, first_output=1.0)

    async def step(call: Call) -> str:
        call.sent(ConnectionInfo(reused=True, id=call.attempts))
        await asyncio.sleep(9.0 if call is call.root else 0.9)
        return "second"

    call = Call(operation(), limits=limits)
    assert await Pipeline((hedge(),)).open(call, step) == "second"
    assert call.connection == ConnectionInfo(reused=True, id=2)

    async def slow(call: Call) -> None:
        call.sent(ConnectionInfo(reused=True))
        await asyncio.sleep(9.0)

    started = now()
    with pytest.raises(FirstOutputTimeout):
        await Pipeline((hedge(),)).open(Call(operation(), limits=limits), slow)
    assert now() - started == pytest.approx(1.5)


async def test_a_deadline_ends_both() -> None:
    """The ambient deadline is the call's, and so both attempts'."""
    provider = Provider(Does(takes=9.0))
    with deadline(1.0), pytest.raises(TotalTimeout):
        await Pipeline((hedge(),)).open(Call(operation()), provider)
    assert (provider.begun, provider.cancelled) == (2, 2)


async def test_both_attempts_see_the_callers_context() -> None:
    """A request's id, a trace: what the caller's task has set."""
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="")
    seen = []

    async def step(call: Call) -> None:
        seen.append(trace.get())
        await asyncio.sleep(9.0 if call is call.root else 0.1)

    trace.set("mine")
    await Pipeline((hedge(),)).open(Call(operation()), step)
    assert seen == ["mine", "mine"]


async def test_the_tasks_have_names() -> None:
    """Whoever looks at a hanging loop sees whose they are."""
    run = Run(hedge(), Does(takes=9.0), Does(takes=0.1))
    await run()
    number = run.call.id
    assert run.provider.tasks == [f"voicekit-hedge-{number}-1", f"voicekit-hedge-{number}-2"]


async def test_it_goes_around_anything() -> None:
    """Alone, around any awaitable."""
    slow = iter([9.0, 0.1])

    async def ask() -> str:
        await asyncio.sleep(seconds := next(slow))
        return f"{seconds} s"

    assert await hedge().run(ask) == "0.1 s"


# -- learning ---------------------------------------------------------------------------------


async def test_nothing_is_hedged_before_enough_was_seen() -> None:
    """Without a delay of its own it first looks how long calls take."""
    policy = hedge(None, least_samples=10)
    for number in range(10):
        assert policy.after is None
        await Run(policy, Does(takes=1.0 + number))()
    assert policy.after == pytest.approx(10.0)
    run = Run(policy, Does(takes=99.0), Does(takes=1.0))
    assert (await run()).number == 2
    assert [event.after for event in run.seen.of(HedgeStarted)] == [pytest.approx(10.0)]


async def test_our_own_queue_is_not_learnt() -> None:
    """Neither before a delay is known nor after: it says nothing of the provider."""
    loop = asyncio.get_running_loop()
    policy, limit = hedge(None, least_samples=20), Limit(2, clock=loop.time)

    async def ask() -> None:
        await asyncio.sleep(0.1)

    for _ in range(2):
        await asyncio.gather(*(Pipeline((policy, limit)).run(ask) for _ in range(20)))
        assert policy.after == pytest.approx(0.1)


async def test_failures_and_cancellations_in_time_teach_nothing() -> None:
    """A refusal comes quickly; it says nothing about how long an answer takes."""
    policy = hedge(None, least_samples=1)
    with pytest.raises(UnavailableError):
        await Run(policy, Does(takes=0.01, error=BAD))()
    assert policy.after is None
    await Run(policy, Does(takes=1.0))()
    for _ in range(50):
        with pytest.raises(UnavailableError):
            await Run(policy, Does(takes=0.01, error=BAD))()
        task = asyncio.ensure_future(Run(policy, Does(takes=1.0))())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
    assert policy.after == 1.0


async def test_a_learnt_delay_does_not_sink() -> None:
    """The slow calls are cut off by the hedge, and still count as slow.

    Else the quantile of what is left would sink from call to call, and more and more calls
    would be hedged, down to the bound of the budget. Takes of 0.1 to 0.2 s, 2 % of them 2 s
    later: the true 97th percentile is 0.199 s.
    """
    rng = random.Random(7)
    policy = hedge(None, budget=None)
    calls = 6000

    def takes() -> float:
        return rng.uniform(0.1, 0.2) + (2.0 if rng.random() < 0.02 else 0.0)

    for _ in range(calls):
        await policy.run(lambda: asyncio.sleep(takes()))
    stats = policy.stats()
    assert stats.after is not None
    assert 0.195 < stats.after < 0.2
    assert 0.025 < stats.hedges / calls < 0.036
    assert 0.015 < stats.wins / calls < 0.026


async def test_a_learnt_delay_rises_with_the_provider() -> None:
    """Calls that have become slower are known by what they took at least."""
    rng = random.Random(7)
    policy = hedge(None)
    for _ in range(1000):
        await policy.run(lambda: asyncio.sleep(rng.uniform(0.1, 0.2)))
    for _ in range(3000):
        await policy.run(lambda: asyncio.sleep(rng.uniform(0.5, 1.0)))
    assert policy.after is not None
    assert 0.9 < policy.after < 1.0


async def test_a_fresh_one_has_learnt_nothing() -> None:
    """The same settings, with a full budget of its own; one that was given is the same."""
    budget = Budget(1.0, 0.0)
    assert hedge(budget=budget).fresh().budget is budget
    policy = hedge(None, least_samples=1, quantile=0.5)
    await Run(policy, Does(takes=1.0))()
    await Run(policy, Does(takes=9.0), Does(takes=0.1))()
    fresh = policy.fresh()
    assert repr(fresh) == repr(policy)
    assert (fresh.after, fresh.stats().calls, fresh.stats().hedges) == (None, 0, 0)
    await Run(fresh, Does(takes=1.0))()
    assert (await Run(fresh, Does(takes=9.0), Does(takes=0.1))()).number == 2
    assert repr(hedge(budget=None).fresh()) == repr(hedge(budget=None))


async def test_those_with_the_same_settings_are_known_as_such() -> None:
    """In one scope they are one, and learn together."""
    assert Hedge().settings == Hedge().settings == Hedge().fresh().settings
    assert hash(Hedge(0.3).settings) == hash(Hedge(0.3).settings)
    others = [
        Hedge(0.3),
        Hedge(quantile=0.9),
        Hedge(least_samples=5),
        Hedge(budget=None),
        Hedge(budget=Budget()),
        Hedge(budget=Budget(1.0)),
        hedge(None),
    ]
    assert len({Hedge().settings, *(each.settings for each in others)}) == 8


# -- cancellation -----------------------------------------------------------------------------


class CancellingLoop(VirtualLoop):
    """Cancels a task once it has turned so many times; turns are where tasks take their steps."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.turns = 0
        self.heard = False
        self.victim: asyncio.Task[Any] | None = None

    def _run_once(self) -> None:
        if self.victim is not None:
            if self.turns == self.at:
                self.heard = self.victim.cancel()
            self.turns += 1
        super()._run_once()  # type: ignore[misc]


SWEEPS = {
    "overtaken": (Does(takes=9.0), Does(takes=0.1)),
    "overtaken, lingering": (Does(takes=9.0, lingers=0.2), Does(takes=0.1)),
    "overtaken, deaf": (Does(takes=1.0, deaf=True), Does(takes=0.1)),
    "first": (Does(takes=0.7), Does(takes=9.0)),
    "first, quick": (Does(takes=0.1),),
    "at once": (Does(takes=1.0), Does(takes=0.5)),
    "both fail": (Does(takes=0.6, error=BAD), Does(takes=0.3, error=WORSE)),
}


@pytest.mark.parametrize("scripts", SWEEPS.values(), ids=SWEEPS)
@pytest.mark.parametrize("after", [0.5, None], ids=["given", "learnt"])
def test_cancelled_anywhere_it_leaves_nothing(
    scripts: tuple[Does, ...], after: float | None
) -> None:
    """At every turn of the loop: cancelled, all attempts ended, what they opened freed, no permit
    lost, one terminal event.
    """
    cancelled = turns = 0
    while True:
        with asyncio.Runner(loop_factory=partial(CancellingLoop, turns)) as runner:
            loop: Any = runner.get_loop()

            async def scenario(loop: Any) -> bool:
                policy = hedge(after, least_samples=1)
                if after is None:
                    await policy.run(lambda: asyncio.sleep(0.5))
                run = Run(policy, *scripts)
                task = loop.victim = asyncio.ensure_future(run())
                await asyncio.wait([task])
                loop.victim = None
                assert task.cancelled() == loop.heard, "a cancellation was swallowed"
                if not loop.heard:
                    task.exception()
                    return False
                assert run.provider.running == 0
                assert all(each.freed == 1 for each in run.provider.answers)
                assert run.permits.held == 0
                assert not run.begun or check_events(run.seen).result == "cancelled"
                assert asyncio.all_tasks() == {asyncio.current_task()}
                return True

            was_cancelled = runner.run(scenario(loop))
            cancelled += was_cancelled
            over = loop.turns <= turns
        turns += 1
        if over:
            break
    assert cancelled > 3


async def test_cancelled_twice_it_still_waits() -> None:
    """The second cancellation goes on to the attempts; none is left behind."""
    run = Run(hedge(), Does(takes=9.0, lingers=1.0))
    task = asyncio.ensure_future(run())
    await asyncio.sleep(0.7)
    task.cancel()
    await asyncio.sleep(0.1)
    assert run.provider.running == 2
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert run.provider.running == 0
    assert now() == pytest.approx(run.provider.begun_at[0] + 0.8)


async def test_a_timeout_around_it_is_a_timeout() -> None:
    """Whoever bounds it with asyncio gets what he asked for."""
    run = Run(hedge(), Does(takes=9.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await run()
    assert run.provider.cancelled == 2
    assert run.over.winner is None
    assert run.over.loser_s == pytest.approx(0.5)


# -- arguments and words ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("after", 0),
        ("after", -1.0),
        ("after", float("nan")),
        ("after", float("inf")),
        ("after", "1"),
        ("after", True),
        ("quantile", 0.0),
        ("quantile", 1),
        ("quantile", 97),
        ("quantile", "0.97"),
        ("least_samples", 0),
        ("least_samples", 1.5),
        ("least_samples", True),
        ("budget", 10),
    ],
)
def test_wrong_arguments_are_named(argument: str, value: Any) -> None:
    """What was given and what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        Hedge(**{argument: value})
    assert caught.value.argument == argument


def test_its_repr_is_part_of_a_sentence() -> None:
    """It stands in the repr of a pipeline."""
    assert repr(Hedge()) == "hedge (after p97 of ≥ 100 calls, budget 10 + 0.1/call)"
    assert repr(Hedge(0.3, budget=None)) == "hedge (after 0.3 s, no budget)"
    assert repr(Hedge(quantile=0.995, least_samples=500)).startswith("hedge (after p99.5 of ≥ 500")
