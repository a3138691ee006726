"""An agent with a memory: what costs no session, what others may share, and what never."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from scripted_agent import Recorder, ScriptedAgent, Turn, turns_of_the_loop
from troubled import Troubled

from interleaving import interleavings
from voicekit import ResponseCache, SessionStore, deadline
from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    OutcomeUnknownError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.speech import AgentAnswer, AgentProgress, AgentRetraction

pytestmark = pytest.mark.anyio

QUESTION = "When are you open?"
ANSWER = f"You said {QUESTION!r}."


async def ask(cached: Any, text: str, key: str | None = None, **options: Any) -> AgentAnswer:
    """One question in a conversation of its own, which ends."""
    async with cached.open_session(key) as session:
        answer: AgentAnswer = await session.send(text, **options)
    await turns_of_the_loop()
    return answer


async def stream(cached: Any, text: str, **options: Any) -> tuple[str, str | None]:
    async with cached.open_session() as session, session.stream_message(text, **options) as reply:
        return "".join([delta async for delta in reply]), reply.cache


async def test_a_hit_needs_no_session() -> None:
    """Another caller's spelling of it: nothing is opened, nothing sent; the evidence says so."""
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached:
        first = await ask(cached, QUESTION)
        assert (first.cache, first.attempts) == (None, 1)
        again = await ask(cached, "when ARE you open", key="whatsapp:+1")
        assert (again.text, again.cache, again.attempts) == (ANSWER, "hit", 0)
        assert again.plain
        assert not again.ended
        assert again.feedback_id is again.request_id is again.connection is None
        assert again.session_id == ""
        assert again.timings is not None
        assert await stream(cached, QUESTION) == (ANSWER, "hit")
        assert len(agent.sessions) == 1
        assert agent.open == 0
        stats = cached.stats()
        assert (stats.hits, stats.misses, stats.stored, stats.calls_saved) == (2, 1, 1, 2)


async def test_what_a_session_was_told_before_counts() -> None:
    """A variable stays with the session: what is said after it may be of that customer, too."""
    agent = ScriptedAgent()
    async with ResponseCache(agent, context=lambda question: len(question.turns)) as cached:
        async with cached.open_session("anna") as session:
            await session.send("I am Anna", variables={"customer": "anna"})
            await session.send("What do I owe?")
        async with cached.open_session("bert") as session:
            await session.send("I am Bert")
            assert (await session.send("What do I owe?")).cache is None
        assert cached.stats().stored == 2  # bert's
        assert agent.turns.count("What do I owe?") == 2


async def test_the_session_is_opened_when_it_is_needed() -> None:
    """With its key and options; until then there is no greeting, and nothing of its own."""
    agent = ScriptedAgent()
    async with ResponseCache(agent, scope={"tz": "*"}) as cached:
        async with cached.open_session("anna", tz="Europe/Rome") as session:
            assert (session.greeting, session.opened, session.key) == ("", False, "anna")
            with pytest.raises(AttributeError, match="not before"):
                _ = session.feedback
            await session.send(QUESTION)
            assert session.greeting == "Hello, I am scripted."
            assert await session.feedback(True) == "good"
            with pytest.raises(AttributeError):
                _ = session.nothing
        assert [(s.key, s.options) for s in agent.sessions] == [("anna", {"tz": "Europe/Rome"})]
        assert agent.sessions[0].closed == 1


async def test_eager_opens_at_once() -> None:
    """For who wants to speak the greeting."""
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached:
        session = await cached.open_session("anna", eager=True)
        assert session.greeting
        await session.aclose()
        await session.aclose()
        assert agent.sessions[0].closed == 1


