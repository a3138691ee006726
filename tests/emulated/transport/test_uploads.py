"""Uploads over real sockets: whole, in bounded memory, and typed when anything goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from seams import (
    DIALECT,
    HEADERS,
    Handler,
    RawServer,
    make_call,
    operation,
    read_head,
    response,
    shows_secrets,
    transports,
)

from settling import until
from voicekit import events
from voicekit.clients.execute import fetch_json
from voicekit.clients.uploads import upload_of
from voicekit.deadlines import deadline
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    LocalProtocolError,
    ProviderError,
    TotalTimeout,
)
from voicekit.operation import Call, Limits
from voicekit.testing import RecordingObserver
from voicekit.timing import ConnectionInfo
from voicekit.transport.messages import Request, Upload
from voicekit.transport.transport import Transport
from voicekit.wire.multipart import multipart

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
LIMITS = Limits(connect=5.0, first_output=20.0, total=60.0)
LARGE = 24 << 20
"""Bytes: more than the system's buffers of a connection hold, so that it stands still."""
BEYOND_BUFFERS = 96 << 20


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


@pytest.fixture(params=["tcp", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
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


class Receipt:
    """What a server got."""

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)

    def equals(self, data: bytes) -> bool:
        return self.size == len(data) and self._hash.digest() == hashlib.sha256(data).digest()


async def read_body(
    reader: asyncio.StreamReader, head: bytes, most: int | None = None
) -> AsyncIterator[bytes]:
    """The body of a request, as its framing says, or its first ``most`` bytes."""
    left = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            left = int(line.partition(b":")[2])
    if b"transfer-encoding: chunked" in head.lower():
        while size := int((await reader.readuntil(b"\r\n")).decode(), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return
    left = left if most is None else min(left, most)
    while left:
        data = await reader.read(min(left, 1 << 16))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        yield data


def takes(receipt: Receipt, *, pause: float = 0.0, wait: float = 0.0) -> Handler:
    """Takes uploads, slowly with a ``pause``, and answers ``wait`` seconds after the last byte."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                receipt.head = await read_head(reader)
            except asyncio.IncompleteReadError:
                return
            async for data in read_body(reader, receipt.head):
                receipt.add(data)
                if pause:
                    await asyncio.sleep(pause)
            await asyncio.sleep(wait)
            writer.write(response(b'{"ok": true}'))

    return handle


def refuses(status: str, *, after: int, then: str) -> Handler:
    """Answers after so many bytes of the body, then closes or keeps quiet."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        async for _ in read_body(reader, head, after):
            pass
        writer.write(response(b'{"error": "no"}', status=status))
        await writer.drain()
        if then == "hang":
            await asyncio.sleep(60)

    return handle


async def upload(
    transport: Transport,
    url: str,
    body: bytes | Upload,
    limits: Limits = LIMITS,
    *,
    call: Call | None = None,
    observer: events.Observer | None = None,
) -> dict[str, Any]:
    headers = {**HEADERS, "Content-Type": "application/octet-stream"}

    async def prepare() -> Request:
        return Request("POST", url + "/upload", headers, body)

    return await fetch_json(
        transport,
        call or make_call(limits, observer),
        prepare,
        DIALECT,
        lambda value, _response: value,
    )


def sparse(folder: Path, size: int) -> Path:
    """A file of zeros that takes no room."""
    path = folder / "sparse.wav"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def fill(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


def open_files(path: Path) -> int:
    """How often this process has ``path`` open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += entry.readlink() == path
        except OSError:
            continue
    return count


# -- the good case ------------------------------------------------------------------------


async def test_each_kind_arrives_whole(tls: Any, tmp_path: Path) -> None:
    """Bytes, a file, an open file and a pipe; with a length where there is one, else in chunks."""
    data = os.urandom(700_001)
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    receive, send = os.pipe()
    with (
        os.fdopen(receive, "rb") as pipe,
        path.open("rb") as handle,
    ):
        writer = threading.Thread(target=fill, args=(send, data))
        writer.start()
        handle.seek(1000)
        cases = [
            (upload_of(data).upload, data, True),
            (upload_of(path).upload, data, True),
            (upload_of(handle).upload, data[1000:], True),
            (upload_of(io.BytesIO(data)).upload, data, True),
            (upload_of(pipe).upload, data, False),
        ]
        for body, expected, has_length in cases:
            receipt = Receipt()
            async with (
                RawServer(takes(receipt), tls[0]) as server,
                transports(ca=tls[1]) as transport,
            ):
                assert await upload(transport, server.url, body) == {"ok": True}
                assert receipt.equals(expected)
                assert (b"Content-Length: %d\r\n" % len(expected) in receipt.head) is has_length
                assert (b"Transfer-Encoding: chunked" in receipt.head) is not has_length
                assert await upload(transport, server.url, b"{}") == {"ok": True}
                assert server.served == 1  # it was good for another request
        writer.join()


async def test_a_form_around_a_file_arrives_whole(tls: Any, tmp_path: Path) -> None:
    """Fields, then the file; its length is known beforehand."""
    path = tmp_path / "a.wav"
    path.write_bytes(os.urandom(300_000))
    _, body = multipart([("model", "m")], ("file", "a.wav", "audio/wav", upload_of(path).upload))
    assert not isinstance(body, bytes)
    expected = b"".join([piece async for piece in body.open()])
    receipt = Receipt()
    async with RawServer(takes(receipt), tls[0]) as server, transports(ca=tls[1]) as transport:
        await upload(transport, server.url, body)
    assert receipt.equals(expected)


@pytest.mark.parametrize("anyio_backend", [LOOPS["asyncio"]])
async def test_a_gigabyte_is_never_in_memory(tmp_path: Path) -> None:
    """What is held is some pieces, whatever the size of the file."""
    resource = pytest.importorskip("resource")
    receipt = Receipt()
    receipt.add = lambda data: setattr(receipt, "size", receipt.size + len(data))  # type: ignore[method-assign]
    async with RawServer(takes(receipt)) as server, transports() as transport:
        await upload(transport, server.url, upload_of(sparse(tmp_path, LARGE)).upload)
        path = sparse(tmp_path, 1 << 30)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await upload(transport, server.url, upload_of(path).upload)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert receipt.size == LARGE + (1 << 30)
    assert (after - before) < 32 << 10  # KiB


# -- limits ---------------------------------------------------------------------------------


async def test_limits_count_from_the_last_byte(tls: Any, tmp_path: Path) -> None:
    """An upload may take longer than first output and total together."""
    receipt = Receipt()
    limits = Limits(connect=5.0, first_output=0.6, gap=0.6, total=0.7)
    body = upload_of(sparse(tmp_path, LARGE)).upload
    seen = RecordingObserver()
    async with (
        RawServer(takes(receipt, pause=0.004), tls[0]) as server,
        transports(ca=tls[1]) as transport,
    ):
        started = time.monotonic()
        assert await upload(transport, server.url, body, limits, observer=seen) == {"ok": True}
        assert time.monotonic() - started > 1.3
    acquired = [event for event in seen.events if isinstance(event, events.ConnectionAcquired)]
    assert len(acquired) == 1


async def test_the_last_byte_is_the_last_byte(tls: Any, tmp_path: Path) -> None:
    """Not what waits in buffers of ours or, beyond a little, of the system's."""
    receipt, seen = Receipt(), []

    class Noting(Call):
        __slots__ = ()

        def sent(self, connection: ConnectionInfo, *, whole: bool = True) -> None:
            super().sent(connection, whole=whole)
            (held,) = transport._opened().connector._acquired
            assert held.transport is not None
            seen.append((receipt.size, held.transport.get_write_buffer_size()))

    body = upload_of(sparse(tmp_path, LARGE)).upload
    async with (
        RawServer(takes(receipt, pause=0.002), tls[0]) as server,
        transports(ca=tls[1]) as transport,
    ):
        listening = server._server.sockets[0]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        await upload(transport, server.url, body, call=Noting(operation(LIMITS)))
    ((received, unsent),) = seen
    assert unsent == 0
    assert LARGE - received < 2 << 20  # without a bound the system holds more by itself


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(connect=5.0, first_output=0.2, total=9.0), FirstOutputTimeout),
        (Limits(connect=5.0, first_output=9.0, total=0.2), TotalTimeout),
    ],
)
async def test_a_timeout_after_the_upload_says_so(
    limits: Limits, kind: type[Exception], tls: Any
) -> None:
    """It is marked, because the provider has everything and a repeat would pay twice."""
    call = make_call(limits)
    async with (
        RawServer(takes(Receipt(), wait=9.0), tls[0]) as server,
        transports(ca=tls[1]) as transport,
    ):
        with pytest.raises(kind) as caught:
            await upload(transport, server.url, bytes(1 << 20), call=call)
    assert call.uploaded
    assert caught.value.retry_stopped == "uploaded"  # type: ignore[attr-defined]
    assert caught.value.limit == pytest.approx(0.2)  # type: ignore[attr-defined]


