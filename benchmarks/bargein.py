"""``bargein``: the turn after a cancelled one, beside an ordinary warm turn. RTT 40 ms, TLS.

A caller interrupts; the voice is cancelled in the middle; the next turn comes. On a
socket it may come at once. Over HTTP the cancelled stream's connection is gone, and another
is dialled off the caller's path, so that the next turn needs a moment to be warm: half a
second, which is less than anybody takes to speak.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from benchmarks.cold import VOICE
from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate, goal, narrow
from voicekit import ElevenLabsClient
from voicekit.emulator import EmulatorProcess, Link
from voicekit.emulator.scenario import SCENARIOS

RTT = 0.040
LIMIT_MS = 5.0
MAX_PAIRS = 60
HTTP_PAUSE = 0.5
TEXT = "This is the answer that somebody does not want to hear to its end. " * 4


def run() -> Result:
    result = Result("bargein")
    # As fast as twice real time, so that there is a middle to cancel in.
    scenario = replace(SCENARIOS["instant"], speech_real_time_factor=0.5)
    with EmulatorProcess(
        providers=("elevenlabs",), tls=True, link=Link(rtt=RTT), scenario=scenario
    ) as world:
        for name, pause, turn in (("socket", 0.0, _on_socket), ("HTTP", HTTP_PAUSE, _over_http)):
            asyncio.run(_measure(result, world, name, pause, turn))
    return result


Turn = Callable[[ElevenLabsClient, bool], Awaitable[tuple[float, bool]]]
"""Seconds to the first audio of a turn, which is then cancelled or heard to its end, and whether
its connection was warm."""


async def _measure(result: Result, world: Any, name: str, pause: float, turn: Turn) -> None:
    differences: list[float] = []
    ordinary_ms: list[float] = []
    async with ElevenLabsClient(
        api_key="emulated", base_url=world.elevenlabs.url, voice=VOICE, ca=str(world.ca_file)
    ) as client:
        await client.warm(2, strict=True)
        await turn(client, False)
        world.clear_journal()
        before, cold = client.stats().opened, 0
        for _ in range(MAX_PAIRS):
            ordinary, _ = await turn(client, False)
            await turn(client, True)
            await asyncio.sleep(pause)
            after, reused = await turn(client, False)
            cold += not reused
            differences.append((after - ordinary) * 1000)
            ordinary_ms.append(ordinary * 1000)
            if len(differences) >= MIN_PAIRS and narrow(estimate(differences), LIMIT_MS):
                break
        dialled = client.stats().opened - before
    label = f"{name}, {pause * 1000:g} ms after the cancel"
    result.goals.append(goal(f"{label}: beyond an ordinary warm turn, ms", differences, LIMIT_MS))
    result.goals.append(
        Goal(f"{label}: handshakes on the caller's path", cold, (cold, cold), 0, "lower", not cold)
    )
    result.rows.append(
        {
            "turn": label,
            "ordinary_ms": round(estimate(ordinary_ms).value, 2),
            "after_a_cancel_minus_ordinary_ms": round(estimate(differences).value, 2),
            "connections_dialled": dialled,
            "pairs": len(differences),
        }
    )


async def _on_socket(client: ElevenLabsClient, cancel: bool) -> tuple[float, bool]:
    started = time.monotonic()
    async with client.open_speech() as utterance:
        await utterance.send(TEXT if cancel else "Yes. ")
        await utterance.finish()
        first = None
        async for _ in utterance:
            first = first or time.monotonic()
            if cancel:
                await utterance.cancel()
    return (first or 0.0) - started, _warm(utterance)


async def _over_http(client: ElevenLabsClient, cancel: bool) -> tuple[float, bool]:
    started = time.monotonic()
    first = None
    async with client.stream_speech(TEXT if cancel else "Yes.") as speech:
        async for _ in speech:
            first = first or time.monotonic()
            if cancel:
                await speech.cancel()
    return (first or 0.0) - started, _warm(speech)


def _warm(handle: Any) -> bool:
    return bool(handle.connection and handle.connection.reused)