async def test_started_in_the_background() -> None:
    """``start_session`` opens the agent's own; the first turn that needs it joins."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    async with ResponseCache(agent) as cached:
        cached.start_session("anna")
        cached.start_session("bert")
        session = await cached.open_session("anna")
        task = asyncio.create_task(session.send(QUESTION))
        await turns_of_the_loop()
        assert not task.done()
        agent.gate.set()
        assert (await task).text == ANSWER
        assert len(agent.sessions) == 2
    assert agent.open == 0  # bert's as well, for which nobody came


async def test_a_start_that_failed_is_tried_again_by_the_turn() -> None:
    """Nobody hears of it but in the log."""
    agent = ScriptedAgent()
    agent.open_fails.append(UnavailableError("down"))
    async with ResponseCache(agent) as cached:
        cached.start_session("anna")
        await turns_of_the_loop()
        assert (await ask(cached, QUESTION, key="anna")).text == ANSWER


async def test_one_that_nobody_came_for_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; one that was taken is its user's."""
    monkeypatch.setattr("voicekit.cache.response_agent.UNTAKEN", 0.02)
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached:
        cached.start_session("anna")
        cached.start_session("bert")
        bert = await cached.open_session("bert")
        async with asyncio.timeout(5):
            while len(agent.sessions) < 2 or agent.open == 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.04)
        assert [(s.key, s.closed) for s in agent.sessions] == [("anna", 1), ("bert", 0)]
        await bert.send(QUESTION)
        async with cached.open_session("anna") as again:
            assert (await again.send("Another?")).text


async def test_started_while_a_turn_opens_it_there_is_still_one() -> None:
    """The one that comes too late is ended."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    async with ResponseCache(agent) as cached, cached.open_session("anna") as session:
        turn = asyncio.create_task(session.send(QUESTION))
        await turns_of_the_loop()
        cached.start_session("anna")
        await turns_of_the_loop()
        agent.gate.set()
        await turn
        await turns_of_the_loop()
        assert agent.open == 1


async def test_one_session_for_a_key_while_it_is_used() -> None:
    """A second caller gets the same one; it ends with the last who leaves."""
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached:
        async with cached.open_session("anna") as one:
            async with cached.open_session("anna") as two:
                assert one is two
                await two.send(QUESTION)
            assert agent.open == 1
        assert agent.open == 0
        async with cached.open_session("anna") as three:
            assert three is not one


# -- what is a first turn ---------------------------------------------------------------------


async def test_only_the_first_turn_is_answered_from_the_cache() -> None:
    """A "yes" means something else each time: follow-ups go to the agent, and are not kept."""
    agent, seen = ScriptedAgent(), Recorder()
    async with ResponseCache(agent, observers=[seen]) as cached:
        await ask(cached, QUESTION)
        await ask(cached, "yes")
        seen.events.clear()
        async with cached.open_session() as session:
            assert (await session.send(QUESTION)).cache == "hit"
            assert (await session.send("yes")).cache is None
            assert (await session.send(QUESTION)).cache is None
            async with session.stream_message("yes") as reply:
                assert reply.cache is None
    assert seen.results() == [("hit", None), *[("bypass", "turns")] * 3]
    assert not seen.results("CacheStored")


async def test_after_a_turn_of_which_nobody_knows_there_is_no_first_one() -> None:
    """One that failed or was left may have been heard: what follows depends on it."""
    agent = ScriptedAgent(
        Turn("", error=OutcomeUnknownError("who knows")), Turn("A long ", items=["A ", "b ", "c"])
    )
    async with ResponseCache(agent) as cached:
        async with cached.open_session() as session:
            with pytest.raises(OutcomeUnknownError):
                await session.send("Order one pizza")
            async with session.stream_message("yes") as reply:
                await reply.__anext__()
            await session.send(QUESTION)
        await turns_of_the_loop()
        assert cached.stats().stored == 0
        assert cached.stats().bypasses == 2


async def test_context_puts_earlier_turns_into_the_key() -> None:
    """Then a follow-up is found again in a conversation that came the same way."""

    def context(question: Any) -> Any:
        return [turn["content"] for turn in question.turns]

    agent = ScriptedAgent()
    async with ResponseCache(agent, context=context) as cached:
        for expected in (None, "hit"):
            async with cached.open_session() as session:
                assert (await session.send(QUESTION)).cache == expected
                await turns_of_the_loop()
                assert (await session.send("And tomorrow?")).cache == expected
                await turns_of_the_loop()
        async with cached.open_session() as session:
            await session.send("Where are you?")
            assert (await session.send("And tomorrow?")).cache is None
        assert len(agent.turns) == 4
    async with ResponseCache(ScriptedAgent(), context=lambda question: None) as cached:
        assert (await ask(cached, QUESTION)).cache is (await ask(cached, QUESTION)).cache is None


# -- the history ------------------------------------------------------------------------------


async def test_the_agent_hears_what_was_answered_for_it() -> None:
    """With its next message, before the text, as JSON; once."""
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached:
        await ask(cached, QUESTION)
        async with cached.open_session() as session:
            await session.send("when are you open")
            await session.send("And tomorrow?")
            await session.send("Thanks.")
    told = '[{"user": "when are you open", "agent": "You said \'When are you open?\'."}]'
    assert agent.turns[1:] == [
        f"Earlier in this conversation, already answered: {told}\n\nAnd tomorrow?",
        "Thanks.",
    ]


async def test_in_a_variable_where_it_has_a_name() -> None:
    """The text stays as it is; the caller's own variables go along."""
    agent = ScriptedAgent()
    async with ResponseCache(agent, history_variable="Earlier", scope={"a": ""}) as cached:
        await ask(cached, QUESTION)
        async with cached.open_session() as session:
            await session.send(QUESTION)
            async with session.stream_message("And tomorrow?", variables={"a": 1}) as reply:
                async for _ in reply:
                    pass
            await session.send("Thanks.")
    (text, options), second = agent.sessions[1].heard
    assert text == "And tomorrow?"
    assert options["variables"]["a"] == 1
    assert options["variables"]["Earlier"] == (
        '[{"user": "When are you open?", "agent": "You said \'When are you open?\'."}]'
    )
    assert second == ("Thanks.", {})


