"""The concurrency limit's rules under every order of events that Hypothesis can think of."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from voicekit.resilience.limit_state import LimitState

capacities = st.none() | st.tuples(st.integers(0, 9), st.integers(0, 7))
picks = st.integers(0, 10**6)


class LimitMachine(RuleBasedStateMachine):
    """Plays the shell, and keeps books of its own to compare.

    Calls are numbered as they come. Each is waiting, under way, or gone.
    """

    @initialize(
        most=st.none() | st.integers(3, 6),
        least=st.integers(1, 3),
        queue=st.integers(0, 4),
        decrease=st.sampled_from([0.3, 0.5, 0.7, 0.95]),
    )
    def start(self, most, least, queue, decrease):
        self.state: LimitState[int] = LimitState(
            most=most, least=least, queue=queue, decrease=decrease
        )
        self.most, self.least, self.queue, self.decrease = most, least, queue, decrease
        self.now = 0.0
        self.callers = 0
        self.waiting: list[int] = []
        self.under_way: dict[int, int] = {}
        self.serials = 0
        self.round = 0
        self.paused_until = 0.0
        self.successes = 0

    def teardown(self):
        """However it went: when calls end and time passes, everybody waiting gets a place."""
        if not hasattr(self, "state"):
            return
        self.now = max(self.now, self.paused_until)
        self.serve()
        while self.under_way:
            self.gone(next(iter(self.under_way)))
        assert not self.waiting, "somebody starved"
        assert self.state.in_flight == 0

    # -- the shell -----------------------------------------------------------------

    def began(self, caller: int, serial: int) -> None:
        self.serials += 1
        assert serial == self.serials
        assert self.now >= self.paused_until, "a place in a pause"
        self.under_way[caller] = serial
        limit = self.state.limit
        assert limit is None or len(self.under_way) <= limit, "more than the limit"

    def serve(self) -> None:
        while (caller := self.state.admit(self.now)) is not None:
            assert caller == self.waiting.pop(0), "first come, first served"
            self.began(caller, self.state.serial)

    def gone(self, caller: int) -> None:
        del self.under_way[caller]
        self.state.leave(1.0)
        self.serve()

    def pick(self, number: int, among) -> int:
        return sorted(among)[number % len(among)]

    def known(self, before: int | None, capacity: tuple[int, int] | None) -> None:
        """A maximum, once named, is what the header says or what the user says, if that is less."""
        maximum = self.state.maximum
        if capacity is not None and capacity[1] > 0:
            named = capacity[1] if self.most is None else min(capacity[1], self.most)
            assert maximum == max(self.least, named)
        else:
            assert maximum == before

    # -- events ----------------------------------------------------------------------

    @rule()
    def come(self):
        self.callers += 1
        caller, limit = self.callers, self.state.limit
        free = limit is None or len(self.under_way) < limit
        serial = self.state.enter(self.now)
        if serial:
            assert not self.waiting, "somebody was overtaken"
            self.began(caller, serial)
            return
        assert self.waiting or not free or self.now < self.paused_until, "a place, and not given"
        joined = self.state.join(caller)
        assert joined is (len(self.waiting) < self.queue)
        if joined:
            self.waiting.append(caller)

    @precondition(lambda self: self.waiting)
    @rule(number=picks)
    def give_up(self, number):
        caller = self.pick(number, self.waiting)
        self.waiting.remove(caller)
        assert self.state.drop(caller)
        assert not self.state.drop(caller)

    @precondition(lambda self: self.under_way)
    @rule(number=picks, capacity=capacities, ends=st.booleans())
    def succeed(self, number, capacity, ends):
        caller = self.pick(number, self.under_way)
        serial = self.under_way[caller]
        before, maximum = self.state.limit, self.state.maximum
        change = self.state.succeeded(serial, capacity)
        self.known(maximum, capacity)
        if change is not None:
            assert (change.previous, change.limit) == (before, self.state.limit)
        if change is None:
            assert self.state.limit == before
        elif change.cause == "recovered":
            assert serial > self.round, "a success of the round before"
            assert change.limit == before + 1
            assert self.successes + 1 >= before, "sooner than it may"
        if serial > self.round:
            self.successes += 1
        if change is not None:
            self.successes = 0
        if capacity is not None and capacity[0] > capacity[1] > 0 and serial > self.round:
            self.lowered()
        self.serve()
        if ends:
            self.gone(caller)

    @precondition(lambda self: self.under_way)
    @rule(number=picks, capacity=capacities)
    def refuse(self, number, capacity):
        caller = self.pick(number, self.under_way)
        serial, before, maximum = self.under_way[caller], self.state.limit, self.state.maximum
        change = self.state.refused(serial, capacity)
        self.known(maximum, capacity)
        if change is not None:
            assert change.cause == "refused"
        if serial > self.round:
            self.lowered()
        elif capacity is None:
            assert self.state.limit == before, "twice in a round"
        self.gone(caller)

    def lowered(self) -> None:
        """It is a share of what was under way now, at the most."""
        share = math.floor(self.decrease * len(self.under_way) + 1e-6)
        assert self.state.limit is not None
        assert self.state.limit <= max(self.least, share)
        self.round = self.serials
        self.successes = 0

    @precondition(lambda self: self.under_way)
    @rule(number=picks)
    def fail(self, number):
        self.gone(self.pick(number, self.under_way))

    @rule(seconds=st.floats(0.1, 5.0))
    def pause(self, seconds):
        self.paused_until = max(self.paused_until, self.now + seconds)
        self.state.pause(self.now + seconds)

    @rule(seconds=st.floats(0.1, 5.0))
    def pass_time(self, seconds):
        self.now += seconds
        self.serve()

    # -- always ------------------------------------------------------------------------

    @invariant()
    def the_books_agree(self):
        if not hasattr(self, "state"):
            return
        state = self.state
        assert state.in_flight == len(self.under_way)
        assert list(state.waiting) == self.waiting
        limit, maximum = state.limit, state.maximum
        if limit is not None:
            assert limit >= self.least
            assert maximum is None or limit <= maximum
        if self.waiting and self.now >= self.paused_until:
            assert limit is not None
            assert state.in_flight >= limit, "somebody waits beside a free place"
        wait = state.likely_wait(self.now)
        assert wait is None or wait >= 0


TestLimit = LimitMachine.TestCase
TestLimit.settings = settings(max_examples=200, stateful_step_count=60)
