"""One request at a time for a session, however callers come, leave and close it."""

from __future__ import annotations

import asyncio
import random

import pytest

from interleaving import interleavings
from voicekit.clients.agentforce.turns import Turns
from voicekit.errors import ClosedError, TotalTimeout
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.tasks import Background

pytestmark = pytest.mark.anyio

TURN = Operation(
    provider="agentforce", name="send", kind=OperationClass.EFFECT, limits=Limits(total=60.0)
)


async def test_who_comes_first_goes_first() -> None:
    """In order, and nobody in between."""
    turns, order = Turns(Background()), []

    async def turn(number: int) -> None:
        await turns.enter(Call(TURN))
        order.append(number)
        await asyncio.sleep(0)
        turns.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(turn(number))
    assert order == list(range(10))
    assert not turns.busy


async def test_who_has_no_time_left_is_told_so() -> None:
    """Nothing was sent, and the place in the line is gone."""
    turns = Turns(Background())
    await turns.enter(Call(TURN))
    with pytest.raises(TotalTimeout) as caught:
        await turns.enter(Call(TURN, limits=Limits(total=0.01)))
    assert caught.value.outcome == "not_applied"
    turns.leave()
    await turns.enter(Call(TURN))


async def test_closing_tells_all_who_wait() -> None:
    """And whoever comes later."""
    turns = Turns(Background())
    await turns.enter(Call(TURN))
    waiting = [asyncio.create_task(turns.enter(Call(TURN))) for _ in range(3)]
    await asyncio.sleep(0)
    turns.close()
    for each in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(each, ClosedError)
    with pytest.raises(ClosedError):
        await turns.enter(Call(TURN))


def test_any_order_of_turns_cancellations_and_ends() -> None:
    """Never two at a time, never a turn that nobody gets; the line always moves on."""

    async def scenario(rng: random.Random) -> None:
        turns, inside, done = Turns(Background()), 0, 0

        async def turn() -> None:
            nonlocal inside, done
            await turns.enter(Call(TURN))
            inside += 1
            assert inside == 1
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1
                turns.leave()
            done += 1

        tasks = [asyncio.create_task(turn()) for _ in range(8)]
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done == sum(not task.cancelled() for task in tasks)
        assert not turns.busy

    interleavings(scenario, range(300))
