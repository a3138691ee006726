"""Answers by script: what was sent is on record, what comes back is as written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from voicekit import OpenAIClient
from voicekit.errors import ClosedError, ConnectionLostError, RateLimitError
from voicekit.events import CallStarted
from voicekit.operation import Call, Operation, OperationClass
from voicekit.resilience import NO_POLICIES
from voicekit.testing import (
    VIRTUAL,
    Answer,
    RecordingObserver,
    ScriptedTransport,
    SentRequest,
)
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}]}'
MESSAGES = [{"role": "user", "content": "MARKED"}]


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL


def call() -> Call:
    return Call(Operation(provider="p", name="o", kind=OperationClass.PURE))


class Twice:
    """An upload of two pieces."""

    size = 4
    replayable = True

    async def open(self) -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"


async def test_a_client_is_answered() -> None:
    """A chat, its error, and who watches them; nothing secret is shown."""
    http = ScriptedTransport(
        [Answer(headers=JSON, chunks=[ANSWER]), Answer(status=429, headers=JSON, chunks=[b"{}"])]
    )
    seen = RecordingObserver()
    async with Transport(http=http) as transport:
        llm = OpenAIClient(model="m", api_key="KEY!", transport=transport, observers=[seen])
        assert (await llm.warm(2)).opened == 2
        assert (await llm.chat(MESSAGES)).text == "Hi"
        with pytest.raises(RateLimitError):
            await llm.chat(MESSAGES, policies=NO_POLICIES)
    assert [event.operation for event in seen.calls] == ["chat", "chat"]
    assert [event.result for event in seen.ended] == ["ok", "error"]
    assert len(seen.of(CallStarted)) == 2
    assert b"MARKED" in http.requests[0].body
    assert http.requests[0].headers["authorization"] == "Bearer KEY!"
    shown = repr(http) + repr(http.requests) + repr(seen)
    assert "KEY!" not in shown
    assert "MARKED" not in shown
    assert http.closed
    seen.clear()
    assert not seen.events


async def test_a_function_answers() -> None:
    """It sees the whole request, uploads read to their end, and may be async."""

    async def answer(request: SentRequest) -> Answer:
        await asyncio.sleep(3)
        return Answer(chunks=[request.body[::-1]])

    http, asked = ScriptedTransport(answer), call()
    response = await http.send(Request("POST", "http://x/", {}, Twice()), asked)
    assert [await response.chunk(), await response.chunk(), await response.chunk()] == [
        b"dcba", b"", b"",
    ]  # fmt: skip
    assert asked.uploaded
    assert asyncio.get_running_loop().time() == 1003.0


async def test_errors_before_and_after() -> None:
    """Status 0 is no answer at all; an error after chunks cuts the body."""
    lost = ConnectionLostError("cut")
    http = ScriptedTransport([Answer(status=0), Answer(chunks=[b"a"], error=lost)])
    get = Request("GET", "http://x/", {})
    with pytest.raises(ConnectionLostError):
        await http.send(get, call())
    response = await http.send(get, call())
    assert await response.chunk() == b"a"
    with pytest.raises(ConnectionLostError, match="cut"):
        await response.chunk()
    with pytest.raises(AssertionError, match="no answer left"):
        await http.send(get, call())


async def test_a_cancelled_wait_loses_nothing_and_an_interrupt_wakes() -> None:
    """What the seam promises of ``chunk``, ``interrupt`` and ``aclose``."""
    http = ScriptedTransport([Answer(chunks=[b"a", b"b"], delays=[0, 10, 10])] * 2)
    get = Request("GET", "http://x/", {})
    response = await http.send(get, call())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4):
            await response.chunk()
    assert await response.chunk() == b"a"
    assert asyncio.get_running_loop().time() == 1010.0
    waiting = asyncio.create_task(response.chunk())
    await asyncio.sleep(1)
    response.interrupt(ClosedError("enough"))
    with pytest.raises(ClosedError, match="enough"):
        await waiting
    other = await http.send(get, call())
    assert http.stats().leased == 1
    await http.aclose()
    with pytest.raises(ClosedError):
        await other.chunk()
    with pytest.raises(ClosedError):
        await http.send(get, call())
