"""What happened lately: calls, failures and slow ones of the last seconds. No clock, no I/O."""

from __future__ import annotations

from typing import Final

_BUCKETS: Final = 30
"""More is a finer slide: what is counted is between 29/30 and all of the window."""


class Window:
    """A sliding window of outcomes, in buckets that are forgotten one after the other.

    Adding costs the same whether a window holds ten calls or a million. Time is whatever the
    caller's clock says, and must not go backwards.

    Attributes:
        calls: Outcomes in the window, as of the last ``add`` or ``slide``.
        failures: Those of them that failed.
        slow: Those of them that took too long, failed or not.
    """

    __slots__ = ("_ring", "_tick", "_width", "calls", "failures", "slow")

    def __init__(self, span: float) -> None:
        self._width = span / _BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._ring: list[list[int] | None] = [None] * _BUCKETS
        self._tick = 0
        self.calls = self.failures = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """One call ended at ``now``, in seconds."""
        tick = int(now / self._width)
        if tick != self._tick:
            self._slide(tick)
        bucket = self._ring[tick % _BUCKETS]
        if bucket is None:
            bucket = self._ring[tick % _BUCKETS] = [0, 0, 0]
        bucket[0] += 1
        self.calls += 1
        if failed:
            bucket[1] += 1
            self.failures += 1
        if slow:
            bucket[2] += 1
            self.slow += 1

    def slide(self, now: float) -> None:
        """Forget what is older than the window at ``now``."""
        tick = int(now / self._width)
        if tick != self._tick:
            self._slide(tick)

    def _slide(self, tick: int) -> None:
        for passed in range(min(tick - self._tick, _BUCKETS)):
            place = (tick - passed) % _BUCKETS
            bucket = self._ring[place]
            if bucket is not None:
                self.calls -= bucket[0]
                self.failures -= bucket[1]
                self.slow -= bucket[2]
                self._ring[place] = None
        self._tick = tick

    @property
    def failure_rate(self) -> float:
        """Failed ones among the calls, 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_rate(self) -> float:
        """Slow ones among the calls, 0 to 1."""
        return self.slow / self.calls if self.calls else 0.0
