"""The rules of the concurrency limit, without a loop."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit.clients.elevenlabs.errors import DIALECT
from voicekit.resilience.limit_state import Change, LimitState, counts_of


def make(most: int | None = None, **settings: Any) -> LimitState[str]:
    return LimitState(**{"most": most, "least": 1, "queue": 100, "decrease": 0.7, **settings})


def enter(state: LimitState[str], times: int = 1, now: float = 0.0) -> list[int]:
    return [state.enter(now) for _ in range(times)]


def succeed(state: LimitState[str], capacity: tuple[int, int] | None = None) -> Change | None:
    """One call that comes, is answered and goes."""
    serial = state.enter(0.0)
    assert serial
    change = state.succeeded(serial, capacity)
    state.leave()
    return change


def test_without_a_bound_everybody_enters() -> None:
    """Until somebody names a bound there is none."""
    state = make()
    assert all(enter(state, 1000))
    assert state.limit is None
    assert state.maximum is None


def test_no_more_than_most() -> None:
    """A place that is free again is the next one's."""
    state = make(2)
    assert enter(state, 3) == [1, 2, 0]
    state.leave()
    assert enter(state, 2) == [3, 0]


def test_first_come_first_served() -> None:
    """Who comes while others wait does not overtake them, even if a place is free."""
    state = make(1)
    enter(state)
    assert state.join("first")
    assert state.join("second")
    state.leave()
    assert state.enter(0.0) == 0
    assert state.admit(0.0) == "first"
    assert state.admit(0.0) is None
    state.leave()
    assert state.admit(0.0) == "second"


def test_the_queue_is_bounded_and_may_be_left() -> None:
    """Beyond its size nobody joins; who leaves makes room."""
    state = make(1, queue=2)
    enter(state)
    assert [state.join(name) for name in "abc"] == [True, True, False]
    assert state.drop("a")
    assert not state.drop("a")
    assert state.join("c")
    state.leave()
    assert state.admit(0.0) == "b"


def test_a_refusal_sets_the_first_bound() -> None:
    """A share of what was under way, the refused call included."""
    state = make()
    serials = enter(state, 10)
    assert state.refused(serials[4]) == Change(7, None, "refused")
    assert state.limit == 7
    assert state.maximum is None


@pytest.mark.parametrize(("in_flight", "limit"), [(1, 2), (2, 2), (3, 2), (4, 2), (90, 63)])
def test_a_refusal_never_goes_below_the_least(in_flight: int, limit: int) -> None:
    """And is a whole number, which binary fractions do not spoil (0.7 × 90 is 63)."""
    state = make(least=2)
    state.refused(enter(state, in_flight)[-1])
    assert state.limit == limit


def test_a_refusal_never_raises_the_limit() -> None:
    """More may be under way than the limit allows, from before it was lowered."""
    state = make(10)
    first = enter(state, 10)
    state.succeeded(first[0], (10, 3))
    assert state.limit == 3
    state.refused(first[1])
    assert state.limit == 3


def test_one_lowering_a_round() -> None:
    """Calls that began before the last lowering speak of the time before it."""
    state = make(10)
    serials = enter(state, 10)
    assert state.refused(serials[0]) == Change(7, 10, "refused")
    for serial in serials[1:]:
        assert state.refused(serial) is None
        state.leave()
    assert state.limit == 7
    later = enter(state, 6)
    assert state.refused(later[0]) == Change(4, 7, "refused")
    assert state.refused(later[1]) is None


def test_successes_of_the_round_before_do_not_count() -> None:
    """Nine of ten answered, with the tenth refused, prove nothing of a limit of seven."""
    state = make(10)
    serials = enter(state, 10)
    state.refused(serials[0])
    assert [state.succeeded(serial) for serial in serials[1:]] == [None] * 9
    assert state.limit == 7


def test_it_climbs_by_one_for_as_many_successes_as_it_is() -> None:
    """As far as the known maximum, where it stays."""
    state = make(4)
    for serial in enter(state, 4):
        state.refused(serial)
        state.leave()
    assert state.limit == 2
    changes = [succeed(state) for _ in range(12)]
    assert [c for c in changes if c] == [Change(3, 2, "recovered"), Change(4, 3, "recovered")]
    assert [at for at, c in enumerate(changes, 1) if c] == [2, 5]


def test_a_lowering_takes_back_what_successes_had_earned() -> None:
    """They were earned under the limit that was too high."""
    state = make(10)
    serials = enter(state, 10)
    state.refused(serials[0])
    for _ in range(8):
        state.leave()
    for _ in range(6):
        assert succeed(state) is None
    enter(state, 3)
    state.refused(state.serial)
    assert state.limit == 3
    state.leave()
    state.leave()
    state.leave()
    assert [succeed(state) for _ in range(2)] == [None, None]
    assert succeed(state) == Change(4, 3, "recovered")


def test_without_a_maximum_only_use_proves_anything() -> None:
    """A limit of which less than half is in use does not climb; in use it climbs without end."""
    state = make()
    state.refused(enter(state, 10)[-1])
    for _ in range(10):
        state.leave()
    assert state.limit == 7
    for _ in range(50):
        succeed(state)
    assert state.limit == 7
    enter(state, 3)
    for _ in range(7):
        succeed(state)
    assert state.limit == 8
    enter(state, 4)
    for _ in range(8 + 9 + 10):
        succeed(state)
    assert state.limit == 11


