"""A call: its limits by phase, its one terminal event, its evidence; the pipeline's order."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit import events
from voicekit.deadlines import deadline
from voicekit.errors import (
    AuthenticationError,
    ConnectTimeout,
    DeadlineError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    TotalTimeout,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL
from voicekit.timing import ConnectionInfo

pytestmark = pytest.mark.anyio

WARM = ConnectionInfo(reused=True, age=3.0, idle=1.0, id=7)


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def operation(**limits: float | None) -> Operation:
    return Operation(
        provider="testing", name="test", kind=OperationClass.COMPUTE, limits=Limits(**limits)
    )


def make(observer: events.Observer | None = None, **limits: float | None) -> Call:
    return Call(operation(**limits), observer=observer)


def now() -> float:
    return asyncio.get_running_loop().time()


async def opened(call: Call, *phases: tuple[str, float]) -> None:
    """Run an attempt through phases, each for so many seconds."""

    async def step(call: Call) -> None:
        for phase, seconds in phases:
            if phase == "sent":
                call.sent(WARM)
            elif phase == "uploading":
                call.uploading(WARM)
            elif phase == "shared":
                call.dialing(shared=True)
            elif phase == "shake":
                call.shaking_hands(WARM)
            elif phase != "preparing":
                getattr(call, phase)()
            await asyncio.sleep(seconds)

    await Pipeline().open(call, step)


# -- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phases", "limits", "after", "kind"),
    [
        ([("dialing", 99)], {"connect": 7.3}, 7.3, ConnectTimeout),
        ([("dialing", 1), ("dialing", 99)], {"connect": 7.3}, 7.3, ConnectTimeout),
        ([("queued", 5), ("dialing", 99)], {"connect": 2.0}, 7.0, ConnectTimeout),
        ([("dialing", 1), ("sent", 99)], {"first_output": 6.2}, 7.2, FirstOutputTimeout),
        ([("sent", 99)], {"first_output": 0.25}, 0.25, FirstOutputTimeout),
        ([("shared", 99)], {"connect": 2.0, "first_output": 5.0}, 7.0, ConnectTimeout),
        ([("shared", 99)], {"connect": 2.0}, 4.0, ConnectTimeout),
        ([("dialing", 1), ("shake", 99)], {"connect": 2.0}, 2.0, ConnectTimeout),
        ([("shake", 99)], {"connect": 2.0}, 2.0, ConnectTimeout),
        ([("shake", 99)], {"first_output": 3.0}, 3.0, FirstOutputTimeout),
        ([("uploading", 99)], {"gap": 3.0, "first_output": 9.0}, 3.0, GapTimeout),
        ([("uploading", 99)], {"first_output": 9.0, "total": 3.0}, 9.0, GapTimeout),
        ([("uploading", 2), ("progressed", 2), ("progressed", 99)], {"gap": 3.0}, 7.0, GapTimeout),
        ([("uploading", 2), ("sent", 99)], {"first_output": 3.0}, 5.0, FirstOutputTimeout),
        ([("dialing", 1), ("uploading", 50), ("sent", 99)], {"total": 3.0}, 54.0, TotalTimeout),
    ],
)
async def test_each_phase_has_its_limit(
    phases: list[tuple[str, float]],
    limits: dict[str, float],
    after: float,
    kind: type[DeadlineError],
) -> None:
    """It counts from where the phase began, exactly, also beyond five seconds."""
    call, start = make(**limits), now()
    with pytest.raises(kind) as caught:
        await opened(call, *phases)
    assert now() - start == pytest.approx(after)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("phases", "uploaded"),
    [
        ([("uploading", 5), ("sent", 99)], True),
        ([("uploading", 99)], False),
        ([("sent", 99)], False),
    ],
)
async def test_a_timeout_after_an_upload_is_marked(
    phases: list[tuple[str, float]], uploaded: bool
) -> None:
    """On the call and on the error, so that no policy sends it all again; never before."""
    for limits in ({"first_output": 7.0}, {"gap": 7.0, "total": 7.0}):
        call = make(**limits)
        with pytest.raises(DeadlineError) as caught:
            await opened(call, *phases)
        assert call.uploaded is uploaded
        assert caught.value.retry_stopped == ("uploaded" if uploaded else None)
        assert caught.value.limit == 7.0


async def test_an_early_answer_to_an_upload_is_none_of_its_end() -> None:
    """The first-output limit counts from it, and what was not all sent may be repeated."""

    async def step(call: Call) -> None:
        call.uploading(WARM)
        await asyncio.sleep(1)
        call.sent(WARM, whole=False)
        await asyncio.sleep(99)

    call, start = make(first_output=3.0, gap=2.0), now()
    with pytest.raises(FirstOutputTimeout) as caught:
        await Pipeline().open(call, step)
    assert now() - start == pytest.approx(4.0)
    assert not call.uploaded
    assert caught.value.retry_stopped is None


async def test_the_ambient_deadline_goes_on_during_an_upload() -> None:
    """Only the operation's own total waits for the last byte."""
    start = now()
    with deadline(4.0):
        call = make(total=9.0)
        with pytest.raises(TotalTimeout) as caught:
            await opened(call, ("uploading", 99))
    assert now() - start == pytest.approx(4.0, abs=0.05)
    assert caught.value.limit == pytest.approx(4.0, abs=0.05)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("phase", ["uploading", "sent"])
