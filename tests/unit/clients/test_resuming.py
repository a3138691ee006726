"""Where a broken speech may go on: only behind a proven end, never into what was delivered."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.resuming import (
    MOST_RESUMES,
    Boundary,
    SegmentEnds,
    Segments,
    check_resume,
    cut,
    may_resume,
)
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ClosedError,
    ConnectionLostError,
    GapTimeout,
    InvalidArgumentError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import AudioChunk, AudioFormat, Word
from voicekit.speech.character import Character

PCM = AudioFormat.parse("pcm_8000")
PER_CHARACTER = 0.06
BYTES = 960  # of a character


def spoken(text: str, start: float = 0.0) -> list[Character]:
    """One character after the other, as long as each other."""
    edges = [round(start + index * PER_CHARACTER, 6) for index in range(len(text) + 1)]
    return [
        Character(text=each, start=edges[at], end=edges[at + 1]) for at, each in enumerate(text)
    ]


def ends_of(sentences: list[str], characters: list[Character], first: int = 0) -> dict[int, int]:
    """The last word on where each segment begins, in bytes."""
    found = SegmentEnds(sentences, PCM, first=first).feed(characters)
    return {boundary.segment: boundary.at for boundary in found}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionLostError("x"), True),
        (RemoteProtocolError("x"), True),
        (GapTimeout("x"), True),
        (UnavailableError("x"), True),
        (TotalTimeout("x"), False),
        (UnavailableError("x", retry_after=1.0), False),
        (UnavailableError("x", retry_stopped="attempts"), False),
        (RateLimitError("x"), False),
        (CircuitOpenError("x"), False),
        (AuthenticationError("x"), False),
        (QuotaError("x"), False),
        (ClosedError("x"), False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_may_be_asked_again(error: VoicekitError, expected: bool) -> None:
    """What may pass, at once, and no policy has ruled out."""
    assert may_resume(error) is expected


def test_the_option_needs_proof() -> None:
    """Neither alone nor with a proof switched off; the error names what would do."""
    for options in ({"resume": True}, {"resume": True, "split": False, "timestamps": None}):
        with pytest.raises(InvalidArgumentError, match="split=True") as caught:
            check_resume(options, "split", "timestamps")
        assert caught.value.argument == "resume"
        assert "timestamps=True" in str(caught.value)
    check_resume({"resume": True, "split": 30}, "split", "timestamps")
    check_resume({"resume": False}, "split")
    check_resume({}, "split")


# -- the alignment -----------------------------------------------------------------------------


def test_sentences_end_where_the_next_begins() -> None:
    """White space belongs to the sentence before it; the last one ends with the answer only."""
    sentences = ["One. ", "Two.\n", "Three."]
    ends = ends_of(sentences, spoken("".join(sentences)))
    assert ends == {1: 5 * BYTES, 2: 10 * BYTES}


def test_numbers_and_times_go_on_from_what_was_before() -> None:
    """A request that speaks the rest of a speech."""
    assert ends_of(["b. ", "c."], spoken("b. c.", 1.0), first=7) == {8: 16_000 + 3 * BYTES}


def test_a_pause_is_of_the_sentence_before_it() -> None:
    """It has not ended before its white space has; what comes after that belongs to it, too."""
    pause = [
        Character(text="A", start=0.0, end=0.1),
        Character(text=".", start=0.1, end=0.2),
        Character(text=" ", start=0.2, end=0.5),
        Character(text="B", start=0.9, end=1.0),
        Character(text=".", start=1.0, end=1.1),
    ]
    follower = SegmentEnds(["A. ", "B."], PCM, first=0)
    found = [[(each.at, each.word) for each in follower.feed([one])] for one in pause]
    assert found == [[], [], [(8000, None)], [(14_400, None)], []]


def test_without_white_space_the_word_ends_with_the_sentence() -> None:
    """In scripts without spaces nothing else would end it."""
    follower = SegmentEnds(["你好。", "再见。"], PCM, first=0)
    found = follower.feed(spoken("你好。再见。"))
    assert {each.word for each in found} == {Word(text="你好。", start=0.0, end=0.18)}
    assert {(each.segment, each.at) for each in found} == {(1, 3 * BYTES)}


@pytest.mark.parametrize(
    "characters",
    [
        spoken("Other words. And so on."),
        spoken("One.  Tow. Three."),
        [Character(text="One. Two.", start=0.0, end=1.0), *spoken(" Three.", 1.0)],
        [*spoken("One"), *spoken(". Two.", 0.0)],
        [Character(text="One.", start=1.0, end=0.5)],
    ],
    ids=["other", "misspelled", "two sentences at once", "back in time", "ends before it begins"],
)
def test_an_alignment_that_makes_no_sense_proves_nothing(characters: list[Character]) -> None:
    """From the first doubt on."""
    ends = ends_of(["One. ", "Two. ", "Three."], characters)
    assert 2 not in ends


def test_white_space_may_differ() -> None:
    """Vendors trim and join it; the words are what is compared."""
    assert ends_of(["  One.\n\n", "Two. "], spoken("One. Two.")) == {1: 5 * BYTES}


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    pieces=st.lists(st.integers(1, 7), max_size=12),
    upto=st.integers(0, 60),
)
def test_the_ends_are_the_true_ones(lengths: list[int], pieces: list[int], upto: int) -> None:
    """However the characters come, and wherever they stop."""
    sentences = ["a" * length + ". " for length in lengths]
    characters = spoken("".join(sentences))[:upto]
    follower = SegmentEnds(sentences, PCM, first=0)
    found: dict[int, int] = {}
    for size in [*pieces, len(characters)]:
        part, characters = characters[:size], characters[size:]
        for boundary in follower.feed(part):
            found[boundary.segment] = boundary.at
    starts = [0, *accumulate(map(len, sentences))]
    for segment, at in found.items():
        assert 0 < segment < len(sentences)
        assert at == starts[segment] * BYTES <= upto * BYTES
    assert len(found) == sum(start <= upto for start in starts[1:-1])


# -- the decision ------------------------------------------------------------------------------


def test_from_the_end_of_the_last_whole_segment() -> None:
    """What came whole is kept; what is broken is asked for again, if it is not delivered."""
    segments = Segments()
    segments.ended(Boundary(1, 100))
    segments.ended(Boundary(2, 200))
    assert segments.resume_from(delivered=0, read=150) == Boundary(1, 100)
    assert segments.resume_from(delivered=100, read=199) == Boundary(1, 100)
    assert segments.resume_from(delivered=0, read=250) == Boundary(2, 200)
    assert segments.resume_from(delivered=200, read=250) == Boundary(2, 200)
    assert segments.resume_from(delivered=201, read=250) is None
    assert segments.resume_from(delivered=101, read=199) is None
    assert segments.resume_from(delivered=0, read=99) == Boundary(0, 0)
    assert segments.resume_from(delivered=1, read=99) is None


def test_once_per_segment_and_twice_per_speech() -> None:
    """All segments of a request that is asked again count as asked twice."""
    segments = Segments()
    segments.ended(Boundary(1, 100))
    boundary = segments.resume_from(delivered=0, read=120)
    assert boundary is not None
    segments.resumed(boundary, end=3)
    segments.ended(Boundary(2, 200))
    assert segments.resume_from(delivered=0, read=220) is None
    number = 3
    for again in range(1, MOST_RESUMES + 1):
        segments.ended(Boundary(number, 300 * again))
        boundary = segments.resume_from(delivered=0, read=300 * again)
        assert (boundary is not None) == (again < MOST_RESUMES)
        if boundary is not None:
            segments.resumed(boundary, end=number + 1)
        number += 1


def test_what_a_broken_request_told_ahead_is_forgotten() -> None:
    """Its alignment of audio that never came says nothing of the audio that comes instead."""
    segments = Segments()
    segments.ended(Boundary(1, 100))
    segments.ended(Boundary(2, 200))
    boundary = segments.resume_from(delivered=100, read=150)
    assert boundary == Boundary(1, 100)
    segments.resumed(boundary, end=3)
    assert segments.account(200) == (1, False)
    segments.ended(Boundary(2, 180))
    assert segments.account(180) == (2, True)


def test_the_account() -> None:
    """The first segment that is not known to be delivered whole, and whether it was begun."""
    segments = Segments()
    segments.ended(Boundary(1, 100))
    segments.ended(Boundary(2, 200))
    assert segments.account(0) == (0, True)
    assert segments.account(99) == (0, False)
    assert segments.account(100) == (1, True)
    assert segments.account(101) == (1, False)
    assert segments.account(200) == (2, True)


def test_audio_does_not_go_back() -> None:
    """What was proven first holds against what says otherwise."""
    segments = Segments()
    segments.ended(Boundary(2, 200))
    segments.ended(Boundary(3, 150))
    segments.ended(Boundary(1, 300))
    segments.ended(Boundary(0, 300))
    assert segments.resume_from(delivered=0, read=400) == Boundary(2, 200)


@st.composite
def speeches(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Where segments begin, and breaks: bytes delivered and read, which only grow."""
    sizes = draw(st.lists(st.integers(1, 50), min_size=1, max_size=6))
    starts = [0, *accumulate(sizes)]
    points = sorted(draw(st.lists(st.integers(0, starts[-1]), min_size=2, max_size=12)))
    breaks = []
    for at in range(0, len(points) - 1, 2):
        breaks.append((points[at], points[at + 1]))
    return starts, breaks


