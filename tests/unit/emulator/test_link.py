"""When a link lets each piece arrive: order, distance, capacity, and no drift."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator import Link
from voicekit.emulator.link import Timing


def timing(link: Link, *, not_before: float = 0.0) -> Timing:
    return Timing(link, random.Random(7), not_before=not_before)


def test_each_direction_is_late_by_half_a_round_trip() -> None:
    """Half the round trip each way, so that the two together make it."""
    assert timing(Link(rtt=0.040)).due(10.0, 100) == pytest.approx(10.020)


def test_the_handshake_is_charged_on_the_first_flight_only() -> None:
    """What is sent at once waits for the round trip the kernel did not; what comes later not."""
    link = Link(rtt=0.040)
    assert timing(link, not_before=5.040).due(5.0) == pytest.approx(5.060)
    assert timing(link, not_before=5.040).due(9.0) == pytest.approx(9.020)


def test_due_times_count_from_when_a_piece_was_sent() -> None:
    """A thousand pieces later the delay is still half a round trip: nothing adds up."""
    clock = timing(Link(rtt=0.1))
    for piece in range(1000):
        sent = piece * 0.02
        assert clock.due(sent, 640) == pytest.approx(sent + 0.05)


def test_bandwidth_makes_pieces_wait_for_the_line() -> None:
    """Each piece takes its size over the line's rate, after those before it."""
    clock = timing(Link(bandwidth=1000.0))
    assert [clock.due(0.0, 500) for _ in range(3)] == pytest.approx([0.5, 1.0, 1.5])
    assert clock.due(10.0, 500) == pytest.approx(10.5)


@given(
    gaps=st.lists(st.floats(0, 0.1), min_size=1, max_size=50),
    jitter=st.floats(0, 0.2),
    rtt=st.floats(0, 0.2),
)
def test_jitter_never_changes_the_order(gaps: list[float], jitter: float, rtt: float) -> None:
    """Whatever the jitter draws, a piece never arrives before one sent earlier, or in the past."""
    clock = timing(Link(rtt=rtt, jitter=jitter))
    now, last = 100.0, 0.0
    for gap in gaps:
        now += gap
        due = clock.due(now, 10)
        assert due >= last
        assert now <= due
        last = due


def test_the_same_seed_draws_the_same_jitter() -> None:
    """Two runs with one seed are one run."""
    link = Link(rtt=0.04, jitter=0.01)
    one, two = timing(link), timing(link)
    assert [one.due(t) for t in range(20)] == [two.due(t) for t in range(20)]


@pytest.mark.parametrize(
    "options",
    [{"rtt": -0.1}, {"jitter": -0.1}, {"bandwidth": 0.0}, {"idle_cutoff": 0.0}],
)
def test_impossible_links_are_refused(options: dict[str, float]) -> None:
    """A link that cannot be says so at construction."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Link(**options)
