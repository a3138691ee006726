"""Conversations as they should go; the journal of the twin is the truth."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from agent_world import AGENT, ANSWER, PACED, SECRET, SLOW, asked, turns, world_and_client

from settling import library_tasks, settled, until
from voicekit import events
from voicekit.clients.agentforce import (
    AgentforceClient,
    AgentforceSession,
    SessionBusyError,
    SessionLostError,
    TurnFailedError,
)
from voicekit.clients.agentforce import client as agentforce_client
from voicekit.emulator import AgentTurn, Emulator, Fault, Scenario, agent_messages, agent_sessions
from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    InvalidRequestError,
    OutcomeUnknownError,
    StreamInterruptedError,
)
from voicekit.operation import Limits
from voicekit.resilience import Limit, Policies
from voicekit.speech import AgentAnswer, AgentProgress, AgentRetraction
from voicekit.testing import RecordingObserver
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

EDGE = turns(
    only=AgentTurn(text=ANSWER, chunks=()),
    rest=AgentTurn(text=ANSWER, chunks=("It left yesterday.",)),
    other=AgentTurn(text=ANSWER, chunks=("It has left.",)),
    back=AgentTurn(text=ANSWER, retracted=("It was ", "stolen.")),
    busy=AgentTurn(text=ANSWER, progress=("Looking that up", "Still looking")),
    record=AgentTurn(messages=({"type": "Inform", "message": "x", "result": [{"type": "r"}]},)),
    cited=AgentTurn(
        messages=({"type": "Inform", "message": "x", "citedReferences": [{"type": "link"}]},)
    ),
    ask=AgentTurn(messages=({"type": "Inquire", "message": "Which one?"},)),
    hand=AgentTurn(messages=({"type": "Inform", "message": "Bye."}, {"type": "Escalate"})),
    bye=AgentTurn(messages=({"type": "Inform", "message": "Bye."}, {"type": "SessionEnded"})),
    fail=AgentTurn(messages=({"type": "Failure", "code": "ACTION_FAILED"},)),
    odd=AgentTurn(text=ANSWER, interludes=({"type": "ThoughtTextChunk", "message": "hm"},)),
)


async def test_a_conversation() -> None:
    """Opened, greeted, two turns, feedback, ended with a reason; everything has its evidence."""
    async with world_and_client() as (world, agents):
        async with agents.open_session(key="whatsapp:+1", variables={"Phone": "+39"}) as session:
            assert session.greeting.startswith("Hello, I am the emulator")
            assert (session.key, session.ended, session.attempts) == ("whatsapp:+1", False, 1)
            answer = await session.send("Where is it?", variables={"Order": 4711})
            assert (answer.text, answer.plain, answer.ended) == (ANSWER, True, False)
            assert answer.session_id == session.id
            assert answer.connection is not None
            assert answer.connection.reused
            assert answer.timings is not None
            assert answer.timings.total is not None
            assert answer.request_id
            async with session.stream_message("And now?") as reply:
                got = [text async for text in reply]
            assert len(got) == 4
            assert "".join(got) == reply.text == ANSWER
            assert reply.answer is not None
            assert reply.answer.plain
            assert (await session.stream_message("Again?").result()).text == ANSWER
            await session.feedback(answer, "GOOD", text="nice", details={"a": 1})
        (seen,) = agent_sessions(world.journal)
        assert (seen.id, seen.end_reason) == (session.id, "UserRequest")
        assert set(seen.variables) == {"Phone"}
        said = seen.messages
        assert [each.text for each in said] == ["Where is it?", "And now?", "Again?"]
        assert set(said[0].variables) == {"Order"}
        numbers = [each.sequence or 0 for each in said]
        assert numbers == sorted(set(numbers))
        assert asked(world, "token") == [200]
        (told,) = world.journal.requests_for("agentforce", "feedback")
        assert told.json()["feedbackId"] == answer.feedback_id
        assert not world.journal.duplicates()


async def test_the_token_has_a_host_and_so_has_the_api() -> None:
    """``api_instance_url`` is where sessions are; an explicit ``base_url`` wins."""
    async with world_and_client() as (world, agents):
        assert agents.api_url == "https://api.salesforce.com"
        await agents.warm(1)
        assert agents.api_url == world.agentforce.url
        await (await agents.open_session()).aclose()
    async with world_and_client(base_url="http://127.0.0.1:9") as (world, agents):
        await agents.warm(1)
        assert agents.api_url == "http://127.0.0.1:9"


async def streamed(agents: AgentforceClient, text: str) -> tuple[list[Any], AgentAnswer]:
    async with agents.open_session() as session, session.stream_message(text) as reply:
        items = [item async for item in reply.events()]
        assert reply.answer is not None
        assert session.ended is reply.answer.ended
        return items, reply.answer


@pytest.mark.parametrize(
    ("text", "spoken", "plain", "ended"),
    [
        ("only", [ANSWER], True, False),
        ("rest", ["It left yesterday.", " Expect it on Friday."], True, False),
        ("other", ["It has left."], False, False),
        ("record", ["x"], False, False),
        ("cited", ["x"], False, False),
        ("ask", ["Which one?"], False, False),
        ("hand", ["Bye."], False, True),
        ("bye", ["Bye."], False, True),
    ],
)
async def test_a_turn(text: str, spoken: list[str], plain: bool, ended: bool) -> None:
    """What is spoken of it, streamed and whole, and whether it may be given to others."""
    async with world_and_client(EDGE) as (_, agents):
        items, answer = await streamed(agents, text)
        said = [item for item in items if type(item) is str]
        assert said == spoken or "".join(said) == "Which one?"
        assert (answer.text, answer.plain, answer.ended) == ("".join(spoken), plain, ended)
        async with agents.open_session() as session:
            whole = await session.send(text)
        if text != "other":  # where the chunks said something else
            assert (whole.text, whole.plain) == (answer.text, plain)
        assert whole.ended == ended


async def test_progress_is_time_for_a_filler() -> None:
    """It comes in order, as a value; iterating gives text only."""
    async with world_and_client(EDGE) as (_, agents):
        items, answer = await streamed(agents, "busy")
        shown = [item.text for item in items if type(item) is AgentProgress]
        assert shown == ["Looking that up", "Still looking"]
        assert type(items[0]) is AgentProgress
        assert answer.plain
        items, answer = await streamed(agents, "odd")
        assert {"type": "ThoughtTextChunk", "message": "hm"} in [
            {name: item.get(name) for name in ("type", "message")}
            for item in items
            if isinstance(item, dict)
        ]
        assert (answer.text, answer.plain) == (ANSWER, False)


async def test_a_retraction_drops_what_was_not_taken() -> None:
    """What was heard cannot be unsaid; the rest is gone, and the new text follows."""
    async with world_and_client(EDGE) as (_, agents):
        items, answer = await streamed(agents, "back")
        (taken_back,) = [item for item in items if type(item) is AgentRetraction]
        before = items[: items.index(taken_back)]
        assert taken_back.delivered_characters == sum(map(len, before))
        assert "".join(items[items.index(taken_back) + 1 :]) == ANSWER == answer.text
        assert not answer.plain


async def test_a_failure_inside_a_200_is_an_error() -> None:
    """The agent was at work: applied, not repeated; the session goes on."""
    async with world_and_client(EDGE) as (world, agents):
        async with agents.open_session() as session:
            for run in (session.send, lambda text: session.stream_message(text).result()):
                with pytest.raises(TurnFailedError) as caught:
                    await run("fail")
                error = caught.value
                assert (error.outcome, error.retryable, error.code) == (
                    "applied",
                    False,
                    "ACTION_FAILED",
                )
                assert error.attempts == 1
            assert (await session.send("hi")).text == ANSWER
        assert asked(world, "messages", "messages.stream") == [200, 200, 200]


async def test_a_session_that_the_agent_ended_is_over() -> None:
    """Nothing is sent to it any more, and it is not ended twice."""
    async with world_and_client(EDGE) as (world, agents):
        async with agents.open_session() as session:
            assert (await session.send("bye")).ended
            assert session.ended
            with pytest.raises(ClosedError, match="ended"):
                await session.send("hi")
            with pytest.raises(ClosedError):
                session.stream_message("hi")
        assert asked(world, "session.end") == []
        async with agents.open_session() as session:
            assert (await session.send("hand")).ended
            await session.send("hi")  # whoever took over may be asked for
        assert asked(world, "session.end") == [200]


async def test_turns_wait_for_each_other() -> None:
    """Ten at once over one session: in order, one at a time, never a 423."""
    async with world_and_client(PACED) as (world, agents):
        async with agents.open_session() as session:
            texts = [f"question {n}" for n in range(5)]
            answers = await asyncio.gather(*map(session.send, texts))
            assert [each.text for each in answers] == [ANSWER] * 5
            await asyncio.gather(*(session.stream_message(text).result() for text in texts))
        said = agent_messages(world.journal)
        assert [each.text for each in said] == [*texts, *texts]
        assert {each.request.status for each in said} == {200}
        assert session.id


async def test_barge_in_lets_the_turn_end_in_the_background() -> None:
    """The reply ends quietly; the next turn waits for the locked one, over a warm connection."""
    async with world_and_client(PACED) as (world, agents):
        async with agents.open_session() as session:
            for _ in range(3):
                async with session.stream_message("tell me") as reply:
                    async for _ in reply:
                        await reply.cancel()
                assert reply.cancelled
                assert reply.text != ANSWER
            assert (await session.send("hi")).text == ANSWER
            await settled(agents)
            opened = agents.stats().opened
        said = agent_messages(world.journal)
        assert [each.request.status for each in said] == [200] * 4
        assert [each.request.outcome for each in said] == ["complete"] * 4
        assert opened <= 2


@pytest.mark.parametrize("how", ["cancelled", "closed", "left", "dropped"])
async def test_every_way_to_give_a_turn_up_drains_it(how: str) -> None:
    """Before its first word or after: the next turn meets no lock."""
    slow = Scenario(name="test", agent_replies=ANSWER, agent_first_text=0.15, agent_chunk_gap=0.02)
    async with world_and_client(slow) as (world, agents):
        async with agents.open_session() as session:
            if how == "cancelled":
                task = asyncio.create_task(session.send("tell me"))
                await until(lambda: len(agent_messages(world.journal)) == 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif how == "closed":
                reply = session.stream_message("tell me")
                opening = asyncio.create_task(reply.result())
                await until(lambda: len(agent_messages(world.journal)) == 1)
                await reply.aclose()
                with pytest.raises(ClosedError):
                    await opening
            elif how == "left":
                async with session.stream_message("tell me") as reply:
                    pass
            else:
                reply = await session.stream_message("tell me")
                task = asyncio.create_task(reply.take())
                await asyncio.sleep(0)
                await task
                await reply.aclose()
            assert (await session.send("hi")).text == ANSWER
        said = agent_messages(world.journal)
        assert [each.request.status for each in said] == [200, 200]
        assert [each.request.outcome for each in said] == ["complete", "complete"]


async def test_leaving_before_anything_was_sent_says_nothing() -> None:
    """A turn that waits in line and is cancelled reaches nobody."""
    async with world_and_client(PACED) as (world, agents):
        async with agents.open_session() as session:
            first = asyncio.create_task(session.stream_message("one").result())
            await until(lambda: session._turns.busy)
            waiting = asyncio.create_task(session.send("two"))
            await asyncio.sleep(0)
            waiting.cancel()
            last = asyncio.create_task(session.send("three"))
            await asyncio.wait([first, waiting, last])
            assert waiting.cancelled()
        assert [each.text for each in agent_messages(world.journal)] == ["one", "three"]


async def test_somebody_elses_turn_is_waited_for() -> None:
    """A 423 is no failure: asked again, with a new number, until the session is free."""
    seen = RecordingObserver()
    async with world_and_client(observers=(seen,)) as (world, agents):
        async with agents.open_session() as session:
            for operation, times in (("messages", 2), ("messages.stream", 1)):
                world.inject(
                    "agentforce", Fault("status", status=423, operation=operation, times=times)
                )
            assert (await session.send("hi")).attempts == 3
            assert (await session.stream_message("hi").result()).text == ANSWER
            assert session.replaced == 0
        numbers = [each.sequence or 0 for each in agent_messages(world.journal)]
        assert len(numbers) == 5
        assert numbers == sorted(set(numbers))
        waits = [event.wait for event in seen.of(events.RetryScheduled)]
        assert waits == [0.25, 0.5, 0.25]
        assert agents.breaker("send").state == "closed"


async def test_patience_ends_with_the_time() -> None:
    """The typed error, proven not applied."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject(
                "agentforce", Fault("status", status=423, operation="messages", times=None)
            )
            with pytest.raises(SessionBusyError) as caught:
                await session.send("hi", limits=Limits(total=1.2))
            assert (caught.value.outcome, caught.value.retryable) == ("not_applied", True)
            # A wait of 0.25 s and one of 0.5 s: behind one of 1 s it could not be answered.
            assert (caught.value.retry_stopped, caught.value.attempts) == ("deadline", 3)
        world.journal.clear()


