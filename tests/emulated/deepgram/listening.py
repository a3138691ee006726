"""A Deepgram client and its emulated provider, for these tests."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicekit.clients.deepgram import DeepgramClient, TranscriptionSession
from voicekit.emulator import Emulator, Scenario
from voicekit.operation import Limits

KEY = "marked-key-4711"
HEARD = "one two three four"
INSTANT = Scenario(name="test", heard=HEARD)
TIGHT = Limits(connect=5.0, gap=1.0)


@asynccontextmanager
async def listening(
    scenario: Scenario = INSTANT, *, emulator: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Emulator, DeepgramClient]]:
    """Both of them, in this loop."""
    async with Emulator(providers=("deepgram",), scenario=scenario, **(emulator or {})) as world:
        settings: dict[str, Any] = {
            "format": "pcm_16000",
            "base_url": world.deepgram.url,
            "ca": None if world.ca_file is None else str(world.ca_file),
            **options,
        }
        async with DeepgramClient(KEY, **settings) as stt:
            yield world, stt


def tone(seconds: float, rate: int = 16_000) -> bytes:
    samples = (round(8000 * math.sin(i / 5)) for i in range(round(seconds * rate)))
    return array("h", samples).tobytes()


def silence(seconds: float, rate: int = 16_000) -> bytes:
    return bytes(2 * round(seconds * rate))


SPEECH = tone(1.2) + silence(0.6)


async def whole(stt: DeepgramClient, audio: bytes = SPEECH, **options: Any) -> str:
    """The text of a short piece of audio."""
    async with stt.open_transcription(**options) as session:
        await session.send(audio)
        await session.finish()
        return (await session.result()).text


async def read(session: TranscriptionSession) -> list[Any]:
    return [event async for event in session]


def outcomes(world: Emulator) -> list[str | None]:
    return [record.outcome for record in world.journal.requests]


def texts_in(world: Emulator) -> list[Any]:
    """The control messages that the server got."""
    frames = world.journal.frames
    return [f.data.get("type") for f in frames if f.direction == "in" and f.kind == "text"]


def audio_in(world: Emulator) -> list[int]:
    """The sizes of the audio frames that the server got."""
    return [f.size for f in world.journal.frames if f.direction == "in" and f.kind == "binary"]
