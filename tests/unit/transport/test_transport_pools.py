"""Socket pools of a transport: few kinds are kept, and none that is in use is closed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from voicekit.transport.config import PoolStats, sum_of
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


def test_no_pools_are_none() -> None:
    """A transport that has no socket says so."""
    assert sum_of([]) is None
    assert Transport().stats().sockets is None


async def test_stats_show_the_sockets_of_all_kinds() -> None:
    """Beside the HTTP connections: counts added up, the shortest cut-off."""
    async with Transport() as transport:
        await fill(transport, Pool(leased=2), Pool(dialing=1))
        sockets = transport.stats().sockets
        assert sockets is not None
        assert (sockets.open, sockets.ready, sockets.leased, sockets.dialing) == (4, 2, 2, 1)
        assert (sockets.opened, sockets.closed, sockets.idle_cutoff) == (2, {}, 1.0)
        assert sockets.sockets is None
        one = replace(sockets, closed={"used": 1}, idle_cutoff=9.0, waiting=3)
        both = sum_of([one, replace(one, closed={"used": 1, "peer": 2}, idle_cutoff=4.0)])
        assert both is not None
        assert (both.closed, both.idle_cutoff, both.waiting) == ({"used": 2, "peer": 2}, 4.0, 6)


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
