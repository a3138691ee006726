"""An emulated OpenAI and a client of it, and what to check when a test is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Emulator, Scenario
from voicekit.operation import Limits

ANSWER = "We are open from nine until six."
PIECES = ("We", " are", " open", " from", " nine", " until", " six.")
INSTANT = Scenario(name="test", replies=ANSWER)
PACED = Scenario(name="test", replies=ANSWER, chat_token_gap=0.004)
APART = Scenario(name="test", replies=ANSWER, chat_token_gap=0.15)
"""Each piece is read before the next is sent, on a busy machine too."""
BEGUN = Limits(connect=5.0, first_output=5.0, gap=1.0, total=10.0)
"""For what fails after its first output, which a busy machine may be late with."""


class Recorder:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[Any]:
        return [event for event in self.events if type(event).__name__ == name]


@asynccontextmanager
async def world_and_client(
    scenario: Scenario = INSTANT, *, tls: bool = False, **options: Any
) -> AsyncIterator[tuple[Emulator, OpenAIClient]]:
    async with Emulator(providers=("openai",), scenario=scenario, tls=tls) as world:
        ca = str(world.ca_file) if world.ca_file else None
        defaults = {"api_key": "key", "base_url": world.openai.url, "model": "gpt-x", "ca": ca}
        async with OpenAIClient(**{**defaults, **options}) as llm:
            yield world, llm
            await settled(llm)
        await gone(world)


async def settled(llm: OpenAIClient) -> None:
    """Every connection is back, and nothing dials."""
    async with asyncio.timeout(3):
        while (stats := llm.stats()).leased or stats.dialing:
            await asyncio.sleep(0.005)


async def gone(world: Emulator) -> None:
    """The server sees no connection any more."""
    async with asyncio.timeout(3):
        while world.connections("openai"):
            await asyncio.sleep(0.005)


async def steps(task: asyncio.Task[Any], count: int) -> None:
    """Let the loop run so many times, or until the task is done."""
    for _ in range(count):
        if task.done():
            return
        await asyncio.sleep(0)
