"""The recent quantile: exact, of the last samples only, in bounded memory."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.resilience.latency import WINDOW, RecentQuantile


def test_it_does_not_answer_before_it_has_seen_enough() -> None:
    """A quantile of few samples is an accident."""
    recent = RecentQuantile(0.97, least=3)
    for expected in (None, None, None, 1.0):
        assert recent.value == expected
        recent.add(1.0)


def test_three_of_a_hundred_lie_beyond_the_97th_percentile() -> None:
    """Not two and not four: this is what decides how many requests a hedge adds."""
    recent = RecentQuantile(0.97, least=100)
    samples = [float(number) for number in range(100)]
    random.Random(1).shuffle(samples)
    for sample in samples:
        recent.add(sample)
    assert recent.value == 96.0


@pytest.mark.parametrize("percent", range(1, 100))
def test_it_is_not_off_by_one_where_binary_fractions_are(percent: int) -> None:
    """0.07 × 100 is a little more than 7; the 7th of a hundred is meant all the same."""
    recent = RecentQuantile(percent / 100)
    for sample in range(1, 101):
        recent.add(float(sample))
    assert recent.value == float(percent)


def test_what_is_long_past_does_not_count() -> None:
    """A provider that was slow a thousand calls ago is not slow now."""
    recent = RecentQuantile(0.97)
    for sample in [9.0] * WINDOW + [1.0] * WINDOW:
        recent.add(sample)
    assert len(recent) == WINDOW
    assert recent.value == 1.0


def test_as_many_are_remembered_as_are_needed() -> None:
    """More needed than the window holds: the window is larger."""
    recent = RecentQuantile(0.5, least=30, window=10)
    for sample in range(40):
        recent.add(float(sample))
    assert len(recent) == 30
    assert recent.value == 24.0


@given(
    samples=st.lists(st.floats(0, 100), max_size=60),
    quantile=st.floats(0.01, 0.99),
    window=st.integers(1, 20),
    least=st.integers(1, 5),
)
def test_it_is_what_sorting_the_last_samples_gives(
    samples: list[float], quantile: float, window: int, least: int
) -> None:
    """After every sample, and whatever their order."""
    recent = RecentQuantile(quantile, least=least, window=window)
    for count, sample in enumerate(samples, 1):
        recent.add(sample)
        last = sorted(samples[max(0, count - max(window, least)) : count])
        if len(last) < least:
            assert recent.value is None
            continue
        assert recent.value is not None
        assert recent.value == last[max(1, math.ceil(round(quantile * len(last), 9))) - 1]
        beyond = sum(sample > recent.value for sample in last)
        assert beyond <= (1 - quantile) * len(last) + 1e-6
