"""Cancelled at any await, everything ends promptly, once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from seams import (
    CHUNKED,
    DIALECT,
    LIMITS,
    RawServer,
    answers,
    chat,
    chunk,
    make_call,
    post,
    read_request,
    response,
    stream,
    transports,
)
from test_sockets import handshake, speaks

from settling import open_sockets, until
from voicekit.clients.execute import open_socket
from voicekit.errors import ClosedError, LocalProtocolError
from voicekit.operation import Call, Limits
from voicekit.pipeline import Pipeline
from voicekit.sessions import Session
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig
from voicekit.transport.interfaces import Socket
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
PROMPT = 0.5
"""Seconds; a cancellation takes a turn or two of the loop, and the machine may be busy."""


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


@pytest.fixture(params=["tcp", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """Server context and CA file, or two Nones."""
    if request.param == "tcp":
        return None, None
    trustme = pytest.importorskip("trustme", reason="trustme of an extra is not installed")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, path


class Line(Session[str]):
    """The least session there can be: frames in, frames out."""

    def __init__(
        self, transport: Transport, server: RawServer, recorder: RecordingObserver
    ) -> None:
        super().__init__(lambda: make_call(LIMITS, recorder))
        self._transport, self._server = transport, server
        self._socket: Socket | None = None

    async def _connect(self, call: Call) -> None:
        self._socket = await Pipeline().open(
            call,
            lambda call: open_socket(self._transport, call, handshake(self._server), DIALECT),
        )
        self._socket.attach(self)

    def frame(self, data: str | bytes) -> None:
        self._push(str(data))

    def lost(self, error: Any) -> None:
        self._fail(error)

    async def send(self, text: str) -> None:
        self._ready()
        assert self._socket is not None
        await self._socket.send(text)

    def _owes(self) -> bool:
        return True

    def _hang_up(self, *, clean: bool) -> None:
        if self._socket is not None:
            self._socket.abort()


async def unary(transport: Transport, server: RawServer, recorder: RecordingObserver) -> None:
    assert await chat(transport, server.url, "x", observer=recorder) == {"a": 1}


async def streaming(transport: Transport, server: RawServer, recorder: RecordingObserver) -> None:
    async with stream(transport, post(server.url), observer=recorder) as speech:
        assert b"".join([piece async for piece in speech]) == b"onetwo"


async def bare_streaming(
    transport: Transport, server: RawServer, recorder: RecordingObserver
) -> None:
    speech = stream(transport, post(server.url), observer=recorder)
    assert b"".join([piece async for piece in speech]) == b"onetwo"


async def socket(transport: Transport, server: RawServer, recorder: RecordingObserver) -> None:
    call = make_call(LIMITS, recorder)
    try:
        opened = await Pipeline().open(
            call, lambda call: open_socket(transport, call, handshake(server), DIALECT)
        )
        try:
            await opened.send("x")
            await asyncio.sleep(0)
        finally:
            await opened.aclose()
    except BaseException as error:
        call.end(error)
        raise
    call.end()


async def session(transport: Transport, server: RawServer, recorder: RecordingObserver) -> None:
    async with Line(transport, server, recorder) as line:
        await line.send("x")
        assert await anext(line) == "one"


PIECES = answers(CHUNKED, chunk(b"one"), chunk(b"two"), b"0\r\n\r\n", then="")
SCENES: dict[str, tuple[Callable[..., Awaitable[None]], Any]] = {
    "unary": (unary, answers(response(b'{"a": 1}'), then="")),
    "streaming": (streaming, PIECES),
    "bare streaming": (bare_streaming, PIECES),
    "socket": (socket, speaks()),
    "session": (session, speaks(b"\x81\x03one")),
}


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("scene", sorted(SCENES))
async def test_cancelled_at_every_await(scene: str, warm: bool, tls: Any) -> None:
    """Cancelled after k steps of the loop, for growing k until it completes: CancelledError at
    once, one terminal event, the pool's counts back, and the next call is fine.
    """
    work, handler = SCENES[scene]
    context, ca = tls
    async with RawServer(handler, context) as server:
        for steps in range(400):
            recorder = RecordingObserver()
            transport = Transport(ca=ca)
            await transport._ssl(server.url)  # in a thread, whose steps nobody can count
            if warm:
                await transport.warm(server.url, 1)
            task = asyncio.create_task(work(transport, server, recorder))
            for _ in range(steps):
                await asyncio.sleep(0)
            finished = task.done()
            started = time.monotonic()
            task.cancel()
            await asyncio.wait([task], timeout=2.0)
            assert time.monotonic() - started < (1.5 if scene == "socket" else PROMPT)
            assert task.cancelled() != finished or task.exception() is None
            if not finished and task.cancelled() and recorder.events:
                assert [end.result for end in recorder.ended] == ["cancelled"]
            assert len(recorder.ended) <= 1
            assert bool(recorder.ended) == bool(recorder.events)
            await until(lambda: not transport.stats().leased)  # noqa: B023
            if finished:
                await work(transport, server, RecordingObserver())
            await transport.aclose()
            if finished:
                break
        assert finished, "it never came to an end"
        await until(lambda: not server._writers)


async def test_cancelling_after_many_cancellations() -> None:
    """One pool that is used and cancelled at every step in turn stays what it was."""
    handler = answers(response(b'{"a": 1}'), then="")
    async with RawServer(handler) as server, transports() as transport:
        await transport.warm(server.url, 2)
        sockets = open_sockets()
        for steps in range(30):
            tasks = [asyncio.create_task(chat(transport, server.url, "x")) for _ in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await until(lambda: 2 <= transport.stats().ready <= 3 and not transport.stats().dialing)
        assert transport.stats().leased == 0
        assert await chat(transport, server.url, "x") == {"a": 1}
        await until(lambda: open_sockets() <= sockets + 2)  # the third one's two ends


async def test_waiters_for_a_place() -> None:
    """Cancelled in the queue, they leave it; the place goes to the next."""
    hangs = answers(CHUNKED, chunk(b"one"), then="hang")
    pool = PoolConfig(max_connections=1, max_wait=5)
    async with RawServer(hangs) as server, transports(pool=pool) as transport:
        first = await stream(transport, post(server.url))
        waiting = [
            asyncio.create_task(stream(transport, post(server.url)).__aenter__()) for _ in range(3)
        ]
        await asyncio.sleep(0.02)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait(waiting[:2])
        await first.aclose()
        last = await waiting[2]
        await last.aclose()
        assert transport.stats().leased == 0


# -- handles from several tasks --------------------------------------------------------------------


async def in_task(work: Awaitable[Any]) -> Any:
    async def run() -> Any:
        return await work

    return await asyncio.create_task(run())


async def test_three_tasks() -> None:
    """Entered, iterated and closed in three different tasks: the same results."""
    async with RawServer(PIECES) as server, transports() as transport:
        recorder = RecordingObserver()
        speech = stream(transport, post(server.url), observer=recorder)
        await in_task(speech.__aenter__())
        pieces = [await in_task(speech.__anext__())]
        with contextlib.suppress(StopAsyncIteration):
            while True:
                pieces.append(await in_task(speech.__anext__()))
        await in_task(speech.aclose())
        assert b"".join(pieces) == b"onetwo"
        assert [end.result for end in recorder.ended] == ["ok"]
    async with RawServer(SCENES["session"][1]) as server, transports() as transport:
        line = Line(transport, server, RecordingObserver())
        await in_task(line.__aenter__())
        assert await in_task(line.__anext__()) == "one"
        await in_task(line.aclose())


async def test_a_cancelled_anext_loses_nothing() -> None:
    """Inside its async with a stream goes on where it was."""
    go = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + chunk(b"one"))
        await go.wait()
        writer.write(chunk(b"two") + b"0\r\n\r\n")

    async with RawServer(later) as server, transports() as transport:
        speech = await stream(transport, post(server.url)).__aenter__()
        assert await anext(speech) == b"one"
        for _ in range(3):
            task = asyncio.create_task(speech.__anext__())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
        go.set()
        assert [piece async for piece in speech] == [b"two"]


async def test_a_cancelled_anext_outside_async_with_releases_itself() -> None:
    """Nobody else would: as a web framework does when its client has gone."""
    hangs = answers(CHUNKED, chunk(b"one"), then="hang")
    async with RawServer(hangs) as server, transports() as transport:
        recorder = RecordingObserver()
        speech = stream(transport, post(server.url), observer=recorder)
        assert await anext(speech) == b"one"
        task = asyncio.create_task(speech.__anext__())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert transport.stats().leased == 0
        assert [end.result for end in recorder.ended] == ["cancelled"]


@pytest.mark.parametrize("how", ["cancel", "aclose"])
async def test_ended_by_another_task(how: str) -> None:
    """While one task waits in __anext__ another ends the stream: iteration ends quietly."""
    hangs = answers(CHUNKED, chunk(b"one"), then="hang")
    async with RawServer(hangs) as server, transports() as transport:
        recorder = RecordingObserver()
        speech = stream(transport, post(server.url), observer=recorder)

        async def read() -> list[bytes]:
            return [piece async for piece in speech]

        reading = asyncio.create_task(read())
        await until(lambda: speech._reading)
        await getattr(speech, how)()
        assert await reading == [b"one"]
        assert speech.cancelled is (how == "cancel")
        assert transport.stats().leased == 0
        assert [end.result for end in recorder.ended] == ["cancelled"]
        await speech.cancel()
        await speech.aclose()
        assert [piece async for piece in speech] == []


@pytest.mark.parametrize("how", ["cancel", "aclose"])
async def test_ended_while_it_opens(how: str) -> None:
    """At once, and not when the provider at last answers: who enters it gets ClosedError, who
    only iterates a cancelled one comes to a quiet end.
    """
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        entering, iterating = (stream(transport, post(server.url)) for _ in range(2))

        async def read() -> list[bytes]:
            return [piece async for piece in iterating]

        tasks = [asyncio.create_task(entering.__aenter__()), asyncio.create_task(read())]
        await until(lambda: transport.stats().leased == 2)
        with pytest.raises(LocalProtocolError):
            await entering
        await getattr(entering, how)()
        await getattr(iterating, how)()
        await asyncio.wait(tasks, timeout=PROMPT)
        assert isinstance(tasks[0].exception(), ClosedError)
        if how == "cancel":
            assert tasks[1].result() == []
        else:
            assert isinstance(tasks[1].exception(), ClosedError)
        assert not any(task.cancelling() for task in tasks)
        assert transport.stats().leased == 0
        with pytest.raises(ClosedError):
            await entering


async def test_a_session_ended_while_it_opens() -> None:
    """As a stream."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        recorder = RecordingObserver()
        line = Line(transport, server, recorder)
        task = asyncio.create_task(line.__aenter__())
        await until(lambda: transport.stats().leased)
        await line.aclose()
        await asyncio.wait([task], timeout=PROMPT)
        assert isinstance(task.exception(), ClosedError)
        assert not task.cancelling()
        assert [end.result for end in recorder.ended] == ["cancelled"]
        await until(lambda: not transport.stats().leased)


