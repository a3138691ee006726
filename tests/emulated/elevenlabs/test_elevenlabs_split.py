"""Long texts in parts: one speech without a seam, and an exact account where it breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from speaking import RATE, VOICE, heard, right, speaking

from settling import call_tasks, eventually
from voicekit.clients.elevenlabs import Concurrency
from voicekit.deadlines import deadline
from voicekit.emulator import Fault, Scenario
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    GapTimeout,
    InvalidArgumentError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

PARTS = ["The first thing is here. ", "The second one costs $3.14. ", "And that is Mr. Third."]
TEXT = "".join(PARTS)
STREAM = "speech.stream"


async def test_one_speech_of_several_requests() -> None:
    """Parts end with sentences, the samples join without a seam, and nothing is lost."""
    async with speaking() as (world, tts):
        clip = await tts.synthesize(TEXT, split=30)
        assert right(clip.data, *PARTS)
        assert clip.usage is not None
        assert clip.usage.characters == len(TEXT)
        records = world.journal.requests_for("elevenlabs", STREAM)
        assert [record.json()["text"] for record in records] == PARTS
        assert clip.request_id == f"req_{records[-1].id:012d}"
        assert clip.connection is not None
        assert Concurrency.of(clip) == Concurrency(current=1, maximum=100)
        assert len(world.connections("elevenlabs")) == 1, "one after the other, over one connection"


async def test_each_part_knows_its_neighbours() -> None:
    """What was said before, what comes next, and which requests spoke it."""
    async with speaking() as (world, tts):
        await tts.synthesize(
            TEXT, split=30, previous_text="Before.", next_text="After.", previous_request_ids=["x"]
        )
        records = world.journal.requests_for("elevenlabs", STREAM)
        ids = [f"req_{record.id:012d}" for record in records]
        told = [
            {
                name: value
                for name, value in record.json().items()
                if name.startswith(("pre", "nex"))
            }
            for record in records
        ]
        assert told == [
            {"previous_text": "Before.", "previous_request_ids": ["x"], "next_text": PARTS[1]},
            {
                "previous_text": PARTS[0],
                "next_text": PARTS[2],
                "previous_request_ids": [ids[0]],
            },
            {"previous_text": PARTS[1], "next_text": "After.", "previous_request_ids": ids[:2]},
        ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "eleven_v3"}, set()),
        ({"model": "eleven_v4"}, set()),
        ({"model": "eleven_private"}, set()),
        ({"enable_logging": False}, {"previous_text", "next_text"}),
        (
            {"extra_body": {"previous_request_ids": []}},
            {"previous_text", "next_text", "previous_request_ids"},
        ),
    ],
)
async def test_what_a_model_does_not_take_is_not_told(
    options: dict[str, Any], told: set[str]
) -> None:
    """No stitching for v3 and for models of which it is unknown; no ids where nothing is kept."""
    async with speaking() as (world, tts):
        clip = await tts.synthesize(TEXT, split=30, **options)
        assert right(clip.data, *PARTS)
        second = world.journal.requests_for("elevenlabs", STREAM)[1].json()
        assert {name for name in second if name.startswith(("previous", "next"))} == told
        if "extra_body" in options:
            assert second["previous_request_ids"] == []


async def test_a_text_beyond_the_limit() -> None:
    """``split=True`` speaks it in as few parts as its sentences allow; without it is refused."""
    sentence = "A sentence of forty-eight characters, more or less. "
    text = sentence * 110
    async with speaking() as (world, tts):
        with pytest.raises(InvalidArgumentError, match="split=True") as caught:
            await tts.synthesize(text, model="eleven_v3")
        assert caught.value.argument == "text"
        clip = await tts.synthesize(text, model="eleven_v3", split=True, format="mulaw_8000")
        assert clip.duration == pytest.approx(len(text) * 0.06)
        sizes = [len(r.json()["text"]) for r in world.journal.requests_for("elevenlabs", STREAM)]
        assert sizes == [len(sentence) * 96, len(sentence) * 14]
        await tts.synthesize("Short enough.", split=True)
        assert len(world.journal.requests) == 3


async def test_words_go_on_through_all_parts() -> None:
    """Times count from the start of the whole speech."""
    async with speaking() as (_, tts):
        clip = await tts.synthesize(TEXT, split=30, timestamps=True)
        assert right(clip.data, *PARTS)
        assert [word.text for word in clip.words] == TEXT.split()
        assert "".join(each.text for each in clip.characters) == TEXT
        for number, each in enumerate(clip.characters):
            assert each.start == pytest.approx(number * 0.06, abs=0.002)


async def test_the_next_part_is_asked_for_while_this_one_plays() -> None:
    """As soon as one has come in full, whoever is slow to take it; but only one ahead."""
    limits = {"stream_speech": Limits(first_output=5.0, gap=0.5)}
    async with speaking(limits=limits) as (world, tts):
        async with tts.stream_speech(TEXT, split=30) as speech:
            got = [await anext(speech)]
            asked = lambda: world.journal.requests_for("elevenlabs", STREAM)  # noqa: E731
            assert await eventually(lambda: len(asked()) == 3)
            got += [chunk async for chunk in speech]
        assert right(b"".join(got), *PARTS)


async def test_reading_ahead_is_bounded() -> None:
    """A consumer that does not take leaves the rest at the vendor: 20 s of audio wait."""
    long = "A sentence that is said again and again. " * 40
    async with speaking() as (world, tts):
        async with tts.stream_speech(long, split=800, format="pcm_48000") as speech:
            got = [await anext(speech)]
            await asyncio.sleep(0.3)
            held = sum(map(len, speech._opened.response._items))  # type: ignore[union-attr]
            assert held <= 96_000 * 23
            assert len(world.journal.requests_for("elevenlabs", STREAM)) == 1
            got += [chunk async for chunk in speech]
        assert len(b"".join(got)) == round(len(long) * 0.06 * 96_000)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", status=503), UnavailableError),
        (Fault("reset"), ConnectionLostError),
        (Fault("close", after_bytes=2000), ConnectionLostError),
        (Fault("stall", after_bytes=2000), GapTimeout),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
async def test_a_later_part_breaks(fault: Fault, kind: type[Exception]) -> None:
    """The parts before it were delivered whole; the account says to the byte how much."""
    limits = {"stream_speech": Limits(first_output=5.0, gap=1.0)}
    async with speaking(
        Scenario(name="one", speech_chunk_bytes=100_000), limits=limits, policies=NO_POLICIES
    ) as (
        world,
        tts,
    ):
        first = len(PARTS[0]) * 0.06 * 2 * RATE
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in tts.stream_speech(TEXT, split=30):
                if not got:
                    world.inject("elevenlabs", fault)
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        error = caught.value
        assert isinstance(error.__cause__, kind)
        audio = b"".join(got)
        assert error.delivered_bytes == len(audio) >= first
        assert error.delivered_s == len(audio) / 2 / RATE
        assert (error.provider, error.operation) == ("elevenlabs", "stream_speech")
        world.clear_faults()
        assert right((await tts.synthesize(TEXT, split=30)).data, *PARTS)
        assert await eventually(lambda: not call_tasks())


async def test_the_first_part_fails_as_any_request() -> None:
    """Before any audio the error is the vendor's own."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", Fault("status", status=503))
        with pytest.raises(UnavailableError):
            await tts.synthesize(TEXT, split=30)
        assert len(world.journal.requests) == 1


