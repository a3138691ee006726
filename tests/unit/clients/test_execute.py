"""The call shapes over a transport of nothing: commit point, refusals, bounds, one end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "transport"))
from voicekit import events
from voicekit.clients.execute import (
    MAX_BODY_BYTES,
    check_type,
    fetch_json,
    open_socket,
    open_stream,
)
from voicekit.clients.refusals import Dialect, build, class_of
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidRequestError,
    RemoteProtocolError,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.testing.clock import VIRTUAL
from voicekit.timing import ConnectionInfo
from voicekit.transport.handshake import HandshakeRefused
from voicekit.transport.messages import Request

pytestmark = pytest.mark.anyio

WARM = ConnectionInfo(reused=True)
DIALECT = Dialect(
    provider="testing",
    request_id_headers=("x-request-id",),
    read_error=lambda status, headers, body: build(
        class_of(status), status, headers, detail=body.decode("latin-1")
    ),
)


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class FakeResponse:
    """A body of pieces: bytes, pauses, errors."""

    connection = WARM

    def __init__(self, *body: Any, status: int = 200, delimited: bool = True, **headers: str):
        self.body = list(body)
        self.status = status
        self.delimited = delimited
        self.headers = {"Content-Type": "application/json", "x-request-id": "req-1"}
        self.headers.update({k.replace("_", "-"): v for k, v in headers.items()})
        self.aborted = 0
        self.given = 0

    async def chunk(self) -> bytes:
        while self.body and isinstance(self.body[0], float):
            await asyncio.sleep(self.body.pop(0))
        if not self.body:
            return b""
        piece = self.body.pop(0)
        if isinstance(piece, Exception):
            raise piece
        self.given += len(piece)
        return bytes(piece)

    def abort(self) -> None:
        self.aborted += 1


class FakeTransport:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    async def send(self, request: Request, call: Call) -> Any:
        self.requests.append(request)
        call.sent(WARM)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def dial_socket(self, request: Request, call: Call, *, apart: bool = False) -> Any:
        return await self.send(request, call)


class Lines:
    """Each line is an item, but pings; "boom" chokes it."""

    def __init__(self) -> None:
        self.progress = 0
        self.done = False

    def feed(self, data: bytes) -> list[str]:
        items = [line for line in data.decode().split() if line != "ping"]
        if "boom" in items:
            raise KeyError("marked content")
        self.progress += len(items)
        return items

    def eof(self, *, delimited: bool) -> list[str]:
        if not delimited:
            raise ConnectionLostError("cut")
        return []


class Recorder:
    def __init__(self) -> None:
        self.ends: list[Any] = []

    def on_event(self, event: events.Event, /) -> None:
        if isinstance(event, events.CallEnded):
            self.ends.append((event.result, event.error))


class Rig:
    def __init__(self, answer: Any, **limits: float) -> None:
        self.transport: Any = FakeTransport(answer)
        self.answer = answer
        self.recorder = Recorder()
        operation = Operation(
            provider="testing", name="test", kind=OperationClass.COMPUTE, limits=Limits(**limits)
        )
        self.call = Call(operation, observer=self.recorder)

    async def prepare(self) -> Request:
        return Request("POST", "http://host/", {})

    async def fetch(self, read: Any = lambda value, _: value) -> Any:
        return await fetch_json(self.transport, self.call, self.prepare, DIALECT, read)

    async def stream(self, decode: Any = lambda _: Lines()) -> Any:
        return await open_stream(self.transport, self.call, self.prepare, DIALECT, decode)


# -- values ----------------------------------------------------------------------------------


async def test_a_value() -> None:
    """Read inside the attempt; the call has ended well and knows its id."""
    rig = Rig(FakeResponse(b'{"a":', b" 1}"))
    assert await rig.fetch() == {"a": 1}
    assert rig.recorder.ends == [("ok", None)]
    assert rig.call.request_id == "req-1"
    assert rig.call.timings.first_output is not None


@pytest.mark.parametrize(
    "answer",
    [
        FakeResponse(b"[1]"),
        FakeResponse(b'{"a"'),
        FakeResponse(b""),
        FakeResponse(b"{}", Content_Type="text/html"),
        FakeResponse(b"{}", Content_Encoding="gzip"),
        FakeResponse(b"", status=204),
        FakeResponse(b"", status=301, Location="http://thief/"),
        FakeResponse(b"{}", status=206),
    ],
)
async def test_what_is_no_value(answer: FakeResponse) -> None:
    """Is the server's mistake; the connection is given up and the call ended, once."""
    rig = Rig(answer)
    with pytest.raises(RemoteProtocolError):
        await rig.fetch()
    assert rig.recorder.ends == [("error", "RemoteProtocolError")]
    assert answer.aborted == 1


async def test_a_value_without_end() -> None:
    """Is given up at a bound."""
    answer = FakeResponse(*[b"x" * 65536] * 10_000)
    with pytest.raises(RemoteProtocolError, match="longer"):
        await Rig(answer).fetch()
    assert answer.given <= MAX_BODY_BYTES + 65536


