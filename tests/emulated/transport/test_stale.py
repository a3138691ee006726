"""A pool whose connections all died while the loop was busy fails nobody and doubles nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from seams import chat, transports

from settling import until
from voicekit.emulator import Emulator
from voicekit.errors import ConnectionLostError
from voicekit.transport.config import PoolConfig
from voicekit.transport.connector import PooledProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
CALLERS = 8
POOL = PoolConfig(max_connections=20, max_idle=CALLERS, idle_cutoff=60.0)


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return LOOPS[request.param]


@pytest.fixture(scope="module", params=["tcp", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    # In a thread of its own: it goes on while our loop is blocked.
    with Emulator.in_thread(
        providers=("openai",), scenario="instant", tls=request.param == "tls"
    ) as world:
        yield world


async def warm(transport: Any, world: Any) -> None:
    """Have idle connections that the server knows of, too."""
    await transport.warm(world.openai.url, CALLERS)
    await until(lambda: len(world.connections("openai")) >= CALLERS)


def drop_while_blocked(world: Any, how: str) -> int:
    """The server closes every idle connection, and our loop does not run until it has arrived."""
    total, deadline = 0, time.monotonic() + 2.0
    while True:
        dropped = world.drop_idle("openai", how=how)
        total += dropped
        time.sleep(0.01)
        # Some may not have been accepted yet, so once more until none is left.
        if (total >= CALLERS and not dropped) or time.monotonic() > deadline:
            return total


async def ask_all(transport: Any, world: Any, mark: str) -> list[Any]:
    texts = [f"{mark} {n}" for n in range(CALLERS)]
    calls = (chat(transport, world.openai.url, text) for text in texts)
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.timeout(900)  # with --full
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_stale_pool(world: Any, how: str, full: bool) -> None:
    """All idle connections close while the loop is blocked; then N concurrent POSTs succeed,
    and the server saw each of them once.
    """
    repeats = 1000 if full else 25
    world.clear_journal()
    async with transports(pool=POOL, ca=world.ca_file) as transport:
        for repeat in range(repeats):
            await warm(transport, world)
            assert drop_while_blocked(world, how) >= CALLERS
            results = await ask_all(transport, world, f"{how} {repeat}")
            assert [r for r in results if isinstance(r, BaseException)] == []
    assert world.journal.duplicates() == []
    assert len(world.journal.requests_for("openai", "chat")) == repeats * CALLERS


async def test_warming_a_stale_pool(world: Any) -> None:
    """What died while the loop was busy does not count as ready."""
    async with transports(pool=POOL, ca=world.ca_file) as transport:
        await warm(transport, world)
        drop_while_blocked(world, "fin")
        report = await transport.warm(world.openai.url, CALLERS)
        assert report.failures == ()
        assert transport.stats().ready == CALLERS
        assert transport.stats().opened == 2 * CALLERS


@pytest.mark.parametrize("anyio_backend", [LOOPS["asyncio"]])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_without_the_check_they_fail(
    world: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above would notice: with the stale-socket check removed the same turn fails."""
    monkeypatch.setattr(PooledProtocol, "readable", False)
    async with transports(pool=POOL, ca=world.ca_file) as transport:
        await warm(transport, world)
        drop_while_blocked(world, how)
        results = await ask_all(transport, world, "unprotected")
        assert any(isinstance(r, ConnectionLostError) for r in results)


async def test_a_loop_that_has_run_needs_no_check(world: Any) -> None:
    """Connections that closed while the loop was running are gone from the pool by themselves."""
    async with transports(pool=POOL, ca=world.ca_file) as transport:
        await warm(transport, world)
        drop_while_blocked(world, "fin")
        await asyncio.sleep(0.05)
        assert transport.stats().closed.get("peer", 0) >= CALLERS
        results = await ask_all(transport, world, "run")
        assert [r for r in results if isinstance(r, BaseException)] == []
