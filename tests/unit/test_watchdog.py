"""The gap's clock: it counts waiting, and only waiting, since the last useful output."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit.testing.clock import VIRTUAL
from voicekit.watchdog import Watchdog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class Watched:
    def __init__(self, limit: float | None, until: float | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.trips: list[tuple[float, bool]] = []
        at = None if until is None else self.start + until
        self.dog = Watchdog(self.loop, limit, at, self._trip)

    def _trip(self, total: bool) -> None:
        self.trips.append((self.loop.time() - self.start, total))


async def test_trips_exactly() -> None:
    """After the limit of waiting, to the microsecond, also beyond five seconds."""
    watched = Watched(7.4)
    watched.dog.waiting()
    await asyncio.sleep(60)
    assert watched.trips == [(pytest.approx(7.4), False)]


async def test_nothing_counts_while_nobody_waits() -> None:
    """A consumer may be away for as long as it likes."""
    watched = Watched(1.0)
    for _ in range(5):
        watched.dog.waiting()
        await asyncio.sleep(0.9)
        watched.dog.arrived(useful=True)
        await asyncio.sleep(100)
    assert watched.trips == []


async def test_useless_output_does_not_stop_the_count() -> None:
    """Pings and empty deltas add up; pauses of the consumer between them do not."""
    watched = Watched(1.0)
    for _ in range(3):
        watched.dog.waiting()
        await asyncio.sleep(0.3)
        watched.dog.arrived(useful=False)
        await asyncio.sleep(50)
    assert watched.trips == []
    watched.dog.waiting()
    await asyncio.sleep(5)
    assert watched.trips == [(pytest.approx(3 * 50.3 + 0.1), False)]


async def test_waiting_twice_is_waiting_once() -> None:
    """The count goes on from when it began."""
    watched = Watched(1.0)
    watched.dog.waiting()
    await asyncio.sleep(0.6)
    watched.dog.waiting()
    await asyncio.sleep(5)
    assert watched.trips == [(pytest.approx(1.0), False)]


async def test_the_total_comes_first() -> None:
    """Whichever is earlier trips, and says which it was."""
    watched = Watched(5.0, until=2.0)
    watched.dog.waiting()
    await asyncio.sleep(10)
    assert watched.trips == [(pytest.approx(2.0), True)]
    other = Watched(1.0, until=2.0)
    other.dog.waiting()
    await asyncio.sleep(10)
    assert other.trips == [(pytest.approx(1.0), False)]


async def test_a_total_that_passed_meanwhile_trips_at_once() -> None:
    """A consumer who comes back too late learns it from the first wait."""
    watched = Watched(None, until=1.0)
    await asyncio.sleep(30)
    assert watched.trips == []
    watched.dog.waiting()
    await asyncio.sleep(0.001)
    assert watched.trips == [(pytest.approx(30.0, abs=0.01), True)]


async def test_without_limits_it_sleeps() -> None:
    """And sets no timer: the virtual loop would call that a deadlock if anybody waited."""
    watched = Watched(None)
    watched.dog.waiting()
    await asyncio.sleep(1000)
    watched.dog.stop()
    assert watched.trips == []


async def test_stopped() -> None:
    """Nothing trips afterwards."""
    watched = Watched(1.0)
    watched.dog.waiting()
    watched.dog.stop()
    watched.dog.stop()
    await asyncio.sleep(10)
    assert watched.trips == []


async def test_the_limit_may_change_between_waits() -> None:
    """A session has one before its first output and another after."""
    watched = Watched(1.0)
    watched.dog.limit = 3.0
    watched.dog.waiting()
    await asyncio.sleep(10)
    assert watched.trips == [(pytest.approx(3.0), False)]
