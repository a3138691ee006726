"""The loop of the interleaving tests permutes tasks, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from interleaving import ShuffledLoop, interleavings


def orders(seeds: range) -> list[str]:
    """In which order five tasks took their two steps, by seed."""
    seen: list[str] = []

    async def scenario(_: random.Random) -> None:
        steps: list[str] = []

        async def walk(name: str) -> None:
            steps.append(name)
            await asyncio.sleep(0)
            steps.append(name)

        await asyncio.gather(*(walk(name) for name in "abcde"))
        seen.append("".join(steps))

    interleavings(scenario, seeds)
    return seen


def test_one_seed_is_one_order_and_many_are_many() -> None:
    """What failed can be repeated; a thousand seeds are not one order."""
    first = orders(range(1000))
    assert orders(range(1000)) == first
    assert len(set(first)) > 900
    assert {"".join(dict.fromkeys(order)) for order in first} == {
        "".join(order) for order in itertools.permutations("abcde")
    }


def test_a_task_may_run_twice_before_another_runs_once() -> None:
    """The draw is among everything ready, not within one round of the loop."""
    assert any(
        order.index("a", order.index("a") + 1) < order.index("b") for order in orders(range(100))
    )


def test_callbacks_keep_their_order() -> None:
    """``call_soon`` promises it."""
    heard: list[list[int]] = []

    async def scenario(_: random.Random) -> None:
        loop, called = asyncio.get_running_loop(), []
        for number in range(20):
            loop.call_soon(called.append, number)

        async def idle() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        await asyncio.gather(*(idle() for _ in range(5)))
        await asyncio.sleep(1)
        heard.append(called)

    interleavings(scenario, range(50))
    assert heard == [list(range(20))] * 50


def test_callbacks_and_tasks_overtake_each_other() -> None:
    """A task that is woken and a callback may come in either order."""
    first: set[str] = set()

    async def scenario(_: random.Random) -> None:
        loop, seen = asyncio.get_running_loop(), []

        async def task() -> None:
            seen.append("task")

        loop.call_soon(seen.append, "callback")
        await asyncio.create_task(task())
        await asyncio.sleep(1)
        first.add(seen[0])

    interleavings(scenario, range(50))
    assert first == {"task", "callback"}


def test_time_is_virtual() -> None:
    """An hour passes at once, and sleepers wake by their time, not by the draw."""

    async def scenario(_: random.Random) -> None:
        woken: list[int] = []

        async def sleep(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleep(seconds) for seconds in (3600, 1, 60)))
        assert woken == [1, 60, 3600]
        assert asyncio.get_running_loop().time() == pytest.approx(4600)

    interleavings(scenario, range(20))


def test_the_failing_seed_is_named() -> None:
    """So that it can be run alone."""

    async def scenario(rng: random.Random) -> None:
        assert rng.random() != random.Random(7).random()

    with pytest.raises(AssertionError) as failure:
        interleavings(scenario, range(100))
    assert any("seeds=[7]" in note for note in failure.value.__notes__)


def test_a_task_that_is_left_behind_fails() -> None:
    """Whatever the scenario started it has to await."""

    async def scenario(_: random.Random) -> None:
        task = asyncio.create_task(asyncio.sleep(9), name="forgotten")
        del task

    with pytest.raises(AssertionError, match="forgotten"):
        interleavings(scenario, range(1))


def test_what_only_the_loop_heard_fails() -> None:
    """An exception in a callback is nobody's, and still a failure."""

    async def scenario(_: random.Random) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        interleavings(scenario, range(1))


def test_the_loop_stands_alone() -> None:
    """As a loop factory, where a scenario needs a runner of its own."""
    with asyncio.Runner(loop_factory=lambda: ShuffledLoop(1)) as runner:
        assert runner.run(asyncio.sleep(5, "done")) == "done"
