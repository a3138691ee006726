"""The blocking clients and their emulated providers, for these tests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import waiting
from voicekit.emulator import Emulator, Scenario
from voicekit.sync import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.sync.portal import portal

RATE = 8000
VOICE = "21m00Tcm4TlvDq8ikWAM"
HEARD = "one two three four"
INSTANT = Scenario(name="test", speech_chunk_bytes=2000, heard=HEARD)
PACED = Scenario(
    name="test",
    speech_chunk_bytes=2000,
    speech_real_time_factor=0.05,
    chat_token_gap=0.004,
    heard=HEARD,
)
LONG = "A sentence that takes a few seconds to say. " * 4


@contextmanager
def emulated(*providers: str, scenario: Scenario = INSTANT) -> Iterator[Any]:
    with Emulator.in_thread(providers=providers, scenario=scenario) as world:
        yield world


def voice_of(world: Any, **options: Any) -> ElevenLabsClient:
    settings = {"voice": VOICE, "format": f"pcm_{RATE}", "base_url": world.elevenlabs.url}
    return ElevenLabsClient("k", **{**settings, **options})


def ears_of(world: Any, **options: Any) -> DeepgramClient:
    settings: dict[str, Any] = {
        "format": "pcm_16000",
        "base_url": world.deepgram.url,
        "speech": {"format": f"pcm_{RATE}"},
    }
    return DeepgramClient("k", **{**settings, **options})


def model_of(world: Any, **options: Any) -> OpenAIClient:
    settings: dict[str, Any] = {
        "model": "gpt-x",
        "base_url": world.openai.url,
        "speech": {"model": "gpt-4o-mini-tts", "voice": "alloy"},
        "transcription": {"model": "gpt-transcribe"},
    }
    return OpenAIClient("k", **{**settings, **options})


@contextmanager
def crossing(most: int, least: int = 1) -> Iterator[None]:
    """Everything inside goes over to the event loop so often."""
    before = portal().crossings
    yield
    assert least <= portal().crossings - before <= most


def once(ask: Callable[[], Any]) -> Any:
    """The result of a whole-value call, which takes one crossing."""
    with crossing(1):
        return ask()


def marked(secret: str) -> str:
    """How the journal shows a secret."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()[:12]}"


def readers() -> list[str]:
    """The threads that read a text."""
    return [t.name for t in threading.enumerate() if t.name == "voicekit-sync-text"]


eventually = partial(waiting.eventually, within=3.0)
