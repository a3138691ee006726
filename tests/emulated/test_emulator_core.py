"""The emulator itself: ports, TLS, journal, faults, idle drops, and stopping without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web

from voicekit.emulator import Emulator, EmulatorError, Fault, Link, Scenario
from voicekit.emulator.providers import PROVIDERS
from voicekit.emulator.providers.base import BAD_KEY, Exchange, Provider, send_chunks

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


class Echo(Provider):
    """A provider of our own, so that these tests stand on nobody's grammar."""

    name = "echo"

    def routes(self, router: web.UrlDispatcher) -> None:
        self.add(router, "POST", "/whole", "whole", self.whole)
        self.add(router, "POST", "/audio", "speech.stream", self.audio)
        self.add(router, "GET", "/socket", "socket", self.socket)
        self.add(router, "GET", "/duplex", "duplex", self.duplex)
        self.add(router, "GET", "/broken", "broken", self.broken)
        self.add(router, "GET", "/draw", "draw", self.draw)

    def credential(self, request: web.Request) -> str | None:
        return request.headers.get("xi-api-key") or request.query.get("token")

    def needs_key(self, exchange: Exchange) -> bool:
        return False

    async def whole(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.answer({"you": exchange.body.decode()})

    async def audio(self, exchange: Exchange) -> web.StreamResponse:
        writer = await exchange.stream(content_type="audio/pcm")
        await send_chunks(writer, [b"%04d" % number for number in range(50)])
        return await writer.finish()

    async def socket(self, exchange: Exchange) -> web.StreamResponse:
        socket = await exchange.socket()
        async for received in socket:
            if received.binary is not None:
                await socket.send_bytes(received.binary)
            elif received.data == "bye":
                await socket.close(1000, "bye")
            else:
                await socket.send_json({"got": received.data, "audio": "AAAA"}, audio=b"\0\0\0")
        return socket.ws

    async def duplex(self, exchange: Exchange) -> web.StreamResponse:
        socket = await exchange.socket()

        async def tick() -> None:
            while True:
                await socket.send_json({"tick": True})
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        try:
            async for _ in socket:
                pass
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        return socket.ws

    async def broken(self, exchange: Exchange) -> web.StreamResponse:
        raise KeyError("a mistake of the emulator's own")

    async def draw(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.answer(exchange.draw((0.0, 1.0)))


@pytest.fixture(autouse=True)
def echo_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "echo", (__name__, "Echo"))


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.param:
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def emulated(**options: Any) -> AsyncIterator[tuple[Emulator, aiohttp.ClientSession]]:
    """An emulator and a client; afterwards no task of either is left."""
    options.setdefault("providers", ("echo",))
    options.setdefault("scenario", "instant")
    before = asyncio.all_tasks()
    async with Emulator(**options) as world:
        context = ssl.create_default_context(cafile=world.ca_file) if world.ca_file else True
        async with aiohttp.ClientSession(
            world.endpoint("echo").url,
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=10),
        ) as session:
            yield world, session
        # The client closes first and in its own time: TLS answers in another turn of the loop.
        await asyncio.sleep(0.01)
    assert not asyncio.all_tasks() - before


async def post(session: aiohttp.ClientSession, path: str = "/whole", body: bytes = b"hi") -> bytes:
    async with session.post(path, data=body) as response:
        response.raise_for_status()
        return await response.read()


async def read_into(received: bytearray, response: aiohttp.ClientResponse) -> None:
    while data := await response.content.readany():
        received += data


# -- connections ---------------------------------------------------------------------------


async def test_a_port_per_provider_and_what_points_at_it() -> None:
    """Addresses, environment and SDK arguments name the port, "/v1" where the variable has it."""
    async with Emulator(providers=("openai", "echo")) as world:
        port = world.openai.port
        assert world.openai.url == f"http://127.0.0.1:{port}/v1"
        assert world.openai.ws_url == f"ws://127.0.0.1:{port}/v1"
        assert world.endpoint("echo").port != port
        env = world.env()
        assert env["OPENAI_BASE_URL"] == world.openai.url
        assert env["OPENAI_API_KEY"] == world.sdk("openai")["api_key"]
        assert "SSL_CERT_FILE" not in env
        with pytest.raises(EmulatorError, match="elevenlabs is not served"):
            _ = world.elevenlabs
    with pytest.raises(EmulatorError, match="running"):
        _ = world.openai