async def test_the_agent_hears_of_the_last_twenty() -> None:
    """Of more in a row the oldest go, one by one, and each is told."""
    agent, seen, questions = ScriptedAgent(), Recorder(), [f"question {n}" for n in range(23)]
    async with ResponseCache(
        agent, context=lambda _: "any", history_variable="Earlier", observers=[seen]
    ) as cached:
        for question in questions:
            await ask(cached, question)
        seen.events.clear()
        async with cached.open_session() as session:
            for number, question in enumerate(questions, 1):
                assert (await session.send(question)).cache == "hit"
                assert len(seen.results("CacheStored")) == max(0, number - 20)
            assert set(seen.results("CacheStored")) == {("False", "history")}
            await session.send("And tomorrow?")
        told = json.loads(agent.sessions[-1].heard[0][1]["variables"]["Earlier"])
        assert [each["user"] for each in told] == questions[-20:]


async def test_variables_of_a_message_that_it_did_not_hear() -> None:
    """Go along with its next one, under what that one says; once."""
    agent = ScriptedAgent(Turn("Nine."), Turn("", error=UnavailableError("down")))
    async with ResponseCache(agent, scope={"a": "", "b": ""}) as cached:
        await ask(cached, QUESTION, variables={"a": 1, "b": 2})
        async with cached.open_session() as session:
            answer = await session.send(QUESTION, variables={"a": 1, "b": 2})
            assert answer.cache == "hit"
            with pytest.raises(UnavailableError):
                await session.send("And tomorrow?", variables={"b": 3})
            await session.send("And tomorrow?")
            await session.send("Thanks.")
    failed, again, thanks = (options.get("variables") for _, options in agent.sessions[1].heard)
    assert failed == {"a": 1, "b": 3}
    assert again == {"a": 1, "b": 3}
    assert thanks is None


async def test_what_was_not_heard_is_told_again() -> None:
    """A message that failed took the history with it: the next one brings it once more."""
    agent = ScriptedAgent(Turn("Nine."), Turn("", error=UnavailableError("down")))
    async with ResponseCache(agent) as cached:
        await ask(cached, QUESTION)
        async with cached.open_session() as session:
            await session.send(QUESTION)
            with pytest.raises(UnavailableError):
                await session.send("And tomorrow?")
            await session.send("And tomorrow?")
            await session.send("Thanks.")
    assert agent.turns[1] == agent.turns[2]
    assert "already answered" in agent.turns[2]
    assert agent.turns[3] == "Thanks."


# -- what is personal -------------------------------------------------------------------------


