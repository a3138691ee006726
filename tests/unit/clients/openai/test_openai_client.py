"""The client against a transport of the tests' own: limits, and types that do not fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from chat_bytes import DONE, chunk, role, text

from voicekit.clients.openai import OpenAIClient
from voicekit.errors import (
    FirstOutputTimeout,
    GapTimeout,
    RemoteProtocolError,
    StreamInterruptedError,
)
from voicekit.operation import Call, Limits
from voicekit.testing.clock import VIRTUAL
from voicekit.timing import ConnectionInfo
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL  # the limits are of the tests, and not of the machine


LIMITS = {"stream_chat": Limits(first_output=0.1, gap=0.1)}
SSE = "text/event-stream; charset=utf-8"
USELESS = [
    role(),
    text(""),
    chunk({}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
    b": keep-alive\n\n",
]


class FakeResponse:
    """Gives some pieces at once, then one more of ``then`` every 10 ms for ever."""

    status = 200
    delimited = True

    def __init__(self, first: Iterable[bytes], then: bytes, kind: str = SSE) -> None:
        self.headers = {"Content-Type": kind}
        self.connection = ConnectionInfo(reused=True)
        self.aborted = False
        self._first = iter(first)
        self._then = then
        self._error: Exception | None = None

    async def chunk(self) -> bytes:
        if (piece := next(self._first, None)) is not None:
            return piece
        await asyncio.sleep(0.01)
        if self._error is not None:
            raise self._error
        return self._then

    def interrupt(self, error: Exception) -> None:
        self._error = error
        self.abort()

    def abort(self) -> None:
        self.aborted = True

    def release(self) -> None:
        self.abort()


class FakeTransport(Transport):
    """Answers every request with one response, and never opens a socket."""

    def __init__(self, response: FakeResponse) -> None:
        super().__init__()
        self.response = response
        self.requests: list[Request] = []

    async def send(self, request: Request, call: Call) -> FakeResponse:
        self.requests.append(request)
        call.sent(self.response.connection)
        return self.response


@pytest.mark.parametrize("useless", USELESS)
async def test_only_useful_output_meets_the_first_output_limit(useless) -> None:
    """Roles, empty deltas and comments for ever are as good as silence."""
    response = FakeResponse([role()], useless)
    llm = OpenAIClient("k", model="m", transport=FakeTransport(response), limits=LIMITS)
    async with asyncio.timeout(3):
        with pytest.raises(FirstOutputTimeout):
            await llm.stream_chat("hi")
    assert response.aborted


@pytest.mark.parametrize("useless", USELESS)
async def test_only_useful_output_restarts_the_gap(useless) -> None:
    """After the first text too: a stream that goes on without text is a hung one."""
    response = FakeResponse([role(), text("a"), text("b")], useless)
    llm = OpenAIClient("k", model="m", transport=FakeTransport(response), limits=LIMITS)
    got = []

    async def collect() -> None:
        async for piece in llm.stream_chat("hi"):
            got.append(piece)

    async with asyncio.timeout(3):
        with pytest.raises(StreamInterruptedError) as caught:
            await collect()
    assert type(caught.value.__cause__) is GapTimeout
    assert got == ["a", "b"]
    assert caught.value.delivered_characters == 2
    assert response.aborted


async def test_useful_output_keeps_a_stream_alive() -> None:
    """Text every 10 ms outlives many times the gap limit."""
    response = FakeResponse([role()], text("a"))
    llm = OpenAIClient("k", model="m", transport=FakeTransport(response), limits=LIMITS)
    got = 0
    async with asyncio.timeout(3), llm.stream_chat("hi") as reply:
        async for _ in reply:
            got += 1
            if got == 30:
                break
    assert got == 30
    assert response.aborted


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", "audio/mpeg"])
async def test_a_stream_under_another_type_is_refused(kind) -> None:
    """A page may look like anything: the type is checked before the body is read."""
    response = FakeResponse([role(), text("a")], text("b"), kind)
    llm = OpenAIClient("k", model="m", transport=FakeTransport(response))
    with pytest.raises(RemoteProtocolError, match=kind):
        await llm.stream_chat("hi")
    assert response.aborted


async def test_nothing_but_the_type_may_be_left_out() -> None:
    """A server that names no type at all gets the benefit of the doubt."""
    response = FakeResponse([role(), text("a")], DONE, "")
    llm = OpenAIClient("k", model="m", transport=FakeTransport(response))
    assert [piece async for piece in llm.stream_chat("hi")] == ["a"]
