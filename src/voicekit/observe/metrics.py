"""``Metrics``: counts and percentiles of everything that a client's events tell."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from voicekit import checks
from voicekit.observe.metrics_distribution import PART, Distribution, check_installed
from voicekit.observe.metrics_series import OTHER, Answers, Series, count_in
from voicekit.observe.metrics_stages import STAGES, StageTimer
from voicekit.observe.snapshot_sources import Sources

if TYPE_CHECKING:
    from voicekit import events

__all__ = ["Metrics"]

_MOST_STAGES: Final = 64


class Metrics:
    """Counts what happens, for ``/metrics``, for alerts, and for whoever asks where time goes.

    An observer: give it to each client, cache, ``fallback`` and ``spread``. One may be given to
    any number of them, in any number of threads and event loops. An event costs a few
    microseconds. Memory is bounded whatever comes: operations, errors, caches and stages that
    are too many are counted together as ``"other"``.

    Percentiles are those of Datadog's ``ddsketch`` (extra ``metrics``), within 1 % from 1 µs to
    10 days, however wide what was measured is. The times of one operation take some 80 kB when
    they are from 10 ms to 10 s, and 0.3 MB when they are spread over all of that.

    Args:
        clients: To look at in a snapshot: their connections. Held loosely; see ``watch``.
        caches: To look at in a snapshot: their entries and bytes.
        most_series: Operations of providers that are counted apart.
        clock: Monotonic seconds.

    Attributes:
        since: When it was made.
        lock: Held by who reads; for a moment only, since events wait for it.

    Raises:
        ConfigurationError: The ``metrics`` extra is not installed.
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> metrics = voicekit.Metrics()
        >>> tts = ElevenLabsClient(voice="…", observers=[metrics])
        >>> metrics.watch(tts)
        >>> with metrics.stage("total_time"):
        ...     await answer(message)
        >>> metrics.snapshot()["operations"]["elevenlabs"]["synthesize"]["duration"]["p95"]
        0.431
    """

    def __init__(
        self,
        *,
        clients: Iterable[Any] = (),
        caches: Iterable[Any] = (),
        most_series: int = 128,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_installed()
        self._most = checks.integer(1)("most_series", most_series)
        self._clock = clock
        self._began = clock()
        self.since = datetime.now(UTC)
        # What comes while somebody else counts waits here. A plain lock around all of it would
        # wait for itself: the collector may end a forgotten stream, which is an event, in the
        # middle of our counting.
        self._waiting: deque[events.Event] = deque()
        self.lock = threading.Lock()
        self._handlers = _handlers(self)
        self.series: dict[tuple[str, str], Series] = {}
        self.stages: dict[str, Distribution] = {}
        self.stage_errors: Counter[str] = Counter()
        self.warmed: Counter[str] = Counter()
        self.credentials: dict[str, str] = {}
        self.sources = Sources()
        self.watch(*clients, *caches)

    # -- what comes --

    def on_event(self, event: events.Event, /) -> None:
        """Count one event. From any thread."""
        if type(event) in self._handlers:
            self._waiting.append(event)
            self.settle()

    def settle(self) -> None:
        """Count what came while somebody else counted or read."""
        waiting = self._waiting
        while waiting and self.lock.acquire(blocking=False):
            try:
                tick = self.tick()
                while waiting:
                    event = waiting.popleft()
                    self._handlers[type(event)](event, tick)
            finally:
                self.lock.release()

    def observe_stage(self, name: str, seconds: float) -> None:
        """A stage of the application took so long.

        Args:
            name: Few different ones. ``total_time`` and the like are keys of the snapshot.
            seconds: How long.

        Raises:
            InvalidArgumentError: ``name`` is no name, or ``seconds`` no duration.
        """
        name = _named(name)
        seconds = checks.number(0.0, 1e6)("seconds", seconds)
        with self.lock:
            self._stage(name).add(seconds, self.tick())
        self.settle()

    def stage(self, name: str) -> StageTimer:
        """Measure a block: ``with metrics.stage("total_time"): …``.

        A block that raises is counted as failed, and its time is not among the others; one that
        is cancelled is not counted.

        Raises:
            InvalidArgumentError: ``name`` is no name.
        """
        return StageTimer(self, _named(name), self._clock)

    def stage_failed(self, name: str) -> None:
        """A stage of the application failed.

        Raises:
            InvalidArgumentError: ``name`` is no name.
        """
        name = _named(name)
        with self.lock:
            self._stage(name)  # one that never succeeds is shown as well
            self.stage_errors[name if name in self.stages else OTHER] += 1
        self.settle()

    def watch(self, *things: Any, **named: Any) -> None:
        """Look at clients, caches and storages in each snapshot, under their provider's name.

        Nothing is kept alive for it. Wrappers are looked through.

        Args:
            *things: Whatever has ``stats()``.
            **named: The same, under names of your own.

        Raises:
            InvalidArgumentError: One of them has no ``stats()``.
        """
        with self.lock:
            for thing in things:
                self.sources.add(thing)
            for name, thing in named.items():
                self.sources.add(thing, name)

    def tick(self) -> int:
        """The part of the past that is now."""
        return int(self._clock() / PART)

    @property
    def uptime(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._began

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain values, which ``json.dumps`` takes. From any thread; no I/O.

        Keys: ``operations`` by provider and operation, each with count, average, min, max, p50,
        p95 and p99 in seconds, errors apart, and the ``recent`` last minutes; ``caches``,
        ``hit_rate``, ``calls_saved`` and ``cache_bytes``; ``stages``, and of these always
        ``download_time``, ``stt_time``, ``agentforce_time``, ``tts_time`` and ``total_time``;
        ``clients`` (connections), ``process``, ``uptime_s``. Uses of a ``SessionStore`` are among
        the ``caches``, and neither in the ``hit_rate`` nor in the ``calls_saved``.

        The stages are the application's own where it measures them (``stage``,
        ``observe_stage``), else what the calls took: media downloads, transcriptions, an agent's
        answers, speech.
        """
        from voicekit.observe.snapshot import snapshot_of

        return snapshot_of(self)

    def __repr__(self) -> str:
        return f"<Metrics of {len(self.series)} operations, {self.uptime:.0f} s>"

    # -- counting, with the lock held --

    def of(self, event: events.Event) -> Series:
        """The series that an event belongs to."""
        key = (event.provider, event.operation)
        found = self.series.get(key)
        if found is None:
            if len(self.series) >= self._most:
                key = (OTHER, OTHER)
            found = self.series.get(key)
            if found is None:
                found = self.series[key] = Series()
        return found

    def _stage(self, name: str) -> Distribution:
        found = self.stages.get(name)
        if found is None:
            if len(self.stages) >= _MOST_STAGES and name not in STAGES:
                name = OTHER
            found = self.stages.get(name)
            if found is None:
                found = self.stages[name] = Distribution()
        return found

    def _started(self, event: Any, _tick: int) -> None:
        self.of(event).under_way += 1

    def _ended(self, event: Any, tick: int) -> None:
        self.of(event).ended(event, tick)

    def _took(self, name: str, fact: str, event: Any, tick: int) -> None:
        self.of(event).add(name, getattr(event, fact), tick)

    def _met(self, meter: str, event: Any, _tick: int) -> None:
        self.of(event).events[meter] += 1

    def _hedge_ended(self, event: Any, _tick: int) -> None:
        series = self.of(event)
        series.hedges[_WINNERS.get(event.winner, "nobody")] += 1
        series.hedge_loser_s += event.loser_s

    def _reconnected(self, event: Any, _tick: int) -> None:
        series = self.of(event)
        series.events["reconnects"] += 1
        series.lost_s += event.lost

    def _breaker(self, event: Any, _tick: int) -> None:
        series = self.of(event)
        series.breaker = event.state
        series.events["breaker_changes"] += 1
        series.events["breaker_opened"] += event.state == "open"

    def _limit(self, event: Any, _tick: int) -> None:
        series = self.of(event)
        series.limit = event.limit
        series.events["limit_changes"] += 1

    def _credential(self, event: Any, _tick: int) -> None:
        if event.provider in self.credentials or len(self.credentials) < self._most:
            self.credentials[event.provider] = event.state

    def _answered(self, event: Any, _tick: int) -> None:
        answers: Answers = self.of(event).answers(event.cache)
        count_in(answers.results, event.result)
        if event.result == "hit":
            answers.served += event.size

    def _stored(self, event: Any, _tick: int) -> None:
        answers: Answers = self.of(event).answers(event.cache)
        answers.stored["stored" if event.stored else "refused"] += 1
        if event.stored:
            answers.kept += event.size

    def _chosen(self, event: Any, _tick: int) -> None:
        series = self.of(event)
        count_in(series.members, event.member)
        if event.reason == "failed_over":
            series.events["failovers"] += 1

    def _warmed(self, event: Any, _tick: int) -> None:
        self.warmed.update(runs=1, opened=event.opened, reused=event.reused, failed=event.failed)


