"""Waiting for what must come true soon, in tests over real sockets; and who still runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from voicekit.emulator import Emulator
from voicekit.observe import process

SOON = 10.0
"""Seconds. Nothing takes as long; a busy machine may take a part of it."""

_OF_POOLS = ("voicekit-socket-reader", "voicekit-dial", "voicekit-close", "voicekit-refill")


async def eventually(condition: Callable[[], Any], *, within: float = SOON) -> bool:
    """Whether a condition comes true in time."""
    try:
        async with asyncio.timeout(within):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return True


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what another task, or the server, brings about."""
    assert await eventually(condition), "did not come true in time"


async def settled(client: Any) -> None:
    """Every connection of a client, or of a transport, is back, and nothing dials."""
    await until(lambda: not ((stats := client.stats()).leased or stats.dialing))


async def gone(world: Emulator, provider: str) -> None:
    """The server sees no connection any more."""
    await until(lambda: not world.connections(provider))


async def steps(task: asyncio.Task[Any], count: int) -> None:
    """Let the loop run so many times, or until the task is done."""
    for _ in range(count):
        if task.done():
            return
        await asyncio.sleep(0)


def library_tasks() -> list[str]:
    """Names of the tasks that the library has started, those of its pools too."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("voicekit-")]


def call_tasks() -> list[str]:
    """Those of single calls and of wrappers, not of pools."""
    return [name for name in library_tasks() if not name.startswith(_OF_POOLS)]


def open_sockets() -> int:
    """Open sockets of this process; 0 where the system does not tell."""
    return process.open_sockets() or 0
