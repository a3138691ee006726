"""How many flushes a socket may still send. No I/O, no clock of its own.

The vendor obeys 20 flushes per 60 s on a socket and ignores the others, after a warning
that comes too late: what was flushed then would never be spoken.
"""

from __future__ import annotations

from collections import deque
from typing import Final

FLUSHES: Final = 20
"""Source: sheet §6."""

WINDOW_S: Final = 61.0
"""Seconds. The vendor's 60, and one for flushes that were longer under way than later ones."""


class FlushBudget:
    """Counts the flushes of one socket: ``most`` in a sliding window of so many seconds.

    Times are seconds of any monotonic clock, and do not decrease.
    """

    __slots__ = ("_most", "_spent", "_window")

    def __init__(self, most: int = FLUSHES, window: float = WINDOW_S) -> None:
        self._most = most
        self._window = window
        self._spent: deque[float] = deque()

    def left(self, now: float) -> int:
        """How many may be sent now."""
        spent = self._spent
        while spent and spent[0] <= now - self._window:
            spent.popleft()
        return self._most - len(spent)

    def wait(self, now: float, need: int = 1) -> float:
        """Seconds until ``need`` may be sent; 0.0 when they may be now.

        Raises:
            ValueError: It is more than there ever are.
        """
        if not 0 < need <= self._most:
            msg = f"need is {need}, of {self._most}"
            raise ValueError(msg)
        missing = need - self.left(now)
        if missing <= 0:
            return 0.0
        return max(0.0, self._spent[missing - 1] + self._window - now)

    def spend(self, now: float) -> None:
        """One was sent."""
        self.left(now)
        self._spent.append(now)

    def exhaust(self, now: float) -> None:
        """The vendor says that there are none left, whatever was counted."""
        for _ in range(self.left(now)):
            self._spent.append(now)