async def test_a_port_base_gives_known_ports() -> None:
    """The first provider gets the base, each next one port more."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        base = probe.getsockname()[1]
    async with Emulator(providers=("openai",), port_base=base) as world:
        assert world.openai.port == base


async def test_a_plain_connection_is_recorded_from_open_to_close() -> None:
    """One round trip of handshake, the requests it carried, who ended it and when."""
    async with emulated() as (world, session):
        for _ in range(3):
            await post(session)
        (record,) = world.connections("echo")
        assert record.requests == 3
        assert (record.tls, record.resumed, record.handshake_round_trips) == (None, False, 1)
        assert not record.charged_by_link
        assert record.closed_at is None
    assert record.closed_by == "client"
    assert record.closed_at is not None
    assert record.closed_at >= record.opened_at


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_tls_counts_its_handshake(version: str) -> None:
    """TLS 1.3 costs one round trip more than TCP, TLS 1.2 two."""
    async with Emulator(providers=("echo",), tls=True) as world:
        assert world.ca_file is not None
        assert world.env()["SSL_CERT_FILE"] == str(world.ca_file)
        assert world.endpoint("echo").url.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=world.ca_file)
        if version == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(
            world.endpoint("echo").url, connector=connector
        ) as session:
            await post(session)
            (record,) = world.connections("echo")
        assert record.tls == f"TLSv{version}"
        assert record.handshake_round_trips == (2 if version == "1.3" else 3)
    assert not world.ca_file.exists()


async def test_a_resumed_tls_session_is_recorded() -> None:
    """The journal tells a resumed handshake from a full one."""
    async with Emulator(providers=("echo",), tls=True) as world:
        context = ssl.create_default_context(cafile=world.ca_file)

        def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
            raw = socket.create_connection(("127.0.0.1", world.endpoint("echo").port))
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"GET /draw HTTP/1.1\r\nHost: localhost\r\n\r\n")
                tls.recv(4096)
                return tls.session

        ticket = await asyncio.to_thread(connect, None)
        await asyncio.to_thread(connect, ticket)
        assert [record.resumed for record in world.journal.connections] == [False, True]


async def test_the_link_is_felt_and_said() -> None:
    """A first call pays handshake and request, a second only the request; the record says who
    charged the handshake.
    """
    async with emulated(link=Link(rtt=0.1), tls=True) as (world, session):
        took = []
        for _ in range(2):
            start = time.monotonic()
            await post(session)
            took.append(time.monotonic() - start)
        (record,) = world.connections("echo")
    assert took[0] >= 0.299
    assert 0.099 <= took[1] < 0.29
    assert record.charged_by_link
    assert record.handshake_round_trips == 2


async def test_idle_connections_are_closed_after_the_keep_alive() -> None:
    """The server's own idle cut-off is a setting."""
    async with emulated(keepalive_timeout=0.1) as (world, session):
        await post(session)
        async with asyncio.timeout(5):
            while world.connections("echo"):
                await asyncio.sleep(0.01)
        assert world.journal.connections[0].closed_by == "server"


@pytest.mark.parametrize("link", [None, Link(rtt=0.01)], ids=["loopback", "link"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_idle_connections_drop_as_asked(
    how: Literal["fin", "rst"], tls: bool, link: Link | None
) -> None:
    """A client that only looks sees a FIN as an end and an RST as a reset, also across a link,
    and without its own help: a busy client cannot answer a TLS goodbye.
    """
    async with Emulator(providers=("echo",), tls=tls, link=link) as world:
        raw = socket.create_connection(("127.0.0.1", world.endpoint("echo").port))
        try:
            await asyncio.to_thread(converse, raw, world)
            await asyncio.sleep(0.05)
            assert await world.drop_idle("echo", how=how) == 1
            assert await asyncio.to_thread(ending, raw) == how
            assert world.journal.connections[0].closed_by == "server"
        finally:
            raw.close()


def converse(raw: socket.socket, world: Emulator) -> None:
    """Make one request, over TLS by hand so that nobody answers for us later."""
    raw.settimeout(2)
    request = b"GET /draw HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if world.ca_file is None:
        raw.sendall(request)
        assert raw.recv(4096)
        return
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=world.ca_file)
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    steps: list[Any] = [tls.do_handshake, lambda: tls.write(request), lambda: tls.read(4096)]
    while steps:
        try:
            steps[0]()
            steps.pop(0)
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(65536))
            continue
        if data := outgoing.read():
            raw.sendall(data)


