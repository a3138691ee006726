"""Deepgram's speech of text in pieces against the emulator: sockets, flushes, barge-in, faults."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from typing import Any

import pytest
from deepgram_speaking import INSTANT, KEY, flushed, heard, pieces, pool_of, right, sent, speaking

from fault_limits import SHORT
from settling import call_tasks, eventually, library_tasks
from voicekit import errors
from voicekit.clients.deepgram.speech import live, sockets
from voicekit.emulator import Fault, Scenario
from voicekit.emulator.providers.deepgram import Deepgram
from voicekit.resilience import NO_POLICIES
from voicekit.transport.config import PoolConfig

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

FIRST = "This is the first sentence. "
SECOND = "And this is the second one. "
LAST = "That was all."
SLOW = Scenario(name="slow", speech_chunk_bytes=1000, speech_real_time_factor=0.2)


async def said(tts: Any, *texts: str, **options: Any) -> bytes:
    """One utterance, whole."""
    async with tts.open_speech(**options) as session:
        for text in texts:
            await session.send(text)
        await session.finish()
        return await heard(session)


@pytest.mark.parametrize("tls", [False, True])
async def test_one_utterance(tls: bool) -> None:
    """Exact audio, all evidence, and the socket is back in the pool."""
    async with speaking(emulator={"tls": tls}) as (world, tts):
        await tts.warm(1)
        async with tts.open_speech() as session:
            await session.send(FIRST)
            await session.send("And a l")
            await session.send("ast one.")
            await session.finish()
            audio = await heard(session)
        assert right(audio, *flushed(world))
        assert "".join(flushed(world)) == FIRST + "And a last one."
        assert session.connection is not None
        assert session.connection.reused
        assert session.timings.first_output is not None
        assert session.attempts == 1
        assert session.delivered_bytes == len(audio)
        (record,) = world.journal.requests_for("deepgram", "speech.socket")
        assert session.request_id == session.headers["dg-request-id"]
        assert record.query["model"] == ["aura-2-thalia-en"]
        assert "container" not in record.query
        assert pool_of(tts).stats().ready == 1
        assert KEY not in repr(world.journal.to_json())
    assert library_tasks() == []


async def test_many_utterances_on_one_socket() -> None:
    """A socket serves utterances one after the other, without another handshake."""
    async with speaking() as (world, tts):
        for number in range(9):
            text = f"Utterance number {number}."
            assert right(await said(tts, text), text)
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 1


async def test_first_sentence_is_spoken_while_the_text_is_written() -> None:
    """Audio comes after the first sentence, long before ``finish``."""
    async with speaking() as (world, tts), tts.open_speech() as session:
        await session.send(FIRST)
        assert flushed(world) == []  # whether it ends there, the next word tells
        await session.send("And")
        first = await anext(session)
        assert await eventually(lambda: flushed(world) == [FIRST])
        await session.send(SECOND.removeprefix("And"))
        await session.finish()
        rest = await heard(session)
        assert right(first + rest, FIRST, SECOND)


async def test_later_sentences_are_flushed_when_the_server_has_nothing_to_say() -> None:
    """One flush at a time: what is written while the server speaks is flushed together."""
    async with speaking(SLOW) as (world, tts), tts.open_speech() as session:
        await session.send(FIRST + SECOND + SECOND + LAST)
        await anext(session)
        assert flushed(world) == [FIRST]
        await heard_until(session, lambda: len(flushed(world)) == 2)
        assert flushed(world) == [FIRST, SECOND + SECOND]
        await session.finish()
        await heard(session)
        assert flushed(world) == [FIRST, SECOND + SECOND, LAST]


async def heard_until(session: Any, condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await anext(session)


async def test_fed_by_a_model() -> None:
    """Text from an async iterable speaks as it is written, and behaves as one stream."""
    async with speaking() as (world, tts):
        speech = tts.stream_speech(pieces([FIRST[:7], FIRST[7:], SECOND, LAST]))
        audio = await heard(speech)
        assert right(audio, *flushed(world))
        assert "".join(flushed(world)) == FIRST + SECOND + LAST
        assert (await tts.stream_speech(pieces([LAST])).clip()).data
    assert library_tasks() == []


async def test_broken_text_ends_the_speech() -> None:
    """An error of the iterable is raised as it is, after what was heard, and the socket stays."""

    async def broken() -> Any:
        yield FIRST
        yield "And"
        await asyncio.sleep(0.05)
        raise KeyError("the model's own")

    async with speaking() as (world, tts):
        speech = tts.stream_speech(broken())
        with pytest.raises(KeyError):
            await heard(speech)
        assert speech.delivered_bytes
        assert await eventually(lambda: pool_of(tts).stats().ready == 1)
        assert right(await said(tts, LAST), LAST)
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 1


async def test_nothing_said_is_nothing_sent() -> None:
    """White space alone never becomes a message, which would end the socket."""
    async with speaking() as (world, tts):
        assert await said(tts, "") == b""
        assert await said(tts, "  ", "\n") == b""
        assert right(await said(tts, " ", LAST), *flushed(world))
        assert sent(world) == ["Speak", "Flush"]


async def test_long_text_goes_in_messages_that_are_allowed() -> None:
    """No message holds more than 2,000 characters, whatever the text is like."""
    async with speaking() as (world, tts):
        text = "word " * 900 + LAST
        audio = await said(tts, text)
        assert right(audio, *flushed(world))
        assert "".join(flushed(world)) == text
        texts = [
            frame.data["text"]
            for frame in world.journal.frames
            if frame.direction == "in" and frame.data["type"] == "Speak"
        ]
        assert max(map(len, texts)) <= 2000
        assert min(map(len, texts)) >= 1


# -- barge-in -------------------------------------------------------------------------------------


async def test_barge_in_leaves_the_socket_warm() -> None:
    """Cancelled while audio comes: quiet at once, and the next utterance is exact on it."""
    async with speaking(SLOW) as (world, tts):
        async with tts.open_speech() as session:
            await session.send(FIRST * 5)
            await session.finish()
            await anext(session)
            began = time.monotonic()
            await session.cancel()
            assert time.monotonic() - began < 0.2
            assert await heard(session) == b""
        assert session.cancelled
        assert pool_of(tts).stats().leased == 0
        world.set_scenario(INSTANT)
        assert right(await said(tts, LAST), LAST)
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 1
        assert sent(world).count("Clear") == 1


async def test_fifty_barge_ins() -> None:
    """Fifty in a row: no handshake beyond the warm ones, and the pool is as it was."""
    async with speaking(SLOW) as (world, tts):
        await tts.warm(6)
        before = len(world.journal.connections)
        for number in range(50):
            async with tts.open_speech() as session:
                await session.send(f"Barge-in number {number}, cut off while it is spoken. Then on")
                await anext(session)
                await session.cancel()
        stats = pool_of(tts).stats()
        assert (stats.ready, stats.leased, stats.dialing) == (6, 0, 0)
        assert len(world.journal.connections) == before
        assert await eventually(lambda: call_tasks() == [])
        world.set_scenario(INSTANT)
        assert right(await said(tts, LAST), LAST)


async def test_cancel_before_anything_was_said_sends_nothing() -> None:
    """There is nothing to forget, so nothing is cleared."""
    async with speaking() as (world, tts):
        async with tts.open_speech() as session:
            await session.cancel()
        assert sent(world) == []
        assert pool_of(tts).stats().ready == 1


async def test_a_clear_that_is_never_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is given up after a bounded time, off everybody's path."""
    monkeypatch.setattr(sockets, "CLEAR_LIMIT", 0.1)
    async with speaking(SLOW) as (world, tts):
        world.inject("deepgram", Fault("ws_hang", operation="speech.socket", after_events=3))
        async with tts.open_speech() as session:
            await session.send(FIRST * 3)
            await session.finish()
            await anext(session)
            await asyncio.sleep(0.1)
            await session.cancel()
        world.set_scenario(INSTANT)
        assert right(await said(tts, LAST), LAST)  # waits for it, and takes another
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2


