"""A budget of repeats: what keeps retries and hedges from multiplying an outage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from voicekit.checks import wrong
from voicekit.resilience.guard import check, number

_TOKEN: Final = 1_000_000
"""One token in parts: whole numbers, since ten times 0.1 must be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStats:
    """What a budget has seen.

    Attributes:
        left: Repeats that could be paid for at once.
        size: The most that ``left`` can be.
        calls: How many calls paid in.
        taken: How many repeats were paid for.
        refused: How many were not.
    """

    left: float
    size: float
    calls: int
    taken: int
    refused: int


class Budget:
    """A bucket of repeats, filled by calls and not by time.

    It starts full. Each call pays ``per_call`` in, each repeat takes 1 out, whatever the
    outcome: so attempts ≤ calls × (1 + ``per_call``) + ``size``, over any span and in any order.
    When everything fails, the provider sees a tenth more than was asked, not three times as much;
    when little is asked, there is still enough for the odd failure.

    Belongs to one event loop. May be given to several policies, which then share it: that very one,
    in each operation of each client that has them. Where none is given, each scope has its own.

    Args:
        size: How many repeats it holds at most.
        per_call: What a call pays in.

    Raises:
        InvalidArgumentError: ``size`` or ``per_call`` is negative or not finite.
    """

    __slots__ = ("_calls", "_left", "_per_call", "_refused", "_size", "_taken")

    def __init__(self, size: float = 10.0, per_call: float = 0.1) -> None:
        self._size = _parts("size", size)
        self._per_call = _parts("per_call", per_call)
        self._left = self._size
        self._calls = self._taken = self._refused = 0

    @property
    def left(self) -> float:
        """Repeats that could be paid for now."""
        return self._left / _TOKEN

    def deposit(self) -> None:
        """A call begins. Once per call, not per attempt."""
        self._calls += 1
        self._left += self._per_call
        if self._left > self._size:
            self._left = self._size

    def take(self) -> bool:
        """Pay for one repeat; False when there is not enough left, and nothing changes."""
        if self._left < _TOKEN:
            self._refused += 1
            return False
        self._left -= _TOKEN
        self._taken += 1
        return True

    def give_back(self) -> None:
        """A repeat that was paid for was never sent."""
        self._taken -= 1
        self._left = min(self._size, self._left + _TOKEN)

    @property
    def settings(self) -> tuple[float, float]:
        """Its size, and what a call pays in."""
        return self._size / _TOKEN, self._per_call / _TOKEN

    def stats(self) -> BudgetStats:
        """A snapshot."""
        return BudgetStats(
            left=self.left,
            size=self._size / _TOKEN,
            calls=self._calls,
            taken=self._taken,
            refused=self._refused,
        )

    def __repr__(self) -> str:
        size, per_call = self.settings
        return f"budget {size:g} + {per_call:g}/call"


def _parts(argument: str, value: float) -> int:
    check(argument, value, 0 <= number(value) < math.inf, "a number ≥ 0")
    return math.floor(value * _TOKEN + 1e-6)  # down, but 28.999… is 29


PATTERN: Final = Budget()
"""Stands for "one of its own" where a budget is an argument's default."""


def own_or(given: Budget | None) -> Budget | None:
    """The budget that was given; a full one in place of the default."""
    if given is not None and not isinstance(given, Budget):
        raise wrong("budget", given, "a Budget, or None")
    return Budget() if given is PATTERN else given
