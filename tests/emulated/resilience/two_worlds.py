"""Two emulated providers, or the same one twice, behind one wrapper."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicekit import DeepgramClient, ElevenLabsClient
from voicekit.emulator import Emulator, RequestRecord, Scenario
from voicekit.emulator.material import check_tones
from voicekit.resilience.members.fallback import fallback

RATE = 8000
VOICE = "21m00Tcm4TlvDq8ikWAM"
OTHER_VOICE = "aura-2-thalia-en"
INSTANT = Scenario(name="test", speech_chunk_bytes=2000)
# What comes after the first audio is still on its way when the consumer has that.
PACED = Scenario(name="test", speech_chunk_bytes=2000, speech_real_time_factor=0.05)


@asynccontextmanager
async def two_providers(
    scenario: Scenario = INSTANT, *, wrapper: Any = fallback, **options: Any
) -> AsyncIterator[tuple[Emulator, Any]]:
    """ElevenLabs, then Deepgram."""
    async with Emulator(providers=("elevenlabs", "deepgram"), scenario=scenario) as world:
        first = ElevenLabsClient("key-eleven", voice=VOICE, base_url=world.elevenlabs.url)
        second = DeepgramClient(
            "key-deepgram", base_url=world.deepgram.url, speech={"model": OTHER_VOICE}
        ).as_synthesizer()
        names = {"names": ("elevenlabs", "deepgram")}
        async with wrapper(first, second, **{**names, **options}) as tts:
            yield world, tts


@asynccontextmanager
async def twins(
    scenario: Scenario = INSTANT, *, wrapper: Any = fallback, **options: Any
) -> AsyncIterator[tuple[Emulator, Emulator, Any]]:
    """ElevenLabs twice, each with a server of its own."""
    only = ("elevenlabs",)
    async with (
        Emulator(providers=only, scenario=scenario) as one,
        Emulator(providers=only, scenario=scenario) as two,
    ):
        members = [
            ElevenLabsClient(
                "key-eleven", voice=VOICE, format=f"pcm_{RATE}", base_url=world.elevenlabs.url
            )
            for world in (one, two)
        ]
        async with wrapper(*members, names=("one", "two"), **options) as tts:
            yield one, two, tts


def right(audio: bytes, *texts: str, voice: str = VOICE) -> bool:
    """Whether it is exactly the tones of the texts; one that is not says how."""
    fault = check_tones(audio, texts, voice_id=voice, sample_rate=RATE)
    assert fault is None, str(fault)
    return True


def spoken(world: Emulator, provider: str) -> list[RequestRecord]:
    """The requests for speech over HTTP."""
    asked = world.journal.requests_for(provider)
    return [each for each in asked if each.operation not in {"speech.socket", "speak.socket"}]


async def heard(handle: Any) -> bytes:
    """Everything that it gives."""
    return b"".join([chunk async for chunk in handle])
