"""The breaker: what opens it, what closes it, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import math
import os
import random
import subprocess
import sys
import timeit
import traceback
import weakref
from pathlib import Path
from typing import Any

import pytest
from by_hand import SPEAK, Clock, Doing, NoJitter, answered, failed, refused

from voicekit.deadlines import deadline
from voicekit.errors import (
    CircuitOpenError,
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    RateLimitError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.events import BreakerChanged, Event
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.resilience.breaker import Breaker, BreakerStats
from voicekit.testing import RecordingObserver

LOST = ConnectionLostError("lost")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock, rng=NoJitter())


def trip(breaker: Breaker) -> None:
    for _ in range(10):
        failed(breaker, LOST)
    assert breaker.state == "open"


def half_open(breaker: Breaker, clock: Clock) -> Doing:
    """Trip it, let its period pass, and begin a probe."""
    trip(breaker)
    clock.pass_(5)
    probe = Doing(breaker)
    assert breaker.state == "half_open"
    return probe


# -- opening ------------------------------------------------------------------------------


def test_ten_failures_open_it_and_nine_do_not(breaker: Breaker) -> None:
    """A share of fewer calls is chance."""
    for _ in range(9):
        failed(breaker, LOST)
    assert breaker.state == "closed"
    failed(breaker, LOST)
    assert breaker.state == "open"
    assert breaker.stats().opened == 1


def test_half_of_the_calls_open_it_when_they_alternate(breaker: Breaker) -> None:
    """A counter of consecutive failures, as pybreaker's own is, would never see them."""
    for number in range(11):
        if number % 2:
            answered(breaker)
        else:
            failed(breaker, LOST)
    assert breaker.state == "open"


def test_a_third_of_the_calls_does_not_open_it(breaker: Breaker, clock: Clock) -> None:
    """However many there are."""
    for number in range(300):
        if number % 3 == 2:
            failed(breaker, LOST)
        else:
            answered(breaker)
        clock.pass_(0.1)
    assert breaker.state == "closed"
    assert breaker.stats().failure_rate == pytest.approx(1 / 3, abs=0.02)


def test_failures_of_long_ago_are_forgotten(breaker: Breaker, clock: Clock) -> None:
    """Nine in one minute and one in the next are not ten."""
    for _ in range(9):
        failed(breaker, LOST)
    clock.pass_(31)
    failed(breaker, LOST)
    assert breaker.state == "closed"
    assert breaker.stats().calls == 1


def test_slow_calls_open_it_though_none_fails(breaker: Breaker, clock: Clock) -> None:
    """A brown-out; slow is more than half of the first-output limit, here 2 s."""
    for number in range(11):
        call = Doing(breaker)
        clock.pass_(0.1 if number % 2 else 2.1)
        call.returns()
    assert breaker.state == "open"
    assert breaker.stats().failure_rate == 0
    assert breaker.stats().slow_rate > 0.5


def test_calls_up_to_the_threshold_are_not_slow(breaker: Breaker, clock: Clock) -> None:
    for _ in range(20):
        call = Doing(breaker)
        clock.pass_(2.0)
        call.returns()
    assert breaker.stats().slow_rate == 0


@pytest.mark.parametrize(
    ("options", "operation", "uploaded"),
    [
        ({"slow_after": math.inf}, SPEAK, False),
        ({}, Operation(provider="acme", name="listen", kind=OperationClass.COMPUTE), False),
        ({}, SPEAK, True),
    ],
    ids=["switched off", "no first-output limit", "an upload"],
)
def test_what_has_no_threshold_is_never_slow(
    options: dict[str, Any], operation: Operation, uploaded: bool, clock: Clock
) -> None:
    """An upload's time is the length of its file as much as the server's."""
    breaker = Breaker(clock=clock, **options)
    for _ in range(20):
        call = Doing(breaker, operation)
        call.call.uploaded = uploaded
        clock.pass_(3600 / 20 / 30)
        call.returns()
    assert breaker.state == "closed"
    assert breaker.stats().slow_rate == 0


