"""Words with their times, and what the provider still owes."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit.clients.elevenlabs.alignment import (
    Debt,
    FollowedText,
    WordTimes,
    alignment_of,
    span_of,
)
from voicekit.speech import Word


def aligned(text: str, *, ms: int = 50, spelling: str = "charDurationsMs") -> dict[str, Any]:
    return {
        "chars": list(text),
        "charStartTimesMs": [ms * index for index in range(len(text))],
        spelling: [ms] * len(text),
    }


@pytest.mark.parametrize("spelling", ["charDurationsMs", "charsDurationsMs"])
@pytest.mark.parametrize("name", ["alignment", "normalizedAlignment"])
def test_both_spellings_and_both_alignments(name: str, spelling: str) -> None:
    """The SDK's and the specification's; the normalised one where the other is null."""
    frame = {"alignment": None, name: aligned("Hi", spelling=spelling)}
    found, span = FollowedText().read(frame)
    assert found == alignment_of(frame, name) == (["H", "i"], [0, 50], [50, 50])
    assert span == span_of(found) == 0.1


@pytest.mark.parametrize("followed", ["alignment", "normalizedAlignment"])
def test_one_text_is_followed_to_the_end(followed: str) -> None:
    """The first that was aligned. A frame that has only the other one tells no words, but still
    how long it lasts.
    """
    both = {"alignment": aligned("5 x"), "normalizedAlignment": aligned("five x")}
    other = next(name for name in both if name != followed)
    text = FollowedText()
    frames = [{followed: both[followed]}, both, {other: both[other]}, {}, both]
    read = [text.read(frame) for frame in frames]
    mine = alignment_of(both, followed)
    assert mine is not None
    assert [found for found, _ in read] == [mine, mine, None, None, mine]
    lasts = alignment_of(both, other)
    assert lasts is not None
    assert [span for _, span in read][2:4] == [span_of(lasts), None]


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        [],
        {},
        {"chars": ["a"]},
        {"chars": ["a"], "charStartTimesMs": [0], "charDurationsMs": []},
        {"chars": ["a"], "charStartTimesMs": ["0"], "charDurationsMs": [1]},
        {"chars": ["a"], "charStartTimesMs": [10**400], "charDurationsMs": [1]},
        {"chars": ["a"], "charStartTimesMs": [float("nan")], "charDurationsMs": [1]},
        {"chars": ["a"], "charStartTimesMs": [-1], "charDurationsMs": [True]},
        {"chars": [1], "charStartTimesMs": [0], "charDurationsMs": [1]},
        {"chars": [], "charStartTimesMs": [], "charDurationsMs": []},
        {"chars": "ab", "charStartTimesMs": [0, 1], "charDurationsMs": [1, 1]},
    ],
)
def test_an_alignment_without_sense_is_none(value: Any) -> None:
    """Audio is good without it: no error."""
    assert alignment_of({"alignment": value}) is None


def test_words_across_frames() -> None:
    """A word may begin in one frame and end in another; times count from the utterance's start."""
    times = WordTimes()
    first = alignment_of({"alignment": aligned("Hello wo")})
    second = alignment_of({"alignment": aligned("rld. A")})
    assert first is not None
    assert second is not None
    assert times.feed(first, 0.0) == (Word(text="Hello", start=0.0, end=0.25),)
    (world,) = times.feed(second, 0.4)
    assert (world.text, world.start, world.end) == (
        "world.",
        pytest.approx(0.3),
        pytest.approx(0.6),
    )
    (last,) = times.flush()
    assert last.text == "A"
    assert times.flush() == ()


def test_short_text_is_not_owed_until_it_is_flushed() -> None:
    """The schedule holds it back, so no clock may run."""
    debt = Debt((50, 120))
    debt.said("Hello there. ")
    assert not debt.owed
    debt.flushed()
    assert debt.owed


def test_text_beyond_the_schedule_is_owed() -> None:
    """And answered by its audio; the next piece follows the next count."""
    debt = Debt((50, 120))
    debt.said("x" * 49 + " ")
    assert not debt.owed, "the vendor may count less than we do"
    debt.said("x" * 10)
    assert debt.owed
    debt.heard(3.0, None)
    assert not debt.owed
    debt.said("x" * 100)
    assert not debt.owed
    debt.said("x" * 30)
    assert debt.owed


def test_without_a_schedule_everything_is_owed_at_once() -> None:
    """Auto mode speaks what it is given."""
    debt = Debt(None)
    debt.said("Hi. ")
    assert debt.owed


def test_white_space_is_never_owed() -> None:
    """The vendor speaks none of it, so waiting for its audio would be in vain."""
    debt = Debt(None)
    debt.said(" ", flush=True)
    debt.flushed()
    assert not debt.owed


def test_a_piece_is_owed_until_its_alignment_is_heard() -> None:
    """The first frame says how long the piece is: a peer that hangs inside it is noticed."""
    debt = Debt((50,))
    debt.said("x" * 60)
    debt.heard(0.2, 3.0)
    assert debt.owed
    debt.heard(2.6, None)
    assert not debt.owed, "alignment and audio may differ a little"


def test_the_rest_of_one_piece_does_not_answer_the_next() -> None:
    """Frames that still belong to what was spoken before leave the next piece owed."""
    debt = Debt((50, 50))
    debt.said("x" * 60)
    debt.heard(0.5, 3.0)
    debt.said("x" * 60)
    debt.heard(2.5, None)
    assert debt.owed
    debt.heard(0.1, 0.1)
    assert not debt.owed


def test_after_the_end_the_end_is_owed() -> None:
    """Whatever was heard."""
    debt = Debt((50,))
    debt.finished()
    assert debt.owed
    debt.heard(9.0, 9.0)
    assert debt.owed


def test_without_known_seconds_every_frame_answers() -> None:
    """Opus bytes tell no time; what is doubtful counts as not owed."""
    debt = Debt((50,))
    debt.said("x" * 60)
    debt.heard(None, 3.0)
    assert not debt.owed


def test_the_provider_may_say_that_it_owes_nothing() -> None:
    """An early end of the context settles everything."""
    debt = Debt((50,))
    debt.said("x" * 60)
    debt.heard(0.1, 3.0)
    debt.settled()
    assert not debt.owed


def test_a_drip_answers_nothing() -> None:
    """A sample now and then is not the piece that is due."""
    debt = Debt((50,))
    debt.said("x" * 60)
    debt.heard(0.0001, None, useful=False)
    assert debt.owed
    debt.heard(0.01, None)
    assert not debt.owed
