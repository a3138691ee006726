"""Text in pieces over ``stream-input``: a socket is one utterance, and a spare is ready."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from speaking import INSTANT, heard, pieces, right, speaking

from fault_limits import SHORT, limits_for
from settling import call_tasks, eventually, library_tasks
from voicekit.clients.elevenlabs import VoiceSettings
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    DeadlineError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidRequestError,
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

SOCKET = "speech.socket"
SINGLE: dict[str, Any] = {"socket": "stream-input"}
ANSWER = (
    "We are open from nine until six, Monday through Friday, and on Saturdays from ten. "
    "Is there anything else that I can do for you today? "
)


async def say(tts: Any, *texts: str, **options: Any) -> bytes:
    async with tts.open_speech(**options) as speech:
        for text in texts:
            await speech.send(text)
        await speech.finish()
        return await heard(speech)


def sent(world: Emulator, record: Any) -> list[Any]:
    """The client's messages on one socket, in order."""
    return [frame.data for frame in world.journal.frames_for(record, "in")]


def used(world: Emulator) -> list[Any]:
    """The sockets on which something was said, in order."""
    return [each for each in world.journal.requests_for("elevenlabs", SOCKET) if sent(world, each)]


def sockets(tts: Any) -> Any:
    """The statistics of the client's one pool of sockets."""
    (pool,) = tts.transport._sockets.values()
    return pool.stats()


async def test_an_utterance_is_a_socket() -> None:
    """Init, text, flush, the end; the server's final and its polite close."""
    async with speaking(**SINGLE, voice_settings=VoiceSettings(speed=1.1)) as (world, tts):
        audio = await say(tts, "Hel", "lo the", "re, my ", "friend.")
        assert right(audio, "Hello there, my friend. ")
        (record,) = world.journal.requests_for("elevenlabs", SOCKET)
        assert record.path.endswith("/stream-input")
        assert record.query["inactivity_timeout"] == ["180"]
        assert record.notes == []
        first, *said, last = sent(world, record)
        assert first == {
            "text": " ",
            "voice_settings": {"speed": 1.1},
            "generation_config": {"chunk_length_schedule": [50, 120, 160, 250]},
        }
        assert "".join(message["text"] for message in said) == "Hello there, my friend. "
        assert said[-1]["flush"] is True
        assert last == {"text": ""}
        assert world.journal.frames_for(record, "out")[-1].data == {"audio": None, "isFinal": True}
        assert await eventually(lambda: record.outcome == "complete")
        assert right(await say(tts, "Again. "), "Again. ")
        assert len(used(world)) == 2


async def test_from_an_iterable() -> None:
    """A model's stream, with its evidence; the option works per call, too."""
    async with speaking() as (world, tts):
        words = [f"{word} " for word in ANSWER.split()]
        async with tts.stream_speech(pieces(words), **SINGLE) as speech:
            audio = await heard(speech)
        (record,) = world.journal.requests_for("elevenlabs", SOCKET)
        assert audio == world.journal.audio(record)
        assert record.path.endswith("/stream-input")
        assert speech.delivered_s == pytest.approx(len(ANSWER) * 0.06)
        assert speech.request_id == f"req_{record.id:012d}"
        assert speech.timings.first_output is not None
        assert speech.attempts == 1


async def test_after_warm_no_handshake_is_on_the_callers_path() -> None:
    """Each turn finds a spare that was dialled beside it; a socket has one utterance."""
    async with speaking(**SINGLE) as (world, tts):
        report = await tts.warm(2)
        assert (report.failures, sockets(tts).ready) == ((), 2)
        for number in range(10):
            async with tts.open_speech() as speech:
                await speech.send(f"Turn {number}. ")
                await speech.finish()
                assert right(await heard(speech), f"Turn {number}. ")
                assert speech.connection is not None
                assert speech.connection.reused
                assert (speech.timings.connect, speech.timings.tls) == (0.0, 0.0)
            assert await eventually(lambda: (sockets(tts).ready, sockets(tts).dialing) == (2, 0))
        openings = [m for r in used(world) for m in sent(world, r) if "generation_config" in m]
        assert len(used(world)) == len(openings) == 10
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 12
        assert sockets(tts).closed == {"used": 10}


