"""Responses over the wire: what is sent, what comes back, and the evidence of it."""

from __future__ import annotations

import asyncio

import pytest
from chat_world import ANSWER, PIECES, world_and_client

from voicekit.clients.openai import (
    Finish,
    ReasoningDelta,
    RefusalDelta,
    ResponseEvent,
    ToolCallDelta,
)
from voicekit.emulator import Reply, Scenario, ToolCall
from voicekit.errors import AuthenticationError, InvalidRequestError
from voicekit.speech import ToolCall as Called
from voicekit.speech import Usage

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TOOLS = [{"type": "function", "name": n, "parameters": {}} for n in ("find", "time")]


def replying(**reply) -> Scenario:
    return Scenario(name="test", replies=Reply(**reply))


CALLING = replying(
    tool_calls=(
        ToolCall(name="find", arguments='{"city":"Rome"}', id="call_1"),
        ToolCall(name="time", id="call_2"),
    )
)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_streamed_response_with_its_evidence(tls) -> None:
    """Text in order; counts, reason, ids, limits, tier, timings, connection beside it."""
    async with world_and_client(tls=tls, responses={"store": False}) as (world, llm):
        async with llm.stream_response("When are you open?", service_tier="fast") as reply:
            assert reply.id.startswith("resp_")
            pieces = [text async for text in reply]
        assert tuple(pieces) == PIECES
        assert (reply.text, reply.refusal, reply.tool_calls) == (ANSWER, None, ())
        assert (reply.finish_reason, reply.raw["status"]) == ("stop", "completed")
        assert (reply.model, reply.service_tier) == ("gpt-x", "priority")
        assert reply.usage.output_tokens == len(PIECES)
        assert reply.usage.cached_input_tokens == 0
        assert reply.rate_limits.requests.limit == 30000
        assert reply.rate_limits.tokens.reset_s == 0.0
        assert reply.request_id == reply.headers["x-request-id"]
        assert (reply.attempts, reply.connection.reused) == (1, False)
        assert 0 < reply.timings.first_output <= reply.timings.total
        record = world.journal.requests_for("openai", "responses")[0]
        assert (record.method, record.path) == ("POST", "/v1/responses")
        assert record.json() == {
            "model": "gpt-x",
            "service_tier": "fast",
            "store": False,
            "input": "When are you open?",
            "stream": True,
            "stream_options": {"include_obfuscation": False},
        }
        assert record.headers["accept"] == "text/event-stream"
        assert (record.outcome, record.notes) == ("complete", [])


async def test_a_whole_response_with_its_evidence() -> None:
    """The same facts on one value; nothing about streams is sent."""
    async with world_and_client() as (world, llm):
        result = await llm.respond("When are you open?", instructions="Be brief.")
        assert (result.text, result.finish_reason, result.model) == (ANSWER, "stop", "gpt-x")
        assert (result.id, result.service_tier) == (result.raw["id"], "default")
        assert result.rate_limits.requests.remaining == 29999
        assert result.usage.output_tokens == len(PIECES)
        assert result.request_id == result.headers["x-request-id"]
        assert result.connection.reused is False
        assert 0 < result.timings.first_output <= result.timings.total
        assert world.journal.requests_for("openai", "responses")[0].json() == {
            "model": "gpt-x",
            "instructions": "Be brief.",
            "input": "When are you open?",
        }


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        (replying(text=ANSWER), {}),
        (replying(text=ANSWER, reasoning="hm"), {"reasoning": {"summary": "auto"}}),
        (CALLING, {"tools": TOOLS}),
        (replying(refusal="I cannot."), {}),
        (replying(text="word " * 40), {"max_output_tokens": 16}),
    ],
    ids=["text", "reasoning", "calls", "refusal", "incomplete"],
)
async def test_streamed_and_whole_give_the_same_result(scenario, options) -> None:
    """``result()`` reads a stream to its end into the value that ``respond()`` returns."""
    async with world_and_client(scenario) as (_, llm):
        whole = await llm.respond("hi", **options)
        streamed = await llm.stream_response("hi", **options).result()
        for name in ("text", "refusal", "finish_reason", "usage", "model", "service_tier"):
            assert getattr(streamed, name) == getattr(whole, name)
        assert [(c.name, c.arguments) for c in streamed.tool_calls] == [
            (c.name, c.arguments) for c in whole.tool_calls
        ]
        assert set(streamed.raw) == set(whole.raw)


async def test_a_conversation_by_the_id_of_what_came_before() -> None:
    """Only what is new is sent; a response that was not stored cannot be continued."""
    async with world_and_client() as (world, llm):
        first = await llm.stream_response("hi").result()
        await llm.respond("go on", previous_response_id=first.id)
        sent = world.journal.requests_for("openai", "responses")[1].json()
        assert (sent["previous_response_id"], sent["input"]) == (first.id, "go on")
        lost = await llm.respond("hi", store=False)
        with pytest.raises(InvalidRequestError) as caught:
            await llm.stream_response("go on", previous_response_id=lost.id)
        assert caught.value.code == "previous_response_not_found"