async def twice(cached: Any, text: str = QUESTION, **options: Any) -> str | None:
    await ask(cached, text, **options)
    return (await ask(cached, text, **options)).cache


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"plain": False}, "not_plain"),  # a question back, a record, an action's result
        ({"ended": True}, "ended"),  # it was handed over to a person
        ({"plain": False, "ended": True}, "not_plain"),
        ({"text": " "}, "empty"),
    ],
)
async def test_only_a_plain_answer_is_kept(turn: dict[str, Any], reason: str) -> None:
    """Words and nothing else: all else is this caller's."""
    agent, seen, storage = ScriptedAgent(), Recorder(), Troubled()
    agent.says = lambda _: Turn(**{"text": "Nine.", **turn})
    async with ResponseCache(agent, observers=[seen], storage=storage) as cached:
        assert await twice(cached) is None
        assert (await stream(cached, QUESTION))[1] is None
        assert not storage.values
    assert seen.results("CacheStored") == [("False", reason)] * 3
    assert len(agent.turns) == 3


@pytest.mark.parametrize("where", ["session", "message"])
async def test_variables_outside_the_scope_are_personal(where: str) -> None:
    """Sent with the session or with the message: neither looked for nor kept."""
    agent, seen, storage = ScriptedAgent(), Recorder(), Troubled()
    scope = {"language": "it"}
    given = {"variables": {"language": "it", "CustomerId": "4711"}}
    async with ResponseCache(agent, scope=scope, storage=storage, observers=[seen]) as cached:
        for _ in range(2):
            opened, sent = (given, {}) if where == "session" else ({}, given)
            async with cached.open_session(**opened) as session:
                assert (await session.send(QUESTION, **sent)).cache is None
        assert not storage.values
    assert seen.results() == [("bypass", "variables")] * 2


@pytest.mark.parametrize("where", ["session", "message"])
async def test_variables_inside_the_scope_are_part_of_the_key(where: str) -> None:
    """Their values, whatever the scope says of them: an Italian answer is for Italians."""
    agent = ScriptedAgent()
    async with ResponseCache(agent, scope={"language": None}) as cached:
        for language, expected in (("it", None), ("it", "hit"), ("de", None), (None, None)):
            given: dict[str, Any] = {"variables": {"language": language}} if language else {}
            opened, sent = (given, {}) if where == "session" else ({}, given)
            async with cached.open_session(**opened) as session:
                assert (await session.send(QUESTION, **sent)).cache == expected
            await turns_of_the_loop()


async def test_options_are_personal_unless_the_scope_names_them() -> None:
    """What else a session is opened with may say who it is; how a call is made says nothing."""
    agent = ScriptedAgent()
    async with ResponseCache(agent, scope={"tz": ""}) as cached:
        for given, expected in (
            ({"customer": 1}, None),
            ({"tz": "Europe/Rome"}, "hit"),
            ({"limits": object()}, "hit"),
            ({"tz": object()}, None),
        ):
            for _ in range(2):
                async with cached.open_session(**given) as session:
                    answer = await session.send(QUESTION)
                await turns_of_the_loop()
            assert answer.cache == expected, given
        for given in ({"in_reply_to": "m-1"}, {"variables": [1]}):
            assert (await ask(cached, QUESTION, **given)).cache is None
        assert (await ask(cached, QUESTION, limits=object())).cache == "hit"


async def test_what_another_cache_kept_is_not_kept_again() -> None:
    """Its time has been running."""
    storage, agent = Troubled(), ScriptedAgent()
    async with ResponseCache(agent) as below, ResponseCache(below, storage=storage) as cached:
        await ask(below, QUESTION)
        assert (await ask(cached, QUESTION)).cache == "hit"
        assert await stream(cached, QUESTION) == (ANSWER, "hit")
        assert not storage.values
        assert agent.turns == [QUESTION]


