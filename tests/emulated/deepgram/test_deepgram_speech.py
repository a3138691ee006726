"""Deepgram's speech of whole texts against the emulator: values, evidence, faults, parts."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest
from deepgram_speaking import KEY, RATE, VOICE, heard, right, speaking

from fault_limits import limits_for
from settling import eventually, library_tasks
from voicekit import errors
from voicekit.clients.deepgram import DeepgramClient
from voicekit.clients.deepgram.speech import PendingSpeech
from voicekit.emulator import Fault, Scenario
from voicekit.interfaces import SpeechSessions, Synthesizer
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "Hello there. This is a test."
LONG = " ".join(f"This is sentence number {number} of a long text." for number in range(120))


@pytest.mark.parametrize("tls", [False, True])
async def test_whole(tls: bool) -> None:
    """One clip with the exact audio and all evidence."""
    async with speaking(emulator={"tls": tls}) as (world, tts):
        await tts.warm(1)
        clip = await tts.synthesize(TEXT)
        assert right(clip.data, TEXT)
        assert clip.format.name == f"pcm_{RATE}"
        assert clip.usage is not None
        assert clip.usage.characters == len(TEXT)
        assert clip.connection is not None
        assert clip.connection.reused
        assert clip.timings.first_output is not None
        assert clip.headers["dg-model-name"] == VOICE
        (record,) = world.journal.requests_for("deepgram", "speech")
        assert clip.request_id == clip.headers["dg-request-id"]
        assert record.query == {
            "model": [VOICE],
            "encoding": ["linear16"],
            "container": ["none"],
            "sample_rate": [str(RATE)],
        }
        assert record.json() == {"text": TEXT}
        assert record.notes == []
        assert KEY not in repr(world.journal.to_json())


async def test_streamed() -> None:
    """Chunks come as they are made; the handle opens with the first."""
    async with speaking() as (_, tts):
        async with tts.stream_speech(TEXT) as speech:
            assert speech.timings.first_output is not None
            audio = await heard(speech)
        assert right(audio, TEXT)
        assert speech.delivered_bytes == len(audio)


async def test_request_is_sent_as_it_was_made() -> None:
    """A request made before gives the same audio, and takes no further options."""
    async with speaking() as (_, tts):
        request = tts.speech_request(TEXT, speed=1.1, tag=["a", "b"])
        assert TEXT not in repr(request)
        assert right((await tts.synthesize(request)).data, TEXT)
        with pytest.raises(errors.InvalidArgumentError):
            await tts.synthesize(request, speed=1.0)


WITH_MP3 = pytest.mark.skipif(
    importlib.util.find_spec("lameenc") is None, reason="lameenc of an extra is not installed"
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wav_24000", "audio/wav"),
        ("mulaw_8000", "audio/mulaw;rate=8000"),
        ("alaw_16000", "audio/alaw;rate=16000"),
        pytest.param("mp3", "audio/mpeg", marks=WITH_MP3),
        pytest.param("mp3_22050_32", "audio/mpeg", marks=WITH_MP3),
        ("pcm_48000", "audio/l16;rate=48000"),
    ],
)
async def test_formats(name: str, kind: str) -> None:
    """What is asked for by its short name comes as what it is called."""
    async with speaking() as (_, tts):
        clip = await tts.synthesize(TEXT, format=name)
        assert clip.headers["Content-Type"] == kind
        seconds = clip.format.duration_s(len(clip.data))
        assert seconds == pytest.approx(0.06 * len(TEXT), rel=0.2)


async def test_roles() -> None:
    """It speaks behind the interface, though its own request is of transcription."""
    async with speaking() as (_, tts):
        voice = tts.as_synthesizer()
        assert isinstance(voice, Synthesizer)
        assert isinstance(tts, SpeechSessions)
        clip = await voice.synthesize(voice.request(TEXT))
        assert right(clip.data, TEXT)


async def test_too_long_is_refused_before_any_request() -> None:
    """Beyond 2,000 characters nothing is sent, unless it may be split."""
    async with speaking() as (world, tts):
        with pytest.raises(errors.InvalidArgumentError) as refused:
            await tts.synthesize("x" * 2001)
        assert "split=True" in str(refused.value)
        assert world.journal.requests == []


async def test_split_is_one_stream() -> None:
    """A long text is spoken in parts that end with sentences, and heard as one."""
    async with speaking() as (world, tts):
        speech = tts.stream_speech(LONG, split=True)
        audio = await heard(speech)
        parts = [record.json()["text"] for record in world.journal.requests_for("deepgram")]
        assert "".join(parts) == LONG
        assert len(parts) == 3
        assert all(len(part) <= 2000 for part in parts)
        assert right(audio, *parts)
        assert speech.usage is not None
        assert speech.usage.characters == len(LONG)
    assert library_tasks() == []


async def test_split_asks_for_the_next_part_before_the_last_is_played() -> None:
    """The second request is under way while the consumer still has the first part's audio."""
    async with speaking() as (world, tts), tts.stream_speech(LONG, split=True) as speech:
        (first,) = world.journal.requests
        ten_seconds = 10 * 2 * RATE
        whole = round(0.06 * len(first.json()["text"]) * 2 * RATE)
        while speech.delivered_bytes < whole - ten_seconds:
            await anext(speech)
        assert await eventually(lambda: len(world.journal.requests) > 1)
        await heard(speech)


