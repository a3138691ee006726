"""A speech of scripted requests that break anywhere, taken in any rhythm."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekit import events
from voicekit.clients.in_parts import SpeechInParts
from voicekit.clients.resumable import ResumableSpeech, speech_in_parts
from voicekit.clients.resuming import SegmentEnds
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    GapTimeout,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.hedge import Hedge
from voicekit.resilience.retry import Retry
from voicekit.speech import AudioChunk, AudioFormat
from voicekit.speech.character import Character
from voicekit.streams import Opened, SpeechStream
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo

PCM = AudioFormat.parse("pcm_8000")
SIZE = 160
"""Bytes of a character: 10 ms."""
SPEAK = Operation(
    provider="testing", name="stream_speech", kind=OperationClass.COMPUTE, limits=Limits(gap=5.0)
)


def audio_of(sentence: str) -> bytes:
    """The same wherever it is said; no two characters of it sound alike."""
    return b"".join(bytes([ord(c), at]) * (SIZE // 2) for at, c in enumerate(sentence))


class Body:
    """A response and its decoder: pieces that come with pauses, and how it ends."""

    status = 200
    delimited = True
    connection = ConnectionInfo(reused=True)

    def __init__(
        self, pieces: list[AudioChunk], broken: Exception | None, pauses: list[int], number: int
    ) -> None:
        self.headers = {"number": str(number)}
        self.pieces, self.broken, self.pauses = deque(pieces), broken, itertools.cycle(pauses)
        self.progress, self.done, self.free = 0, False, False
        self.stuck: asyncio.Event | None = None

    async def chunk(self) -> bytes:
        for _ in range(next(self.pauses)):
            await asyncio.sleep(0)
        if not self.pieces and isinstance(self.broken, GapTimeout):
            self.stuck = asyncio.Event()
            await self.stuck.wait()
        if not self.pieces and self.broken is not None:
            raise self.broken
        return b"more" if self.pieces else b""

    def feed(self, _more: bytes, /) -> list[AudioChunk]:
        self.progress += 1
        return [self.pieces.popleft()]

    def eof(self, *, delimited: bool) -> list[AudioChunk]:
        self.done = delimited
        return []

    def abort(self) -> None:
        self.free = True

    release = abort

    def interrupt(self, error: VoicekitError) -> None:
        assert self.stuck is not None
        self.broken = error
        self.stuck.set()
        self.abort()


@dataclass
class Script:
    """A speech, and what the provider does with one request after the other.

    Attributes:
        parts: The sentences of each part.
        cuts: Characters after which each request breaks; None for not at all.
        sizes: Characters of the pieces, again and again.
        pauses: Turns of the loop before each piece, again and again.
        aligned: Whether the times of the characters are told.
        error: How requests break.
    """

    parts: list[list[str]]
    cuts: list[int | None]
    sizes: list[int] = field(default_factory=lambda: [3])
    pauses: list[int] = field(default_factory=lambda: [0])
    aligned: bool = True
    error: Exception = field(default_factory=lambda: ConnectionLostError("lost"))
    limits: Limits | None = None
    pipeline: Pipeline | None = None

    def __post_init__(self) -> None:
        self.sentences = [each for part in self.parts for each in part]
        self.reference = b"".join(map(audio_of, self.sentences))
        self.firsts = [0, *itertools.accumulate(map(len, self.parts))]
        self.starts = [0, *itertools.accumulate(len(audio_of(e)) for e in self.sentences)]
        self.asked: list[range] = []
        self.seen: list[events.Event] = []
        self.bodies: list[Body] = []
        self.calls: list[Call] = []
        self.background = Background()
        self.speech = ResumableSpeech(
            list(map(len, self.parts)),
            self.open,
            PCM,
            lambda: self.background,
            follow=self.follow if self.aligned else None,
        )
        self.stream = SpeechStream(self.speech.open, format=PCM, parts=self.speech)

    def on_event(self, event: events.Event, /) -> None:
        self.seen.append(event)

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]

    def follow(self, number: int, skipped: int) -> SegmentEnds:
        return SegmentEnds(self.parts[number][skipped:], PCM, first=self.firsts[number] + skipped)

    async def open(self, number: int, skipped: int, limits: Limits | None) -> Opened[AudioChunk]:
        self.asked.append(range(self.firsts[number] + skipped, self.firsts[number + 1]))
        call = Call(SPEAK, limits=limits or self.limits, observer=self)
        call.pipeline = self.pipeline
        self.calls.append(call)
        cut = self.cuts.pop(0) if self.cuts else None

        async def step(call: Call) -> Opened[AudioChunk]:
            await asyncio.sleep(0)
            body = self.body(self.parts[number][skipped:], cut)
            if not body.pieces:
                assert body.broken is not None
                raise body.broken
            self.bodies.append(body)
            call.committed()
            return Opened(call, body, body, deque(body.feed(b"")))  # type: ignore[arg-type]

        return await Pipeline().open(call, step)

    def body(self, sentences: list[str], cut: int | None) -> Body:
        text, audio = "".join(sentences), b"".join(map(audio_of, sentences))
        before = self.speech.read_bytes // SIZE
        characters = [
            Character(text=c, start=(before + at) / 100, end=(before + at + 1) / 100)
            for at, c in enumerate(text)
        ]
        upto = len(text) if cut is None else min(cut, len(text))
        pieces, at, sizes = [], 0, itertools.cycle(self.sizes)
        while at < upto:
            end = min(at + next(sizes), upto)
            told = tuple(characters[at:end]) if self.aligned else ()
            pieces.append(AudioChunk(audio[at * SIZE : end * SIZE], PCM, (), told))
            at = end
        broken = None if cut is None else self.error
        return Body(pieces, broken, self.pauses, len(self.bodies))

    async def take(self, rhythm: list[int] | None = None, *, clip: bool = False) -> bytes:
        """Everything, with so many turns of the loop after each piece."""
        self.got: list[AudioChunk] = []
        pauses = itertools.cycle(rhythm or [0])
        try:
            async with self.stream as stream:
                if clip:
                    whole = await stream.clip()
                    self.got = [AudioChunk(whole.data, PCM, whole.words, whole.characters)]
                else:
                    async for chunk in stream:
                        self.got.append(chunk)
                        for _ in range(next(pauses)):
                            await asyncio.sleep(0)
        finally:
            await self.background.aclose()
        return b"".join(self.got)

    async def check(self, rhythm: list[int] | None = None, *, clip: bool = False) -> bool:
        """Take it; whether all of it came. Every promise of the account is checked."""
        complete, error = True, None
        first = self.cuts[0] if self.cuts else None
        try:
            await self.take(rhythm, clip=clip)
        except StreamInterruptedError as interrupted:
            complete, error = False, interrupted
        except type(self.error):  # before any audio it is an error like any other
            assert first == 0
            complete = False
        got = b"".join(self.got)
        assert got == self.reference[: len(got)]
        assert complete == (got == self.reference) or error is not None
        if clip and not complete:
            got = b""
        assert self.stream.delivered_bytes == len(got)
        if error is not None:
            assert error.delivered_bytes == len(got)
            assert error.segment is not None
            assert self.starts[error.segment] <= len(got)
            # Resumable: the sentences from there on are the rest, no more and no less.
            assert error.resumable == (self.starts[error.segment] == len(got))
            assert type(error.__cause__) is type(self.error)
        if complete and self.aligned:
            told = [each for chunk in self.got for each in chunk.characters]
            assert "".join(each.text for each in told) == "".join(self.sentences)
            assert [each.start for each in told] == [at / 100 for at in range(len(told))]
        self.check_journal()
        return complete

    def check_journal(self) -> None:
        """Each sentence was asked for at most twice and in order; every call ended once."""
        asked = Counter(number for numbers in self.asked for number in numbers)
        assert max(asked.values(), default=0) <= 2
        assert [each.stop for each in self.asked] == sorted(each.stop for each in self.asked)
        resumed = self.of(events.SpeechResumed)
        assert len(resumed) == self.stream.resumed <= 2
        for event in resumed:
            assert event.delivered_bytes <= self.starts[event.sentence]
            assert event.call == self.calls[0].id
        ended = Counter(event.call for event in self.of(events.CallEnded))
        assert ended == Counter(call.id for call in self.calls)
        assert all(body.free for body in self.bodies)


SENTENCE = st.sampled_from(["A. ", "Bc. ", "Def gh. ", "I! ", "Jkl, mno. "])
PARTS = st.lists(st.lists(SENTENCE, min_size=1, max_size=3), min_size=1, max_size=4)
CUTS = st.lists(st.none() | st.just(0) | st.integers(1, 24), min_size=1, max_size=5)
FEW = st.lists(st.integers(0, 5), min_size=1, max_size=4)
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@settings(max_examples=250)
@given(parts=PARTS, cuts=CUTS, sizes=SIZES, pauses=FEW, rhythm=FEW, clip=st.booleans())
def test_aligned_speech(
    parts: list[list[str]],
    cuts: list[int | None],
    sizes: list[int],
    pauses: list[int],
    rhythm: list[int],
    clip: bool,
) -> None:
    """Whatever breaks where: all of it, or a prefix with an account that is true."""

    async def main() -> None:
        await Script(parts, cuts, sizes, pauses).check(rhythm, clip=clip)

    asyncio.run(main())


@settings(max_examples=250)
@given(parts=PARTS, cuts=CUTS, sizes=SIZES, pauses=FEW, rhythm=FEW, clip=st.booleans())
def test_speech_in_parts(
    parts: list[list[str]],
    cuts: list[int | None],
    sizes: list[int],
    pauses: list[int],
    rhythm: list[int],
    clip: bool,
) -> None:
    """The same where nothing but our own split proves an end."""

    async def main() -> None:
        joined = [["".join(part)] for part in parts]
        await Script(joined, cuts, sizes, pauses, aligned=False).check(rhythm, clip=clip)

    asyncio.run(main())


@pytest.mark.anyio
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("cut", range(1, 12))
async def test_a_clip_survives_one_break_anywhere(cut: int, aligned: bool) -> None:
    """Nobody has any of it before all of it is there, so all of it can be taken back."""
    script = Script([["One. ", "Two. "]] if aligned else [["One. Two. "]], [cut], aligned=aligned)
    assert await script.check(clip=True)
    assert script.stream.resumed == 1
    assert script.stream.attempts == 2
    (event,) = script.of(events.SpeechResumed)
    assert event.sentence == (1 if aligned and cut >= 5 else 0)
    assert event.delivered_bytes == 0
    assert event.error == "ConnectionLostError"


@pytest.mark.anyio
@pytest.mark.parametrize("clip", [True, False])
async def test_a_part_that_does_not_open_takes_nothing_back(clip: bool) -> None:
    """What came whole before it stays, whether it was taken or not."""
    script = Script([["One. "], ["Two. "]], [None, 0])
    assert await script.check([7], clip=clip)
    assert script.stream.resumed == 1
    (event,) = script.of(events.SpeechResumed)
    assert event.sentence == script.firsts[1]


@pytest.mark.anyio
async def test_who_lags_behind_notices_nothing() -> None:
    """What was read ahead and not taken is taken back to the end of a sentence."""
    script = Script([["One. ", "Two. ", "Three. "]], [12], sizes=[2])
    async with script.stream as stream:
        got = [await anext(stream)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert stream.resumed == 1
        (event,) = script.of(events.SpeechResumed)
        assert (event.sentence, event.delivered_bytes) == (2, 2 * SIZE)
        got += [chunk async for chunk in stream]
    assert b"".join(got) == script.reference
    script.check_journal()
    assert script.asked == [range(3), range(2, 3)]
    await script.background.aclose()


@pytest.mark.anyio
async def test_never_into_what_was_delivered() -> None:
    """Who has a byte of the broken sentence gets the account, and nothing is asked again."""
    script = Script([["One. ", "Two. "]], [7], sizes=[1], pauses=[3])
    with pytest.raises(StreamInterruptedError) as caught:
        await script.take()
    assert len(b"".join(script.got)) == 7 * SIZE == caught.value.delivered_bytes
    assert (caught.value.segment, caught.value.resumable) == (1, False)
    assert script.asked == [range(2)]
    script.check_journal()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [AuthenticationError("no"), TotalTimeout("late"), UnavailableError("busy", retry_after=1.0)],
    ids=lambda each: type(each).__name__,
)
async def test_what_may_not_be_asked_again(error: VoicekitError) -> None:
    """The account is exact, and says that the caller may go on from there."""
    script = Script([["One. "], ["Two. "]], [None, 0], error=error)
    with pytest.raises(StreamInterruptedError) as caught:
        await script.take()
    assert caught.value.__cause__ is error
    assert (caught.value.segment, caught.value.resumable) == (1, True)
    assert len(script.asked) == 2
    script.check_journal()


@pytest.mark.anyio
async def test_a_decoder_that_chokes_is_a_break() -> None:
    """The server's doing, as everywhere; what it choked on is not told."""
    script = Script([["One. "]], [3], error=KeyError("content"))
    assert await script.take(clip=True) == script.reference
    (event,) = script.of(events.SpeechResumed)
    assert event.error == RemoteProtocolError.__name__


