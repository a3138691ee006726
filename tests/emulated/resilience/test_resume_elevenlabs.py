"""Speech that is cut off at every place, and goes on where it is proven which sentence ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "elevenlabs"))
from speaking import INSTANT, RATE, VOICE, right, speaking

from settling import call_tasks, eventually
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.material import tones
from voicekit.errors import (
    ConnectionLostError,
    InvalidArgumentError,
    StreamInterruptedError,
    UnavailableError,
)
from voicekit.events import CallEnded, Event, SpeechResumed
from voicekit.operation import Limits
from voicekit.resilience.limit import Limit
from voicekit.resilience.policies import Policies
from voicekit.resilience.retry import Retry

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SENTENCES = ["The first is here. ", "A second one costs $3.14. ", "And that is Mr. Third."]
TEXT = "".join(SENTENCES)
PER_CHARACTER = RATE * 2 * 60 // 1000
CHUNK = INSTANT.speech_chunk_bytes
READ = 0.05
"""Seconds in which the client reads what a reset would take back."""
SLOW = Scenario(name="slow", speech_chunk_bytes=CHUNK, speech_real_time_factor=0.02)
SOUND = Fault("no_end_marker")
"""Of no effect on speech: the request that takes it is answered as it should be."""


class Seen(list[Event]):
    def on_event(self, event: Event, /) -> None:
        self.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


@asynccontextmanager
async def resuming(
    scenario: Scenario = INSTANT, **options: Any
) -> AsyncIterator[tuple[Emulator, Any, Seen]]:
    """A client that resumes, its provider, and what it says."""
    seen = Seen()
    # Cut at every place, by the same client: more than a budget pays for.
    options.setdefault("policies", Policies(retry=Retry(budget=None)))
    async with speaking(scenario, observers=[seen], resume=True, **options) as (world, tts):
        yield world, tts, seen
        assert await eventually(lambda: not call_tasks())


def sound(text: str) -> bytes:
    return tones(text, voice_id=VOICE, sample_rate=RATE)


def size(*texts: str) -> int:
    """Bytes of their audio."""
    return sum(map(len, texts)) * PER_CHARACTER


def asked(world: Emulator) -> list[str]:
    """The texts of the requests, in order."""
    return [json.loads(each.body)["text"] for each in world.journal.requests_for("elevenlabs")]


def in_order(world: Emulator, sentences: list[str]) -> bool:
    """Whether each sentence was asked for at most twice, and none before an earlier one."""
    asked_of = [[each for each in sentences if each in text] for text in asked(world)]
    counts = Counter(each for texts in asked_of for each in texts)
    lasts = [sentences.index(texts[-1]) for texts in asked_of]
    return max(counts.values()) <= 2 and lasts == sorted(lasts)


# -- our own split -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["close", "reset"])
@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_clip_in_parts_is_whole_wherever_it_was_cut(number: int, kind: Any) -> None:
    """Byte for byte, for a cut at each chunk of each part; counted, told, charged."""
    async with resuming() as (world, tts, seen):
        reference = (await tts.synthesize(TEXT, split=30)).data
        assert right(reference, *SENTENCES)
        whole = size(SENTENCES[number])
        for at in [CHUNK // 2, *range(CHUNK, whole, CHUNK), whole]:
            world.journal.clear()
            seen.clear()
            for _ in range(number):
                world.inject("elevenlabs", SOUND)
            world.inject("elevenlabs", Fault(kind, after_bytes=at, delay=READ))
            stream = tts.stream_speech(TEXT, split=30)
            clip = await stream.clip()
            assert clip.data == reference
            assert asked(world) == sorted([*SENTENCES, SENTENCES[number]], key=SENTENCES.index)
            assert stream.resumed == 1
            (event,) = seen.of(SpeechResumed)
            assert (event.sentence, event.delivered_bytes) == (number, 0)
            assert event.error == "ConnectionLostError"
            assert (event.provider, event.operation) == ("elevenlabs", "stream_speech")
            assert clip.usage.characters == len(TEXT + SENTENCES[number])
            assert len(seen.of(CallEnded)) == 4


async def test_the_caller_has_the_parts_before_it() -> None:
    """A part of which the caller has nothing is asked for again while the one before plays."""
    async with resuming() as (world, tts, seen):
        for number, at in [(1, 3000), (2, 5000)]:
            world.journal.clear()
            for _ in range(number):
                world.inject("elevenlabs", SOUND)
            world.inject("elevenlabs", Fault("close", after_bytes=at))
            async with tts.stream_speech(TEXT, split=30) as speech:
                got = [await anext(speech)]
                assert await eventually(lambda: len(asked(world)) == 4)
                got += [chunk async for chunk in speech]
            assert right(b"".join(got), *SENTENCES)
            assert speech.resumed == 1
            assert in_order(world, SENTENCES)
        assert [event.sentence for event in seen.of(SpeechResumed)] == [1, 2]
        for event in seen.of(SpeechResumed):
            assert CHUNK <= event.delivered_bytes <= size(*SENTENCES[: event.sentence])


async def test_a_part_that_does_not_open() -> None:
    """Is asked for once more in all: by the client's policies, or else by resuming."""
    async with resuming() as (world, tts, _):
        world.inject("elevenlabs", SOUND)
        world.inject("elevenlabs", Fault("status", status=503))
        assert right((await tts.synthesize(TEXT, split=30)).data, *SENTENCES)
        assert len(asked(world)) == 4


