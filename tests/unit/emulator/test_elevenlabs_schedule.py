"""The chunk schedule, the alignment and the message grammar of the ElevenLabs twin, without I/O."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator.providers.elevenlabs_messages import PolicyViolationError, parse
from voicekit.emulator.providers.elevenlabs_schedule import Alignment, ChunkSchedule


def test_nth_piece_waits_for_nth_count() -> None:
    """The n-th piece comes with the n-th count, and the last count repeats."""
    schedule = ChunkSchedule([50, 60])
    assert schedule.add("a" * 49) is None
    assert schedule.add("b") == "a" * 49 + "b"
    assert schedule.add("c" * 59) is None
    assert schedule.add("d") == "c" * 59 + "d"
    assert schedule.add("e" * 59) is None
    assert schedule.add("f") == "e" * 59 + "f"


def test_a_piece_is_everything_buffered_at_that_moment() -> None:
    """A long message is one piece, not several of the scheduled length."""
    assert ChunkSchedule([50]).add("x" * 400) == "x" * 400


def test_flush_speaks_the_remainder_and_uses_up_a_count() -> None:
    """A flushed piece counts as the n-th, so the next waits for the count after it."""
    schedule = ChunkSchedule([50, 100])
    schedule.add("Hello. ")
    assert schedule.flush() == "Hello. "
    assert schedule.flush() is None
    assert schedule.add("y" * 99) is None
    assert schedule.add("y") == "y" * 100


def test_spaces_alone_are_never_spoken() -> None:
    """The opening space and the keep-alive space say nothing, flushed or not."""
    schedule = ChunkSchedule([50], auto_mode=True)
    assert schedule.add(" ") is None
    assert schedule.flush() is None
    assert schedule.buffered == ""


def test_trigger_waits_for_a_minimum_only() -> None:
    """`try_trigger_generation` generates before the scheduled count, not before 50 characters."""
    schedule = ChunkSchedule([200])
    assert schedule.add("z" * 49, trigger=True) is None
    assert schedule.add("z", trigger=True) == "z" * 50


def test_auto_mode_generates_every_message() -> None:
    """With `auto_mode` there is neither schedule nor buffer."""
    schedule = ChunkSchedule([500], auto_mode=True)
    assert schedule.add("Hi. ") == "Hi. "


def test_dropped_text_is_gone() -> None:
    """What a closed context had buffered is never spoken."""
    schedule = ChunkSchedule([50])
    schedule.add("secret ")
    schedule.drop()
    assert schedule.flush() is None


@given(
    st.lists(st.text(min_size=1, max_size=40).filter(str.strip), max_size=30),
    st.lists(st.integers(50, 500), min_size=1, max_size=4),
    st.booleans(),
)
def test_nothing_is_lost_or_doubled(pieces: list[str], counts: list[int], auto: bool) -> None:
    """However text arrives, the pieces join to it."""
    schedule = ChunkSchedule(counts, auto_mode=auto)
    spoken = [schedule.add(piece) for piece in pieces] + [schedule.flush()]
    assert "".join(each or "" for each in spoken) == "".join(pieces)


@given(
    st.text(min_size=1, max_size=60),
    st.floats(0.01, 20),
    st.lists(st.floats(0, 1), max_size=8),
)
def test_alignment_parts_hold_every_character_once(
    text: str, duration: float, cuts: list[float]
) -> None:
    """Cut anywhere, the parts' characters join to the text and their durations to the audio."""
    whole = Alignment.spread(text, duration)
    assert sum(whole.durations_ms) == round(duration * 1000)
    edges = [0.0, *sorted(cut * duration for cut in cuts)]
    ends = [*edges[1:], duration + 1]
    parts = [whole.between(start, end) for start, end in zip(edges, ends, strict=True)]
    assert "".join("".join(part.chars) for part in parts) == text
    assert sum(sum(part.durations_ms) for part in parts) == round(duration * 1000)
    assert all(start >= 0 for part in parts for start in part.starts_ms)


def test_alignment_wire_shape() -> None:
    """Three lists of one length under the names of the current SDK; nothing at all is null."""
    assert Alignment.spread("Hi", 0.12).wire() == {
        "chars": ["H", "i"],
        "charStartTimesMs": [0, 60],
        "charDurationsMs": [60, 60],
    }
    assert Alignment.spread("", 0.0).wire() is None


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "{}",
        '{"text": 3}',
        '{"text": " ", "flush": "yes"}',
        '{"text": " ", "voice_settings": {"stability": 2}}',
        '{"text": " ", "generation_config": {"chunk_length_schedule": [10]}}',
        '{"text": " ", "generation_config": {"chunk_length_schedule": []}}',
        '{"text": " ", "voice_settings": []}',
        b'{"text": " "}',
    ],
)
def test_grammar_refuses_what_it_documents(frame: str | bytes) -> None:
    """A malformed client message is a policy violation, close code 1008."""
    with pytest.raises(PolicyViolationError) as refused:
        parse(frame, multi=False)
    assert refused.value.code == 1008
    assert refused.value.error == "invalid_input_message"


def test_grammar_accepts_null_settings_and_both_spellings() -> None:
    """The SDK sends `voice_settings: null`; ids and keys come in two spellings."""
    message = parse(
        json.dumps({"text": " ", "voice_settings": None, "contextId": "c", "xi-api-key": "k"}),
        multi=True,
    )
    assert (message.context, message.credential, message.settings.voice_settings) == (
        "c",
        "k",
        None,
    )
    assert parse('{"text": " ", "context_id": "d"}', multi=True).context == "d"


def test_advice_is_a_note() -> None:
    """A disputed speed, a missing trailing space and an unknown field do not refuse."""
    message = parse('{"text": "Hi", "voice_settings": {"speed": 3}, "shiny": 1}', multi=False)
    assert len(message.notes) == 3


def test_repeated_settings_are_no_change() -> None:
    """Only a different value after the first message is a violation."""
    first = parse('{"text": " ", "voice_settings": {"stability": 0.5}}', multi=False).settings
    same = parse('{"text": "a ", "voice_settings": {"stability": 0.5}}', multi=False).settings
    other = parse('{"text": "a ", "voice_settings": {"stability": 0.6}}', multi=False).settings
    late = parse(
        '{"text": "a ", "generation_config": {"chunk_length_schedule": [50]}}', multi=False
    )
    assert first.changed_by(same) is None
    assert first.changed_by(other) == "voice_settings"
    assert first.changed_by(late.settings) == "generation_config"