def ending(raw: socket.socket) -> str:
    """Read what is left and say how the connection ended."""
    try:
        while raw.recv(65536):
            pass
    except ConnectionResetError:
        return "rst"
    return "fin"


async def test_busy_connections_are_not_dropped() -> None:
    """Dropping the idle leaves a request under way alone."""
    async with emulated() as (world, session):
        await post(session)
        world.inject("echo", Fault("stall", operation="whole", after_bytes=1))
        async with session.post("/whole", data=b"hi") as response:
            assert await response.content.readexactly(1) == b"{"
            assert await world.drop_idle("echo") == 0
            response.close()


# -- requests ------------------------------------------------------------------------------


async def test_a_request_is_recorded() -> None:
    """What came, when, and what became of it; keys only as digests."""
    async with emulated() as (world, session):
        before = world.journal.now()
        async with session.post(
            "/audio?a=1&a=2&token=marked-key", data=b"body", headers={"xi-api-key": "marked-key"}
        ) as response:
            audio = await response.read()
        (record,) = world.journal.requests_for("echo", "speech.stream")
    assert (record.method, record.path, record.status) == ("POST", "/audio", 200)
    assert record.query["a"] == ["1", "2"]
    assert "marked-key" not in repr(record)
    assert record.body == b"body"
    assert record.outcome == "complete"
    assert record.first_byte_at is not None
    assert record.finished_at is not None
    assert before <= record.received_at <= record.first_byte_at <= record.finished_at
    assert world.journal.audio(record) == audio
    assert record.audio_bytes_sent == len(audio) == 200


async def test_refusals_are_recorded_as_refused() -> None:
    """The magic key, an unknown path: status and outcome say so."""
    async with emulated() as (world, session):
        async with session.post("/whole", headers={"xi-api-key": BAD_KEY}) as response:
            assert response.status == 401
        async with session.get("/nowhere") as response:
            assert response.status == 404
        assert [(r.status, r.outcome) for r in world.journal.requests] == [
            (401, "refused"),
            (404, "refused"),
        ]


async def test_a_client_that_leaves_ends_its_handler() -> None:
    """An abandoned request is "aborted", at once, and nothing goes on working for it."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("silence"))
        with pytest.raises(TimeoutError):
            await session.post("/whole", timeout=aiohttp.ClientTimeout(total=0.1))
        world.inject("echo", Fault("drip", delay=30.0))
        async with session.post("/whole") as response:
            await response.content.readexactly(1)
            response.close()
        async with asyncio.timeout(2):
            while any(record.finished_at is None for record in world.journal.requests):
                await asyncio.sleep(0.005)


async def test_an_unfaulted_client_that_leaves_reads_aborted() -> None:
    """Without a fault the outcome of leaving early is "aborted"."""
    async with emulated() as (world, session):
        async with session.ws_connect("/socket") as ws:
            await ws.send_str('"hi"')
            await ws.receive()
            assert ws._response.connection is not None
            assert ws._response.connection.transport is not None
            ws._response.connection.transport.abort()
        async with asyncio.timeout(2):
            while world.journal.requests[0].finished_at is None:
                await asyncio.sleep(0.005)
        assert world.journal.requests[0].outcome in {"aborted", "complete"}


async def test_a_mistake_of_ours_is_a_500_and_a_note(caplog: pytest.LogCaptureFixture) -> None:
    """A broken handler breaks one request, says so, and no other."""
    async with emulated() as (world, session):
        async with session.get("/broken") as response:
            assert response.status == 500
        assert world.journal.requests[0].notes == ["emulator error: KeyError"]
        assert await post(session)
    assert "a mistake" in caplog.text


async def test_draws_repeat_with_the_seed_whatever_the_order() -> None:
    """The n-th request of an operation draws the same in every run, other traffic or not."""

    async def draws(seed: int, *, disturbed: bool) -> list[float]:
        async with emulated(seed=seed) as (_, session):
            drawn = []
            for _ in range(3):
                if disturbed:
                    await post(session)
                async with session.get("/draw") as response:
                    drawn.append(await response.json())
            return drawn

    one = await draws(1, disturbed=False)
    assert one == await draws(1, disturbed=True)
    assert one != await draws(2, disturbed=False)
    assert len(set(one)) == 3


async def test_a_new_scenario_begins_the_draws_again() -> None:
    """Two turns of the same seed in one world are the same turns."""
    async with emulated() as (world, session):
        drawn = []
        for _ in range(2):
            async with session.get("/draw") as response:
                drawn.append(await response.json())
            world.set_scenario(Scenario(name="again"))
        assert drawn[0] == drawn[1]


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        (Fault("status"), 500, "application/json", b'{"error":{"message":"Status 500"}}'),
        (Fault("status", status=429, body={"a": 1}), 429, "application/json", b'{"a": 1}'),
        (Fault("html"), 200, "text/html", b"<!doctype html>"),
        (Fault("html", body="<p>Hello"), 200, "text/html", b"<p>Hello"),
        (Fault("wrong_type"), 200, "application/x-unexpected", b"\0\1"),
        (Fault("half_json"), 200, "application/json", b'{"id": "half"'),
        (Fault("empty"), 200, "application/json", b""),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_a_wrong_answer(fault: Fault, status: int, content_type: str, body: bytes) -> None:
    """The answer is the fault's, the record says "fault", and the next request is well."""
    async with emulated() as (world, session):
        world.inject("echo", fault)
        async with session.post("/whole") as response:
            assert (response.status, response.content_type) == (status, content_type)
            assert (await response.read()).startswith(body)
        assert await post(session)
        assert [record.outcome for record in world.journal.requests] == ["fault", "complete"]
        assert len(world.journal.connections) == 1