async def test_a_standstill_is_bounded(tls: Any, tmp_path: Path) -> None:
    """A server that takes nothing more: GapTimeout, not marked as uploaded."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    body = upload_of(sparse(tmp_path, BEYOND_BUFFERS)).upload
    call = make_call(Limits(connect=5.0, first_output=0.4))
    async with RawServer(deaf, tls[0]) as server, transports(ca=tls[1]) as transport:
        with pytest.raises(GapTimeout) as caught:
            await upload(transport, server.url, body, call=call)
        assert caught.value.limit == pytest.approx(0.4)
        assert caught.value.outcome == "unknown"
        assert not call.uploaded
        assert caught.value.retry_stopped is None
        assert transport.stats().leased == 0


async def test_the_ambient_deadline_bounds_an_upload(tmp_path: Path) -> None:
    """Whatever the operation's own limits say."""
    body = upload_of(sparse(tmp_path, LARGE)).upload
    async with RawServer(takes(Receipt(), pause=0.02)) as server, transports() as transport:
        with deadline(0.3), pytest.raises(TotalTimeout) as caught:
            await upload(transport, server.url, body)
    assert caught.value.outcome == "unknown"
    assert caught.value.limit == pytest.approx(0.3, abs=0.05)


# -- the server refuses or goes --------------------------------------------------------------