def _named(stage: str) -> str:
    """As JSON and Prometheus can carry it."""
    return checks.encodable("name", checks.text_up_to(100)("name", stage))


_WINNERS: Final = {1: "first", 2: "second"}


def _handlers(metrics: Metrics) -> dict[type, Callable[[Any, int], None]]:
    from voicekit.events import records

    return {
        records.CallStarted: metrics._started,
        records.CallEnded: metrics._ended,
        records.FirstOutput: partial(metrics._took, "first_output", "after"),
        records.Waited: partial(metrics._took, "queue", "seconds"),
        records.RetryScheduled: partial(metrics._met, "retries"),
        records.HedgeStarted: partial(metrics._met, "hedges"),
        records.HedgeEnded: metrics._hedge_ended,
        records.SpeechResumed: partial(metrics._met, "resumes"),
        records.Reconnected: metrics._reconnected,
        records.BreakerChanged: metrics._breaker,
        records.LimitChanged: metrics._limit,
        records.CredentialCircuitChanged: metrics._credential,
        records.CacheAnswered: metrics._answered,
        records.CacheStored: metrics._stored,
        records.MemberChosen: metrics._chosen,
        records.MemberFailed: partial(metrics._met, "member_failures"),
        records.Warmed: metrics._warmed,
    }
