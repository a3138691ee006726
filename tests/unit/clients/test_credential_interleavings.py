"""A key that ends under many callers, under thousands of orders of events."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from interleaving import interleavings
from voicekit.clients.credential import Credential
from voicekit.tasks import Background


def test_one_asks_for_another_key_in_any_order() -> None:
    """Whoever was refused gets it; who leaves, or is replaced by hand, takes it from nobody."""

    async def scenario(rng: random.Random) -> None:
        keys = [f"key-{number}" for number in range(3)]
        asking = asked = 0

        async def pause() -> None:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)

        async def ask() -> str:
            nonlocal asking, asked
            asking, asked = asking + 1, asked + 1
            assert asking == 1, "two ask at a time"
            try:
                await pause()
                return keys[min(asked, 2) - 1]
            finally:
                asking -= 1

        background = Background()
        credential = Credential(ask, env="NONE", provider="acme")
        refused = await credential.get()
        by_hand = rng.random() < 0.3

        async def caller() -> bool:
            await pause()
            return await credential.renew(refused, background)

        async def rotated() -> None:
            await pause()
            if by_hand:
                credential.replace("key-by-hand")

        callers = [asyncio.create_task(caller()) for _ in range(6)]
        rotation = asyncio.create_task(rotated())
        leavers = [task for task in callers if rng.random() < 0.3]
        await pause()
        for task in leavers:
            task.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        await rotation
        for _ in range(20):
            await asyncio.sleep(0)
        for task, result in zip(callers, results, strict=True):
            assert result is True or (task in leavers and task.cancelled())
        assert asked <= 2, f"asked {asked - 1} times for another key"
        assert not credential.renewing
        stayed = len(leavers) < len(callers)
        assert credential.last() == ("key-by-hand" if by_hand else keys[asked - 1])
        assert asked == 2 or by_hand or not stayed
        await background.aclose()

    interleavings(scenario)
