"""Words arrive whole and in order; waits are numbers whatever a server writes."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from voicekit.wire.retry_after import MAX_WAIT_S, parse_go_duration, parse_retry_after
from voicekit.wire.words import WholeWords

PIECES = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.text(alphabet="ab ,.\n", max_size=8),
        st.text(alphabet="ไทยที่ขែ្မ你ガ a", max_size=8),
        st.just("x" * 300),
    ),
    max_size=12,
)


@given(PIECES)
def test_nothing_is_lost_added_or_moved(pieces):
    """What goes out, joined, is what came in, and what waits is bounded."""
    words, sent = WholeWords(), []
    for piece in pieces:
        sent.append(words.feed(piece))
        assert len(words.pending) <= 512
    assert "".join(sent) + words.flush() == "".join(pieces)


@given(st.lists(st.text(alphabet=st.characters(codec="latin-1"), max_size=20), max_size=12))
def test_words_with_spaces_are_never_split(pieces):
    """In a script with spaces, all that goes out before the end ends in white space."""
    words = WholeWords()
    for piece in pieces:
        sent = words.feed(piece)
        assert not sent or sent[-1].isspace()
        assert not any(sign.isspace() for sign in words.pending)


@given(PIECES)
def test_what_may_go_goes_at_once(pieces):
    """The cut does not depend on the pieces: one feed of all holds back no more than many."""
    one, many = WholeWords(), WholeWords()
    sent_at_once = one.feed("".join(pieces))
    sent = "".join(many.feed(piece) for piece in pieces)
    if len("".join(pieces)) <= 512:
        assert sent == sent_at_once


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "Retry-After", "retry-after-ms", "date"]),
        st.one_of(
            st.text(max_size=80),
            st.floats().map(str),
            st.integers().map(str),
            st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT")),
            st.from_regex(
                r"\A[A-Za-z]{0,3},? ?\d{0,3}[ -][A-Za-z]{3}[ -]\d{0,6} [\d:]{0,9} ?[A-Z+\d-]{0,6}\Z"
            ),
        ),
    ),
    st.floats(0, 1e11),
)
def test_no_header_can_break_us(headers, now):
    """Whatever is written there: None, or seconds that can be slept."""
    wait = parse_retry_after(headers, now_wall=now)
    assert wait is None or 0 <= wait <= MAX_WAIT_S


@given(st.text(max_size=30))
def test_no_duration_can_break_us(text):
    """Whatever is written there: None, or seconds."""
    wait = parse_go_duration(text)
    assert wait is None or 0 <= wait <= MAX_WAIT_S


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_durations_as_go_prints_them(hours, minutes, ms):
    """Hours, minutes and fractional seconds add up."""
    text = f"{hours}h{minutes}m{ms / 1000:g}s"
    wait = parse_go_duration(text)
    assert wait is not None
    assert math.isclose(wait, hours * 3600 + minutes * 60 + ms / 1000, rel_tol=1e-4, abs_tol=1e-9)
