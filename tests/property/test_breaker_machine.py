"""Whatever begins, ends and passes, in any order: the breaker does what its description says.

The model beside it is that description in the plainest words: a list of what ended when.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "resilience"))

from by_hand import Clock, Doing, NoJitter

from voicekit.errors import (
    ConnectionLostError,
    InvalidRequestError,
    PoolTimeout,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience.breaker import Breaker

LEAST, WINDOW, OPEN_FOR, LONGEST, PROBES, PROBE_LIMIT, SLOW = 4, 30, 5, 20, 2, 12, 3

ENDS = st.sampled_from(["ok", "ok", "lost", "down", "refused", "limited", "pool", "cancelled"])


@dataclass
class Under:
    """A call under way: the real one, and what the model knows of it."""

    doing: Doing
    began: float
    episode: int
    place: int | None = None


@dataclass
class Model:
    """The description."""

    state: str = "closed"
    episode: int = 0
    ended: list[tuple[float, bool, bool]] = field(default_factory=list)
    places: dict[int, float] = field(default_factory=dict)
    passed: int = 0
    open_until: float = 0.0
    period: float = OPEN_FOR
    opened: int = 0

    def enter(self, state: str) -> None:
        self.state = state
        self.episode += 1
        self.places.clear()
        self.passed = 0

    def open(self, now: float) -> None:
        self.open_until = now + self.period
        self.period = min(self.period * 2, LONGEST)
        self.opened += 1
        self.enter("open")

    def close(self) -> None:
        self.ended.clear()
        self.period = OPEN_FOR
        self.enter("closed")

    def lately(self, now: float) -> list[tuple[float, bool, bool]]:
        return [each for each in self.ended if now - each[0] < WINDOW]


class BreakerMachine(RuleBasedStateMachine):
    """Time passes in whole seconds, where the window's slide is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(
            least_calls=LEAST,
            window=WINDOW,
            open_for=OPEN_FOR,
            longest_open=LONGEST,
            probes=PROBES,
            probe_limit=PROBE_LIMIT,
            slow_after=SLOW,
            clock=self.clock,
            rng=NoJitter(),
        )
        self.model = Model()
        self.under_way: list[Under] = []
        self.numbers = 0

    # -- what the description says ---------------------------------------------------

    def expected_to_begin(self) -> tuple[bool, int | None]:
        """Whether a call may begin now, and the number of its place if it is a probe."""
        model, now = self.model, self.clock.now
        if model.state in {"closed", "disabled"}:
            return True, None
        if model.state == "forced_open":
            return False, None
        if model.state == "open":
            if now < model.open_until:
                return False, None
            model.enter("half_open")
        taken = sum(until > now for until in model.places.values())
        if taken + model.passed >= PROBES:
            return False, None
        self.numbers += 1
        model.places[self.numbers] = now + PROBE_LIMIT
        return True, self.numbers

    def expected_of_end(self, call: Under, end: str) -> None:
        model, now = self.model, self.clock.now
        if call.episode != model.episode:
            return
        if call.place is not None:
            model.places.pop(call.place, None)
        if end in {"limited", "pool", "cancelled"} or model.state == "disabled":
            return
        failed, slow = end in {"lost", "down"}, now - call.began > SLOW
        if model.state == "closed":
            model.ended.append((now, failed, slow))
            seen = model.lately(now)
            if (failed or slow) and len(seen) >= LEAST:
                failures, slows = sum(e[1] for e in seen), sum(e[2] for e in seen)
                if 2 * failures >= len(seen) or 2 * slows >= len(seen):
                    model.open(now)
        elif failed or slow:
            model.open(now)
        else:
            model.passed += 1
            if model.passed >= PROBES:
                model.close()

    # -- what happens ------------------------------------------------------------------

    @rule()
    def begin(self) -> None:
        before = self.breaker.stats().rejected
        doing = Doing(self.breaker)
        admitted, place = self.expected_to_begin()
        assert (doing.refusal is None) is admitted
        assert self.breaker.stats().rejected == before + (not admitted)
        if admitted:
            self.under_way.append(Under(doing, self.clock.now, self.model.episode, place))
        elif self.model.state == "open":
            assert doing.refusal is not None
            assert doing.refusal.retry_after == self.model.open_until - self.clock.now
        elif self.model.state == "half_open":
            assert doing.refusal is not None
            assert 0 < (doing.refusal.retry_after or 0) <= OPEN_FOR

    def _end(self, call: Under, end: str) -> None:
        match end:
            case "ok":
                call.doing.returns()
            case "lost":
                call.doing.raises(ConnectionLostError("lost"))
            case "down":
                call.doing.raises(UnavailableError("down", status=503))
            case "refused":
                call.doing.raises(InvalidRequestError("no", status=400))
            case "limited":
                call.doing.raises(RateLimitError("slowly", status=429))
            case "pool":
                call.doing.raises(PoolTimeout("full"))
            case _:
                call.doing.is_cancelled()
        self.expected_of_end(call, end)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), end=ENDS)
    def end(self, which: int, end: str) -> None:
        self._end(self.under_way.pop(which % len(self.under_way)), end)

    @rule(ends=st.lists(ENDS, min_size=1, max_size=6))
    def begin_and_end(self, ends: list[str]) -> None:
        for end in ends:
            count = len(self.under_way)
            self.begin()
            if len(self.under_way) > count:
                self._end(self.under_way.pop(), end)

    @rule(seconds=st.sampled_from([1, 1, 2, 3, 4, 5, 12, 20, 29, 30, 31]))
    def pass_time(self, seconds: int) -> None:
        self.clock.pass_(seconds)

    @rule(hand=st.sampled_from(["reset", "reset", "force_open", "disable"]))
    def by_hand(self, hand: str) -> None:
        getattr(self.breaker, hand)()
        self.model.close()
        if hand != "reset":
            self.model.enter("forced_open" if hand == "force_open" else "disabled")

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        stats, model = self.breaker.stats(), self.model
        assert stats.state == self.breaker.state == model.state
        assert stats.opened == model.opened
        if model.state == "closed":
            seen = model.lately(self.clock.now)
            assert stats.calls == len(seen)
            assert round(stats.failure_rate * stats.calls) == sum(each[1] for each in seen)
            assert round(stats.slow_rate * stats.calls) == sum(each[2] for each in seen)
        if model.state == "open":
            assert stats.retry_in == max(model.open_until - self.clock.now, 0)

    def teardown(self) -> None:
        """However it stands, a server that is well closes it."""
        if self.breaker.state in {"forced_open", "disabled"}:
            self.breaker.reset()
        self.clock.pass_(max(LONGEST, PROBE_LIMIT))
        for _ in range(PROBES):
            doing = Doing(self.breaker)
            assert doing.refusal is None
            doing.returns()
            if self.breaker.state == "closed":
                break
        assert self.breaker.state == "closed"


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=40)
