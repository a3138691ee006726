"""Whatever a server sends ends typed, in bounded memory and time, and shows no secret."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import pickle
import threading
import time
import tracemalloc
from typing import Any

import pytest
from seams import (
    CHUNKED,
    KEY,
    LIMITS,
    SPEECH,
    RawServer,
    answers,
    chat,
    chunk,
    deaf_listener,
    dials_wait,
    make_call,
    post,
    read_head,
    response,
    shows_secrets,
    stream,
    transports,
)

from settling import open_sockets, until
from voicekit.clients.execute import MAX_BODY_BYTES
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    PoolTimeout,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
    WrongLoopError,
)
from voicekit.operation import Limits
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


ECHO = f"{KEY} {SPEECH}".encode()
"""A hostile server may send back what it was told."""

ANSWERS: dict[str, tuple[bytes, type[VoicekitError]]] = {
    "garbage": (b"\x00\x01garbage " + ECHO + b"\r\n\r\n", RemoteProtocolError),
    "not http": (b"SSH-2.0-OpenSSH_9.2 " + ECHO + b"\r\n", RemoteProtocolError),
    "bad status": (b"HTTP/1.1 two-hundred OK\r\n\r\n", RemoteProtocolError),
    "long header": (
        b"HTTP/1.1 200 OK\r\nX-Long: " + ECHO * 1000 + b"\r\n\r\n",
        RemoteProtocolError,
    ),
    "many headers": (
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(3000)) + b"\r\n",
        RemoteProtocolError,
    ),
    "endless header": (b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 300_000, RemoteProtocolError),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Ty", ConnectionLostError),
    "nothing": (b"", ConnectionLostError),
    "half json": (response(b'{"text": "' + ECHO), RemoteProtocolError),
    "no json": (response(ECHO), RemoteProtocolError),
    "deep json": (response(b"[" * 100_000), RemoteProtocolError),
    "json of another kind": (response(b"[1, 2]"), RemoteProtocolError),
    "html": (response(b"<html>" + ECHO, kind="text/html"), RemoteProtocolError),
    "empty": (response(b""), RemoteProtocolError),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", RemoteProtocolError),
    "partial": (response(b'{"a": 1}', status="206 Partial Content"), RemoteProtocolError),
    "compressed": (
        response(gzip.compress(b'{"a": 1}'), headers="Content-Encoding: gzip\r\n"),
        RemoteProtocolError,
    ),
    "cut short": (response(b'{"a": 1', length=100), ConnectionLostError),
    "cut short, no length": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"a": 1',
        RemoteProtocolError,
    ),
    "bad chunk": (CHUNKED + b"zz " + ECHO + b"\r\n", RemoteProtocolError),
    "cut chunk": (
        CHUNKED.replace(b"text/plain", b"application/json") + b"ff\r\n{",
        ConnectionLostError,
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        RemoteProtocolError,
    ),
    "redirect": (
        b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        RemoteProtocolError,
    ),
    "401": (response(b'{"error": "' + ECHO + b'"}', status="401 No"), AuthenticationError),
    "401, half": (
        response(b'{"error": "' + ECHO, status="401 No", length=900),
        AuthenticationError,
    ),
    "503 html": (response(b"<h1>", status="503 No", kind="text/html"), UnavailableError),
    "400": (response(b"", status="400 No"), InvalidRequestError),
    "wrong switch": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        RemoteProtocolError,
    ),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_hostile_answers(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each is one typed error with one terminal event, and nobody sees the key or the speech."""
    caplog.set_level(logging.DEBUG)
    answer, kind = ANSWERS[name]
    recorder = RecordingObserver()
    async with RawServer(answers(answer)) as server, transports() as transport:
        with pytest.raises(kind) as caught:
            await chat(transport, server.url, SPEECH, observer=recorder)
        error = caught.value
        assert server.served == 1
        assert shows_secrets(error) == []
        assert error.provider == "testing"
        assert error.operation == "test"
        assert error.attempts == 1
        assert error.timings is not None
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.outcome) == (type(error), str(error), error.outcome)
        assert [end.error for end in recorder.ended] == [type(error).__name__]
        seen = f"{recorder.events!r} {caplog.text} {transport!r} {transport.stats()!r}"
        assert KEY not in seen
        assert SPEECH not in seen
        await until(lambda: transport.stats().leased == 0)
        assert type(error) is kind