@pytest.mark.anyio
async def test_a_break_of_the_resumed_request_is_the_end() -> None:
    """Each sentence is asked for at most twice; the attempts are counted."""
    script = Script([["One. ", "Two. "]], [7, 0])
    with pytest.raises(StreamInterruptedError) as caught:
        await script.take(clip=True)
    assert caught.value.delivered_bytes == 0
    assert script.asked == [range(2), range(1, 2)]
    assert script.stream.attempts == 2
    assert script.stream.resumed == 0
    assert not script.of(events.SpeechResumed)
    script.check_journal()


@pytest.mark.anyio
async def test_the_budget_of_the_retries_pays() -> None:
    """Or of the hedges, where they have one; what it does not pay for is not asked again."""
    for policy, size in itertools.product((Retry, Hedge), (1.0, 0.5)):
        resumes = size == 1.0
        budget = Budget(size, per_call=0.0)
        script = Script([["One. ", "Two. "]], [7], pipeline=Pipeline((policy(budget=budget),)))
        assert await script.check(clip=True) is resumes
        assert script.stream.resumed == resumes
        assert budget.stats().taken == resumes
        assert script.error.retry_stopped == (None if resumes else "budget")
    script = Script([["One. "]], [3], pipeline=Pipeline((Retry(budget=None),)))
    assert await script.check(clip=True)


