"""Emulated providers, clients of them, and what to check when a test is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from settling import until
from voicekit import AgentforceClient, OpenAIClient
from voicekit.emulator import AgentTurn, Emulator, Scenario

AGENT = "0XxHu000000XXXXKX4"
ANSWER = "We are open from nine until six."
QUESTION = "When are you open?"


def saying(**by_text: AgentTurn | str) -> Scenario:
    """A world whose agent does this, by what is said."""
    return Scenario(name="test", agent_replies={"": ANSWER, **by_text}, replies=ANSWER)


@asynccontextmanager
async def agent_and_world(
    scenario: Scenario | None = None, **options: Any
) -> AsyncIterator[tuple[Emulator, AgentforceClient]]:
    """Nothing of ours runs, and no connection is open, when it is done."""
    async with Emulator(providers=("agentforce",), scenario=scenario or saying()) as world:
        async with AgentforceClient(
            client_id="app",
            client_secret="secret",
            domain=world.agentforce.url,
            agent_id=AGENT,
            **options,
        ) as agents:
            yield world, agents
            await until(lambda: not agents.stats().leased and not agents.stats().dialing)
        left = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in left if name.startswith("voicekit")}, left
        await until(lambda: not world.connections("agentforce"))


@asynccontextmanager
async def chat_and_world(
    scenario: Scenario | None = None, **options: Any
) -> AsyncIterator[tuple[Emulator, OpenAIClient]]:
    """The same for a chat model."""
    async with Emulator(providers=("openai",), scenario=scenario or saying()) as world:
        async with OpenAIClient(
            api_key="key", base_url=world.openai.url, model="gpt-x", **options
        ) as llm:
            yield world, llm
            await until(lambda: not llm.stats().leased and not llm.stats().dialing)
        await until(lambda: not world.connections("openai"))
