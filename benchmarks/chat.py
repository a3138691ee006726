"""``chat``: client CPU of a warm 50-chunk answer, ours over bare aiohttp and the vendor's SDK."""

from __future__ import annotations

from benchmarks import bare
from benchmarks.measure import Bench, Result, Side, cpu_rows, goal
from benchmarks.overhead import Silent
from benchmarks.replies import fifty_chunks
from voicekit import OpenAIClient
from voicekit.emulator import EmulatorProcess

MESSAGES = [{"role": "user", "content": "Count to fifty."}]
CALLS = 100


def run() -> Result:
    from openai import AsyncOpenAI, OpenAI

    with (
        EmulatorProcess(providers=("openai",), scenario=fifty_chunks()) as world,
        Bench() as bench,
    ):
        url = world.openai.url
        headers = {
            "Authorization": "Bearer emulated",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        body = {
            "model": "emulated",
            "messages": MESSAGES,
            "stream": True,
            "stream_options": {"include_usage": True, "include_obfuscation": False},
        }

        async def setup() -> tuple[OpenAIClient, OpenAIClient, object]:
            settings = {"api_key": "emulated", "base_url": url, "model": "emulated"}
            observed = OpenAIClient(**settings, observers=[Silent()])
            return OpenAIClient(**settings), observed, bare.session()

        client, observed, http = bench.runner.run(setup())
        vendor, vendor_sync = (kind(**world.sdk("openai")) for kind in (AsyncOpenAI, OpenAI))

        async def aiohttp_bare() -> None:
            await bare.chat(http, f"{url}/chat/completions", headers, body)

        async def sdk() -> None:
            async for chunk in await vendor.chat.completions.create(**body):
                if chunk.choices:
                    _ = chunk.choices[0].delta.content

        def sdk_sync() -> None:
            for chunk in vendor_sync.chat.completions.create(**body):
                if chunk.choices:
                    _ = chunk.choices[0].delta.content

        pairs = bench.ratios(
            _ours(client),
            {
                "bare aiohttp": (aiohttp_bare, 1.15),
                "openai SDK, async": (sdk, 0.1),
                "openai SDK, sync": (sdk_sync, None),
            },
            calls=CALLS,
        )
        with_observer = bench.ratios(
            _ours(observed), {"bare aiohttp": (aiohttp_bare, 1.15)}, calls=CALLS
        )

        async def close() -> None:
            await client.aclose()
            await observed.aclose()
            await http.close()
            await vendor.close()

        bench.runner.run(close())
        vendor_sync.close()

    def ratio(name: str) -> list[float]:
        return [mine / other for mine, other in pairs[name]]

    return Result(
        "chat",
        [
            goal("CPU ÷ bare aiohttp", ratio("bare aiohttp"), 1.15),
            goal(
                "CPU ÷ bare aiohttp, one observer",
                [mine / other for mine, other in with_observer["bare aiohttp"]],
                1.15,
            ),
            goal("CPU ÷ openai SDK, async", ratio("openai SDK, async"), 0.1),
        ],
        cpu_rows(pairs, "voicekit"),
    )


def _ours(client: OpenAIClient) -> Side:
    async def ours() -> None:
        async with client.stream_chat(MESSAGES) as reply:
            async for _ in reply:
                pass

    return ours
