"""What was said once is said again for nothing, and never otherwise than it was said."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from typing import Any

import pytest
from speech_voices import (
    PCM,
    Broken,
    Reader,
    Talker,
    failing_after,
    listened,
    spelled,
)

from voicekit import (
    AudioChunk,
    ClosedError,
    ConnectionLostError,
    InvalidArgumentError,
    SpeechCache,
    SpeechSessions,
    StreamInterruptedError,
    Synthesizer,
    TotalTimeout,
    UnavailableError,
    deadline,
    fallback,
)
from voicekit.cache import MemoryStorage
from voicekit.events import CacheAnswered, CacheStored
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def now() -> float:
    return asyncio.get_running_loop().time()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# -- the three answers ----------------------------------------------------------------------


async def test_what_was_made_is_played_again_for_nothing() -> None:
    """The same chunks, at once, with evidence that nobody was asked."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        first = tts.stream_speech("abc")
        assert await listened(first) == "abc"
        assert (first.cache, first.attempts) == (None, 1)
        await settled()
        began = now()
        again = tts.stream_speech("abc")
        assert await listened(again) == "abc"
        assert now() == began
        assert (again.cache, again.attempts, again.connection) == ("hit", 0, None)
        assert again.usage is None
        assert again.request_id is None
        assert again.timings.first_output is not None
        assert again.delivered_bytes == first.delivered_bytes
        clip = await tts.synthesize("abc")
        assert (clip.cache, clip.attempts, spelled(clip.data)) == ("hit", 0, "abc")
    assert voice.asked == ["abc"]


async def test_who_comes_meanwhile_joins() -> None:
    """From the beginning, not later than the first from then on, and unpaid."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        first = asyncio.create_task(listened(tts.stream_speech("abcde")))
        await asyncio.sleep(0.25)
        began = now()
        late = tts.stream_speech("abcde")
        async with late:
            assert now() == began
            assert spelled(b"".join([await anext(late) for _ in range(3)])) == "abc"
            assert now() == began
            assert (late.cache, late.attempts) == ("joined", 0)
            whole = asyncio.create_task(tts.synthesize("abcde"))
            assert spelled(b"".join([chunk async for chunk in late])) == "de"
        ended = now()
        assert await first == "abcde"
        assert (await whole).cache == "joined"
        assert now() == ended
        assert tts.stats().calls_saved == 2
        assert tts.stats().characters_saved == 10
    assert voice.asked == ["abcde"]


async def test_two_hundred_callers_are_one_call() -> None:
    """On a cold key, with whoever comes first."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        said = await asyncio.gather(*(listened(tts.stream_speech("abc")) for _ in range(200)))
        assert said == ["abc"] * 200
    assert voice.asked == ["abc"]


async def test_a_stampede_on_what_fails_is_one_call() -> None:
    """All of them get the error; the next one tries anew."""
    voice = Reader("reader", failing_after(0, UnavailableError("no")))
    async with SpeechCache(voice) as tts:
        results = await asyncio.gather(
            *(listened(tts.stream_speech("abc")) for _ in range(200)), return_exceptions=True
        )
        assert {type(each) for each in results} == {UnavailableError}
        assert voice.asked == ["abc"]
        assert await listened(tts.stream_speech("abc")) == "abc"


async def test_the_one_that_had_it_made_may_leave() -> None:
    """While it opens or listens, by barge-in or cancelled; it is stored all the same."""
    voice = Reader("reader", 1.0)
    async with SpeechCache(voice) as tts:
        leader = asyncio.create_task(listened(tts.stream_speech("abc")))
        await asyncio.sleep(0.5)
        follower = asyncio.create_task(listened(tts.stream_speech("abc")))
        await asyncio.sleep(0)
        leader.cancel()
        assert await follower == "abc"
        await settled()
        assert tts.stats().stored == 1
        other = tts.stream_speech("xyz")
        async with other:
            await anext(other)
            follower = asyncio.create_task(listened(tts.stream_speech("xyz")))
            await settled()
            await other.cancel()
        assert other.cancelled
        assert await follower == "xyz"
    assert voice.asked == ["abc", "xyz"]