async def test_fifty_barge_ins() -> None:
    """Sockets, tasks and the pool's counters are back where they were; each socket had one."""
    slow = Scenario(name="slow", speech_chunk_bytes=800, speech_real_time_factor=0.3)
    async with speaking(slow, **SINGLE) as (world, tts):
        await tts.warm(2)
        assert await eventually(lambda: len(world.connections("elevenlabs")) == 4)
        tasks = len(library_tasks())
        late = 0
        for number in range(50):
            async with tts.open_speech() as speech:
                await speech.send(f"Utterance number {number} is cancelled. " + ANSWER)
                await speech.flush()
                assert speech.connection is not None
                late += not speech.connection.reused
                if number % 3:
                    await anext(speech)
                await speech.cancel()
                assert [chunk async for chunk in speech] == []
                assert speech.cancelled
            assert await eventually(lambda: sockets(tts).ready >= 1)
        assert late == 0
        assert len(used(world)) == 50
        assert all(sum(m["text"] == " " for m in sent(world, r)) <= 2 for r in used(world))
        world.set_scenario(INSTANT)
        assert right(await say(tts, ANSWER), ANSWER)
        assert await eventually(
            lambda: (sockets(tts).open, sockets(tts).ready, sockets(tts).dialing) == (2, 2, 0)
        )
        assert sockets(tts).leased == sockets(tts).waiting == 0
        assert await eventually(lambda: len(world.connections("elevenlabs")) == 4)
        assert await eventually(lambda: len(library_tasks()) <= tasks)
        assert call_tasks() == []


async def test_cancel_stops_the_server() -> None:
    """It hears of it, and makes no more audio; nothing of it reaches the next one."""
    slow = Scenario(name="slow", speech_chunk_bytes=800, speech_real_time_factor=0.5)
    async with speaking(slow, **SINGLE) as (world, tts):
        async with tts.open_speech() as speech:
            await speech.send(ANSWER)
            await speech.flush()
            await anext(speech)
            began = time.monotonic()
            await speech.cancel()
            assert time.monotonic() - began < 0.2
        (record,) = used(world)
        assert await eventually(lambda: record.outcome == "aborted")
        assert record.audio_bytes_sent < len(ANSWER) * 960
        world.set_scenario(INSTANT)
        assert right(await say(tts, "Next. "), "Next. ")


async def test_long_silence_before_the_text_keeps_the_socket() -> None:
    """A single space goes out before the server loses patience; an empty text would end it."""
    async with speaking(**SINGLE) as (world, tts):
        async with tts.open_speech(inactivity_timeout=1) as speech:
            await asyncio.sleep(1.3)
            await speech.send("Still here. ")
            await speech.finish()
            assert right(await heard(speech), "Still here. ")
        (record,) = used(world)
        assert {"text": " "} in sent(world, record)[1:]
        assert speech.attempts == 1


@pytest.mark.parametrize("auto_mode", [False, True])
async def test_words_have_their_times_however_the_audio_is_cut(auto_mode: bool) -> None:
    """With ``sync_alignment`` each frame's times count from the frame; ours from the start."""
    async with speaking(Scenario(name="cut", speech_chunk_bytes=700), **SINGLE) as (_, tts):
        async with tts.open_speech(sync_alignment=True, auto_mode=auto_mode) as speech:
            for piece in ANSWER.split():
                await speech.send(f"{piece} ")
            await speech.finish()
            clip = await speech.clip()
        assert [word.text for word in clip.words] == ANSWER.split()
        for word in clip.words:
            if ANSWER.count(word.text) == 1:
                assert word.start == pytest.approx(ANSWER.index(word.text) * 0.06, abs=0.01)


