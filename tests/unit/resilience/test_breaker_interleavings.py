"""The breaker between concurrent callers, in thousands of orders."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest
from by_hand import SPEAK, NoJitter

from interleaving import interleavings
from voicekit.errors import CircuitOpenError, ConnectionLostError
from voicekit.operation import Call
from voicekit.resilience.breaker import Breaker
from voicekit.testing.clock import VirtualLoop

Step = Callable[[Call], Awaitable[None]]


def make(**options: float) -> Breaker:
    clock = asyncio.get_running_loop().time
    return Breaker(clock=clock, rng=NoJitter(), **options)  # type: ignore[arg-type]


async def good(_: Call) -> None:
    await asyncio.sleep(0)


async def bad(_: Call) -> None:
    await asyncio.sleep(0)
    raise ConnectionLostError("lost")


async def trip(breaker: Breaker) -> None:
    for _ in range(10):
        with contextlib.suppress(ConnectionLostError):
            await breaker(Call(SPEAK), bad)
    assert breaker.state == "open"


class Server:
    """Counts who is in it while the breaker probes."""

    def __init__(self, breaker: Breaker, rng: random.Random) -> None:
        self._breaker, self._rng = breaker, rng
        self.inside = self.most = self.reached = 0
        self.failures = 0.5

    async def __call__(self, _: Call) -> None:
        self.reached += 1
        probing = self._breaker.state == "half_open"
        self.inside += probing
        self.most = max(self.most, self.inside)
        try:
            for _ in range(self._rng.randrange(4)):
                await asyncio.sleep(self._rng.choice([0, 0, 0.1]))
            if self._rng.random() < self.failures:
                raise ConnectionLostError("lost")
        finally:
            self.inside -= probing


def test_many_failures_at_once_open_it_once() -> None:
    """Each caller gets its own error, and the period is the first one."""

    async def scenario(rng: random.Random) -> None:
        breaker = make()
        errors = [ConnectionLostError(str(number)) for number in range(16)]

        async def fail(error: Exception) -> None:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            raise error

        async def caller(error: Exception) -> None:
            with contextlib.suppress(CircuitOpenError):
                with pytest.raises(ConnectionLostError) as raised:
                    await breaker(Call(SPEAK), lambda _: fail(error))
                assert raised.value is error

        await asyncio.gather(*map(caller, errors))
        stats = breaker.stats()
        assert (stats.state, stats.opened, stats.calls) == ("open", 1, 10)
        assert stats.retry_in == 5.0

    interleavings(scenario)


def test_recovery_admits_the_probes_and_nobody_else() -> None:
    """Twelve callers when the period ends; some probes fail, some are cancelled."""

    async def scenario(rng: random.Random) -> None:
        breaker = make()
        await trip(breaker)
        await asyncio.sleep(5)
        server = Server(breaker, rng)
        server.failures = rng.choice([0.0, 0.3])
        tasks = [asyncio.create_task(breaker(Call(SPEAK), server)) for _ in range(12)]
        for task in tasks:
            if rng.random() < 0.3:
                asyncio.get_running_loop().call_later(rng.choice([0, 0.05]), task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert server.most <= 2
        kinds = {type(None), ConnectionLostError, CircuitOpenError, asyncio.CancelledError}
        assert {type(end) for end in ends} <= kinds
        # Whatever happened, no place is lost: a good server is found good.
        await asyncio.sleep(10)
        for _ in range(2):
            await breaker(Call(SPEAK), good)
        assert breaker.state == "closed"

    interleavings(scenario)


def test_late_results_change_nothing() -> None:
    """Calls of before the trip end while it is open, half open or closed again."""

    async def scenario(rng: random.Random) -> None:
        breaker = make()

        async def late(_: Call) -> None:
            await asyncio.sleep(rng.uniform(0, 8))
            if rng.random() < 0.5:
                raise ConnectionLostError("late")

        early = [asyncio.create_task(breaker(Call(SPEAK), late)) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        breaker.reset()  # what ends from here on began in another state
        await trip(breaker)
        await asyncio.sleep(5)

        async def slowly(_: Call) -> None:
            await asyncio.sleep(1)

        await asyncio.gather(*(breaker(Call(SPEAK), slowly) for _ in range(2)))
        assert breaker.state == "closed"
        await asyncio.gather(*early, return_exceptions=True)
        stats = breaker.stats()
        assert (stats.state, stats.opened, stats.calls) == ("closed", 1, 0)

    interleavings(scenario)


def test_a_storm_leaves_it_able_to_close() -> None:
    """Sixty callers, failures, cancellations, hanging probes; then the server is well again."""

    async def scenario(rng: random.Random) -> None:
        breaker = make(probe_limit=3.0, longest_open=10.0)
        server = Server(breaker, rng)
        server.failures = rng.choice([0.4, 0.8])

        async def step(call: Call) -> None:
            if rng.random() < 0.1:
                await asyncio.sleep(6)  # beyond the limit of a probe
            await server(call)

        async def caller() -> None:
            await asyncio.sleep(rng.uniform(0, 40))
            await breaker(Call(SPEAK), step)

        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(caller()) for _ in range(60)]
        for task in tasks[::4]:
            loop.call_later(rng.uniform(0, 45), task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        refused = sum(isinstance(end, CircuitOpenError) for end in ends)
        assert breaker.stats().rejected >= refused
        if breaker.state != "closed":
            await asyncio.sleep(10)
            for _ in range(2):
                await breaker(Call(SPEAK), good)
        assert breaker.state == "closed"

    interleavings(scenario, range(500))


async def _five_awaits(_: Call) -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("state", ["closed", "half_open", "disabled"])
@pytest.mark.parametrize("steps", range(8))
def test_cancellation_at_every_await_leaves_everything_as_it_was(steps: int, state: str) -> None:
    """Promptly, as itself, and with the place of a probe given back."""

    async def sweep() -> None:
        breaker = make(probes=1)
        if state == "half_open":
            await trip(breaker)
            await asyncio.sleep(5)
            with contextlib.suppress(asyncio.CancelledError):
                await breaker(Call(SPEAK), _cancelled)
        elif state == "disabled":
            breaker.disable()
        assert breaker.state == state
        before = breaker.stats()
        task = asyncio.create_task(breaker(Call(SPEAK), _five_awaits))
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert breaker.stats() == before
            if state == "half_open":
                await breaker(Call(SPEAK), good)
                assert breaker.state == "closed"
        else:
            assert steps > 5

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(sweep())


async def _cancelled(_: Call) -> None:
    raise asyncio.CancelledError
