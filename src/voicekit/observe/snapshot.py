"""What ``Metrics`` has counted, as plain values."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from voicekit.observe.metrics_distribution import Distribution
from voicekit.observe.metrics_series import SESSIONS, Answers, hit_rate
from voicekit.observe.metrics_stages import STAGES
from voicekit.observe.process import process_summary
from voicekit.observe.snapshot_sources import bytes_of

if TYPE_CHECKING:
    from voicekit.observe.metrics import Metrics


def snapshot_of(metrics: Metrics) -> dict[str, Any]:
    """See ``Metrics.snapshot``."""
    metrics.settle()
    tick = metrics.tick()
    operations: dict[str, dict[str, Any]] = {}
    calls: Counter[str] = Counter()
    caches: dict[str, Answers] = {}
    # One at a time: who counts waits for one summary, not for all of them.
    for (provider, operation), series in list(metrics.series.items()):
        with metrics.lock:
            said = series.summary(tick)
            for name, answers in series.caches.items():
                caches.setdefault(name, Answers()).absorb(answers)
        operations.setdefault(provider, {})[operation] = said
        calls.update({name: said[name] for name in ("count", "ok", "failed", "cancelled")})
        calls["under_way"] += said["under_way"]
    metrics.settle()
    results: Counter[str] = Counter()
    for name, answers in caches.items():
        if name != SESSIONS:
            results.update(answers.results)
    pools, storages = metrics.sources.look()
    own = [pool for pool in pools.values() if not pool["shared"]]
    failed = calls["ok"] + calls["failed"]
    return {
        "since": metrics.since.isoformat(timespec="seconds"),
        "uptime_s": round(metrics.uptime, 3),
        "calls": {name: calls[name] for name in _CALLS},
        "error_rate": round(calls["failed"] / failed, 4) if failed else None,
        "operations": operations,
        **_stages(metrics, tick),
        "calls_saved": results["hit"] + results["joined"],
        "hit_rate": hit_rate(results),
        "caches": {name: each.summary() for name, each in caches.items()},
        "cache_bytes": bytes_of(storages),
        "storages": storages,
        "clients": pools,
        "connections": {name: sum(pool[name] for pool in own) for name in _CONNECTIONS},
        "warmed": {name: metrics.warmed[name] for name in ("runs", "opened", "reused", "failed")},
        "credentials": dict(metrics.credentials),
        "process": process_summary(),
    }


_CALLS = ("count", "ok", "failed", "cancelled", "under_way")


_CONNECTIONS = ("open", "ready", "leased", "dialing", "waiting", "opened", "reused")


def stage_distributions(metrics: Metrics) -> dict[str, Distribution]:
    """Those of the assistant, measured or else taken from the calls; and the application's."""
    found: dict[str, Distribution] = {}
    for stage, operations in STAGES.items():
        if (measured := metrics.stages.get(stage)) is not None:
            found[stage] = measured
            continue
        merged = found[stage] = Distribution()
        for (_, operation), series in list(metrics.series.items()):
            part = series.times.get(operations.get(operation, ""))
            if part is not None and part.count:
                merged.absorb(part)
    return found | {name: each for name, each in list(metrics.stages.items()) if name not in found}


def _stages(metrics: Metrics, tick: int) -> dict[str, Any]:
    with metrics.lock:
        stages = stage_distributions(metrics)
        said: dict[str, Any] = {
            name: {
                **each.summary(),
                "failed": metrics.stage_errors[name],
                "recent": each.recent(tick),
            }
            for name, each in stages.items()
        }
    metrics.settle()
    return {name: said.pop(name) for name in STAGES} | {"stages": said}
