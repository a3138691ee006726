"""``outage``: what a failing provider sees of us, what its callers wait, and how soon it is over.

The client has its default policies: two repeats on a budget, and a breaker. The provider answers
503 to a tenth of the requests, drawn by the emulator with its seed, and then to all of them:

- **Amplification** is (requests − 10) ÷ calls, the 10 being what a full budget holds. Requests
  are counted by the emulator's journal. With all requests failing the breaker soon lets none
  through, so that the same is measured once more without it: the budget alone must hold.
- **Rejection** is the time from the call to its ``CircuitOpenError``, one caller, breaker open.
  Between two of them the caller pauses, as callers do: in a tight loop one of a hundred would be
  the one in which the machine turns to another process.
- **Recovery** is the time from the breaker's opening to its closing, the provider being well again
  at once and a caller asking every 20 ms. After the open period (5 s, up to a fifth less by
  chance) two probes must succeed, one after the other; no call is turned away by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from benchmarks.measure import Goal, Result, estimate, goal
from benchmarks.tail import percentile
from voicekit import ElevenLabsClient, PoolConfig
from voicekit.emulator import EmulatorProcess, Fault
from voicekit.errors import CircuitOpenError, VoicekitError
from voicekit.events import BreakerChanged, Event
from voicekit.resilience import DEFAULT_POLICIES, Policies

VOICE = "21m00Tcm4TlvDq8ikWAM"
CALLERS = 25
CALLS = 2000
HELD = 10
AMPLIFICATION_LIMIT = 1.1
REJECTIONS, REJECTION_LIMIT_MS = 2000, 1.0
REJECTION_PAUSE = 0.001
RECOVERIES = 5
OPEN_S, PROBES = 5.0, 2
PAUSE = 0.020


class Changes:
    """When the breaker changed its state."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, BreakerChanged):
            self.at[event.state] = event.at


def run() -> Result:
    result = Result("outage")
    with EmulatorProcess(providers=("elevenlabs",), scenario="instant") as world:
        asyncio.run(_measure(world, result))
    return result


async def _measure(world: Any, result: Result) -> None:
    await _amplification(world, result, "10 % errors", 0.1)
    await _amplification(world, result, "100 % errors", 1.0)
    await _amplification(
        world, result, "100 % errors, no breaker", 1.0, policies=Policies(breaker=None)
    )
    await _rejection(world, result)
    await _recovery(world, result)


def _client(world: Any, policies: Policies = DEFAULT_POLICIES, **options: Any) -> ElevenLabsClient:
    return ElevenLabsClient(
        api_key="emulated",
        base_url=world.elevenlabs.url,
        voice=VOICE,
        pool=PoolConfig(max_connections=2 * CALLERS, max_idle=2 * CALLERS),
        policies=policies,
        **options,
    )


async def _ask(client: ElevenLabsClient) -> None:
    async with client.stream_speech("Hi.") as speech:
        async for _ in speech:
            pass


def _break(world: Any, share: float) -> None:
    world.clear_faults()
    fault = Fault("status", operation="speech.stream", status=503, share=share, times=None)
    world.inject("elevenlabs", fault)


async def _amplification(
    world: Any,
    result: Result,
    name: str,
    share: float,
    policies: Policies = DEFAULT_POLICIES,
) -> None:
    _break(world, share)
    world.clear_journal()
    left = iter(range(CALLS))
    failed = rejected = 0
    async with _client(world, policies) as client:

        async def caller() -> None:
            nonlocal failed, rejected
            for _ in left:
                try:
                    await _ask(client)
                except CircuitOpenError:
                    rejected += 1
                    await asyncio.sleep(0)  # it comes so soon that nobody else would have a turn
                except VoicekitError:
                    failed += 1

        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(caller())
    world.clear_faults()
    requests = len(world.journal.requests_for("elevenlabs", "speech.stream"))
    seen = round((requests - HELD) / CALLS, 4)
    result.goals.append(
        Goal(
            f"{name}: (requests - {HELD}) ÷ calls",
            seen,
            (seen, seen),
            AMPLIFICATION_LIMIT,
            "lower",
            seen <= AMPLIFICATION_LIMIT,
        )
    )
    result.rows.append(
        {
            "outage": name,
            "calls": CALLS,
            "requests": requests,
            "failed": failed,
            "rejected": rejected,
        }
    )


