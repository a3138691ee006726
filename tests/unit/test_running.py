"""Background work: kept, named, waited for, cut off in time, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import pkgutil
import subprocess
import sys
import threading
import weakref

import pytest

import voicekit
from voicekit import InvalidArgumentError, WrongLoopError, background, drain, running
from voicekit.deadlines import ambient_deadline, deadline
from voicekit.running import DrainReport, draining
from voicekit.testing.clock import VIRTUAL, VirtualLoop, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL


async def test_it_runs_on_without_being_kept() -> None:
    """Nobody holds the task, and the collector does not take it."""
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(5)
        done.append("all")

    background(work())
    gc.collect()
    report = await drain(10)
    assert done == ["all"]
    assert report == DrainReport(finished=1, elapsed=5.0)


async def test_it_has_a_name_and_no_deadline_of_its_caller() -> None:
    """A request's time is not the time of the work that it leaves behind."""
    seen: list[float | None] = []

    async def answer() -> None:
        seen.append(ambient_deadline())

    with deadline(1):
        unnamed, named = background(answer()), background(answer(), name="reply")
    assert unnamed.get_name().startswith("background ")
    assert unnamed.get_name().endswith("answer")
    assert named.get_name() == "reply"
    await drain()
    assert seen == [None, None]


async def test_a_failure_is_logged_by_name_and_type(caplog: pytest.LogCaptureFixture) -> None:
    """Never its text, which may be a caller's; who awaits the task gets it whole."""

    async def fail() -> None:
        raise ValueError("what was said")

    task = background(fail(), name="reply")
    with pytest.raises(ValueError, match="what was said"):
        await task
    await drain()
    assert "reply failed: ValueError" in caplog.text
    assert "what was said" not in caplog.text


async def test_what_is_late_is_cut_off_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """After the time given, with its ``finally`` run; what was in time is only counted."""
    cleaned: list[str] = []

    async def work(seconds: float, name: str) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            cleaned.append(name)

    for seconds, name in ((1, "quick"), (100, "slow"), (200, "slower")):
        background(work(seconds, name), name=name)
    report = await drain(10)
    assert report == DrainReport(finished=1, cut_off=("slow", "slower"), elapsed=10.0)
    assert sorted(cleaned) == ["quick", "slow", "slower"]
    assert "slow, slower" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING


async def test_what_work_begins_is_waited_for_in_the_same_time() -> None:
    """A chain of tasks ends, or is cut off as one."""
    seen: list[int] = []

    async def work(n: int) -> None:
        await asyncio.sleep(3)
        seen.append(n)
        background(work(n + 1), name=f"step {n + 1}")

    background(work(1), name="step 1")
    report = await drain(10)
    assert seen == [1, 2, 3]
    assert report.finished == 3
    assert report.cut_off == ("step 4",)


async def test_what_is_begun_on_the_way_out_is_cut_off_too() -> None:
    """No task begins another one to outlive the shutdown."""
    begun: list[asyncio.Task[None]] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            begun.append(background(asyncio.sleep(100)))

    background(work())
    await drain(1)
    assert begun[0].cancelled()


async def test_what_comes_in_too_late_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """While what was cut off still says goodbye, nothing new is lost in silence."""
    ran: list[str] = []

    async def polite() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.5)

    async def message() -> None:
        ran.append("message")

    background(polite(), name="polite")
    ending = asyncio.ensure_future(drain(1))
    await asyncio.sleep(1.2)
    late = background(message(), name="message 2")
    report = await ending
    assert report == DrainReport(cut_off=("message 2", "polite"), elapsed=1.5)
    assert late.cancelled()
    assert not ran
    assert "does not run: message 2" in caplog.text
    await background(message())
    assert ran


async def test_two_drains_at_their_end_both_tell_it() -> None:
    """Whoever asks which work is lost hears of all of it."""
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    task = background(stubborn(), name="stubborn")
    both = [asyncio.ensure_future(drain(seconds)) for seconds in (1, 1.5)]
    await asyncio.sleep(1.2)
    background(asyncio.sleep(1), name="early")
    await asyncio.sleep(0.5)
    background(asyncio.sleep(1), name="late")
    for report in await asyncio.gather(*both):
        assert report.cut_off == ("early", "late", "stubborn")
    released.set()
    await task


async def test_work_that_drains_the_rest_is_not_cut_off_with_it() -> None:
    """It returns, and says what was."""
    background(asyncio.sleep(100), name="slow")
    report = await background(drain(1), name="drains")
    assert report == DrainReport(cut_off=("slow",), elapsed=1.0)


async def test_the_bound_holds_for_what_refuses_to_end(caplog: pytest.LogCaptureFixture) -> None:
    """A shutdown is not held up by one who swallows his cancellation."""
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    task = background(stubborn(), name="stubborn")
    report = await drain(2)
    assert report == DrainReport(cut_off=("stubborn",), stuck=("stubborn",), elapsed=3.0)
    assert "does not end: stubborn" in caplog.text
    released.set()
    await task


