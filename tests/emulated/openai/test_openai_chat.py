"""Chat over the wire: what is sent, what comes back, and the evidence of it."""

from __future__ import annotations

import asyncio

import pytest
from chat_world import ANSWER, INSTANT, PIECES, world_and_client

from voicekit import events
from voicekit.clients.openai import Finish, RefusalDelta, TextDelta, ToolCallDelta
from voicekit.deadlines import deadline
from voicekit.emulator import Emulator, Reply, Scenario, ToolCall
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    InvalidRequestError,
    TotalTimeout,
)
from voicekit.operation import Limits
from voicekit.speech import ToolCall as Called
from voicekit.speech import Usage
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

CALLING = Scenario(
    name="test",
    replies=Reply(
        tool_calls=(
            ToolCall(name="find", arguments='{"city":"Rome"}', id="call_1"),
            ToolCall(name="time", id="call_2"),
        )
    ),
)
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("find", "time")]


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_streamed_answer_with_its_evidence(tls) -> None:
    """Text in order; counts, reason, ids, timings, connection and limits beside it."""
    async with world_and_client(tls=tls) as (world, llm):
        async with llm.stream_chat("When are you open?") as reply:
            pieces = [text async for text in reply]
        assert tuple(pieces) == PIECES
        assert reply.text == ANSWER
        assert reply.finish_reason == "stop"
        assert reply.refusal is None
        assert reply.tool_calls == ()
        assert reply.usage == Usage(
            input_tokens=reply.usage.input_tokens,
            output_tokens=len(PIECES),
            total_tokens=reply.usage.input_tokens + len(PIECES),
            cached_input_tokens=0,
            reasoning_tokens=0,
        )
        assert reply.headers["x-ratelimit-limit-requests"] == "30000"
        assert reply.request_id == reply.headers["x-request-id"]
        assert reply.attempts == 1
        assert reply.connection.reused is False
        assert 0 < reply.timings.first_output <= reply.timings.total
        assert reply.delivered_characters == len(ANSWER)
        record = world.journal.requests_for("openai", "chat")[0]
        assert (record.method, record.path) == ("POST", "/v1/chat/completions")
        assert record.json() == {
            "model": "gpt-x",
            "messages": [{"role": "user", "content": "When are you open?"}],
            "stream": True,
            "stream_options": {"include_usage": True, "include_obfuscation": False},
        }
        assert record.headers["content-type"] == "application/json"
        assert record.headers["accept-encoding"] == "identity"
        assert record.headers["user-agent"].startswith("voicekit/")
        assert record.outcome == "complete"
        assert record.notes == []


async def test_a_whole_answer_with_its_evidence() -> None:
    """The same facts on one value; nothing about streams is sent."""
    async with world_and_client() as (world, llm):
        result = await llm.chat([{"role": "user", "content": "When are you open?"}], seed=1)
        assert result.text == ANSWER
        assert (result.finish_reason, result.model) == ("stop", "gpt-x")
        assert result.usage.output_tokens == len(PIECES)
        assert result.id.startswith("chatcmpl-")
        assert result.raw["id"] == result.id
        assert result.request_id == result.headers["x-request-id"]
        assert result.connection.reused is False
        assert 0 < result.timings.first_output <= result.timings.total
        record = world.journal.requests_for("openai", "chat")[0]
        assert record.json() == {
            "model": "gpt-x",
            "messages": [{"role": "user", "content": "When are you open?"}],
            "seed": 1,
        }


async def test_streamed_and_whole_give_the_same_result() -> None:
    """``result()`` reads a stream to its end into the value that ``chat()`` returns."""
    for scenario, options in (
        (INSTANT, {}),
        (CALLING, {"tools": TOOLS}),
        (Scenario(name="test", replies=Reply(refusal="I cannot.")), {}),
    ):
        async with world_and_client(scenario) as (_, llm):
            whole = await llm.chat("hi", **options)
            streamed = await llm.stream_chat("hi", **options).result()
            for name in ("text", "refusal", "finish_reason", "usage", "model"):
                assert getattr(streamed, name) == getattr(whole, name)
            assert [(c.name, c.arguments) for c in streamed.tool_calls] == [
                (c.name, c.arguments) for c in whole.tool_calls
            ]
            kept = {name: value for name, value in streamed.raw.items() if name != "choices"}
            volatile = {"id", "created"}
            assert {name: whole.raw[name] for name in kept if name not in volatile} == {
                name: value for name, value in kept.items() if name not in volatile
            }


