"""A cached Agentforce agent; the twin's journal says what was asked of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from answering_world import ANSWER, QUESTION, agent_and_world, saying

from settling import until
from voicekit import AgentforceClient, ResponseCache, SessionStore
from voicekit.cache import MemoryStorage
from voicekit.emulator import AgentTurn, Emulator, Scenario, agent_messages, agent_sessions

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

INFORM = {"type": "Inform", "message": "Yours is on its way."}
PERSONAL: dict[str, AgentTurn | str] = {
    "record": AgentTurn(messages=({**INFORM, "result": [{"type": "Order", "value": "4711"}]},)),
    "cited": AgentTurn(messages=({**INFORM, "citedReferences": [{"type": "link"}]},)),
    "asking": AgentTurn(messages=({"type": "Inquire", "message": "Which order?"},)),
    "confirm": AgentTurn(messages=({"type": "Confirm", "message": "Shall I?"},)),
    "person": AgentTurn(messages=(INFORM, {"type": "Escalate"})),
    "goodbye": AgentTurn(messages=(INFORM, {"type": "SessionEnded"})),
}


def said(world: Emulator) -> list[str]:
    return [message.text for message in agent_messages(world.journal)]


async def ask(cached: Any, text: str, *, streamed: bool = False, **options: Any) -> Any:
    async with cached.open_session(**options) as session:
        if streamed:
            return await session.stream_message(text).result()
        return await session.send(text)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_hit_asks_nothing_of_salesforce(streamed: bool) -> None:
    """No session, no message, no token even: only the first question is in the journal."""
    async with agent_and_world() as (world, agents), ResponseCache(agents, close=False) as cached:
        first = await ask(cached, QUESTION, streamed=streamed)
        assert (first.text, first.plain, first.cache) == (ANSWER, True, None)
        before = len(world.journal.requests)
        await until(lambda: cached.stats().stored)
        for spelling in ("when are you open", "  WHEN are you open?!"):
            again = await ask(cached, spelling, streamed=not streamed)
            assert (again.text, again.cache, again.attempts) == (ANSWER, "hit", 0)
        assert len(world.journal.requests) == before
        assert said(world) == [QUESTION]
        (session,) = agent_sessions(world.journal)
        assert session.end_reason == "UserRequest"


async def test_another_apps_answers_are_its_own() -> None:
    """One storage, one agent: each app acts as a user of its own, who may see other things."""
    storage = MemoryStorage()
    async with (
        agent_and_world() as (world, agents),
        AgentforceClient(
            client_id="another",
            client_secret="secret",
            domain=world.agentforce.url,
            agent_id=agents.session_request().agent_id,
        ) as others,
    ):
        for each in (agents, others):
            async with ResponseCache(each, storage=storage, close=False) as cached:
                assert (await ask(cached, QUESTION)).cache is None
                await until(lambda cached=cached: cached.stats().stored)  # type: ignore[misc]
                assert (await ask(cached, QUESTION)).cache == "hit"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text", PERSONAL)
async def test_what_is_more_than_words_is_asked_again(text: str, streamed: bool) -> None:
    """Records, citations, questions back, handovers: each caller's own."""
    async with (
        agent_and_world(saying(**PERSONAL)) as (world, agents),
        ResponseCache(agents, close=False) as cached,
    ):
        for _ in range(2):
            assert (await ask(cached, text, streamed=streamed)).cache is None
        assert said(world) == [text, text]
        assert cached.stats().stored == 0


async def test_variables_outside_the_scope_go_to_the_agent() -> None:
    """Those of the constructor, of the session and of the message; inside, they are in the key."""
    async with agent_and_world(variables={"Shop": "Rome"}) as (world, agents):
        async with ResponseCache(agents, close=False) as cached:
            for _ in range(2):
                assert (await ask(cached, QUESTION)).cache is None
        view = agents.with_options(message={"variables": {"Till": 4}})
        async with ResponseCache(view, close=False, scope={"Shop": ""}) as cached:
            for _ in range(2):
                assert (await ask(cached, QUESTION)).cache is None
        scope = {"Shop": "", "Language": ""}
        async with ResponseCache(agents, close=False, scope=scope) as cached:
            for number, expected in enumerate((None, "hit", None)):
                language = "it" if number < 2 else "de"
                answer = await ask(cached, QUESTION, variables={"Language": language})
                assert answer.cache == expected
                await until(lambda: cached.stats().stored)
            for _ in range(2):
                async with cached.open_session() as session:
                    answer = await session.send(QUESTION, variables={"Customer": 4711})
                    assert answer.cache is None
        assert len(said(world)) == 8


