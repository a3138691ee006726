"""``frames``: client CPU of live transcription: 20 ms frames up, a result per 10 frames down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from benchmarks import bare
from benchmarks.measure import Bench, Result, cpu_rows, goal
from benchmarks.overhead import Silent
from voicekit import DeepgramClient
from voicekit.emulator import EmulatorProcess
from voicekit.emulator.scenario import SCENARIOS

FRAME = bytes([1, 0]) * 320  # 20 ms of 16 kHz
SESSIONS = {"a call of 30 s": (1500, 2), "a question of 10 s": (500, 4)}
"""Frames, and sessions per round; in the shorter one, opening and closing weigh more."""


def run() -> Result:
    from deepgram import AsyncDeepgramClient

    result = Result("frames")
    scenario = replace(SCENARIOS["instant"], transcript_interim_every=0.2, heard="word " * 20)
    with EmulatorProcess(providers=("deepgram",), scenario=scenario) as world, Bench() as bench:
        query = "model=nova-3&encoding=linear16&sample_rate=16000&channels=1&interim_results=true"
        url = f"{world.deepgram.ws_url}/v1/listen?{query}"
        headers = {"Authorization": "Token emulated"}
        frames: list[bytes] = []

        async def setup() -> tuple[DeepgramClient, DeepgramClient, Any]:
            settings = {"api_key": "emulated", "base_url": world.deepgram.url}
            observed = DeepgramClient(**settings, observers=[Silent()])
            return DeepgramClient(**settings), observed, bare.session()

        client, observed, http = bench.runner.run(setup())
        vendor = AsyncDeepgramClient(**world.sdk("deepgram"))

        async def ours() -> None:
            await _ours(client, frames)

        async def ours_observed() -> None:
            await _ours(observed, frames)

        async def aiohttp_bare() -> None:
            await bare.listen(http, url, headers, frames)

        async def sdk() -> None:
            await _sdk(vendor, frames)

        for name, (count, calls) in SESSIONS.items():
            frames[:] = [FRAME] * count
            pairs = bench.ratios(
                ours,
                {"bare aiohttp": (aiohttp_bare, 1.25), "deepgram SDK, async": (sdk, None)},
                calls=calls,
            )
            ratios = [mine / other for mine, other in pairs["bare aiohttp"]]
            result.goals.append(goal(f"{name}: CPU ÷ bare aiohttp", ratios, 1.25))
            seen = bench.ratios(ours_observed, {"bare": (aiohttp_bare, 1.25)}, calls=calls)["bare"]
            ratios = [mine / other for mine, other in seen]
            result.goals.append(goal(f"{name}: CPU ÷ bare aiohttp, one observer", ratios, 1.25))
            result.rows += [{"session": name, **row} for row in cpu_rows(pairs, "voicekit")]

        async def close() -> None:
            await client.aclose()
            await observed.aclose()
            await http.close()

        bench.runner.run(close())
    return result


async def _ours(client: DeepgramClient, frames: list[bytes]) -> None:
    async with client.open_transcription(format="pcm_16000") as session:

        async def send() -> None:
            for number, frame in enumerate(frames, 1):
                await session.send(frame)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await session.finish()

        sender = asyncio.create_task(send())
        async for _ in session:
            pass
        await sender


async def _sdk(vendor: Any, frames: list[bytes]) -> None:
    async with vendor.listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16000, interim_results=True
    ) as socket:

        async def send() -> None:
            for number, frame in enumerate(frames, 1):
                await socket.send_media(frame)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await socket.send_close_stream()

        sender = asyncio.create_task(send())
        async for _ in socket:
            pass
        await sender