async def test_when_the_last_leaves_nothing_goes_on_and_nothing_is_kept() -> None:
    """Whoever asks then has it made anew."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        speech = tts.stream_speech("abc")
        async with speech:
            await anext(speech)
            await speech.cancel()
        await settled()
        assert voice.running == 0
        assert tts.stats().stored == 0
        assert await listened(tts.stream_speech("abc")) == "abc"
    assert voice.asked == ["abc", "abc"]


async def test_a_callers_deadline_is_its_own() -> None:
    """It reaches neither what is made for others nor a storage's time."""
    storage = Broken()
    storage.reading = 0.015
    voice = Reader("reader", 1.0)
    async with SpeechCache(voice, storage=storage) as tts:

        async def hurried(seconds: float) -> None:
            with deadline(seconds):
                await tts.synthesize("abc" if seconds > 0.1 else "xyz")

        leader = asyncio.create_task(hurried(0.5))
        await asyncio.sleep(0.1)
        follower = asyncio.create_task(listened(tts.stream_speech("abc")))
        with pytest.raises(TotalTimeout):
            await leader
        assert await follower == "abc"
        with pytest.raises(TotalTimeout):
            await hurried(0.01)


# -- what is kept ---------------------------------------------------------------------------


async def test_what_broke_off_is_not_kept() -> None:
    """Each who listened is told what he was given; the next caller gets all of it."""
    voice = Reader("reader", failing_after(2, ConnectionLostError("gone")))
    async with SpeechCache(voice) as tts:
        speeches = [tts.stream_speech("abc") for _ in range(2)]
        for_each: list[list[str]] = [[], []]
        results = await asyncio.gather(*map(listened, speeches, for_each), return_exceptions=True)
        for error, said in zip(results, for_each, strict=True):
            assert isinstance(error, StreamInterruptedError)
            assert said == ["a", "b"]
            assert (error.delivered_bytes, error.segment, error.resumable) == (960, 0, False)
        assert await listened(tts.stream_speech("abc")) == "abc"
        assert tts.stats().stored == 1


@pytest.mark.parametrize("why", ["resumed", "size", "ttl", "ValueError"])
async def test_what_is_not_to_be_kept_says_why(why: str) -> None:
    """It is played all the same, and made again for the next."""
    voice, seen = Reader(), RecordingObserver()
    voice.resumed = int(why == "resumed")

    def ttl(_request: Any, clip: Any) -> float | None:
        assert spelled(clip.data) == "abc"
        if why == "ValueError":
            raise ValueError
        return None if why == "ttl" else 60.0

    most = 1000 if why == "size" else 1 << 20
    async with SpeechCache(voice, ttl=ttl, most_item=most, observers=[seen]) as tts:
        for _ in range(2):
            assert await listened(tts.stream_speech("abc")) == "abc"
            await settled()
        assert tts.stats().unstored == 2
    assert voice.asked == ["abc", "abc"]
    told = [each.reason for each in seen.events if isinstance(each, CacheStored)]
    assert told == [why] * 2


@pytest.mark.parametrize("told", ["60", timedelta(hours=1), float("nan"), True, -1, "awaitable"])
async def test_a_time_to_live_that_is_no_number_keeps_nothing(told: Any) -> None:
    """It is counted and told, as ``"ttl"``; who listens hears all of it."""
    voice, seen = Reader(), RecordingObserver()
    if told == "awaitable":
        told = asyncio.get_running_loop().create_future()
    async with SpeechCache(voice, ttl=lambda *_: told, observers=[seen]) as tts:
        assert await listened(tts.stream_speech("abc")) == "abc"
        await settled()
        assert (tts.stats().stored, tts.stats().unstored) == (0, 1)
    (stored,) = [each for each in seen.events if isinstance(each, CacheStored)]
    assert (stored.stored, stored.reason) == (False, "ttl")


async def test_it_is_kept_for_as_long_as_was_said() -> None:
    """In seconds, or by what was asked and made."""
    clock = [0.0]
    storage = MemoryStorage(clock=lambda: clock[0])
    voice = Reader()
    async with SpeechCache(voice, storage=storage, ttl=10) as tts:
        await tts.synthesize("abc")
        await settled()
        clock[0] = 9.9
        assert (await tts.synthesize("abc")).cache == "hit"
        clock[0] = 10.1
        assert (await tts.synthesize("abc")).cache is None
    async with SpeechCache(
        voice, storage=storage, ttl=lambda r, c: len(r.text) * c.duration
    ) as tts:
        await tts.synthesize("xy")
        await settled()
        clock[0] += 2 * 2 * PCM.duration_s(480) - 0.001  # type: ignore[operator]
        assert (await tts.synthesize("xy")).cache == "hit"
        clock[0] += 0.002
        assert (await tts.synthesize("xy")).cache is None