async def test_the_account_where_it_cannot_go_on() -> None:
    """The caller has a byte of the broken part: to the byte what, and nothing asked again."""
    async with resuming(SLOW) as (world, tts, seen):
        world.inject("elevenlabs", SOUND)
        world.inject("elevenlabs", Fault("close", after_bytes=3 * CHUNK))
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in tts.stream_speech(TEXT, split=30):
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        error = caught.value
        audio = b"".join(got)
        assert audio == (sound(SENTENCES[0]) + sound(SENTENCES[1]))[: len(audio)]
        assert len(audio) == size(SENTENCES[0]) + 3 * CHUNK == error.delivered_bytes
        assert (error.segment, error.resumable) == (1, False)
        assert isinstance(error.__cause__, ConnectionLostError)
        assert asked(world) == SENTENCES[:2]
        assert not seen.of(SpeechResumed)


async def test_never_without_the_option() -> None:
    """The same break, without ``resume``: nothing is paid for twice."""
    async with resuming() as (world, tts, seen):
        for options in ({"resume": None}, {"resume": False}):
            world.inject("elevenlabs", SOUND)
            world.inject("elevenlabs", Fault("close", after_bytes=3000))
            with pytest.raises(StreamInterruptedError) as caught:
                await tts.synthesize(TEXT, split=30, **options)
            assert isinstance(caught.value.__cause__, ConnectionLostError)
            assert asked(world) == SENTENCES[:2]
            world.journal.clear()
        assert not seen.of(SpeechResumed)
        with pytest.raises(InvalidArgumentError):
            await tts.synthesize(TEXT)


async def test_who_spoke_before_is_told_without_what_broke() -> None:
    """Stitching goes on from the parts that came whole."""
    async with resuming() as (world, tts, _):
        world.inject("elevenlabs", SOUND)
        world.inject("elevenlabs", Fault("close", after_bytes=3000))
        clip = await tts.synthesize(TEXT, split=30)
        assert right(clip.data, *SENTENCES)
        first, broken, again, last = world.journal.requests_for("elevenlabs")
        named = [each.json().get("previous_request_ids") for each in (broken, again, last)]
        ids = [f"req_{record.id:012d}" for record in (first, again)]
        assert named == [ids[:1], ids[:1], ids]
        assert broken.body == again.body


@pytest.mark.parametrize("resume", [False, True])
async def test_one_place_is_enough(resume: bool) -> None:
    """A part, or what is asked for again, does not wait for the place of what is over."""
    policies = Policies(limit=Limit(1, max_wait=0.2))
    async with resuming(policies=policies) as (world, tts, _):
        for _ in range(2):
            if resume:
                world.inject("elevenlabs", Fault("close", after_bytes=3000, delay=READ))
            clip = await tts.synthesize(TEXT, split=30, resume=resume)
            assert right(clip.data, *SENTENCES)
        assert len(asked(world)) == (8 if resume else 6)


# -- an alignment ------------------------------------------------------------------------------


def spliced(world: Emulator) -> bytes:
    """The speech as its requests made it: each up to where the next one went on."""
    texts = asked(world)
    whole, audio = TEXT, b""
    for text, rest in zip(texts, [*texts[1:], ""], strict=True):
        assert whole.endswith(text)
        assert text.endswith(rest)
        audio += sound(text)[: size(text) - size(rest)]
    return audio