def test_an_own_threshold_counts_for_every_operation(clock: Clock) -> None:
    breaker = Breaker(clock=clock, slow_after=0.5)
    for _ in range(10):
        call = Doing(breaker)
        clock.pass_(0.6)
        call.returns()
    assert breaker.state == "open"


def test_refusals_of_the_request_are_answers(breaker: Breaker) -> None:
    """Twenty bad requests say that the server lives: five failures among them are a fifth."""
    for number in range(25):
        failed(breaker, LOST if number % 5 == 0 else InvalidRequestError("no", status=400))
    assert breaker.state == "closed"
    assert breaker.stats().calls == 25


def test_a_call_that_ends_after_the_trip_changes_nothing(breaker: Breaker, clock: Clock) -> None:
    """Neither its failure nor its success: both are news of the time before."""
    late = [Doing(breaker) for _ in range(4)]
    trip(breaker)
    before = breaker.stats()
    late[0].raises(ConnectionLostError("late"))
    late[1].returns()
    assert breaker.stats() == before
    clock.pass_(5)
    probes = [Doing(breaker), Doing(breaker)]
    late[2].raises(ConnectionLostError("later still"))
    assert breaker.state == "half_open"
    for probe in probes:
        probe.returns()
    assert breaker.state == "closed"
    late[3].raises(ConnectionLostError("last"))
    assert breaker.stats().calls == 0


def test_the_call_that_opens_it_raises_its_own_error(breaker: Breaker) -> None:
    """And nothing of ours or pybreaker's hangs on it."""
    for _ in range(9):
        failed(breaker, LOST)
    error = UnavailableError("down", status=503)
    failed(breaker, error)
    assert breaker.state == "open"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "pybreaker" not in "".join(traceback.format_exception(error))


def test_nothing_of_a_failed_call_waits_for_the_collector(breaker: Breaker) -> None:
    """Its error holds frames, those a request and a connection."""

    async def step(_: Call) -> None:
        raise ConnectionLostError("lost")

    kept = []
    gc.disable()
    try:
        for _ in range(12):
            try:
                breaker(Call(SPEAK), step).send(None)
            except VoicekitError as error:
                kept.append(weakref.ref(error))
        assert breaker.state == "open"
        assert [ref() for ref in kept] == [None] * 12
    finally:
        gc.enable()


def test_a_slow_call_that_opens_it_returns_its_result(breaker: Breaker, clock: Clock) -> None:
    """It is slow, and paid for."""
    calls = [Doing(breaker) for _ in range(10)]
    clock.pass_(3)
    for call in calls:
        call.returns()
    assert breaker.state == "open"


# -- open ---------------------------------------------------------------------------------


def test_open_it_refuses_and_says_when_to_ask_again(breaker: Breaker, clock: Clock) -> None:
    """Until the next probe, in seconds, and nothing reaches the server."""
    trip(breaker)
    clock.pass_(2)
    refusal = refused(breaker)
    assert refusal.retry_after == pytest.approx(3.0)
    assert refusal.retryable
    assert refusal.outcome == "not_applied"
    assert refusal.attempts == 0
    assert breaker.stats().retry_in == pytest.approx(3.0)
    assert breaker.stats().rejected == 1


def test_each_fruitless_opening_is_twice_as_long(breaker: Breaker, clock: Clock) -> None:
    """5, 10, 20, 40, 60, 60 s; and 5 again after it has closed."""
    trip(breaker)
    periods = []
    for _ in range(6):
        periods.append(breaker.stats().retry_in or 0)
        clock.pass_(periods[-1])
        failed(breaker, LOST)
    assert periods == pytest.approx([5, 10, 20, 40, 60, 60])
    clock.pass_(60)
    answered(breaker)
    answered(breaker)
    assert breaker.state == "closed"
    trip(breaker)
    assert breaker.stats().retry_in == pytest.approx(5)