async def test_split_that_breaks_says_what_was_heard() -> None:
    """The second part fails: the first is delivered, then the account of it."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        speech = await tts.stream_speech(LONG, split=True)
        world.inject("deepgram", Fault("status", status=503))
        got = bytearray()

        async def listen() -> None:
            async for chunk in speech:
                got.extend(chunk)

        with pytest.raises(errors.StreamInterruptedError) as broken:
            await listen()
        first = world.journal.requests_for("deepgram")[0].json()["text"]
        assert right(bytes(got), first)
        assert broken.value.delivered_bytes == len(got)
        assert isinstance(broken.value.__cause__, errors.UnavailableError)


async def test_split_closed_early_frees_all() -> None:
    """Closing or cancelling inside a split stream leaves no task and no request behind."""
    slow = Scenario(name="slow", speech_chunk_bytes=2000, speech_real_time_factor=0.5)
    async with speaking(slow) as (world, tts):
        for end in ("aclose", "cancel"):
            speech = await tts.stream_speech(LONG, split=True)
            await anext(speech)
            await getattr(speech, end)()
        speech = await tts.stream_speech(LONG, split=True)
        await speech.aclose()  # before its task has begun
        assert await eventually(
            lambda: [r.outcome for r in world.journal.requests] == ["aborted"] * 3
        )


async def test_submitted() -> None:
    """With a callback there is a request id, and no audio."""
    async with speaking() as (world, tts):
        pending = await tts.submit_speech(TEXT, callback="https://example.com/done")
        assert isinstance(pending, PendingSpeech)
        assert pending.request_id == pending.headers["dg-request-id"]
        assert pending.timings.total is not None
        (record,) = world.journal.requests_for("deepgram", "speech")
        assert record.query["callback"] == ["https://example.com/done"]
        for refused in (
            lambda: tts.stream_speech(TEXT, callback="https://example.com/done"),
            lambda: tts.speech_request(TEXT, callback_method="GET"),
        ):
            with pytest.raises(errors.InvalidArgumentError):
                refused()
        with pytest.raises(errors.InvalidArgumentError):
            await tts.submit_speech(TEXT)


FAULTS: list[tuple[Fault, type[errors.VoicekitError]]] = [
    (Fault("html"), errors.RemoteProtocolError),
    (Fault("half_json"), errors.RemoteProtocolError),
    (Fault("wrong_type"), errors.RemoteProtocolError),
    (Fault("empty"), errors.RemoteProtocolError),
    (Fault("huge"), errors.StreamInterruptedError),
    (Fault("drip", delay=0.02), errors.FirstOutputTimeout),
    (Fault("silence"), errors.FirstOutputTimeout),
    (Fault("stall", after_bytes=3000), errors.StreamInterruptedError),
    (Fault("reset"), errors.ConnectionLostError),
    (Fault("reset", after_bytes=3000), errors.StreamInterruptedError),
    (Fault("close", after_bytes=3001), errors.StreamInterruptedError),
    (Fault("status", status=503), errors.UnavailableError),
    (Fault("status", status=429), errors.RateLimitError),
    (Fault("status", status=401), errors.AuthenticationError),
    (Fault("status", status=402), errors.QuotaError),
    (Fault("status", status=413), errors.InvalidRequestError),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda each: getattr(each, "kind", None))
async def test_faults(fault: Fault, kind: type[errors.VoicekitError]) -> None:
    """Each fault is its typed error within its limit, says no content, and leaves nothing."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        await tts.warm(1)
        world.inject("deepgram", fault)
        async with asyncio.timeout(10):
            with pytest.raises(kind) as raised:
                await tts.synthesize(TEXT, limits=limits_for(fault))
        assert TEXT not in str(raised.value)
        assert raised.value.provider == "deepgram"
        world.clear_faults()
        assert right((await tts.synthesize(TEXT)).data, TEXT)
    assert library_tasks() == []


async def test_warm_opens_speech_sockets_only_for_who_speaks() -> None:
    """An open speech socket counts against the project: without options of speech, TLS only."""
    async with speaking() as (world, tts):
        report = await tts.warm(2)
        assert report.opened == 4
        assert len(world.journal.requests_for("deepgram", "speech.socket")) == 2
        world.journal.clear()
        async with DeepgramClient(KEY, base_url=world.deepgram.url) as listener:
            assert (await listener.warm(2)).opened == 2
        assert world.journal.requests == []


async def test_with_options_shares_connections() -> None:
    """Another voice by default, the same connections, and closing the view closes nothing."""
    async with speaking() as (world, tts):
        view = tts.with_options(speech={"speed": 1.2})
        await view.synthesize(TEXT)
        await view.aclose()
        await tts.synthesize(TEXT)
        first, second = world.journal.requests_for("deepgram", "speech")
        assert first.query["speed"] == ["1.2"]
        assert "speed" not in second.query
        assert first.connection == second.connection


async def test_three_tasks() -> None:
    """Entered, iterated and closed in three different tasks."""
    async with speaking() as (_, tts):
        speech = tts.stream_speech(TEXT)

        async def step(work: Any) -> Any:
            return await asyncio.create_task(work)

        await step(speech.__aenter__())
        audio = await step(heard(speech))
        await step(speech.aclose())
        assert right(audio, TEXT)