REFUSALS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("ws_refuse", status=401), AuthenticationError),
    (Fault("ws_refuse", status=429), RateLimitError),
    (Fault("ws_refuse", status=503), UnavailableError),
    (Fault("status", status=401, body={"detail": {"status": "quota_exceeded"}}), QuotaError),
    (Fault("html"), InvalidRequestError),
    (Fault("silence"), DeadlineError),
]


@pytest.mark.parametrize(("fault", "kind"), REFUSALS, ids=lambda each: getattr(each, "kind", ""))
async def test_a_refused_handshake_is_typed(
    fault: Fault, kind: type[VoicekitError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised where the session is opened, and the next one is fine."""
    from voicekit.clients.elevenlabs import live

    quick = replace(live.DIAL, limits=limits_for(fault))
    monkeypatch.setattr(live, "DIAL", quick)
    async with speaking(**SINGLE, policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", fault)
        with pytest.raises(kind):
            await tts.open_speech()
        assert right(await say(tts, "Fine. "), "Fine. ")
        assert await eventually(lambda: call_tasks() == [])


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("ws_close", code=1000), None),
        (Fault("ws_close", code=1011), None),
        (Fault("ws_close", code=1008, reason="quota_exceeded"), QuotaError),
        (Fault("reset"), None),
        (Fault("close"), None),
        (Fault("in_stream_error"), None),
        (
            Fault("in_stream_error", body={"error": "invalid_api_key"}, code=1008),
            AuthenticationError,
        ),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
async def test_a_socket_lost_before_the_first_audio(
    fault: Fault, kind: type[VoicekitError] | None, warm: bool
) -> None:
    """The server's failures are said again, once, on another socket; refusals are typed."""
    async with speaking(**SINGLE, policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", fault)
        if warm:
            await tts.warm(1)
        struck_idle = warm and fault.kind != "in_stream_error"
        if kind is None or struck_idle:
            assert right(await say(tts, "Said twice. "), "Said twice. ")
        else:
            with pytest.raises(kind) as caught:
                await say(tts, "Said twice. ")
            assert "Said" not in str(caught.value)
        assert right(await say(tts, "Fine. "), "Fine. ")
        assert await eventually(lambda: call_tasks() == [])


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("ws_close", code=1000, after_events=3), ConnectionLostError),
        (Fault("ws_close", code=1011, after_events=3), UnavailableError),
        (Fault("ws_close", code=1008, reason="quota_exceeded", after_events=3), QuotaError),
        (Fault("reset", after_events=3), ConnectionLostError),
        (Fault("close", after_events=3), ConnectionLostError),
        (Fault("in_stream_error", after_events=3), UnavailableError),
        (Fault("ws_garbage", after_events=3), RemoteProtocolError),
        (Fault("ws_garbage", body="not json", after_events=3), RemoteProtocolError),
        (Fault("ws_garbage", body=b"\x00\x01", after_events=3), RemoteProtocolError),
        (Fault("ws_huge_frame", after_events=3), RemoteProtocolError),
        (Fault("no_end_marker"), ConnectionLostError),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
async def test_a_socket_lost_after_the_first_audio(
    fault: Fault, cause: type[VoicekitError]
) -> None:
    """Never said twice; what came is delivered and counted exactly. A polite close is none."""
    async with speaking(**SINGLE, limits={"open_speech": Limits(first_output=5, gap=5)}) as (
        world,
        tts,
    ):
        whole = await say(tts, ANSWER)
        world.inject("elevenlabs", fault)
        async with tts.open_speech() as speech:
            await speech.send(ANSWER)
            await speech.finish()
            got: list[bytes] = []

            async def read() -> None:
                async for chunk in speech:
                    got.append(chunk)

            with pytest.raises(StreamInterruptedError) as caught:
                await read()
        audio = b"".join(got)
        assert audio
        assert whole.startswith(audio)
        assert isinstance(caught.value.__cause__, cause)
        assert caught.value.delivered_bytes == len(audio)
        assert len(used(world)) == 2
        assert right(await say(tts, "Fine. "), "Fine. ")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("after", [0, 3])
async def test_a_hung_peer_is_noticed_within_the_limit(after: int, finished: bool) -> None:
    """Before any audio and in the middle of it."""
    limits = {"open_speech": SHORT}
    async with speaking(**SINGLE, limits=limits) as (world, tts):
        world.inject("elevenlabs", Fault("ws_hang", after_events=after))
        async with tts.open_speech() as speech:
            await speech.send(ANSWER)
            if finished:
                await speech.finish()
            began = time.monotonic()
            with pytest.raises(VoicekitError) as caught:
                await heard(speech)
            assert time.monotonic() - began < 5.0
        error = caught.value
        if after:
            assert isinstance(error, StreamInterruptedError)
            assert isinstance(error.__cause__, GapTimeout)
        else:
            assert isinstance(error, FirstOutputTimeout)
        assert right(await say(tts, "Next. "), "Next. ")


async def test_trouble_on_a_spare_is_nobodys() -> None:
    """It is replaced; the session that comes next is right."""
    for fault in (
        Fault("ws_close", code=1008, reason="input_timeout_exceeded"),
        Fault("ws_garbage"),
        Fault("reset"),
    ):
        async with speaking(**SINGLE) as (world, tts):
            world.inject("elevenlabs", fault)
            await tts.warm(1)
            assert await eventually(lambda tts=tts: bool(sockets(tts).closed))
            assert await eventually(
                lambda tts=tts: (sockets(tts).ready, sockets(tts).dialing) == (1, 0)
            )
            assert right(await say(tts, "Said once. "), "Said once. ")


async def test_both_kinds_side_by_side() -> None:
    """Each has a pool of its own: a spent socket is never taken for one that serves on."""
    async with speaking() as (world, tts):
        for _ in range(3):
            assert right(await say(tts, "One. "), "One. ")
            assert right(await say(tts, "Two. ", **SINGLE), "Two. ")
        paths = [record.path.rpartition("/")[2] for record in used(world)]
        assert sorted(paths) == ["multi-stream-input", *["stream-input"] * 3]


async def test_three_tasks() -> None:
    """Entered, fed, iterated and closed in different tasks: the same result."""
    async with speaking(**SINGLE) as (_, tts):
        speech = tts.open_speech()
        await asyncio.create_task(speech.__aenter__())
        await asyncio.create_task(speech.send("Hello. "))
        await asyncio.create_task(speech.finish())
        audio = await asyncio.create_task(heard(speech))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(audio, "Hello. ")


async def session(tts: Any) -> Any:
    async with tts.open_speech() as speech:
        await speech.send(ANSWER)
        await speech.finish()
        return await heard(speech)


async def barged_in(tts: Any) -> Any:
    async with tts.open_speech() as speech:
        await speech.send(ANSWER)
        await anext(speech)
        await speech.cancel()


async def fed_not_entered(tts: Any) -> Any:
    return await heard(tts.stream_speech(pieces([ANSWER])))


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    "operation", [session, barged_in, fed_not_entered], ids=lambda each: each.__name__
)
async def test_cancelled_after_k_steps(operation: Any, warm: bool) -> None:
    """For growing k until it completes: prompt, no task, no lease, and the next one is right."""
    async with speaking(Scenario(name="cut", speech_chunk_bytes=20_000), **SINGLE) as (world, tts):
        if warm:
            await tts.warm(2)
        completed = step = 0
        while completed < 3:
            task = asyncio.create_task(operation(tts))
            for _ in range(step):
                if task.done():
                    break
                await asyncio.sleep(0)
            step += 1 if step < 40 else 7
            if task.done():
                completed += 1
                await task
                continue
            completed = 0
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 0.5
        assert await eventually(lambda: not [name for name in call_tasks() if "drain" not in name])
        assert await eventually(lambda: sockets(tts).leased == 0)
        world.set_scenario(INSTANT)
        assert right(await session(tts), ANSWER)
        assert await eventually(lambda: len(world.connections("elevenlabs")) <= 20)
    assert await eventually(lambda: library_tasks() == [])
