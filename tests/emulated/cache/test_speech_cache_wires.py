"""A speech cache over real wires: what the servers saw is what was paid for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "resilience"))
from two_worlds import INSTANT, OTHER_VOICE, PACED, RATE, VOICE, heard, right, spoken, two_providers

from settling import call_tasks, eventually
from voicekit import (
    DeepgramClient,
    ElevenLabsClient,
    Limits,
    MemoryStorage,
    SpeechCache,
    StreamInterruptedError,
    VoicekitError,
    fallback,
)
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.resilience.policies import Policies
from voicekit.resilience.retry import Retry
from voicekit.testing.conformance import SYNTHESIZER_CHECKS

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "A text that is longer than the fifty characters of the first piece. "
SLOW = replace(PACED, speech_real_time_factor=0.2)


@asynccontextmanager
async def cached(
    scenario: Scenario = INSTANT, **options: Any
) -> AsyncIterator[tuple[Emulator, SpeechCache]]:
    """ElevenLabs behind a cache; nothing is left under way."""
    async with Emulator(providers=("elevenlabs",), scenario=scenario) as world:
        client = ElevenLabsClient(
            "key-eleven",
            voice=VOICE,
            format=f"pcm_{RATE}",
            base_url=world.elevenlabs.url,
            **options,
        )
        async with SpeechCache(client) as tts:
            yield world, tts
        assert await eventually(lambda: not call_tasks())


async def stored(tts: SpeechCache, count: int = 1) -> bool:
    """Whether so many are kept, and nothing is being made."""
    return await eventually(lambda: tts.stats().stored == count and not len(tts._answers._flights))


def outcomes(world: Emulator, provider: str = "elevenlabs") -> list[str | None]:
    return [each.outcome for each in spoken(world, provider)]


async def test_it_is_asked_for_once() -> None:
    """Streamed or whole, by a hundred at once or one after the other."""
    async with cached() as (world, tts):
        everything = await asyncio.gather(*(heard(tts.stream_speech(TEXT)) for _ in range(100)))
        assert right(everything[0], TEXT)
        assert set(everything) == {everything[0]}
        assert await stored(tts)
        clip = await tts.synthesize(TEXT)
        assert (clip.cache, clip.data) == ("hit", everything[0])
        assert len(spoken(world, "elevenlabs")) == 1
        assert tts.stats().characters_saved == 100 * len(TEXT)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500),
        Fault("status", status=429),
        Fault("html"),
        Fault("empty"),
        Fault("reset"),
        Fault("stall"),
        Fault("reset", after_bytes=4000),
        Fault("close", after_bytes=4000),
        Fault("stall", after_bytes=4000),
    ],
    ids=lambda each: f"{each.kind}{each.status or ''}{each.after_bytes or ''}",
)
async def test_what_went_wrong_is_never_played_again(fault: Fault) -> None:
    """Five callers share the failure; the sixth gets all of it, and only that is kept."""
    limits = {"stream_speech": Limits(connect=2.0, first_output=1.0, gap=1.0)}
    none = Policies(retry=None, breaker=None, limit=None)
    async with cached(limits=limits, policies=none) as (world, tts):
        world.inject("elevenlabs", fault)
        got = await asyncio.gather(
            *(heard(tts.stream_speech(TEXT)) for _ in range(5)), return_exceptions=True
        )
        assert len({type(each) for each in got}) == 1
        assert isinstance(got[0], VoicekitError)
        assert isinstance(got[0], StreamInterruptedError) is bool(fault.after_bytes)
        assert tts.stats().stored == 0
        assert right(await heard(tts.stream_speech(TEXT)), TEXT)
        assert await stored(tts)
        assert right(await heard(tts.stream_speech(TEXT)), TEXT)
        assert len(spoken(world, "elevenlabs")) == 2


async def test_a_barge_in_reaches_the_server_and_keeps_nothing() -> None:
    """As it does without a cache; the next turn has its audio whole."""
    async with cached(SLOW) as (world, tts):
        async with tts.stream_speech(TEXT) as speech:
            await anext(speech)
            await speech.cancel()
        assert speech.cancelled
        assert await eventually(lambda: outcomes(world) == ["aborted"])
        assert tts.stats().stored == 0
        assert right(await heard(tts.stream_speech("Next.")), "Next.")


async def test_one_who_leaves_ends_nothing_for_the_others() -> None:
    """Nor does the one for whom it was asked, cancelled in the middle of it."""
    async with cached(SLOW) as (world, tts):
        leader = asyncio.create_task(heard(tts.stream_speech(TEXT)))
        async with tts.stream_speech(TEXT) as follower:
            await anext(follower)
            leader.cancel()
            rest = await heard(follower)
        assert len(rest) > 0
        assert await stored(tts)
        assert outcomes(world) == ["complete"]
        assert right(await heard(tts.stream_speech(TEXT)), TEXT)


async def test_words_and_characters_are_kept() -> None:
    """Asked for without them, it is another speech."""
    async with cached() as (world, tts):
        made = await tts.synthesize(TEXT, timestamps=True)
        assert await stored(tts)
        kept = await tts.synthesize(TEXT, timestamps=True)
        assert (kept.cache, kept.data) == ("hit", made.data)
        assert kept.words == made.words != ()
        assert kept.characters == made.characters != ()
        assert (await tts.synthesize(TEXT)).words == ()
        assert len(spoken(world, "elevenlabs")) == 2


async def test_what_was_resumed_is_played_and_not_kept() -> None:
    """The seam would be heard each time."""
    sentences = "The first is here. A second one is longer. And that is the third one."
    policies = Policies(retry=Retry(budget=None))
    async with cached(policies=policies) as (world, tts):
        how = {"resume": True, "split": 25}
        world.inject("elevenlabs", Fault("close", after_bytes=2000))
        clip = await tts.synthesize(sentences, **how)
        assert clip.resumed == 1
        assert await stored(tts, 0)
        assert tts.stats().unstored == 1
        again = await tts.synthesize(sentences, **how)
        assert again.resumed == 0
        assert await stored(tts)
        assert (await tts.synthesize(sentences, **how)).data == again.data


async def test_parts_of_a_long_text_are_one_entry() -> None:
    """And its evidence is that of nobody having been asked."""
    text = "One sentence of it. " * 20
    async with cached() as (world, tts):
        made, joined = await asyncio.gather(*(tts.synthesize(text, split=100) for _ in range(2)))
        assert (joined.cache, joined.data, joined.usage) == ("joined", made.data, None)
        count = len(spoken(world, "elevenlabs"))
        assert count > 1
        assert await stored(tts)
        kept = await tts.synthesize(text, split=100)
        assert (kept.cache, kept.data, kept.usage, kept.attempts) == ("hit", made.data, None, 0)
        assert made.usage is not None
        assert made.usage.characters == len(text.strip()) or made.usage.characters == len(text)
        assert len(spoken(world, "elevenlabs")) == count


async def test_one_members_voice_is_never_anothers() -> None:
    """What Aura said while ElevenLabs was down is Aura's, and sounds so."""
    storage = MemoryStorage()
    async with two_providers(timeout=1.0) as (world, tts):
        both = SpeechCache(tts, storage=storage, close=False)
        world.inject("elevenlabs", Fault("status", status=500, times=None))
        pcm = f"pcm_{RATE}"
        first = both.stream_speech(TEXT, format=pcm)
        assert right(await heard(first), TEXT, voice=OTHER_VOICE)
        assert await stored(both)
        again = both.stream_speech(TEXT, format=pcm)
        assert right(await heard(again), TEXT, voice=OTHER_VOICE)
        assert (first.member, again.member, again.cache) == ("deepgram", "deepgram", "hit")
        await both.aclose()
        assert len(spoken(world, "deepgram")) == 1
    async with two_providers(timeout=1.0) as (world, tts):
        alone = ElevenLabsClient("key-eleven", voice=VOICE, base_url=world.elevenlabs.url)
        own = SpeechCache(alone, storage=storage)
        assert right((await own.synthesize(TEXT, format=pcm)).data, TEXT)
        await own.aclose()


