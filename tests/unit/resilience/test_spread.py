"""``spread``: who has least to do, and when the next takes it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from scripted_members import Does, Voice, failing, heard

from voicekit.errors import (
    CircuitOpenError,
    ConnectError,
    ConnectionLostError,
    OverloadedError,
    PoolTimeout,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience.members.spread import spread
from voicekit.testing import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def three(**options: Any) -> tuple[Any, list[Voice]]:
    voices = [Voice(name) for name in "abc"]
    clock = asyncio.get_running_loop().time
    return spread(*voices, rng=random.Random(7), clock=clock, **options), voices


async def test_the_least_busy_takes_it() -> None:
    """Streams and sessions count until their end, however they end."""
    tts, _ = three()
    async with tts:
        handles = [await tts.stream_speech("Hello") for _ in range(2)]
        handles.append(await tts.open_speech())
        assert sorted(handle.member for handle in handles) == ["a", "b", "c"]
        for number, end in enumerate(("aclose", "cancel", "aclose"), 1):
            await getattr(handles[number - 1], end)()
            await handles[number - 1].aclose()
            free = {handle.member for handle in handles[:number]}
            assert (await tts.synthesize("Hello")).member in free
        assert [each.outstanding for each in tts.stats()] == [0, 0, 0]


@pytest.mark.parametrize("how", ["iterated", "clip", "taken", "failed", "cancelled"])
async def test_the_end_of_a_stream(how: str) -> None:
    """Frees its place once, by itself."""
    tts, voices = three()
    for voice in voices:
        voice.then(Does(after=failing(ConnectionLostError) if how == "failed" else None))
    async with tts:
        speech = await tts.stream_speech("Hello")
        assert sum(each.outstanding for each in tts.stats()) == 1
        if how == "iterated":
            await heard(speech)
        elif how == "clip":
            await speech.clip()
        elif how == "taken":
            while await speech.take():
                pass
        elif how == "failed":
            with pytest.raises(Exception, match="broke off"):
                await heard(speech)
        else:
            await anext(speech)
            task = asyncio.create_task(anext(speech))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await speech.aclose()
        assert [each.outstanding for each in tts.stats()] == [0, 0, 0]
        await speech.aclose()


async def test_many_at_once_are_spread_evenly() -> None:
    """And equals are drawn by lot."""
    tts, voices = three()
    for voice in voices:
        voice.then(*[Does(wait=1)] * 10)
    async with tts:
        clips = await asyncio.gather(*(tts.synthesize("Hello") for _ in range(30)))
        assert Counter(clip.member for clip in clips) == {"a": 10, "b": 10, "c": 10}
        alone = Counter([(await tts.synthesize("Hello")).member for _ in range(60)])
        assert all(alone[name] > 5 for name in "abc")


@pytest.mark.parametrize("error", [CircuitOpenError, OverloadedError, PoolTimeout, ConnectError])
async def test_where_nothing_was_sent_the_next_takes_it(error: Any) -> None:
    """Least busy first."""
    a, b, c = voices = [Voice(name) for name in "abc"]
    for voice in voices:
        voice.then(failing(error), failing(error))
    tts = spread(*voices, rng=random.Random(1))
    async with tts:
        with pytest.raises(error) as caught:
            await tts.synthesize("Hello")
        assert len(caught.value.errors) == 2
        for voice in voices:
            voice.script.clear()
        a.then(failing(error), failing(error))
        b.then(failing(error), failing(error))
        async with tts.stream_speech("Hello") as speech:
            await heard(speech)
        assert speech.member == "c"
    assert len(c.heard) == 2


@pytest.mark.parametrize("error", [UnavailableError, RateLimitError, ConnectionLostError])
async def test_every_other_error_surfaces(error: Any) -> None:
    """Their own retries have seen to it; for another provider there is ``fallback``."""
    tts, voices = three()
    for voice in voices:
        voice.then(failing(error))
    async with tts:
        with pytest.raises(error):
            await tts.synthesize("Hello")
    assert sum(len(voice.heard) for voice in voices) == 1


async def test_a_circuit_opened_by_hand_is_left_alone() -> None:
    """It names no time, and is asked again now and then, not by every second call."""
    tts, (a, _, _) = three()
    a.then(*[failing(CircuitOpenError)] * 200)
    async with tts:
        while not a.heard:
            await tts.synthesize("Hello")
        for _ in range(30):
            await tts.synthesize("Hello")
        assert len(a.heard) == 1
        assert (tts.stats()[0].state, tts.stats()[0].rests_for) == ("resting", 1.0)
        await asyncio.sleep(1)
        for _ in range(30):
            await tts.synthesize("Hello")
        assert len(a.heard) == 2


async def test_an_open_circuit_is_left_alone() -> None:
    """It never has anything to do, and would be asked first each time."""
    tts, (a, b, c) = three()
    a.then(*[failing(CircuitOpenError, retry_after=3.0)] * 5)
    async with tts:
        while not a.heard:
            await tts.synthesize("Hello")
        for _ in range(30):
            await tts.synthesize("Hello")
        assert len(a.heard) == 1
        assert tts.stats()[0].rests_for == 3.0
        await asyncio.sleep(3)
        for _ in range(30):
            await tts.synthesize("Hello")
        assert len(a.heard) == 2  # its breaker was asked again, and still refuses
        b.then(failing(CircuitOpenError, retry_after=9.0))
        c.then(failing(CircuitOpenError, retry_after=9.0))
        a.script.clear()
        assert (await tts.synthesize("Hello")).member == "a"


async def test_cancelled_calls_free_their_place() -> None:
    """Wherever they were."""
    tts, voices = three()
    for voice in voices:
        voice.then(*[Does(wait=9)] * 3)
    async with tts:
        for work in (
            lambda: tts.synthesize("Hello"),
            lambda: heard(tts.stream_speech("Hello")),
            lambda: tts.stream_speech("Hello").clip(),
        ):
            task = asyncio.create_task(work())
            await asyncio.sleep(1)
            assert sum(each.outstanding for each in tts.stats()) == 1
            task.cancel()
            await asyncio.wait([task])
            assert sum(each.outstanding for each in tts.stats()) == 0
