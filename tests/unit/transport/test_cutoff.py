"""The idle cut-off: down at once, up slowly, never past what is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.transport.cutoff import DOUBTS, FLOOR, FORGET, IdleCutoff


def test_a_close_brings_it_down_to_four_fifths():
    """One observed close is enough to stay clear of the next."""
    cutoff = IdleCutoff()
    cutoff.observe_close(40.0)
    assert cutoff.seconds == pytest.approx(32.0)


def test_a_later_close_never_raises_it():
    """A close after longer idleness proves nothing good."""
    cutoff = IdleCutoff()
    cutoff.observe_close(20.0)
    cutoff.observe_close(60.0)
    assert cutoff.seconds == pytest.approx(16.0)


def test_never_below_the_floor():
    """However early the peer closes, the keeper does not dial without pause."""
    cutoff = IdleCutoff()
    cutoff.observe_close(FLOOR * 1.1)
    assert cutoff.seconds == FLOOR


def test_a_close_sooner_than_the_floor_teaches_nothing():
    """A restarting server must not cost a warm pool for the rest of the day."""
    cutoff = IdleCutoff()
    cutoff.observe_close(FLOOR * 0.5)
    assert cutoff.seconds == 50.0


def test_a_start_below_the_floor_is_its_own_floor():
    """A caller who knows a faster server may say so."""
    cutoff = IdleCutoff(0.4)
    cutoff.observe_close(0.41)
    assert cutoff.seconds == 0.4


def test_survivals_raise_it_gently_up_to_the_ceiling():
    """One long idleness survived is no proof of a much longer one."""
    cutoff = IdleCutoff(50.0, 120.0)
    cutoff.observe_survival(40.0)
    assert 50.0 < cutoff.seconds < 55.0
    for _ in range(100):
        cutoff.observe_survival(cutoff.seconds)
    assert cutoff.seconds == 120.0


def test_a_short_idleness_proves_nothing():
    """Reuse after a moment says nothing of the limit."""
    cutoff = IdleCutoff()
    for _ in range(100):
        cutoff.observe_survival(24.0)
    assert cutoff.seconds == 50.0


def test_survivals_stop_short_of_a_known_close():
    """What closed at 60 s is replaced before 60 s."""
    cutoff = IdleCutoff(50.0, 120.0)
    cutoff.observe_close(60.0)
    for _ in range(DOUBTS):
        cutoff.observe_survival(45.0)
        assert cutoff.seconds < 60.0


def test_the_ratchet_of_deploys_is_undone():
    """Closes by a deploy, at whatever age, do not shorten the cut-off for good."""
    cutoff = IdleCutoff(50.0, 120.0)
    cutoff.observe_close(3.0)
    for _ in range(300):
        cutoff.observe_survival(cutoff.seconds * 0.6)
    assert cutoff.seconds > 50.0


def test_a_real_limit_is_learned_again():
    """Forgetting costs one idle close and nothing more."""
    cutoff = IdleCutoff(50.0, 120.0)
    closes = 0
    for _ in range(200):
        idle = cutoff.seconds * 0.95
        if idle >= 30.0:
            cutoff.observe_close(30.0)
            closes += 1
        else:
            cutoff.observe_survival(idle)
    assert cutoff.seconds < 30.0 * FORGET
    assert 1 <= closes <= 200 / DOUBTS


@given(
    start=st.floats(0.1, 200),
    ceiling=st.floats(0.1, 200),
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 500)), max_size=60),
)
def test_always_within_floor_and_ceiling(start, ceiling, events):
    """Whatever a host does, the cut-off is sane, and below a close just seen."""
    cutoff = IdleCutoff(start, ceiling)
    low, high = min(FLOOR, start), max(start, ceiling)
    for closed, idle in events:
        before = cutoff.seconds
        if closed:
            cutoff.observe_close(idle)
            assert cutoff.seconds <= before
            if idle >= low / 0.8:
                assert cutoff.seconds < idle
        else:
            cutoff.observe_survival(idle)
            assert before <= cutoff.seconds <= before * 1.06
        assert low <= cutoff.seconds <= high


def test_its_repr_tells_the_state():
    """Seen in logs and debuggers."""
    assert repr(IdleCutoff(50.0)) == "IdleCutoff(50 s)"
