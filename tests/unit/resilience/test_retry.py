"""Retries: how often, after which wait, and which error surfaces in the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from voicekit import events
from voicekit.deadlines import deadline
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ConnectError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidArgumentError,
    OutcomeUnknownError,
    OverloadedError,
    RateLimitError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.retry import Retry
from voicekit.testing import VIRTUAL, RecordingObserver, no_waits
from voicekit.timing import ConnectionInfo

pytestmark = pytest.mark.anyio

WARM = ConnectionInfo(reused=True, age=3.0, idle=1.0, id=7)
NEW = ConnectionInfo(reused=False, id=8)
PURE, COMPUTE, EFFECT = OperationClass.PURE, OperationClass.COMPUTE, OperationClass.EFFECT


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def make(
    kind: OperationClass = PURE,
    *,
    observer: events.Observer | None = None,
    repeats: int = 2,
    total: float | None = None,
) -> Call:
    operation = Operation(
        provider="testing",
        name="test",
        kind=kind,
        limits=Limits(total=total),
        repeats=repeats,
        reconcile="look it up",
    )
    return Call(operation, observer=observer)


class Highest(random.Random):
    """Draws next to the most it may."""

    def random(self) -> float:
        return 1 - 2**-53


class Script:
    """One attempt after the other: an error to raise, else what to return."""

    def __init__(self, *results: Any, on: ConnectionInfo = NEW) -> None:
        self.results = list(results)
        self.connection = on
        self.times: list[float] = []

    async def __call__(self, call: Call) -> Any:
        self.times.append(asyncio.get_running_loop().time())
        call.sent(self.connection)
        await asyncio.sleep(0)
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    @property
    def waits(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.times, self.times[1:], strict=False)]


async def opened(retry: Retry, call: Call, step: Callable[[Call], Any]) -> Any:
    return await Pipeline((retry,)).open(call, step)


async def failed(retry: Retry, call: Call, step: Callable[[Call], Any]) -> Any:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        await opened(retry, call, step)
    return caught.value


# -- how often --------------------------------------------------------------------------------


async def test_success_is_one_attempt() -> None:
    """Nothing is waited for."""
    step = Script(42)
    assert await opened(Retry(), make(), step) == 42
    assert len(step.times) == 1


async def test_a_failure_is_made_up_for() -> None:
    """The caller sees the result and the number of attempts."""
    step, call = Script(ConnectError(), 42), make(EFFECT)
    assert await opened(Retry(), call, step) == 42
    assert call.attempts == 2


@pytest.mark.parametrize("repeats", [0, 1, 2, 5])
async def test_as_often_as_the_operation_says(repeats: int) -> None:
    """Or as the policy says; the last error surfaces with its evidence."""
    for retry, call in (
        (Retry(), make(repeats=repeats)),
        (Retry(repeats), make(repeats=17)),
    ):
        errors = [ConnectError(str(number)) for number in range(repeats + 1)]
        step = Script(*errors)
        error = await failed(retry, call, step)
        assert error is errors[-1]
        assert (error.retry_stopped, error.attempts) == ("attempts", repeats + 1)
        assert error.__cause__ is error.__context__ is None


async def test_an_error_that_no_repeat_helps() -> None:
    """Surfaces as it is, at once, and nothing stopped it."""
    step = Script(AuthenticationError("no", status=401))
    error = await failed(Retry(), make(), step)
    assert (error.retry_stopped, error.attempts) == (None, 1)


async def test_computing_is_repeated_once_on_an_unknown_outcome() -> None:
    """Each repeat may be paid for; what is proven not applied costs nothing and does not count."""
    retry = Retry(5)
    error = await failed(retry, make(COMPUTE), Script(UnavailableError(), UnavailableError()))
    assert (error.retry_stopped, error.attempts) == ("unknown_outcome", 2)
    script = [ConnectError(), UnavailableError(), ConnectError(), ConnectError(), 42]
    assert await opened(retry, make(COMPUTE), Script(*script)) == 42


@pytest.mark.parametrize(
    "seen",
    [UnavailableError(status=503), ConnectionLostError(), FirstOutputTimeout()],
)
async def test_an_effect_of_unknown_outcome(seen: VoicekitError) -> None:
    """Is not repeated; the error says how to find out what happened."""
    call, step = make(EFFECT), Script(seen, on=WARM)
    call.request_id = "req-7"
    error = await failed(Retry(), call, step)
    assert type(error) is OutcomeUnknownError
    assert error.__cause__ is seen
    assert (error.hint, error.attempts, error.connection) == ("look it up", 1, WARM)
    assert (error.provider, error.request_id) == ("testing", "req-7")
    assert error.retry_stopped == "unknown_outcome"


async def test_an_effect_that_was_refused_first() -> None:
    """429 is proof that it did not happen; what comes after may be none."""
    step = Script(RateLimitError(status=429), UnavailableError())
    error = await failed(Retry(), make(EFFECT), step)
    assert type(error) is OutcomeUnknownError
    assert error.attempts == 2


async def test_what_an_earlier_attempt_may_have_done_is_not_forgotten() -> None:
    """The last error says "not applied", but the call as a whole may have been."""
    shared = ConnectError("no route")
    try:
        raise shared
    except ConnectError:
        step = Script(UnavailableError(), shared)
    error = await failed(Retry(1), make(), step)
    assert type(error) is ConnectError
    assert (error.outcome, error.retry_stopped, error.message) == (
        "unknown",
        "attempts",
        "no route",
    )
    assert shared.outcome == "not_applied"  # others may have been given it too
    assert error.__traceback__ is not None


async def test_an_upload_that_cannot_be_read_again() -> None:
    """Has no second attempt, whatever failed."""

    async def step(call: Call) -> None:
        call.uploading(NEW, replayable=False)
        raise ConnectionLostError

    error = await failed(Retry(), make(), step)
    assert (error.retry_stopped, error.attempts) == ("not_replayable", 1)


async def test_a_timeout_after_an_upload() -> None:
    """The provider has everything and works on it."""

    async def step(call: Call) -> None:
        call.uploading(NEW)
        call.sent(NEW)
        await asyncio.sleep(99)

    call = make()
    call.limits = Limits(first_output=3.0)
    error = await failed(Retry(), call, step)
    assert (error.retry_stopped, error.attempts) == ("uploaded", 1)


@pytest.mark.parametrize("refusal", [CircuitOpenError(), OverloadedError()])
async def test_our_own_refusal_is_final(refusal: VoicekitError) -> None:
    """Of the first attempt it is the error; of a repeat it is not why the call failed."""
    error = await failed(Retry(), make(), Script(refusal))
    assert error is refusal
    assert error.retry_stopped == "rejected"
    real = UnavailableError()
    error = await failed(Retry(), make(COMPUTE), Script(real, refusal))
    assert error is real
    assert error.retry_stopped == "rejected"


# -- other exceptions ---------------------------------------------------------------------------


async def test_other_exceptions_are_let_through() -> None:
    """A bug is not repeated."""
    step = Script(KeyError("bug"))
    assert repr(await failed(Retry(), make(), step)) == "KeyError('bug')"
    assert len(step.times) == 1


async def test_listed_exceptions_are_repeated() -> None:
    """With an unknown outcome; the last of them surfaces as it is."""
    retry = Retry(2, on=(OSError,))
    assert await opened(retry, make(), Script(OSError(), ConnectionResetError(), 42)) == 42
    last = OSError("third")
    assert await failed(retry, make(), Script(OSError(), OSError(), last)) is last
    last = OSError("second")
    assert await failed(retry, make(COMPUTE), Script(OSError(), last)) is last
    error = await failed(retry, make(EFFECT), Script(last))
    assert type(error) is OutcomeUnknownError
    assert error.__cause__ is last


async def test_a_bug_in_a_repeat_is_let_through() -> None:
    """Whatever came before."""
    step = Script(ConnectError(), KeyError("bug"))
    assert repr(await failed(Retry(), make(), step)) == "KeyError('bug')"


async def test_what_is_tenacitys_own_means_nothing_here() -> None:
    """Its TryAgain is an exception like any other."""
    import tenacity

    step = Script(ConnectError(), tenacity.TryAgain())
    assert type(await failed(Retry(), make(), step)) is tenacity.TryAgain
    assert len(step.times) == 2


async def test_anything_can_be_run() -> None:
    """Alone, around a function that has never heard of voicekit."""
    results: Iterable[Any] = iter([OSError(), ValueError(), None])

    async def fetch() -> None:
        result = next(results)
        if result is not None:
            raise result

    retry = Retry(on=(OSError, ValueError))
    assert await retry.run(fetch, kind=PURE, name="fetch") is None


async def test_an_effect_can_be_run() -> None:
    """An exception that is not listed proves nothing, and is none of ours."""

    async def ring() -> None:
        raise OSError("busy")

    with pytest.raises(OutcomeUnknownError, match="application ring: it may") as caught:
        await Retry(on=(OSError,)).run(ring, kind=EFFECT, name="ring")
    assert caught.value.attempts == 1
    with pytest.raises(OSError, match="busy"):
        await Retry().run(ring, kind=EFFECT)


# -- waits --------------------------------------------------------------------------------------


async def test_back_offs_double_up_to_the_longest() -> None:
    """0.3, 0.6, 1.2 … 8 seconds at most."""
    step = Script(*[ConnectError() for _ in range(9)])
    await failed(Retry(8, rng=Highest()), make(), step)
    assert step.waits == pytest.approx([0.3, 0.6, 1.2, 2.4, 4.8, 8.0, 8.0, 8.0])


async def test_back_offs_are_drawn_from_nothing_to_the_most() -> None:
    """Full jitter: many who failed together come back apart."""
    waits = []
    for seed in range(400):
        step = Script(ConnectError(), ConnectError(), 42)
        await opened(Retry(rng=random.Random(seed)), make(), step)
        waits.append(step.waits)
    for number, most in enumerate((0.3, 0.6)):
        drawn = sorted(wait[number] for wait in waits)
        assert drawn[0] < 0.05 * most < 0.95 * most < drawn[-1] <= most + 1e-9
        assert drawn[200] == pytest.approx(most / 2, rel=0.2)


async def test_a_very_long_series_overflows_nothing() -> None:
    """2 to the power of a thousand is no float."""
    step = Script(*[ConnectError() for _ in range(1201)])
    error = await failed(Retry(1200, base=1e300, budget=None), make(), step)
    assert error.attempts == 1201
    assert max(step.waits) <= 8.0 + 1e-9


@pytest.mark.parametrize("after", [0.5, 7.0, 10.0])
async def test_the_provider_says_when(after: float) -> None:
    """Never sooner, hardly later, never longer than the longest wait."""
    for seed in range(50):
        step = Script(RateLimitError(retry_after=after), 42)
        await opened(Retry(rng=random.Random(seed)), make(EFFECT), step)
        (wait,) = step.waits
        assert after - 1e-9 <= wait <= min(after * 1.1, 10.0) + 1e-9


@pytest.mark.parametrize("after", [-5.0, 0.0, 0.01])
async def test_what_is_shorter_than_the_back_off_does_not_shorten_it(after: float) -> None:
    """Told "at once", all callers would come back at once, as often as they may."""
    step = Script(*[RateLimitError(retry_after=after) for _ in range(3)], 42)
    await opened(Retry(3, rng=Highest()), make(), step)
    assert step.waits == pytest.approx([0.3, 0.6, 1.2])
    step = Script(RateLimitError(retry_after=after))
    with deadline(0.2):
        error = await failed(Retry(rng=Highest()), make(), step)
    assert error.retry_stopped == "deadline"


async def test_the_jitter_of_a_retry_after_goes_upward_and_differs() -> None:
    """All who were told the same come back apart."""
    waits = set()
    for seed in range(20):
        step = Script(RateLimitError(retry_after=5.0), 42)
        await opened(Retry(rng=random.Random(seed)), make(), step)
        waits.update(step.waits)
    assert len(waits) == 20


@pytest.mark.parametrize("after", [10.1, 3600.0, float("inf"), float("nan")])
async def test_longer_than_anybody_waits(after: float) -> None:
    """The real error at once, with what the provider asked for."""
    error = RateLimitError(retry_after=after)
    step = Script(error)
    assert await failed(Retry(), make(), step) is error
    assert (error.retry_stopped, len(step.times)) == ("retry_after", 1)


async def test_longer_than_there_is_time() -> None:
    """A wait that the deadline would cut off is not begun; one that fits exactly is not longer."""
    budget = Budget()
    step = Script(RateLimitError(retry_after=3.0))
    with deadline(2.0):
        error = await failed(Retry(budget=budget), make(), step)
    assert (error.retry_stopped, error.retry_after, error.attempts) == ("retry_after", 3.0, 1)
    assert budget.left == 10
    step = Script(RateLimitError(retry_after=3.0), 42)
    with deadline(3.02):  # no room for jitter
        await opened(Retry(rng=Highest()), make(), step)
    assert step.waits == pytest.approx([3.0], abs=0.02)


async def test_a_back_off_that_does_not_fit() -> None:
    """The real error at once, not a timeout later."""
    start = asyncio.get_running_loop().time()
    seen, budget = UnavailableError(), Budget()
    retry = Retry(base=5.0, rng=Highest(), budget=budget)
    error = await failed(retry, make(total=4.0), Script(seen))
    assert error is seen
    assert (error.retry_stopped, error.attempts) == ("deadline", 1)
    assert asyncio.get_running_loop().time() == start
    assert budget.left == 10


@pytest.mark.parametrize(
    ("kind", "left", "attempts"),
    [(EFFECT, 0.2, 1), (EFFECT, 0.4, 2), (COMPUTE, 0.2, 2), (COMPUTE, 0.0, 1)],
)
async def test_an_effect_is_not_begun_with_too_little_time(kind, left, attempts) -> None:
    """Cut off, it would be of unknown outcome; now it is known that it did not happen."""
    seen = RateLimitError(retry_after=1.0)
    with deadline(1.0 + left):
        error = await failed(Retry(1, rng=random.Random(1)), make(kind), Script(seen, seen))
    assert (error.attempts, error.outcome) == (attempts, "not_applied")


async def test_out_of_time_is_out_of_time() -> None:
    """A total limit that passed is not repeated, although a timeout may be."""

    async def step(call: Call) -> None:
        call.sent(NEW)
        await asyncio.sleep(99)

    start = asyncio.get_running_loop().time()
    error = await failed(Retry(), make(total=5.0), step)
    assert type(error) is TotalTimeout
    assert (error.retry_stopped, error.attempts) == ("deadline", 1)
    assert asyncio.get_running_loop().time() - start == pytest.approx(5.0, abs=0.05)


async def test_a_repeat_that_the_loop_held_up_is_not_sent() -> None:
    """The deadline passed in the wait: the real error, and the repeat is not paid for."""
    seen, budget, call = RateLimitError(), Budget(), make(EFFECT, total=60.0)
    task = asyncio.create_task(failed(Retry(budget=budget), call, Script(seen)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert budget.left == 9
    call.deadline_at = call.started_at  # an hour passed, say
    error = await task
    assert error is seen
    assert (error.retry_stopped, error.attempts, error.outcome) == ("deadline", 1, "not_applied")
    assert budget.left == 10


async def test_a_warm_connection_that_was_gone() -> None:
    """Costs no back-off, once; what fails then does."""
    retry = Retry(3, rng=Highest())
    step = Script(ConnectionLostError(), ConnectionLostError(), ConnectError(), 42, on=WARM)
    await opened(retry, make(), step)
    assert step.waits == pytest.approx([0.0, 0.3, 0.6])


async def test_which_lost_connections_deserve_a_back_off() -> None:
    """Those that were new, and those that had begun to answer."""
    retry = Retry(rng=Highest())
    step = Script(ConnectionLostError(), 42, on=NEW)
    await opened(retry, make(), step)
    assert step.waits == pytest.approx([0.3])
    step, call = Script(ConnectionLostError(), 42, on=WARM), make()
    call.request_id = "req-1"
    await opened(retry, call, step)
    assert step.waits == pytest.approx([0.3])
    step = Script(ConnectionLostError(connection=NEW), 42, on=WARM)
    await opened(retry, make(), step)
    assert step.waits == pytest.approx([0.3])
    step = Script(UnavailableError(), 42, on=WARM)
    await opened(retry, make(), step)
    assert step.waits == pytest.approx([0.3])


async def test_tests_need_not_wait() -> None:
    """No time passes in the block and what it starts; all else is as it would be."""
    recorder = RecordingObserver()
    retry = Retry(rng=Highest())
    step = Script(ConnectError(), RateLimitError(retry_after=9.0), 42)
    with no_waits():
        task = asyncio.create_task(opened(retry, make(observer=recorder), step))
    await task
    assert step.waits == [0.0, 0.0]
    waits = [event.wait for event in recorder.events if isinstance(event, events.RetryScheduled)]
    assert waits == pytest.approx([0.3, 9.9])
    with no_waits():
        error = await failed(retry, make(), Script(RateLimitError(retry_after=11.0)))
        assert error.retry_stopped == "retry_after"
        with deadline(5.0):
            error = await failed(retry, make(), Script(RateLimitError(retry_after=6.0)))
        assert error.retry_stopped == "retry_after"
        with no_waits():
            pass
        step = Script(ConnectError(), ConnectError())
        await failed(Retry(1), make(), step)
        assert step.waits == [0.0]
    step = Script(ConnectError(), 42)
    await opened(retry, make(), step)
    assert step.waits == pytest.approx([0.3])


# -- budget ---------------------------------------------------------------------------------------


async def test_when_everything_fails_the_budget_ends_it() -> None:
    """Ten repeats to begin with, then one per ten calls; the real error says why."""
    retry, attempts, reasons = Retry(), 0, []
    with no_waits():
        for _ in range(1000):
            error = await failed(retry, make(), Script(*[ConnectError() for _ in range(3)]))
            attempts += error.attempts
            reasons.append(error.retry_stopped)
    assert (attempts - 10) / 1000 <= 1.1
    assert attempts > 1090
    assert set(reasons) == {"attempts", "budget"}


@pytest.mark.parametrize("refusal", [CircuitOpenError("open"), OverloadedError("full")], ids=repr)
async def test_a_repeat_that_was_refused_here_is_not_paid_for(refusal: VoicekitError) -> None:
    """Nothing was sent; and the next outage finds the budget that it is for."""
    retry = Retry(budget=Budget(3.0, 0.0))
    with no_waits():
        for _ in range(10):
            error = await failed(retry, make(), Script(UnavailableError("503"), refusal))
            assert error.retry_stopped == "rejected"
    assert retry.stats().left == 3.0
    assert retry.stats().taken == 0


async def test_a_budget_of_ones_own() -> None:
    """Shared by all who have it, fresh policies too, or none at all."""
    budget = Budget(1.0)
    one, other = Retry(budget=budget), Retry(budget=budget).fresh()
    with no_waits():
        await opened(one, make(), Script(ConnectError(), 42))
        assert (await failed(other, make(), Script(ConnectError()))).retry_stopped == "budget"
        free = Retry(20, budget=None)
        error = await failed(free, make(), Script(*[ConnectError() for _ in range(21)]))
    assert error.retry_stopped == "attempts"
    assert one.budget is budget
    assert free.fresh().budget is None is free.stats()
    assert one.stats() == budget.stats()
    assert (budget.stats().calls, budget.stats().taken, budget.stats().refused) == (2, 1, 1)


async def test_each_policy_has_a_budget_to_itself() -> None:
    """A default that all shared would let one provider's outage stop another's repeats."""
    assert Retry().budget is not Retry().budget
    assert Retry().fresh().budget is not Retry().budget


# -- cancellation ---------------------------------------------------------------------------------


async def test_cancelled_while_it_waits() -> None:
    """At once, and the repeat that was not sent is paid back."""
    retry, step = Retry(base=5.0, rng=Highest()), Script(ConnectError(), 42)
    task = asyncio.create_task(opened(retry, make(), step))
    await asyncio.sleep(1.0)
    assert retry.budget is not None
    assert retry.budget.left == 9
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert retry.budget.left == 10
    assert len(step.times) == 1


@pytest.mark.parametrize("unknown", [False, True])
async def test_cancelled_at_every_step(unknown: bool) -> None:
    """Wherever it is: promptly, as itself, and with a budget that says what was sent."""
    error = UnavailableError if unknown else ConnectError
    for ticks in range(200):
        recorder = RecordingObserver()
        call = make(observer=recorder)
        retry = Retry(rng=random.Random(ticks))
        step = Script(error(), RateLimitError(retry_after=0.5), 42)
        task = asyncio.create_task(opened(retry, call, step))
        for _ in range(ticks):
            await asyncio.sleep(0.02 if ticks % 2 else 0)
            if task.done():
                break
        if task.done():
            assert await task == 42
            break
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert retry.budget is not None
        repeats = max(0, len(step.times) - 1)
        assert retry.budget.left == 10 - repeats
        assert retry.budget.stats().taken == repeats
        assert len([e for e in recorder.events if isinstance(e, events.CallEnded)]) <= 1
    else:
        pytest.fail("it never ended")


async def test_cancellation_is_never_taken_for_a_failure() -> None:
    """Also when the step itself raises it, first or later."""
    for script in ([asyncio.CancelledError()], [ConnectError(), asyncio.CancelledError()]):
        step = Script(*script, 42)
        with pytest.raises(asyncio.CancelledError):
            await opened(Retry(on=(Exception,)), make(), step)
        assert step.results == [42]


# -- what it says of itself -----------------------------------------------------------------------


async def test_each_repeat_is_announced() -> None:
    """Before its wait: which attempt comes, when, and after what."""
    recorder = RecordingObserver()
    step = Script(UnavailableError(), RateLimitError(retry_after=2.0), 42)
    await opened(Retry(rng=Highest()), make(observer=recorder), step)
    names = [type(event).__name__ for event in recorder.events]
    assert names[:7] == [
        "CallStarted",
        "AttemptStarted",
        "ConnectionAcquired",
        "RetryScheduled",
        "AttemptStarted",
        "ConnectionAcquired",
        "RetryScheduled",
    ]
    said = [event for event in recorder.events if isinstance(event, events.RetryScheduled)]
    assert [event.attempt for event in said] == [2, 3]
    assert [event.wait for event in said] == pytest.approx([0.3, 2.2])
    assert [event.error for event in said] == ["UnavailableError", "RateLimitError"]
    assert [event.outcome for event in said] == ["unknown", "not_applied"]


async def test_what_is_not_repeated_is_not_announced() -> None:
    """An exhausted call ends; it does not wait for anything."""
    recorder = RecordingObserver()
    await failed(Retry(0), make(observer=recorder), Script(ConnectError()))
    await failed(Retry(1), make(observer=recorder), Script(ConnectError(), AuthenticationError()))
    said = [event for event in recorder.events if isinstance(event, events.RetryScheduled)]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (Retry(2), "retry ≤ 2 × (0.3 s × 2ⁿ, budget 10 + 0.1/call)"),
        (Retry(), "retry (0.3 s × 2ⁿ, budget 10 + 0.1/call)"),
        (Retry(1, base=0.05, budget=None), "retry ≤ 1 × (0.05 s × 2ⁿ, no budget)"),
        (Retry(3, budget=Budget(4, 0.5)).fresh(), "retry ≤ 3 × (0.3 s × 2ⁿ, budget 4 + 0.5/call)"),
    ],
)
async def test_its_repr_is_part_of_a_sentence(retry: Retry, words: str) -> None:
    """Of the pipeline's."""
    assert repr(retry) == words
    assert repr(Pipeline((retry,))) == f"deadline → {words} → attempt limits → transport"


