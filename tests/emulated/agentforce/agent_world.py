"""An emulated Agentforce and a client of it, and what to check when a test is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from settling import gone, settled
from voicekit.clients.agentforce import AgentforceClient
from voicekit.emulator import AgentTurn, Emulator, Scenario

AGENT = "0XxHu000000XXXXKX4"
SECRET = "MARKEDSECRET"
ANSWER = "It left yesterday. Expect it on Friday."
INSTANT = Scenario(name="test", agent_replies=ANSWER)
PACED = Scenario(name="test", agent_replies=ANSWER, agent_chunk_gap=0.03)
SLOW = Scenario(name="test", agent_replies=ANSWER, agent_first_text=30.0)
APART = Scenario(name="test", agent_replies=ANSWER, agent_chunk_gap=0.15)
"""Each piece is read before the next is sent, on a busy machine too."""
OPERATIONS = ("open_session", "send", "stream_message")


def turns(**by_text: AgentTurn | str) -> Scenario:
    """A world whose agent does this, by what is said."""
    return Scenario(name="test", agent_replies={"": ANSWER, **by_text})


@asynccontextmanager
async def world_and_client(
    scenario: Scenario = INSTANT, **options: Any
) -> AsyncIterator[tuple[Emulator, AgentforceClient]]:
    async with Emulator(providers=("agentforce",), scenario=scenario) as world:
        defaults = {
            "client_id": "app",
            "client_secret": SECRET,
            "domain": world.agentforce.url,
            "agent_id": AGENT,
        }
        async with AgentforceClient(**{**defaults, **options}) as agents:
            yield world, agents
            await settled(agents)
        left = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in left if name.startswith("voicekit")}, left
        await gone(world, "agentforce")


def asked(world: Emulator, *operations: str) -> list[int | None]:
    """The statuses of what the server was asked for."""
    return [
        record.status
        for record in world.journal.requests_for("agentforce")
        if record.operation in operations
    ]
