"""Interleaved pairs, medians with a 95 % interval, goals."""

from __future__ import annotations

import asyncio
import importlib.metadata
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MIN_PAIRS = 15
MAX_PAIRS = 150
WIDTH = 0.10
"""An interval wider than this share of the limit decides nothing."""

_PACKAGES = ("aiohttp", "httpx", "openai", "elevenlabs", "deepgram-sdk", "uvloop")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and its 95 % interval."""

    value: float
    low: float
    high: float


def estimate(samples: Sequence[float]) -> Estimate:
    """The median; the interval is the order statistics that hold it with 95 % probability."""
    ordered = sorted(samples)
    n = len(ordered)
    spread = 0.98 * math.sqrt(n)
    low = max(0, math.floor(n / 2 - spread))
    high = min(n - 1, math.ceil(n / 2 + spread))
    return Estimate(statistics.median(ordered), ordered[low], ordered[high])


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise and what was seen of it."""

    name: str
    value: float
    interval: tuple[float, float]
    limit: float
    better: Literal["lower", "higher"]
    ok: bool


def narrow(seen: Estimate, limit: float) -> bool:
    """Whether the interval is narrow enough to decide anything about ``limit``."""
    return seen.high - seen.low <= WIDTH * limit


def goal(name: str, samples: Sequence[float], limit: float) -> Goal:
    """Lower is better: missed when the interval lies beyond the limit, or is too wide to tell.

    Args:
        name: What is promised.
        samples: One number per pair.
        limit: What must not be exceeded.
    """
    seen = estimate(samples)
    ok = seen.low <= limit and narrow(seen, limit)
    return Goal(name, _short(seen.value), (_short(seen.low), _short(seen.high)), limit, "lower", ok)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


@dataclass(slots=True)
class Result:
    """What one benchmark found."""

    benchmark: str
    goals: list[Goal] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The JSON of ``--json``."""
        return {
            "benchmark": self.benchmark,
            "ok": all(goal.ok for goal in self.goals),
            "goals": [asdict(goal) for goal in self.goals],
            "rows": self.rows,
            "environment": environment(),
        }


def environment() -> dict[str, Any]:
    """Where the figures come from."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "loop": "asyncio",
        "versions": versions,
    }


Side = Callable[[], Awaitable[None]] | Callable[[], None]
"""One call of one side, asynchronous or blocking."""


class Bench:
    """Runs sides in turns on one event loop and one thread."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()

    def __enter__(self) -> Bench:  # noqa: PYI034
        self.runner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.runner.__exit__(None, None, None)

    def round(self, side: Side, calls: int) -> float:
        """CPU seconds of this process for each of ``calls`` calls."""
        if asyncio.iscoroutinefunction(side):

            async def many() -> float:
                started = time.process_time()
                for _ in range(calls):
                    await side()
                return time.process_time() - started

            return self.runner.run(many()) / calls
        started = time.process_time()
        for _ in range(calls):
            side()
        return (time.process_time() - started) / calls

    def ratios(
        self,
        ours: Side,
        others: dict[str, tuple[Side, float | None]],
        *,
        calls: int,
        min_pairs: int = MIN_PAIRS,
    ) -> dict[str, list[tuple[float, float]]]:
        """Pairs of (ours, other) CPU seconds, interleaved, for each of ``others``.

        The order within a pair alternates. Goes on until every interval is narrow
        enough for its limit, at most ``MAX_PAIRS`` times.
        """
        for side in (ours, *(side for side, _ in others.values())):
            self.round(side, max(3, calls // 10))  # imports, connections, caches
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in others}
        for turn in range(MAX_PAIRS):
            for name, (side, _) in others.items():
                if turn % 2:
                    mine, theirs = self.round(ours, calls), self.round(side, calls)
                else:
                    theirs, mine = self.round(side, calls), self.round(ours, calls)
                pairs[name].append((mine, theirs))
            if turn + 1 >= min_pairs and all(
                limit is None or _decided(pairs[name], limit) for name, (_, limit) in others.items()
            ):
                break
            _progress(turn)
        _progress(None)
        return pairs


def _decided(pairs: list[tuple[float, float]], limit: float) -> bool:
    return narrow(estimate([mine / theirs for mine, theirs in pairs]), limit)


def _progress(turn: int | None) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r" + (" " * 20 if turn is None else f"pair {turn + 1} …") + "\r")
        sys.stderr.flush()


def cpu_rows(pairs: dict[str, list[tuple[float, float]]], us: str) -> list[dict[str, Any]]:
    """A row per side: medians in microseconds, for people."""
    ours = [mine for values in pairs.values() for mine, _ in values]
    rows = [{"side": us, "cpu_us": _short(statistics.median(ours) * 1e6), "pairs": len(ours)}]
    rows += [
        {
            "side": name,
            "cpu_us": _short(statistics.median(other for _, other in values) * 1e6),
            "ours_over_it": _short(estimate([mine / other for mine, other in values]).value),
            "pairs": len(values),
        }
        for name, values in pairs.items()
    ]
    return rows
