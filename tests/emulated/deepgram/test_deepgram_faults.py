"""What goes wrong on the wire ends typed, inside the limits, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from listening import (
    HEARD,
    INSTANT,
    KEY,
    SPEECH,
    TIGHT,
    audio_in,
    listening,
    outcomes,
    read,
    tone,
    whole,
)

from settling import eventually, library_tasks
from voicekit.clients.deepgram import DeepgramClient
from voicekit.emulator import Fault, Scenario
from voicekit.emulator.providers.deepgram import Deepgram
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    FirstOutputTimeout,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


async def fails(stt: DeepgramClient, **options: Any) -> VoicekitError:
    with pytest.raises(VoicekitError) as caught:
        await whole(stt, **options)
    return caught.value


# -- the handshake ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidRequestError, False),
        (401, AuthenticationError, False),
        (402, QuotaError, False),
        (403, AuthenticationError, False),
        (404, InvalidRequestError, False),
        (408, UnavailableError, True),
        (429, RateLimitError, True),
        (500, UnavailableError, True),
        (503, UnavailableError, True),
    ],
)
async def test_refused_handshakes(status: int, kind: type[ProviderError], retryable: bool) -> None:
    """Each status is its error, with the vendor's words and id; the client goes on."""
    async with listening(policies=NO_POLICIES) as (world, stt):
        world.inject("deepgram", Fault("ws_refuse", status=status))
        error = await fails(stt)
        assert type(error) is kind
        assert error.retryable is retryable
        assert error.status == status
        assert error.request_id
        assert error.detail
        assert error.attempts == 1
        assert error.operation == "open_transcription"
        assert error.connection is not None
        assert len(world.journal.requests) == 1
        assert await whole(stt) == HEARD
    assert await eventually(lambda: library_tasks() == [])


async def test_the_vendors_own_refusals() -> None:
    """A wrong key, an unknown model and an unknown parameter, as the vendor says it."""
    async with listening() as (world, stt):
        async with DeepgramClient("bad-key", base_url=world.deepgram.url) as wrong:
            error = await fails(wrong)
            assert isinstance(error, AuthenticationError)
            assert error.code == "INVALID_AUTH"
        error = await fails(stt, model="nova-99")
        assert isinstance(error, InvalidRequestError)
        assert "No such model" in str(error.detail)
        error = await fails(stt, extra_query={"colour": "blue"})
        assert error.code == "INVALID_QUERY_PARAMETER"


@pytest.mark.parametrize("kind", ["html", "wrong_type", "half_json", "empty", "huge"])
async def test_answers_that_are_no_websocket(kind: Any) -> None:
    """A page where a socket should be is a typed error, whatever and however much it holds."""
    async with listening(limits={"open_transcription": TIGHT}) as (world, stt):
        world.inject("deepgram", Fault(kind))
        error = await fails(stt)
        assert isinstance(error, (ProviderError, RemoteProtocolError)), repr(error)
        assert await whole(stt) == HEARD


async def test_a_handshake_that_is_not_answered() -> None:
    """The answer to the handshake is owed like any output: it has the gap's limit."""
    async with listening(limits={"open_transcription": TIGHT}, policies=NO_POLICIES) as (
        world,
        stt,
    ):
        world.inject("deepgram", Fault("silence"))
        started = time.monotonic()
        error = await fails(stt)
        assert type(error) is FirstOutputTimeout
        assert time.monotonic() - started < 5.0
        assert await whole(stt) == HEARD


async def test_nobody_there() -> None:
    """A refused connection is a ConnectError: nothing was sent."""
    async with DeepgramClient(KEY, base_url="http://127.0.0.1:9") as stt:
        error = await fails(stt)
        assert isinstance(error, ConnectError)
        assert error.outcome == "not_applied"
        report = await stt.warm(1)
        assert report.failures == ("ConnectError",)