def test_open_periods_differ_by_chance(clock: Clock) -> None:
    """A thousand clients that tripped together do not probe together, nor later than said."""
    rng = random.Random(1)
    periods = []
    for _ in range(100):
        breaker = Breaker(clock=clock, rng=rng)
        trip(breaker)
        periods.append(breaker.stats().retry_in or 0)
    assert len(set(periods)) > 90
    assert min(periods) >= 4
    assert max(periods) <= 5


def test_a_step_of_the_wall_clock_changes_nothing(
    breaker: Breaker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pybreaker's own period ends with the wall clock's: an hour forward, and it is over."""
    from voicekit.resilience import breaker_states

    class Stepped(dt.datetime):
        step = dt.timedelta()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) + cls.step

    monkeypatch.setattr(breaker_states.pybreaker, "datetime", Stepped)
    trip(breaker)
    Stepped.step = dt.timedelta(hours=1)
    assert refused(breaker).retry_after == pytest.approx(5)
    Stepped.step = dt.timedelta(hours=-1)
    clock.pass_(5)
    answered(breaker)
    answered(breaker)
    assert breaker.state == "closed"


# -- half open ----------------------------------------------------------------------------


def test_only_as_many_probes_as_it_has_places_for(breaker: Breaker, clock: Clock) -> None:
    """Twenty callers, two at the server; their successes close it, with nothing counted."""
    trip(breaker)
    clock.pass_(5)
    calls = [Doing(breaker) for _ in range(20)]
    admitted = [call for call in calls if call.refusal is None]
    assert len(admitted) == 2
    assert all(call.refusal.retry_after for call in calls if call.refusal is not None)
    admitted[0].returns()
    assert breaker.state == "half_open"
    assert refused(breaker)  # two successes are needed, and one place is taken
    admitted[1].returns()
    assert breaker.state == "closed"
    assert breaker.stats().calls == 0


def test_one_failed_probe_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    """Whatever the other one says, and when."""
    trip(breaker)
    clock.pass_(5)
    first, second = Doing(breaker), Doing(breaker)
    first.raises(ConnectionLostError("still"))
    assert breaker.state == "open"
    second.returns()
    assert breaker.state == "open"
    assert breaker.stats().retry_in == pytest.approx(10)


def test_a_failure_after_a_success_opens_it_too(breaker: Breaker, clock: Clock) -> None:
    """All probes must succeed, not most of them."""
    trip(breaker)
    clock.pass_(5)
    answered(breaker)
    failed(breaker, LOST)
    assert breaker.state == "open"


def test_a_slow_probe_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    """A server that is still slow has not recovered."""
    probe = half_open(breaker, clock)
    clock.pass_(3)
    probe.returns()
    assert breaker.state == "open"


@pytest.mark.parametrize(
    "end",
    [
        Doing.is_cancelled,
        lambda probe: probe.raises(GeneratorExit()),
        lambda probe: probe.raises(KeyboardInterrupt()),
        lambda probe: probe.raises(RateLimitError("slowly", status=429)),
    ],
    ids=["cancelled", "closed", "interrupted", "rate limited"],
)
def test_a_probe_that_says_nothing_gives_its_place_back(
    end: Any, breaker: Breaker, clock: Clock
) -> None:
    """Else a few of them would leave it half open for ever."""
    probe = half_open(breaker, clock)
    for _ in range(5):
        end(probe)
        assert breaker.state == "half_open"
        probe = Doing(breaker)
        assert probe.refusal is None
    probe.returns()
    answered(breaker)
    assert breaker.state == "closed"


def test_a_probe_that_never_returns_gives_its_place_back_in_time(clock: Clock) -> None:
    """After its limit; and if it does return its result still counts, once."""
    breaker = Breaker(clock=clock, rng=NoJitter(), slow_after=math.inf)
    hanging = [half_open(breaker, clock), Doing(breaker)]
    clock.pass_(29.9)
    assert (refused(breaker).retry_after or 9) <= 0.2
    clock.pass_(0.1)
    replacing = [Doing(breaker), Doing(breaker)]
    assert refused(breaker)
    hanging[0].returns()
    assert breaker.state == "half_open"
    replacing[0].returns()
    assert breaker.state == "closed"
    hanging[1].raises(ConnectionLostError("at last"))
    replacing[1].raises(ConnectionLostError("too"))
    assert breaker.stats().calls == 0


def test_an_old_probe_does_not_free_the_place_of_a_new_one(clock: Clock) -> None:
    """Places are given back by name, not by number."""
    breaker = Breaker(clock=clock, rng=NoJitter(), probes=1, slow_after=math.inf)
    hanging = half_open(breaker, clock)
    clock.pass_(30)
    replacing = Doing(breaker)
    hanging.is_cancelled()
    assert refused(breaker)
    replacing.returns()
    assert breaker.state == "closed"


# -- deadlines of the caller's own -----------------------------------------------------------


def total(outcome: str) -> TotalTimeout:
    return TotalTimeout("not done", outcome=outcome, limit=0.1)


def test_a_deadline_that_was_all_but_spent_is_no_failure(breaker: Breaker, clock: Clock) -> None:
    """Not sent, or sent a moment before it passed: the server had no chance to answer."""
    for _ in range(10):
        failed(breaker, total("not_applied"))
        call = Doing(breaker)
        clock.pass_(0.5)
        call.raises(total("unknown"))
    assert breaker.state == "closed"
    assert breaker.stats().calls == 0


def test_a_deadline_that_left_the_server_its_time_is_a_failure(
    breaker: Breaker, clock: Clock
) -> None:
    """A second went by, or half of a first-output limit that is shorter, and nothing came."""
    for _ in range(9):
        call = Doing(breaker)
        clock.pass_(1.01)
        call.raises(total("unknown"))
    quick = Operation(
        provider="acme", name="ask", kind=OperationClass.PURE, limits=Limits(first_output=0.4)
    )
    call = Doing(breaker, quick)
    clock.pass_(0.21)
    call.raises(total("unknown"))
    assert breaker.state == "open"


def test_what_was_waited_for_on_our_side_is_not_the_servers_time(
    breaker: Breaker, clock: Clock
) -> None:
    """A full pool, a busy session: neither slow, nor time in which it could have answered."""
    for _ in range(4):
        call = Doing(breaker)
        clock.pass_(3.0)
        call.call.queue_s += 2.5
        call.returns()
        call = Doing(breaker)
        clock.pass_(3.0)
        call.call.queue_s += 2.5
        call.raises(total("unknown"))
    assert breaker.stats().slow_rate == 0.0
    assert breaker.stats().calls == 4


@pytest.mark.anyio
async def test_alone_a_deadline_that_passes_is_a_failure() -> None:
    """Around a function of the application's own, which is at its server once it runs."""
    breaker = Breaker(least_calls=2)
    for _ in range(2):
        with deadline(0.01), pytest.raises(TotalTimeout):
            await breaker.run(asyncio.Event().wait)
    assert breaker.state == "open"


@pytest.mark.anyio
async def test_alone_a_deadline_that_had_passed_before_is_none() -> None:
    """Nothing was run."""
    breaker = Breaker(least_calls=1)
    with deadline(0.001):
        await asyncio.sleep(0.01)
        with pytest.raises(TotalTimeout):
            await breaker.run(asyncio.Event().wait)
    assert breaker.stats().calls == 0


@pytest.mark.anyio
async def test_alone_around_any_awaitable() -> None:
    """With the operation's name on its refusal, and without what the application ignores."""
    breaker = Breaker(least_calls=2, ignore=(KeyError,))

    async def look_up() -> str:
        raise KeyError("nothing there")

    async def fail() -> str:
        raise OSError("down")

    for _ in range(5):
        with pytest.raises(KeyError):
            await breaker.run(look_up)
    assert breaker.stats().calls == 0
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            await breaker.run(fail)
    with pytest.raises(CircuitOpenError) as refusal:
        await breaker.run(fail, name="look up")
    assert refusal.value.operation == "look up"
    assert refusal.value.attempts == 0


# -- by hand ------------------------------------------------------------------------------


def test_forced_open_it_refuses_until_it_is_reset(breaker: Breaker, clock: Clock) -> None:
    """No period ends that, and what was under way changes nothing."""
    late = Doing(breaker)
    breaker.force_open()
    clock.pass_(3600)
    refusal = refused(breaker)
    assert refusal.retry_after is None
    assert "forced open" in str(refusal)
    late.returns()
    assert breaker.state == "forced_open"
    breaker.reset()
    answered(breaker)
    assert breaker.state == "closed"


def test_disabled_it_lets_everything_through_and_counts_nothing(breaker: Breaker) -> None:
    trip(breaker)
    breaker.disable()
    for _ in range(20):
        failed(breaker, LOST)
    assert breaker.state == "disabled"
    breaker.reset()
    assert breaker.stats().calls == 0
    trip(breaker)


def test_reset_forgets(breaker: Breaker, clock: Clock) -> None:
    """The window, the length of the next period, and the probes under way."""
    probe = half_open(breaker, clock)
    probe.raises(ConnectionLostError("still"))
    breaker.reset()
    assert breaker.state == "closed"
    for _ in range(9):
        failed(breaker, LOST)
    assert breaker.state == "closed"
    failed(breaker, LOST)
    assert breaker.stats().retry_in == pytest.approx(5)


def test_a_fresh_one_has_the_settings_and_has_seen_nothing(clock: Clock) -> None:
    breaker = Breaker(least_calls=2, open_for=3, clock=clock, rng=NoJitter())
    failed(breaker, LOST)
    failed(breaker, LOST)
    other = breaker.fresh()
    assert repr(other) == repr(breaker)
    assert other.state == "closed"
    failed(other, LOST)
    failed(other, LOST)
    assert other.stats().retry_in == pytest.approx(3)


def test_breakers_with_equal_settings_are_one_in_their_scope() -> None:
    assert Breaker().settings == Breaker().settings == Breaker().fresh().settings
    assert Breaker(least_calls=5).settings != Breaker().settings
    assert hash(Breaker(on_change=print).settings) != hash(Breaker().settings)


def test_its_repr_reads_like_part_of_a_sentence() -> None:
    assert repr(Breaker()) == "breaker (≥ 50 % of ≥ 10 in 30 s, open 5–60 s)"


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate": 0},
        {"failure_rate": 50},
        {"failure_rate": math.nan},
        {"slow_rate": 1.1},
        {"slow_rate": "half"},
        {"least_calls": 0},
        {"least_calls": 2.5},
        {"window": 0},
        {"window": math.inf},
        {"open_for": -1},
        {"open_for": 10, "longest_open": 9},
        {"probes": 0},
        {"probes": True},
        {"probe_limit": 0},
        {"slow_after": 0},
        {"ignore": [KeyError]},
        {"ignore": KeyError},
        {"ignore": (asyncio.CancelledError,)},
        {"rng": 5},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        Breaker(**wrong)
    assert refusal.value.argument == list(wrong)[-1]


# -- being watched --------------------------------------------------------------------------


def changes(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.previous, e.state) for e in events if isinstance(e, BreakerChanged)]


