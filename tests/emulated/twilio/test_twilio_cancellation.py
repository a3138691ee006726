"""Cancelled at every await of every operation: prompt, nothing left, nothing done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from messaging import INSTANT, USER, messaging, received

from settling import call_tasks, eventually
from voicekit import DeepgramClient
from voicekit.emulator.endpoints import API_KEY
from voicekit.resilience.waiting import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

DATA = b"OggS" + b"x" * 90_000
LONG = "This sentence has about fifty characters of text. " * 40


async def send(twilio: Any, _ref: Any, _stt: Any) -> None:
    await twilio.send_message(to=USER, body="Hi")


async def send_parts(twilio: Any, _ref: Any, _stt: Any) -> None:
    await twilio.send_message(to=USER, body=LONG)


async def listed(twilio: Any, _ref: Any, _stt: Any) -> None:
    async for _ in twilio.messages(page_size=1):
        break


async def typed(twilio: Any, ref: Any, _stt: Any) -> None:
    await twilio.typing("SM01")


async def downloaded(twilio: Any, ref: Any, _stt: Any) -> None:
    assert bytes(await twilio.download_media(ref)) == DATA


async def streamed(twilio: Any, ref: Any, _stt: Any) -> None:
    async with twilio.stream_media(ref) as stream:
        assert b"".join([each async for each in stream]) == DATA


async def not_entered(twilio: Any, ref: Any, _stt: Any) -> None:
    assert b"".join([each async for each in twilio.stream_media(ref)]) == DATA


async def piped(twilio: Any, ref: Any, stt: Any) -> None:
    assert (await stt.transcribe(twilio.stream_media(ref))).text


async def warmed(twilio: Any, _ref: Any, _stt: Any) -> None:
    await twilio.warm(2)


OPERATIONS = [send, send_parts, listed, typed, downloaded, streamed, not_entered, piped, warmed]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
async def test_cancelled_after_k_steps(operation: Callable[..., Awaitable[Any]]) -> None:
    """For growing k until it completes: no task, no lease, and the next one is right."""
    scenario = replace(INSTANT, media_not_ready=1)
    async with messaging(scenario, providers=("deepgram",)) as (world, twilio):
        ref = (await received(world, twilio, media=DATA)).media[0]
        async with DeepgramClient(API_KEY, base_url=world.deepgram.url) as stt:
            completed = step = 0
            with no_waits():
                while completed < 2:
                    task = asyncio.ensure_future(operation(twilio, ref, stt))
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
                    assert time.monotonic() - began < 1.0
                    step += 1 if step < 40 else 7
            assert await eventually(lambda: not call_tasks())
            assert await eventually(lambda: twilio.stats().leased == 0)
            assert await eventually(lambda: stt.stats().leased == 0)
            await downloaded(twilio, ref, stt)
            await send(twilio, ref, stt)
        bodies = [each.body for each in world.journal.requests_for("twilio", "messages.create")]
        accepted = len(world.journal.sent_to(USER))
        assert accepted <= len(bodies)
        assert len(world.connections("twilio")) <= 20