async def test_settings_are_equal_where_two_would_do_the_same() -> None:
    """So that clients with the same settings share what was seen; any difference counts."""
    assert Retry().settings == Retry().fresh().settings
    shared = Budget()
    assert Retry(budget=shared).settings == Retry(budget=shared).fresh().settings
    different: list[dict[str, Any]] = [
        {},
        {"repeats": 2},
        {"base": 0.1},
        {"longest": 0.1},
        {"longest_wait": 0.1},
        {"on": (OSError,)},
        {"budget": None},
        {"budget": Budget()},
        {"budget": Budget(3)},
        {"budget": Budget(3)},
        {"budget": Budget(10, 0.3)},
        {"rng": random.Random()},
    ]
    assert len({Retry(**options).settings for options in different}) == len(different)
    for options in different:
        assert (retry := Retry(**options)).fresh().settings == retry.settings


@pytest.mark.parametrize(
    "options",
    [
        {"repeats": -1},
        {"repeats": 1.5},
        {"base": -0.1},
        {"base": float("nan")},
        {"longest": float("inf")},
        {"longest_wait": "10"},
        {"on": OSError},
        {"on": (asyncio.CancelledError,)},
        {"on": (BaseException,)},
        {"on": (OSError(),)},
        {"repeats": True},
        {"budget": 5},
        {"rng": 5},
    ],
    ids=repr,
)
async def test_bad_arguments(options: dict[str, Any]) -> None:
    """Are refused by name, and cancellation cannot be listed."""
    (name,) = options
    with pytest.raises(InvalidArgumentError, match=name):
        Retry(**options)


