"""What crosses the link's relay: every byte in order, half-closes, resets, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from voicekit.emulator import Emulator, Journal, Link
from voicekit.emulator.relay import MAX_IN_FLIGHT, Relay

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.param:
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def across(link: Link, serve: Serve) -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    """Run a server behind a link; yields what connects to it. Nothing may be left behind."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    ended: list[BaseException] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError) as gone:
            ended.append(gone)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    inner = server.sockets[0].getsockname()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    relays: list[asyncio.Task[None]] = []
    clients: list[asyncio.StreamWriter] = []

    async def accept() -> None:
        while True:
            accepted, _ = await loop.sock_accept(listening)
            relay = Relay(link, random.Random(1), inner, lambda *_: None)
            relays.append(loop.create_task(relay.run(accepted)))

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        clients.append(writer)
        return reader, writer

    accepting = loop.create_task(accept())
    try:
        yield connect
    finally:
        accepting.cancel()
        for relay in relays:
            relay.cancel()
        await asyncio.gather(accepting, *relays, return_exceptions=True)
        for client in clients:
            client.close()
            with contextlib.suppress(OSError):
                await client.wait_closed()
        listening.close()
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(2):
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0.001)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_bytes_cross_in_order_and_unchanged() -> None:
    """A megabyte in odd pieces, under jitter, comes back as it went."""
    rng = random.Random(5)
    sent = rng.randbytes(1_000_000)
    async with across(Link(rtt=0.004, jitter=0.002), echo) as connect:
        reader, writer = await connect()

        async def write() -> None:
            at = 0
            while at < len(sent):
                size = rng.randrange(1, 30_000)
                writer.write(sent[at : at + size])
                at += size
                await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            received = await reader.read(-1)
    assert received == sent


async def test_a_first_flight_pays_the_handshake_and_later_ones_do_not() -> None:
    """Two round trips for the first answer, one for the second; one after an idle connect."""
    async with across(Link(rtt=0.2), echo) as connect:
        took = []
        for wait in (0.0, 0.21):
            start = time.monotonic()
            reader, writer = await connect()
            if wait:
                await asyncio.sleep(wait)
                start = time.monotonic()
            for _ in range(2):
                writer.write(b"x")
                await reader.readexactly(1)
                took.append(time.monotonic() - start)
                start = time.monotonic()
    cold, warm, idle_cold, idle_warm = took
    assert cold >= 0.399
    for each in (warm, idle_cold, idle_warm):
        assert 0.199 <= each < 0.39


async def test_a_half_close_crosses_and_the_answer_still_comes() -> None:
    """The server sees the client's end, answers after it, and its own end comes back."""

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read(-1)))
        await writer.drain()

    async with across(Link(rtt=0.004), count) as connect:
        reader, writer = await connect()
        writer.write(b"x" * 1234)
        writer.write_eof()
        assert await reader.read(-1) == b"1234"


async def test_a_servers_reset_reaches_the_client_after_its_bytes() -> None:
    """What was sent before the RST arrives; then the client sees a reset, not an end."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"partial")
        await writer.drain()
        await asyncio.sleep(0.02)
        reset(writer)

    async with across(Link(rtt=0.01), refuse) as connect:
        reader, writer = await connect()
        writer.write(b"x")
        assert await reader.readexactly(7) == b"partial"
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_clients_reset_reaches_the_server() -> None:
    """The server's read fails with a reset."""
    seen: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(1)
            await reader.readexactly(1)
        except (OSError, asyncio.IncompleteReadError) as gone:
            seen.set_result(gone)

    async with across(Link(rtt=0.004), watch) as connect:
        _, writer = await connect()
        writer.write(b"x")
        await asyncio.sleep(0.03)
        reset(writer)
        async with asyncio.timeout(5):
            assert isinstance(await seen, ConnectionResetError)


async def test_a_reset_reaches_a_side_that_takes_no_more_bytes() -> None:
    """Back-pressure does not hold a reset up."""
    stuck = asyncio.Event()
    gone: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        try:
            while await reader.read(1 << 20):
                pass
            gone.set_result(False)
        except ConnectionResetError:
            gone.set_result(True)

    async with across(Link(rtt=0.004), deaf) as connect:
        _, writer = await connect()
        sent = await fill(writer)
        assert sent < 64 << 20
        reset(writer)
        await asyncio.sleep(0.05)
        stuck.set()
        async with asyncio.timeout(5):
            assert await gone, "an ordinary end"


async def fill(writer: asyncio.StreamWriter) -> int:
    """Write until nothing moves any more; returns the bytes written."""
    sent = 0
    piece = b"x" * 65536
    with contextlib.suppress(TimeoutError):
        while sent < 64 << 20:
            writer.write(piece)
            sent += len(piece)
            async with asyncio.timeout(0.3):
                await writer.drain()
    return sent


async def test_a_deaf_server_stops_the_client_within_bounds() -> None:
    """The relay holds about a mebibyte per direction, however much the client has to say."""
    never = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await never.wait()

    async with across(Link(rtt=0.002), deaf) as connect:
        _, writer = await connect()
        sent = await fill(writer)
        never.set()
    # Besides the relay: four kernel buffers of a few mebibytes, and the client's own.
    assert MAX_IN_FLIGHT // 2 < sent < 32 << 20


async def test_bandwidth_is_kept() -> None:
    """A fifth of a second's worth of bytes takes a fifth of a second, both ways at once."""
    async with across(Link(bandwidth=1_000_000.0), echo) as connect:
        reader, writer = await connect()
        start = time.monotonic()
        writer.write(b"x" * 200_000)
        await reader.readexactly(200_000)
        assert 0.19 <= time.monotonic() - start < 0.8


async def test_silence_is_cut_off_and_traffic_is_not() -> None:
    """After so long without a byte both sides are reset; a talking pair is left alone."""
    seen: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await reader.readexactly(1))
        except (OSError, asyncio.IncompleteReadError) as gone:
            seen.set_result(gone)

    async with across(Link(idle_cutoff=0.15), watch) as connect:
        reader, writer = await connect()
        for _ in range(6):
            writer.write(b"x")
            await reader.readexactly(1)
            await asyncio.sleep(0.05)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        async with asyncio.timeout(5):
            assert isinstance(await seen, ConnectionResetError)


async def test_a_cancelled_relay_ends_both_sides_at_once() -> None:
    """Stopping the emulator mid-connection frees client and server within the moment."""
    entered = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        entered.set()
        await reader.read(-1)

    start = 0.0
    async with across(Link(rtt=1.0), wait) as connect:
        _, writer = await connect()
        writer.write(b"x")
        await entered.wait()
        start = time.monotonic()
    assert time.monotonic() - start < 0.5


async def test_the_journal_says_when_each_piece_crossed() -> None:
    """What the link itself took is known, so that a benchmark need not blame the client for it."""
    async with (
        Emulator(providers=("openai",), scenario="instant", link=Link(rtt=0.02)) as world,
        aiohttp.ClientSession() as http,
        http.get(f"{world.openai.url}/models", headers={"Authorization": "Bearer k"}) as answer,
    ):
        await answer.read()
        (record,) = world.journal.requests
        pieces = Journal.from_json(world.journal.to_json()).crossings
        assert {piece.direction for piece in pieces} == {"up", "down"}
        assert all(piece.went_at - piece.came_at >= 0.008 for piece in pieces)
        assert any(p.direction == "up" and p.went_at <= record.received_at for p in pieces)
        assert any(p.direction == "down" and p.came_at >= record.first_byte_at for p in pieces)