@pytest.mark.parametrize(
    "extra",
    [
        {"extra_body": {"variables": [{"name": "Customer", "type": "Text", "value": "4711"}]}},
        {"extra_headers": {"X-Customer": "4711"}},
        {"extra_query": {"customer": "4711"}},
    ],
)
async def test_what_a_session_is_sent_in_an_extra_counts(extra: dict[str, Any]) -> None:
    """Variables may be in it: not kept, unless the scope names it; an empty one is none."""
    async with agent_and_world() as (world, agents):
        (name,) = extra
        async with ResponseCache(agents, close=False) as cached:
            for _ in range(2):
                assert (await ask(cached, QUESTION, **extra)).cache is None
            assert cached.stats().stored == 0
            await ask(cached, QUESTION, **{name: {}})
            await until(lambda: cached.stats().stored)
        async with ResponseCache(agents, close=False, scope={name: ""}) as cached:
            await ask(cached, QUESTION, **extra)
            await until(lambda: cached.stats().stored)
            assert (await ask(cached, QUESTION, **extra)).cache == "hit"
        assert len(said(world)) == 4


@pytest.mark.parametrize("variable", [None, "EarlierTurns"])
async def test_the_agent_hears_what_the_cache_said(variable: str | None) -> None:
    """With the next message: the journal shows the variable, or the text before the text."""
    async with (
        agent_and_world() as (world, agents),
        ResponseCache(agents, close=False, history_variable=variable) as cached,
    ):
        await ask(cached, QUESTION)
        await until(lambda: cached.stats().stored)
        async with cached.open_session("anna") as session:
            assert (await session.send("when are you open")).cache == "hit"
            assert (await session.send("And tomorrow?")).cache is None
            assert (await session.send("Thanks.")).cache is None
        _, follow_up, thanks = agent_messages(world.journal)
        told = [{"user": "when are you open", "agent": ANSWER}]
        if variable is None:
            head, text = follow_up.text.split("\n\n")
            assert json.loads(head.partition(": ")[2]) == told
            assert (text, dict(follow_up.variables)) == ("And tomorrow?", {})
        else:
            assert follow_up.text == "And tomorrow?"
            assert list(follow_up.variables) == [variable]
            assert json.loads(value_of(follow_up.variables[variable])) == told
        assert (thanks.text, dict(thanks.variables)) == ("Thanks.", {})


def value_of(variable: Any) -> str:
    return str(variable["value"] if isinstance(variable, dict) else variable)


async def test_a_hundred_conversations_with_one_question() -> None:
    """One message; all get its answer."""
    slow = Scenario(name="test", agent_replies=ANSWER, agent_first_text=0.1)
    async with (
        agent_and_world(slow) as (world, agents),
        ResponseCache(agents, close=False) as cached,
    ):
        answers = await asyncio.gather(
            *(ask(cached, QUESTION, streamed=bool(n % 2)) for n in range(100))
        )
        assert {answer.text for answer in answers} == {ANSWER}
        assert said(world) == [QUESTION]
        assert len(agent_sessions(world.journal)) == 1
        assert cached.stats().calls_saved == 99


@pytest.mark.parametrize("streamed", [False, True])
async def test_one_that_is_left_goes_on_at_the_provider_and_is_not_kept(streamed: bool) -> None:
    """Barge-in: the client reads the locked turn to its end; the next one waits for that."""
    slow = Scenario(name="test", agent_replies=ANSWER, agent_chunk_gap=0.1, agent_first_text=0.1)
    async with (
        agent_and_world(slow) as (world, agents),
        ResponseCache(agents, close=False) as cached,
        cached.open_session() as session,
    ):
        if streamed:
            async with session.stream_message(QUESTION) as reply:
                await reply.__anext__()
        else:
            task = asyncio.create_task(session.send(QUESTION))
            await until(lambda: said(world))
            task.cancel()
            await asyncio.wait([task])
        assert (await session.send("And now?")).text == ANSWER
        assert cached.stats().stored == 0
        assert said(world) == [QUESTION, "And now?"]
        assert {m.request.status for m in agent_messages(world.journal)} == {200}


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelled_at_many_steps(streamed: bool) -> None:
    """Whenever it is: every session is ended, no message is sent twice, the next turn goes on."""
    for step in range(0, 40, 3):
        async with (
            agent_and_world() as (world, agents),
            ResponseCache(agents, close=False) as cached,
        ):
            task = asyncio.create_task(ask(cached, f"Question {step}", streamed=streamed))
            for _ in range(step):
                if task.done():
                    break
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert (await ask(cached, QUESTION)).text == ANSWER
            assert len(set(said(world))) == len(said(world))
            await until(
                lambda world=world: all(  # type: ignore[misc]
                    session.end_reason for session in agent_sessions(world.journal)
                )
            )


async def test_a_store_of_sessions_over_it() -> None:
    """Started while something else is done, used, kept, and ended with the store."""
    async with agent_and_world() as (world, agents):
        async with (
            ResponseCache(agents, close=False) as cached,
            SessionStore(cached, ttl=60) as store,
        ):
            store.start("whatsapp:+1")
            await until(lambda: agent_sessions(world.journal))
            async with store.session("whatsapp:+1") as session:
                assert (await session.send(QUESTION)).cache is None
            async with store.session("whatsapp:+1") as session:
                assert (await session.send("yes")).cache is None
            (seen,) = agent_sessions(world.journal)
            assert [message.text for message in seen.messages] == [QUESTION, "yes"]
            assert seen.end_reason is None
        (seen,) = agent_sessions(world.journal)
        assert seen.end_reason == "UserRequest"