async def test_a_late_answer_is_the_right_one() -> None:
    """The provider's hiccup: nothing is wrong but the time, and the next request is in time."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("late", delay=0.1))
        assert await post(session, body=b"hello") == b'{"you":"hello"}'
        assert await post(session)
        late, soon = world.journal.requests
        assert late.outcome == soon.outcome == "complete"
        # Of 0.1: uvloop rounds timers to milliseconds, and a busy machine may take its time.
        assert late.first_byte_at - late.received_at > 0.09
        assert soon.first_byte_at - soon.received_at < late.first_byte_at - late.received_at


async def test_a_fault_carries_its_headers() -> None:
    """Retry-After and the like come with the status."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("status", status=429, headers=(("Retry-After", "7"),)))
        async with session.post("/whole") as response:
            assert response.headers["Retry-After"] == "7"


async def test_a_huge_body_is_streamed() -> None:
    """A hundred megabytes, in pieces; a client that leaves early is let go."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("huge", times=2))
        async with session.post("/whole") as response:
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
        assert size >= 99_000_000
        async with session.post("/whole") as response:
            await response.content.readany()
            response.close()


@pytest.mark.parametrize("path", ["/whole", "/audio"])
@pytest.mark.parametrize("kind", ["close", "reset", "stall"])
async def test_a_body_breaks_where_the_fault_says(
    kind: Literal["close", "reset", "stall"], path: str
) -> None:
    """So many bytes arrive, then an early end, a reset, or nothing."""
    async with emulated() as (world, session):
        world.inject("echo", Fault(kind, after_bytes=7))
        received = bytearray()
        failure: type[BaseException] = TimeoutError if kind == "stall" else aiohttp.ClientError
        async with session.post(
            path, data=b"hello", timeout=aiohttp.ClientTimeout(total=0.5)
        ) as response:
            with pytest.raises(failure):
                await read_into(received, response)
        assert received == (b'{"you":' if path == "/whole" else b"0000000")
        assert await post(session)
    assert world.journal.requests[0].outcome == "fault"
    (broken, _) = world.journal.connections
    assert broken.closed_by == ("client" if kind == "stall" else "server")


async def test_a_stream_breaks_after_events() -> None:
    """Events are counted as well as bytes."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("close", after_events=3))
        received = bytearray()
        async with session.post("/audio") as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await read_into(received, response)
        assert received == b"000000010002"
        assert world.journal.audio(1) == received


@pytest.mark.parametrize("kind", ["close", "reset"])
async def test_a_connection_ends_instead_of_an_answer(kind: Literal["close", "reset"]) -> None:
    """Without bytes or events to wait for, the answer never begins."""
    async with emulated() as (world, session):
        world.inject("echo", Fault(kind))
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post("/whole")
        assert world.journal.requests[0].outcome == "fault"
        assert world.journal.connections[0].closed_by == "server"