async def test_a_lost_session_is_replaced_once() -> None:
    """Same start variables, a new id, the text said once more, an event; the next is as ever."""
    seen = RecordingObserver()
    async with world_and_client(observers=(seen,)) as (world, agents):
        async with agents.open_session(variables={"Phone": "+39"}) as session:
            first = session.id
            for operation, run in (
                ("messages", session.send),
                ("messages.stream", lambda text: session.stream_message(text).result()),
            ):
                before = session.id
                world.inject("agentforce", Fault("session_lost", operation=operation))
                answer = await run("hi")
                assert (answer.text, answer.attempts) == (ANSWER, 2)
                assert answer.session_id == session.id != before
            assert session.replaced == 2
        sessions = agent_sessions(world.journal)
        assert [set(each.variables) for each in sessions] == [{"Phone"}] * 3
        assert sessions[0].id == first
        assert len({each.key for each in sessions}) == 3
        assert sessions[-1].end_reason == "UserRequest"
        said = [(each.session, each.request.status) for each in agent_messages(world.journal)]
        assert [status for _, status in said] == [404, 200, 404, 200]
        assert len(seen.of(events.SessionReplaced)) == 2


async def test_who_goes_away_while_a_lost_session_is_replaced_leaves_none() -> None:
    """The new one is ended, and the next turn gets one of its own."""
    opening = Scenario(name="test", agent_replies=ANSWER, agent_session_open=0.15)
    async with world_and_client(opening) as (world, agents):
        async with agents.open_session() as session:
            world.inject("agentforce", Fault("session_lost", operation="messages"))
            task = asyncio.create_task(session.send("one"))
            await until(lambda: len(world.journal.requests_for("agentforce", "session.start")) == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await session.send("two")).text == ANSWER
            assert session.replaced == 1
        await until(lambda: agent_sessions(world.journal)[1].end_reason == "Other")
        first, late, used = agent_sessions(world.journal)
        assert [each.text for each in first.messages] == ["one", "two"]
        assert late.messages == []
        assert [each.text for each in used.messages] == ["two"]
        assert used.end_reason == "UserRequest"


