"""WebSockets: refused, silent, closed politely, broken, forgotten; never one too many."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import time
import tracemalloc
from typing import Any

import pytest
from seams import (
    KEY,
    LIMITS,
    SPEECH,
    Canary,
    RawServer,
    answers,
    make_call,
    read_head,
    response,
    shows_secrets,
    transports,
)

from settling import open_sockets, until
from voicekit.clients.execute import open_socket
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectionLostError,
    ConnectTimeout,
    FirstOutputTimeout,
    InvalidRequestError,
    RemoteProtocolError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.pipeline import Pipeline
from voicekit.testing import RecordingObserver
from voicekit.transport.messages import Request
from voicekit.transport.ws_aiohttp import SocketClosed

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


# -- a server's side of it ----------------------------------------------------------------


async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await read_head(reader)
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"sec-websocket-key:"):
            key = line.partition(b":")[2].strip()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(SWITCHED + b"X-Request-Id: r-1\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def frame(opcode: int, data: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    head = bytes([0x80 | opcode])
    if size < 126:
        return head + bytes([size]) + data
    if size < 65536:
        return head + b"\x7e" + struct.pack("!H", size) + data
    return head + b"\x7f" + struct.pack("!Q", size) + data


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4)
    data = await reader.readexactly(size)
    return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(data))


CLOSE = 8
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
heard: list[tuple[int, bytes]] = []


def speaks(*frames: bytes, then: str = "listen") -> Any:
    """Shakes hands, sends frames, then: listen politely, hang, go, or close first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake(reader, writer)
        for each in frames:
            writer.write(each)
        if then == "go":
            return
        if then == "hang":
            await asyncio.sleep(3600)
        while True:
            got = await read_frame(reader)
            heard.append(got)
            if got[0] == CLOSE:
                writer.write(frame(CLOSE, got[1]))
                return

    return handle


class Receiver:
    def __init__(self) -> None:
        self.frames: list[str | bytes] = []
        self.losses: list[VoicekitError] = []

    def frame(self, data: str | bytes) -> None:
        self.frames.append(data)

    def lost(self, error: VoicekitError) -> None:
        self.losses.append(error)


def handshake(server: RawServer) -> Request:
    return Request("GET", server.ws_url + "/socket", {"Authorization": f"Token {KEY}"})


# -- handshakes ------------------------------------------------------------------------------


async def test_frames_both_ways() -> None:
    """Text and binary arrive as they were sent; the polite close says goodbye and frees all."""
    heard.clear()
    frames = (frame(1, b"text"), frame(2, b"\x00\xff"), frame(9, b"ping"))
    async with RawServer(speaks(*frames)) as server, transports() as transport:
        before = open_sockets()
        call = make_call()
        socket = await transport.dial_socket(handshake(server), call)
        receiver = Receiver()
        socket.attach(receiver)
        await until(lambda: len(receiver.frames) == 2)
        assert receiver.frames == ["text", b"\x00\xff"]
        await socket.send("hallo")
        await socket.send(b"\x01")
        assert socket.alive
        await socket.aclose()
        assert not socket.alive
        await until(lambda: heard and heard[-1][0] == CLOSE)
        assert (1, b"hallo") in heard
        assert (2, b"\x01") in heard
        assert (10, b"ping") in heard
        await until(lambda: open_sockets() <= before)
        assert transport.stats().open == 0
        await socket.aclose()
        socket.abort()
        with pytest.raises(ClosedError):
            await socket.send("late")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (response(b'{"detail": "' + KEY.encode() + b'"}', status="401 No"), AuthenticationError),
        (response(b"cut", status="401 No", length=99), AuthenticationError),
        (response(b"<html>", kind="text/html"), InvalidRequestError),
        (response(b"", status="302 Found", headers="Location: /x\r\n"), InvalidRequestError),
        (b"garbage\r\n\r\n", RemoteProtocolError),
        (
            SWITCHED + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
            RemoteProtocolError,
        ),
        (b"", ConnectionLostError),
    ],
)
async def test_refused_handshakes(answer: bytes, kind: type[VoicekitError]) -> None:
    """Whatever the server answers instead is typed, with its status and its words."""
    from seams import DIALECT

    recorder = RecordingObserver()
    async with RawServer(answers(answer)) as server, transports() as transport:
        call = make_call(LIMITS, recorder)
        with pytest.raises(kind) as caught:
            await Pipeline().open(
                call, lambda call: open_socket(transport, call, handshake(server), DIALECT)
            )
        assert shows_secrets(caught.value) == []
        assert server.served == 1
        assert len(recorder.ended) == 1
        await until(lambda: transport.stats().open == 0)


