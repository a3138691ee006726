"""An emulated OpenAI that speaks and listens, a client of it, and what to check at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from settling import gone, settled
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.material import check_tones
from voicekit.speech import AudioClip, AudioFormat

VOICE = "alloy"
SPEECH = {"model": "gpt-4o-mini-tts", "voice": VOICE}
HEARD = "what are your opening hours today"
WRITTEN = "What are your opening hours today."
WORDS = ("What", " are", " your", " opening", " hours", " today.")
INSTANT = Scenario(name="test", speech_chunk_bytes=2000, heard=HEARD)
PACED = Scenario(
    name="test",
    speech_chunk_bytes=2000,
    speech_real_time_factor=0.05,
    chat_token_gap=0.004,
    heard=HEARD,
)
CLIP = AudioClip(data=bytes(32_000), format=AudioFormat.parse("pcm_16000"))
APART = replace(PACED, chat_token_gap=0.15, speech_real_time_factor=1.0)
"""Each piece is read before the next is sent, on a busy machine too."""
OPERATIONS = ("stream_speech", "synthesize", "transcribe", "stream_transcription")


@asynccontextmanager
async def audio_world(
    scenario: Scenario = INSTANT, *, tls: bool = False, **options: Any
) -> AsyncIterator[tuple[Emulator, OpenAIClient]]:
    async with Emulator(providers=("openai",), scenario=scenario, tls=tls) as world:
        defaults = {
            "api_key": "key",
            "base_url": world.openai.url,
            "ca": str(world.ca_file) if world.ca_file else None,
            "speech": SPEECH,
            "transcription": {"model": "gpt-transcribe"},
        }
        async with OpenAIClient(**{**defaults, **options}) as client:
            yield world, client
            await settled(client)
        await gone(world, "openai")


def right(audio: bytes, *texts: str) -> bool:
    """Whether it is exactly the tones of the texts; one that is not says how."""
    fault = check_tones(audio, texts, voice_id=VOICE, sample_rate=24_000)
    assert fault is None, str(fault)
    return True
