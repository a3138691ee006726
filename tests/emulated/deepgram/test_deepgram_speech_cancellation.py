"""Deepgram's speech, cancelled at every await of every operation: prompt, and nothing left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from deepgram_speaking import INSTANT, flushed, heard, pieces, right, speaking

from settling import call_tasks, eventually, library_tasks
from voicekit.emulator import Scenario

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "A text that is one sentence. And another one that is spoken after it. "
LONG = "This is one of the many sentences of a long text. " * 50


async def whole(tts: Any) -> Any:
    return (await tts.synthesize(TEXT)).data


async def streamed(tts: Any) -> Any:
    async with tts.stream_speech(TEXT) as speech:
        return await heard(speech)


async def not_entered(tts: Any) -> Any:
    return await heard(tts.stream_speech(TEXT))


async def in_parts(tts: Any) -> Any:
    return await heard(tts.stream_speech(LONG, split=True))


async def submitted(tts: Any) -> Any:
    await tts.submit_speech(TEXT, callback="https://example.com/done")


async def session(tts: Any) -> Any:
    async with tts.open_speech() as speech:
        await speech.send(TEXT)
        await speech.finish()
        return await heard(speech)


async def barged_in(tts: Any) -> Any:
    async with tts.open_speech() as speech:
        await speech.send(TEXT)
        await anext(speech)
        await speech.cancel()


async def barged_in_twice(tts: Any) -> Any:
    await barged_in(tts)
    await barged_in(tts)  # waits for the Cleared of the first


async def fed(tts: Any) -> Any:
    async with tts.stream_speech(pieces([TEXT])) as speech:
        return await heard(speech)


async def fed_not_entered(tts: Any) -> Any:
    return await heard(tts.stream_speech(pieces([TEXT])))


async def warmed(tts: Any) -> Any:
    await tts.warm(2)


OPERATIONS = [
    whole, streamed, not_entered, in_parts, submitted, session, barged_in, barged_in_twice, fed,
    fed_not_entered, warmed,
]  # fmt: skip


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
async def test_cancelled_after_k_steps(
    operation: Callable[[Any], Awaitable[Any]], warm: bool
) -> None:
    """For growing k until it completes: prompt, no task, no lease, and the next one is right."""
    scenario = Scenario(name="cut", speech_chunk_bytes=20_000)
    async with speaking(scenario) as (world, tts):
        if warm:
            await tts.warm(2)
        completed = 0
        step = 0
        while completed < 3:
            task = asyncio.create_task(operation(tts))
            for _ in range(step):
                if task.done():
                    break
                await asyncio.sleep(0)
            if task.done():
                completed += 1
                await task
                step += 1
                continue
            completed = 0
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 0.5
            step += 1 if step < 60 else 5
        assert await eventually(lambda: call_tasks() == [])
        for pool in tts.transport._sockets.values():
            assert await eventually(lambda pool=pool: pool.stats().leased == 0)
        world.set_scenario(INSTANT)
        assert right((await tts.synthesize(TEXT)).data, TEXT)
        before = len(flushed(world))
        assert right(await session(tts), *flushed(world)[before:])
        assert "Warning" not in repr(world.journal.frames)
        assert await eventually(lambda: len(world.connections("deepgram")) <= 20)
    assert await eventually(lambda: library_tasks() == [])