async def test_tool_calls_come_as_events_and_whole_at_the_end() -> None:
    """Iteration over text is empty, events tell the calls piece by piece."""
    async with world_and_client(CALLING) as (_, llm):
        async with llm.stream_chat("hi", tools=TOOLS) as reply:
            events = [event async for event in reply.events()]
        assert events[0] == ToolCallDelta(index=0, id="call_1", name="find")
        assert Finish(reason="tool_calls") in events
        assert isinstance(events[-1], Usage)
        assert reply.tool_calls == (
            Called(id="call_1", name="find", arguments='{"city":"Rome"}'),
            Called(id="call_2", name="time", arguments="{}"),
        )
        async with llm.stream_chat("hi", tools=TOOLS) as again:
            assert [text async for text in again] == []


async def test_a_refusal_commits_and_is_told() -> None:
    """It is useful output, and never text."""
    async with world_and_client(Scenario(name="test", replies=Reply(refusal="I cannot."))) as (
        _,
        llm,
    ):
        async with llm.stream_chat("hi") as reply:
            events = [event async for event in reply.events()]
        assert events[:2] == [RefusalDelta(text="I"), RefusalDelta(text=" cannot.")]
        assert (reply.text, reply.refusal) == ("", "I cannot.")


async def test_several_choices() -> None:
    """Iteration is the first choice; events hold the others."""
    async with world_and_client() as (_, llm):
        async with llm.stream_chat("hi", n=2) as reply:
            events = [event async for event in reply.events()]
        assert "".join(event for event in events if type(event) is str) == ANSWER
        others = [event.text for event in events if isinstance(event, TextDelta)]
        assert "".join(others) == ANSWER


@pytest.mark.parametrize(
    ("options", "reason", "text"),
    [
        ({"max_completion_tokens": 2}, "length", "We are"),
        ({"stop": " nine"}, "stop", "We are open from"),
    ],
)
async def test_why_it_stopped(options, reason, text) -> None:
    """The finish reason is the model's own word."""
    async with world_and_client() as (_, llm):
        for result in (
            await llm.chat("x", **options),
            await llm.stream_chat("x", **options).result(),
        ):
            assert (result.finish_reason, result.text) == (reason, text)


async def test_an_empty_answer_is_an_answer() -> None:
    """No text, but reason and end marker: complete, with nothing to say."""
    async with world_and_client(Scenario(name="test", replies="")) as (_, llm):
        async with llm.stream_chat("hi") as reply:
            assert [text async for text in reply] == []
        assert (reply.text, reply.finish_reason) == ("", "stop")


async def test_log_probabilities_are_told_and_in_raw() -> None:
    """Every response field of the sheet is reachable, streamed or whole."""
    async with world_and_client() as (_, llm):
        streamed = await llm.stream_chat("hi", logprobs=True).result()
        whole = await llm.chat("hi", logprobs=True)
        got, wanted = (r.raw["choices"][0]["logprobs"] for r in (streamed, whole))
        assert got["content"] == wanted["content"]


async def test_escape_hatches_reach_the_wire() -> None:
    """Query, headers and body go out with the request; the account's headers too."""
    async with world_and_client(organization="org-1", project="proj-1") as (world, llm):
        await llm.chat(
            "hi",
            extra_query={"api-version": "1"},
            extra_headers={"X-Mine": "yes"},
            extra_body={"something_new": {"a": 1}},
        )
        record = world.journal.requests_for("openai", "chat")[0]
        assert record.query == {"api-version": ["1"]}
        assert record.headers["x-mine"] == "yes"
        assert record.headers["openai-organization"] == "org-1"
        assert record.headers["openai-project"] == "proj-1"
        assert record.json()["something_new"] == {"a": 1}


async def test_a_request_may_be_sent_many_times() -> None:
    """It is a value: streamed, whole and again, always the same bytes."""
    async with world_and_client() as (world, llm):
        request = llm.request("hi", temperature=0.5)
        await llm.chat(request)
        await llm.chat(request)
        await llm.stream_chat(request).result()
        bodies = [record.body for record in world.journal.requests_for("openai", "chat")]
        assert bodies[0] == bodies[1]
        assert bodies[2].startswith(bodies[0][:-1])


async def test_a_key_from_a_callable_is_asked_for_each_request() -> None:
    """Rotation needs no new client; a bad key from it is refused before any I/O."""
    keys = iter(["one", "two", "", "with\nbreak"])

    async def next_key() -> str:
        return next(keys)

    async with world_and_client(api_key=next_key) as (world, llm):
        await llm.chat("hi")
        await llm.stream_chat("hi").result()
        for _ in range(2):
            with pytest.raises(ValueError, match="api_key"):
                await llm.chat("hi")
        digests = {r.headers["authorization"] for r in world.journal.requests_for("openai")}
        assert len(digests) == len(world.journal.requests) == 2