async def test_too_many_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stream too many is a RateLimitError, and the others go on."""
    monkeypatch.setattr(Deepgram, "max_streams", 1)
    async with listening() as (_, stt), stt.open_transcription() as session:
        assert isinstance(await fails(stt), RateLimitError)
        await session.send(SPEECH)
        await session.finish()
        assert (await session.result()).text == HEARD


# -- the stream -------------------------------------------------------------------------


async def broken(world: Any, stt: DeepgramClient, fault: Fault) -> VoicekitError:
    """The error of a session whose second result never comes, as its consumer sees it."""
    world.inject("deepgram", fault)
    async with stt.open_transcription(reconnect=False) as session:
        with contextlib.suppress(VoicekitError):
            await session.send(tone(4.0))
            await session.finish()
        with pytest.raises(VoicekitError) as caught:
            await read(session)
    return caught.value


FAULTS = [
    (Fault("reset", after_events=1), (ConnectionLostError,)),
    (Fault("close", after_events=1), (ConnectionLostError,)),
    (Fault("ws_close", after_events=1, code=1000), (ConnectionLostError,)),
    (Fault("ws_close", after_events=1, code=1008, reason="DATA-0000"), (InvalidRequestError,)),
    (Fault("ws_close", after_events=1, code=1011, reason="dpgr.am/net0001"), (UnavailableError,)),
    (Fault("ws_garbage", after_events=1), (RemoteProtocolError,)),
    (Fault("ws_garbage", after_events=1, body="{half"), (RemoteProtocolError,)),
    (Fault("ws_garbage", after_events=1, body=b"binary"), (RemoteProtocolError,)),
    (Fault("ws_huge_frame", after_events=1), (RemoteProtocolError,)),
    (Fault("ws_hang", after_events=1), (DeadlineError,)),
    (Fault("stall", after_events=1), (DeadlineError,)),
    (Fault("in_stream_error", after_events=1), (UnavailableError,)),
    (Fault("no_end_marker"), (ConnectionLostError,)),
]


@pytest.mark.parametrize(("fault", "kinds"), FAULTS, ids=lambda each: getattr(each, "kind", ""))
async def test_a_stream_that_breaks(fault: Fault, kinds: tuple[type[VoicekitError], ...]) -> None:
    """After a result it is an interruption that says why and what was delivered."""
    async with listening(limits={"open_transcription": TIGHT}) as (world, stt):
        started = time.monotonic()
        error = await broken(world, stt, fault)
        assert time.monotonic() - started < 5.0
        assert isinstance(error, StreamInterruptedError), repr(error)
        assert isinstance(error.__cause__, kinds), repr(error.__cause__)
        assert error.delivered_s is not None
        assert error.delivered_s >= 0.9
        assert error.provider == "deepgram"
        assert error.request_id
        assert HEARD not in f"{error} {error!r} {error.__cause__} {error.__cause__!r}"
        assert await whole(stt) == HEARD
    assert await eventually(lambda: library_tasks() == [])


async def test_a_stream_that_breaks_before_any_result() -> None:
    """Before the first result it is the error itself."""
    async with listening(limits={"open_transcription": TIGHT}) as (world, stt):
        error = await broken(world, stt, Fault("ws_close", code=1011, reason="NET-0000"))
        assert type(error) is UnavailableError
        assert error.code == "NET-0000"
        assert error.retryable
        error = await broken(world, stt, Fault("ws_hang"))
        assert type(error) is FirstOutputTimeout


async def test_undecodable_audio() -> None:
    """A control message sent as audio is refused by the vendor with 1008, once and for all."""
    async with listening() as (_, stt), stt.open_transcription() as session:
        await session.send(b'{"type":"KeepAlive"}')
        with pytest.raises(InvalidRequestError) as caught:
            await anext(session)
        assert caught.value.code == "DATA-0000"
        assert not caught.value.retryable


async def test_a_sender_learns_of_the_break() -> None:
    """Who only sends gets the provider's error, and then ClosedError."""
    async with listening() as (world, stt):
        world.inject("deepgram", Fault("ws_close", code=1011, reason="NET-0000"))
        async with stt.open_transcription(reconnect=False) as session:
            await session.send(tone(1.5))
            assert await eventually(lambda: session._closed)
            with pytest.raises(UnavailableError):
                await session.send(tone(0.1))
            with pytest.raises(UnavailableError):
                await anext(session)
            with pytest.raises(ClosedError):
                await session.send(tone(0.1))


