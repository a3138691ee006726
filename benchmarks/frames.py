"""``frames``: client CPU of live transcription: 20 ms frames up, a result per 10 frames down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from benchmarks import bare
from benchmarks.measure import Bench, Result, cpu_rows, goal
from voicekit import DeepgramClient
from voicekit.emulator import EmulatorProcess
from voicekit.emulator.scenario import SCENARIOS

FRAMES = [bytes([1, 0]) * 320] * 500  # ten seconds of 16 kHz, 640 bytes each
CALLS = 4


def run() -> Result:
    from deepgram import AsyncDeepgramClient

    scenario = replace(SCENARIOS["instant"], transcript_interim_every=0.2, heard="word " * 20)
    with EmulatorProcess(providers=("deepgram",), scenario=scenario) as world, Bench() as bench:
        query = "model=nova-3&encoding=linear16&sample_rate=16000&channels=1&interim_results=true"
        url = f"{world.deepgram.ws_url}/v1/listen?{query}"
        headers = {"Authorization": "Token emulated"}

        async def setup() -> tuple[DeepgramClient, object]:
            client = DeepgramClient(api_key="emulated", base_url=world.deepgram.url)
            return client, bare.session()

        client, http = bench.runner.run(setup())
        vendor = AsyncDeepgramClient(**world.sdk("deepgram"))

        async def ours() -> None:
            async with client.open_transcription(format="pcm_16000") as session:

                async def send() -> None:
                    for number, frame in enumerate(FRAMES, 1):
                        await session.send(frame)
                        if number % 10 == 0:
                            await asyncio.sleep(0)
                    await session.finish()

                sender = asyncio.create_task(send())
                async for _ in session:
                    pass
                await sender

        async def aiohttp_bare() -> None:
            await bare.listen(http, url, headers, FRAMES)

        async def sdk() -> None:
            async with vendor.listen.v1.connect(
                model="nova-3", encoding="linear16", sample_rate=16000, interim_results=True
            ) as socket:

                async def send() -> None:
                    for number, frame in enumerate(FRAMES, 1):
                        await socket.send_media(frame)
                        if number % 10 == 0:
                            await asyncio.sleep(0)
                    await socket.send_close_stream()

                sender = asyncio.create_task(send())
                async for _ in socket:
                    pass
                await sender

        pairs = bench.ratios(
            ours,
            {"bare aiohttp": (aiohttp_bare, 1.25), "deepgram SDK, async": (sdk, None)},
            calls=CALLS,
        )

        async def close() -> None:
            await client.aclose()
            await http.close()

        bench.runner.run(close())

    return Result(
        "frames",
        [goal("CPU ÷ bare aiohttp", [a / b for a, b in pairs["bare aiohttp"]], 1.25)],
        cpu_rows(pairs, "voicekit"),
    )