async def test_a_refusal_keeps_its_body() -> None:
    """What the server says about it reaches the provider's table, however it was cut up."""
    from voicekit.transport.handshake import HandshakeRefused

    body = b"x" * 30_000
    head = response(b"", status="429 Slow", headers="Retry-After: 7\r\n", length=len(body))
    pieces = [body[:10], body[10:20_000], body[20_000:]]
    handler = answers(head, *pieces, pause=0.02)
    async with RawServer(handler) as server, transports() as transport:
        with pytest.raises(HandshakeRefused) as caught:
            await transport.dial_socket(handshake(server), make_call())
        refused = caught.value
        assert (refused.status, refused.body) == (429, body)
        assert refused.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(connect=0.3), ConnectTimeout),
        (Limits(connect=5, first_output=0.3), FirstOutputTimeout),
    ],
)
async def test_a_silent_handshake(limits: Limits, kind: type[VoicekitError]) -> None:
    """A server that takes the request and says nothing is noticed, whatever limits there are."""
    from seams import DIALECT

    async with RawServer(answers(then="hang")) as server, transports() as transport:
        async with Canary() as canary:
            started = time.monotonic()
            with pytest.raises(kind):
                await Pipeline().open(
                    make_call(limits),
                    lambda call: open_socket(transport, call, handshake(server), DIALECT),
                )
            took = time.monotonic() - started
        assert 0.29 <= took <= 0.3 + canary.tolerance
        await until(lambda: transport.stats().open == 0)


async def test_a_handshake_rides_on_a_warm_connection() -> None:
    """Http and ws share their connections: no new one is dialled on the caller's path."""
    async with RawServer(speaks()) as server, transports() as transport:
        await transport.warm(server.url, 1)
        call = make_call()
        socket = await transport.dial_socket(handshake(server), call)
        assert call.connection is not None
        assert call.connection.reused
        assert call.timings.connect == 0
        await until(lambda: transport.stats().ready == 1)  # replaced, for it will not come back
        await socket.aclose()
        await until(lambda: transport.stats().open == 1)


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (speaks(frame(CLOSE, struct.pack("!H", 1011) + SPEECH.encode())), SocketClosed),
        (speaks(then="go"), ConnectionLostError),
        (speaks(b"\xff\xff\xff\xff"), RemoteProtocolError),
        (speaks(frame(1, b"\xff\xfe")), RemoteProtocolError),
        (speaks(frame(2, b"", length=1 << 40)), RemoteProtocolError),
    ],
    ids=["closed", "gone", "garbage", "no utf-8", "huge"],
)
async def test_the_receiver_learns_of_the_end_once(handler: Any, kind: type[VoicekitError]) -> None:
    """Whoever ends it and however, the holder is told, the socket freed, and later ones told."""
    async with RawServer(handler) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        receiver = Receiver()
        socket.attach(receiver)
        await until(lambda: receiver.losses)
        assert type(receiver.losses[0]) is kind
        assert shows_secrets(receiver.losses[0]) == []
        assert not socket.alive
        with pytest.raises(kind):
            await socket.send("late")
        late = Receiver()
        socket.attach(late)
        assert len(late.losses) == 1
        await until(lambda: transport.stats().open == 0)
        assert len(receiver.losses) == 1


