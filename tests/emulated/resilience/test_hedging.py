"""A hedge over real wires: what the server sees of it, and what is left of it."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from pathlib import Path
from typing import Any

import pytest

from voicekit import DeepgramClient, ElevenLabsClient
from voicekit.emulator import Emulator, Fault
from voicekit.emulator.material import check_tones
from voicekit.resilience import Hedge, Policies
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "We open at nine."
LATE = 5.0
"""Seconds; nobody waits for them."""


def hedged(after: float = 0.1) -> Policies:
    return Policies(hedge=Hedge(after))


def recording(seconds: int) -> bytes:
    """A WAV file of something that is not silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16000)
        wav.writeframes(bytes(range(256)) * (125 * seconds))
    return file.getvalue()


def asked(world: Emulator, provider: str) -> list[Any]:
    return [each for each in world.journal.requests_for(provider) if each.method == "POST"]


async def ended(world: Emulator, provider: str) -> bool:
    """Whether the server has come to an end with every request."""
    async with asyncio.timeout(2):
        while any(each.outcome is None for each in asked(world, provider)):
            await asyncio.sleep(0.005)
    return True


async def test_a_late_reply_is_overtaken_and_ended() -> None:
    """Two requests, the right audio once, the first one ended at the server, nothing left."""
    seen = RecordingObserver()
    async with (
        Emulator(providers=("elevenlabs",), scenario="instant") as world,
        ElevenLabsClient(
            "emulated",
            voice=VOICE,
            base_url=world.elevenlabs.url,
            format="pcm_8000",
            policies=hedged(),
            observers=[seen],
        ) as tts,
    ):
        world.inject("elevenlabs", Fault("late", delay=LATE))
        started = time.monotonic()
        async with tts.stream_speech(TEXT) as speech:
            audio = b"".join([chunk async for chunk in speech])
            assert speech.attempts == 2
        assert time.monotonic() - started < LATE / 2
        assert check_tones(audio, [TEXT], voice_id=VOICE, sample_rate=8000) is None
        assert await ended(world, "elevenlabs")
        first, second = asked(world, "elevenlabs")
        assert (first.outcome, second.outcome) == ("aborted", "complete")
        assert first.body == second.body
        assert first.connection != second.connection
        assert speech.request_id == f"req_{second.id:012d}"
        health = tts.health()
        hedge = health.operations["stream_speech"].hedge
        assert hedge is not None
        assert (hedge.calls, hedge.hedges, hedge.wins) == (1, 1, 1)
        assert health.limit is not None
        assert health.limit.in_flight == 0
        (end,) = seen.ended
        assert (end.attempts, end.hedged, end.result) == (2, True, "ok")
        assert end.connection == speech.connection


async def test_after_many_hedges_everything_is_where_it_was() -> None:
    """Forty calls, eight of them late: no connection leased, no place taken, nothing under way."""
    policies = Policies(hedge=Hedge(0.1, budget=None))
    async with (
        Emulator(providers=("elevenlabs",), scenario="instant") as world,
        ElevenLabsClient(
            "emulated", voice=VOICE, base_url=world.elevenlabs.url, policies=policies
        ) as tts,
    ):
        world.inject("elevenlabs", Fault("late", delay=LATE, times=8))

        async def speak(number: int) -> int:
            async with tts.stream_speech(f"Line {number}.") as speech:
                return sum([len(chunk) async for chunk in speech])

        for _ in range(5):
            assert all(await asyncio.gather(*map(speak, range(8))))
        assert await ended(world, "elevenlabs")
        outcomes = [each.outcome for each in asked(world, "elevenlabs")]
        assert outcomes.count("complete") == 40
        assert outcomes.count("aborted") == len(outcomes) - 40 >= 8
        stats = tts.stats()
        assert stats.leased == 0
        limit = tts.health().limit
        assert limit is not None
        assert limit.in_flight == 0


async def test_two_uploads_of_one_file_do_not_take_each_others_bytes(tmp_path: Path) -> None:
    """The first upload is complete and its answer late: the second sends the same again."""
    path = tmp_path / "call.wav"
    path.write_bytes(recording(20))
    async with (
        Emulator(providers=("deepgram",), scenario="instant", speech="tones") as world,
        DeepgramClient("emulated", base_url=world.deepgram.url, policies=hedged(0.2)) as stt,
    ):
        world.inject("deepgram", Fault("late", delay=LATE))
        with path.open("rb") as file:
            transcript = await stt.transcribe(file)
        assert transcript.attempts == 2
        assert await ended(world, "deepgram")
        first, second = asked(world, "deepgram")
        assert first.body == second.body == path.read_bytes()


async def test_an_upload_out_of_a_pipe_is_sent_once() -> None:
    """There is nothing to send again, however late the answer is."""

    class Pipe:
        def __init__(self) -> None:
            self.left = [recording(1)[at : at + 5000] for at in range(0, 32_100, 5000)]

        def seekable(self) -> bool:
            return False

        def readable(self) -> bool:
            return True

        def read(self, n: int = -1) -> bytes:
            return self.left.pop(0) if n and self.left else b""

    async with (
        Emulator(providers=("deepgram",), scenario="instant", speech="tones") as world,
        DeepgramClient("emulated", base_url=world.deepgram.url, policies=hedged(0.1)) as stt,
    ):
        world.inject("deepgram", Fault("late", delay=0.4))
        transcript = await stt.transcribe(Pipe())  # type: ignore[arg-type]
        assert transcript.attempts == 1
        assert len(asked(world, "deepgram")) == 1
