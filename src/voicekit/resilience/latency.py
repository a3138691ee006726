"""How long an operation takes, as far as its last calls tell: pure arithmetic, no clock."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

WINDOW = 1000
"""Samples. Enough for a 97th percentile that means something (thirty lie beyond it), few enough
that a provider which has become faster or slower is known for it within a thousand calls."""


class RecentQuantile:
    """A quantile of the last ``window`` samples, exact at any time, in bounded memory.

    The samples are kept twice: in order of arrival, to know which to forget, and in order of
    size, to read the quantile off. A sample then costs two binary searches and two short moves
    of memory, the same each time; sorting only now and then would cost no less on average, and
    would hold up whichever call came just then.

    Args:
        quantile: Between 0 and 1, both excluded.
        least: Samples below which there is no answer.
        window: How many are remembered; ``least`` if that is more.
    """

    __slots__ = ("_arrived", "_by_size", "_least", "_place", "_quantile", "_window")

    def __init__(self, quantile: float, *, least: int = 1, window: int = WINDOW) -> None:
        self._quantile = quantile
        self._least = least
        self._window = max(window, least)
        self._arrived: deque[float] = deque()
        self._by_size: list[float] = []
        self._place = 0

    def add(self, seconds: float) -> None:
        """One more sample; the oldest is forgotten when there are too many."""
        arrived, by_size = self._arrived, self._by_size
        if len(arrived) >= self._window:
            del by_size[bisect_left(by_size, arrived.popleft())]
        else:
            # Rounded before it is rounded up: 0.07 * 100 is a little more than 7 in binary.
            rank = math.ceil(round(self._quantile * (len(arrived) + 1), 9))
            self._place = max(rank, 1) - 1
        arrived.append(seconds)
        insort(by_size, seconds)

    def __len__(self) -> int:
        return len(self._arrived)

    @property
    def value(self) -> float | None:
        """The smallest sample that no more than ``1 - quantile`` of them exceed.

        None while there are fewer than ``least``.
        """
        by_size = self._by_size
        return by_size[self._place] if len(by_size) >= max(self._least, 1) else None