async def test_whose_it_is_is_no_part_of_the_key_and_scopes_do_not_share() -> None:
    """Conversation keys are never in it; tenants are."""
    storage = Troubled()
    agent = ScriptedAgent()
    for tenant in ("a", "b"):
        async with ResponseCache(
            agent, scope={"tenant": tenant}, storage=storage, secret="s", close=False
        ) as cached:
            assert (await ask(cached, QUESTION, key="anna")).cache is None
            assert (await ask(cached, QUESTION, key="bert")).cache == "hit"
    async with ResponseCache(
        agent, scope=lambda question: {"for": question.key}, storage=storage, secret="s"
    ) as cached:
        assert (await ask(cached, QUESTION, key="anna")).cache is None
        assert (await ask(cached, QUESTION, key="bert")).cache is None
        assert (await ask(cached, QUESTION, key="bert")).cache == "hit"
    assert "anna" not in repr(storage.values)


async def test_another_agent_is_another_key() -> None:
    """What an agent says of itself is part of it, such as which one it is, of which org."""

    class Named(ScriptedAgent):
        identity = ""

    storage = Troubled()
    for name in ("sales", "service"):
        agent = Named()
        agent.identity = name
        async with ResponseCache(agent, storage=storage, secret="s") as cached:
            assert await twice(cached) == "hit"
            assert agent.turns == [QUESTION]


async def test_an_agent_that_merges_its_options_is_asked_for_them() -> None:
    """Variables of its constructor count as sent; what it refuses is refused at once."""

    class Request:
        def __init__(self, **options: Any) -> None:
            self.variables = ("CustomerId", *options.get("variables", ()))
            self.identity = repr(sorted(options))

    class Merging(ScriptedAgent):
        def session_request(self, **options: Any) -> Request:
            if "nonsense" in options:
                raise InvalidArgumentError("no", argument="nonsense", allowed="nothing")
            return Request(**options)

    async with ResponseCache(Merging()) as cached:
        assert await twice(cached) is None
        with pytest.raises(InvalidArgumentError):
            cached.open_session(nonsense=1)
    async with ResponseCache(Merging(), scope={"CustomerId": ""}) as cached:
        assert await twice(cached) == "hit"


async def test_its_user_has_the_last_word() -> None:
    """``store=`` sees question and answer; ``ttl=`` may be a function."""
    storage, agent = Troubled(), ScriptedAgent()

    def store(question: Any, answer: AgentAnswer) -> bool:
        assert question.key == "anna"
        assert isinstance(answer, AgentAnswer)
        return "secret" not in question.text

    async with ResponseCache(agent, storage=storage, store=store, ttl=lambda *_: 7.0) as cached:
        assert await twice(cached, "a secret", key="anna") is None
        assert await twice(cached, QUESTION, key="anna") == "hit"
    assert list(storage.ttls.values()) == [7.0]
    assert len(agent.turns) == 3


@pytest.mark.parametrize("name", ["store", "ttl", "scope", "normalize", "context"])
async def test_a_function_that_fails_costs_the_cache_and_not_the_turn(name: str) -> None:
    """The agent answers as if there were no cache."""

    def fails(*_: Any) -> Any:
        raise KeyError("marked-content")

    async with ResponseCache(ScriptedAgent(), **{name: fails}) as cached:  # type: ignore[arg-type]
        assert await twice(cached) is None


@pytest.mark.parametrize("trouble", ["raises", "hangs", "lies"])
async def test_a_storage_in_trouble_is_a_miss(trouble: str) -> None:
    """The agent answers, a moment later at most."""
    seen = Recorder()
    async with ResponseCache(
        ScriptedAgent(), storage=Troubled(trouble), observers=[seen]
    ) as cached:
        assert (await ask(cached, QUESTION)).text == ANSWER
    assert seen.results()[0] == ("miss", None if trouble == "lies" else "storage")


# -- at the same time -------------------------------------------------------------------------


async def test_others_may_share_a_turn_that_is_for_everybody() -> None:
    """Ten conversations with one question: one turn, whose answer all of them get."""
    gate = asyncio.Event()
    agent = ScriptedAgent(Turn("Nine.", gate=gate))
    async with ResponseCache(agent) as cached:
        tasks = [asyncio.create_task(ask(cached, QUESTION)) for _ in range(8)]
        streams = [asyncio.create_task(stream(cached, QUESTION)) for _ in range(2)]
        await turns_of_the_loop()
        gate.set()
        answers = await asyncio.gather(*tasks)
        assert [answer.text for answer in answers] == ["Nine."] * 8
        assert sorted(str(answer.cache) for answer in answers) == ["None", *["joined"] * 7]
        assert await asyncio.gather(*streams) == [("Nine.", "joined")] * 2
        assert len(agent.sessions) == 1
        assert cached.stats().joined == 9


