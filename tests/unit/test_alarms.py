"""One timer for all limits: never late, never early, never for what was taken back."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit.alarms import Alarm, AlarmClock, alarm_clock
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def now() -> float:
    return asyncio.get_running_loop().time()


class Bell(Alarm):
    def __init__(self, also: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.rung: list[float] = []
        self._also = also

    def ring(self) -> None:
        self.rung.append(now())
        self._also()


async def test_exact_however_far_away() -> None:
    """Each rings at its own time to the microsecond, also beyond five seconds."""
    clock, start = AlarmClock(asyncio.get_running_loop()), now()
    bells = [Bell() for _ in range(4)]
    dues = [7.25, 0.5, 61.125, 5.0]
    for bell, due in zip(bells, dues, strict=True):
        clock.set(bell, start + due)
    assert len(clock) == 4
    await asyncio.sleep(100)
    assert [bell.rung for bell in bells] == [[pytest.approx(start + due)] for due in dues]
    assert len(clock) == 0


async def test_moved_and_cleared() -> None:
    """A limit moved away, or nearer, rings once, where it was set last; a cleared one never."""
    clock, start = AlarmClock(asyncio.get_running_loop()), now()
    later, sooner, never = Bell(), Bell(), Bell()
    clock.set(later, start + 1)
    clock.set(sooner, start + 9)
    clock.set(never, start + 2)
    clock.set(later, start + 5)
    clock.set(sooner, start + 0.5)
    clock.clear(never)
    clock.clear(never)
    await asyncio.sleep(20)
    assert later.rung == [pytest.approx(start + 5)]
    assert sooner.rung == [pytest.approx(start + 0.5)]
    assert never.rung == []


async def test_set_again_from_inside_a_ring() -> None:
    """What rings may set itself anew."""
    clock, start = AlarmClock(asyncio.get_running_loop()), now()

    def again() -> None:
        if len(alarm.rung) < 3:
            clock.set(alarm, now() + 1)

    alarm = Bell(again)
    clock.set(alarm, start + 1)
    await asyncio.sleep(10)
    assert [at - start for at in alarm.rung] == pytest.approx([1, 2, 3])


async def test_one_that_fails_does_not_silence_the_others() -> None:
    """Every other call's limit holds all the same, and the failure is reported."""
    loop = asyncio.get_running_loop()
    clock, start = AlarmClock(loop), now()
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: said.append(context))

    def fail() -> None:
        raise RuntimeError

    bells = [Bell(), Bell()]
    for alarm in (bells[0], Bell(fail), bells[1]):
        clock.set(alarm, start + 1)
    await asyncio.sleep(2)
    loop.set_exception_handler(None)
    assert [len(bell.rung) for bell in bells] == [1, 1]
    assert len(said) == 1


async def test_one_clock_per_loop() -> None:
    """And the same one every time."""
    loop = asyncio.get_running_loop()
    assert alarm_clock(loop) is alarm_clock(loop)


def test_closed_loops_are_let_go() -> None:
    """A process that runs many loops one after another keeps none of them."""

    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        alarm_clock(loop).set(Bell(), loop.time() + 60)
        return weakref.ref(loop)

    old = asyncio.run(use())
    asyncio.run(use())
    gc.collect()
    assert old() is None
