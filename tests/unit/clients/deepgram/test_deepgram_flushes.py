"""The limit on flushes, on a clock of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.deepgram.speech.flushes import FLUSHES, WINDOW_S, FlushBudget


def test_twenty_in_a_minute() -> None:
    """Twenty at once, then one for each that is a window old."""
    budget = FlushBudget()
    for at in range(FLUSHES):
        assert budget.wait(float(at)) == 0.0
        budget.spend(float(at))
    assert budget.left(20.0) == 0
    assert budget.wait(20.0) == WINDOW_S - 20.0
    assert budget.wait(20.0, 3) == WINDOW_S + 2.0 - 20.0
    assert budget.left(WINDOW_S) == 1
    assert budget.left(WINDOW_S + 2.0) == 3
    assert budget.wait(WINDOW_S + 2.0, 3) == 0.0


def test_exhausted_by_the_vendors_word() -> None:
    """After a warning none is left for a window, whatever was counted."""
    budget = FlushBudget()
    budget.spend(0.0)
    budget.exhaust(30.0)
    assert budget.left(30.0) == 0
    assert budget.left(WINDOW_S) == 1
    assert budget.left(30.0 + WINDOW_S) == FLUSHES


@pytest.mark.parametrize("need", [0, -1, FLUSHES + 1])
def test_no_need_that_is_never_met(need: int) -> None:
    """A mistake of ours, and not a wait without end."""
    with pytest.raises(ValueError, match="need"):
        FlushBudget().wait(0.0, need)


@given(
    st.lists(st.floats(min_value=0, max_value=30), max_size=120),
    st.lists(st.floats(min_value=0, max_value=0.9), min_size=120, max_size=120),
)
def test_never_more_than_the_vendor_obeys(pauses: list[float], delays: list[float]) -> None:
    """Whoever waits as told never has more than 20 arrive in any 60 s, each up to 0.9 s late."""
    budget, now, arrivals = FlushBudget(), 0.0, []
    for pause, delay in zip(pauses, delays, strict=False):
        now += pause
        now += budget.wait(now)
        assert budget.left(now) >= 1 or budget.wait(now) < 1e-6
        budget.spend(now)
        arrivals.append(max(now + delay, arrivals[-1] if arrivals else 0.0))
    for first, last in zip(arrivals, arrivals[FLUSHES:], strict=False):
        assert last - first >= 60.0