# -- flushes --------------------------------------------------------------------------------------


async def test_no_flush_is_ever_ignored() -> None:
    """More utterances than a socket may flush: another socket takes over, none is warned of."""
    async with speaking() as (world, tts):
        texts = [f"This is sentence number {number}." for number in range(45)]
        for text in texts:
            assert right(await said(tts, text), text)
        warnings = [frame for frame in world.journal.frames if "Warning" in str(frame.data)]
        assert warnings == []
        per_socket: dict[int, int] = {}
        for frame in world.journal.frames:
            if frame.direction == "in" and frame.data["type"] == "Flush":
                per_socket[frame.request] = per_socket.get(frame.request, 0) + 1
        assert sorted(per_socket.values()) == [7, 19, 19]
        assert pool_of(tts).stats().leased == 0


async def test_long_speech_keeps_a_flush_for_its_end() -> None:
    """More sentences than flushes, each spoken before the next comes: all is heard."""
    async with speaking() as (world, tts):
        async with tts.open_speech() as session:
            for number in range(40):
                await session.send(f"This is sentence number {number}. ")
                await asyncio.sleep(0.005)
            await session.finish()
            audio = await heard(session)
        texts = flushed(world)
        assert right(audio, *texts)
        assert 2 < len(texts) <= 20
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 1
        assert "Warning" not in repr(world.journal.frames)