async def test_words_and_chunks_are_kept_as_they_were() -> None:
    """A player and a transcript cannot tell the difference."""
    voice = Reader()
    voice.timed = True
    async with SpeechCache(voice) as tts:
        made = [chunk async for chunk in tts.stream_speech("abc")]
        await settled()
        kept = [chunk async for chunk in tts.stream_speech("abc")]
    assert kept == made
    assert [chunk.words for chunk in kept] == [chunk.words for chunk in made]
    assert [word.text for chunk in kept for word in chunk.words] == ["a", "b", "c"]
    assert {chunk.format for chunk in kept} == {PCM}


async def test_what_changes_the_sound_is_another_speech() -> None:
    """Voice, text and format; also when two synthesizers share a storage."""
    storage = MemoryStorage()
    async with (
        SpeechCache(Reader("one"), storage=storage) as one,
        SpeechCache(Reader("other"), storage=storage) as other,
        SpeechCache(Reader("one"), storage=storage, scope="tenant") as scoped,
        SpeechCache(Reader("one"), storage=storage) as same,
    ):
        await one.synthesize("abc")
        await settled()
        assert (await one.synthesize("xyz")).cache is None
        assert (await one.synthesize("abc", voice="loud")).cache is None
        assert (await one.synthesize("abc", format="pcm_16000")).cache is None
        assert (await other.synthesize("abc")).cache is None
        assert (await scoped.synthesize("abc")).cache is None
        assert (await same.synthesize("abc")).cache == "hit"


async def test_nothing_of_what_is_said_is_to_be_seen() -> None:
    """In keys, values' headers, records, looks and errors."""
    seen, storage = RecordingObserver(), MemoryStorage()
    voice = Reader("reader", None, failing_after(0, UnavailableError("no")))
    async with SpeechCache(voice, storage=storage, observers=[seen]) as tts:
        await tts.synthesize("hush")
        await settled()
        with pytest.raises(UnavailableError) as caught:
            await tts.synthesize("hush hush")
        shown = [repr(tts), repr(tts.stats()), repr(caught.value), *map(repr, seen.events)]
        shown += [*storage._kept, repr(storage)]
        asked = tts._answers.asked(tts.request("hush"))
        shown.append(repr(asked))
        assert not [each for each in shown if "hush" in each]
        header = next(iter(storage._kept.values())).value.split(b"hhhh")[0]
        assert b"hush" not in header


# -- several members ------------------------------------------------------------------------


async def test_what_one_member_made_is_never_anothers() -> None:
    """It is stored as its own, found as the next best, and not played once the best one spoke."""
    storage = MemoryStorage()
    best = Reader("best", *(failing_after(0, UnavailableError("no")) for _ in range(2)))
    spare = Reader("spare")
    async with SpeechCache(fallback(best, spare), storage=storage) as tts:
        speech = tts.stream_speech("abc")
        assert await listened(speech) == "abc"
        assert speech.member == "spare"
        assert speech.identity == "spare|plain|abc"
        await settled()
        hit = tts.stream_speech("abc")
        assert await listened(hit) == "abc"
        assert (hit.cache, hit.member, hit.identity) == ("hit", "spare", "spare|plain|abc")
    alone = SpeechCache(Reader("best"), storage=storage)
    assert (await alone.synthesize("abc")).cache is None
    await settled()
    async with SpeechCache(fallback(Reader("best"), Reader("spare")), storage=storage) as tts:
        speech = tts.stream_speech("abc")
        assert await listened(speech) == "abc"
        assert speech.identity == "best|plain|abc"
    alone = SpeechCache(Reader("spare"), storage=storage)
    assert (await alone.synthesize("abc")).cache == "hit"


async def test_one_voice_at_two_places_is_two() -> None:
    """A gateway, or a server of one's own, may call another voice by the same name."""

    def at(place: str) -> Reader:
        reader = Reader()
        reader.base_url = place  # type: ignore[attr-defined]
        return reader

    storage = MemoryStorage()
    for place in ("https://one.example", "https://two.example"):
        async with SpeechCache(fallback(at(place), Reader("spare")), storage=storage) as tts:
            assert (await tts.synthesize("abc")).cache is None
            await settled()
            assert (await tts.synthesize("abc")).cache == "hit"
        inner = SpeechCache(at(place))
        for same in (SpeechCache(at(place), storage=storage), SpeechCache(inner, storage=storage)):
            async with same:  # alone, or behind another cache: it is the same voice
                assert (await same.synthesize("abc")).cache == "hit"


async def test_a_cache_may_be_a_member_and_stand_before_another() -> None:
    """Evidence passes through, and who produced it as well."""
    shared = MemoryStorage()
    spare = Reader("spare")
    inner = SpeechCache(spare, storage=shared)
    async with fallback(Reader("best", failing_after(0, UnavailableError("no"))), inner) as both:
        await inner.synthesize("abc")
        await settled()
        speech = both.stream_speech("abc")
        assert await listened(speech) == "abc"
        assert speech.cache == "hit"
        assert speech.identity == "spare|plain|abc"
    assert spare.asked == ["abc"]
    async with SpeechCache(SpeechCache(Reader(), storage=shared)) as outer:
        await outer.synthesize("abc")
        await settled()
        assert (await outer.synthesize("abc")).cache == "hit"


