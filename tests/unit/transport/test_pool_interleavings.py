"""The socket pool's shell under thousands of orders of events."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))
from fake_sockets import FakeSocket, Provider, World

from interleaving import interleavings
from voicekit.errors import ConnectError, PoolTimeout


def test_a_socket_has_one_holder_and_the_right_key_in_any_order() -> None:
    """While some lease, warm, leave and lose, and the key changes in the middle."""

    async def scenario(rng: random.Random) -> None:
        provider = Provider(latency=rng.choice([0.0, 0.1]), goodbye=0.0)
        provider.fail_next = rng.choice([0, 0, 2])
        most = rng.choice([2, 3])
        held: set[FakeSocket] = set()
        retired = 0.0

        async def pause() -> None:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(rng.choice([0.0, 0.0, 0.1]))

        async with World(provider, max_connections=most, max_wait=9.0) as world:

            async def caller() -> None:
                await pause()
                asked = asyncio.get_running_loop().time()
                try:
                    lease = await world.pool.lease()
                except (ConnectError, PoolTimeout):
                    return
                socket = lease.socket
                assert isinstance(socket, FakeSocket)
                assert socket not in held, "two callers on one socket"
                stats = world.pool.stats()
                assert stats.open + stats.dialing <= most, stats
                assert socket.facts.generation >= retired or asked < rotated_at
                held.add(socket)
                try:
                    await pause()
                finally:
                    held.discard(socket)
                    if rng.random() < 0.2:
                        socket.peer_closes()
                    lease.release()

            async def warmer() -> None:
                await pause()
                await world.pool.warm(rng.choice([1, 2]))

            async def rotates() -> None:
                nonlocal retired, rotated_at
                await pause()
                world.pool.retire()
                retired += 1
                rotated_at = asyncio.get_running_loop().time()

            rotated_at = float("inf")
            tasks = [asyncio.create_task(caller()) for _ in range(6)]
            others = [asyncio.create_task(warmer()), asyncio.create_task(rotates())]
            await pause()
            for task in tasks:
                if rng.random() < 0.2:
                    task.cancel()
            for result in await asyncio.gather(*tasks, *others, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result
            stats = world.pool.stats()
            assert (stats.leased, stats.waiting) == (0, 0)

    interleavings(scenario, range(1000))
