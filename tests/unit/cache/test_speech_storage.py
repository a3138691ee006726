"""Whatever a storage does, a speech is neither late nor broken for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from speech_voices import Broken, Reader, listened, spelled

from voicekit import AudioChunk, AudioFormat, InvalidArgumentError, SpeechCache, Word
from voicekit.cache import MemoryStorage
from voicekit.cache.encoding import decoded, encoded
from voicekit.cache.guarded import Guarded, StorageTrouble
from voicekit.cache.keys import Keys
from voicekit.events import CacheAnswered, CacheStored
from voicekit.speech.character import Character
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio

PCM = AudioFormat.parse("pcm_24000")


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def now() -> float:
    return asyncio.get_running_loop().time()


# -- trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raises", "hangs", "garbage", "closed"])
async def test_trouble_is_a_miss_and_a_record(how: str) -> None:
    """The speech is as it would be without a cache, 20 ms later at most."""
    storage, voice, seen = Broken(), Reader(wait=0.0), RecordingObserver()
    if how == "raises":
        storage.error = OSError("no route to the words")
    elif how == "hangs":
        storage.reading = storage.writing = 1e6
    elif how == "garbage":
        storage.says = b"\0garbage"
    else:
        await storage.aclose()
    tts = SpeechCache(voice, storage=storage, observers=[seen])
    began = now()
    assert await listened(tts.stream_speech("abc")) == "abc"
    assert now() - began <= 0.0201
    await asyncio.sleep(5)
    answered, stored = seen.events
    assert isinstance(answered, CacheAnswered)
    assert isinstance(stored, CacheStored)
    assert answered.reason == ("garbage" if how == "garbage" else "storage")
    assert (stored.stored, stored.reason) == (
        (True, None) if how == "garbage" else (False, "storage")
    )
    assert tts.stats().storage_failures == (0 if how == "garbage" else 2)
    assert (tts.stats().bytes is None) is (how == "raises")
    began = now()
    await tts.aclose()
    assert now() == began


async def test_one_that_keeps_failing_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """So that it delays a few calls, and then hardly any; and is found again when it is back."""
    storage = Broken()
    storage.reading = storage.writing = 1e6
    voice = Reader(wait=0.0)
    caplog.set_level(logging.WARNING)
    tts = SpeechCache(voice, storage=storage)
    tts._answers.storage._clock = now
    waited = []
    for number in range(50):
        began = now()
        await tts.synthesize(f"phrase {number}")
        waited.append(now() - began)
    assert sum(each > 0 for each in waited) <= 3
    assert storage.reads <= 3
    assert len([each for each in caplog.records if "keeps failing" in each.message]) == 1
    storage.reading = storage.writing = 0.0
    await asyncio.sleep(40)
    await tts.synthesize("now")
    await asyncio.sleep(0.1)
    assert (await tts.synthesize("now")).cache == "hit"
    await tts.aclose()


async def test_a_slow_storage_makes_nothing_twice() -> None:
    """Who looked while it was being made and stored gets that, though his look said no."""
    storage = Broken()
    storage.reading = 0.018
    voice = Reader(wait=0.0)
    async with SpeechCache(voice, storage=storage) as tts:

        async def after(seconds: float) -> str:
            await asyncio.sleep(seconds)
            return await listened(tts.stream_speech("abc"))

        assert await asyncio.gather(*(after(n / 1000) for n in range(60))) == ["abc"] * 60
        await asyncio.sleep(1)
        assert len(tts._answers._flights) == 0
    assert voice.asked == ["abc"]


async def test_the_rest_grows_while_it_fails_and_ends_when_it_does_not() -> None:
    """One at a time tries; the others go on without."""
    storage = Broken()
    storage.error = OSError()
    clock = [0.0]
    guarded = Guarded(storage, clock=lambda: clock[0])

    async def refused() -> bool:
        before = storage.reads
        with pytest.raises(StorageTrouble):
            await guarded.get("a")
        return storage.reads == before

    assert [await refused() for _ in range(4)] == [False, False, False, True]
    rests = []
    for _ in range(7):
        rested = 0.0
        while await refused():
            clock[0] += 0.5
            rested += 0.5
        rests.append(rested)
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    clock[0] += 31
    storage.error = None
    assert await guarded.get("a") is None
    assert not guarded.resting


async def test_closing_waits_until_what_was_made_is_stored() -> None:
    """As long as a write may take, and no longer."""
    storage, voice = Broken(), Reader(wait=0.0)
    storage.writing = 0.5
    async with SpeechCache(voice, storage=storage) as tts:
        await tts.synthesize("abc")
        began = now()
    assert now() - began == pytest.approx(0.5)
    assert storage.stats().entries == 1
    storage.writing = 1e6
    async with SpeechCache(voice, storage=storage) as tts:
        await tts.synthesize("xyz")
        began = now()
    assert now() - began == pytest.approx(2.0)


async def test_cancelling_while_it_is_looked_up_leaves_nothing() -> None:
    """Nobody was asked, nothing is under way."""
    storage = Broken()
    storage.reading = 0.01
    voice = Reader()
    async with SpeechCache(voice, storage=storage) as tts:
        task = asyncio.create_task(listened(tts.stream_speech("abc")))
        await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        assert not tts._answers._flights._looking
        assert len(tts._answers._flights) == 0
    assert voice.asked == []


# -- encoding -------------------------------------------------------------------------------


def chunks() -> list[AudioChunk]:
    word = Word(text="héllo", start=0.0, end=0.5, confidence=0.9, speaker="A", punctuated="Héllo,")
    sign = Character(text="h", start=0.0, end=0.1)
    return [
        AudioChunk(b"", PCM, (), (sign,)),
        AudioChunk(b"abcd", PCM, (word,)),
        AudioChunk(b"ef", PCM),
        AudioChunk(b"", PCM, (Word(text="x", start=1.0, end=2.0),)),
    ]


def test_an_entry_is_read_as_it_was_written() -> None:
    """Chunk by chunk; what has no audio goes with what is beside it."""
    stored = decoded(encoded(chunks(), PCM, member="spare"))
    assert stored is not None
    assert (stored.format, stored.member, stored.size, stored.chunks) == (PCM, "spare", 6, 2)
    played = stored.play(0, 2)
    assert played == [b"abcd", b"ef"]
    assert [word.text for word in played[0].words] == ["héllo"]
    assert played[0].words == chunks()[1].words
    assert played[0].characters == chunks()[0].characters
    assert [word.text for word in played[1].words] == ["x"]
    assert "llo" not in repr(stored)


@pytest.mark.parametrize("cut", range(0, 150, 7))
def test_a_part_of_an_entry_is_none(cut: int) -> None:
    """Nor is one with a bit turned taken for another, where it shows."""
    data = encoded(chunks(), PCM)
    assert decoded(data[: len(data) - 1 - cut]) is None
    assert decoded(data + b"x") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"vks1", b"vks2"),
        (b"pcm_24000", b"pcm_2400x"),
        (b"[4,2]", b"[3,3]"),
        (b"[4,2]", b"[6,0]"),
        (b"[4,2]", b'"4,2"'),
        (b"[4,2]", b"[{},]"),
        (b'"words":[[0', b'"words":[[-'),
        (b'"words":[[0', b'"words":[{0'),
        (b"0.9", b"NaN"),
        (b"0.9", b"9e9"[:3]),
        (b'"A"', b"[1]"),
    ],
)
def test_garbage_is_none(old: bytes, new: bytes) -> None:
    """And raises nothing, whoever wrote it."""
    data = encoded(chunks(), PCM)
    assert old in data
    assert len(old) == len(new)
    changed = data.replace(old, new, 1)
    stored = decoded(changed)
    assert stored is None or new == b"9e9"


async def test_an_entry_of_another_format_is_a_miss() -> None:
    """Whoever wrote it under this key."""
    storage = Broken()
    storage.says = encoded([AudioChunk(b"ab", PCM)], AudioFormat.parse("pcm_16000"))
    async with SpeechCache(Reader(), storage=storage) as tts:
        clip = await tts.synthesize("abc")
    assert (clip.cache, spelled(clip.data)) == (None, "abc")


# -- keys -----------------------------------------------------------------------------------


def test_keys_cannot_be_guessed_and_do_not_collide() -> None:
    """They depend on a secret, the namespace, and where a part ends."""
    keys = Keys("speech", "secret")
    assert keys.of("a", "b") == Keys("speech", b"secret").of("a", "b")
    others = [
        keys.of("ab"),
        keys.of("a", "b"),
        keys.of("", "ab"),
        keys.of("1:a", "b"),
        keys.of("\ud800"),
        Keys("speech", "other").of("ab"),
        Keys("speech", "s" * 65).of("ab"),
        Keys("speech", "s" * 66).of("ab"),
        Keys("answer", "secret").of("ab"),
        Keys("speech").of("ab"),
        Keys("speech", storage=MemoryStorage()).of("ab"),
    ]
    assert len(set(others)) == len(others)
    storage = MemoryStorage()
    assert Keys("x", storage=storage).of("a") == Keys("x", storage=storage).of("a")
    assert all(key.startswith(("speech:", "answer:")) for key in others)
    assert "secret" not in repr(keys)
    with pytest.raises(InvalidArgumentError, match="secret"):
        Keys("speech", 5)  # type: ignore[arg-type]


async def test_processes_that_share_a_secret_find_what_each_other_kept() -> None:
    """And nobody else does, whatever the storage."""
    kept = MemoryStorage(secret="one")
    voice = Reader()
    for secret, cache in [("mine", None), ("mine", "hit"), ("yours", None), (None, None)]:
        async with SpeechCache(voice, storage=kept, secret=secret) as tts:
            assert (await tts.synthesize("abc")).cache == cache
