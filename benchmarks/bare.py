"""The yardstick: aiohttp used directly and well, with the connector settings that ours has.

DummyCookieJar, ``json.dumps`` and ``json.loads``, a status check, ``iter_any``, a reader task for
sockets; no limits, no evidence, no typed errors.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp


def session(ssl: Any = True) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=20, keepalive_timeout=50, ttl_dns_cache=300, happy_eyeballs_delay=0.1, ssl=ssl
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=1 << 16,
    )


async def speech(http: aiohttp.ClientSession, url: str, headers: dict[str, str], body: Any) -> int:
    size = 0
    async with http.post(url, data=json.dumps(body), headers=headers) as response:
        if response.status != 200:
            raise RuntimeError(response.status)
        async for chunk in response.content.iter_any():
            size += len(chunk)
    return size


async def chat(http: aiohttp.ClientSession, url: str, headers: dict[str, str], body: Any) -> str:
    text = []
    rest = b""
    async with http.post(url, data=json.dumps(body), headers=headers) as response:
        if response.status != 200:
            raise RuntimeError(response.status)
        async for chunk in response.content.iter_any():
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                data = event[6:]
                if data == b"[DONE]":
                    continue
                choices = json.loads(data)["choices"]
                if choices and (content := choices[0]["delta"].get("content")):
                    text.append(content)
    return "".join(text)


async def listen(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], frames: list[bytes]
) -> int:
    results: asyncio.Queue[Any] = asyncio.Queue()
    async with http.ws_connect(url, headers=headers, max_msg_size=16 << 20) as ws:

        async def read() -> None:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    results.put_nowait(json.loads(message.data))
            results.put_nowait(None)

        reader = asyncio.create_task(read())

        async def send() -> None:
            for number, frame in enumerate(frames, 1):
                await ws.send_bytes(frame)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await ws.send_str('{"type":"CloseStream"}')

        sender = asyncio.create_task(send())
        count = 0
        while (result := await results.get()) is not None:
            if result["type"] == "Results" and "transcript" in result["channel"]["alternatives"][0]:
                count += 1
        await sender
        await reader
    return count
