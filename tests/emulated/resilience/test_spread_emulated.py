"""``spread`` over real wires: who was asked, as the servers saw it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from two_worlds import INSTANT, PACED, RATE, heard, right, spoken, twins

from voicekit import ElevenLabsClient
from voicekit.emulator import Fault
from voicekit.errors import UnavailableError
from voicekit.resilience.members.spread import spread

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "A text to say."
PCM = f"pcm_{RATE}"


async def test_forty_at_once_go_half_to_each() -> None:
    """By what is under way, not by turns."""
    async with twins(PACED, wrapper=spread) as (one, two, tts):
        clips = await asyncio.gather(*(tts.synthesize(TEXT) for _ in range(40)))
        assert all(right(clip.data, TEXT) for clip in clips)
        assert Counter(clip.member for clip in clips) == {"one": 20, "two": 20}
        assert [len(spoken(world, "elevenlabs")) for world in (one, two)] == [20, 20]


async def test_the_slow_one_gets_less() -> None:
    """It has more under way."""
    async with twins(wrapper=spread) as (one, _, tts):
        one.set_scenario(replace(INSTANT, speech_first_audio=0.2))

        members: list[str] = []

        async def caller() -> None:
            for _ in range(10):
                members.append((await tts.synthesize(TEXT)).member)

        await asyncio.gather(*(caller() for _ in range(4)))
        assert Counter(members)["one"] < 12


async def test_what_was_sent_is_not_sent_elsewhere() -> None:
    """Whatever became of it."""
    async with twins(wrapper=spread) as (one, two, tts):
        for world in (one, two):
            world.inject("elevenlabs", Fault("status", status=500, times=None))
        with pytest.raises(UnavailableError):
            await heard(tts.stream_speech(TEXT))
        asked = [len(spoken(world, "elevenlabs")) for world in (one, two)]
        assert min(asked) == 0


async def test_a_dead_member_costs_nobody_an_answer() -> None:
    """Nothing was sent there, so the other one takes it."""
    async with twins(wrapper=spread) as (_, _, tts):
        dead = ElevenLabsClient("key", voice="v", base_url="http://127.0.0.1:9")
        async with dead, spread(dead, tts, close=False) as both:
            for _ in range(8):
                assert (await both.synthesize(TEXT, format=PCM)).member.startswith("spread/")