async def test_nothing_to_drain_takes_no_time_and_it_goes_on_afterwards() -> None:
    """A drain is no end of the loop: tests and reloads go on."""
    assert await drain() == DrainReport()
    background(asyncio.sleep(100))
    assert len((await drain(0)).cut_off) == 1
    task = background(asyncio.sleep(1))
    assert (await drain()).finished == 1
    assert not task.cancelled()


async def test_a_drain_does_not_wait_for_itself() -> None:
    """Work may drain the rest."""
    background(asyncio.sleep(3))
    report = await background(drain(10))
    assert report.finished == 1
    assert report.elapsed == 3.0


async def test_cancelled_it_leaves_the_work_running() -> None:
    """Who no longer waits has ended nothing."""
    task = background(asyncio.sleep(5))
    waiter = asyncio.ensure_future(drain(10))
    await asyncio.sleep(1)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not task.done()
    assert (await drain(10)).finished == 1


async def test_cancelled_while_it_cuts_off_it_leaves_nothing_behind() -> None:
    """What was cancelled stays so, and new work is taken as before."""
    released = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await released.wait()

    task = background(slow_to_end())
    waiter = asyncio.ensure_future(drain(1))
    await asyncio.sleep(1.5)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    released.set()
    assert not background(asyncio.sleep(1)).cancelled()
    assert (await drain()).finished == 1
    assert task.cancelled()


async def test_two_drains_at_once() -> None:
    """The shorter one decides; both return."""
    background(asyncio.sleep(100), name="slow")
    short, long = await asyncio.gather(drain(1), drain(50))
    assert short.cut_off == ("slow",)
    assert long.cut_off == ()
    assert long.elapsed < 50


async def test_draining_around_a_block() -> None:
    """Also when the block fails: its error is what is raised."""
    tasks: list[asyncio.Task[None]] = []

    async def application() -> None:
        async with draining(10):
            tasks.append(background(asyncio.sleep(3)))
            raise KeyError

    with pytest.raises(KeyError):
        await application()
    assert tasks[0].done()
    assert not tasks[0].cancelled()


async def test_what_is_left_is_asked_for_at_the_end() -> None:
    """Who drained before gives the rest of that time, which nobody knew at the beginning."""
    left = 50.0
    loop = asyncio.get_running_loop()
    async with draining(lambda: left):
        task = background(asyncio.sleep(100))
        left = 2.0
        began = loop.time()
    assert loop.time() - began == 2.0
    assert task.cancelled()


async def test_bad_arguments_are_refused_before_anything_runs() -> None:
    """And the coroutine is closed, so that nobody is warned of it."""
    with pytest.raises(InvalidArgumentError, match="work"):
        background(asyncio.sleep)  # type: ignore[arg-type]
    work = asyncio.sleep(1)
    with pytest.raises(InvalidArgumentError, match="name"):
        background(work, name="")
    for seconds in (-1, float("nan"), "10"):
        with pytest.raises(InvalidArgumentError, match="seconds"):
            await drain(seconds)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="seconds"):
            async with draining(seconds):  # type: ignore[arg-type]
                raise AssertionError


def test_without_a_loop_it_says_so() -> None:
    """And leaves no coroutine that was never awaited."""
    with pytest.raises(WrongLoopError, match="running event loop"):
        background(asyncio.sleep(0))


def test_each_loop_has_its_own() -> None:
    """Loops in two threads neither see nor drain each other's work."""
    reports: dict[str, DrainReport] = {}
    meet = threading.Barrier(2, timeout=30)

    async def main(name: str) -> None:
        background(asyncio.sleep(0.01), name=name)
        meet.wait()
        reports[name] = await drain(20)
        meet.wait()

    threads = [threading.Thread(target=asyncio.run, args=(main(name),)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: report.finished for name, report in reports.items()} == {"a": 1, "b": 1}


def test_nothing_is_left_of_a_loop_that_is_gone() -> None:
    """Neither of one that ended well, nor of one that was closed under its tasks."""
    with virtual_time() as clock:
        clock.run(_leave())
        well = weakref.ref(clock.loop)
    loop = VirtualLoop()
    task = loop.run_until_complete(_leave())
    task._log_destroy_pending = False  # which is the point
    loop.close()
    badly = weakref.ref(loop)
    del loop, task, clock
    with virtual_time() as clock:  # the next one clears up
        clock.run(_leave())
    gc.collect()
    assert well() is None
    assert badly() is None


async def _leave() -> asyncio.Task[None]:
    return background(asyncio.sleep(1000))


def test_it_keeps_no_process_alive() -> None:
    """A program that ends without ``drain`` ends."""
    code = (
        "import asyncio, voicekit\n"
        "async def main(): voicekit.background(asyncio.sleep(1000))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True, check=True)
    assert done.stderr == b""


def test_the_names_are_the_functions_whatever_is_imported() -> None:
    """No module of ours hides them."""
    for module in pkgutil.iter_modules(voicekit.__path__):
        if module.name != "__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(f"voicekit.{module.name}")
    assert voicekit.background is running.background
    assert voicekit.drain is running.drain