@pytest.mark.anyio
@pytest.mark.parametrize("clip", [True, False])
async def test_a_stall_is_a_break(clip: bool) -> None:
    """The gap limit ends one request, not the speech; without a proven end, it does end it."""
    gap = Limits(gap=0.05)
    script = Script([["One. "], ["Two. "]], [None, 3 if clip else 0], limits=gap)
    script.error = GapTimeout("nothing for 0.05 s") if clip else ConnectionLostError("lost")
    assert await script.check(clip=clip)
    assert script.stream.resumed == 1
    script = Script([["One. ", "Two. "]], [7], error=GapTimeout("nothing"), limits=gap)
    assert not await script.check()
    assert script.stream.resumed == 0


@pytest.mark.anyio
async def test_reading_ahead_is_bounded_unless_all_is_wanted() -> None:
    """20 s wait at most for who takes piece by piece; a clip has room for all of it."""
    for clip in (False, True):
        script = Script([["x" * 200 + ". "] * 20], [], sizes=[100], pauses=[1])
        async with script.stream as stream:
            if clip:
                taking = asyncio.create_task(stream.clip())
            for _ in range(200):
                await asyncio.sleep(0)
            ahead = script.speech.read_bytes
            if clip:
                assert ahead == len(script.reference)
                assert (await taking).data == script.reference
            else:
                assert ahead <= 20 * 16_000 + 100 * SIZE
                assert b"".join([chunk async for chunk in stream]) == script.reference
        await script.background.aclose()