# -- what it costs --------------------------------------------------------------------------------


def test_tenacity_is_imported_when_something_fails() -> None:
    """30 ms that a program without failures never pays; nor one whose errors are final."""
    code = """
import asyncio, sys
from voicekit.errors import AuthenticationError, ConnectError
from voicekit.resilience.retry import Retry

async def main():
    async def fine(): pass
    async def wrong(): raise AuthenticationError
    async def dead(): raise ConnectError
    await Retry().run(fine)
    for retry, function in ((Retry(), wrong), (Retry(0), dead), (Retry(), dead)):
        assert "tenacity" not in sys.modules
        try: await retry.run(function)
        except (AuthenticationError, ConnectError): pass
    assert "tenacity" in sys.modules

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


async def test_a_failed_call_is_freed_at_once() -> None:
    """Its error and all that the traceback holds, without waiting for the collector."""

    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    async def step(call: Call) -> None:
        mine = Held()
        held.append(weakref.ref(mine))
        raise UnavailableError

    gc.collect()
    gc.disable()
    try:
        with no_waits():
            for kind in (PURE, COMPUTE):
                with contextlib.suppress(UnavailableError):
                    await opened(Retry(), make(kind), step)
        assert len(held) == 5
        assert [ref() for ref in held] == [None] * 5
    finally:
        gc.enable()
