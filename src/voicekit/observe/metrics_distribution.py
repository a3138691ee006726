"""How long something takes: exact sums, percentiles within 1 % from 1 µs on, in bounded memory.

The histogram is Datadog's ``ddsketch``: its error is relative, so that a cache's 50 µs and an
agent's 100 s are told equally well without choosing a range; it is pure Python (one wheel for
every version and system, 0.6 µs for a value); and its bins are bounded. ``hdrhistogram`` keeps as
well, but takes twice as long, is compiled, and brings setuptools and pbr: 9 MB instead of 0.1.
Buckets that add up over processes are counted beside it, for Prometheus.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from typing import Any, Final

from voicekit.errors import ConfigurationError

EDGES: Final = (
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0,
)  # fmt: skip
"""Upper bounds, in seconds, of the buckets that can be added up over processes: fine where cache
hits and first audio are, up to what an agent may take."""

PART: Final = 60.0
"""Seconds of one part of the recent past."""
PARTS: Final = 5
"""Parts of the recent past: the last four to five minutes."""

_ACCURACY: Final = 0.01
_BINS: Final = 1400
"""At this accuracy they span a factor of 1.4e12: from 0.7 µs to the longest that counts. With fewer
the *lowest* percentiles of what spans more are wrong, and those are the hits of a cache before
an agent. Bins are made as far as they are needed: 8 bytes for each from the least to the most,
24 more for one that is not empty. A distribution has six sketches, for all and the ``PARTS``.
Measured: 80 kB for 10 ms to 10 s, as with fewer bins; 0.3 MB at the very most."""
_LONGEST: Final = 1e6
"""Seconds. What claims to be longer is a clock that jumped."""


def check_installed() -> None:
    """Import the histograms, or say what to install."""
    try:
        import ddsketch.ddsketch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"Metrics needs the metrics extra ({error.name} is missing): "
            "pip install 'voicekit[metrics]'"
        ) from None


def _sketch() -> Any:
    from ddsketch.ddsketch import LogCollapsingLowestDenseDDSketch

    return LogCollapsingLowestDenseDDSketch(_ACCURACY, _BINS)


class Distribution:
    """Durations in seconds: since the beginning, and of the last minutes.

    Not for several threads at once; who owns it sees to that.

    Attributes:
        count: How many there were.
        total: Their sum.
        buckets: How many were in each bucket of ``EDGES``; the last is for what was longer.
    """

    __slots__ = ("_all", "_recent", "buckets", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least, self.most = math.inf, 0.0
        self.buckets = [0] * (len(EDGES) + 1)
        self._all = _sketch()
        self._recent: deque[tuple[int, Any]] = deque(maxlen=PARTS)

    def add(self, seconds: float, tick: int) -> None:
        """One more, of the part ``tick`` of the past: ``int(now / PART)``.

        What is no duration is left out.
        """
        if not 0.0 <= seconds < _LONGEST:
            return
        self.count += 1
        self.total += seconds
        if seconds < self.least:
            self.least = seconds
        if seconds > self.most:
            self.most = seconds
        self.buckets[bisect_left(EDGES, seconds)] += 1
        self._all.add(seconds)
        recent = self._recent
        if not recent or recent[-1][0] != tick:
            recent.append((tick, _sketch()))
        recent[-1][1].add(seconds)

    def absorb(self, other: Distribution) -> None:
        """Add all that another one has seen, recent or not; for a sum of several operations."""
        self.count += other.count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self._all.merge(other._all)
        parts: dict[int, Any] = {}
        for tick, part in (*self._recent, *other._recent):
            parts.setdefault(tick, _sketch()).merge(part)
        self._recent = deque(sorted(parts.items()), maxlen=PARTS)

    def summary(self) -> dict[str, float | int | None]:
        """Count, average, min, max, p50, p95 and p99 since the beginning; None of nothing."""
        if not self.count:
            return {"count": 0, **dict.fromkeys(("average", "min", "max", "p50", "p95", "p99"))}
        return {
            "count": self.count,
            "average": _rounded(self.total / self.count),
            "min": _rounded(self.least),
            "max": _rounded(self.most),
            **self._percentiles(self._all),
        }

    def recent(self, tick: int) -> dict[str, float | int | None]:
        """Count, average, p50, p95 and p99 of the last minutes, as of ``tick``."""
        parts = [part for at, part in self._recent if at > tick - PARTS]
        if not parts:
            return {"count": 0, **dict.fromkeys(("average", "p50", "p95", "p99"))}
        merged = _sketch()
        for part in parts:
            merged.merge(part)
        return {
            "count": int(merged.count),
            "average": _rounded(merged.sum / merged.count),
            **self._percentiles(merged),
        }

    def _percentiles(self, sketch: Any) -> dict[str, float]:
        # The middle of a bin may lie beyond what was ever seen.
        return {
            f"p{percent}": _rounded(
                min(max(sketch.get_quantile_value(percent / 100), self.least), self.most)
            )
            for percent in (50, 95, 99)
        }


def _rounded(seconds: float) -> float:
    return round(seconds, 9)  # 1 % of 1 µs is 10 ns