@pytest.mark.anyio
async def test_taken_by_whoever_pays_for_each_call() -> None:
    """``take()`` hands out no more than is known to be the caller's."""
    script = Script([["One. "], ["Two. "]], [])
    got: list[AudioChunk] = []
    async with script.stream as stream:
        while items := await stream.take():
            got += items
            assert stream.delivered_bytes == sum(map(len, got))
        assert stream.ended
    assert b"".join(got) == script.reference
    await script.background.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("clip", [True, False])
async def test_cancelled_at_every_turn(clip: bool) -> None:
    """Through break and resumption: prompt, every call ended, every connection free."""
    for turns in itertools.count():
        script = Script([["One. ", "Two. "], ["Three. "]], [7, None, 3], sizes=[2], pauses=[1])
        taking = asyncio.create_task(script.take([9], clip=clip))
        for _ in range(turns):
            await asyncio.sleep(0)
        if taking.done():
            assert await taking == script.reference
            assert script.stream.resumed == 2
            break
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        script.check_journal()
        assert len(script.background) == 0
    assert turns > 15


async def nothing(_number: int, _limits: Limits | None) -> Opened[AudioChunk]:
    raise AssertionError


def test_only_with_the_option() -> None:
    """Without it the speech is the one that never asks twice."""
    background = Background()
    plain = speech_in_parts(2, nothing, PCM, lambda: background, resume=False)
    assert type(plain) is SpeechInParts
    assert isinstance(
        speech_in_parts(2, nothing, PCM, lambda: background, resume=True), ResumableSpeech
    )
