"""What will be said is there before somebody asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from speech_voices import Broken, Reader, failing_after

from voicekit import ClosedError, ConnectionLostError, InvalidArgumentError, SpeechCache
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


async def test_each_different_phrase_is_made_once() -> None:
    """And none that is there; afterwards all of them are."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        report = await tts.preload(["ab", "cd", "ab", "ef"])
        assert [(each.index, each.outcome) for each in report.phrases] == [
            (0, "made"),
            (1, "made"),
            (3, "made"),
        ]
        assert (report.made, report.present, report.failures) == (3, 0, ())
        assert report.characters_made == 6
        again = await tts.preload(["ef", tts.request("gh")])
        assert [each.outcome for each in again.phrases] == ["present", "made"]
        assert (await tts.synthesize("gh")).cache == "hit"
        assert tts.stats().hits == 1, "what was only looked for saved no call"
    assert sorted(voice.asked) == ["ab", "cd", "ef", "gh"]
    assert "ab" not in repr(report)


async def test_no_more_at_a_time_than_allowed() -> None:
    """Six of one second each, two at a time."""
    voice = Reader("reader", *[1.0] * 6, wait=0.0)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, voice.running)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    async with SpeechCache(voice) as tts:
        began = asyncio.get_running_loop().time()
        await tts.preload([f"phrase {n}" for n in range(6)], concurrency=2)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)
    watching.cancel()
    assert most == 2


async def test_one_that_fails_is_told_and_the_others_go_on() -> None:
    """So is one that cannot be kept, which was paid for all the same."""
    voice = Reader("reader", failing_after(1, ConnectionLostError("gone")))
    storage = Broken()
    async with SpeechCache(voice, storage=storage) as tts:
        report = await tts.preload(["ab", "cd"], concurrency=1)
        assert [each.outcome for each in report.phrases] == ["failed", "made"]
        assert isinstance(report.failures[0].error.__cause__, ConnectionLostError)  # type: ignore[union-attr]
        assert report.characters_made == 2
        storage.writing = 1e6
        report = await tts.preload(["xy"])
        assert [each.outcome for each in report.phrases] == ["unstored"]
        assert report.characters_made == 2


async def test_what_is_refused_is_refused_before_anything_is_asked_for() -> None:
    """And options are of texts, not of finished requests."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        with pytest.raises(InvalidArgumentError):
            await tts.preload(["ab", ""])
        with pytest.raises(InvalidArgumentError, match="concurrency"):
            await tts.preload(["ab"], concurrency=0)
        assert voice.asked == []
        await tts.preload(["ab", tts.request("ab", voice="loud")], voice="loud")
        assert voice.asked == ["ab"]
        assert (await tts.preload([])).phrases == ()
    with pytest.raises(ClosedError):
        await tts.preload(["ab"])


async def test_cancelling_it_ends_what_is_under_way() -> None:
    """What is there stays there."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        task = asyncio.create_task(tts.preload(["ab", "cdefghij", "x" * 50], concurrency=2))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(0.01)
        assert voice.running == 0
        assert (await tts.synthesize("ab")).cache == "hit"
