"""Bad servers: each fault ends typed, inside the limits, with no second message sent."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

import pytest
from agent_world import ANSWER, APART, INSTANT, OPERATIONS, PACED, SECRET, asked, world_and_client

from fault_limits import SHORT, limits_of
from settling import settled, steps, until
from voicekit.clients.agentforce import AgentforceSession
from voicekit.emulator import AgentTurn, Fault, Scenario, agent_messages
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    OutcomeUnknownError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.resilience import NO_POLICIES, Hedge, Policies
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "MARKEDTEXT"


async def streamed(session: AgentforceSession) -> str:
    return (await session.stream_message(TEXT).result()).text


async def whole(session: AgentforceSession) -> str:
    return (await session.send(TEXT)).text


RUNS = {"messages.stream": streamed, "messages": whole}
UNKNOWN = [
    # fault, what is behind the OutcomeUnknownError
    (Fault("html"), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("stall"), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
    (Fault("in_stream_error"), UnavailableError),
    (Fault("status", status=500), UnavailableError),
    (Fault("status", status=502, body="<html>"), UnavailableError),
    (Fault("status", status=503), UnavailableError),
    (Fault("status", status=504), UnavailableError),
]


@pytest.mark.parametrize("operation", list(RUNS))
@pytest.mark.parametrize(
    ("fault", "cause"), UNKNOWN, ids=[f"{fault.kind}{fault.status or ''}" for fault, _ in UNKNOWN]
)
async def test_an_unknown_outcome_is_never_repeated(
    fault: Fault, cause: type[VoicekitError], operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One message on the wire, a hint how to find out, nothing shown; the client goes on."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    limits = limits_of(OPERATIONS, fault)
    async with world_and_client(limits=limits, observers=(seen,)) as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", fault)
        started = world.journal.now()
        with pytest.raises(OutcomeUnknownError) as caught:
            await RUNS[operation](session)
        assert world.journal.now() - started < 5.0
        assert isinstance(caught.value.__cause__, cause)
        assert (caught.value.attempts, caught.value.outcome) == (1, "unknown")
        assert "ask the agent" in caught.value.hint
        assert len(asked(world, operation)) == 1
        assert session.replaced == 0
        await session.aclose()
        async with agents.open_session() as other:
            assert (await other.send("hi")).text == ANSWER
    shown = repr(caught.value) + caplog.text + repr(seen.events)
    shown += "".join(traceback.format_exception(caught.value))
    for secret in (TEXT, SECRET):
        assert secret not in shown


@pytest.mark.parametrize("operation", list(RUNS))
@pytest.mark.parametrize(
    "policies", [NO_POLICIES, Policies(retry=None), Policies(hedge=Hedge(0.05))], ids=repr
)
@pytest.mark.parametrize("fault", [Fault("close"), Fault("html"), Fault("status", status=503)])
async def test_an_unknown_outcome_is_told_whatever_the_policies_are(
    fault: Fault, policies: Policies, operation: str
) -> None:
    """Without a retry, too, nobody takes a lost turn for one that may be said again."""
    async with world_and_client(policies=policies) as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", fault)
        with pytest.raises(OutcomeUnknownError) as caught:
            await RUNS[operation](session)
        assert "ask the agent" in caught.value.hint
        assert len(asked(world, *RUNS)) == 1
        await session.aclose()


@pytest.mark.parametrize("operation", list(RUNS))
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, "UnauthorizedException", "the order service refused its token"),
        (404, "NotFoundException", "no order of that number"),
        (404, "NotFoundException", "V6Session not found for sessionId: x"),
        (410, "NotAvailableError", "the record is gone"),
        (423, "ServerBusyError", "the record is locked"),
        (429, "TooManyRequestsError", "the order service is busy"),
    ],
)
async def test_an_error_inside_a_turn_repeats_nothing(
    status: int, error: str, words: str, operation: str
) -> None:
    """The agent was at work: whatever an action of it ran into, nothing is said twice."""
    failed = {"type": "Error", "httpStatus": status, "error": error, "message": words}
    turn = AgentTurn(messages=({"type": "ProgressIndicator", "message": "Looking"}, failed))
    async with world_and_client(Scenario(name="test", agent_replies=turn)) as (world, agents):
        async with agents.open_session() as session:
            with pytest.raises(OutcomeUnknownError):
                await RUNS[operation](session)
        assert len(agent_messages(world.journal)) == 1
        assert asked(world, "session.start", "token") == [200, 200]


OTHERS = {
    "status": 500,
    "error": "HttpServerErrorException",
    "message": "Apex action PlaceOrder failed after charge: checkout session not found for cart 8",
}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", operation="messages", status=500, body=OTHERS),
        Fault("status", operation="messages.stream", status=500, body=OTHERS),
        Fault("in_stream_error", operation="messages.stream", status=500, body=OTHERS),
    ],
    ids=lambda fault: f"{fault.kind} {fault.operation}",
)
async def test_words_about_another_session_repeat_nothing(fault: Fault) -> None:
    """An action had acted when *its* session was gone: said once, in the session at hand."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject("agentforce", fault)
            with pytest.raises(OutcomeUnknownError):
                await RUNS[fault.operation or ""](session)
            assert session.replaced == 0
        assert len(asked(world, *RUNS)) == 1
        assert asked(world, "session.start") == [200]


