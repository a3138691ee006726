"""``idle``: a call after a silence of three times the server's idle cut-off.

The link resets whatever was idle for three seconds, as a provider's front end does after
minutes. Our pool has never seen this host: it finds out by itself. Many clients wait
through one silence, then each makes its call, one after the other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.beyond import Made, beyond, dialled_in_call
from benchmarks.cold import LIMIT_MS, MESSAGES, MODEL, TEXT, VOICE, trust
from benchmarks.measure import Goal, Result, estimate, goal, narrow
from voicekit import ElevenLabsClient, OpenAIClient
from voicekit.emulator import EmulatorProcess, Link

RTT = 0.040
CUTOFF = 3.0
CLIENTS = 24
"""One pair each in every silence."""
MOST_SILENCES = 5
"""Each with a new server, until the interval is narrow enough."""

CALLS = (("speech", "elevenlabs", "speech.stream"), ("chat", "openai", "chat"))


def run() -> Result:
    result = Result("idle")
    link = Link(rtt=RTT, idle_cutoff=CUTOFF)
    for name, provider, asked in CALLS:
        shares: list[float] = []
        theirs: list[float] = []
        handshakes = their_handshakes = 0
        for _ in range(MOST_SILENCES):
            with EmulatorProcess(
                providers=(provider,), tls=True, link=link, scenario="instant"
            ) as world:
                again, dialled = asyncio.run(_round(world, provider, asked, _ours))
                shares, handshakes = shares + again, handshakes + dialled
                again, dialled = asyncio.run(_round(world, provider, asked, _vendors))
                theirs, their_handshakes = theirs + again, their_handshakes + dialled
            if narrow(estimate([share * 1000 for share in shares]), LIMIT_MS):
                break
        ms = [share * 1000 for share in shares]
        result.goals += [
            goal(f"{name}: beyond 1 RTT and the server, ms", ms, LIMIT_MS),
            Goal(
                f"{name}: handshakes on the caller's path", handshakes,
                (handshakes, handshakes), 0, "lower", handshakes == 0,
            ),
        ]  # fmt: skip
        result.rows.append(
            {
                "call": f"{name}, after {3 * CUTOFF:g} s of silence, cut off at {CUTOFF:g} s",
                "voicekit_ms": round(estimate(ms).value, 2),
                "voicekit_handshakes": handshakes,
                "vendor_sdk_ms": round(estimate([share * 1000 for share in theirs]).value, 2),
                "vendor_sdk_handshakes": their_handshakes,
                "calls": len(ms),
            }
        )
    return result


async def _round(world: Any, provider: str, asked: str, enter: Any) -> tuple[list[float], int]:
    async with AsyncExitStack() as stack:
        calls = [await enter(stack, world, provider) for _ in range(CLIENTS)]
        for call in calls:
            await call()
        made = []
        await asyncio.sleep(3 * CUTOFF)
        for call in calls:
            started = time.monotonic()
            first = await call()
            made.append((Made(started, first), world.journal.requests_for(provider, asked)[-1]))
        journal = world.journal
        shares = beyond(journal.connections, journal.crossings, made)
        return shares, dialled_in_call(journal.connections, made)


async def _ours(stack: AsyncExitStack, world: Any, provider: str) -> Any:
    options: dict[str, Any] = {"api_key": "emulated", "ca": str(world.ca_file)}
    if provider == "openai":
        llm = OpenAIClient(base_url=world.openai.url, model="emulated", **options)
        await (await stack.enter_async_context(llm)).warm(1, strict=True)

        async def chat() -> float:
            return await _first(llm.stream_chat(MESSAGES))

        return chat
    tts = ElevenLabsClient(base_url=world.elevenlabs.url, voice=VOICE, **options)
    await (await stack.enter_async_context(tts)).warm(1, strict=True)

    async def speak() -> float:
        return await _first(tts.stream_speech(TEXT))

    return speak


async def _first(stream: Any) -> float:
    at = None
    async with stream:
        async for _ in stream:
            at = at or time.monotonic()
    return at or 0.0


async def _vendors(stack: AsyncExitStack, world: Any, provider: str) -> Any:
    if provider == "openai":
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        llm = AsyncOpenAI(
            **world.sdk("openai"), http_client=DefaultAsyncHttpxClient(verify=trust(world))
        )
        await stack.enter_async_context(llm)

        async def chat() -> float:
            at = None
            async for _ in await llm.chat.completions.create(
                model="emulated", messages=MESSAGES, stream=True
            ):
                at = at or time.monotonic()
            return at or 0.0

        return chat
    import httpx
    from elevenlabs import AsyncElevenLabs

    http = await stack.enter_async_context(httpx.AsyncClient(verify=trust(world)))
    tts = AsyncElevenLabs(**world.sdk("elevenlabs"), httpx_client=http)

    async def speak() -> float:
        at = None
        async for _ in tts.text_to_speech.stream(
            VOICE, text=TEXT, model_id=MODEL, output_format="pcm_24000"
        ):
            at = at or time.monotonic()
        return at or 0.0

    return speak
