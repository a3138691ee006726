"""An emulated OpenAI and a client of it, and what to check when a test is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from settling import gone, settled
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Emulator, Scenario

ANSWER = "We are open from nine until six."
PIECES = ("We", " are", " open", " from", " nine", " until", " six.")
INSTANT = Scenario(name="test", replies=ANSWER)
PACED = Scenario(name="test", replies=ANSWER, chat_token_gap=0.004)
APART = Scenario(name="test", replies=ANSWER, chat_token_gap=0.15)
"""Each piece is read before the next is sent, on a busy machine too."""


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
        await gone(world, "openai")
