"""The sliding window against the plainest one: a list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicekit.resilience.breaker_window import Window

steps = st.tuples(
    st.integers(0, 40) | st.sampled_from([0, 0, 0, 10**6]), st.booleans(), st.booleans()
)


@given(st.lists(steps, max_size=60))
def test_it_counts_what_a_list_counts(outcomes: list[tuple[int, bool, bool]]) -> None:
    """Time passes in whole buckets here, where the slide is exact."""
    window, plain, now = Window(30.0), list[tuple[int, bool, bool]](), 1000
    for passed, failed, slow in outcomes:
        now += passed
        window.add(float(now), failed=failed, slow=slow)
        plain.append((now, failed, slow))
        lately = [each for each in plain if now - each[0] < 30]
        assert window.calls == len(lately)
        assert window.failures == sum(each[1] for each in lately)
        assert window.slow == sum(each[2] for each in lately)
    window.slide(float(now + 30))
    assert (window.calls, window.failures, window.slow) == (0, 0, 0)


@given(st.floats(0.001, 1e4), st.lists(st.floats(0, 3), min_size=1, max_size=50))
def test_it_forgets_at_the_end_of_the_window_and_not_much_before(
    span: float, passed: list[float]
) -> None:
    """Whatever its length; the last thirtieth is the grain of it."""
    window, times, now = Window(span), list[float](), 0.0
    for share in passed:
        now += share * span
        times.append(now)
        window.add(now, failed=False, slow=False)
        surely = sum(now - at <= span * (29 / 30 - 1e-6) for at in times)
        possibly = sum(now - at <= span * (1 + 1e-6) for at in times)
        assert surely <= window.calls <= possibly


def test_an_empty_window_has_no_rates() -> None:
    window = Window(1.0)
    assert window.failure_rate == window.slow_rate == 0.0
