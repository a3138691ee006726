"""A store of Agentforce sessions; the twin's journal says which were opened and ended."""

from __future__ import annotations

import asyncio

import pytest
from answering_world import ANSWER, QUESTION, agent_and_world, saying

from settling import until
from voicekit import AgentforceClient, SessionStore
from voicekit.cache import MemoryStorage
from voicekit.cache.storage import StorageStats
from voicekit.emulator import AgentTurn, agent_sessions
from voicekit.errors import ClosedError

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


async def test_conversations_keep_their_sessions() -> None:
    """Each key has one, opened once whoever asks first, and ended with the store."""
    async with agent_and_world() as (world, agents):
        async with SessionStore(agents) as store:
            store.start("anna")

            async def turn(key: str) -> str:
                async with store.session(key) as session:
                    return (await session.send(QUESTION)).text

            answers = await asyncio.gather(*(turn(key) for key in ("anna", "bert", "anna") * 3))
            assert set(answers) == {ANSWER}
            sessions = agent_sessions(world.journal)
            assert sorted(len(session.messages) for session in sessions) == [3, 6]
            assert store.stats().open == 2
        assert {s.end_reason for s in agent_sessions(world.journal)} == {"UserRequest"}


async def test_one_that_the_agent_ended_is_replaced() -> None:
    """Handed over to a person: the next message is in a new session."""
    scenario = saying(
        bye=AgentTurn(messages=({"type": "Inform", "message": "Bye."}, {"type": "SessionEnded"}))
    )
    async with agent_and_world(scenario) as (world, agents), SessionStore(agents) as store:
        for streamed in (False, True):
            async with store.session("anna") as session:
                if streamed:
                    async with session.stream_message("bye") as reply:
                        assert "".join([delta async for delta in reply]) == "Bye."
                else:
                    assert (await session.send("bye")).ended
        async with store.session("anna") as session:
            assert (await session.send(QUESTION)).text == ANSWER
        assert [len(s.messages) for s in agent_sessions(world.journal)] == [1, 1, 1]
        assert store.stats().ended == 2


async def test_what_makes_room_is_ended_politely() -> None:
    """The provider hears of it, in the background."""
    async with agent_and_world() as (world, agents), SessionStore(agents, most=1) as store:
        for key in ("anna", "bert"):
            async with store.session(key) as session:
                await session.send(QUESTION)
        await until(lambda: agent_sessions(world.journal)[0].end_reason)
        assert agent_sessions(world.journal)[1].end_reason is None


class Server(MemoryStorage):
    """A storage that outlives the processes that use it."""

    def stats(self) -> StorageStats:
        return StorageStats(kind="server")


async def test_a_restart_goes_on_with_the_sessions() -> None:
    """The store and its client are closed: the next process's turn is in the same session."""
    storage = Server()
    async with agent_and_world() as (world, others):
        async with AgentforceClient(
            client_id="app",
            client_secret="secret",
            domain=world.agentforce.url,
            agent_id=others.session_request().agent_id,
        ) as agents:
            async with (
                SessionStore(agents, storage=storage) as store,
                store.session("anna") as session,
            ):
                await session.send(QUESTION)
            with pytest.raises(ClosedError):
                await session.send(QUESTION)
        async with SessionStore(others, storage=storage) as store:
            async with store.session("anna") as session:
                assert (await session.send(QUESTION)).text == ANSWER
                assert session.replaced == 0
            (anna,) = agent_sessions(world.journal)
            assert (len(anna.messages), anna.end_reason) == (2, None)


async def test_what_another_process_uses_is_not_ended() -> None:
    """Neither to make room, nor with the store: the provider hears nothing before it is over."""
    storage = MemoryStorage()
    async with (
        agent_and_world() as (world, agents),
        AgentforceClient(
            client_id="app",
            client_secret="secret",
            domain=world.agentforce.url,
            agent_id=agents.session_request().agent_id,
        ) as others,
    ):
        one = SessionStore(agents, storage=storage, most=1)
        async with SessionStore(others, storage=storage) as other:
            for store in (one, other):
                async with store.session("anna") as session:
                    await session.send(QUESTION)
            async with one.session("bert") as session:
                await session.send(QUESTION)
            await one.aclose()
            anna, bert = agent_sessions(world.journal)
            assert (anna.end_reason, bert.end_reason) == (None, "UserRequest")
            async with other.session("anna") as session:
                assert (await session.send(QUESTION)).text == ANSWER
                assert session.replaced == 0
        anna, bert = agent_sessions(world.journal)
        assert (len(anna.messages), anna.end_reason) == (3, "UserRequest")