async def test_refusals_are_typed_and_carry_the_evidence() -> None:
    """Class, code, status, request id, provider, operation and attempts."""
    async with world_and_client() as (_, llm):
        for run in (
            lambda m: llm.stream_chat("hi", model=m).result(),
            lambda m: llm.chat("hi", model=m),
        ):
            with pytest.raises(InvalidRequestError) as caught:
                await run("no-such-model")
            error = caught.value
            assert (error.status, error.code, error.retryable) == (404, "model_not_found", False)
            assert error.request_id.startswith("req_")
            assert (error.provider, error.attempts) == ("openai", 1)
            assert error.operation in {"chat", "stream_chat"}
            assert error.connection is not None
    async with world_and_client(api_key="bad-key") as (_, llm):
        with pytest.raises(AuthenticationError) as caught:
            await llm.stream_chat("hi")
        assert caught.value.code == "invalid_api_key"


async def test_warm_opens_connections_and_sends_nothing() -> None:
    """The turn after it dials nothing; the journal has no request of the warm-up's."""
    async with world_and_client(tls=True) as (world, llm):
        report = await llm.warm(2)
        assert (report.opened, report.failures) == (2, ())
        assert world.journal.requests == []
        since = world.journal.now()
        async with llm.stream_chat("hi") as reply:
            assert reply.connection.reused
            assert "".join([text async for text in reply]) == ANSWER
        assert world.journal.new_connections("openai", since=since) == []


async def test_warm_reports_or_raises_when_nobody_listens() -> None:
    """A failed dial is in the report; strict makes it an error."""
    async with Emulator(providers=("openai",), scenario=INSTANT) as world:
        url = world.openai.url
    async with world_and_client(base_url=url) as (_, llm):
        report = await llm.warm(1)
        assert report.failures == ("ConnectError",)
        with pytest.raises(ConnectError):
            await llm.warm(1, strict=True)
        with pytest.raises(ConnectError) as caught:
            await llm.stream_chat("hi")
        assert caught.value.outcome == "not_applied"


async def test_each_call_has_one_terminal_event() -> None:
    """An observer sees a call begin, get its connection, commit and end, once each."""
    seen = RecordingObserver()
    async with world_and_client(observers=(seen,)) as (_, llm):
        await llm.chat("hi")
        await llm.stream_chat("hi").result()
        with pytest.raises(InvalidRequestError):
            await llm.stream_chat("hi", model="no-such-model")
        async with llm.stream_chat("hi"):
            pass
        ended = seen.of(events.CallEnded)
        assert [event.result for event in ended] == ["ok", "ok", "error", "cancelled"]
        assert [event.operation for event in ended] == ["chat", *["stream_chat"] * 3]
        assert len(seen.of(events.CallStarted)) == 4
        assert len(seen.of(events.FirstOutput)) == 3
        assert ended[2].status == 404
        assert ANSWER.split()[0] not in repr(seen.events)


async def test_limits_per_call_and_ambient_deadline_hold() -> None:
    """The shortest of call, client and ambient limits ends the call, opened or not."""
    slow = Scenario(name="test", replies=ANSWER, chat_first_token=5.0)
    async with world_and_client(slow) as (_, llm):
        with pytest.raises(TotalTimeout):
            await llm.chat("hi", limits=Limits(total=0.1))
        with deadline(0.1):
            handle = llm.stream_chat("hi")
            with pytest.raises(TotalTimeout):
                await handle


async def test_a_stream_is_used_once() -> None:
    """Iterating a closed handle ends; opening it again is an error."""
    async with world_and_client() as (_, llm):
        async with llm.stream_chat("hi") as reply:
            pass
        assert [text async for text in reply] == []
        never = llm.stream_chat("hi")
        await never.aclose()
        with pytest.raises(ClosedError):
            await never


async def test_many_at_once_share_the_pool() -> None:
    """Concurrent streams do not mix, and the pool keeps what it opened."""
    echo = Scenario(name="test", replies=lambda said: f"You said {said} and {said}.")
    async with world_and_client(echo) as (world, llm):
        await llm.warm(4)
        for _ in range(3):
            results = await asyncio.gather(
                *(llm.stream_chat(f"number {n}").result() for n in range(12))
            )
            for number, result in enumerate(results):
                assert result.text == f"You said number {number} and number {number}."
        assert len(world.journal.connections) <= 20
        assert world.journal.duplicates() != []  # the three rounds, and nothing sent in vain
        assert len(world.journal.requests) == 36