async def test_explicit_flush_waits_for_its_turn() -> None:
    """``flush()`` beyond what the socket may is put off, and nothing said is lost."""
    async with speaking() as (world, tts):
        async with tts.open_speech() as session:
            for number in range(25):
                await session.send(f"Part {number} ")
                await session.flush()
            await session.finish()
            audio = await heard(session)
        assert right(audio, *flushed(world))
        assert len(flushed(world)) == 20
        assert "Warning" not in repr(world.journal.frames)


async def test_an_ignored_flush_moves_to_another_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor counts more flushes than we: what was to be said is said elsewhere."""
    from voicekit.emulator.providers import deepgram_speak_session

    async with speaking() as (world, tts):
        assert right(await said(tts, LAST), LAST)
        monkeypatch.setattr(deepgram_speak_session, "MAX_FLUSHES", 1)
        async with tts.open_speech() as session:
            await session.send(FIRST)
            await session.finish()
            assert right(await heard(session), FIRST)
        assert session.attempts == 2
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2
        assert await eventually(lambda: pool_of(tts).stats().ready == 2)


async def test_all_sockets_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket may flush and no other may be opened: a typed error that says why."""
    async with speaking(pool=PoolConfig(max_connections=2, max_wait=0.1)) as (_, tts):
        monkeypatch.setattr(live, "SOCKETS", 1)
        tts._own_places = True
        for _ in range(19):
            await said(tts, LAST)
        with pytest.raises(errors.PoolTimeout) as refused:
            await said(tts, LAST)
        assert "flushes" in str(refused.value)
        assert refused.value.retryable
        assert pool_of(tts).stats().leased == 0


# -- losses ---------------------------------------------------------------------------------------


async def test_pooled_socket_that_died_costs_nothing() -> None:
    """An idle socket was closed by the server: another one speaks, and no attempt is lost."""
    async with speaking() as (world, tts):
        await tts.warm(1)
        await world.drop_idle("deepgram")
        world.inject("deepgram", Fault("ws_close", operation="speech.socket", after_events=1))
        assert right(await said(tts, LAST), LAST)


