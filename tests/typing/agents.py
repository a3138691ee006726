"""``AgentforceClient`` as users write it. Never run: mypy --strict reads it.

A ``type: ignore`` here is an assertion: strict mode complains of one that is not needed.
"""

from __future__ import annotations

from typing import assert_type

from voicekit import Agent, AgentAnswer, AgentforceClient, Limits, sync
from voicekit.clients.agentforce import AgentforceSession, OpeningSession, Variable
from voicekit.streams import AgentReply
from voicekit.transport.config import WarmReport


async def conversing() -> None:
    async with AgentforceClient(domain="acme", agent_id="0Xx", tz="Europe/Rome") as agents:
        assert_type(await agents.warm(2, sessions=1), WarmReport)
        assert_type(agents.start_session(key="a"), OpeningSession)
        session = await agents.open_session(key="a", variables={"A": Variable("Money", "1")})
        assert_type(session, AgentforceSession)
        assert_type(await session.send("hi", variables={"B": 1}), AgentAnswer)
        async with agents.open_session(limits=Limits(total=5.0)) as other:
            assert_type(other, AgentforceSession)
            async with other.stream_message("hi") as reply:
                assert_type(reply, AgentReply)
                async for text in reply:
                    assert_type(text, str)
        await session.feedback("f-1", "GOOD", details={"a": 1})
        await agents.open_session(zone="x")  # type: ignore[call-arg]
        await session.send("hi", tz="x")  # type: ignore[call-arg]
        assert_type(agents.with_options(tz="Asia/Tokyo"), AgentforceClient)
    AgentforceClient(message={"in_reply_to": "m-1"})
    AgentforceClient(message={"tz": "x"})  # type: ignore[typeddict-unknown-key]


async def any_agent(agent: Agent) -> str:
    async with agent.open_session(key="a") as session:
        return (await session.send("hi")).text


def blocking() -> None:
    with sync.AgentforceClient() as agents, agents.open_session(key="a") as session:
        assert_type(session.send("hi"), AgentAnswer)
        for text in session.stream_message("hi"):
            assert_type(text, str)


_agent: Agent = AgentforceClient()
