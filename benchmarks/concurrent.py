"""``concurrent``: 50 callers × 20 rounds over one warm client, RTT 40 ms, TLS.

Each caller asks again as soon as it was answered. What is reported is the time to the
first output beyond one round trip and the server, at the 95th percentile of all calls: what
waiting for a connection, for the event loop and for a handshake adds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks import bare
from benchmarks.beyond import Made, beyond, dialled_in_call
from benchmarks.cold import MODEL, TEXT, VOICE, trust
from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate, goal, narrow
from voicekit import ElevenLabsClient, PoolConfig
from voicekit.emulator import EmulatorProcess, Link

RTT = 0.040
CALLERS, ROUNDS = 50, 20
LIMIT_MS = 5.0
TURNS = 5
"""How many times 50 × 20 calls make one sample: alone, each is either lucky with how its
callers bunch or not, and a median of such says little."""
MAX_RUNS = 100

Call = Callable[[str], Awaitable[float]]
"""Speaks a text and returns when its first audio came."""


def run() -> Result:
    result = Result("concurrent")
    seen: dict[str, list[float]] = {name: [] for name in SIDES}
    dialled: dict[str, list[int]] = {name: [] for name in SIDES}
    with EmulatorProcess(
        providers=("elevenlabs",), tls=True, link=Link(rtt=RTT), scenario="instant"
    ) as world:
        for name, side in SIDES.items():
            # The others stand beside ours, for the reader; once is enough to see.
            runs, turns = (MAX_RUNS, TURNS) if name == "voicekit" else (1, 1)
            asyncio.run(_measure(world, side, runs, turns, seen[name], dialled[name]))
    ours = sum(dialled["voicekit"])
    result.goals = [
        goal("p95 beyond 1 RTT and the server, ms", seen["voicekit"], LIMIT_MS),
        Goal("handshakes after warm-up", ours, (ours, ours), 0, "lower", ours == 0),
    ]
    result.rows = [
        {
            "side": name,
            "p95_ms": round(estimate(seen[name]).value, 2),
            "calls_that_waited_for_a_handshake": dialled[name][0],
            "runs": len(seen[name]),
        }
        for name in SIDES
    ]
    return result


async def _measure(
    world: Any, side: Any, runs: int, turns: int, seen: list[float], dialled: list[int]
) -> None:
    """Adds the 95th percentile in ms, and the calls that waited for a handshake, of each run."""
    world.clear_journal()
    async with side(world) as call:
        made: dict[str, Made] = {}

        async def caller(number: int) -> None:
            for turn in range(ROUNDS):
                text = f"{TEXT} {number} {turn}"
                started = time.monotonic()
                made[text] = Made(started, await call(text))

        connections = list(world.journal.connections)
        while len(seen) < runs and not (
            len(seen) >= MIN_PAIRS and narrow(estimate(seen), LIMIT_MS)
        ):
            shares, waited = [], 0
            for _ in range(turns):
                world.clear_journal()
                gc.collect()  # our own journals, and not in the middle of a turn
                await asyncio.gather(*(caller(number) for number in range(CALLERS)))
                journal = world.journal
                connections += journal.connections
                records = journal.requests_for("elevenlabs", "speech.stream")
                calls = [(made[each.json()["text"]], each) for each in records]
                shares += beyond(connections, journal.crossings, calls)
                waited += dialled_in_call(connections, calls)
            seen.append(sorted(shares)[int(0.95 * len(shares))] * 1000)
            dialled.append(waited)


@asynccontextmanager
async def _voicekit(world: Any) -> AsyncIterator[Call]:
    async with ElevenLabsClient(
        api_key="emulated",
        base_url=world.elevenlabs.url,
        voice=VOICE,
        ca=str(world.ca_file),
        pool=PoolConfig(max_connections=2 * CALLERS, max_idle=2 * CALLERS),
    ) as client:
        await client.warm(CALLERS, strict=True)
        # The last flight of a TLS 1.3 handshake reaches the server half a round trip later.
        await asyncio.sleep(5 * RTT)

        async def call(text: str) -> float:
            at = None
            async with client.stream_speech(text) as speech:
                async for _ in speech:
                    at = at or time.monotonic()
            return at or 0.0

        yield call


def _bare(make: Callable[[Any], aiohttp.ClientSession]) -> Any:
    @asynccontextmanager
    async def side(world: Any) -> AsyncIterator[Call]:
        url = f"{world.elevenlabs.url}/v1/text-to-speech/{VOICE}/stream?output_format=pcm_24000"
        headers = {"xi-api-key": "emulated", "Content-Type": "application/json"}
        async with make(trust(world)) as http:

            async def call(text: str) -> float:
                body = json.dumps({"text": text, "model_id": MODEL})
                at = None
                async with http.post(url, data=body, headers=headers) as response:
                    async for _ in response.content.iter_any():
                        at = at or time.monotonic()
                return at or 0.0

            yield call

    return side


def _default(ssl: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl))


def _twenty(ssl: Any) -> aiohttp.ClientSession:
    return bare.session(ssl=ssl)


SIDES = {
    "voicekit": _voicekit,
    "aiohttp, default session": _bare(_default),
    "aiohttp, 20 connections": _bare(_twenty),
}
