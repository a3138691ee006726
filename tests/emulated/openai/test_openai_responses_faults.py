"""Bad servers, cancelling and wandering handles: responses and embeddings fail as chats do."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest
from chat_world import ANSWER, APART, PACED, PIECES, world_and_client

from fault_limits import BEGUN, limits_of
from settling import settled, steps
from voicekit import events
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Fault, Scenario
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.streams import TextStream
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

KEY = "MARKEDKEY"
TEXT = "MARKEDTEXT"
OPERATIONS = ("stream_response", "respond", "embed", "models", "model")
EMBEDDING = {"model": "text-embedding-3-small", "dimensions": 4}


async def streamed(llm: OpenAIClient) -> str:
    return (await llm.stream_response(TEXT).result()).text


async def whole(llm: OpenAIClient) -> str:
    return (await llm.respond(TEXT)).text


async def embedded(llm: OpenAIClient) -> str:
    assert len((await llm.embed([TEXT, "b"])).vectors) == 2
    return ANSWER


async def listed(llm: OpenAIClient) -> str:
    assert (await llm.models())[0].id == "gpt-5.5"
    return ANSWER


async def one(llm: OpenAIClient) -> str:
    assert (await llm.model("gpt-4o")).shutdown_date is not None
    return ANSWER


async def collect(reply: TextStream, into: list[str]) -> None:
    async for text in reply:
        into.append(text)


def error(code: str, kind: str = "server_error") -> dict:
    return {"message": TEXT, "type": kind, "param": None, "code": code}


NESTED = {"error": error("server_is_overloaded", "service_unavailable_error")}
FLAT = {"code": "rate_limit_exceeded", "message": TEXT}
FAILED = {"type": "response.failed", "error": error("insufficient_quota")}
QUOTA = {"error": error("insufficient_quota", "insufficient_quota")}
LATE = (FirstOutputTimeout, TotalTimeout)

EVERYWHERE = [
    (Fault("html"), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("huge"), RemoteProtocolError),
    (Fault("drip", delay=0.05), LATE),
    (Fault("silence"), LATE),
    (Fault("stall"), LATE),
    (Fault("stall", after_bytes=40), LATE),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
    (Fault("reset", after_bytes=40), ConnectionLostError),
    (Fault("close", after_bytes=40), ConnectionLostError),
    (Fault("status", status=500), UnavailableError),
    (Fault("status", status=503), UnavailableError),
    (Fault("status", status=429), RateLimitError),
    (Fault("status", status=429, body=QUOTA), QuotaError),
    (Fault("status", status=502, body="<html>"), UnavailableError),
    (Fault("status", status=200, body=QUOTA), QuotaError),
    (Fault("status", status=301, headers=(("Location", "http://127.0.0.1:1/"),)),
     RemoteProtocolError),
]  # fmt: skip
OF_STREAMS = [
    (Fault("empty_deltas"), FirstOutputTimeout),
    (Fault("no_end_marker", after_events=1), RemoteProtocolError),
    (Fault("in_stream_error"), UnavailableError),
    (Fault("in_stream_error", body=FLAT), RateLimitError),
    (Fault("in_stream_error", body=NESTED), UnavailableError),
    (Fault("in_stream_error", body=FAILED), QuotaError),
]
OF_WHOLE = [
    (Fault("in_stream_error"), UnavailableError),
    (Fault("in_stream_error", body=FAILED), QuotaError),
]


@pytest.mark.parametrize(
    ("fault", "kind", "run"),
    [
        pytest.param(fault, kind, run, id=f"{fault.kind}-{fault.status or ''}-{run.__name__}")
        for run, faults in (
            (streamed, EVERYWHERE + OF_STREAMS),
            (whole, EVERYWHERE + OF_WHOLE),
            (embedded, EVERYWHERE),
            (listed, EVERYWHERE),
            (one, EVERYWHERE[:8]),
        )
        for fault, kind in faults
    ],
)
async def test_a_fault_before_the_commit_point(fault, kind, run, caplog) -> None:
    """The typed error, one request on the wire, no key or text shown, and the next call works."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    limits = limits_of(OPERATIONS, fault)
    async with world_and_client(
        api_key=KEY, limits=limits, observers=(seen,), embedding=EMBEDDING, policies=NO_POLICIES
    ) as (world, llm):
        world.inject("openai", fault)
        started = world.journal.now()
        with pytest.raises(kind) as caught:
            await run(llm)
        assert world.journal.now() - started < 5.0
        assert isinstance(caught.value, VoicekitError)
        assert (caught.value.provider, caught.value.attempts) == ("openai", 1)
        assert not isinstance(caught.value, StreamInterruptedError)
        assert len(world.journal.requests) == 1
        assert await run(llm) == ANSWER
        assert [event.result for event in seen.of(events.CallEnded)] == ["error", "ok"]
    shown = repr(caught.value) + caplog.text + repr(seen.events)
    shown += "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert TEXT not in shown


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("stall", after_events=6), GapTimeout),
        (Fault("reset", after_events=6), ConnectionLostError),
        (Fault("close", after_events=6), ConnectionLostError),
        (Fault("no_end_marker", after_events=6), RemoteProtocolError),
        (Fault("no_end_marker"), RemoteProtocolError),
        (Fault("in_stream_error", after_events=6), UnavailableError),
        (Fault("in_stream_error", after_events=6, delay=0.05), UnavailableError),
        (Fault("in_stream_error", after_events=6, body=NESTED), UnavailableError),
        (Fault("in_stream_error", after_events=6, body=FAILED), QuotaError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_fault_after_the_commit_point(fault, cause) -> None:
    """What came is handed out, then the error says exactly how much that was, and why."""
    async with world_and_client(APART, limits={"stream_response": BEGUN}) as (world, llm):
        world.inject("openai", fault)
        got: list[str] = []
        async with llm.stream_response("hi") as reply:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(reply, got)
        # Four events open the response, its item and its part.
        assert tuple(got) == (PIECES[:2] if fault.after_events else PIECES)
        assert caught.value.delivered_characters == len("".join(got))
        assert type(caught.value.__cause__) is cause
        assert (caught.value.outcome, caught.value.retryable) == ("partial", False)
        assert reply.finish_reason is None
        assert (await llm.respond("hi")).text == ANSWER


async def test_the_servers_word_on_waits_and_repeats() -> None:
    """``retry-after-ms`` before ``retry-after``; ``x-should-retry`` wins over the table."""
    async with world_and_client(embedding=EMBEDDING) as (world, llm):
        headers = (("retry-after-ms", "250"), ("retry-after", "7"), ("x-should-retry", "false"))
        for run in (streamed, whole, embedded, listed):
            world.inject("openai", Fault("status", status=429, headers=headers))
            with pytest.raises(RateLimitError) as caught:
                await run(llm)
            assert (caught.value.retry_after, caught.value.retryable) == (0.25, False)


# -- cancelling --------------------------------------------------------------------------------


async def entered(llm: OpenAIClient) -> str:
    async with llm.stream_response("hi") as reply:
        return "".join([text async for text in reply])


async def iterated(llm: OpenAIClient) -> str:
    return "".join([text async for text in llm.stream_response("hi")])


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("use", [entered, iterated, whole, embedded, listed])
async def test_cancelled_at_every_await(use, warm) -> None:
    """After any number of steps: CancelledError at once, no task, no leased connection left."""
    async with world_and_client(pool=PoolConfig(min_ready=1), embedding=EMBEDDING) as (_, llm):
        if warm:
            await llm.warm(1)
        finished = 0
        for count in range(3000):
            task = asyncio.create_task(use(llm), name="victim")
            await steps(task, count)
            task.cancel()
            try:
                assert await task == ANSWER
                finished += 1
            except asyncio.CancelledError:
                pass
            await settled(llm)
            if finished:
                break
        assert finished
        assert count > 5
        assert not [t for t in asyncio.all_tasks() if t.get_name() == "victim"]
        assert await use(llm) == ANSWER


async def test_barge_in_ends_iteration_quietly() -> None:
    """``cancel()`` frees the connection; the next turn works."""
    async with world_and_client(PACED) as (_, llm):
        async with llm.stream_response("hi") as reply:
            got = []
            async for text in reply:
                got.append(text)
                if len(got) == 2:
                    await reply.cancel()
        assert tuple(got) == PIECES[:2]
        assert reply.cancelled
        assert reply.id is not None
        await settled(llm)
        assert await whole(llm) == ANSWER


async def test_three_tasks_may_share_the_life_of_a_handle() -> None:
    """Entered in one, iterated in another, closed in a third: the same text."""

    async def read(reply: TextStream) -> str:
        return "".join([text async for text in reply])

    async with world_and_client(PACED) as (_, llm):
        reply = llm.stream_response("hi")
        await asyncio.create_task(reply.__aenter__())
        assert await asyncio.create_task(read(reply)) == ANSWER
        await asyncio.create_task(reply.__aexit__(None, None, None))
        assert reply.finish_reason == "stop"


async def test_a_handle_closed_while_it_opens_opens_nothing() -> None:
    """The opener is told, and the connection goes back."""
    slow = Scenario(name="test", replies=ANSWER, chat_first_token=0.05)
    async with world_and_client(slow) as (_, llm):
        reply = llm.stream_response("hi")

        async def open_it() -> None:
            await reply

        opening = asyncio.create_task(open_it())
        await steps(opening, 5)
        await reply.aclose()
        with pytest.raises(ClosedError):
            await opening
        await settled(llm)


async def test_a_finished_stream_leaves_its_connection() -> None:
    """No [DONE] tells the end: the last event does, and the next call uses the same socket."""
    async with world_and_client() as (_, llm):
        for _ in range(5):
            await llm.stream_response("hi").result()
        assert llm.stats().opened == 1