async def test_cancelled_and_closed_at_once() -> None:
    """A task that is cancelled from outside stays cancelled, whatever else ends its stream."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        speech = stream(transport, post(server.url), Limits(first_output=5))
        task = asyncio.create_task(speech.__aenter__())
        await until(lambda: transport.stats().leased)
        task.cancel()
        await speech.aclose()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_closing_is_cancellable_while_sockets_say_goodbye() -> None:
    """The HTTP connections end all the same."""

    class Slow:
        async def aclose(self, drain: float) -> None:
            await asyncio.sleep(3600)

    async with RawServer(answers(then="hang")) as server:
        transport = Transport()
        transport.socket_pool("key", Slow)  # type: ignore[arg-type]
        await transport.warm(server.url, 2)
        task = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert transport.stats().open == 0
        await until(lambda: not server._writers)


async def test_closing_is_cancellable() -> None:
    """A cancelled aclose still frees everything."""
    async with RawServer(speaks(then="hang")) as server:
        for steps in range(1, 12):
            before = open_sockets()
            transport = Transport()
            sock = await transport.dial_socket(handshake(server), make_call())
            await transport.warm(server.url, 1)
            task = asyncio.create_task(transport.aclose())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=2.0)
            assert not sock.alive
            await until(lambda: open_sockets() <= before + 2)  # noqa: B023 - the server's side
