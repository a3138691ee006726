"""A Deepgram client that speaks, and its emulated provider, for these tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from voicekit.clients.deepgram import DeepgramClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.material import check_tones

VOICE = "aura-2-thalia-en"
KEY = "marked-key-4711"
RATE = 8000
INSTANT = Scenario(name="test", speech_chunk_bytes=2000)


@asynccontextmanager
async def speaking(
    scenario: Scenario = INSTANT,
    *,
    emulator: dict[str, Any] | None = None,
    speech: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Emulator, DeepgramClient]]:
    """Both of them, in this loop; 8 kHz keeps the bytes few."""
    async with Emulator(providers=("deepgram",), scenario=scenario, **(emulator or {})) as world:
        options: dict[str, Any] = {
            "base_url": world.deepgram.url,
            "ca": None if world.ca_file is None else str(world.ca_file),
            "speech": {"format": f"pcm_{RATE}", **(speech or {})},
            **settings,
        }
        async with DeepgramClient(KEY, **options) as tts:
            yield world, tts


def right(audio: bytes, *texts: str) -> bool:
    """Whether it is exactly the tones of the texts; one that is not says how."""
    fault = check_tones(audio, texts, voice_id=VOICE, sample_rate=RATE)
    assert fault is None, str(fault)
    return True


def flushed(world: Emulator) -> list[str]:
    """What was flushed at a time, as the journal has it: the twin speaks it as one text."""
    texts: list[str] = []
    said: dict[int, str] = {}
    for frame in world.journal.frames:
        if frame.direction == "in" and isinstance(frame.data, dict):
            match frame.data.get("type"):
                case "Speak":
                    said[frame.request] = said.get(frame.request, "") + frame.data["text"]
                case "Flush":
                    texts.append(said.pop(frame.request, ""))
                case "Clear":
                    said.pop(frame.request, None)
    return texts


def sent(world: Emulator) -> list[str]:
    """The types of what the client sent on sockets, in order."""
    return [
        frame.data["type"]
        for frame in world.journal.frames
        if frame.direction == "in" and isinstance(frame.data, dict)
    ]


async def heard(stream: Any) -> bytes:
    """Everything that a handle gives."""
    return b"".join([chunk async for chunk in stream])


async def pieces(texts: Iterable[str]) -> AsyncIterator[str]:
    """A model's stream."""
    for text in texts:
        await asyncio.sleep(0)
        yield text


def pool_of(tts: DeepgramClient) -> Any:
    """The only pool of speech sockets."""
    (pool,) = tts.transport._sockets.values()
    return pool