async def test_text_that_is_being_written_goes_over_a_socket_as_ever() -> None:
    """And sessions are the inner's."""

    async def words() -> AsyncIterator[str]:
        for word in TEXT.split(" "):
            yield word + " "

    async with cached() as (_, tts):
        for _ in range(2):
            async with tts.stream_speech(words()) as speech:
                assert await heard(speech)
        async with tts.open_speech() as utterance:  # type: ignore[attr-defined]
            await utterance.send(TEXT)
            await utterance.finish()
            assert await heard(utterance)
        assert tts.stats().bypasses == 3
        assert tts.stats().stored == 0


async def test_preloaded_phrases_are_free() -> None:
    """Journal and report agree."""
    phrases = ["One moment.", "I did not get that.", "Goodbye."]
    async with cached() as (world, tts):
        report = await tts.preload(phrases)
        assert (report.made, report.failures) == (3, ())
        for phrase in phrases:
            assert right((await tts.synthesize(phrase)).data, phrase)
        assert (await tts.preload(phrases)).present == 3
        assert len(spoken(world, "elevenlabs")) == 3


async def test_a_warm_cache_speaks_without_its_provider() -> None:
    """What is there is there, whatever has become of the other side."""
    async with cached() as (world, tts):
        await tts.preload([TEXT])
        world.inject("elevenlabs", Fault("status", status=401, times=None))
        assert right(await heard(tts.stream_speech(TEXT)), TEXT)
        with pytest.raises(VoicekitError):
            await tts.synthesize("Another.")


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(scenario=replace(PACED, speech_real_time_factor=0.02)) as world:
        yield world


def elevenlabs(world: Emulator) -> Any:
    return ElevenLabsClient("key-eleven", voice=VOICE, base_url=world.elevenlabs.url)


def deepgram(world: Emulator) -> Any:
    client = DeepgramClient(
        "key-deepgram", base_url=world.deepgram.url, speech={"model": OTHER_VOICE}
    )
    return client.as_synthesizer()


MAKERS: list[Callable[[Emulator], Any]] = [
    elevenlabs,
    lambda world: fallback(deepgram(world), elevenlabs(world)),
]


def name(value: Any) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
@pytest.mark.parametrize("make", MAKERS, ids=name)
async def test_it_keeps_every_promise_of_what_it_wraps(
    make: Any, check: Any, world: Emulator
) -> None:
    """The conformance kit of synthesizers, with a cache that knows nothing."""
    await check(lambda: SpeechCache(make(world)))


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
async def test_so_does_one_that_knows_everything(check: Any, world: Emulator) -> None:
    """The kit again, over the storage that the first run has filled."""
    storage = MemoryStorage()
    for _ in range(2):
        await check(lambda: SpeechCache(elevenlabs(world), storage=storage))
