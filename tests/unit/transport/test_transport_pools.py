"""Socket pools of a transport: few kinds are kept, and none that is in use is closed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from voicekit.transport.config import PoolStats
from voicekit.transport.transport import _SOCKET_KINDS, Transport

pytestmark = pytest.mark.anyio


@dataclass
class Pool:
    leased: int = 0
    dialing: int = 0
    minimum: int = 0
    closed: list[float] = field(default_factory=list)

    def stats(self) -> PoolStats:
        return PoolStats(
            open=self.leased + 1, ready=1, leased=self.leased, dialing=self.dialing,
            opened=1, reused=0, closed={}, idle_cutoff=1.0,
        )  # fmt: skip

    async def aclose(self, drain: float = 0.0) -> None:
        self.closed.append(drain)


async def fill(transport: Transport, *pools: Pool) -> list[Any]:
    for number, pool in enumerate(pools):
        transport.socket_pool(number, lambda pool=pool: pool)
    return list(pools)


async def closed(transport: Transport) -> None:
    while len(transport.background):
        await asyncio.sleep(0)


async def test_one_kind_too_many_closes_the_one_used_longest_ago():
    """An option that changes with each call leaves no pool behind for ever."""
    async with Transport() as transport:
        pools = await fill(transport, *(Pool() for _ in range(_SOCKET_KINDS)))
        transport.socket_pool(0, Pool)  # used again
        transport.socket_pool("new", Pool)
        await closed(transport)
        assert [bool(pool.closed) for pool in pools] == [False, True] + [False] * (
            _SOCKET_KINDS - 2
        )


@pytest.mark.parametrize("busy", [{"leased": 1}, {"dialing": 1}])
async def test_a_kind_in_use_stays(busy: dict[str, int]):
    """Nobody's socket is closed under him."""
    async with Transport() as transport:
        pools = await fill(transport, *(Pool(**busy) for _ in range(_SOCKET_KINDS)))
        transport.socket_pool("new", Pool)
        await closed(transport)
        assert not any(pool.closed for pool in pools)


async def test_a_warmed_kind_stays_while_there_is_another():
    """What somebody asked to be warm is not given up for what nobody did."""
    async with Transport() as transport:
        warmed = Pool(minimum=2)
        pools = await fill(transport, warmed, *(Pool() for _ in range(_SOCKET_KINDS - 1)))
        transport.socket_pool("new", Pool)
        await closed(transport)
        assert not warmed.closed
        assert pools[1].closed