@pytest.mark.parametrize("how", ["reset", "close", "ws_close"])
async def test_replayed_once_before_the_first_audio(how: Any) -> None:
    """Lost before any audio came: everything is said once more, and heard once."""
    async with speaking() as (world, tts):
        world.inject("deepgram", Fault(how, operation="speech.socket", after_events=1))
        async with tts.open_speech() as session:
            await session.send(FIRST)
            await session.send(LAST)
            await session.finish()
            audio = await heard(session)
        assert session.attempts == 2
        assert right(audio, *flushed(world)[-2:]) or right(audio, FIRST + LAST)
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2


async def test_replayed_only_once() -> None:
    """Lost twice before the first audio is an error, typed and retryable."""
    async with speaking() as (world, tts):
        world.inject("deepgram", Fault("reset", operation="speech.socket", after_events=1, times=3))
        with pytest.raises(errors.ConnectionLostError) as lost:
            await said(tts, FIRST)
        assert lost.value.retryable
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2


LOSSES: list[tuple[Fault, type[errors.VoicekitError]]] = [
    (Fault("ws_close", code=1011, reason="NET-0000", after_events=3), errors.UnavailableError),
    (Fault("ws_close", code=1011, reason="NET-0003", after_events=3), errors.UnavailableError),
    (Fault("ws_close", code=1008, reason="DATA-0001", after_events=3), errors.RateLimitError),
    (Fault("ws_close", code=1009, reason="BIG-0001", after_events=3), errors.InvalidRequestError),
    (Fault("ws_close", code=1000, after_events=3), errors.ConnectionLostError),
    (Fault("reset", after_events=3), errors.ConnectionLostError),
    (Fault("close", after_events=3), errors.ConnectionLostError),
    (Fault("in_stream_error", after_events=3), errors.UnavailableError),
    (Fault("ws_garbage", after_events=3), errors.RemoteProtocolError),
    (Fault("ws_garbage", after_events=3, body="no json"), errors.RemoteProtocolError),
    (Fault("ws_huge_frame", after_events=3), errors.RemoteProtocolError),
    (Fault("ws_hang", after_events=3), errors.GapTimeout),
    (Fault("no_end_marker"), errors.GapTimeout),
]


