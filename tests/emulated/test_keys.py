"""Keys that a callable returns: whatever it does, the caller hears of it in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from settling import call_tasks, eventually
from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient, fallback
from voicekit.clients import credential
from voicekit.emulator import Emulator
from voicekit.errors import InvalidArgumentError, MissingCredentialError, StreamInterruptedError

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SILENCE = bytes(16_000)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential, "KEY_LIMIT", 0.1)


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(
        providers=("elevenlabs", "deepgram", "openai"), scenario="instant"
    ) as world:
        yield world


async def never() -> str:
    await asyncio.Event().wait()
    return "key"


def tts(world: Emulator, api_key: Any = never) -> ElevenLabsClient:
    return ElevenLabsClient(api_key, base_url=world.elevenlabs.url, voice="v")


def stt(world: Emulator, api_key: Any = never) -> DeepgramClient:
    return DeepgramClient(api_key, base_url=world.deepgram.url)


def llm(world: Emulator, api_key: Any = never) -> OpenAIClient:
    return OpenAIClient(api_key, base_url=world.openai.url, model="m")


async def pieces() -> AsyncIterator[str]:
    yield "Hello. "


async def entered(handle: Any) -> None:
    async with handle:
        pass


OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[[Any], Awaitable[Any]]]] = {
    "synthesize": (tts, lambda c: c.synthesize("Hello.")),
    "stream_speech": (tts, lambda c: entered(c.stream_speech("Hello."))),
    "fed": (tts, lambda c: entered(c.stream_speech(pieces()))),
    "open_speech": (tts, lambda c: entered(c.open_speech())),
    "stream-input": (tts, lambda c: entered(c.open_speech(socket="stream-input"))),
    "deepgram-stream_speech": (stt, lambda c: entered(c.stream_speech("Hello."))),
    "deepgram-open_speech": (stt, lambda c: entered(c.open_speech())),
    "open_transcription": (stt, lambda c: entered(c.open_transcription(format="pcm_16000"))),
    "stream_chat": (llm, lambda c: entered(c.stream_chat("Hello"))),
    "embed": (llm, lambda c: c.embed("Hello", model="m")),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_callable_that_hangs_is_left(world: Emulator, name: str) -> None:
    """Whether the operation has a limit in all or none; nothing was sent."""
    make, use = OPERATIONS[name]
    async with make(world) as client, asyncio.timeout(10):
        with pytest.raises(MissingCredentialError, match="api_key callable") as caught:
            await use(client)
        assert (caught.value.outcome, caught.value.retryable) == ("not_applied", False)
    assert world.journal.requests == []
    assert await eventually(lambda: call_tasks() == [])


async def test_one_that_hangs_when_a_connection_is_replaced(world: Emulator) -> None:
    """A live transcription ends with the exact account, and does not wait in silence."""
    asked = 0

    async def once() -> str:
        nonlocal asked
        asked += 1
        return "key" if asked == 1 else await never()

    async with (
        stt(world, once) as client,
        asyncio.timeout(20),
        client.open_transcription(format="pcm_16000") as session,
    ):
        await session.send(SILENCE)
        world.cut("deepgram", how="rst")

        async def read() -> None:
            await session.finish()
            async for _ in session:
                pass

        with pytest.raises((StreamInterruptedError, MissingCredentialError)) as caught:
            await read()
        error = caught.value
        assert isinstance(error, MissingCredentialError) or isinstance(
            error.__cause__, MissingCredentialError
        )


async def test_the_next_member_may_have_a_key(world: Emulator) -> None:
    """What one member lacks says nothing of what was asked."""
    async with fallback(tts(world), tts(world, "key"), names=("one", "two")) as voices:
        assert (await voices.synthesize("Hello.")).member == "two"


async def test_a_callable_that_is_not_async_is_refused(world: Emulator) -> None:
    """By name, and before anything is sent."""
    async with tts(world, lambda: "a-key-0001") as client:
        with pytest.raises(InvalidArgumentError, match="async callable") as caught:
            await client.synthesize("Hello.")
        assert caught.value.argument == "api_key"
        assert "a-key-0001" not in str(caught.value)
    assert world.journal.requests == []