@pytest.mark.parametrize("kind", ["close", "reset"])
async def test_an_aligned_clip_is_whole_wherever_it_was_cut(kind: Any) -> None:
    """Whole sentences are kept, the rest is asked for again, and all times go on."""
    async with resuming(timestamps=True) as (world, tts, seen):
        for at in range(1, -(-size(TEXT) // CHUNK) + 1):
            world.journal.clear()
            seen.clear()
            world.inject("elevenlabs", Fault(kind, after_events=at, delay=READ))
            clip = await tts.synthesize(TEXT)
            assert clip.data == spliced(world)
            assert len(asked(world)) == 2
            assert in_order(world, SENTENCES)
            (event,) = seen.of(SpeechResumed)
            assert asked(world)[1] == "".join(SENTENCES[event.sentence :])
            ended = [n for n in range(3) if size(*SENTENCES[:n]) <= at * CHUNK]
            assert event.sentence == ended[-1]
            assert "".join(each.text for each in clip.characters) == TEXT
            assert [word.text for word in clip.words] == TEXT.split()
            for number, each in enumerate(clip.characters):
                assert each.start == pytest.approx(number * 0.06, abs=0.002)
            begins = [0, *(i + 1 for i, sign in enumerate(TEXT) if sign == " ")]
            for word, begin in zip(clip.words, begins, strict=True):
                assert word.start == pytest.approx(begin * 0.06, abs=0.002)


async def test_the_rest_knows_what_was_said() -> None:
    """For the prosody; who is told by its text is not told by ids as well."""
    async with resuming(timestamps=True) as (world, tts, _):
        world.inject("elevenlabs", Fault("close", after_events=11))
        await tts.synthesize(TEXT, previous_text="Before.", next_text="After.", seed=7)
        first, again = (each.json() for each in world.journal.requests_for("elevenlabs"))
        assert first.pop("previous_text") == "Before."
        assert again.pop("previous_text") == SENTENCES[0]
        assert again.pop("text") == first.pop("text").removeprefix(SENTENCES[0])
        assert again == first
        world.inject("elevenlabs", Fault("close", after_events=11))
        await tts.synthesize(TEXT, model="eleven_private", previous_request_ids=["x"])
        again = world.journal.requests_for("elevenlabs")[-1].json()
        assert not [name for name in again if name.startswith("previous")]


@pytest.mark.parametrize("ahead", [1, 5, 9, 10, 12, 20])
async def test_an_aligned_stream_taken_in_any_rhythm(ahead: int) -> None:
    """The caller has so many pieces when it breaks: all of it, or the exact account."""
    async with resuming(SLOW, timestamps=True) as (world, tts, seen):
        for at in range(ahead, -(-size(TEXT) // CHUNK) + 1, 3):
            world.journal.clear()
            seen.clear()
            world.inject("elevenlabs", Fault("close", after_events=at))
            got: list[Any] = []
            error = None
            stream = tts.stream_speech(TEXT)
            try:
                async with stream:
                    async for chunk in stream:
                        got.append(chunk)
                        if len(got) == ahead:
                            (record,) = world.journal.requests_for("elevenlabs")
                            assert await eventually(lambda r=record: r.finished_at)
                            await asyncio.sleep(0.1)
            except StreamInterruptedError as caught:
                error = caught
            audio = b"".join(got)
            assert stream.resumed == len(seen.of(SpeechResumed)) == len(asked(world)) - 1
            assert in_order(world, SENTENCES)
            if error is None:
                assert audio == spliced(world)
                assert "".join(c.text for chunk in got for c in chunk.characters) == TEXT
                assert [w.text for chunk in got for w in chunk.words] == TEXT.split()
            else:
                assert audio == sound(TEXT)[: len(audio)]
                assert error.delivered_bytes == len(audio) == at * CHUNK
                assert error.segment is not None
                assert size(*SENTENCES[: error.segment]) < len(audio)
                assert not error.resumable
                assert size(*SENTENCES[: error.segment]) < ahead * CHUNK, "it was the caller's"


async def test_parts_that_are_aligned() -> None:
    """Both proofs together: whole parts, and whole sentences of a part."""
    async with resuming(timestamps=True, split=50) as (world, tts, seen):
        parts = [SENTENCES[0] + SENTENCES[1], SENTENCES[2]]
        reference = await tts.synthesize(TEXT)
        assert asked(world) == parts
        world.journal.clear()
        world.inject("elevenlabs", Fault("close", after_events=11))
        world.inject("elevenlabs", SOUND)
        world.inject("elevenlabs", Fault("close", after_events=4))
        clip = await tts.synthesize(TEXT)
        assert asked(world) == [parts[0], SENTENCES[1], SENTENCES[2], SENTENCES[2]]
        assert [event.sentence for event in seen.of(SpeechResumed)] == [1, 2]
        first = size(SENTENCES[0])
        assert clip.data[:first] == reference.data[:first]
        assert right(clip.data[first:], *SENTENCES[1:])
        assert "".join(each.text for each in clip.characters) == TEXT
        assert [word.text for word in clip.words] == TEXT.split()
        assert [each.start for each in clip.characters] == pytest.approx(
            [each.start for each in reference.characters], abs=0.002
        )


async def test_a_stall_in_a_clip() -> None:
    """The gap limit ends the request that hangs, and the rest is asked for again."""
    limits = Limits(first_output=1.0, gap=0.1)
    async with resuming(timestamps=True) as (world, tts, seen):
        world.inject("elevenlabs", Fault("stall", after_events=12))
        clip = await tts.synthesize(TEXT, limits=limits)
        assert clip.data == spliced(world)
        (event,) = seen.of(SpeechResumed)
        assert event.error == "GapTimeout"


async def test_an_error_in_place_of_audio() -> None:
    """What the vendor says inside its answer breaks the request like a lost connection."""
    slow = Scenario(name="slow", speech_chunk_bytes=CHUNK, speech_real_time_factor=0.2)
    async with resuming(slow, timestamps=True) as (world, tts, seen):
        world.inject("elevenlabs", Fault("in_stream_error", after_events=10))
        clip = await tts.synthesize(TEXT)
        assert clip.data == spliced(world)
        (event,) = seen.of(SpeechResumed)
        assert (event.sentence, event.error) == (1, UnavailableError.__name__)


async def test_a_total_limit_is_not_outlived() -> None:
    """When the time is over nothing is asked again."""
    limits = Limits(first_output=1.0, total=0.2)
    async with resuming(timestamps=True) as (world, tts, seen):
        world.inject("elevenlabs", Fault("stall", after_events=12))
        with pytest.raises(StreamInterruptedError, match=r"not done within 0\.2 s"):
            await tts.synthesize(TEXT, limits=limits)
        assert len(asked(world)) == 1
        assert not seen.of(SpeechResumed)


async def test_a_provider_that_stays_down() -> None:
    """Asked once more, and then told: what came, from which sentence on it is missing."""
    async with resuming(SLOW, timestamps=True) as (world, tts, seen):
        world.inject("elevenlabs", Fault("close", after_events=12))
        world.inject("elevenlabs", Fault("close", after_events=3, delay=READ))
        with pytest.raises(StreamInterruptedError) as caught:
            await tts.synthesize(TEXT)
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert (caught.value.delivered_bytes, caught.value.segment) == (0, 0)
        assert caught.value.resumable
        assert in_order(world, SENTENCES)
        assert len(seen.of(SpeechResumed)) == 1


# -- the option --------------------------------------------------------------------------------


async def test_the_option_needs_proof_and_samples() -> None:
    """Before any I/O, naming what is wrong and what would do."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("resume", {}),
        ("resume", {"timestamps": False}),
        ("resume", {"resume": "yes", "split": True}),
        ("format", {"timestamps": True, "format": "mp3_44100_128"}),
        ("format", {"split": True, "format": "mp3_44100_128"}),
        ("format", {"timestamps": True, "format": "wav_8000"}),
        ("alignment", {"timestamps": True, "alignment": "normalized"}),
    ]
    async with speaking() as (world, tts):
        for argument, options in wrong:
            with pytest.raises(InvalidArgumentError) as caught:
                tts.stream_speech(TEXT, **{"resume": True, **options})
            assert caught.value.argument == argument
        with pytest.raises(InvalidArgumentError, match="whole text"):
            tts.open_speech(resume=True)
        assert world.journal.requests == []


async def test_a_constructor_s_option_leaves_sessions_alone() -> None:
    """It is for whole texts; and a call may take it back."""
    async with resuming(split=True) as (world, tts, _):
        async with tts.open_speech() as session:
            await session.send("Word by word.")
            await session.finish()
            assert [chunk async for chunk in session]
        assert right((await tts.synthesize(TEXT, resume=None)).data, TEXT)
        # The normalised text is no obstacle where our own split is the proof.
        clip = await tts.synthesize(TEXT, split=30, timestamps=True, alignment="normalized")
        assert right(clip.data, *SENTENCES)
        assert world.journal.requests


async def test_it_is_no_part_of_what_is_cached() -> None:
    """The audio that is asked for is the same."""
    async with speaking() as (_, tts):
        plain = tts.request(TEXT, split=30)
        assert tts.request(TEXT, split=30, resume=True).identity == plain.identity
