"""Bad servers: each fault ends in the right error, inside the limits, leaving nothing."""

from __future__ import annotations

import logging
import traceback

import pytest
from chat_world import ANSWER, APART, PIECES, world_and_client

from fault_limits import BEGUN, limits_of
from voicekit import events
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Fault
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidRequestError,
    ProviderError,
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

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

KEY = "MARKEDKEY"
TEXT = "MARKEDTEXT"


async def streamed(llm: OpenAIClient) -> str:
    return (await llm.stream_chat(TEXT).result()).text


async def whole(llm: OpenAIClient) -> str:
    return (await llm.chat(TEXT)).text


async def collect(reply: TextStream, into: list[str]) -> None:
    async for text in reply:
        into.append(text)


def quota(code: str) -> dict:
    return {"error": {"message": TEXT, "type": "insufficient_quota", "param": None, "code": code}}


BEFORE_COMMIT = [
    # fault, error of a stream, error of a whole answer
    (Fault("html"), RemoteProtocolError, RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError, RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError, RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError, RemoteProtocolError),
    (Fault("huge"), RemoteProtocolError, RemoteProtocolError),
    (Fault("drip", delay=0.05), FirstOutputTimeout, (FirstOutputTimeout, TotalTimeout)),
    (Fault("silence"), FirstOutputTimeout, (FirstOutputTimeout, TotalTimeout)),
    (Fault("stall"), FirstOutputTimeout, (FirstOutputTimeout, TotalTimeout)),
    (Fault("reset"), ConnectionLostError, ConnectionLostError),
    (Fault("close"), ConnectionLostError, ConnectionLostError),
    (Fault("reset", after_bytes=30), ConnectionLostError, None),
    (Fault("close", after_bytes=30), ConnectionLostError, None),
    (Fault("empty_deltas"), FirstOutputTimeout, None),
    (Fault("no_end_marker", after_events=1), RemoteProtocolError, None),
    (Fault("in_stream_error"), UnavailableError, UnavailableError),
    (Fault("in_stream_error", body=quota("insufficient_quota")), QuotaError, QuotaError),
    (Fault("status", status=500), UnavailableError, UnavailableError),
    (Fault("status", status=503), UnavailableError, UnavailableError),
    (Fault("status", status=429, body=quota("credit_balance_exhausted")), QuotaError, QuotaError),
    (Fault("status", status=429), RateLimitError, RateLimitError),
    (Fault("status", status=502, body="<html>"), UnavailableError, UnavailableError),
    (Fault("status", status=301, headers=(("Location", "http://127.0.0.1:1/"),)),
     RemoteProtocolError, RemoteProtocolError),
    (Fault("status", status=200, body=quota("insufficient_quota")), QuotaError, QuotaError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "error", "run"),
    [
        pytest.param(fault, error, run, id=f"{fault.kind}-{fault.status or ''}-{run.__name__}")
        for fault, *errors in BEFORE_COMMIT
        for error, run in zip(errors, (streamed, whole), strict=True)
        if error is not None
    ],
)
async def test_a_fault_before_the_commit_point(fault, error, run, caplog) -> None:
    """The typed error, one request on the wire, no key or text shown, and the next call works."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    limits = limits_of(("stream_chat", "chat"), fault)
    async with world_and_client(
        api_key=KEY, limits=limits, observers=(seen,), policies=NO_POLICIES
    ) as (world, llm):
        world.inject("openai", fault)
        started = world.journal.now()
        with pytest.raises(error) as caught:
            await run(llm)
        assert world.journal.now() - started < 5.0
        assert isinstance(caught.value, VoicekitError)
        assert (caught.value.provider, caught.value.attempts) == ("openai", 1)
        assert not isinstance(caught.value, StreamInterruptedError)
        assert len(world.journal.requests_for("openai", "chat")) == 1
        assert await run(llm) == ANSWER
        assert [event.result for event in seen.of(events.CallEnded)] == ["error", "ok"]
    shown = repr(caught.value) + caplog.text + repr(seen.events)
    shown += "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert TEXT not in shown


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("stall", after_events=3), GapTimeout),
        (Fault("reset", after_events=3), ConnectionLostError),
        (Fault("close", after_events=3), ConnectionLostError),
        (Fault("no_end_marker", after_events=3), RemoteProtocolError),
        (Fault("no_end_marker"), None),
        # Text and error may arrive in one read, or in two: what came is the same.
        (Fault("in_stream_error", after_events=3), UnavailableError),
        (Fault("in_stream_error", after_events=3, delay=0.05), UnavailableError),
        (Fault("in_stream_error", after_events=3, body=quota("x")), QuotaError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_fault_after_the_commit_point(fault, cause) -> None:
    """What came is handed out, then the error says exactly how much that was, and why."""
    async with world_and_client(APART, limits={"stream_chat": BEGUN}) as (world, llm):
        world.inject("openai", fault)
        got = []
        async with llm.stream_chat("hi") as reply:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(reply, got)
        error = caught.value
        assert tuple(got) == (PIECES[:2] if fault.after_events else PIECES)
        assert error.delivered_characters == len("".join(got))
        assert type(error.__cause__) is (cause or RemoteProtocolError)
        assert (error.outcome, error.retryable) == ("partial", False)
        assert reply.finish_reason is None
        assert (await llm.chat("hi")).text == ANSWER


async def test_a_refusal_carries_the_servers_wait() -> None:
    """Header first; else what the message says."""
    async with world_and_client(policies=NO_POLICIES) as (world, llm):
        world.inject("openai", Fault("status", status=429, headers=(("retry-after", "7"),)))
        world.inject("openai", Fault("status", status=429))
        waits = []
        for _ in range(2):
            with pytest.raises(RateLimitError) as caught:
                await llm.chat("hi")
            assert caught.value.outcome == "not_applied"
            waits.append(caught.value.retry_after)
        assert waits == [7.0, 1.0]


async def test_the_servers_word_on_repeats_is_heard() -> None:
    """``x-should-retry`` wins over the table."""
    async with world_and_client() as (world, llm):
        world.inject("openai", Fault("status", status=500, headers=(("x-should-retry", "false"),)))
        with pytest.raises(ProviderError) as caught:
            await llm.chat("hi")
        assert not caught.value.retryable


async def test_a_vendors_refusal_of_a_field_is_typed() -> None:
    """What our checks let through and the vendor does not."""
    async with world_and_client() as (_, llm):
        with pytest.raises(InvalidRequestError) as caught:
            await llm.chat("hi", extra_body={"temperature": 9})
        assert caught.value.param == "temperature"
        assert caught.value.code == "decimal_above_max_value"
