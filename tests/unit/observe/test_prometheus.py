"""What Prometheus reads: names by its conventions, and rules that name only what is there."""

from __future__ import annotations

import re
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from happening import WHERE, answered, ended, failed, started

pytest.importorskip("ddsketch", reason="ddsketch of an extra is not installed")
pytest.importorskip("prometheus_client", reason="prometheus_client of an extra is not installed")

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from voicekit import ConfigurationError, Metrics, PoolStats, events, health
from voicekit.observe import prometheus
from voicekit.testing.clock import virtual_time
from voicekit.timing import ConnectionInfo, Timings


class Client:
    provider = "elevenlabs"
    transport = 1

    def stats(self) -> PoolStats:
        return PoolStats(
            open=3, ready=2, leased=1, dialing=0, opened=5, reused=7, closed={}, idle_cutoff=50.0
        )

    async def warm(self, n: int) -> None:
        raise ConnectionError


CLIENT = Client()


def full() -> tuple[Metrics, Any]:
    """Metrics of everything that can happen, and a health that has looked."""
    metrics = Metrics(clients=[CLIENT])
    slow = Timings(queue=0.1, connect=0.05, tls=0.02, total=0.4)
    for event in (
        started(),
        ended(0.2),
        ended(timings=slow, connection=ConnectionInfo(reused=False)),
        failed("RateLimitError", 7.0),
        ended(result="cancelled"),
        events.FirstOutput(**WHERE, after=0.12),
        events.Waited(**WHERE, seconds=0.3),
        events.RetryScheduled(**WHERE, attempt=2, wait=0.1, error="X", outcome="unknown"),
        events.HedgeStarted(**WHERE, after=0.5),
        events.HedgeEnded(**WHERE, winner=2, loser_s=1.5),
        events.BreakerChanged(
            **WHERE, state="open", previous="closed", failure_rate=1, slow_rate=0, calls=10
        ),
        answered("hit"),
        answered("miss"),
        events.CacheStored(**WHERE, cache="speech", stored=True, size=10),
    ):
        metrics.on_event(event)
    metrics.observe_stage("total_time", 2.5)
    metrics.stage_failed("total_time")
    status = health(CLIENT)
    with virtual_time() as clock:
        clock.run(status.check())
    return metrics, status


def families() -> dict[str, Any]:
    metrics, status = full()
    text = prometheus.text(metrics, health=status)
    return {each.name: each for each in text_string_to_metric_families(text)}


def value(found: dict[str, Any], family: str, sample: str | None = None, **labels: str) -> float:
    matching = [
        each.value
        for each in found[family].samples
        if each.name == (sample or family) and labels.items() <= each.labels.items()
    ]
    assert len(matching) == 1, (family, labels, matching)
    return float(matching[0])


def test_the_values_are_those_of_the_metrics() -> None:
    """Counters, histograms whose buckets add up, and states."""
    found = families()
    for result, n in (("ok", 2), ("error", 1), ("cancelled", 1)):
        assert value(found, "voicekit_calls", "voicekit_calls_total", result=result) == n
    name = "voicekit_operation_seconds"
    assert value(found, name, f"{name}_bucket", le="0.2") == 1
    assert value(found, name, f"{name}_bucket", le="0.3") == 1
    assert value(found, name, f"{name}_bucket", le="+Inf") == 2
    assert value(found, name, f"{name}_count") == 2
    assert value(found, name, f"{name}_sum") == pytest.approx(0.6)
    errors = value(found, "voicekit_errors", "voicekit_errors_total", error="RateLimitError")
    assert errors == 1
    assert value(found, "voicekit_breaker_state", state="open") == 1
    assert value(found, "voicekit_breaker_state", state="closed") == 0
    hits = "voicekit_cache_requests"
    assert value(found, hits, f"{hits}_total", cache="speech", result="hit") == 1
    assert value(found, "voicekit_connections", client="elevenlabs", state="ready") == 2
    stages = "voicekit_stage_seconds"
    assert value(found, stages, f"{stages}_sum", stage="total_time") == 2.5
    assert value(found, "voicekit_client_state", client="elevenlabs", state="down") == 1
    assert value(found, "voicekit_client_availability_ratio", window="1h") == 0
    assert value(found, "voicekit_state", state="down") == 1