@pytest.mark.parametrize(("fault", "cause"), LOSSES, ids=lambda each: getattr(each, "kind", None))
async def test_lost_after_the_first_audio(fault: Fault, cause: type[errors.VoicekitError]) -> None:
    """Broken after audio: never repeated; an exact account, the typed cause, nothing left."""
    async with speaking() as (world, tts):
        world.inject("deepgram", fault)
        got = bytearray()

        async def listen() -> None:
            async with tts.open_speech(limits=SHORT) as session:
                await session.send(FIRST * 5)
                await session.finish()
                async for chunk in session:
                    got.extend(chunk)

        async with asyncio.timeout(10):
            with pytest.raises(errors.StreamInterruptedError) as broken:
                await listen()
        assert broken.value.delivered_bytes == len(got) > 0
        assert isinstance(broken.value.__cause__, cause)
        assert FIRST not in str(broken.value)
        world.clear_faults()
        assert right(await said(tts, LAST), LAST)
        assert pool_of(tts).stats().leased == 0
    assert library_tasks() == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AuthenticationError),
        (429, errors.RateLimitError),
        (503, errors.UnavailableError),
        (400, errors.InvalidRequestError),
    ],
)
async def test_refused_handshake(status: int, kind: type[errors.VoicekitError]) -> None:
    """A refusal of the handshake is the caller's error, with the vendor's id."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        world.inject("deepgram", Fault("ws_refuse", status=status, operation="speech.socket"))
        with pytest.raises(kind) as refused:
            await said(tts, FIRST)
        assert refused.value.request_id
        assert refused.value.status == status


async def test_silent_server() -> None:
    """Text was flushed and no audio comes: the first-output limit, counted from then."""
    async with speaking() as (world, tts):
        world.inject("deepgram", Fault("ws_hang", after_events=1))
        async with asyncio.timeout(10):
            with pytest.raises(errors.FirstOutputTimeout):
                await said(tts, FIRST, limits=SHORT)


async def test_no_clock_runs_while_the_caller_writes() -> None:
    """A pause in the text is nobody's delay: no limit counts until something was flushed."""
    async with speaking() as (_, tts), tts.open_speech(limits=SHORT) as session:
        await session.send(FIRST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await anext(session)
        await session.finish()
        assert right(await heard(session), FIRST)


# -- the pool -------------------------------------------------------------------------------------


async def test_close_is_said_before_a_socket_is_dropped() -> None:
    """An open socket counts against the project, so it is closed in the vendor's own words."""
    async with speaking() as (world, tts):
        await tts.warm(2)
        world.journal.clear()
        await tts.aclose()
        assert await eventually(lambda: sent(world) == ["Close", "Close"])
        ended = [frame for frame in world.journal.frames if frame.direction == "in"]
        assert len(ended) == 2
        assert await eventually(lambda: world.connections("deepgram") == [])


async def test_idle_sockets_that_the_server_ends_are_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NET-0001 on an idle socket: the pool has another one before it is asked for."""
    monkeypatch.setattr(Deepgram, "speech_idle_limit", 0.2)
    async with speaking() as (world, tts):
        await tts.warm(1)
        assert await eventually(
            lambda: len(world.journal.requests_for("deepgram", "speech.socket")) > 1
        )
        assert await eventually(lambda: pool_of(tts).stats().ready == 1)
        assert right(await said(tts, LAST), LAST)


async def test_sockets_are_replaced_before_the_session_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A socket that nears its age is closed in the vendor's words, and another one serves."""
    monkeypatch.setattr(live, "MAX_AGE", 0.2)
    async with speaking() as (world, tts):
        await tts.warm(1)
        (first,) = world.journal.requests_for("deepgram", "speech.socket")
        assert await eventually(
            lambda: len(world.journal.requests_for("deepgram", "speech.socket")) > 1
        )
        assert await eventually(lambda: first.outcome == "complete")
        assert "Close" in sent(world)
        assert right(await said(tts, LAST), LAST)


async def test_net_0003_before_the_first_audio_is_said_elsewhere() -> None:
    """The vendor's session limit is no failure of the utterance."""
    async with speaking() as (world, tts):
        world.inject(
            "deepgram",
            Fault(
                "ws_close", operation="speech.socket", code=1011, reason="NET-0003", after_events=1
            ),
        )
        assert right(await said(tts, LAST), LAST)
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2


async def test_forgotten_session_is_hung_up() -> None:
    """A session that nobody closed warns, and gives its place back."""
    async with speaking() as (_, tts):
        session = await tts.open_speech()
        await session.send(FIRST)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del session
            gc.collect()
        assert "Utterance was never closed" in [str(each.message) for each in caught]
        assert await eventually(lambda: pool_of(tts).stats().leased == 0)


async def test_slow_consumer_fails_typed() -> None:
    """Audio that nobody takes is bounded."""
    async with speaking() as (_, tts):
        async with tts.open_speech(max_buffered_s=1.0) as session:
            await session.send(FIRST * 5)
            await session.finish()
            assert await eventually(lambda: session._ended)
            with pytest.raises(errors.StreamInterruptedError) as broken:
                await heard(session)
        assert isinstance(broken.value.__cause__, errors.LocalProtocolError)


async def test_rotated_key_retires_the_sockets() -> None:
    """After ``rotate_key`` no socket of the old key is used again."""
    async with speaking() as (world, tts):
        await said(tts, LAST)
        tts.rotate_key("another-key")
        assert right(await said(tts, LAST), LAST)
        first, second = world.journal.requests_for("deepgram", "speech.socket")
        assert first.headers["authorization"] != second.headers["authorization"]
