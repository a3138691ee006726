"""``cold``: the first call of a warmed client, RTT 40 and 100 ms, TLS 1.3.

What is reported is the time to the first output beyond one round trip and the
server's own time; see ``beyond``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.beyond import Made, beyond
from benchmarks.measure import MIN_PAIRS, Result, estimate, goal, narrow
from voicekit import ElevenLabsClient, OpenAIClient
from voicekit.emulator import EmulatorProcess, Link

RTTS = (0.040, 0.100)
LIMIT_MS = 2.0
TEXT = "Hi."
MAX_PAIRS = 60
VOICE = "21m00Tcm4TlvDq8ikWAM"
MESSAGES = [{"role": "user", "content": "Hello"}]
MODEL = "eleven_flash_v2_5"

First = Callable[[], Awaitable[float]]
"""Makes one call and returns the point in time of its first output."""


def run() -> Result:
    result = Result("cold")
    for rtt in RTTS:
        with EmulatorProcess(
            providers=("elevenlabs", "openai"), tls=True, link=Link(rtt=rtt), scenario="instant"
        ) as world:
            for name, measure in (("speech", _speech), ("chat", _chat)):
                _measure(result, world, rtt, name, measure)
    return result


def _measure(result: Result, world: Any, rtt: float, name: str, measure: Any) -> None:
    firsts: list[float] = []
    steps: list[float] = []
    vendors: list[float] = []
    vendors_second: list[float] = []
    for turn in range(MAX_PAIRS):
        first, second = asyncio.run(measure(world, True))
        firsts.append(first * 1000)
        steps.append((first - second) * 1000)
        if turn < MIN_PAIRS:
            first, second = asyncio.run(measure(world, False))
            vendors.append(first * 1000)
            vendors_second.append(second * 1000)
        elif narrow(estimate(firsts), LIMIT_MS) and narrow(estimate(steps), LIMIT_MS):
            break
    label = f"{name}, RTT {rtt * 1000:.0f} ms"
    result.goals += [
        goal(f"{label}: first call beyond 1 RTT and the server, ms", firsts, LIMIT_MS),
        goal(f"{label}: first call beyond the second, ms", steps, LIMIT_MS),
    ]
    result.rows.append(
        {
            "call": label,
            "voicekit_first_ms": round(estimate(firsts).value, 2),
            "voicekit_first_minus_second_ms": round(estimate(steps).value, 2),
            "vendor_sdk_first_ms": round(estimate(vendors).value, 2),
            "vendor_sdk_second_ms": round(estimate(vendors_second).value, 2),
            "pairs": len(firsts),
        }
    )


async def _twice(world: Any, provider: str, call: First) -> tuple[float, float]:
    """Seconds of two calls up to their first output, round trip and server taken off."""
    calls = []
    for _ in range(2):
        started = time.monotonic()
        first = await call()
        calls.append((Made(started, first), world.journal.requests_for(provider)[-1]))
    journal = world.journal
    one, two = beyond(journal.connections, journal.crossings, calls)
    return one, two


async def _speech(world: Any, ours: bool) -> tuple[float, float]:
    if ours:
        async with ElevenLabsClient(
            api_key="emulated",
            base_url=world.elevenlabs.url,
            voice=VOICE,
            ca=str(world.ca_file),
        ) as client:
            await client.warm(1, strict=True)

            async def call() -> float:
                async with client.stream_speech(TEXT) as speech:
                    async for _ in speech:
                        at = time.monotonic()
                        break
                    async for _ in speech:
                        pass
                return at

            return await _twice(world, "elevenlabs", call)
    import httpx
    from elevenlabs import AsyncElevenLabs

    async with httpx.AsyncClient(verify=trust(world)) as http:
        vendor = AsyncElevenLabs(**world.sdk("elevenlabs"), httpx_client=http)

        async def vendor_call() -> float:
            at = None
            async for _ in vendor.text_to_speech.stream(
                VOICE, text=TEXT, model_id=MODEL, output_format="pcm_24000"
            ):
                at = at or time.monotonic()
            return at or 0.0

        return await _twice(world, "elevenlabs", vendor_call)


async def _chat(world: Any, ours: bool) -> tuple[float, float]:
    if ours:
        async with OpenAIClient(
            api_key="emulated",
            base_url=world.openai.url,
            model="emulated",
            ca=str(world.ca_file),
        ) as client:
            await client.warm(1, strict=True)

            async def call() -> float:
                at = None
                async with client.stream_chat(MESSAGES) as reply:
                    async for _ in reply:
                        at = at or time.monotonic()
                return at or 0.0

            return await _twice(world, "openai", call)
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    async with AsyncOpenAI(
        **world.sdk("openai"), http_client=DefaultAsyncHttpxClient(verify=trust(world))
    ) as vendor:

        async def vendor_call() -> float:
            at = None
            async for _ in await vendor.chat.completions.create(
                model="emulated", messages=MESSAGES, stream=True
            ):
                at = at or time.monotonic()
            return at or 0.0

        return await _twice(world, "openai", vendor_call)


def trust(world: Any) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(world.ca_file))