async def test_a_session_closed_while_it_is_replaced_leaves_none_and_says_nothing() -> None:
    """Whoever speaks is told; the new one is ended as the old one was."""
    opening = Scenario(name="test", agent_replies=ANSWER, agent_session_open=0.15)
    async with world_and_client(opening) as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", Fault("session_lost", operation="messages"))
        task = asyncio.create_task(session.send("one"))
        await until(lambda: len(world.journal.requests_for("agentforce", "session.start")) == 2)
        await session.aclose()
        with pytest.raises((ClosedError, SessionLostError)):
            await task
        await until(lambda: agent_sessions(world.journal)[1].end_reason is not None)
        assert asked(world, "messages") == [404]


async def test_a_session_closed_while_somebody_waits_says_nothing_more() -> None:
    """Its next attempt is not made."""
    async with world_and_client() as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", Fault("status", status=423, operation="messages", times=1))
        task = asyncio.create_task(session.send("one"))
        await until(lambda: asked(world, "messages") == [423])
        await session.aclose()
        with pytest.raises((ClosedError, SessionLostError)):
            await task
        assert asked(world, "messages") == [423]


async def test_a_session_that_is_lost_again_and_again_is_an_error() -> None:
    """One resend, no loop."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject("agentforce", Fault("session_lost", operation="messages", times=2))
            with pytest.raises(SessionLostError) as caught:
                await session.send("hi")
            assert (caught.value.outcome, caught.value.attempts) == ("not_applied", 2)
        assert asked(world, "messages") == [404, 404]


async def test_a_404_of_the_gateway_is_no_lost_session() -> None:
    """HTML: the setup is wrong, and nothing is started anew."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject(
                "agentforce",
                Fault("status", status=404, operation="messages", body="<html>No Longer Exists"),
            )
            with pytest.raises(InvalidRequestError, match="agent_id"):
                await session.send("hi")
        assert asked(world, "session.start", "messages") == [200, 404]