@given(speech=speeches(), ends=st.lists(st.integers(1, 6), min_size=6, max_size=6))
def test_whatever_breaks(speech: tuple[list[int], list[tuple[int, int]]], ends: list[int]) -> None:
    """Only to a true beginning, not before what was delivered, nor behind what has come."""
    starts, breaks = speech
    segments = Segments()
    asked = [1] * len(starts)
    resumes = 0
    for (delivered, read), end in zip(breaks, ends, strict=False):
        for segment, at in enumerate(starts[1:], 1):
            if at <= read:
                segments.ended(Boundary(segment, at))
        first, resumable = segments.account(delivered)
        assert starts[first] <= delivered
        assert resumable == (starts[first] == delivered)
        boundary = segments.resume_from(delivered=delivered, read=read)
        if boundary is None:
            continue
        assert boundary.at == starts[boundary.segment]
        assert delivered <= boundary.at <= read
        assert boundary.segment + 1 == len(starts) or starts[boundary.segment + 1] > read
        beyond = min(boundary.segment + end, len(starts))
        for segment in range(boundary.segment, beyond):
            asked[segment] += 1
        segments.resumed(boundary, end=beyond)
        resumes += 1
    assert max(asked) <= 2
    assert resumes <= MOST_RESUMES


# -- what is taken back ------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=10),
    late=st.integers(0, 2),
    sentence=st.integers(1, 12),
)
def test_nothing_before_the_cut_is_lost(sizes: list[int], late: int, sentence: int) -> None:
    """Audio, words and characters, also where the alignment comes later than its audio."""
    text = ("ab. " * 10)[: sum(sizes)]
    audio = bytes(range(256)) * 40
    characters = spoken(text)
    chunks, at = [], 0
    for size in sizes:
        mine = characters[max(0, at - late) : max(0, at + size - late)]
        words = [Word(text="ab.", start=e.start - 0.18, end=e.start) for e in mine if e.text == " "]
        chunks.append(
            AudioChunk(audio[at * BYTES :][: size * BYTES], PCM, tuple(words), tuple(mine))
        )
        at += size
    known = max(0, at - late)
    length = min(sentence, known)
    if not length:
        return
    boundary = Boundary(1, length * BYTES, characters[length - 1].end)
    kept = cut(chunks, boundary.at, boundary, PCM)
    assert b"".join(kept) == audio[: boundary.at]
    assert [c for each in kept for c in each.characters] == characters[:length]
    ended = text[:known][: length + 1].count(" ")  # by what is known, before the cut or at it
    assert [w.text for each in kept for w in each.words] == ["ab."] * ended
    assert all(each.format is PCM for each in kept)


def test_a_word_that_nothing_else_ends() -> None:
    """Comes behind the audio, without any."""
    word = Word(text="你好。", start=0.0, end=0.18)
    kept = cut([AudioChunk(bytes(10), PCM)], 6, Boundary(1, 6, 0.18, word), PCM)
    assert [bytes(each) for each in kept] == [bytes(6), b""]
    assert kept[-1].words == (word,)