async def test_a_hundred_megabytes() -> None:
    """A JSON answer that does not end is given up at a bound, and never held whole."""

    async def huge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 104857600\r\n\r\n[")
        for _ in range(1600):
            writer.write(b"1," * 32768)
            await writer.drain()

    async with RawServer(huge) as server, transports() as transport:
        tracemalloc.start()
        try:
            with pytest.raises(RemoteProtocolError):
                await chat(transport, server.url, "x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2.5 * MAX_BODY_BYTES


async def test_a_stream_nobody_reads_is_not_held() -> None:
    """A server faster than the consumer is slowed down, not buffered."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(CHUNKED)
        while True:
            writer.write(chunk(b"x" * 65536))
            await writer.drain()

    async with RawServer(endless) as server, transports() as transport:
        async with stream(transport, post(server.url)) as speech:
            await anext(speech)
            tracemalloc.start()
            try:
                await asyncio.sleep(0.3)
                now, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert now < 8 << 20


async def test_a_refusal_whose_body_never_ends() -> None:
    """The status is known at once, so it is not lost to a limit: a second, then the error."""
    head = response(b"", status="401 No", length=100)
    for handler in (answers(head, then="hang"), answers(head, *[b"x"] * 500, pause=0.05)):
        async with RawServer(handler) as server, transports() as transport:
            started = time.monotonic()
            with pytest.raises(AuthenticationError):
                await chat(transport, server.url, "x")
            assert time.monotonic() - started < 2.0


async def test_an_early_refusal_while_uploading() -> None:
    """The server refuses before it has read a big body: its status, not a broken pipe."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(response(b"{}", status="401 No", headers="Connection: close\r\n"))
        await writer.drain()
        await reader.read()  # a proxy that lingers until the client has seen it

    async with RawServer(early) as server, transports() as transport:
        with pytest.raises(AuthenticationError):
            await chat(transport, server.url, "x" * 30_000_000)
        await until(lambda: transport.stats().open == 0)


async def test_an_early_answer_does_not_spoil_the_connection() -> None:
    """Answered while half of the body is unsent, the connection is not used for another request."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(response(b'{"early": true}'))
        await reader.read()

    async with RawServer(early) as server, transports() as transport:
        for _ in range(2):
            assert await chat(transport, server.url, "x" * 30_000_000) == {"early": True}
        assert server.served == 2


async def test_redirects_are_not_followed() -> None:
    """No credential reaches another host, by HTTP or by a socket's handshake."""
    from voicekit.transport.handshake import HandshakeRefused
    from voicekit.transport.messages import Request

    async with RawServer(answers(response())) as thief:
        head = f"HTTP/1.1 302 Found\r\nLocation: {thief.url}/\r\nContent-Length: 0\r\n\r\n"
        there = answers(head.encode(), then="")
        async with RawServer(there) as server, transports() as transport:
            with pytest.raises(RemoteProtocolError, match="redirects"):
                await chat(transport, server.url, "x")
            with pytest.raises(HandshakeRefused):
                await transport.dial_socket(
                    Request("GET", server.ws_url, {"xi-api-key": KEY}), make_call()
                )
        assert thief.served == 0


async def test_a_body_cut_short() -> None:
    """After the first output: what came is delivered, then the error with its account."""
    recorder = RecordingObserver()
    cut = answers(CHUNKED, chunk(b"one"), chunk(b"two"), b"ff\r\nthr", pause=0.02)
    async with RawServer(cut) as server, transports() as transport:
        speech = stream(transport, post(server.url), observer=recorder)
        got = []

        async def read() -> None:
            async for piece in speech:
                got.append(piece)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        assert b"".join(got) == b"onetwothr"
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert caught.value.outcome == "partial"
        assert len(recorder.ended) == 1


# -- what connecting may come to --------------------------------------------------------------


async def test_nobody_listens() -> None:
    """A refused connection: retryable, nothing sent."""
    async with RawServer(answers()) as server:
        url = server.url
    async with transports() as transport:
        with pytest.raises(ConnectError) as caught:
            await chat(transport, url, "x")
        assert caught.value.retryable
        assert caught.value.outcome == "not_applied"
        assert shows_secrets(caught.value) == []


async def test_an_unknown_host() -> None:
    """A name that cannot be, and one that is none."""
    async with transports() as transport:
        transport._opened()._resolver._lookup = _nowhere  # type: ignore[attr-defined]
        for host in ("nowhere.invalid", "x" * 70 + ".invalid"):
            with pytest.raises(ConnectError) as caught:
                await chat(transport, f"http://{host}", "x")
            assert caught.value.outcome == "not_applied"


def _nowhere(host: str, port: int, family: Any) -> Any:
    host.encode("idna")
    raise OSError(-2, "Name or service not known")


async def test_every_address_is_tried_once() -> None:
    """All of a name's addresses refuse: no second round with one fewer."""
    async with RawServer(answers()) as server:
        port = int(server.url.rpartition(":")[2])
    async with transports() as transport:
        pool = transport._opened()
        made: list[Any] = []
        real = pool.connector._socket_factory
        assert real is not None

        def counted(address: Any) -> Any:
            made.append(address[4])
            return real(address)

        pool.connector._socket_factory = counted
        pool._resolver._lookup = lambda host, port, family: [
            {"hostname": host, "host": f"127.0.0.{n}", "port": port} for n in (1, 2, 3)
        ]
        with pytest.raises(ConnectError):
            await chat(transport, f"http://name.test:{port}", "x")
        assert sorted(made) == [(f"127.0.0.{n}", port) for n in (1, 2, 3)]


async def test_a_request_that_cannot_be_written() -> None:
    """A header with a line break is our fault, injects nothing, and costs its connection."""
    from voicekit.errors import LocalProtocolError
    from voicekit.transport.messages import Request

    async with RawServer(answers(response(), then="")) as server, transports() as transport:
        bad = Request("POST", server.url, {"X-Thing": f"a\r\nX-Evil: {SPEECH}"}, b"{}")
        with pytest.raises(LocalProtocolError) as caught:
            await transport.send(bad, make_call())
        assert shows_secrets(caught.value) == []
        await until(lambda: transport.stats().closed == {"failed": 1})
        assert transport.stats().leased == 0


@pytest.mark.parametrize("url", ["http://", "ftp://host/", "host", "http://[::1", "http://127.1/"])
async def test_a_url_that_is_none(url: str) -> None:
    """A wrong argument, before any I/O."""
    async with transports() as transport:
        with pytest.raises(InvalidArgumentError):
            await transport.send(post(url), make_call())


# -- closing --------------------------------------------------------------------------------------


async def test_closing_with_work_in_flight() -> None:
    """Within a second; who streams, waits for an answer, for a place or for a dial learns why."""
    slow = answers(CHUNKED, chunk(b"one"), then="hang")
    silent = answers(then="hang")
    pool = PoolConfig(max_connections=3, max_wait=30)
    with deaf_listener() as port:
        async with RawServer(slow) as server, RawServer(silent) as mute:
            transport = Transport(pool=pool)
            before = open_sockets()
            streaming = stream(transport, post(server.url))
            await anext(streaming)
            limits = Limits(connect=30, first_output=30, gap=30)
            works = [
                asyncio.create_task(anext(streaming)),
                asyncio.create_task(chat(transport, mute.url, "answer", limits=limits)),
                asyncio.create_task(
                    chat(transport, f"https://127.0.0.1:{port}", "dial", limits=limits)
                ),
            ]
            await until(lambda: transport.stats().leased == 2)
            await asyncio.sleep(0.5)  # the dial has the third place; a busy machine takes its time
            works.append(asyncio.create_task(chat(transport, mute.url, "place", limits=limits)))
            await until(lambda: transport.stats().waiting == 1)
            started = time.monotonic()
            await transport.aclose()
            _, pending = await asyncio.wait(works, timeout=1.0)
            assert not pending
            assert time.monotonic() - started < 1.0
            errors = [work.exception() for work in works]
            assert isinstance(errors[0], StreamInterruptedError)
            assert isinstance(errors[0].__cause__, ClosedError)
            assert [type(error) for error in errors[1:]] == [ClosedError] * 3
            # Only the first of these had been sent, and may have been acted upon.
            outcomes = [getattr(error, "outcome", None) for error in errors[1:]]
            assert outcomes == ["unknown", "not_applied", "not_applied"]
            await until(lambda: open_sockets() <= before)
            await transport.aclose()
            with pytest.raises(ClosedError):
                await chat(transport, mute.url, "late")


async def test_closing_ends_a_warm_up() -> None:
    """Its dials are abandoned, and it says so."""
    async with RawServer(answers()) as server:
        transport = Transport()
        with dials_wait(transport):
            warming = asyncio.create_task(transport.warm(server.url, 2))
            await until(lambda: transport.stats().dialing == 2)
            await transport.aclose()
            assert set((await warming).failures) == {"ClosedError"}


async def test_the_resolver_ends_with_its_transport() -> None:
    """No thread of it outlives the transport."""
    async with transports() as transport:
        await transport.warm("http://localhost:9", 1)
        assert any(t.name.startswith("voicekit-dns") for t in threading.enumerate())
    assert not any(t.name.startswith("voicekit-dns") for t in threading.enumerate())


def test_the_wrong_loop() -> None:
    """A transport belongs to the loop that opened it, and can be closed there alone."""
    transport = Transport()

    async def use() -> None:
        async with RawServer(answers(response())) as server:
            await chat(transport, server.url, "x")

    with asyncio.Runner() as first:
        first.run(use())
        with asyncio.Runner() as second:
            with pytest.raises(WrongLoopError):
                second.run(use())
            with pytest.raises(WrongLoopError):
                second.run(transport.aclose())
        first.run(transport.aclose())


@pytest.mark.parametrize("anyio_backend", [LOOPS["asyncio"]])
async def test_a_forgotten_transport_warns_once() -> None:
    """It frees its sockets and its threads with one ResourceWarning, not one per part."""
    async with RawServer(answers(response(), then="")) as server:
        transport = Transport()
        await transport.warm(server.url, 2)
        await transport.warm("http://localhost:9", 1)
        before = open_sockets()
        gc.collect()
        with pytest.warns(ResourceWarning) as caught:  # noqa: PT031
            del transport
            gc.collect()
        assert [str(each.message) for each in caught] == ["Transport was never closed"]
        await until(lambda: open_sockets() <= before - 2)
        await until(lambda: not any("voicekit-dns" in t.name for t in threading.enumerate()))


async def test_stats_say_who_waits_for_a_connection() -> None:
    """Callers beyond the bound, until one is free or they give up."""
    pool = PoolConfig(max_connections=1, max_wait=5.0)
    handler = answers(CHUNKED, chunk(b"a"), then="hang")
    async with RawServer(handler) as server, transports(pool=pool) as transport:
        speech = await stream(transport, post(server.url), LIMITS)
        assert transport.stats().waiting == 0
        waits = [
            asyncio.create_task(stream(transport, post(server.url)).__aenter__()) for _ in "ab"
        ]
        await until(lambda: transport.stats().waiting == 2)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert transport.stats().waiting == 0
        await speech.aclose()


async def test_a_pool_timeout_is_one_for_sockets_too() -> None:
    """Aiohttp takes our PoolTimeout for a connection timeout of its own; we do not."""
    from voicekit.transport.messages import Request

    pool = PoolConfig(max_connections=1, max_wait=0.05)
    handler = answers(CHUNKED, chunk(b"a"), then="hang")
    async with RawServer(handler) as server, transports(pool=pool) as transport:
        speech = await stream(transport, post(server.url), LIMITS)
        with pytest.raises(PoolTimeout):
            await transport.dial_socket(Request("GET", server.ws_url, {}), make_call())
        await speech.aclose()