async def _open(world: Any, client: ElevenLabsClient) -> None:
    """Let it fail until the breaker opens."""
    _break(world, 1.0)
    while client.breaker("stream_speech").state != "open":
        with suppress(VoicekitError):
            await _ask(client)


async def _rejection(world: Any, result: Result) -> None:
    took: list[float] = []
    async with _client(world) as client:
        while len(took) < REJECTIONS:
            await _open(world, client)
            before = len(world.journal.requests_for("elevenlabs", "speech.stream"))
            until = time.monotonic() + 0.6 * OPEN_S
            while len(took) < REJECTIONS and time.monotonic() < until:
                took.append(await _rejected(client) * 1000)
                await asyncio.sleep(REJECTION_PAUSE)
            asked = len(world.journal.requests_for("elevenlabs", "speech.stream")) - before
            if asked:
                raise RuntimeError(f"{asked} requests while the breaker was open")
    world.clear_faults()
    p99 = percentile(took, 0.99)
    result.goals += [
        goal("rejection while open, median, ms", took, REJECTION_LIMIT_MS),
        Goal(
            "rejection while open, p99, ms",
            round(p99.value, 3),
            (round(p99.low, 3), round(p99.high, 3)),
            REJECTION_LIMIT_MS,
            "lower",
            p99.low <= REJECTION_LIMIT_MS,
        ),
    ]
    result.rows.append({"rejections": len(took), "longest_ms": round(max(took), 3)})


async def _rejected(client: ElevenLabsClient) -> float:
    started = time.perf_counter()
    try:
        await client.stream_speech("Hi.")
    except CircuitOpenError:
        return time.perf_counter() - started
    raise RuntimeError("the breaker is not open")


async def _recovery(world: Any, result: Result) -> None:
    took: list[float] = []
    turned_away = 0
    for _ in range(RECOVERIES):
        seconds, rejected = await _recovered(world)
        took.append(seconds)
        turned_away += rejected
    async with _client(world) as client:
        call = await _slowest(lambda: _ask(client))
    # A probe takes what a call takes; the caller may have just begun its pause.
    limit = round(OPEN_S + PROBES * (PAUSE + call), 3)
    low, high = round(min(took), 3), round(max(took), 3)
    result.goals += [
        Goal(f"recovery, s, the slowest of {RECOVERIES}", high, (low, high), limit, "lower",
             high <= limit),
        Goal("calls turned away after the open period", turned_away, (turned_away, turned_away), 0,
             "lower", not turned_away),
    ]  # fmt: skip
    result.rows.append(
        {
            "recoveries": RECOVERIES,
            "median_s": round(estimate(took).value, 3),
            "slowest_call_ms": round(call * 1000, 1),
        }
    )


async def _recovered(world: Any) -> tuple[float, int]:
    """Seconds from the opening to the closing, and how many calls were refused too late."""
    changes = Changes()
    async with _client(world, observers=[changes]) as client:
        await _ask(client)
        await _open(world, client)
        world.clear_faults()
        breaker = client.breaker("stream_speech")
        over_at = time.monotonic() + (breaker.stats().retry_in or 0.0)
        turned_away = 0
        while breaker.state != "closed":
            asked_at = time.monotonic()
            try:
                await _ask(client)
            except CircuitOpenError:
                turned_away += asked_at > over_at
            await asyncio.sleep(PAUSE)
    return changes.at["closed"] - changes.at["open"], turned_away


async def _slowest(ask: Callable[[], Awaitable[None]]) -> float:
    """The slowest of a few ordinary calls, in seconds, the first of which dials."""
    took = []
    for _ in range(50):
        started = time.monotonic()
        await ask()
        took.append(time.monotonic() - started)
    return max(took)
