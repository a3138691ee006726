"""What every client promises about its keys and its end, on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicekit import ClosedError, DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.journal import digest
from voicekit.emulator.scenario import SCENARIOS

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SLOWLY = replace(SCENARIOS["instant"], chat_token_gap=0.02, speech_real_time_factor=0.1)


@asynccontextmanager
async def emulated(scenario: str | Scenario = "instant") -> AsyncIterator[Any]:
    async with Emulator(scenario=scenario) as world:
        yield world


async def say(tts: ElevenLabsClient) -> Any:
    async with tts.open_speech() as utterance:
        await utterance.send("Hi. ")
        await utterance.finish()
        async for _ in utterance:
            pass
    return utterance.connection


def handshake_keys(world: Any) -> list[str]:
    return [
        record.headers["xi-api-key"]
        for record in world.journal.requests_for("elevenlabs", "speech.socket")
    ]


async def test_a_key_that_changes_by_itself_retires_sockets() -> None:
    """A socket is authenticated once; under a new key the old one is not used again."""
    keys = ["first-key-0001"]

    async def key() -> str:
        return keys[-1]

    async with (
        emulated() as world,
        ElevenLabsClient(key, base_url=world.elevenlabs.url, voice="v") as tts,
    ):
        await tts.warm(1, strict=True)
        assert (await say(tts)).reused
        assert (await say(tts)).reused
        assert set(handshake_keys(world)) == {digest("first-key-0001")}
        keys.append("second-key-0002")
        world.clear_journal()
        await say(tts)
        assert set(handshake_keys(world)) == {digest("second-key-0002")}
        assert (await say(tts)).reused


async def test_a_key_changed_by_hand_retires_sockets() -> None:
    """``rotate_key``: from the next request on, and for views as well."""
    async with (
        emulated() as world,
        ElevenLabsClient("first-key-0001", base_url=world.elevenlabs.url, voice="v") as tts,
    ):
        await tts.warm(1, strict=True)
        await say(tts)
        world.clear_journal()
        tts.rotate_key("second-key-0002")
        await say(tts.with_options(language_code="en"))
        assert set(handshake_keys(world)) == {digest("second-key-0002")}


async def test_a_close_with_drain_lets_everything_end() -> None:
    """A stream, a session and a live transcription end as they should; nothing new begins."""
    async with emulated(SLOWLY) as world:
        llm = OpenAIClient("k", base_url=world.openai.url, model="m")
        tts = ElevenLabsClient("k", base_url=world.elevenlabs.url, voice="v")
        stt = DeepgramClient("k", base_url=world.deepgram.url)

        async def chat() -> str:
            async with llm.stream_chat("Hello") as reply:
                begun.release()
                return "".join([text async for text in reply])

        async def speech() -> int:
            async with tts.open_speech() as utterance:
                await utterance.send("A sentence that takes a while to be spoken. ")
                await utterance.finish()
                begun.release()
                return sum([len(chunk) async for chunk in utterance])

        async def listen() -> str:
            async with stt.open_transcription(format="pcm_16000") as session:
                await session.send(bytes(3200))
                begun.release()
                await asyncio.sleep(0.2)
                await session.finish()
                async for _ in session:
                    pass
                return session.transcript

        begun = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for work in (chat, speech, listen)]
            for _ in tasks:
                await begun.acquire()
            closings = [group.create_task(client.aclose(drain=5.0)) for client in (llm, tts, stt)]
            await asyncio.sleep(0)
            with pytest.raises(ClosedError):
                await llm.chat("Too late")
        assert all(closing.done() for closing in closings)
        assert tasks[0].result().endswith(".")
        assert tasks[1].result() > 10_000
        outcomes = {record.outcome for record in world.journal.requests}
        assert outcomes == {"complete"}


async def test_a_close_without_drain_is_at_once() -> None:
    """What is under way is cut off, and says so."""
    async with emulated(SLOWLY) as world:
        llm = OpenAIClient("k", base_url=world.openai.url, model="m")
        async with llm.stream_chat("Hello") as reply:
            await anext(reply)
            await llm.aclose()
            with pytest.raises(Exception, match="closed"):
                async for _ in reply:
                    pass


async def test_a_drain_is_bounded() -> None:
    """Whoever does not end in time is cut off."""
    async with emulated(SLOWLY) as world:
        stt = DeepgramClient("k", base_url=world.deepgram.url)
        async with stt.open_transcription(format="pcm_16000"):
            before = asyncio.get_running_loop().time()
            await stt.aclose(drain=0.2)
            assert 0.15 < asyncio.get_running_loop().time() - before < 2.0
