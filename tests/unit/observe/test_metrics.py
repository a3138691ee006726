"""What is counted of which event, how exactly, in how much memory, and at what cost."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from happening import WHERE, Clock, answered, ended, failed, started

pytest.importorskip("ddsketch", reason="ddsketch of an extra is not installed")

from voicekit import ConfigurationError, InvalidArgumentError, Metrics, events
from voicekit.observe.metrics_distribution import Distribution
from voicekit.observe.metrics_series import MOST_NAMES
from voicekit.timing import ConnectionInfo, Timings


def seen_of(metrics: Metrics) -> dict[str, Any]:
    said: dict[str, Any] = metrics.snapshot()["operations"]["elevenlabs"]["synthesize"]
    return said


def test_an_operation_has_its_percentiles() -> None:
    """Count, average, min and max exactly; p50, p95 and p99 within one per cent."""
    metrics = Metrics()
    values = [random.Random(n).lognormvariate(-1, 1) for n in range(5000)]
    for value in values:
        metrics.on_event(ended(value))
    seen = seen_of(metrics)["duration"]
    values.sort()
    assert seen["count"] == 5000
    assert seen["average"] == pytest.approx(sum(values) / 5000, abs=1e-6)
    assert seen["min"] == pytest.approx(values[0], abs=1e-6)
    assert seen["max"] == pytest.approx(values[-1], abs=1e-6)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert seen[name] == pytest.approx(values[int(share * 4999)], rel=0.011)


def _nearly(values: list[float], share: float) -> Any:
    return pytest.approx(sorted(values)[int(share * (len(values) - 1))], rel=0.01, abs=1e-9)


def test_hits_of_a_cache_before_what_is_slow_are_told_as_well() -> None:
    """70 % take 60 µs, the others seconds: each percentile is within its 1 %, recent or not."""
    metrics, rng = Metrics(), random.Random(1)
    values = [
        rng.uniform(40e-6, 80e-6) if n % 10 < 7 else rng.uniform(2.0, 9.0) for n in range(1001)
    ]
    for value in values:
        metrics.observe_stage("tts_time", value)
    stage = metrics.snapshot()["tts_time"]
    for seen in (stage, stage["recent"]):
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            assert seen[name] == _nearly(values, share)


def test_the_promise_holds_from_a_microsecond_on() -> None:
    """Whatever is among them: nothing at all, and days; also in what several operations sum to."""
    rng = random.Random(1)
    values = [10.0 ** rng.uniform(-6, 3.6) for _ in range(1000)] + [0.0, 1e-9, 9e5]
    one, two = Distribution(), Distribution()
    for number, value in enumerate(values):
        (one, two)[number % 2].add(value, 0)
    one.absorb(two)
    for seen in (one.summary(), one.recent(0)):
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            assert seen[name] == _nearly(values, share)
    least = Distribution()
    for value in (1e-6, 1.4e-6, 2e-6, 9.9e5):
        least.add(value, 0)
    assert least.summary()["p50"] == pytest.approx(1.4e-6, rel=0.01)


def test_the_widest_distribution_takes_what_is_said() -> None:
    """0.3 MB for the whole, when every bin of every part is in use."""
    Distribution().add(1.0, 0)  # imports what it needs
    gc.collect()
    tracemalloc.start()
    try:
        widest = Distribution()
        for tick in range(5):
            for number in range(2800):
                widest.add(1e-6 * 1.01**number, tick)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 300_000


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 4e-5, 0.25, 90.0])
def test_of_one_value_everything_is_that_value(seconds: float) -> None:
    """The middle of a bin is not shown for what was seen; from cache hits to agents."""
    metrics = Metrics()
    metrics.on_event(ended(seconds))
    seen = seen_of(metrics)["duration"]
    assert seen == {"count": 1} | dict.fromkeys(
        ("average", "min", "max", "p50", "p95", "p99"), pytest.approx(seconds, abs=1e-9)
    )


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e7])
def test_what_is_no_duration_spoils_nothing(seconds: float) -> None:
    """A clock that jumped is not in the average."""
    metrics = Metrics()
    metrics.on_event(ended(seconds))
    metrics.on_event(ended(0.5))
    assert seen_of(metrics)["duration"]["max"] == 0.5
    assert seen_of(metrics)["ok"] == 2


def test_errors_and_cancelled_calls_are_apart() -> None:
    """By class; what was given up is neither; neither is in the durations of what succeeded."""
    metrics = Metrics()
    for event in (ended(0.1), failed("RateLimitError", 9), failed("ConnectError", 8)):
        metrics.on_event(event)
    metrics.on_event(failed("RateLimitError", 7))
    metrics.on_event(ended(30, result="cancelled", error="CancelledError"))
    seen = seen_of(metrics)
    assert (seen["count"], seen["ok"], seen["failed"], seen["cancelled"]) == (5, 1, 3, 1)
    assert seen["errors"] == {"RateLimitError": 2, "ConnectError": 1}
    assert seen["error_rate"] == 0.75
    assert seen["duration"]["max"] == 0.1
    assert seen["failed_duration"]["count"] == 3
    whole = metrics.snapshot()
    assert whole["calls"] == {"count": 5, "ok": 1, "failed": 3, "cancelled": 1, "under_way": 0}
    assert whole["error_rate"] == 0.75


def test_under_way_is_what_has_not_ended() -> None:
    """And never below zero, for a call that is older than the metrics."""
    metrics = Metrics()
    metrics.on_event(ended())
    metrics.on_event(started())
    metrics.on_event(started())
    metrics.on_event(ended())
    assert seen_of(metrics)["under_way"] == 1


def test_what_happened_on_the_way() -> None:
    """Each event has its number."""
    metrics = Metrics()
    cold = Timings(queue=0.2, connect=0.03, tls=0.02, total=0.5)
    for event in (
        events.FirstOutput(**WHERE, after=0.2),
        ended(timings=cold, attempts=3, connection=ConnectionInfo(reused=False)),
        ended(),
        events.Waited(**WHERE, seconds=0.4),
        events.RetryScheduled(**WHERE, attempt=2, wait=0.1, error="X", outcome="unknown"),
        events.HedgeStarted(**WHERE, after=0.5),
        events.HedgeEnded(**WHERE, winner=2, loser_s=1.5),
        events.HedgeEnded(**WHERE, winner=None, loser_s=0.5),
        events.SpeechResumed(**WHERE, sentence=1, delivered_bytes=9, error="X"),
        events.Reconnected(**WHERE, attempt=1, outage=0.4, lost=0.25, replayed=0, error="X"),
        events.BreakerChanged(
            **WHERE, state="open", previous="closed", failure_rate=1, slow_rate=0, calls=10
        ),
        events.LimitChanged(**WHERE, limit=5, previous=None, cause="told"),
        events.MemberChosen(**WHERE, member="deepgram", reason="failed_over"),
        events.MemberFailed(**WHERE, member="elevenlabs", error="X"),
        events.Warmed(**WHERE, opened=2, reused=1, failed=1, elapsed=0.1),
        events.CredentialCircuitChanged(**WHERE, state="open", previous="closed"),
        events.PoolOpened(**WHERE, host="h", max_connections=2, shared=False),  # counts nowhere
    ):
        metrics.on_event(event)
    seen = seen_of(metrics)
    assert seen["first_output"]["max"] == 0.2
    assert seen["connect"]["max"] == 0.05
    assert seen["connect"]["count"] == 1
    assert seen["pool_wait"]["max"] == 0.2
    assert seen["queue"]["max"] == 0.4
    assert {name: seen[name] for name in seen if isinstance(seen[name], int)} == {
        "count": 2,
        "ok": 2,
        "failed": 0,
        "cancelled": 0,
        "under_way": 0,
        "retries": 1,
        "hedges": 1,
        "resumes": 1,
        "reconnects": 1,
        "breaker_changes": 1,
        "breaker_opened": 1,
        "failovers": 1,
        "member_failures": 1,
        "limit_changes": 1,
        "warm_connections": 1,
        "new_connections": 1,
        "extra_attempts": 2,
        "limit": 5,
    }
    assert seen["hedges_ended"] == {"second": 1, "nobody": 1}
    assert seen["hedge_loser_s"] == 2.0
    assert seen["lost_audio_s"] == 0.25
    assert seen["breaker"] == "open"
    assert seen["members"] == {"deepgram": 1}
    whole = metrics.snapshot()
    assert whole["warmed"] == {"runs": 1, "opened": 2, "reused": 1, "failed": 1}
    assert whole["credentials"] == {"elevenlabs": "open"}


def test_caches_say_what_they_saved() -> None:
    """Hits and joined calls are saved ones; what may not be cached is not in the rate."""
    metrics = Metrics()
    for result in ("hit", "hit", "joined", "miss", "bypass"):
        metrics.on_event(answered(result, size=100))
    metrics.on_event(answered("miss", cache="response"))
    for kept in (True, False):
        metrics.on_event(events.CacheStored(**WHERE, cache="speech", stored=kept, size=50))
    seen = metrics.snapshot()
    assert seen["calls_saved"] == 3
    assert seen["hit_rate"] == 0.6
    assert seen["caches"]["speech"] == seen_of(metrics)["caches"]["speech"]
    assert seen["caches"]["speech"] == {
        "hit": 2,
        "joined": 1,
        "miss": 1,
        "bypass": 1,
        "hit_rate": 0.75,
        "stored": 1,
        "refused": 1,
        "bytes_served": 200,
        "bytes_stored": 50,
    }
    assert seen["caches"]["response"]["hit_rate"] == 0.0


def test_a_session_that_was_open_is_no_answer() -> None:
    """Each of its questions is asked: nothing is saved, whatever the store says of its uses."""
    metrics = Metrics()
    for result in ("miss", *["hit"] * 9):
        metrics.on_event(answered(result, cache="session", operation="open_session"))
    seen = metrics.snapshot()
    assert (seen["calls_saved"], seen["hit_rate"]) == (0, None)
    assert seen["caches"]["session"]["hit"] == 9
    metrics.on_event(answered("hit", cache="response"))
    metrics.on_event(answered("miss", cache="response"))
    seen = metrics.snapshot()
    assert (seen["calls_saved"], seen["hit_rate"]) == (1, 0.5)


def test_the_recent_past_forgets() -> None:
    """The last minutes by themselves, for alerts: an outage of yesterday is not in them."""
    clock = Clock()
    metrics = Metrics(clock=clock)
    for _ in range(10):
        metrics.on_event(failed())
        metrics.on_event(ended(4.0))
    assert seen_of(metrics)["recent"]["error_rate"] == 0.5
    assert seen_of(metrics)["recent"]["duration"]["p95"] == pytest.approx(4.0, rel=0.01)
    clock.now += 200
    metrics.on_event(ended(0.1))
    assert seen_of(metrics)["recent"]["count"] == 21
    clock.now += 200
    recent = seen_of(metrics)["recent"]
    assert (recent["count"], recent["error_rate"]) == (1, 0.0)
    assert recent["duration"]["p95"] == pytest.approx(0.1, rel=0.01)
    clock.now += 400
    recent = seen_of(metrics)["recent"]
    assert (recent["count"], recent["error_rate"], recent["duration"]["p50"]) == (0, None, None)
    assert seen_of(metrics)["count"] == 21


def test_a_snapshot_is_json_and_has_its_plain_keys() -> None:
    """Also of nothing: whoever reads it finds every key."""
    empty = Metrics().snapshot()
    json.dumps(empty, allow_nan=False)
    for key in ("download_time", "stt_time", "agentforce_time", "tts_time", "total_time"):
        assert empty[key]["count"] == 0
        assert empty[key]["average"] is None
    assert empty["hit_rate"] is None
    assert empty["cache_bytes"] == empty["calls_saved"] == 0
    assert empty["process"]["threads"] >= 1
    assert empty["uptime_s"] >= 0
    metrics = Metrics()
    for event in (ended(), failed(), answered("hit")):
        metrics.on_event(event)
    json.dumps(metrics.snapshot(), allow_nan=False)


def test_stages_are_taken_from_the_calls() -> None:
    """Download, transcription, agent and speech; of speech that streams, its first output."""
    metrics = Metrics()
    for operation, seconds in (
        ("download_media", 0.4),
        ("transcribe", 1.2),
        ("send", 2.0),
        ("stream_message", 3.0),
        ("synthesize", 0.6),
        ("stream_speech", 60.0),
        ("chat", 9.0),
    ):
        metrics.on_event(ended(seconds, operation=operation))
    metrics.on_event(events.FirstOutput(**WHERE | {"operation": "stream_speech"}, after=0.2))
    seen = metrics.snapshot()
    assert seen["download_time"]["average"] == 0.4
    assert seen["stt_time"]["average"] == 1.2
    assert seen["agentforce_time"]["average"] == 2.5
    assert (seen["tts_time"]["count"], seen["tts_time"]["average"]) == (2, 0.4)
    assert seen["total_time"]["count"] == 0
    assert seen_of(metrics)["duration"]["count"] == 1  # merging has changed nothing


def test_stages_measured_by_hand_win() -> None:
    """The application knows better; its own stages are beside them; failures are apart."""
    clock = Clock()
    metrics = Metrics(clock=clock)
    metrics.on_event(ended(9.0, operation="transcribe"))
    metrics.observe_stage("stt_time", 1.0)
    with metrics.stage("total_time"):
        clock.now += 3.5
    metrics.observe_stage("lookup", 0.1)
    with pytest.raises(KeyError), metrics.stage("total_time"):
        raise KeyError
    with pytest.raises(asyncio.CancelledError), metrics.stage("total_time"):
        raise asyncio.CancelledError
    seen = metrics.snapshot()
    assert seen["stt_time"]["average"] == 1.0
    assert (seen["total_time"]["count"], seen["total_time"]["p95"]) == (1, 3.5)
    assert seen["total_time"]["failed"] == 1
    assert seen["stages"]["lookup"]["average"] == 0.1
    assert seen["total_time"]["recent"]["count"] == 1


def test_bad_stages_are_refused() -> None:
    """What would spoil an average, or be a label without end."""
    metrics = Metrics()
    for name, seconds in (("", 1.0), ("x" * 101, 1.0), ("x", -1.0), ("x", float("nan"))):
        with pytest.raises(InvalidArgumentError):
            metrics.observe_stage(name, seconds)
    for name in ("", "a lone \udc80"):  # which no page of metrics can carry
        for refuses in (metrics.stage, metrics.stage_failed):
            with pytest.raises(InvalidArgumentError):
                refuses(name)
        with pytest.raises(InvalidArgumentError):
            metrics.observe_stage(name, 1.0)
    assert not metrics.stages
    with pytest.raises(InvalidArgumentError):
        Metrics(most_series=0)


def test_a_stage_that_is_shown_shows_its_failures() -> None:
    """However many stages fail: none is at 0 beside a count that nobody sees."""
    metrics = Metrics()
    for number in range(100):
        metrics.stage_failed(f"stage {number}")
    stages = metrics.snapshot()["stages"]
    assert stages["stage 50"]["failed"] == 1
    assert sum(each["failed"] for each in stages.values()) == 100


def test_memory_is_bounded_whatever_comes() -> None:
    """Labels without end are counted as other ones, and nothing is lost of the sum."""
    metrics = Metrics(most_series=20)
    rng = random.Random(1)

    def flood(n: int, names: int) -> None:
        for _ in range(n):
            name = f"n{rng.randrange(names)}"
            where = {"provider": name, "operation": name}
            metrics.on_event(ended(rng.lognormvariate(0, 3), **where))
            metrics.on_event(failed(f"Error{name}", **where))
            metrics.on_event(answered("miss", cache=name))
            metrics.on_event(answered(name))
            metrics.on_event(events.MemberChosen(**WHERE, member=name, reason="first"))
            metrics.observe_stage(name, 1.0)
            metrics.stage_failed(name)

    flood(2000, 10**6)
    gc.collect()
    tracemalloc.start()
    try:
        flood(6000, 10**6)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 300_000
    seen = metrics.snapshot()
    assert len(metrics.series) <= 21
    assert seen["calls"]["count"] == 16_000
    assert seen["operations"]["other"]["other"]["ok"] > 7000
    for names in ("errors", "caches", "members"):
        assert len(seen_of(metrics).get(names, {})) <= MOST_NAMES + 1
    assert len(seen["operations"]["other"]["other"]["errors"]) <= MOST_NAMES + 1
    assert len(seen["stages"]) <= 65
    assert len(json.dumps(seen)) < 500_000


def test_many_threads_lose_nothing() -> None:
    """Observers of several loops, and readers beside them."""
    metrics = Metrics()
    stop = threading.Event()

    def count() -> None:
        for _ in range(2000):
            metrics.on_event(started())
            metrics.on_event(ended(0.1))
            metrics.observe_stage("total_time", 0.1)

    def read() -> None:
        while not stop.is_set():
            metrics.snapshot()

    threads = [threading.Thread(target=count) for _ in range(4)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    seen = seen_of(metrics)
    assert (seen["ok"], seen["under_way"], seen["duration"]["count"]) == (8000, 0, 8000)
    assert metrics.snapshot()["total_time"]["count"] == 8000


def test_an_event_in_the_middle_of_counting_waits_its_turn() -> None:
    """The collector may end a forgotten stream while we count: no deadlock, nothing lost."""
    metrics = Metrics()

    class Reader(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            if not nested:
                nested.append(1)
                metrics.on_event(failed())
            return super().get(key, default)

    nested: list[int] = []
    metrics.series = Reader()
    metrics.on_event(ended())
    seen = seen_of(metrics)
    assert (seen["ok"], seen["failed"]) == (1, 1)


class Pooled:
    """Has statistics as a client has them."""

    provider = "elevenlabs"

    def __init__(self, stats: Any, **has: Any) -> None:
        self._stats = stats
        vars(self).update(has)

    def stats(self) -> Any:
        if isinstance(self._stats, Exception):
            raise self._stats
        return self._stats


def pool(**numbers: int) -> Any:
    from voicekit import PoolStats

    nothing = dict.fromkeys(("open", "ready", "leased", "dialing", "opened", "reused"), 0)
    return PoolStats(**nothing | numbers, closed={}, idle_cutoff=50.0)


def test_clients_and_caches_are_looked_at() -> None:
    """Connections and bytes; what two of them share counts once."""
    from voicekit.cache.storage import StorageStats

    transport, storage = object(), object()
    one = Pooled(pool(open=3, ready=2, leased=1), transport=transport)
    two = Pooled(pool(open=3, ready=2, leased=1), transport=transport)
    other = Pooled(pool(open=1, leased=1), transport=object())
    memory = StorageStats(kind="memory", entries=2, size=4096, hits=3)
    first, second = Pooled(memory, storage=storage), Pooled(memory, storage=storage)
    metrics = Metrics(clients=[one, two], caches=[first])
    metrics.watch(other, answers=second)
    for _ in range(300):
        metrics.watch(one)  # once more, and no more is remembered
    seen = metrics.snapshot()
    assert list(seen["clients"]) == ["elevenlabs", "elevenlabs-2", "elevenlabs-4"]
    assert seen["connections"]["open"] == 4
    assert seen["storages"]["answers"]["entries"] == 2
    assert seen["cache_bytes"] == 4096
    json.dumps(seen, allow_nan=False)


async def _kept(storage: Any, *, size: int = 1000) -> None:
    await storage.put("key", b"x" * size, ttl=60)


def test_storages_that_say_the_same_are_not_the_same() -> None:
    """Two of them that hold as much as each other are two."""
    from voicekit.cache import MemoryStorage

    one, two = MemoryStorage(), MemoryStorage()
    for each in (one, two):
        asyncio.run(_kept(each))
    metrics = Metrics(caches=[one, two])
    assert one.stats() == two.stats()
    assert metrics.snapshot()["cache_bytes"] == one.stats().size * 2


def test_a_storage_that_several_share_counts_once() -> None:
    """However it is asked, and whatever else its owners do."""
    from voicekit import ElevenLabsClient, MediaHost, OpenAIClient
    from voicekit.cache import MemoryStorage, ResponseCache, SpeechCache

    storage = MemoryStorage()
    owners = [
        SpeechCache(ElevenLabsClient("k" * 20, voice="v"), storage=storage),
        ResponseCache(OpenAIClient("k" * 20, model="m"), storage=storage),
        MediaHost("https://example.com/media", storage=storage),
    ]
    asyncio.run(_kept(storage))
    for caches in (owners, [storage, *owners], [*owners, storage]):
        metrics = Metrics(caches=caches)
        seen = metrics.snapshot()
        assert len(seen["storages"]) == len(caches)
        assert seen["cache_bytes"] == storage.stats().size


def test_wrappers_are_looked_through() -> None:
    """The connections are the members', wherever they are."""
    inner = Pooled(pool(open=1), transport=object())
    wrapper = Pooled(("member",), members={"a": inner, "b": Pooled(pool(open=2), transport=1)})
    metrics = Metrics()
    metrics.watch(tts=wrapper)
    seen = metrics.snapshot()
    assert list(seen["clients"]) == ["tts/a", "tts/b"]
    assert seen["connections"]["open"] == 3


def test_a_look_keeps_nothing_alive_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A client that is gone is left out; one whose statistics fail is logged by type."""
    metrics = Metrics()
    gone = Pooled(pool(open=1))
    broken = Pooled(RuntimeError("what it said"))
    metrics.watch(gone, broken=broken)
    del gone
    gc.collect()
    assert metrics.snapshot()["clients"] == {}
    assert "stats() of broken failed: RuntimeError" in caplog.text
    assert "what it said" not in caplog.text
    with pytest.raises(InvalidArgumentError, match="no stats"):
        metrics.watch(object())


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One typed error, at once, with the command that helps."""
    monkeypatch.setitem(sys.modules, "ddsketch.ddsketch", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'voicekit\[metrics\]'"):
        Metrics()