@pytest.mark.parametrize("how", ["not plain", "fails"])
async def test_a_turn_that_is_for_one_is_nobody_elses(how: str) -> None:
    """Who waited for it asks for himself, in his own session."""
    gate = asyncio.Event()
    first = (
        Turn("Yours is 4711.", plain=False, gate=gate)
        if how == "not plain"
        else Turn("", error=UnavailableError("down"), gate=gate)
    )
    agent, seen = ScriptedAgent(first), Recorder()
    async with ResponseCache(agent, observers=[seen]) as cached:
        tasks = [asyncio.create_task(ask(cached, QUESTION)) for _ in range(3)]
        await turns_of_the_loop()
        gate.set()
        one, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(one, UnavailableError) or one.text == "Yours is 4711."  # type: ignore[union-attr]
        assert [(a.text, a.cache) for a in others] == [(ANSWER, None)] * 2  # type: ignore[union-attr]
        assert len(agent.sessions) == 3
        assert seen.results() == [("miss", None), *[("miss", "not_shared")] * 2]


async def test_one_who_waits_takes_the_place_of_one_who_leaves() -> None:
    """The turn of one who left is his own; the next of those who wait asks, once for all."""
    agent = ScriptedAgent(Turn("left", gate=asyncio.Event()))
    async with ResponseCache(agent) as cached:
        tasks = [asyncio.create_task(ask(cached, QUESTION)) for _ in range(4)]
        await turns_of_the_loop()
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        answers = await asyncio.gather(*tasks[1:])
        assert {answer.text for answer in answers} == {ANSWER}
        assert len(agent.turns) == 2


async def test_nobody_waits_for_a_stream_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its reader may be on the phone; who waits asks for himself after a moment."""
    monkeypatch.setattr("voicekit.cache.turn_flights._LOOK_S", 0.02)
    agent = ScriptedAgent(Turn(items=["Nine ", "to ", "six."]))
    async with ResponseCache(agent) as cached:
        session = await cached.open_session()
        reply = session.stream_message(QUESTION)
        await reply.__aenter__()
        assert (await ask(cached, QUESTION)).text == ANSWER
        assert "".join([delta async for delta in reply]) == "Nine to six."
        await session.aclose()


async def test_a_deadline_bounds_the_wait() -> None:
    """For another's turn, for an earlier one's, for a session that is being started."""
    gate = asyncio.Event()
    agent = ScriptedAgent(Turn("Nine.", gate=gate))
    async with ResponseCache(agent) as cached:
        first = asyncio.create_task(ask(cached, QUESTION))
        await turns_of_the_loop()
        with deadline(0.02), pytest.raises(TotalTimeout):
            await ask(cached, QUESTION)
        gate.set()
        await first
        agent.gate = asyncio.Event()
        cached.start_session("anna")
        with deadline(0.02), pytest.raises(TotalTimeout):
            await ask(cached, "Another one", key="anna")
        agent.gate.set()


async def test_turns_of_a_session_come_one_after_the_other() -> None:
    """The second waits, and is no first one."""
    gate = asyncio.Event()
    agent = ScriptedAgent(Turn("Nine.", gate=gate))
    async with ResponseCache(agent) as cached, cached.open_session() as session:
        one = asyncio.create_task(session.send(QUESTION))
        await turns_of_the_loop()
        two = asyncio.create_task(session.send("yes"))
        await turns_of_the_loop()
        assert agent.turns == [QUESTION]
        gate.set()
        await one
        assert (await two).cache is None
        assert agent.turns == [QUESTION, "yes"]


# -- streams ----------------------------------------------------------------------------------


async def test_a_stream_is_passed_on_as_it_is() -> None:
    """Progress, retraction and words in order; its evidence is the agent's."""
    said = [AgentProgress(text="Looking"), "Wrong. ", AgentRetraction(), "Nine ", "to six."]
    agent = ScriptedAgent(Turn("Nine to six.", items=said))
    async with ResponseCache(agent) as cached:
        async with cached.open_session() as session, session.stream_message(QUESTION) as reply:
            events = [event async for event in reply.events()]
            assert [type(event).__name__ for event in events] == [
                "AgentProgress",
                "str",
                "AgentRetraction",
                "str",
                "str",
            ]
            assert events[2].delivered_characters == 7
            assert reply.text == "Nine to six."
            assert (reply.cache, reply.attempts) == (None, 1)
            assert reply.headers["x-turn"] == "played"
            assert reply.answer is not None
            assert reply.answer.text == "Nine to six."
        await turns_of_the_loop()
        assert (await ask(cached, QUESTION)).text == "Nine to six."
        assert (await cached.open_session()).opened is False
        session = await cached.open_session()
        assert (await session.stream_message(QUESTION).result()).cache == "hit"