# -- what is passed on ----------------------------------------------------------------------


async def test_text_that_is_being_written_passes() -> None:
    """So do sessions, where the inner has them, and only there."""
    seen = RecordingObserver()

    async def written() -> Any:
        yield "ab"
        yield "c"

    async with SpeechCache(Talker(), observers=[seen]) as tts:
        for _ in range(2):
            assert await listened(tts.stream_speech(written())) == "abc"
        assert tts.open_speech() == "a session"  # type: ignore[attr-defined]
        assert tts.stats().bypasses == 3
        assert isinstance(tts, SpeechSessions)
        assert isinstance(tts, SpeechCache)
        assert isinstance(tts, Synthesizer)
    assert [each.reason for each in seen.events] == ["text_stream", "text_stream", "session"]
    assert not isinstance(SpeechCache(Reader()), SpeechSessions)


async def test_a_format_that_is_only_given_whole_is_kept_as_well() -> None:
    """By ``synthesize``; a stream of it is refused as the inner refuses it."""
    voice = Reader(whole=True)
    async with SpeechCache(voice) as tts:
        one, other = await asyncio.gather(tts.synthesize("abc"), tts.synthesize("abc"))
        assert [spelled(each.data) for each in (one, other)] == ["abc", "abc"]
        assert (one.cache, other.cache, one.attempts) == (None, "joined", 1)
        await settled()
        assert (await tts.synthesize("abc")).cache == "hit"
        with pytest.raises(InvalidArgumentError, match="given whole"):
            tts.stream_speech("abc")
    assert voice.asked == ["abc"]