async def test_all_parts_share_one_total() -> None:
    """The limit of the whole synthesis, and the ambient deadline, count through all of them."""
    slow = Scenario(name="slow", speech_first_audio=0.15)
    async with speaking(slow) as (_, tts):
        with pytest.raises(StreamInterruptedError) as caught:
            await tts.synthesize(TEXT, split=30, limits=Limits(first_output=1.0, total=0.35))
        assert isinstance(caught.value.__cause__, TotalTimeout)
        with pytest.raises(StreamInterruptedError) as caught, deadline(0.35):
            await heard(tts.stream_speech(TEXT, split=30))
        assert isinstance(caught.value.__cause__, TotalTimeout)
        assert await eventually(lambda: not call_tasks())


async def test_leaving_early_frees_everything() -> None:
    """Cancelled, closed, or its client closed: no request goes on, no task is left."""
    slow = Scenario(name="slow", speech_chunk_bytes=500, speech_real_time_factor=1.0)
    async with speaking(slow) as (world, tts):
        async with tts.stream_speech(TEXT, split=30) as speech:
            await anext(speech)
        assert await eventually(lambda: not call_tasks())
        cancelled = await tts.stream_speech(TEXT, split=30)
        reading = asyncio.create_task(heard(cancelled))
        await asyncio.sleep(0.05)
        await cancelled.cancel()
        await reading
        assert cancelled.cancelled
        assert await eventually(lambda: not call_tasks())
        late = await tts.stream_speech(TEXT, split=30)
        await tts.aclose()
        with pytest.raises((StreamInterruptedError, ClosedError)):
            await heard(late)
        await late.aclose()
        assert await eventually(
            lambda: all(r.finished_at for r in world.journal.requests_for("elevenlabs", STREAM))
        )
        assert await eventually(lambda: not call_tasks())


@pytest.mark.parametrize("name", ["mp3_44100_128", "ogg_opus", "wav_24000"])
async def test_what_cannot_be_joined_is_refused(name: str) -> None:
    """Containers begin and end: two of them in a row are no file."""
    async with speaking() as (world, tts):
        with pytest.raises(InvalidArgumentError, match="joined") as caught:
            tts.request(TEXT, split=True, format=name)
        assert caught.value.argument == "format"
        assert world.journal.requests == []


async def test_three_tasks() -> None:
    """Entered, iterated and closed in different tasks: the same result."""
    async with speaking() as (_, tts):
        speech = tts.stream_speech(TEXT, split=30)
        await asyncio.create_task(speech.__aenter__())
        audio = await asyncio.create_task(heard(speech))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(audio, *PARTS)


async def test_the_voice_is_required() -> None:
    """As for any request, before any I/O."""
    async with speaking(voice=None) as (_, tts):
        with pytest.raises(InvalidArgumentError) as caught:
            tts.stream_speech(TEXT, split=30)
        assert caught.value.argument == "voice"
        assert right((await tts.synthesize(TEXT, split=30, voice=VOICE)).data, *PARTS)