async def test_bad_input_is_refused_before_anything_is_sent() -> None:
    """At once, also by what returns a handle."""
    async with world_and_client() as (world, agents), agents.open_session() as session:
        world.journal.clear()
        for text, options in (
            ("", {}),
            ("  \n", {}),
            (7, {}),
            ("marked \ud800", {}),
            ("x", {"variables": {"$Context.Id": "1"}}),
            ("x", {"variables": {"a b": "1"}}),
            ("x", {"nothing": 1}),
            ("x", {"extra_body": {"message": {}}}),
        ):
            with pytest.raises(InvalidArgumentError) as caught:
                await session.send(text, **options)
            assert "marked" not in str(caught.value)
            with pytest.raises(InvalidArgumentError):
                session.stream_message(text, **options)
        answer = AgentAnswer(text="x")
        for of, rating, more in (
            (answer, "GOOD", {}),
            ("", "GOOD", {}),
            ("f", "SUPER", {}),
            ("f", "BAD", {"details": {str(n): n for n in range(11)}}),
            ("f", "BAD", {"text": ""}),
        ):
            with pytest.raises(InvalidArgumentError):
                await session.feedback(of, rating, **more)
        with pytest.raises(InvalidArgumentError, match="reason"):
            await session.aclose("Because")
        assert world.journal.requests == []
        await session.send("x", variables={"$Context.EndUserLanguage": "it"})


