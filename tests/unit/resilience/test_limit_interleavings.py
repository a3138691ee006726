"""The concurrency limit under thousands of orders of events, and cancelled at every turn."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))
from limited import OPERATION, busy, make, refusal

from interleaving import interleavings
from voicekit.deadlines import deadline
from voicekit.errors import OverloadedError, RateLimitError, TotalTimeout, UnavailableError
from voicekit.operation import Call
from voicekit.pipeline import Pipeline
from voicekit.resilience.limit import Limit
from voicekit.resilience.limit_state import LimitState


class Watched(LimitState[Any]):
    """Looks at each place in the moment in which it is given."""

    def enter(self, now: float) -> int:
        serial = super().enter(now)
        assert not serial or self.limit is None or self.in_flight <= self.limit
        return serial

    def admit(self, now: float) -> Any:
        waiter = super().admit(now)
        assert waiter is None or self.limit is None or self.in_flight <= self.limit
        return waiter


class Provider:
    """Takes ``most`` calls at a time and refuses the others."""

    def __init__(self, limit: Limit, rng: random.Random) -> None:
        self.limit, self.rng = limit, rng
        self.most = rng.choice([1, 2, 3, 5])
        self.tells = rng.random() < 0.3
        self.opening: set[Call] = set()
        self.outcomes: list[str] = []

    async def open(self, call: Call) -> str:
        """One attempt."""
        self.opening.add(call)
        assert len(self.opening) <= self.limit.stats().in_flight, "without a place"
        try:
            for _ in range(self.rng.randrange(3)):
                await asyncio.sleep(0)
            if self.tells:
                call.capacity = (len(self.opening), self.most)
            if len(self.opening) > self.most:
                raise refusal(self.rng.choice([None, "concurrent_limit_exceeded"]))
            match self.rng.randrange(8):
                case 0:
                    raise refusal("tokens", retry_after=self.rng.choice([0.01, 0.3, 60.0]))
                case 1:
                    raise UnavailableError("status 503")
            return "opened"
        finally:
            # Only openings are counted here: what the limit takes for a call is longer.
            self.opening.discard(call)

    async def caller(self) -> None:
        rng = self.rng
        await asyncio.sleep(rng.choice([0, 0, 0.01]))
        with deadline(rng.choice([60.0, 60.0, 0.02])):
            call = Call(OPERATION)
        try:
            await Pipeline((self.limit,)).open(call, self.open)
            await asyncio.sleep(rng.choice([0, 0, 0.005, 0.02]))
            self.outcomes.append("ok")
        except TotalTimeout:
            pass  # of 0.02 s, by the real clock: this machine is busy
        except (OverloadedError, RateLimitError, UnavailableError) as error:
            self.outcomes.append(type(error).__name__)
        except asyncio.CancelledError:
            self.outcomes.append("cancelled")
            raise
        finally:
            call.end()


def test_any_order_of_any_callers(full: bool) -> None:
    """Never more than the limit, everybody gets an end, and no place is lost."""
    seen: set[str] = set()

    async def scenario(rng: random.Random) -> None:
        limit = make(
            rng.choice([None, 1, 2, 4]),
            queue=rng.choice([0, 2, 100]),
            max_wait=rng.choice([0.01, 0.1, 5.0]),
        )
        limit._state = Watched(
            most=limit.most, least=1, queue=limit.queue, decrease=rng.choice([0.3, 0.7])
        )
        provider = Provider(limit, rng)
        tasks = [asyncio.create_task(provider.caller()) for _ in range(rng.randrange(2, 9))]
        for _ in range(rng.randrange(4)):
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            rng.choice(tasks).cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(e is None or isinstance(e, asyncio.CancelledError) for e in ended), ended
        assert busy(limit) == (0, 0)
        assert not limit._kept
        assert limit._resume is None
        seen.update(provider.outcomes)

    interleavings(scenario, range(10_000 if full else 2_000))
    assert seen == {"ok", "OverloadedError", "RateLimitError", "UnavailableError", "cancelled"}


def test_nobody_starves() -> None:
    """With patience and a queue for all, whoever is not cancelled is served, in order."""

    async def scenario(rng: random.Random) -> None:
        limit = make(rng.choice([1, 2, 3]))
        came: list[int] = []
        served: list[int] = []

        async def call(number: int) -> None:
            async def work() -> None:
                served.append(number)
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)

            came.append(number)
            await limit.run(work)

        tasks = [asyncio.create_task(call(number)) for number in range(8)]
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        dropped = rng.sample(range(8), 2)
        for number in dropped:
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert set(range(8)) - set(dropped) <= set(served)
        if limit.most == 1:  # of those who get places at a time, any may begin first
            assert served == [number for number in came if number in served]
        assert busy(limit) == (0, 0)

    interleavings(scenario, range(500))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_cancelled_at_every_turn(place: int) -> None:
    """One of three callers is cancelled after n steps of the loop; the other two are served."""
    ended: set[str] = set()

    async def scenario(turns: int, rng: random.Random) -> None:
        limit = make(1)
        results: list[int] = []

        async def call(number: int) -> None:
            await limit.run(lambda: asyncio.sleep(0, results.append(number)))

        tasks = [asyncio.create_task(call(number)) for number in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[place].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ended.add("cancelled" if tasks[place].cancelled() else "served")
        assert set(results) >= {0, 1, 2} - {place}
        assert busy(limit) == (0, 0)
        assert limit.stats().waited_s == 0.0

    for turns in range(14):

        async def swept(rng: random.Random, turns: int = turns) -> None:
            await scenario(turns, rng)

        interleavings(swept, range(25))
    assert ended == {"cancelled", "served"}


def test_hedges_in_any_order() -> None:
    """Two attempts of each call: the first answer wins, the other is cancelled, both places go."""

    async def scenario(rng: random.Random) -> None:
        limit = make(rng.choice([1, 2, 3]))
        most = limit.most or 0
        running = 0

        async def step(_: Call) -> str:
            nonlocal running
            running += 1
            assert running <= most
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                if not rng.randrange(5):
                    raise UnavailableError
            finally:
                running -= 1
            return "opened"

        async def hedged() -> None:
            call = Call(OPERATION)
            twin = call.twin()
            both: list[asyncio.Task[Any]] = [
                asyncio.create_task(limit(each, step)) for each in (call, twin)
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for attempt in both:
                attempt.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            call.adopt(twin)
            call.end()

        await asyncio.gather(*(hedged() for _ in range(rng.randrange(1, 5))))
        assert busy(limit) == (0, 0)
        assert not limit._kept

    interleavings(scenario, range(1000))