def test_a_series_is_there_once() -> None:
    """Also with stages of nearly the same name, and of names that need quoting."""
    metrics, status = full()
    for name in ("tts", "tts_time", "total", 'a "quoted"\\ name\nof two lines'):
        metrics.observe_stage(name, 1.0)
        metrics.stage_failed(name)
    for each in ("hit", "miss"):
        metrics.on_event(answered(each, cache="session"))
    text = prometheus.text(metrics, health=status)
    found = {each.name: each for each in text_string_to_metric_families(text)}
    samples = [
        (sample.name, *sorted(sample.labels.items()))
        for family in found.values()
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples)) > 100
    for name in ("tts", "tts_time"):
        assert value(found, "voicekit_stage_failures", "voicekit_stage_failures_total", stage=name)
    saved = found["voicekit_calls_saved"].samples
    assert {each.labels["cache"] for each in saved} == {"speech"}


def test_names_follow_the_conventions() -> None:
    """One prefix, base units, counters that end in ``_total``, few labels."""
    for name, family in families().items():
        assert re.fullmatch(r"voicekit_[a-z_]+", name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
            if family.type == "histogram":
                assert name.endswith("_seconds")
            assert set(sample.labels) <= {
                "provider", "operation", "result", "error", "state", "winner", "cache",
                "stage", "client", "window", "le",
            }  # fmt: skip


def test_it_is_bounded() -> None:
    """One operation is a bounded number of lines."""
    metrics, status = full()
    assert len(prometheus.text(metrics, health=status).splitlines()) < 500


def test_a_registry_of_ones_own() -> None:
    """As often as one likes, as in a notebook; nothing is asked when it is registered."""
    metrics, _ = full()
    for _ in range(2):
        registry = CollectorRegistry(auto_describe=True)
        registry.register(prometheus.Collector(metrics))
        name = "voicekit_calls_total"
        labels = {"provider": "elevenlabs", "operation": "synthesize", "result": "ok"}
        assert registry.get_sample_value(name, labels) == 2.0


def test_nothing_has_happened_yet() -> None:
    """An empty exposition is a good one, also before the first look."""
    text = prometheus.text(Metrics(), health=health(Client()))
    assert {each.name for each in text_string_to_metric_families(text)} >= {"voicekit_calls"}
    assert "client_state" not in text


def test_it_is_read_while_it_is_written() -> None:
    """A scrape from another thread disturbs nobody."""
    metrics = Metrics()
    stop = threading.Event()

    def scrape() -> None:
        while not stop.is_set():
            prometheus.text(metrics)

    reader = threading.Thread(target=scrape)
    reader.start()
    for n in range(3000):
        metrics.on_event(ended(0.1, operation=f"op{n % 30}"))
    stop.set()
    reader.join()
    found = {each.name: each for each in text_string_to_metric_families(prometheus.text(metrics))}
    assert sum(each.value for each in found["voicekit_calls"].samples) == 3000


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One typed error with the command that helps."""
    monkeypatch.setitem(sys.modules, "prometheus_client.metrics_core", None)
    for call in (lambda: prometheus.text(Metrics()), prometheus.content_type):
        with pytest.raises(ConfigurationError, match=r"pip install 'voicekit\[prometheus\]'"):
            call()


# -- the rules file -----------------------------------------------------------------------------


def test_the_rules_name_only_what_is_exposed() -> None:
    """Every metric and every label value of the rules is one that a scrape can bring."""
    rules = prometheus.rules()
    exposed = {sample.name for each in families().values() for sample in each.samples}
    named = set(re.findall(r"\bvoicekit_[a-z_]+", rules))
    assert len(named) > 8
    assert named <= exposed
    labels = {
        (name, value)
        for each in families().values()
        for sample in each.samples
        for name, value in sample.labels.items()
    }
    for name, said in re.findall(r'\b(\w+)="([^"]+)"', rules):
        assert (name, said) in labels


def test_the_rules_are_alerting_rules() -> None:
    """Each with a name of its own, an expression, a severity and a summary."""
    text = prometheus.rules()
    names = re.findall(r"^ +- alert: (Voicekit\w+)$", text, re.MULTILINE)
    assert len(set(names)) == len(names) >= 8
    for key in ("expr:", "labels: {severity:", "summary: "):
        assert text.count(key) == len(names)
    if find_spec("yaml") is None:
        return  # what follows needs a parser, which no extra brings
    import yaml  # type: ignore[import-untyped]

    (group,) = yaml.safe_load(text)["groups"]
    assert [rule["alert"] for rule in group["rules"]] == names
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