async def test_a_hung_peer_does_not_hold_close() -> None:
    """aclose() is prompt though the server reads nothing; the socket is gone soon after."""
    async with listening() as (world, stt):
        world.inject("deepgram", Fault("ws_hang"))
        session = await stt.open_transcription()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.send(tone(30.0))
        started = time.monotonic()
        await session.aclose()
        assert time.monotonic() - started < 0.5
        assert await eventually(lambda: stt.stats().leased == 0)
    assert await eventually(lambda: library_tasks() == [])


async def test_a_client_closed_under_a_session() -> None:
    """Iteration ends with ClosedError, promptly, and nothing is left."""
    async with listening() as (_, stt):
        session = await stt.open_transcription()
        await session.send(SPEECH)
        waiting = asyncio.create_task(read(session))
        await asyncio.sleep(0.05)
        await stt.aclose()
        with pytest.raises((ClosedError, StreamInterruptedError)):
            await waiting
        with pytest.raises(ClosedError):
            await stt.open_transcription()
    assert await eventually(lambda: library_tasks() == [])


async def test_a_deadline_bounds_the_session() -> None:
    """The ambient deadline ends what was opened inside it."""
    from voicekit import deadline

    async with listening() as (_, stt):
        with deadline(0.2):
            session = stt.open_transcription()
            await session
        with pytest.raises(VoicekitError, match="not done"):
            await read(session)


# -- cancellation -----------------------------------------------------------------------


async def a_session(stt: DeepgramClient) -> Any:
    return await whole(stt)


async def left_early(stt: DeepgramClient) -> Any:
    async with stt.open_transcription() as session:
        await session.send(SPEECH)
        await session.finalize()
        return (await anext(session)).text  # type: ignore[union-attr]


async def configured(stt: DeepgramClient) -> Any:
    async with stt.open_transcription() as session:
        await session.send(SPEECH)
        await session.configure(keyterms=["a"])
        await session.finish()
        return (await session.result()).text


async def warmed(stt: DeepgramClient) -> Any:
    await stt.warm(2)
    return HEARD


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("use", [a_session, left_early, configured, warmed])
async def test_cancelled_at_every_await(use: Any, warm: bool) -> None:
    """After any number of steps: CancelledError at once, no task, no lease, the next is right."""
    async with listening() as (world, stt):
        if warm:
            await stt.warm(1)
        finished = count = 0
        while not finished:
            task = asyncio.create_task(use(stt))
            for _ in range(count):
                if task.done():
                    break
                await asyncio.sleep(0)
            began = time.monotonic()
            task.cancel()
            try:
                assert await task in {HEARD, ""}
                finished += 1
            except asyncio.CancelledError:
                pass
            assert time.monotonic() - began < 0.5
            count += 1 if count < 60 else 7
            assert count < 5000
        assert count > 3
        assert await eventually(lambda: stt.stats().leased == 0)
        assert await eventually(lambda: None not in outcomes(world))
        assert await whole(stt) == HEARD
        assert stt.stats().open <= 20
    assert await eventually(lambda: library_tasks() == [])


async def test_no_byte_of_one_session_reaches_another() -> None:
    """Sessions share connections one after the other, never bytes."""
    async with listening(Scenario(name="test", heard=HEARD)) as (world, stt):
        await stt.warm(2)
        for _ in range(10):
            async with stt.open_transcription() as session:
                await session.send(tone(0.5))
            assert await whole(stt, SPEECH) == HEARD
        assert await eventually(lambda: None not in outcomes(world))
        assert sum(audio_in(world)) == 10 * (16_000 + len(SPEECH))
    assert INSTANT.heard == HEARD


async def test_limits_are_per_call() -> None:
    """A call's own limits replace the client's."""
    async with listening() as (world, stt):
        world.inject("deepgram", Fault("ws_hang"))
        started = time.monotonic()
        error = await fails(stt, limits=Limits(gap=0.2), reconnect=False)
        assert isinstance(error, FirstOutputTimeout)
        assert time.monotonic() - started < 5.0
