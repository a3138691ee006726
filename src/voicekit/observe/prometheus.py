"""``Metrics`` as Prometheus reads them: extra ``prometheus``.

Names and labels are few and stay: provider, operation, and what a metric is about. Never an id, a
voice, a model or a text. Nothing is registered anywhere unless you do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicekit.errors import ConfigurationError
from voicekit.observe.metrics_distribution import EDGES, Distribution
from voicekit.observe.metrics_series import SESSIONS
from voicekit.observe.process import process_summary
from voicekit.observe.snapshot import stage_distributions
from voicekit.observe.snapshot_sources import bytes_of

if TYPE_CHECKING:
    from voicekit.observe.health_check import Health
    from voicekit.observe.health_report import ClientHealth
    from voicekit.observe.metrics import Metrics

__all__ = ["Collector", "content_type", "rules", "text"]

_HISTOGRAMS = {
    "duration": ("operation", "How long calls took that succeeded."),
    "failed": ("failed_operation", "How long calls took that failed."),
    "first_output": ("first_output", "From the start of a call to its first useful output."),
    "connect": ("connect", "DNS, TCP and TLS of calls that waited for a dial."),
    "pool_wait": ("pool_wait", "Waits for a free connection."),
    "queue": ("queue", "Waits for a place under the concurrency limit."),
}
_COUNTERS = {
    "retries": "Attempts that were repeated.",
    "hedges": "Second attempts beside a slow first one.",
    "resumes": "Speeches that went on after they broke off.",
    "reconnects": "Sessions that went on over another connection.",
    "breaker_opened": "Circuits that opened.",
    "failovers": "Calls that another member took over.",
    "warm_connections": "Calls over a connection that was ready.",
    "new_connections": "Calls that waited for a connection to be made.",
}
_BREAKERS = ("closed", "half_open", "open", "forced_open", "disabled")
_STATES = ("ok", "degraded", "down")
_CONNECTIONS = ("ready", "leased", "dialing", "waiting")


def _families() -> Any:
    try:
        import prometheus_client.metrics_core
    except ModuleNotFoundError:
        raise ConfigurationError(
            "Prometheus text needs the prometheus extra: pip install 'voicekit[prometheus]'"
        ) from None
    return prometheus_client.metrics_core


def text(metrics: Metrics, *, health: Health | None = None) -> str:
    """What Prometheus scrapes: its text format, as ``content_type()`` says. From any thread.

    Args:
        metrics: What is shown.
        health: Whose last report is shown as well. It is not asked to look.

    Raises:
        ConfigurationError: The ``prometheus`` extra is not installed.
    """
    collector = Collector(metrics, health=health)
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry).decode()


def content_type() -> str:
    """The content type of ``text``.

    Raises:
        ConfigurationError: The ``prometheus`` extra is not installed.
    """
    _families()
    from prometheus_client import CONTENT_TYPE_LATEST

    return str(CONTENT_TYPE_LATEST)


def rules() -> str:
    """Alerting rules for a Prometheus server, as YAML: for a file under its ``rule_files``."""
    return Path(__file__).with_name("voicekit.rules.yml").read_text("utf-8")


class Collector:
    """For a registry of your own: ``REGISTRY.register(Collector(metrics))``.

    Args:
        metrics: What is shown.
        health: Whose last report is shown as well.

    Raises:
        ConfigurationError: The ``prometheus`` extra is not installed.
    """

    def __init__(self, metrics: Metrics, *, health: Health | None = None) -> None:
        self._core = _families()
        self._metrics, self._health = metrics, health

    def describe(self) -> Iterable[Any]:
        """Nothing: so that a registry does not ask for everything when it is registered."""
        return ()

    def collect(self) -> Iterator[Any]:
        """All metric families, as of now."""
        yield from self._operations()
        yield from self._caches()
        yield from self._stages()
        yield from self._connections()
        yield from self._process()
        if self._health is not None:
            yield from self._clients(self._health)

    def _counter(self, name: str, help_: str, *labels: str) -> Any:
        return self._core.CounterMetricFamily(f"voicekit_{name}", help_, labels=labels)

    def _gauge(self, name: str, help_: str, *labels: str) -> Any:
        return self._core.GaugeMetricFamily(f"voicekit_{name}", help_, labels=labels)

    def _histogram(self, name: str, help_: str, *labels: str) -> Any:
        return self._core.HistogramMetricFamily(f"voicekit_{name}_seconds", help_, labels=labels)

    def _operations(self) -> Iterator[Any]:
        where = ("provider", "operation")
        calls = self._counter("calls", "Calls that ended, by how.", *where, "result")
        errors = self._counter("errors", "Calls that failed, by the error.", *where, "error")
        under_way = self._gauge("calls_under_way", "Calls that have not ended.", *where)
        breaker = self._gauge("breaker_state", "1 for the circuit's state.", *where, "state")
        hedged = self._counter("hedges_ended", "Hedges, by who won.", *where, "winner")
        wasted = self._counter("hedge_loser_seconds", "Time of attempts that lost.", *where)
        lost = self._counter("lost_audio_seconds", "Audio lost in reconnects.", *where)
        times = {
            name: self._histogram(metric, help_, *where)
            for name, (metric, help_) in _HISTOGRAMS.items()
        }
        counts = {name: self._counter(name, help_, *where) for name, help_ in _COUNTERS.items()}
        metrics = self._metrics
        metrics.settle()
        for key, series in list(metrics.series.items()):
            with metrics.lock:
                calls.add_metric([*key, "ok"], series.ok)
                calls.add_metric([*key, "error"], sum(series.errors.values()))
                calls.add_metric([*key, "cancelled"], series.cancelled)
                for error, n in series.errors.items():
                    errors.add_metric([*key, error], n)
                under_way.add_metric(key, series.under_way)
                if series.breaker is not None:
                    for state in _BREAKERS:
                        breaker.add_metric([*key, state], float(state == series.breaker))
                for winner, n in series.hedges.items():
                    hedged.add_metric([*key, winner], n)
                wasted.add_metric(key, series.hedge_loser_s)
                lost.add_metric(key, series.lost_s)
                for name, found in series.times.items():
                    _add(times[name], key, found)
                for name, counter in counts.items():
                    counter.add_metric(key, series.events[name])
        metrics.settle()
        yield from (calls, errors, under_way, breaker, hedged, wasted, lost)
        yield from times.values()
        yield from counts.values()

    def _caches(self) -> Iterator[Any]:
        where = ("provider", "operation", "cache")
        asked = self._counter("cache_requests", "What a cache answered.", *where, "result")
        stored = self._counter("cache_stored", "What was kept, or not.", *where, "result")
        saved = self._counter("calls_saved", "Calls that a cache made unnecessary.", *where)
        for (provider, operation), series in list(self._metrics.series.items()):
            with self._metrics.lock:
                for cache, answers in series.caches.items():
                    key = (provider, operation, cache)
                    for result, n in answers.results.items():
                        asked.add_metric([*key, result], n)
                    for result, n in answers.stored.items():
                        stored.add_metric([*key, result], n)
                    if cache != SESSIONS:
                        saved.add_metric(key, answers.saved)
        yield from (asked, stored, saved)

    def _stages(self) -> Iterator[Any]:
        times = self._histogram("stage", "Stages of the assistant.", "stage")
        failed = self._counter("stage_failures", "Stages that failed.", "stage")
        with self._metrics.lock:
            for name, each in stage_distributions(self._metrics).items():
                _add(times, (name,), each)
            for name, n in self._metrics.stage_errors.items():
                failed.add_metric([name], n)
        yield from (times, failed)

    def _connections(self) -> Iterator[Any]:
        pools, caches = self._metrics.sources.look()
        now = self._gauge("connections", "Connections, and callers who wait.", "client", "state")
        opened = self._counter("connections_opened", "Connections that were dialled.", "client")
        for name, pool in pools.items():
            if not pool["shared"]:
                for state in _CONNECTIONS:
                    now.add_metric([name, state], pool[state])
                opened.add_metric([name], pool["opened"])
        size = self._gauge("cache_bytes", "Bytes that caches hold in all.")
        size.add_metric([], bytes_of(caches))
        yield from (now, opened, size)

    def _process(self) -> Iterator[Any]:
        seen = process_summary()
        for name, key, help_ in (
            ("process_resident_memory_bytes", "rss_bytes", "Memory of the process."),
            ("process_tasks", "tasks", "Tasks of the event loop."),
            ("process_threads", "threads", "Threads of the process."),
            ("process_open_sockets", "open_sockets", "Sockets of the process."),
        ):
            if seen[key] is not None:
                family = self._gauge(name, help_)
                family.add_metric([], seen[key])
                yield family
        uptime = self._gauge("uptime_seconds", "Since the metrics were made.")
        uptime.add_metric([], self._metrics.uptime)
        yield uptime

    def _clients(self, health: Health) -> Iterator[Any]:
        report = health.latest
        if report is None:
            return
        state = self._gauge("client_state", "1 for the state of a client.", "client", "state")
        share = self._gauge(
            "client_availability_ratio", "Of the time that it was not down.", "client", "window"
        )
        for name, client in _all_of(report.clients, ""):
            for each in _STATES:
                state.add_metric([name, each], float(each == client.state))
            for window, ratio in client.availability.items():
                if ratio is not None:
                    share.add_metric([name, window], ratio)
        whole = self._gauge("state", "1 for the state of the application.", "state")
        for each in _STATES:
            whole.add_metric([each], float(each == report.state))
        yield from (state, share, whole)


def _all_of(clients: Any, path: str) -> Iterator[tuple[str, ClientHealth]]:
    for name, client in clients.items():
        yield f"{path}{name}", client
        yield from _all_of(client.members, f"{path}{name}/")


def _add(family: Any, labels: tuple[str, ...], seen: Distribution) -> None:
    buckets, below = [], 0
    for edge, n in zip((*map(str, EDGES), "+Inf"), seen.buckets, strict=True):
        below += n
        buckets.append((edge, below))
    family.add_metric(labels, buckets, sum_value=seen.total)