@pytest.mark.parametrize("then", ["close", "hang"])
@pytest.mark.parametrize("after", [0, 1 << 20])
@pytest.mark.parametrize("status", ["401 Unauthorized", "413 Payload Too Large"])
async def test_an_early_refusal_is_what_counts(
    status: str, after: int, then: str, tls: Any, tmp_path: Path
) -> None:
    """Its status reaches the caller at once, not a broken pipe; the connection goes."""
    body = upload_of(sparse(tmp_path, BEYOND_BUFFERS)).upload
    call = make_call(LIMITS)
    async with (
        RawServer(refuses(status, after=after, then=then), tls[0]) as server,
        transports(ca=tls[1]) as transport,
    ):
        for served in (1, 2):
            with pytest.raises(ProviderError) as caught:
                await upload(transport, server.url, body, call=call if served == 1 else None)
            assert caught.value.status == int(status[:3])
            assert server.served == served
        await until(lambda: transport.stats().open == 0)
    assert not call.uploaded


async def test_a_refusal_and_a_reset_that_came_while_the_loop_was_busy() -> None:
    """The next write would fail and take the answer with it, so it is read before."""
    busy, answered = threading.Event(), threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            received = 0
            while received < 1 << 16:
                received += len(connection.recv(1 << 14))
            busy.wait(5)
            connection.sendall(response(b'{"error": "no"}', status="413 Payload Too Large"))
        answered.set()  # closed with bytes unread: a reset follows the answer

    class Busy:
        size = 1 << 22
        replayable = True

        async def open(self) -> AsyncIterator[bytes]:
            yield bytes(1 << 17)
            await asyncio.sleep(0.02)  # what was written goes out
            busy.set()
            assert answered.wait(5)  # on purpose: the loop stands still
            for _ in range(31):
                yield bytes(1 << 17)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            async with transports() as transport:
                url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                with pytest.raises(ProviderError) as caught:
                    await upload(transport, url, Busy())
        finally:
            thread.join()
    assert caught.value.status == 413


async def test_an_early_success_still_gets_the_rest(tls: Any, tmp_path: Path) -> None:
    """A server may begin its answer before it has read everything."""
    receipt = Receipt()

    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        answer = response(b'{"ok": true}')
        writer.write(answer[:-5])
        async for data in read_body(reader, head):
            receipt.add(data)
        writer.write(answer[-5:])

    body = upload_of(sparse(tmp_path, LARGE)).upload
    async with RawServer(eager, tls[0]) as server, transports(ca=tls[1]) as transport:
        assert await upload(transport, server.url, body) == {"ok": True}
    assert receipt.size == LARGE


async def test_a_connection_that_breaks_is_lost(tls: Any, tmp_path: Path) -> None:
    """Without any answer: ConnectionLostError, outcome unknown, and nothing is left."""

    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        async for _ in read_body(reader, head, 1 << 20):
            pass
        writer.transport.abort()

    path = sparse(tmp_path, BEYOND_BUFFERS)
    async with RawServer(breaks, tls[0]) as server, transports(ca=tls[1]) as transport:
        with pytest.raises(ConnectionLostError) as caught:
            await upload(transport, server.url, upload_of(path).upload)
        assert caught.value.outcome == "unknown"
        await until(lambda: open_files(path) == 0)


# -- the file fails -------------------------------------------------------------------------


