"""What is counted of one operation of one provider."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from voicekit.observe.metrics_distribution import PARTS, Distribution

if TYPE_CHECKING:
    from voicekit import events

OTHER: Final = "other"
"""Stands for every name that came after there were too many."""
SESSIONS: Final = "session"
"""The cache whose hits are no answers: a session that was open already asks like a new one."""
MOST_NAMES: Final = 32
"""Of errors, caches or members that are counted apart in one operation."""


def count_in(names: Counter[str], name: str, n: int = 1) -> None:
    """Count ``name``, or ``OTHER`` when there are too many names already."""
    if name not in names and len(names) >= MOST_NAMES:
        name = OTHER
    names[name] += n


class Answers:
    """What a cache has answered, and kept.

    Attributes:
        results: By result: hit, joined, miss, bypass.
        stored: By whether it was kept: stored, refused.
        served: Bytes of hits.
        kept: Bytes that were stored.
    """

    __slots__ = ("kept", "results", "served", "stored")

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.served = self.kept = 0

    @property
    def saved(self) -> int:
        """Calls that were not made."""
        return self.results["hit"] + self.results["joined"]

    def absorb(self, other: Answers) -> None:
        """Add what another one has counted."""
        self.results.update(other.results)
        self.stored.update(other.stored)
        self.served += other.served
        self.kept += other.kept

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        names = ["hit", "joined", "miss", "bypass"]
        if self.results["repeated"]:
            names.append("repeated")  # of ``Once``; a cache has none
        return {
            **{name: self.results[name] for name in names},
            "hit_rate": hit_rate(self.results),
            "stored": self.stored["stored"],
            "refused": self.stored["refused"],
            "bytes_served": self.served,
            "bytes_stored": self.kept,
        }


def hit_rate(results: Counter[str]) -> float | None:
    """Share of those that might have been answered that were, 0 to 1; None of none."""
    saved = results["hit"] + results["joined"]
    asked = saved + results["miss"]
    return round(saved / asked, 4) if asked else None


class Series:
    """One operation of one provider.

    Attributes:
        under_way: Calls that have begun and not ended.
        ok: Calls that succeeded.
        cancelled: Calls that their caller gave up: neither well nor failed.
        errors: Calls that failed, by the type name of the error.
        times: Those of ``TIMES`` that there were.
        events: What happened beside: see ``METERS``.
        hedges: Those that ended, by who won: first, second, nobody.
        breaker: Its state, as far as it was told.
        limit: Calls that may be under way, as far as it was told.
        caches: In front of it, by name.
        members: That a wrapper asked, by name.
    """

    TIMES: Final = ("duration", "failed", "first_output", "connect", "pool_wait", "queue")
    """Of calls that succeeded; how long those took that failed; from the start of a call to its
    first useful output; DNS, TCP and TLS of calls that waited for a dial; waits for a free
    connection; waits for a place under the limit."""

    METERS: Final = (
        "retries",
        "hedges",
        "resumes",
        "reconnects",
        "breaker_changes",
        "breaker_opened",
        "failovers",
        "member_failures",
        "limit_changes",
        "warm_connections",
        "new_connections",
        "extra_attempts",
    )

    __slots__ = (
        "_recent",
        "breaker",
        "caches",
        "cancelled",
        "errors",
        "events",
        "hedge_loser_s",
        "hedges",
        "limit",
        "lost_s",
        "members",
        "ok",
        "times",
        "under_way",
    )

    def __init__(self) -> None:
        self.under_way = self.ok = self.cancelled = 0
        self.errors: Counter[str] = Counter()
        self.times: dict[str, Distribution] = {}
        self.events: Counter[str] = Counter()
        self.hedges: Counter[str] = Counter()
        self.hedge_loser_s = self.lost_s = 0.0
        self.breaker: str | None = None
        self.limit: int | None = None
        self.caches: dict[str, Answers] = {}
        self.members: Counter[str] = Counter()
        self._recent: deque[list[int]] = deque(maxlen=PARTS)  # tick, ok, failed, cancelled

    def add(self, name: str, seconds: float, tick: int) -> None:
        """One more duration of that name."""
        found = self.times.get(name)
        if found is None:
            found = self.times[name] = Distribution()
        found.add(seconds, tick)

    def ended(self, event: events.CallEnded, tick: int) -> None:
        """A call is over."""
        if self.under_way:  # a call may be older than we are
            self.under_way -= 1
        recent = self._recent
        if not recent or recent[-1][0] != tick:
            recent.append([tick, 0, 0, 0])
        timings = event.timings
        if event.result == "ok":
            self.ok += 1
            recent[-1][1] += 1
            if timings.total is not None:
                self.add("duration", timings.total, tick)
        elif event.result == "error":
            recent[-1][2] += 1
            count_in(self.errors, event.error or OTHER)
            if timings.total is not None:
                self.add("failed", timings.total, tick)
        else:
            self.cancelled += 1
            recent[-1][3] += 1
        if timings.queue:
            self.add("pool_wait", timings.queue, tick)
        dialed = timings.connect + timings.tls
        if dialed:
            self.add("connect", dialed, tick)
        if event.connection is not None:
            warm = event.connection.reused
            self.events["warm_connections" if warm else "new_connections"] += 1
        if event.attempts > 1:
            self.events["extra_attempts"] += event.attempts - 1

    def answers(self, cache: str) -> Answers:
        """Of the cache of that name."""
        found = self.caches.get(cache)
        if found is None:
            if len(self.caches) >= MOST_NAMES:
                cache = OTHER
            found = self.caches.setdefault(cache, Answers())
        return found

    def summary(self, tick: int) -> dict[str, Any]:
        """As plain values; what never happened is 0 or left out."""
        failed = sum(self.errors.values())
        said: dict[str, Any] = {
            "count": self.ok + failed + self.cancelled,
            "ok": self.ok,
            "failed": failed,
            "cancelled": self.cancelled,
            "under_way": self.under_way,
            "error_rate": _rate(self.ok, failed),
            "errors": dict(self.errors),
        }
        for name in self.TIMES:
            found = self.times.get(name)
            if found is not None or name == "duration":
                key = "failed_duration" if name == "failed" else name
                said[key] = (found or Distribution()).summary()
        said |= {name: self.events[name] for name in self.METERS}
        if self.hedges:
            said["hedges_ended"] = dict(self.hedges)
            said["hedge_loser_s"] = round(self.hedge_loser_s, 6)
        if self.events["reconnects"]:
            said["lost_audio_s"] = round(self.lost_s, 6)
        if self.breaker is not None:
            said["breaker"] = self.breaker
        if self.limit is not None:
            said["limit"] = self.limit
        if self.caches:
            said["caches"] = {name: each.summary() for name, each in self.caches.items()}
        if self.members:
            said["members"] = dict(self.members)
        said["recent"] = self._recently(tick)
        return said

    def _recently(self, tick: int) -> dict[str, Any]:
        parts = [part for part in self._recent if part[0] > tick - PARTS]
        ok, failed, cancelled = (sum(part[i] for part in parts) for i in (1, 2, 3))
        said: dict[str, Any] = {
            "count": ok + failed + cancelled,
            "ok": ok,
            "failed": failed,
            "cancelled": cancelled,
            "error_rate": _rate(ok, failed),
        }
        for name in ("duration", "first_output"):
            if name in self.times:
                said[name] = self.times[name].recent(tick)
        return said


def _rate(ok: int, failed: int) -> float | None:
    """Share of failed ones among those that were neither given up nor are under way."""
    return round(failed / (ok + failed), 4) if ok + failed else None