async def test_tool_calls_and_their_results() -> None:
    """Calls come as events and whole at the end; what they gave is sent back as items."""
    async with world_and_client(CALLING) as (world, llm):
        async with llm.stream_response("hi", tools=TOOLS) as reply:
            events = [event async for event in reply.events()]
        deltas = [event for event in events if isinstance(event, ToolCallDelta)]
        assert deltas[0] == ToolCallDelta(index=0, id="call_1", name="find")
        assert events[-1] == Finish(reason="tool_calls")
        assert isinstance(events[-2], Usage)
        assert reply.tool_calls == (
            Called(id="call_1", name="find", arguments='{"city":"Rome"}'),
            Called(id="call_2", name="time", arguments="{}"),
        )
        async with llm.stream_response("hi", tools=TOOLS) as again:
            assert [text async for text in again] == []
        world.set_scenario(replying(text="Sunny."))
        outputs = [
            {"type": "function_call_output", "call_id": call.id, "output": "1"}
            for call in reply.tool_calls
        ]
        result = await llm.respond(outputs, previous_response_id=reply.id)
        assert result.text == "Sunny."


async def test_reasoning_and_every_event_are_visible() -> None:
    """Summaries as deltas, the vendor's own events as they are; text alone by iteration."""
    async with world_and_client(replying(text="Nine.", reasoning="They ask.")) as (_, llm):
        async with llm.stream_response("hi", reasoning={"summary": "auto"}) as reply:
            events = [event async for event in reply.events()]
        assert ReasoningDelta(text="They ask.") in events
        kinds = [event.type for event in events if isinstance(event, ResponseEvent)]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert [event for event in events if type(event) is str] == ["Nine."]


async def test_a_refusal_commits_and_is_told() -> None:
    """It is useful output, and never text."""
    async with world_and_client(replying(refusal="I cannot.")) as (_, llm):
        async with llm.stream_response("hi") as reply:
            events = [event async for event in reply.events()]
        assert RefusalDelta(text="I") in events
        assert (reply.text, reply.refusal) == ("", "I cannot.")


async def test_a_prompt_that_is_only_cached() -> None:
    """Generates nothing, and is no error."""
    async with world_and_client() as (_, llm):
        result = await llm.stream_response("hi", prompt_cache_options={"prewarm": True}).result()
        assert (result.text, result.finish_reason) == ("", "stop")


async def test_a_cached_prompt_shows_in_the_usage() -> None:
    """``cached_input_tokens``, for either shape."""
    async with world_and_client() as (_, llm):
        prompt = "remember this " * 600
        for ask in (llm.respond, llm.chat):
            await ask(prompt)
            assert (await ask(prompt)).usage.cached_input_tokens >= 1024


async def test_a_chat_tells_tier_and_limits_too() -> None:
    """Whole and streamed, as a response does; ``raw``, ``id`` and ``model`` on the stream."""
    async with world_and_client(service_tier="fast") as (_, llm):
        whole = await llm.chat("hi")
        async with llm.stream_chat("hi") as reply:
            assert [text async for text in reply]
        for answer in (whole, reply, await llm.stream_chat("hi").result()):
            assert answer.service_tier == "priority"
            assert answer.rate_limits.requests.limit == 30000
            assert answer.model == "gpt-x"
            assert answer.id == answer.raw["id"]


async def test_refusals_are_typed() -> None:
    """A wrong key, an unknown model, a field that only the vendor knows to be wrong."""
    async with world_and_client() as (_, llm):
        with pytest.raises(InvalidRequestError) as caught:
            await llm.stream_response("hi", model="no-such-model")
        # A 400 here, and a 404 for a chat.
        assert (caught.value.status, caught.value.code) == (400, "model_not_found")
        with pytest.raises(InvalidRequestError) as caught:
            await llm.respond("hi", max_output_tokens=1)
        assert caught.value.param == "max_output_tokens"
    async with world_and_client(api_key="bad-key") as (_, llm):
        with pytest.raises(AuthenticationError):
            await llm.respond("hi")


async def test_many_at_once() -> None:
    """Each has its own answer."""
    async with world_and_client(Scenario(name="test", replies=lambda said: f"you said {said}")) as (
        _,
        llm,
    ):
        results = await asyncio.gather(
            *(llm.stream_response(f"number {n}").result() for n in range(12)),
            *(llm.respond(f"number {n}") for n in range(12)),
        )
        assert [r.text for r in results] == [f"you said number {n}" for n in range(12)] * 2