class Failing:
    """An upload whose source does what a test wants."""

    replayable = True

    def __init__(self, size: int | None, *steps: Any) -> None:
        self.size = size
        self._steps = steps

    async def open(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            yield step


@pytest.mark.parametrize(
    "body",
    [
        Failing(10, b"12345"),
        Failing(10, b"12345", b"123456"),
        Failing(10, b"12345", RuntimeError("marked")),
        Failing(10, b"12345", OSError(5, "marked")),
        Failing(None, b"12345", KeyError("marked")),
        Failing(10, None),
        Failing(None, "text"),
    ],
)
async def test_a_source_that_fails_is_our_fault(body: Any, tls: Any) -> None:
    """LocalProtocolError at once, whatever it did; the server gets no request that is whole."""
    receipt = Receipt()
    async with RawServer(takes(receipt), tls[0]) as server, transports(ca=tls[1]) as transport:
        with pytest.raises(LocalProtocolError) as caught:
            await upload(transport, server.url, body)
        assert not caught.value.retryable
        assert "marked" not in str(caught.value)
        assert not shows_secrets(caught.value)
        assert transport.stats().leased == 0
        await until(lambda: transport.stats().open == 0)


@pytest.mark.parametrize("how", ["truncated", "unlinked", "closed"])
async def test_a_file_that_changes_under_us(how: str, tls: Any, tmp_path: Path) -> None:
    """Cut short, gone before it was opened, or closed by its owner: typed, never a hang."""
    path = sparse(tmp_path, LARGE)
    handle = path.open("rb")
    recording = upload_of(handle if how == "closed" else path)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        async for _ in read_body(reader, head, 1 << 20):
            pass
        if how == "truncated":
            os.truncate(path, 1 << 16)
        else:
            handle.close()
        async for _ in read_body(reader, head):
            pass

    if how == "unlinked":
        handle.close()
        path.unlink()
    async with RawServer(slow, tls[0]) as server, transports(ca=tls[1]) as transport:
        with pytest.raises(LocalProtocolError) as caught:
            await upload(transport, server.url, recording.upload)
        assert not caught.value.retryable
        assert str(tmp_path) not in str(caught.value)
    handle.close()


async def test_what_cannot_seek_is_sent_once() -> None:
    """A second attempt with it is refused before anything is sent."""
    receive, send = os.pipe()
    os.write(send, b"some sound")
    os.close(send)
    receipt = Receipt()
    with os.fdopen(receive, "rb") as pipe:
        body = upload_of(pipe).upload
        assert not isinstance(body, bytes)
        assert not body.replayable
        async with RawServer(takes(receipt)) as server, transports() as transport:
            await upload(transport, server.url, body)
            call = make_call(LIMITS)
            with pytest.raises(LocalProtocolError):
                await upload(transport, server.url, body, call=call)
            assert not call.replayable
    assert receipt.equals(b"some sound")


# -- cancellation -----------------------------------------------------------------------------


async def test_cancelled_anywhere_it_leaves_nothing(tls: Any, tmp_path: Path) -> None:
    """File, thread, task and connection go; the next upload works."""
    path = sparse(tmp_path, LARGE)
    body = upload_of(path).upload
    receipt = Receipt()
    async with RawServer(takes(receipt), tls[0]) as server, transports(ca=tls[1]) as transport:
        for steps in [*range(30), 60, 120, 240]:
            task = asyncio.create_task(upload(transport, server.url, body))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 0.5
            assert not [
                other for other in asyncio.all_tasks() if other.get_name() == "voicekit-upload"
            ]
        await until(lambda: open_files(path) == 0)
        await until(lambda: transport.stats().leased == 0)
        receipt.size = 0
        assert await upload(transport, server.url, b"x" * 300_000) == {"ok": True}


async def test_a_read_that_never_ends_does_not_keep_a_cancelled_call() -> None:
    """A pipe that nobody writes to: the caller goes; the thread when the pipe ends."""
    receive, send = os.pipe()
    with os.fdopen(receive, "rb") as pipe:
        body = upload_of(pipe).upload
        async with RawServer(takes(Receipt())) as server, transports() as transport:
            with pytest.raises(GapTimeout):
                await upload(transport, server.url, body, Limits(gap=0.2))
            os.close(send)
            await until(lambda: all(t.name != "voicekit-upload" for t in threading.enumerate()))


async def test_closing_the_transport_ends_uploads(tls: Any, tmp_path: Path) -> None:
    """Typed, at once, with the file closed."""
    path = sparse(tmp_path, BEYOND_BUFFERS)
    async with RawServer(takes(Receipt(), pause=0.05), tls[0]) as server:
        async with transports(ca=tls[1]) as transport:
            task = asyncio.create_task(upload(transport, server.url, upload_of(path).upload))
            await until(lambda: transport.stats().leased == 1)
            await until(lambda: open_files(path) == 1)
        error = (await asyncio.gather(task, return_exceptions=True))[0]
        assert type(error).__name__ in {"ClosedError", "ConnectionLostError"}
        await until(lambda: open_files(path) == 0)
