"""The budget of repeats."""

from __future__ import annotations

import pytest

from voicekit.errors import InvalidArgumentError
from voicekit.resilience.budget import Budget


def test_it_starts_full() -> None:
    """Ten repeats at once, and no eleventh, which changes nothing."""
    budget = Budget()
    assert [budget.take() for _ in range(12)] == [True] * 10 + [False] * 2
    assert budget.left == 0
    stats = budget.stats()
    assert (stats.taken, stats.refused, stats.calls, stats.size) == (10, 2, 0, 10.0)


def test_ten_calls_pay_for_one_repeat() -> None:
    """Exactly: ten times 0.1 is one, which it is not in floating point."""
    budget = Budget()
    while budget.take():
        pass
    for _ in range(1000):
        for _ in range(9):
            budget.deposit()
            assert not budget.take()
        budget.deposit()
        assert budget.take()


def test_it_never_holds_more_than_its_size() -> None:
    """Neither by deposits nor by what is given back."""
    budget = Budget(2.0, 0.5)
    for _ in range(10):
        budget.deposit()
    assert budget.left == 2.0
    assert budget.take()
    budget.deposit()
    budget.deposit()
    budget.give_back()
    assert budget.left == 2.0
    assert budget.stats().taken == 0


def test_what_is_given_back_can_be_taken() -> None:
    """As if it had never been taken."""
    budget = Budget(1.0)
    assert budget.take()
    assert not budget.take()
    budget.give_back()
    assert budget.take()


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(), "budget 10 + 0.1/call"),
        (Budget(2.5, 0), "budget 2.5 + 0/call"),
    ],
)
def test_its_repr_is_part_of_a_sentence(budget: Budget, words: str) -> None:
    """Of the pipeline's."""
    assert repr(budget) == words


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "10"])
@pytest.mark.parametrize("name", ["size", "per_call"])
def test_bad_numbers(name: str, value: float) -> None:
    """Are refused by name."""
    with pytest.raises(InvalidArgumentError, match=name):
        Budget(**{name: value})


def test_nothing_is_a_budget_too() -> None:
    """That of no repeats at all."""
    budget = Budget(0, 0)
    budget.deposit()
    assert not budget.take()