async def test_a_drip_is_the_right_answer_slowly() -> None:
    """Byte by byte, every byte."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("drip", delay=0.001))
        assert await post(session, body=b"hello") == b'{"you":"hello"}'


async def test_cleared_faults_do_not_strike() -> None:
    """Clearing forgets what has not struck."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("reset", times=None))
        world.clear_faults()
        assert await post(session)


# -- sockets -------------------------------------------------------------------------------


async def test_frames_are_recorded_in_both_directions() -> None:
    """Text parsed and without its audio, binary by size, audio in the request's record."""
    async with emulated() as (world, session):
        async with session.ws_connect("/socket") as ws:
            await ws.send_str('{"context_id": "c", "audio": "AAAA"}')
            assert await ws.receive_json()
            await ws.send_bytes(b"12345")
            assert (await ws.receive()).data == b"12345"
            await ws.send_str("not json")
            assert await ws.receive_json()
            await ws.send_str('"bye"')
            assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        await asyncio.sleep(0.01)
        (record,) = world.journal.requests
        got = [(f.direction, f.kind, f.data, f.context) for f in world.journal.frames_for(record)]
        audio = {"bytes": 3}
        assert got[:5] == [
            ("in", "text", {"context_id": "c", "audio": audio}, "c"),
            ("out", "text", {"got": {"context_id": "c", "audio": "AAAA"}, "audio": audio}, None),
            ("in", "binary", None, None),
            ("out", "binary", None, None),
            ("in", "text", "not json", None),
        ]
        assert world.journal.audio(record) == b"\0\0\0" + b"12345" + b"\0\0\0"
        assert (record.status, record.outcome) == (101, "complete")


async def test_a_socket_is_refused() -> None:
    """The handshake fails with the status asked for."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("ws_refuse", status=429))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/socket")
        assert refused.value.status == 429


async def test_a_socket_closes_with_a_code() -> None:
    """At once, or after so many messages."""
    async with emulated() as (world, session):
        for after in (0, 2):
            world.inject("echo", Fault("ws_close", code=1008, reason="why", after_events=after))
            async with session.ws_connect("/socket") as ws:
                for _ in range(after + 1):
                    await ws.send_bytes(b"x")
                for _ in range(after):
                    assert (await ws.receive()).type is aiohttp.WSMsgType.BINARY
                closed = await ws.receive()
                assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)
                assert closed.extra == "why"


async def test_a_socket_hangs_open() -> None:
    """It neither answers nor reads, not even a ping, and the connection stands."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("ws_hang", after_events=1))
        async with session.ws_connect("/socket") as ws:
            await ws.send_bytes(b"x")
            await ws.receive()
            await ws.send_bytes(b"y")
            await ws.ping()
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.2)
            (connection,) = world.connections("echo")
            assert connection.closed_at is None
        frames = world.journal.frames_for(1)
        assert [frame.direction for frame in frames] == ["in", "out", "in"]


async def test_a_hanging_socket_hangs_for_reader_and_writer() -> None:
    """A fault that strikes the task that writes stops the task that reads as well."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("ws_hang", after_events=2))
        async with session.ws_connect("/duplex") as ws:
            for _ in range(2):
                assert (await ws.receive()).type is aiohttp.WSMsgType.TEXT
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.1)
            for _ in range(3):
                await ws.send_bytes(b"x")
            await asyncio.sleep(0.1)
            assert [f.direction for f in world.journal.frames_for(1)] == ["out", "out"]


@pytest.mark.parametrize("kind", ["reset", "close"])
async def test_a_socket_ends_without_a_close_frame(kind: Literal["reset", "close"]) -> None:
    """The connection goes, the protocol does not end."""
    async with emulated() as (world, session):
        world.inject("echo", Fault(kind, after_events=1))
        async with session.ws_connect("/socket") as ws:
            await ws.send_bytes(b"x")
            assert (await ws.receive()).data == b"x"
            await ws.send_bytes(b"y")
            ended = await ws.receive()
            assert ended.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
            assert ws.close_code == 1006


async def test_a_socket_speaks_garbage() -> None:
    """A frame that no parser may accept; or, with a body, that message."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("ws_garbage"))
        async with session.ws_connect("/socket") as ws:
            assert (await ws.receive()).type is aiohttp.WSMsgType.ERROR
        world.inject("echo", Fault("ws_garbage", body="{oh"))
        async with session.ws_connect("/socket") as ws:
            assert (await ws.receive()).data == "{oh"
            await ws.send_bytes(b"and goes on")
            assert (await ws.receive()).data == b"and goes on"