def test_each_change_is_one_event_of_the_call_that_made_it(breaker: Breaker, clock: Clock) -> None:
    """With the rates at that time, and the operation."""
    seen = RecordingObserver()
    for _ in range(10):
        failed(breaker, LOST, observer=seen)
    refused(breaker, observer=seen)
    clock.pass_(5)
    failed(breaker, LOST, observer=seen)
    clock.pass_(10)
    answered(breaker, observer=seen)
    answered(breaker, observer=seen)
    assert changes(seen.events) == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    first = next(event for event in seen.events if isinstance(event, BreakerChanged))
    assert (first.provider, first.operation, first.calls) == ("acme", "speak", 10)
    assert (first.failure_rate, first.slow_rate) == (1.0, 0.0)
    assert first.call > 0


def test_changes_by_hand_are_events_too(breaker: Breaker) -> None:
    """Of no call; told to the last observer that asked for it, and none without one."""
    breaker.force_open()
    first, last = RecordingObserver(), RecordingObserver()
    for observer in (first, last, None):
        breaker.tell(observer, SPEAK)
    breaker.reset()
    breaker.reset()
    breaker.disable()
    assert changes(last.events) == [("forced_open", "closed"), ("closed", "disabled")]
    (told, _) = last.of(BreakerChanged)
    assert (told.provider, told.operation, told.call, told.calls) == ("acme", "speak", 0, 0)
    assert not first.events