@pytest.mark.parametrize("how", ["cancel", "aclose", "leave"])
async def test_one_that_is_left_is_given_up_and_not_kept(how: str) -> None:
    """Barge-in: the agent's own handle is closed, the next turn goes on, nothing is stored."""
    agent = ScriptedAgent(Turn(items=["Nine ", "to ", "six."]))
    async with ResponseCache(agent) as cached, cached.open_session() as session:
        async with session.stream_message(QUESTION) as reply:
            assert await reply.__anext__() == "Nine "
            if how != "leave":
                await getattr(reply, how)()
                assert [delta async for delta in reply] == []
        assert agent.aborted == 1
        assert (await session.send("And now?")).text
        assert cached.stats().stored == 0
        assert not len(cached._flights)


async def test_one_that_breaks_off_says_what_was_delivered() -> None:
    """By the same error as the agent's own; it is not kept."""
    agent = ScriptedAgent(Turn(items=["Nine ", "to"], error=UnavailableError("down")))
    async with ResponseCache(agent) as cached, cached.open_session() as session:
        reply = session.stream_message(QUESTION)
        assert [await reply.__anext__(), await reply.__anext__()] == ["Nine ", "to"]
        with pytest.raises(StreamInterruptedError) as caught:
            await reply.__anext__()
        assert caught.value.delivered_characters == 7
        assert isinstance(caught.value.__cause__, UnavailableError)
        await turns_of_the_loop()
        assert cached.stats().stored == 0
        assert (await session.send("again")).text


async def test_one_that_was_closed_from_outside_is_not_kept() -> None:
    """It ends quietly, as a whole one does, and is none."""
    agent = ScriptedAgent(Turn(items=["Nine ", "to ", "six."]))
    storage = Troubled()
    async with ResponseCache(agent, storage=storage) as cached, cached.open_session() as session:
        async with session.stream_message(QUESTION) as reply:
            await reply.__anext__()
            await reply._opened.response._source.aclose()  # type: ignore[union-attr,attr-defined]
            assert [delta async for delta in reply] == []
        await turns_of_the_loop()
        assert not storage.values


# -- lifecycle --------------------------------------------------------------------------------


async def test_the_end_of_the_cache_ends_its_sessions() -> None:
    """Politely, and then the agent, unless that is somebody else's."""
    agent = ScriptedAgent()
    cached = ResponseCache(agent, close=False)
    async with cached:
        session = await cached.open_session("anna")
        await session.send(QUESTION)
        assert agent.open == 1
        assert (await cached.warm(3)).opened == 3
    assert (agent.open, agent.closed, agent.entered) == (0, 0, 0)
    for attempt in (lambda: session.send("x"), session.open):
        with pytest.raises(ClosedError):
            await attempt()
    with pytest.raises(ClosedError):
        cached.open_session()
    with pytest.raises(ClosedError):
        session.stream_message("x")


async def test_arguments_that_make_no_sense() -> None:
    """Refused before anything happens."""
    cached = ResponseCache(ScriptedAgent())
    session = await cached.open_session()
    bad: list[Callable[[], Any]] = [
        lambda: cached.open_session(""),
        lambda: cached.open_session(eager=1),  # type: ignore[arg-type]
        lambda: cached.start_session(""),
        lambda: session.stream_message(""),
        lambda: ResponseCache(ScriptedAgent(), history_variable=""),
    ]
    for attempt in bad:
        with pytest.raises(InvalidArgumentError):
            attempt()
    with pytest.raises(InvalidArgumentError):
        await session.send("")
    await cached.aclose()


