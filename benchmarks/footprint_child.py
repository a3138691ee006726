"""What ``footprint`` measures in processes of their own; prints one number of each kind."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any


def rss() -> int:
    """Bytes of memory that this process holds now."""
    import resource

    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the most so far


def importing() -> float:
    started = time.perf_counter()
    import voicekit  # noqa: F401

    return time.perf_counter() - started


def ready(url: str) -> float:
    """From nothing imported to a connection that a call could use."""
    started = time.perf_counter()

    async def main() -> float:
        from voicekit import ElevenLabsClient

        async with ElevenLabsClient("k", base_url=url, voice="v") as client:
            await client.warm(1, strict=True)
            return time.perf_counter() - started

    return asyncio.run(main())


def idle(side: str, url: str, count: int) -> float:
    """Bytes per open, idle session."""

    async def main() -> float:
        from contextlib import AsyncExitStack

        async with AsyncExitStack() as stack:
            open_one = await _opener(stack, side, url, count)
            for _ in range(20):
                await open_one()  # imports, caches, arenas
            gc.collect()
            before = rss()
            for _ in range(count):
                await open_one()
            gc.collect()
            return (rss() - before) / count

    return asyncio.run(main())


async def _opener(stack: Any, side: str, url: str, count: int) -> Any:
    if side == "voicekit":
        from voicekit import ElevenLabsClient, PoolConfig

        pool = PoolConfig(max_connections=count + 50, min_ready=0)
        client = await stack.enter_async_context(
            ElevenLabsClient("k", base_url=f"http{url.removeprefix('ws')}", voice="v", pool=pool)
        )

        async def ours() -> None:
            await stack.enter_async_context(client.open_speech())

        return ours
    import aiohttp

    connector = aiohttp.TCPConnector(limit=count + 50)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    target = f"{url}/v1/text-to-speech/v/multi-stream-input?model_id=eleven_flash_v2_5"
    headers = {"xi-api-key": "k"}

    async def bare() -> None:
        ws = await stack.enter_async_context(http.ws_connect(target, headers=headers))

        async def read() -> None:
            async for _ in ws:
                pass

        reader = asyncio.create_task(read())
        stack.callback(reader.cancel)

    return bare


def calls(url: str, count: int, callers: int) -> dict[str, float]:
    """Memory after a fifth of the calls and after all of them."""

    async def main() -> dict[str, float]:
        from voicekit import ElevenLabsClient

        async with ElevenLabsClient("k", base_url=url, voice="v") as client:
            left = count // 5

            async def caller() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    async with client.stream_speech("Hi.") as speech:
                        async for _ in speech:
                            pass

            async def all_of_them() -> int:
                await asyncio.gather(*(caller() for _ in range(callers)))
                gc.collect()
                return rss()

            early = await all_of_them()
            left = count - count // 5
            late = await all_of_them()
            return {"early": early, "late": late, "tasks": len(asyncio.all_tasks())}

    return asyncio.run(main())


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    value: Any
    match name:
        case "import":
            value = importing()
        case "ready":
            value = ready(arguments[0])
        case "idle":
            value = idle(arguments[0], arguments[1], int(arguments[2]))
        case _:
            value = calls(arguments[0], int(arguments[1]), int(arguments[2]))
    print(json.dumps(value))
