"""Deepgram and OpenAI: what our own split proves is enough to go on after a break."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "deepgram"))
sys.path.insert(0, str(Path(__file__).parents[1] / "openai"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sync"))
import audio_world
import deepgram_speaking
from blocking_world import emulated, voice_of

from settling import eventually
from voicekit.emulator import Emulator, Fault
from voicekit.errors import ConnectionLostError, InvalidArgumentError, StreamInterruptedError
from voicekit.events import Event, SpeechResumed

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

PARTS = [
    "The first of three sentences, each in a part of its own. ",
    "The second one costs $3.14, as everybody in town can see. ",
    "And that, in the end, is what Mr. Third has had to say.",
]
TEXT = "".join(PARTS)
SPLIT = {"split": 60, "resume": True}
READ = 0.005
"""Seconds in which the client reads what a reset would take back."""
SOUND = Fault("no_end_marker")
"""Of no effect on speech: the request that takes it is answered as it should be."""


class Seen(list[Event]):
    def on_event(self, event: Event, /) -> None:
        self.append(event)

    @property
    def resumed(self) -> list[SpeechResumed]:
        return [event for event in self if isinstance(event, SpeechResumed)]


Right = Callable[..., bool]


@asynccontextmanager
async def provider(
    name: str, seen: Seen | None = None
) -> AsyncIterator[tuple[Emulator, Any, Right]]:
    """A client that can resume, and how to check what it speaks."""
    observers = [] if seen is None else [seen]
    if name == "deepgram":
        async with deepgram_speaking.speaking(observers=observers) as (world, client):
            yield world, client, deepgram_speaking.right
    else:
        async with audio_world.audio_world(observers=observers) as (world, client):
            yield world, client, audio_world.right


def asked(world: Emulator) -> list[str]:
    """The texts of the requests, in order."""
    bodies = [record.json() for record in world.journal.requests]
    return [body.get("text", body.get("input")) for body in bodies]


@pytest.mark.parametrize("kind", ["close", "reset"])
@pytest.mark.parametrize("name", ["deepgram", "openai"])
async def test_a_clip_is_whole_wherever_it_was_cut(name: str, kind: Any) -> None:
    """Each part, soon, in the middle and at its end; no part is asked for a third time."""
    seen = Seen()
    async with provider(name, seen) as (world, client, right):
        assert right((await client.synthesize(TEXT, **SPLIT)).data, *PARTS)
        sizes = [record.audio_bytes_sent for record in world.journal.requests]
        for number, whole in enumerate(sizes):
            for at in (1500, 2000, whole // 2, whole - 1, whole):
                world.journal.clear()
                seen.clear()
                for _ in range(number):
                    world.inject(name, SOUND)
                world.inject(name, Fault(kind, after_bytes=at, delay=READ))
                clip = await client.synthesize(TEXT, **SPLIT)
                assert right(clip.data, *PARTS)
                assert asked(world) == sorted([*PARTS, PARTS[number]], key=PARTS.index)
                assert clip.resumed == 1
                assert clip.attempts == 2
                (event,) = seen.resumed
                assert (event.sentence, event.delivered_bytes) == (number, 0)


@pytest.mark.parametrize("name", ["deepgram", "openai"])
async def test_a_stream_goes_on_or_accounts_for_itself(name: str) -> None:
    """While the part before is being taken; not into a part of which the caller has a byte."""
    async with provider(name) as (world, client, right):
        for number in (1, 2):
            world.journal.clear()
            for _ in range(number):
                world.inject(name, SOUND)
            world.inject(name, Fault("close", after_bytes=9000))
            async with client.stream_speech(TEXT, **SPLIT) as speech:
                got = [await anext(speech)]
                assert await eventually(lambda: len(asked(world)) == 4)
                got += [chunk async for chunk in speech]
            assert right(b"".join(got), *PARTS)
            assert speech.resumed == 1
        world.journal.clear()
        world.inject(name, Fault("close", after_bytes=9000, delay=0.1))
        got = []

        async def take() -> None:
            async for chunk in client.stream_speech(TEXT, **SPLIT):
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await take()
        error = caught.value
        assert error.delivered_bytes == len(b"".join(got)) == 9000
        assert (error.segment, error.resumable) == (0, False)
        assert asked(world) == PARTS[:1]


@pytest.mark.parametrize("name", ["deepgram", "openai"])
async def test_the_option(name: str) -> None:
    """Needs the split; without it nothing is asked twice, but the account names the part."""
    async with provider(name) as (world, client, _):
        with pytest.raises(InvalidArgumentError, match="split=True") as refused:
            client.stream_speech(TEXT, resume=True)
        assert refused.value.argument == "resume"
        assert world.journal.requests == []
        world.inject(name, SOUND)
        world.inject(name, Fault("close", after_bytes=9000))
        with pytest.raises(StreamInterruptedError) as caught:
            await client.synthesize(TEXT, split=60)
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert (caught.value.segment, caught.value.resumable) == (1, False)
        assert asked(world) == PARTS[:2]
        plain = client.speech_request(TEXT, split=60)
        assert client.speech_request(TEXT, **SPLIT).identity == plain.identity


@pytest.mark.parametrize("name", ["deepgram", "openai"])
async def test_a_text_of_one_part_begins_again(name: str) -> None:
    """Whatever the format, while the caller has none of it."""
    async with provider(name) as (world, client, right):
        for options in ({"format": "wav_24000"}, {}):
            world.inject(name, Fault("close", after_bytes=9000, delay=READ))
            clip = await client.synthesize(PARTS[0], **SPLIT, **options)
            assert clip.data == world.journal.audio(world.journal.requests[-1])
            assert options or right(clip.data, PARTS[0])
            assert clip.resumed == 1


def test_from_a_thread() -> None:
    """The blocking facade takes piece by piece, counts, and clips as the other one does."""
    with emulated("elevenlabs") as world, voice_of(world, split=30, resume=True) as tts:
        reference = tts.synthesize(TEXT).data
        world.inject("elevenlabs", Fault("close", after_bytes=3000, delay=READ))
        with tts.stream_speech(TEXT) as speech:
            assert speech.clip().data == reference
            assert speech.resumed == 1
        world.inject("elevenlabs", Fault("close", after_bytes=3000, delay=0.2))
        got: list[bytes] = []
        with (
            tts.stream_speech(TEXT) as speech,
            pytest.raises(StreamInterruptedError) as caught,
        ):
            got.extend(speech)
        assert caught.value.delivered_bytes == len(b"".join(got)) == 3000