@pytest.mark.parametrize("operation", list(RUNS))
async def test_what_was_refused_at_the_door_may_be_asked_again(operation: str) -> None:
    """429: proven not applied, repeated within the policy; each time with a new number."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject("agentforce", Fault("status", status=429, operation=operation))
            assert await RUNS[operation](session) == ANSWER
            world.inject("agentforce", Fault("status", status=429, operation=operation, times=3))
            with pytest.raises(RateLimitError) as caught:
                await RUNS[operation](session)
            assert caught.value.outcome == "not_applied"
        numbers = [each.sequence or 0 for each in agent_messages(world.journal)]
        assert len(numbers) == 5
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("status", "error"), [(400, "BadRequestException"), (403, "Forbidden"), (412, "X"), (422, "X")]
)
async def test_a_refusal_is_final(status: int, error: str) -> None:
    """Typed, not applied, not repeated."""
    body = {"status": status, "error": error, "message": TEXT, "requestId": "r-1"}
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            world.inject(
                "agentforce", Fault("status", status=status, operation="messages", body=body)
            )
            with pytest.raises(VoicekitError) as caught:
                await session.send("hi")
            assert caught.value.outcome == "not_applied"
            assert not caught.value.retryable
            assert caught.value.request_id == "r-1"
            assert TEXT not in repr(caught.value)
        assert asked(world, "messages") == [status]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("stall", after_events=2), GapTimeout),
        (Fault("reset", after_events=2), ConnectionLostError),
        (Fault("close", after_events=2), ConnectionLostError),
        (Fault("no_end_marker", after_events=2), RemoteProtocolError),
        (Fault("in_stream_error", after_events=2), UnavailableError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_turn_that_breaks_off_says_what_was_said(
    fault: Fault, cause: type[VoicekitError]
) -> None:
    """What came is handed out, then exactly how much that was, and why; nothing is repeated."""
    async with world_and_client(APART, limits=limits_of(OPERATIONS, fault)) as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", fault)
        got: list[str] = []

        async def collect(reply: Any) -> None:
            async for text in reply:
                got.append(text)

        async with session.stream_message("hi") as reply:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(reply)
        assert ANSWER.startswith("".join(got))
        assert got
        assert caught.value.delivered_characters == len("".join(got))
        assert isinstance(caught.value.__cause__, cause)
        assert asked(world, "messages.stream") == [200]
        await session.aclose()


async def test_an_endless_answer_is_bounded() -> None:
    """In memory and in time."""
    async with world_and_client(limits=dict.fromkeys(OPERATIONS, SHORT)) as (world, agents):
        session = await agents.open_session()
        for run in RUNS.values():
            world.inject("agentforce", Fault("huge"))
            with pytest.raises(OutcomeUnknownError):
                await run(session)
        await session.aclose()


async def test_the_server_gives_up_and_nobody_asks_again() -> None:
    """Its 500 after 120 s: unknown what the agent did by then."""
    gives_up = Scenario(name="test", agent_replies=ANSWER, agent_first_text=9.0, agent_timeout=0.2)
    async with world_and_client(gives_up) as (world, agents):
        async with agents.open_session() as session:
            for run in RUNS.values():
                with pytest.raises(OutcomeUnknownError) as caught:
                    await run(session)
                assert isinstance(caught.value.__cause__, UnavailableError)
        assert len(agent_messages(world.journal)) == 2


async def test_a_turn_that_is_too_slow_is_waited_for_by_the_next() -> None:
    """It is unknown, and still running: the next meets no lock."""
    late = Scenario(name="test", agent_replies=ANSWER, agent_first_text=1.5)
    async with world_and_client(late, limits={"send": SHORT}) as (world, agents):
        async with agents.open_session() as session:
            with pytest.raises(OutcomeUnknownError) as caught:
                await session.send("one")
            assert isinstance(caught.value.__cause__, FirstOutputTimeout)
            world.set_scenario(INSTANT)
            assert (await session.send("two")).text == ANSWER
        assert [each.request.status for each in agent_messages(world.journal)] == [200, 200]


async def test_an_end_never_fails() -> None:
    """Gone already, refused, unavailable, silent: bounded, and quiet."""
    async with world_and_client() as (world, agents):
        for fault in (
            Fault("session_lost", operation="session.end"),
            Fault("status", status=400, operation="session.end"),
            Fault("status", status=503, operation="session.end", times=2),
            Fault("status", status=204, body="", operation="session.end"),
            Fault("reset", operation="session.end"),
        ):
            session = await agents.open_session()
            world.inject("agentforce", fault)
            await session.aclose("Transfer")
            await session.aclose()
            assert session.closed
            world.clear_faults()


@pytest.mark.parametrize("use", ["send", "stream", "entered"])
async def test_a_turn_cancelled_at_every_await(use: str) -> None:
    """Whenever: nothing leaks, each text is said at most once, and the next turn is as ever."""

    async def run(session: AgentforceSession, text: str) -> str:
        if use == "send":
            return (await session.send(text)).text
        if use == "stream":
            return (await session.stream_message(text).result()).text
        async with session.stream_message(text) as reply:
            return "".join([each async for each in reply])

    async with world_and_client() as (world, agents):
        session = await agents.open_session()
        for count in range(3000):
            task = asyncio.create_task(run(session, f"text {count}"))
            await steps(task, count)
            task.cancel()
            try:
                assert await task == ANSWER
                break
            except asyncio.CancelledError:
                pass
            if count % 5 == 0:
                assert (await session.send(f"check {count}")).text == ANSWER
        assert count > 5
        assert (await session.send("last")).text == ANSWER
        await settled(agents)
        said = [each.text for each in agent_messages(world.journal)]
        assert len(said) == len(set(said))
        assert {each.request.status for each in agent_messages(world.journal)} <= {200, None}
        assert session.replaced == 0
        await session.aclose()
        assert agents.stats().open <= 20


async def test_the_pool_is_sane_after_faults() -> None:
    """Failed, timed-out and broken turns leave no lease behind, and few connections."""
    async with world_and_client(PACED, limits=dict.fromkeys(OPERATIONS, SHORT)) as (world, agents):
        await agents.warm(2)
        for number, kind in enumerate(("reset", "close", "stall", "html", "no_end_marker") * 2):
            session = await agents.open_session()
            world.inject("agentforce", Fault(kind, after_events=number % 3))
            with pytest.raises(VoicekitError):
                await session.stream_message("hi").result()
            await session.aclose()
        await settled(agents)
        assert agents.stats().leased == 0
        async with agents.open_session() as session:
            assert (await session.send("hi")).text == ANSWER
        await until(lambda: not agents._background or len(agents._background) <= 1)
