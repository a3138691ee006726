"""For which share of the last hour, or day, something was there; in bounded memory."""

from __future__ import annotations

from typing import Final

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

_WIDTH: Final = 300.0
_BUCKETS: Final = int(DAY / _WIDTH)
_HELD: Final = 300.0
"""Seconds for which a look is believed. What nobody looked at for longer is not known, and counts
neither way."""


class Availability:
    """Remembers a day in buckets of five minutes. Time is the caller's, and only goes forwards.

    A window that ends now begins at the edge of a bucket: up to five minutes later than asked.
    """

    __slots__ = ("_at", "_seen", "_ticks", "_up", "_was")

    def __init__(self) -> None:
        self._ticks = [-1] * _BUCKETS
        self._seen = [0.0] * _BUCKETS
        self._up = [0.0] * _BUCKETS
        self._at: float | None = None
        self._was = False

    def look(self, now: float, *, up: bool) -> None:
        """It is, or is not, there now; what it was before lasted until now."""
        if self._at is not None:
            begin, end = self._at, min(now, self._at + _HELD)
            while begin < end:
                tick = int(begin / _WIDTH)
                until = min(end, (tick + 1) * _WIDTH)
                if until <= begin:  # a rounding at the edge
                    break
                self._add(tick, until - begin)
                begin = until
        self._at = now if self._at is None else max(now, self._at)
        self._was = up

    def _add(self, tick: int, seconds: float) -> None:
        place = tick % _BUCKETS
        if self._ticks[place] != tick:
            self._ticks[place] = tick
            self._seen[place] = self._up[place] = 0.0
        self._seen[place] += seconds
        if self._was:
            self._up[place] += seconds

    def share(self, now: float, window: float) -> float | None:
        """Of the time that was looked at in the last ``window`` seconds, 0 to 1.

        Before any time has passed it is what the last look found; None without one.
        """
        if self._at is None:
            return None
        last = int(now / _WIDTH)
        first = last - max(int(window / _WIDTH), 1) + 1
        seen = up = 0.0
        for tick, seconds, there in zip(self._ticks, self._seen, self._up, strict=True):
            if first <= tick <= last:
                seen += seconds
                up += there
        return round(up / seen, 6) if seen else float(self._was)