async def test_a_message_may_be_made_before_it_is_said() -> None:
    """Frozen, with an identity that covers all that can change the answer; said any time."""
    async with world_and_client() as (world, agents), agents.open_session() as session:
        request = agents.message_request("hi", variables={"A": 1})
        assert request.variables == ("A",)
        assert "hi" not in repr(request)
        others = [
            agents.message_request("hi"),
            agents.message_request("ho", variables={"A": 1}),
            agents.message_request("hi", variables={"A": 2}),
            agents.message_request("hi", variables={"A": 1}, extra_headers={"x": "y"}),
        ]
        assert len({request.identity, *(each.identity for each in others)}) == 5
        assert (await session.send(request)).text == ANSWER
        assert (await session.stream_message(request).result()).text == ANSWER
        with pytest.raises(InvalidArgumentError, match="no further options"):
            await session.send(request, in_reply_to="x")
        assert [each.text for each in agent_messages(world.journal)] == ["hi", "hi"]
        assert AGENT in agents.identity


async def test_escape_hatches_reach_the_wire() -> None:
    """Query, headers and body of a session and of a message."""
    extra = {"extra_query": {"q": "1"}, "extra_headers": {"X-Mine": "1"}, "extra_body": {"b": 1}}
    async with world_and_client(message={"extra_headers": {"X-Each": "1"}}) as (world, agents):
        async with agents.open_session(**extra) as session:
            await session.send("hi", in_reply_to="m-1", **extra)
        start, said = (
            world.journal.requests_for("agentforce", name)[0]
            for name in ("session.start", "messages")
        )
        for record in (start, said):
            assert record.json()["b"] == 1
            assert record.headers.get("x-mine") == "1"
        assert said.json()["message"]["inReplyToMessageId"] == "m-1"
        assert said.headers.get("x-each") == "1"
        assert AGENT in start.path


