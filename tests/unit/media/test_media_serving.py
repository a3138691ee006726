"""Ranges and conditions as HTTP has them, over ASGI by hand and over real servers."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

sys.path.insert(0, str(Path(__file__).parent))
from media_fakes import BASE, DictStorage, ask, mp3

from voicekit.media import MediaHost

pytestmark = pytest.mark.anyio

CLIP = mp3(200_000)
SIZE = len(CLIP.data)


@pytest.fixture
def host() -> MediaHost:
    return MediaHost(BASE, storage=DictStorage())


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-1023", 0, 1024),
        ("bytes=70000-", 70_000, SIZE),
        ("bytes=-10", SIZE - 10, SIZE),
        ("bytes=-999999", 0, SIZE),
        (f"bytes=5-{SIZE + 500}", 5, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("BYTES=1-2", 1, 3),
    ],
)
async def test_a_range(host: MediaHost, wanted: str, start: int, stop: int) -> None:
    """Exactly the bytes that were asked for, and where they belong."""
    got = await ask(host, await host.publish(CLIP), headers={"Range": wanted})
    assert (got.status, got.body) == (206, CLIP.data[start:stop])
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert got.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=-0", f"bytes={SIZE + 9}-{SIZE + 12}"])
async def test_a_range_that_is_not_there(host: MediaHost, wanted: str) -> None:
    """Refused, with the length, so that the client can ask better."""
    got = await ask(host, await host.publish(CLIP), headers={"Range": wanted})
    assert (got.status, got.body) == (416, b"")
    assert got.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "\xe9"]
)
async def test_what_is_no_single_range_gets_the_whole(host: MediaHost, wanted: str) -> None:
    """As a server may that does not serve such a range."""
    got = await ask(host, await host.publish(CLIP), headers={"Range": wanted})
    assert (got.status, len(got.body)) == (200, SIZE)


async def test_the_entity_tag(host: MediaHost) -> None:
    """A client that has the clip is told so; a part of another clip is not glued to it."""
    url = await host.publish(CLIP)
    tag = (await ask(host, url)).headers["etag"]
    assert (await ask(host, await host.publish(CLIP))).headers["etag"] == tag
    assert (await ask(host, await host.publish(mp3(999)))).headers["etag"] != tag
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        got = await ask(host, url, headers={"If-None-Match": known})
        assert (got.status, got.body, got.headers["etag"]) == (304, b"", tag)
    assert (await ask(host, url, headers={"If-None-Match": '"x"'})).status == 200
    for condition, status in ((tag, 206), ('"x"', 200), (f"W/{tag}", 200)):
        asked = {"Range": "bytes=0-9", "If-Range": condition}
        assert (await ask(host, url, headers=asked)).status == status


async def test_the_body_goes_in_pieces(host: MediaHost) -> None:
    """A slow client holds a small piece of its own, never a second copy of the clip."""
    url = await host.publish(mp3(8 << 20))
    peak = 0

    async def send(message: Any) -> None:
        nonlocal peak
        assert len(message.get("body", b"")) <= 1 << 16
        peak = max(peak, tracemalloc.get_traced_memory()[0])

    async def receive() -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": url.split("/", 3)[3], "headers": []}
    tracemalloc.start()
    try:
        await host.asgi(scope, receive, send)
    finally:
        tracemalloc.stop()
    assert 0 < peak < 1 << 20


async def test_a_client_that_goes_away(host: MediaHost) -> None:
    """A server of ASGI 2.4 says so by failing ``send``; that is the end, and no error."""
    url = await host.publish(CLIP)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 2:
            raise OSError

    scope = {"type": "http", "method": "GET", "path": url.split("/", 3)[3], "headers": []}
    await host.asgi(scope, send, send)
    assert len(sent) == 2


async def test_lifespan_and_sockets(host: MediaHost) -> None:
    """Served by itself it starts and stops; a WebSocket is turned away."""
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(asked)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await host.asgi({"type": "lifespan"}, receive, send)
    await host.asgi({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


@asynccontextmanager
async def aiohttp_served(host: MediaHost) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/media/{name}", host.aiohttp_handler)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


async def test_aiohttp_serves_it(host: MediaHost) -> None:
    """Over a real socket, on one connection: GET, HEAD, a range, what is not there, 405."""
    path = "/" + (await host.publish(CLIP)).split("/", 3)[3]
    async with aiohttp_served(host) as base, aiohttp.ClientSession(base) as client:
        async with client.get(path) as got:
            assert (got.status, await got.read()) == (200, CLIP.data)
            assert got.headers["content-type"] == "audio/mpeg"
            assert got.headers["content-length"] == str(SIZE)
        async with client.head(path) as got:
            assert (got.status, await got.read()) == (200, b"")
            assert got.headers["content-length"] == str(SIZE)
        async with client.get(path, headers={"Range": "bytes=10-19"}) as got:
            assert (got.status, await got.read()) == (206, CLIP.data[10:20])
        async with client.get(path, headers={"If-None-Match": "*"}) as got:
            assert (got.status, await got.read()) == (304, b"")
        async with client.get("/media/x.mp3") as got:
            assert got.status == 404
        async with client.post(path) as got:
            assert got.status == 405


async def test_starlette_mounts_it(host: MediaHost) -> None:
    """Below any path; the mount does not come between."""
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/media", app=host.asgi)])

    class Mounted:
        asgi = staticmethod(app)

    url = await host.publish(CLIP)
    mounted: Any = Mounted()
    assert (await ask(mounted, url)).body == CLIP.data
    assert (await ask(mounted, f"{BASE}/nothing")).status == 404