async def test_cancelled_in_an_upload_the_outcome_is_unknown(phase: str) -> None:
    """Some of it may be there."""
    recorder = RecordingObserver()
    call = make(recorder)
    task = asyncio.create_task(opened(call, (phase, 99)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [end.outcome for end in recorder.ended] == ["unknown"]


async def test_without_limits_nothing_trips() -> None:
    """Whatever the phase, for an hour."""
    call = make(connect=None)
    await opened(call, ("preparing", 900), ("queued", 900), ("dialing", 900), ("sent", 900))


@pytest.mark.parametrize("phase", ["preparing", "queued", "dialing", "sent"])
async def test_the_total_holds_in_every_phase(phase: str) -> None:
    """And says whether the request was out."""
    call, start = make(connect=50, first_output=50, total=6.5), now()
    with pytest.raises(TotalTimeout) as caught:
        await opened(call, (phase, 99))
    assert now() - start == pytest.approx(6.5, abs=0.05)
    assert caught.value.limit == pytest.approx(6.5)
    assert caught.value.outcome == ("unknown" if phase == "sent" else "not_applied")


async def test_the_ambient_deadline_is_a_total() -> None:
    """Read when the call starts; the earlier of the two holds."""
    start = now()
    with deadline(2.0):
        call = make(connect=50, total=60)
    with pytest.raises(TotalTimeout):
        await opened(call, ("dialing", 99))
    assert now() - start == pytest.approx(2.0, abs=0.05)
    with deadline(60):
        call = make(connect=50, total=1.0)
    assert (call.remaining() or 0) <= 1.0


async def test_a_call_out_of_time_is_not_sent() -> None:
    """No attempt is made, and it is not said to have had zero seconds."""
    with deadline(0):
        call = make()
    with pytest.raises(TotalTimeout, match="its deadline had passed already") as caught:
        await opened(call, ("sent", 0))
    assert caught.value.limit == 0.0
    assert caught.value.attempts == 0
    assert caught.value.outcome == "not_applied"


async def test_a_limit_of_less_than_a_millisecond() -> None:
    """It is said with the digits that it has."""
    with pytest.raises(TotalTimeout, match=r"not done within 0\.0001 s"):
        await opened(make(total=0.0001), ("sent", 99))


async def test_cancellation_is_not_a_timeout() -> None:
    """The task's own cancellation comes through as it is, at the limit too."""
    recorder = RecordingObserver()
    call = make(recorder, first_output=1.0)
    task = asyncio.create_task(opened(call, ("sent", 99)))
    await asyncio.sleep(0.999999)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert [end.result for end in recorder.ended] == ["cancelled"]


async def test_cancelled_at_the_very_moment_of_the_limit() -> None:
    """Both in one turn of the loop: the cancellation wins, and none is left over."""
    call = make(first_output=1.0)
    task = asyncio.create_task(opened(call, ("sent", 99)))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(now() + 1.0, task.cancel)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_limit_leaves_no_cancellation_behind() -> None:
    """The task goes on undisturbed after it has caught the error."""
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(FirstOutputTimeout):
        await opened(make(first_output=0.1), ("sent", 99))
    assert task.cancelling() == 0
    await asyncio.sleep(1)


async def test_a_users_timeout_is_his_own() -> None:
    """A TimeoutError that the step raises, and asyncio.timeout around it, keep their meaning."""

    async def step(call: Call) -> None:
        raise TimeoutError("somebody's own")

    with pytest.raises(TimeoutError, match="own") as caught:
        await Pipeline().open(make(first_output=1), step)
    assert not isinstance(caught.value, VoicekitError)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.5):
            await opened(make(first_output=1), ("sent", 99))
    assert not isinstance(caught.value, VoicekitError)


@pytest.mark.parametrize("name", ["connect", "first_output", "gap", "total"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_positive(name: str, value: float) -> None:
    """Or None."""
    with pytest.raises(InvalidArgumentError, match=name):
        Limits(**{name: value})
    assert getattr(Limits(**{name: None}), name) is None


# -- events and evidence ---------------------------------------------------------------------


async def test_the_events_of_a_call() -> None:
    """In order, one terminal, all of them numbered."""
    recorder = RecordingObserver()
    call = make(recorder)
    await opened(call, ("dialing", 0.1), ("sent", 0.2))
    call.committed()
    call.end()
    call.end(AuthenticationError("too late"))
    assert [type(event).__name__ for event in recorder.events] == [
        "CallStarted",
        "AttemptStarted",
        "ConnectionAcquired",
        "FirstOutput",
        "CallEnded",
    ]
    assert {event.call for event in recorder.events} == {call.id}
    (end,) = recorder.ended
    assert (end.result, end.outcome, end.error, end.attempts) == ("ok", "applied", None, 1)
    assert end.connection is WARM
    assert end.timings.total is not None


@pytest.mark.parametrize(
    ("error", "result", "outcome"),
    [
        (AuthenticationError("no", status=401), "error", "not_applied"),
        (KeyError("bug"), "error", "unknown"),
        (asyncio.CancelledError(), "cancelled", "unknown"),
        (GeneratorExit(), "cancelled", "unknown"),
    ],
)
async def test_how_a_call_ends(error: BaseException, result: str, outcome: str) -> None:
    """Once, with what is known of its effect."""
    recorder = RecordingObserver()
    call = make(recorder)

    async def step(call: Call) -> None:
        call.sent(WARM)
        raise error

    with pytest.raises(type(error)):
        await Pipeline().open(call, step)
    call.end()
    (end,) = recorder.ended
    assert (end.result, end.outcome, end.error) == (result, outcome, type(error).__name__)
    assert end.status == getattr(error, "status", None)


async def test_a_cancelled_stream_is_partial() -> None:
    """After the commit point something was delivered."""
    recorder = RecordingObserver()
    call = make(recorder)
    await opened(call, ("sent", 0))
    call.committed()
    call.end(asyncio.CancelledError())
    assert [end.outcome for end in recorder.ended] == ["partial"]


async def test_errors_carry_the_evidence() -> None:
    """Provider, operation, attempts, timings, connection and the request's id."""
    call = make(first_output=0.5)
    call.request_id = "req-1"
    with pytest.raises(FirstOutputTimeout) as caught:
        await opened(call, ("queued", 0.25), ("sent", 99))
    error = caught.value
    assert (error.provider, error.operation, error.attempts) == ("testing", "test", 1)
    assert error.request_id == "req-1"
    assert error.connection is WARM
    assert error.timings is not None
    assert str(error) == "testing test: nothing useful within 0.5 s"


async def test_a_key_in_an_error_is_taken_out() -> None:
    """Whoever put it there."""
    key = "sk-0123456789abcdef"
    call = Call(operation(), secret=lambda: key)

    async def step(call: Call) -> None:
        raise AuthenticationError(f"bad {key}")

    with pytest.raises(AuthenticationError) as caught:
        await Pipeline().open(call, step)
    assert key not in str(caught.value)


async def test_a_broken_observer_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The others still see everything; the log names the observer and the type of its error."""

    class Broken:
        def on_event(self, event: events.Event, /) -> None:
            raise RuntimeError("marked secret")

    recorder = RecordingObserver()
    call = make(events.Observers(Broken(), recorder))
    await opened(call, ("sent", 0))
    call.end()
    assert len(recorder.events) == 4
    assert "Broken failed: RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_unobserved_calls_build_no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pays for what nobody sees."""

    def built(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("an event was built")

    for name in ("CallStarted", "AttemptStarted", "ConnectionAcquired", "FirstOutput", "CallEnded"):
        monkeypatch.setattr(events, name, built)
    call = make()
    await opened(call, ("sent", 0))
    call.committed()
    call.end()


# -- pipelines ----------------------------------------------------------------------------------


class Twice:
    """A policy: once more after an error."""

    async def __call__(self, call: Call, step: Any, /) -> Any:
        try:
            return await step(call)
        except VoicekitError:
            return await step(call)

    def __repr__(self) -> str:
        return "twice"


class Noted:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def __call__(self, call: Call, step: Any, /) -> Any:
        self.log.append(f"{self.name} in")
        try:
            return await step(call)
        finally:
            self.log.append(f"{self.name} out")

    def __repr__(self) -> str:
        return self.name


def test_a_pipelines_repr_is_its_order() -> None:
    """From the outside in."""
    assert repr(Pipeline()) == "deadline → attempt limits → transport"
    assert repr(Pipeline((Twice(),))) == "deadline → twice → attempt limits → transport"


async def test_policies_wrap_in_order() -> None:
    """The first is the outermost."""
    log: list[str] = []

    async def step(call: Call) -> int:
        log.append("step")
        return 42

    pipeline = Pipeline((Noted("a", log), Noted("b", log)))
    assert await pipeline.open(make(), step) == 42
    assert log == ["a in", "b in", "step", "b out", "a out"]


async def test_every_attempt_has_its_limits_and_the_call_one_end() -> None:
    """A repeat starts its phases anew, inside the same total."""
    recorder = RecordingObserver()
    call, start = make(recorder, connect=1.0, first_output=2.0), now()
    waits = iter([("dialing", 99.0), ("sent", 99.0)])

    async def step(call: Call) -> None:
        phase, seconds = next(waits)
        call.sent(WARM) if phase == "sent" else call.dialing()
        await asyncio.sleep(seconds)

    with pytest.raises(FirstOutputTimeout) as caught:
        await Pipeline((Twice(),)).open(call, step)
    assert now() - start == pytest.approx(3.0)
    assert caught.value.attempts == 2
    assert len(recorder.ended) == 1


async def test_what_a_call_holds_is_freed_once() -> None:
    """When it ends; before, once nothing of it is under way; at once, when it was over."""
    freed: list[str] = []
    call = make()
    call.at_end(lambda: freed.append("first"))
    call.free()
    call.free()
    assert freed == ["first"]
    call.at_end(lambda: freed.append("second"))
    call.end()
    assert freed == ["first", "second"]
    call.at_end(lambda: freed.append("third"))
    call.end()
    assert freed == ["first", "second", "third"]