async def test_three_tasks_may_share_the_life_of_a_handle() -> None:
    """Entered in one, used in another, closed in a third; of a session as of a reply."""

    async def read(reply: Any) -> str:
        return "".join([text async for text in reply])

    async def now(what: Any) -> Any:
        return await what

    async with world_and_client(PACED) as (world, agents):
        handle = agents.open_session()
        session = await asyncio.create_task(now(handle.__aenter__()))
        reply = session.stream_message("hi")
        await asyncio.create_task(now(reply.__aenter__()))
        assert await asyncio.create_task(read(reply)) == ANSWER
        await asyncio.create_task(now(reply.__aexit__(None, None, None)))
        await asyncio.create_task(now(handle.__aexit__(None, None, None)))
        assert asked(world, "session.end") == [200]


async def test_closing_the_client_ends_its_sessions() -> None:
    """All of them, politely, and what is being said fails typed."""
    endless = Scenario(name="test", agent_replies=ANSWER, agent_first_text=0.2, agent_chunk_gap=0.2)
    async with world_and_client(endless) as (world, agents):
        sessions = [await agents.open_session() for _ in range(3)]
        reply = await sessions[0].stream_message("hi")
        await reply.__anext__()
        turn = asyncio.create_task(sessions[1].send("hi"))
        await until(lambda: sessions[1]._turns.busy)
        waiting = asyncio.create_task(sessions[1].send("hi"))
        await asyncio.sleep(0)
        await agents.aclose()
        with pytest.raises(StreamInterruptedError):
            await reply.result()
        said, unsaid = await asyncio.gather(turn, waiting, return_exceptions=True)
        assert isinstance(said, OutcomeUnknownError | AgentAnswer)
        assert isinstance(unsaid, ClosedError)
        for session in sessions:
            with pytest.raises(ClosedError):
                await session.send("hi")
            await session.aclose()
        ended = world.journal.requests_for("agentforce", "session.end")
        assert len({record.path for record in ended if record.status == 200}) >= 2
        with pytest.raises(ClosedError):
            await agents.open_session()


LONG = Scenario(name="test", agent_replies=ANSWER, agent_first_text=1.0)
HASTY = {"end_session": Limits(connect=2.0, first_output=2.0, total=0.3)}
"""The caller waits for one repeat only."""


async def barge_in(world: Emulator, session: AgentforceSession) -> None:
    """Give a turn up which the provider does not stop."""
    turn = asyncio.create_task(session.send("tell me"))
    await until(lambda: len(agent_messages(world.journal)) == 1)
    turn.cancel()
    await asyncio.wait([turn])


@pytest.mark.parametrize("how", ["goes on", "closes the client"])
@pytest.mark.parametrize("limit", [None, Limit(1)], ids=repr)
async def test_a_session_is_ended_as_soon_as_its_turn_is(how: str, limit: Limit | None) -> None:
    """Barge-in and hang up: the caller is gone long before the provider lets the session go."""
    policies = Policies(limit=limit)
    async with world_and_client(LONG, limits=HASTY, policies=policies) as (world, agents):
        session = await agents.open_session()
        await barge_in(world, session)
        await session.aclose()
        assert agent_sessions(world.journal)[0].end_reason is None
        assert "voicekit-end-session" in library_tasks()
        if how == "goes on":
            async with agents.open_session():  # which a limit of one call at a time lets through
                assert agent_sessions(world.journal)[0].end_reason is None
            await until(lambda: "voicekit-end-session" not in library_tasks())
        else:
            await agents.aclose()
        assert agent_sessions(world.journal)[0].end_reason == "UserRequest"
        ends = asked(world, "session.end")
        assert ends[:2] == [423, 423]
        assert ends[-1] == 200