def test_the_owner_hears_of_changes_too(clock: Clock) -> None:
    """Also of those by hand; and what it raises breaks no call."""
    heard: list[BreakerStats] = []

    def listen(stats: BreakerStats) -> None:
        heard.append(stats)
        raise ValueError("mine")

    breaker = Breaker(clock=clock, rng=NoJitter(), on_change=listen)
    trip(breaker)
    breaker.force_open()
    breaker.force_open()
    breaker.reset()
    assert [stats.state for stats in heard] == ["open", "forced_open", "closed"]
    assert heard[0].calls == 10
    assert heard[0].since == clock.now


@pytest.mark.parametrize(("act", "admitted"), [("reset", True), ("force_open", False)])
def test_whoever_hears_of_a_change_may_change_it(act: str, admitted: bool, clock: Clock) -> None:
    """Such as an alarm that forces it open when it turns half open."""
    breaker = Breaker(
        clock=clock,
        rng=NoJitter(),
        on_change=lambda stats: getattr(breaker, act)() if stats.state == "half_open" else None,
    )
    trip(breaker)
    clock.pass_(5)
    assert (Doing(breaker).refusal is None) is admitted
    assert breaker.state == ("closed" if admitted else "forced_open")


# -- what it costs --------------------------------------------------------------------------