async def test_a_socket_sends_a_huge_message() -> None:
    """A hundred megabytes in one message: the client's limit is what protects it."""
    async with emulated() as (world, session):
        world.inject("echo", Fault("ws_huge_frame"))
        async with session.ws_connect("/socket", max_msg_size=1 << 20) as ws:
            assert (await ws.receive()).type is aiohttp.WSMsgType.ERROR
            assert ws.close_code == 1009


# -- stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [None, Link(rtt=0.02)], ids=["loopback", "link"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_stopping_is_quick_and_leaves_nothing(tls: bool, link: Link | None) -> None:
    """A hung handler, an open socket, an idle connection, one in its handshake: gone within a
    second, without a task, a socket or a warning.
    """
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world = await Emulator(providers=("echo", "openai"), tls=tls, link=link).__aenter__()
        context = ssl.create_default_context(cafile=world.ca_file) if tls else True
        connector = aiohttp.TCPConnector(ssl=context)
        session = aiohttp.ClientSession(world.endpoint("echo").url, connector=connector)
        await post(session)
        silent = socket.create_connection(("127.0.0.1", world.endpoint("echo").port))
        world.inject("echo", Fault("silence", operation="whole"))
        hung = asyncio.create_task(post(session))
        ws = await session.ws_connect("/socket")
        await asyncio.sleep(0.2)
        start = time.monotonic()
        await world.__aexit__(None, None, None)
        assert time.monotonic() - start < 0.7
        with contextlib.suppress(aiohttp.ClientError):
            await hung
        await ws.close()
        await session.close()
        silent.close()
        await asyncio.sleep(0.05)
        left = asyncio.all_tasks() - before
        assert not left
        gc.collect()
    for record in world.journal.connections:
        assert record.closed_at is not None
    for request in world.journal.requests:
        assert request.finished_at is not None


@pytest.mark.parametrize("link", [None, Link(rtt=0.01)], ids=["plain", "link"])
@pytest.mark.parametrize("turns", range(8))
async def test_connections_that_arrive_while_it_stops_are_closed(
    turns: int, link: Link | None
) -> None:
    """However far they have come: accepted, handed on or served, nobody forgets their sockets."""
    unheard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    with contextlib.ExitStack() as clients:
        async with Emulator(providers=("echo",), link=link) as world:
            for _ in range(4):
                client = clients.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", world.endpoint("echo").port))
            for _ in range(turns):
                await asyncio.sleep(0)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            gc.collect()
    assert unheard == []
    assert [str(warning.message) for warning in seen] == []


async def test_a_failed_start_leaves_nothing() -> None:
    """A port that is taken fails the start and frees the ports before it."""
    # Below the ports that a system gives to those who ask for any: nobody takes them meanwhile.
    for base in random.SystemRandom().sample(range(10_000, 32_000, 2), 50):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", base)).close()
            taken = socket.create_server(("127.0.0.1", base + 1))
            break
    with taken:
        before = asyncio.all_tasks()
        with pytest.raises(OSError, match="Address already in use"):
            async with Emulator(providers=("echo", "openai"), port_base=base):
                pytest.fail("started")
        assert asyncio.all_tasks() == before
    async with Emulator(providers=("echo", "openai"), port_base=base):
        pass


async def test_what_cannot_be_made_is_refused_at_construction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong names, and extras that are not installed, fail before anything starts."""
    with pytest.raises(ValueError, match="unknown provider"):
        Emulator(providers=("nobody",))
    with pytest.raises(ValueError, match="unknown scenario"):
        Emulator(scenario="nothing")
    with pytest.raises(ValueError, match="tones"):
        Emulator(speech="loud")  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmulatorError, match=r"voicekit\[emulator\]"):
        Emulator(tls=True)
    with pytest.raises(EmulatorError, match=r"voicekit\[demo\]"):
        Emulator(speech="real")