async def test_a_session_whose_second_try_is_late_is_ended_too() -> None:
    """The time of who closes it is over while the provider is asked again."""
    async with world_and_client(limits=HASTY) as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", Fault("status", status=423, operation="session.end"))
        world.inject("agentforce", Fault("silence", operation="session.end"))
        await session.aclose()
        await until(lambda: "voicekit-end-session" not in library_tasks())
        assert asked(world, "session.end") == [423, 0, 200]


async def test_a_client_does_not_wait_for_a_turn_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What ends its session is abandoned within the bound of closing."""
    monkeypatch.setattr(agentforce_client, "_GOODBYE", 0.1)
    async with world_and_client(SLOW, limits=HASTY) as (world, agents):
        session = await agents.open_session()
        await barge_in(world, session)
        await session.aclose()
        await agents.aclose()
        assert "voicekit-end-session" not in library_tasks()
        assert agent_sessions(world.journal)[0].end_reason is None


async def test_a_drain_lets_turns_end_first() -> None:
    """Closing with seconds to spare interrupts nobody."""
    late = Scenario(name="test", agent_replies=ANSWER, agent_first_text=0.2)
    async with world_and_client(late) as (_, agents):
        session = await agents.open_session()
        turn = asyncio.create_task(session.send("hi"))
        await until(lambda: session._turns.busy)
        await agents.aclose(drain=5)
        assert (await turn).text == ANSWER


async def test_a_shared_transport_outlives_its_clients() -> None:
    """Each ends its own sessions and its own token's refresh."""
    async with world_and_client() as (world, other), Transport() as transport:
        for _ in range(2):
            async with AgentforceClient(
                client_id="app",
                client_secret=SECRET,
                domain=world.agentforce.url,
                agent_id=AGENT,
                transport=transport,
            ) as agents:
                session = await agents.open_session()
                assert (await session.send("hi")).text == ANSWER
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in names if name.startswith("voicekit-agentforce")}
        assert asked(world, "session.end") == [200, 200]
        assert other.stats().opened == 0


async def test_views_share_token_and_sessions() -> None:
    """Another zone, the same everything else."""
    async with world_and_client() as (world, agents):
        view = agents.with_options(tz="Europe/Rome", variables={"A": 1})
        async with agents.open_session(), view.open_session() as session:
            await session.send("hi")
        await view.aclose()
        await (await agents.open_session()).aclose()
        assert asked(world, "token") == [200]
        bodies = [r.json() for r in world.journal.requests_for("agentforce", "session.start")]
        assert [body.get("tz") for body in bodies] == [None, "Europe/Rome", None]


async def test_nothing_secret_or_said_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Not by any repr, event, log line or error."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    async with world_and_client(observers=(seen,)) as (world, agents):
        token = ""
        async with agents.open_session(variables={"Pin": "MARKEDPIN"}) as session:
            answer = await session.send("MARKEDTEXT")
            reply = session.stream_message("MARKEDTEXT")
            await reply.result()
            world.inject("agentforce", Fault("status", status=400, body={"error": "X" * 5}))
            with pytest.raises(Exception, match="400") as caught:
                await session.send("MARKEDTEXT")
            token = agents._credential.last()
            assert token
            shown = f"{agents!r}{session!r}{answer!r}{reply!r}{reply.answer!r}{caught.value!r}"
            shown += f"{seen.events!r}{caplog.text}{vars(agents)!r}{agents.health()!r}"
    for secret in (SECRET, token, "MARKEDTEXT", "MARKEDPIN", ANSWER):
        assert secret not in shown