def test_pybreaker_comes_with_the_first_failure_and_without_redis(tmp_path: Path) -> None:
    """By itself it would import Redis where that is installed: 100 ms inside somebody's call."""
    for name in ("redis", "tornado"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    script = """
import asyncio, sys
from voicekit.resilience.breaker import Breaker
async def fail(): raise OSError
async def main():
    breaker = Breaker(least_calls=1)
    await breaker.run(lambda: asyncio.sleep(0))
    assert "voicekit.resilience.breaker_states" not in sys.modules
    try: await breaker.run(fail)
    except OSError: pass
    assert breaker.state == "open"
    assert "pybreaker" not in sys.modules
    assert not {"redis", "tornado"} & set(sys.modules)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path[1:]])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timing
def test_it_costs_little_closed_and_refuses_at_once(breaker: Breaker) -> None:
    """About 1 µs, and 2 µs; the bounds are for a busy machine."""

    async def step(_: Call) -> None:
        pass

    call = Call(SPEAK)

    def once() -> None:
        with contextlib.suppress(StopIteration, CircuitOpenError):
            breaker(call, step).send(None)

    assert min(timeit.repeat(once, number=1000, repeat=5)) / 1000 < 50e-6
    breaker.reset()
    trip(breaker)
    assert min(timeit.repeat(once, number=1000, repeat=5)) / 1000 < 50e-6


def test_limits_of_the_call_decide_what_is_slow(breaker: Breaker, clock: Clock) -> None:
    """Not those of the operation, when the client or the caller has replaced them."""
    for _ in range(10):
        call = Doing(breaker)
        call.call.limits = Limits(first_output=60.0)
        clock.pass_(20)
        call.returns()
    assert breaker.stats().slow_rate == 0
