"""The checks for engines: passed by every built-in role, failed by broken engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.clients.openai import AzureOpenAIClient
from voicekit.emulator import Emulator
from voicekit.testing.conformance import (
    CHAT_MODEL_CHECKS,
    SYNTHESIZER_CHECKS,
    TRANSCRIBER_CHECKS,
)

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

Make = Callable[[], Any]
Check = Callable[[Make], Awaitable[None]]


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(scenario="instant") as world:
        yield world


def elevenlabs(world: Emulator) -> Any:
    return ElevenLabsClient(voice="v", api_key="k", base_url=world.elevenlabs.url)


def deepgram(world: Emulator) -> Any:
    return DeepgramClient(api_key="k", base_url=world.deepgram.url)


def openai(world: Emulator) -> Any:
    return OpenAIClient(
        model="gpt-test",
        api_key="k",
        base_url=world.openai.url,
        speech={"model": "gpt-4o-mini-tts", "voice": "alloy"},
        transcription={"model": "gpt-4o-transcribe"},
    )


def azure(world: Emulator) -> Any:
    return AzureOpenAIClient(
        model="gpt-test",
        api_key="k",
        azure_endpoint=world.openai.url.removesuffix("/v1"),
        api_version="2025-04-01-preview",
    )


SYNTHESIZERS: dict[str, Callable[[Emulator], Any]] = {
    "elevenlabs": elevenlabs,
    "deepgram": lambda world: deepgram(world).as_synthesizer(),
    "openai": lambda world: openai(world).as_synthesizer(),
}
TRANSCRIBERS: dict[str, Callable[[Emulator], Any]] = {
    "elevenlabs": lambda world: elevenlabs(world).as_transcriber(),
    "deepgram": deepgram,
    "openai": lambda world: openai(world).as_transcriber(),
}
CHAT_MODELS: dict[str, Callable[[Emulator], Any]] = {"openai": openai, "azure": azure}


def name(check: Any) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
@pytest.mark.parametrize("engine", SYNTHESIZERS)
async def test_synthesizers(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``Synthesizer`` keeps what the interface promises."""
    await check(lambda: SYNTHESIZERS[engine](world))


@pytest.mark.parametrize("check", TRANSCRIBER_CHECKS, ids=name)
@pytest.mark.parametrize("engine", TRANSCRIBERS)
async def test_transcribers(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``Transcriber`` keeps what the interface promises."""
    await check(lambda: TRANSCRIBERS[engine](world))


@pytest.mark.parametrize("check", CHAT_MODEL_CHECKS, ids=name)
@pytest.mark.parametrize("engine", CHAT_MODELS)
async def test_chat_models(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``ChatModel`` keeps what the interface promises."""
    await check(lambda: CHAT_MODELS[engine](world))