async def test_what_makes_no_sense_is_refused_at_once() -> None:
    """By the inner's own words, and by ours."""
    tts = SpeechCache(Reader())
    with pytest.raises(InvalidArgumentError, match="is empty"):
        tts.stream_speech("")
    with pytest.raises(InvalidArgumentError, match="finished request"):
        tts.stream_speech(tts.request("abc"), voice="loud")
    with pytest.raises(InvalidArgumentError, match="text"):
        tts.stream_speech(b"abc")  # type: ignore[arg-type]
    for wrong in (
        {"ttl": 0},
        {"ttl": "1"},
        {"scope": 1},
        {"secret": ""},
        {"most_item": 0},
        {"storage_timeout": 0},
    ):
        with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
            SpeechCache(Reader(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="inner"):
        SpeechCache(object())  # type: ignore[arg-type]


async def test_a_client_of_another_role_says_how() -> None:
    """Its request() would be a chat's, and its identity no speech's."""
    from voicekit import OpenAIClient

    client = OpenAIClient("key-of-a-test", model="m")
    with pytest.raises(InvalidArgumentError, match="as_synthesizer"):
        SpeechCache(client)  # type: ignore[arg-type]
    cache = SpeechCache(client.as_synthesizer())
    assert cache.provider == "openai"
    await cache.aclose()


class Plain:
    """Somebody's own handle: no more than the interface asks for."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> AudioChunk:
        if not self._chunks:
            raise StopAsyncIteration
        return AudioChunk(self._chunks.pop(0), PCM)


@pytest.mark.parametrize(
    ("chunks", "why"), [((b"ab", b"cd"), None), ((b"ab", b"c"), "truncated"), ((b"",), "empty")]
)
async def test_an_engine_of_ones_own_needs_no_more_than_the_interface(
    chunks: tuple[bytes, ...], why: str | None
) -> None:
    """What is no whole audio of it is not kept."""
    voice, seen = Reader(), RecordingObserver()
    voice.stream_speech = lambda _text, /, **_: Plain(*chunks)  # type: ignore[method-assign]
    async with SpeechCache(voice, observers=[seen]) as tts:
        speech = tts.stream_speech("abc")
        async with speech:
            assert b"".join([chunk async for chunk in speech]) == b"".join(chunks)
        assert (speech.attempts, speech.connection, speech.request_id) == (1, None, None)
        assert speech.identity == "reader|plain|abc"
        await settled()
    stored = seen.events[-1]
    assert isinstance(stored, CacheStored)
    assert stored.reason == why


# -- lifecycle ------------------------------------------------------------------------------


@pytest.mark.parametrize("close", [True, False])
async def test_closing_it_closes_what_is_inside_unless_told_otherwise(close: bool) -> None:
    """And is refused nothing afterwards but speech."""
    voice, storage = Reader(), MemoryStorage()
    async with SpeechCache(voice, close=close, storage=storage) as tts:
        assert (await tts.warm(2)).opened == 2
        await tts.synthesize("abc")
    await tts.aclose()
    assert voice.entered == int(close)
    assert (voice.closed > 0) is close
    assert storage.stats().entries == 1, "what was made was stored before the end"
    with pytest.raises(ClosedError):
        tts.stream_speech("abc")
    with pytest.raises(ClosedError):
        await tts.synthesize("abc")


async def test_closing_ends_who_listens() -> None:
    """Typed, at once, with nothing left behind."""
    voice = Reader()
    tts = SpeechCache(voice)
    speech = tts.stream_speech("abc")
    await anext(speech)
    await tts.aclose()
    with pytest.raises(StreamInterruptedError) as caught:
        await anext(speech)
    assert isinstance(caught.value.__cause__, ClosedError)
    assert voice.running == 0
    gc.collect()
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("voicekit")]


async def test_a_handle_that_is_never_opened_costs_nothing() -> None:
    """Nor does one that is closed before."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        tts.stream_speech("abc")
        await tts.stream_speech("abc").aclose()
        gc.collect()
    assert voice.asked == []


async def test_records_tell_what_was_answered() -> None:
    """One for each answer and each store, numbered by the call."""
    seen = RecordingObserver()
    async with SpeechCache(Reader(), observers=[seen], ttl=60) as tts:
        await asyncio.gather(tts.synthesize("abc"), tts.synthesize("abc"))
        await settled()
        await listened(tts.stream_speech("abc"))
    miss, joined, stored, hit = seen.events
    assert isinstance(stored, CacheStored)
    assert (stored.stored, stored.reason, stored.ttl, stored.size) == (True, None, 60, 1440)
    answers = [each for each in (miss, joined, hit) if isinstance(each, CacheAnswered)]
    assert [each.result for each in answers] == ["miss", "joined", "hit"]
    assert [each.operation for each in answers] == ["synthesize", "synthesize", "stream_speech"]
    assert answers[2].size == 1440
    assert len({each.call for each in answers}) == 3
    assert {each.provider for each in seen.events} == {"reader"}


async def test_a_handle_that_is_dropped_says_so_and_frees_what_it_holds() -> None:
    """At once, without a collection: it is in no cycle; and when all is heard, nothing is held."""
    voice = Reader()
    async with SpeechCache(voice) as tts:
        speech = tts.stream_speech("abc")
        await anext(speech)
        with pytest.warns(ResourceWarning, match="never closed"):
            del speech
        await settled()
        assert voice.running == 0
        heard = tts.stream_speech("abc")
        await listened(heard)
        await settled()
        tape = heard._source._tape
        assert tape is not None
        assert tape.items == []
        assert heard.ended


class Yielding(MemoryStorage):
    """Lets others have their turn, before and after."""

    async def get(self, key: str, /) -> bytes | None:
        await asyncio.sleep(0)
        value = await super().get(key)
        await asyncio.sleep(0)
        return value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        await asyncio.sleep(0)
        await super().put(key, value, ttl=ttl)
        await asyncio.sleep(0)


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("steps", range(40))
async def test_a_cancellation_at_any_step_leaves_all_as_it_was(steps: int, others: int) -> None:
    """The look, the opening, the listening, the storing; alone or while others listen."""
    voice = Reader(wait=0.0)
    tts = SpeechCache(voice, storage=Yielding())
    task = asyncio.create_task(tts.synthesize("abc"))
    follower = [asyncio.create_task(tts.synthesize("abc")) for _ in range(others)]
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    for each in follower:
        assert spelled((await each).data) == "abc"
    assert spelled((await tts.synthesize("abc")).data) == "abc"
    if others:
        assert voice.asked == ["abc"]
    await asyncio.sleep(0.1)
    assert voice.running == 0
    assert len(tts._answers._flights) == 0
    assert not tts._answers._flights._looking
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("voicekit")]
    assert (await tts.synthesize("abc")).cache == "hit"
    await tts.aclose()


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancelled_close_still_closes_what_is_inside(steps: int) -> None:
    """And closing again ends the rest."""
    voice = Reader()
    tts = SpeechCache(voice, storage=Yielding())
    speech = tts.stream_speech("abc")
    await anext(speech)
    task = asyncio.create_task(tts.aclose())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await tts.aclose()
    assert voice.closed
    assert voice.running == 0
    await speech.aclose()