def test_the_provider_names_the_bound() -> None:
    """At once, and not beyond what the user allows."""
    state = make()
    assert succeed(state, (1, 5)) == Change(5, None, "told")
    assert state.maximum == 5
    assert succeed(state, (1, 5)) is None
    assert succeed(state, (1, 8)) == Change(8, 5, "told")
    assert succeed(state, (1, 3)) == Change(3, 8, "told")
    bound = make(4)
    assert succeed(bound, (1, 5)) is None
    assert bound.limit == bound.maximum == 4
    assert succeed(bound, (1, 2)) == Change(2, 4, "told")
    assert succeed(bound, (1, 9)) == Change(4, 2, "told")


def test_each_operation_has_a_maximum_of_its_own() -> None:
    """Recordings may be 25 at a time and speech 10: the larger bounds both together."""
    state = make()

    def told(operation: str, maximum: int) -> Change | None:
        serial = state.enter(0.0)
        change = state.succeeded(serial, (1, maximum), operation)
        state.leave()
        return change

    assert told("synthesize", 10) == Change(10, None, "told")
    assert told("transcribe", 25) == Change(25, 10, "told")
    assert told("synthesize", 10) is None
    assert told("transcribe", 20) == Change(20, 25, "told")
    assert told("transcribe", 5) == Change(10, 20, "told")


def test_a_lowered_limit_climbs_to_a_maximum_that_goes_up() -> None:
    """It does not jump: the refusals were real."""
    state = make()
    succeed(state, (1, 10))
    serials = enter(state, 10)
    state.refused(serials[0])
    for _ in serials:
        state.leave()
    assert state.limit == 7
    assert succeed(state, (1, 20)) is None
    assert (state.limit, state.maximum) == (7, 20)


@pytest.mark.parametrize("maximum", [0, -1])
def test_a_maximum_of_nothing_is_no_maximum(maximum: int) -> None:
    """It answers, so it allows something."""
    state = make()
    assert succeed(state, (1, maximum)) is None
    assert state.limit is None


def test_the_least_is_kept_against_the_provider() -> None:
    """The user's word on the least wins."""
    state = make(least=3)
    succeed(state, (1, 2))
    assert state.limit == state.maximum == 3


def test_a_provider_that_counts_too_many_lowers_the_limit() -> None:
    """Others use the account too: each lowers its part, once a round."""
    state = make()
    serials = enter(state, 10)
    assert state.succeeded(serials[0], (14, 12)) == Change(7, None, "exceeded")
    assert state.succeeded(serials[1], (14, 12)) is None
    assert state.maximum == 12


def test_what_a_refusal_says_of_the_maximum_counts() -> None:
    """The headers of a refusal are headers, too."""
    state = make()
    serials = enter(state, 20)
    assert state.refused(serials[0], (5, 5)) == Change(5, None, "refused")
    assert state.maximum == 5


def test_a_pause_stops_new_places() -> None:
    """Nobody enters or is admitted before its end; the longer of two counts."""
    state = make(5)
    state.pause(10.0)
    state.pause(8.0)
    assert state.enter(9.9) == 0
    state.join("a")
    assert state.admit(9.9) is None
    assert state.paused(9.5) == pytest.approx(0.5)
    assert state.admit(10.0) == "a"
    assert state.paused(11.0) == 0.0


def test_how_long_one_more_would_wait() -> None:
    """From how long places are held, how many there are and who is there already."""
    state = make(2)
    assert state.likely_wait(0.0) is None
    enter(state, 2)
    state.leave(1.0)
    enter(state)
    assert state.likely_wait(0.0) == pytest.approx(0.5)
    state.join("a")
    assert state.likely_wait(0.0) == pytest.approx(1.0)
    state.pause(3.0)
    assert state.likely_wait(1.0) == pytest.approx(3.0)
    state.leave(2.0)
    assert state.average_held == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("code", "counted"),
    [
        ("too_many_concurrent_requests", "at_a_time"),
        ("concurrent_limit_exceeded", "at_a_time"),
        ("max_active_conversations", "at_a_time"),
        ("TOO_MANY_REQUESTS", "at_a_time"),
        ("rate_limit_exceeded", "per_minute"),
        ("system_busy", "per_minute"),
        ("tokens", "per_minute"),
        ("requests", "per_minute"),
        ("something_new", "unknown"),
        (None, "unknown"),
    ],
)
def test_what_a_refusal_counts(code: str | None, counted: str) -> None:
    """By the vendors' codes."""
    assert counts_of(code) == counted


@pytest.mark.parametrize(
    ("headers", "capacity"),
    [
        ({"current-concurrent-requests": "2", "maximum-concurrent-requests": "10"}, (2, 10)),
        ({"maximum-concurrent-requests": "10"}, None),
        ({"current-concurrent-requests": "x", "maximum-concurrent-requests": "10"}, None),
        ({}, None),
    ],
)
def test_elevenlabs_tells_its_capacity(
    headers: dict[str, str], capacity: tuple[int, int] | None
) -> None:
    """In two headers of every answer."""
    assert DIALECT.read_capacity is not None
    assert DIALECT.read_capacity(headers) == capacity
