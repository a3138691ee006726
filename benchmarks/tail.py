"""``tail``: 2 % of replies come 2 s late; what hedging makes of the slowest calls, and its cost.

Twenty-five callers ask for speech whose first audio takes 75 to 125 ms, as the ``typical`` scenario
has it. Two of a hundred *requests*, second attempts included, are answered 2 s later than that,
drawn by the emulator with its seed. Our client has its default policies, with ``Hedge()`` in
place of the retry; beside it stands the same client without a hedge, in alternating blocks.
Nothing is left out: the hedge learns its delay in the first calls that are counted.

What is bounded is how far the 99th percentile lies beyond the 95th. Both are of all calls; the
interval is the order statistics that hold each of them with 95 % probability. The hedge
delay is the median of those that were in force, call by call. Requests are counted by the
emulator's journal.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.measure import WIDTH, Estimate, Goal, Result
from voicekit import ElevenLabsClient, PoolConfig
from voicekit.emulator import EmulatorProcess, Fault
from voicekit.emulator.scenario import SCENARIOS
from voicekit.events import Event, HedgeStarted
from voicekit.resilience import Hedge, Policies

VOICE = "21m00Tcm4TlvDq8ikWAM"
FORMAT = "mulaw_8000"
LATE_SHARE, LATE_S = 0.02, 2.0
CALLERS = 25
BLOCK = 1250
LEAST_CALLS, MOST_CALLS = 5000, 30_000
UNHEDGED_CALLS = 2500
REQUESTS_LIMIT = 4.0
"""Per cent more than calls."""


@dataclass(slots=True)
class Side:
    """What was seen of one client."""

    client: ElevenLabsClient
    seconds: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    requests: int = 0

    def on_event(self, event: Event) -> None:
        if isinstance(event, HedgeStarted):
            self.delays.append(event.after)


def run() -> Result:
    typical = SCENARIOS["typical"]
    scenario = replace(
        SCENARIOS["instant"], name="tail", speech_first_audio=typical.speech_first_audio
    )
    with EmulatorProcess(providers=("elevenlabs",), scenario=scenario) as world:
        late = Fault("late", operation="speech.stream", delay=LATE_S, share=LATE_SHARE, times=None)
        world.inject("elevenlabs", late)
        hedged, plain = asyncio.run(_measure(world))
    return _result(hedged, plain)


async def _measure(world: Any) -> tuple[Side, Side]:
    hedged = _side(world, Policies(hedge=Hedge(), retry=None))
    plain = _side(world, Policies(retry=None))
    try:
        for side in (hedged, plain):
            await side.client.warm(CALLERS, strict=True)
        while len(hedged.seconds) < LEAST_CALLS or not (
            len(hedged.seconds) >= MOST_CALLS or _narrow(hedged)
        ):
            await _block(world, hedged)
            if len(plain.seconds) < UNHEDGED_CALLS:
                await _block(world, plain)
    finally:
        await hedged.client.aclose()
        await plain.client.aclose()
    return hedged, plain


def _side(world: Any, policies: Policies) -> Side:
    seen: list[Side] = []

    class Forward:
        def on_event(self, event: Event) -> None:
            seen[0].on_event(event)

    client = ElevenLabsClient(
        api_key="emulated",
        base_url=world.elevenlabs.url,
        voice=VOICE,
        format=FORMAT,
        # Room for the second attempts of all callers, lest one waits for a connection.
        pool=PoolConfig(max_connections=3 * CALLERS, max_idle=2 * CALLERS),
        policies=policies,
        observers=[Forward()],
    )
    seen.append(Side(client))
    return seen[0]


async def _block(world: Any, side: Side) -> None:
    world.clear_journal()
    left = iter(range(BLOCK))

    async def caller() -> None:
        for _ in left:
            started = time.monotonic()
            first = None
            async with side.client.stream_speech("Hi.") as speech:
                async for _ in speech:
                    first = first or time.monotonic()
            if first is None:
                raise RuntimeError("no audio")
            side.seconds.append(first - started)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    journal = await asyncio.to_thread(lambda: world.journal)
    if journal.dropped:
        raise RuntimeError("the journal has forgotten some of the requests")
    side.requests += len(journal.requests_for("elevenlabs", "speech.stream"))


def percentile(samples: Sequence[float], share: float) -> Estimate:
    """A percentile, and the order statistics that hold it with 95 % probability."""
    ordered = sorted(samples)
    n = len(ordered)
    spread = 1.96 * math.sqrt(n * share * (1 - share))
    at = [math.floor(n * share - spread), math.ceil(n * share) - 1, math.ceil(n * share + spread)]
    low, value, high = (ordered[min(max(place, 0), n - 1)] for place in at)
    return Estimate(value, low, high)


def _beyond(side: Side) -> Estimate:
    """How far p99 lies beyond p95, in seconds.

    The errors of both add up as those of independent figures do. They are not independent, but
    err to the same side, so that their difference errs less than that.
    """
    p95, p99 = percentile(side.seconds, 0.95), percentile(side.seconds, 0.99)
    value = p99.value - p95.value
    low = value - math.hypot(p99.value - p99.low, p95.high - p95.value)
    high = value + math.hypot(p99.high - p99.value, p95.value - p95.low)
    return Estimate(value, low, high)


def _narrow(side: Side) -> bool:
    seen = _beyond(side)
    return seen.high - seen.low <= WIDTH * statistics.median(side.delays)


def _result(hedged: Side, plain: Side) -> Result:
    seen, delay_ms = _beyond(hedged), round(statistics.median(hedged.delays) * 1000, 1)
    low, value, high = (round(each * 1000, 1) for each in (seen.low, seen.value, seen.high))
    calls = len(hedged.seconds)
    more = round((hedged.requests / calls - 1) * 100, 2)
    return Result(
        "tail",
        [
            Goal(
                f"p99 beyond p95, ms (limit: the hedge delay; {calls} calls)",
                value,
                (low, high),
                delay_ms,
                "lower",
                low <= delay_ms and _narrow(hedged),
            ),
            Goal(
                "requests beyond calls, % (journal)",
                more,
                (more, more),
                REQUESTS_LIMIT,
                "lower",
                more <= REQUESTS_LIMIT,
            ),
        ],
        [_row("hedged", hedged), _row("not hedged", plain)],
    )


def _row(name: str, side: Side) -> dict[str, Any]:
    row: dict[str, Any] = {"side": name, "calls": len(side.seconds), "requests": side.requests}
    for share in (0.5, 0.95, 0.99, 0.999):
        seen = percentile(side.seconds, share)
        row[f"p{share * 100:g}_ms"] = round(seen.value * 1000, 1)
    if side.delays:
        row["hedges"] = len(side.delays)
        row["delay_ms"] = round(statistics.median(side.delays) * 1000, 1)
    return row
