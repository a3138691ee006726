"""An ElevenLabs client and its emulated provider, for these tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.material import check_tones

VOICE = "21m00Tcm4TlvDq8ikWAM"
KEY = "marked-key-4711"
RATE = 8000
INSTANT = Scenario(name="test", speech_chunk_bytes=2000)


@asynccontextmanager
async def speaking(
    scenario: Scenario = INSTANT, *, emulator: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Emulator, ElevenLabsClient]]:
    """Both of them, in this loop; 8 kHz keeps the bytes few."""
    async with Emulator(providers=("elevenlabs",), scenario=scenario, **(emulator or {})) as world:
        settings: dict[str, Any] = {
            "voice": VOICE,
            "format": f"pcm_{RATE}",
            "base_url": world.elevenlabs.url,
            "ca": None if world.ca_file is None else str(world.ca_file),
            **options,
        }
        async with ElevenLabsClient(KEY, **settings) as tts:
            yield world, tts


def right(audio: bytes, *texts: str) -> bool:
    """Whether it is exactly the tones of the texts; one that is not says how."""
    fault = check_tones(audio, texts, voice_id=VOICE, sample_rate=RATE)
    assert fault is None, str(fault)
    return True


async def heard(stream: Any) -> bytes:
    """Everything that a handle gives."""
    return b"".join([chunk async for chunk in stream])


async def pieces(texts: Iterable[str]) -> AsyncIterator[str]:
    """A model's stream."""
    for text in texts:
        await asyncio.sleep(0)
        yield text