async def test_a_close_says_its_code() -> None:
    """The provider's table needs the code and the reason; no message quotes the reason."""
    ends = speaks(frame(CLOSE, struct.pack("!H", 4008) + b"too slow"))
    async with RawServer(ends) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        receiver = Receiver()
        socket.attach(receiver)
        await until(lambda: receiver.losses)
        error = receiver.losses[0]
        assert isinstance(error, SocketClosed)
        assert (error.status, error.detail) == (4008, "too slow")
        assert "slow" not in str(error)


async def test_a_frame_of_a_hundred_megabytes() -> None:
    """It is refused at its bound and never held whole."""

    async def huge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake(reader, writer)
        writer.write(frame(2, b"", length=100 << 20))
        for _ in range(1600):
            writer.write(b"x" * 65536)
            await writer.drain()

    async with RawServer(huge) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        receiver = Receiver()
        tracemalloc.start()
        try:
            socket.attach(receiver)
            await until(lambda: receiver.losses)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(receiver.losses[0], RemoteProtocolError)
        assert peak < 40 << 20


@pytest.mark.parametrize("chatty", [False, True])
async def test_closing_a_hung_socket_is_bounded(chatty: bool) -> None:
    """A peer that never answers the goodbye, or that talks all the time: a second at most."""

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake(reader, writer)
        while True:
            await asyncio.sleep(0.05)
            if chatty:
                writer.write(frame(2, b"more"))

    async with RawServer(hangs) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        async with Canary() as canary:
            started = time.monotonic()
            await socket.aclose()
            took = time.monotonic() - started
        assert took <= 1.0 + canary.tolerance
        await until(lambda: transport.stats().open == 0)


async def test_abort_is_at_once() -> None:
    """And tells nobody who gave it up himself more than once."""
    async with RawServer(speaks(then="hang")) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        receiver = Receiver()
        socket.attach(receiver)
        socket.abort()
        socket.abort()
        assert not socket.alive
        assert transport.stats().open == 0
        assert receiver.losses == []


async def test_a_blocked_send_is_freed() -> None:
    """Back-pressure of a peer that reads nothing holds the sender; closing lets go of it."""
    async with RawServer(speaks(then="hang")) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())

        async def flood() -> None:
            while True:
                await socket.send(b"x" * 1_000_000)

        sending = asyncio.create_task(flood())
        await asyncio.sleep(0.2)
        assert not sending.done()
        socket.abort()
        await asyncio.wait([sending], timeout=1.0)
        assert isinstance(sending.exception(), (ConnectionLostError, ClosedError))


async def test_a_peer_that_left_while_the_loop_was_busy() -> None:
    """The OS knows before the event loop does; alive asks it."""
    left = asyncio.Event()

    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake(reader, writer)
        await left.wait()

    async with RawServer(leaves) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        writer = next(iter(server._writers))
        raw = writer.get_extra_info("socket")
        assert socket.alive
        import socket as sockets

        with sockets.fromfd(raw.fileno(), raw.family, raw.type) as twin:
            twin.shutdown(sockets.SHUT_WR)  # at once, without a turn of the loop
        assert not socket.alive
        left.set()
        socket.abort()


async def test_closing_the_transport_tells_the_holders() -> None:
    """A socket in somebody's hands ends with its transport."""
    async with RawServer(speaks(then="hang")) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        receiver = Receiver()
        socket.attach(receiver)
        await transport.aclose()
        assert [type(loss) for loss in receiver.losses] == [ClosedError]
        assert not socket.alive


async def test_the_reader_does_not_wait_for_the_receiver() -> None:
    """Frames nobody listens to are dropped, pings answered: the socket stays alive."""
    heard.clear()
    frames = [frame(2, b"x" * 1000) for _ in range(1000)] + [frame(9, b"still?")]
    async with RawServer(speaks(*frames)) as server, transports() as transport:
        socket = await transport.dial_socket(handshake(server), make_call())
        await until(lambda: (10, b"still?") in heard)
        assert socket.alive
        await socket.aclose()
