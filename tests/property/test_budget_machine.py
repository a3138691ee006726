"""The budget of repeats under every order of calls, repeats and cancellations."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicekit.resilience.budget import Budget


class BudgetMachine(RuleBasedStateMachine):
    """Keeps books of its own, in fractions, of what was asked and what was sent."""

    @initialize(
        size=st.sampled_from(["10", "0", "0.5", "1", "2.5", "3"]),
        per_call=st.sampled_from(["0.1", "0", "0.3", "0.25", "1", "2"]),
    )
    def start(self, size: str, per_call: str) -> None:
        self.budget = Budget(float(size), float(per_call))
        self.size, self.per_call = Fraction(size), Fraction(per_call)
        self.left = self.size
        self.calls = self.repeats = self.waiting = self.refused = 0
        # Calls and repeats at moments from which the bound must hold as well.
        self.spans: list[tuple[int, int]] = [(0, 0)]

    @rule(calls=st.integers(1, 12))
    def call(self, calls: int) -> None:
        """So many begin, one attempt each."""
        for _ in range(calls):
            self.budget.deposit()
            self.calls += 1
            self.left = min(self.size, self.left + self.per_call)

    @rule()
    def fail(self) -> None:
        """An attempt failed and asks for a repeat; with one it waits."""
        allowed = self.budget.take()
        assert allowed == (self.left >= 1)
        if allowed:
            self.left -= 1
            self.waiting += 1
        else:
            self.refused += 1

    @precondition(lambda self: self.waiting)
    @rule()
    def wait_is_over(self) -> None:
        """The repeat is sent."""
        self.waiting -= 1
        self.repeats += 1

    @precondition(lambda self: self.waiting)
    @rule()
    def cancel(self) -> None:
        """The repeat is never sent."""
        self.waiting -= 1
        self.budget.give_back()
        self.left = min(self.size, self.left + 1)

    @precondition(lambda self: not self.waiting)
    @rule()
    def a_span_begins(self) -> None:
        """From here the bound must hold as well."""
        self.spans.append((self.calls, self.repeats))

    @invariant()
    def the_bound_holds(self) -> None:
        """Attempts ≤ calls × (1 + per call) + size, over each span."""
        for calls, repeats in self.spans:
            asked = self.calls - calls
            attempts = asked + self.repeats - repeats
            assert attempts <= asked * (1 + self.per_call) + self.size

    @invariant()
    def the_books_agree(self) -> None:
        """To the last part, and never more than its size or less than nothing."""
        stats = self.budget.stats()
        assert Fraction(str(self.budget.left)) == self.left
        assert 0 <= self.budget.left <= self.size
        assert stats.calls == self.calls
        assert stats.taken == self.repeats + self.waiting
        assert stats.refused == self.refused


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=150, stateful_step_count=50)