async def test_a_reader_that_chokes() -> None:
    """On an object of an unthought-of shape: typed, without what it choked on."""
    rig = Rig(FakeResponse(b'{"a": "marked content"}'))
    with pytest.raises(RemoteProtocolError, match="KeyError") as caught:
        await rig.fetch(lambda value, _: value["choices"])
    assert "marked" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_an_error_that_the_reader_finds() -> None:
    """Came with status 200 and is the provider's all the same."""

    def read(value: Any, response: Any) -> Any:
        raise AuthenticationError("inside")

    rig = Rig(FakeResponse(b"{}"))
    with pytest.raises(AuthenticationError):
        await rig.fetch(read)
    assert rig.recorder.ends == [("error", "AuthenticationError")]


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["fetch", "stream"])
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([b"no ", b"way"], "no way"),
        ([b"no ", 99.0, b"way"], "no "),
        ([b"no ", ConnectionLostError("cut")], "no "),
        ([99.0], ""),
    ],
)
async def test_a_refusal_keeps_its_status(shape: str, body: list[Any], detail: str) -> None:
    """Whatever becomes of its body: cut, late or never there, for a second at most."""
    rig = Rig(FakeResponse(*body, status=401), first_output=30.0)
    start = asyncio.get_running_loop().time()
    with pytest.raises(AuthenticationError) as caught:
        await getattr(rig, shape)()
    assert caught.value.detail == detail
    assert caught.value.request_id == "req-1"
    assert asyncio.get_running_loop().time() - start <= 1.01
    assert rig.answer.aborted == 1
    assert len(rig.recorder.ends) == 1


async def test_a_refusal_without_end() -> None:
    """Is read as far as an explanation goes."""
    answer = FakeResponse(*[b"x" * 65536] * 100, status=500)
    with pytest.raises(VoicekitError) as caught:
        await Rig(answer).fetch()
    assert len(caught.value.detail or "") == 1 << 16  # type: ignore[attr-defined]
    assert answer.given <= 3 * 65536


# -- streams ------------------------------------------------------------------------------------


async def test_a_stream_opens_at_its_first_output() -> None:
    """Pings before it are read over; the call goes on."""
    rig = Rig(FakeResponse(b"ping", b"ping", b"one two", b"three"))
    opened = await rig.stream()
    assert list(opened.items) == ["one", "two"]
    assert rig.call.timings.first_output is not None
    assert rig.recorder.ends == []


async def test_an_empty_stream() -> None:
    """Opens at its proven end; where nothing proves it, it was cut."""
    opened = await Rig(FakeResponse()).stream()
    assert list(opened.items) == []
    rig = Rig(FakeResponse(delimited=False))
    with pytest.raises(ConnectionLostError):
        await rig.stream()
    assert rig.answer.aborted == 1


@pytest.mark.parametrize("body", [[b"boom"], [ConnectionLostError("cut")]])
async def test_a_stream_that_does_not_open(body: list[Any]) -> None:
    """Typed, its connection given up, its call ended."""
    rig = Rig(FakeResponse(*body))
    with pytest.raises((RemoteProtocolError, ConnectionLostError)) as caught:
        await rig.stream()
    assert "marked" not in f"{caught.value!r}"
    assert rig.answer.aborted == 1
    assert [result for result, _ in rig.recorder.ends] == ["error"]


async def test_pings_alone_do_not_open_it() -> None:
    """The first-output limit holds over them."""
    rig = Rig(FakeResponse(*[1.0, b"ping"] * 100), first_output=5.5)
    with pytest.raises(FirstOutputTimeout):
        await rig.stream()
    assert rig.answer.aborted == 1


async def test_a_request_that_cannot_be_made() -> None:
    """Preparing is part of the attempt: its error ends the call, and nothing was sent."""
    rig = Rig(FakeResponse())

    async def fail() -> Request:
        raise InvalidRequestError("no key")

    rig.prepare = fail  # type: ignore[method-assign]
    with pytest.raises(InvalidRequestError):
        await rig.stream()
    assert rig.transport.requests == []
    assert len(rig.recorder.ends) == 1


# -- sockets --------------------------------------------------------------------------------------


async def test_a_socket() -> None:
    """As it was opened; its id is the call's."""
    socket = SimpleNamespace(headers={"x-request-id": "req-2"})
    rig = Rig(socket)
    assert await open_socket(rig.transport, rig.call, await rig.prepare(), DIALECT) is socket
    assert rig.call.request_id == "req-2"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (200, InvalidRequestError), (302, InvalidRequestError)],
)
async def test_a_refused_handshake(status: int, kind: type[VoicekitError]) -> None:
    """Goes through the provider's table; what is no refusal is no socket either."""
    refused = HandshakeRefused(status, {"x-request-id": "req-3"}, b"no")
    rig = Rig(refused)
    with pytest.raises(kind) as caught:
        await open_socket(rig.transport, rig.call, await rig.prepare(), DIALECT)
    assert caught.value.status == status  # type: ignore[attr-defined]
    assert rig.call.request_id == "req-3"
    assert caught.value.__cause__ is None


def test_types() -> None:
    """A content type that says nothing is let through; a server's prose is not shown."""
    response: Any = SimpleNamespace(headers={})
    check_type(response, ("json",))
    response.headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    check_type(response, ("json",))
    response.headers = {"Content-Type": "the walrus sings"}
    with pytest.raises(RemoteProtocolError) as caught:
        check_type(response, ("json",))
    assert "walrus" not in str(caught.value)