async def test_in_a_store_of_sessions() -> None:
    """The store keeps the cached conversation; ``start`` opens the agent's own for it."""
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached, SessionStore(cached) as store:
        await ask(cached, QUESTION)
        async with store.session("anna") as session:
            assert (await session.send(QUESTION)).cache == "hit"
        assert len(agent.sessions) == 1
        store.start("bert")
        await turns_of_the_loop()
        assert len(agent.sessions) == 2
        async with store.session("bert") as session:
            await session.send("yes?")
        assert len(agent.sessions) == 2
    assert agent.open == 0


async def test_a_store_starts_the_agents_own_behind_a_conversation_that_the_cache_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next turn will need it; it is the conversation's, and ends with that only."""
    monkeypatch.setattr("voicekit.cache.response_agent.UNTAKEN", 0.01)
    agent = ScriptedAgent()
    async with ResponseCache(agent) as cached, SessionStore(cached) as store:
        await ask(cached, QUESTION)
        async with store.session("anna") as session:
            assert (await session.send(QUESTION)).cache == "hit"
        assert len(agent.sessions) == 1
        store.start("anna")
        store.start("anna")
        await turns_of_the_loop()
        assert len(agent.sessions) == 2
        await asyncio.sleep(0.03)
        async with store.session("anna") as session:
            assert session.opened
            await session.send("And tomorrow?")
        assert (len(agent.sessions), agent.open) == (2, 1)


async def test_cancelled_at_every_step() -> None:
    """Wherever a turn is cancelled: the session goes on, others do, nothing is left."""
    for streamed in (False, True):
        for step in range(14):
            agent = ScriptedAgent()
            agent.says = lambda _: Turn(items=["Nine ", "to ", "six."])
            async with ResponseCache(agent) as cached, cached.open_session() as session:

                async def turn(session: Any = session, streamed: bool = streamed) -> str:
                    if streamed:
                        async with session.stream_message(QUESTION) as reply:
                            return "".join([delta async for delta in reply])
                    return str((await session.send(QUESTION)).text)

                task = asyncio.create_task(turn())
                await turns_of_the_loop(step)
                task.cancel()
                await asyncio.wait([task])
                assert await turn() == "Nine to six."
                assert (await ask(cached, QUESTION)).text == "Nine to six."
                assert not len(cached._flights)
            assert agent.open == agent.under_way == agent.opening == 0


def test_any_order_of_conversations() -> None:
    """Each gets an answer that is his, and every turn of the agent is somebody's."""

    async def scenario(draw: random.Random) -> None:
        agent, storage = ScriptedAgent(), Troubled()
        personal = iter(range(1000))

        def says(text: str) -> Turn:
            kind = draw.random()
            if kind < 0.2:
                return Turn("", items=[], error=UnavailableError("down"))
            if kind < 0.5:
                return Turn(f"personal {next(personal)}", plain=False)
            return Turn(items=["for ", "everybody"])

        agent.says = says
        got: list[str] = []

        async def one() -> None:
            async with cached.open_session() as session:
                try:
                    if draw.random() < 0.5:
                        answer = await session.send(QUESTION)
                        assert answer.cache is None or answer.text == "for everybody"
                        got.append(answer.text)
                        return
                    async with session.stream_message(QUESTION) as reply:
                        said = "".join([delta async for delta in reply])
                        assert reply.cache is None or said == "for everybody"
                        got.append(said)
                except UnavailableError:
                    pass

        async with ResponseCache(agent, storage=storage) as cached:
            tasks = []
            for _ in range(7):
                tasks.append(asyncio.create_task(one()))
                await turns_of_the_loop(draw.randrange(5))
                if draw.random() < 0.2:
                    draw.choice(tasks).cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()
            await turns_of_the_loop()
            assert not len(cached._flights)
        mine = [text for text in got if text.startswith("personal")]
        assert len(mine) == len(set(mine))
        assert all(b"everybody" in value for value in storage.values.values())
        assert agent.open == agent.under_way == 0

    interleavings(scenario, range(300))
