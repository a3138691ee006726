"""The Agentforce twin against traffic written out as bytes: the vendor's examples, ids replaced.

Sources are named in the fact sheet that the twin follows: reference, guide pages and published
captures of the Agent API; identifiers here are invented.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import aiohttp
import pytest

from voicekit.emulator import AgentFraming, AgentTurn, Emulator, Fault, Scenario

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

API = "/einstein/ai-agent/v1"
TEXT = "It left yesterday. Expect it on Friday."
TURN = AgentTurn(
    text=TEXT,
    chunks=("It left yesterday. ", "Expect it on Friday."),
    progress=("Looking that up",),
)

PROGRESS = (
    b"event: PROGRESS_INDICATOR\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000124800,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":0,"message":{"type":"ProgressIndicator","id":"p-1",'
    b'"indicatorType":"ACTION","message":"Looking that up","metrics":{}}}\n\n'
)
CHUNKS = (
    b"event: TEXT_CHUNK\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000128004,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":0,"message":{"type":"TextChunk","id":"m-1",'
    b'"offset":0,"message":"It left yesterday. ","formatType":"Text","metrics":{}}}\n\n'
    b"event: TEXT_CHUNK\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000128151,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":1,"message":{"type":"TextChunk","id":"m-1",'
    b'"offset":1,"message":"Expect it on Friday.","formatType":"Text","metrics":{}}}\n\n'
)
INFORM = (
    b"event: INFORM\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000128400,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":0,"message":{"type":"Inform","id":"m-1",'
    b'"feedbackId":"f-1","planId":"pl-1","isContentSafe":true,'
    b'"message":"It left yesterday. Expect it on Friday.","result":[],"citedReferences":[],'
    b'"metrics":{}}}\n\n'
)
END = (
    b"event: END_OF_TURN\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000128420,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":0,"message":{"type":"EndOfTurn","id":"m-2",'
    b'"metrics":{}}}\n\n'
)
ERROR = (
    b"event: ERROR\n"
    b"id: 1764000199000-REQ\n"
    b'data: {"status":500,"path":"v6.0.0/sessions/s-1/messages","requestId":"r-9",'
    b'"error":"InternalServerError","message":"planner failed","timestamp":1764000199500}\n\n'
)
VOID = (
    b"event: VALIDATION_FAILURE_CHUNK\n"
    b"id: 1764000123991-REQ\n"
    b'data: {"timestamp":1764000128004,"originEventId":"1764000123991-REQ",'
    b'"traceId":"9f2d7c1e5b6a4c3d","offset":1,"message":{"type":"ValidationFailureChunk",'
    b'"id":"m-1","offset":1,"reason":"The answer did not pass its validation"}}\n\n'
)
GREETING = (
    b'[{"type":"Inform","id":"m-1","metrics":{},"feedbackId":"","planId":"",'
    b'"isContentSafe":true,"message":"Ciao","result":[],"citedReferences":[]}]'
)
ANSWER = (
    b'[{"type":"Inform","id":"m-1","metrics":{},"feedbackId":"f-1","planId":"pl-1",'
    b'"isContentSafe":true,"message":"It left yesterday. Expect it on Friday.","result":[],'
    b'"citedReferences":[]}]'
)
ENDED = (
    b'{"messages":[{"type":"SessionEnded","id":"e-1","reason":"ClientRequest",'
    b'"feedbackId":"f-9"}],"_links":{"self":null,"messages":null,"session":null,"end":null}}'
)

CHANGING = re.compile(
    rb"(?P<time>\b\d{13}\b)|(?P<trace>\"traceId\":\"[0-9a-f]{16}\")"
    rb"|(?P<id>\"[0-9a-f]{8}-[0-9a-f-]{27}\"|\"(?:p|m|f|pl|e|r)-\d\")|(?P<session>sessions/[^/\"]+)"
)


def alike(content: bytes) -> bytes:
    """Bytes with times left out, and ids numbered in the order in which they come."""
    numbers: dict[bytes, bytes] = {}
    count = itertools.count(1)

    def replaced(found: re.Match[bytes]) -> bytes:
        kind = found.lastgroup
        if kind != "id":
            return f"<{kind}>".encode()
        name = found.group()
        if name not in numbers:
            numbers[name] = b'"id-%d"' % next(count)
        return numbers[name]

    return CHANGING.sub(replaced, content)


def plain(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class Vendor:
    """The twin, with a session under way."""

    def __init__(self, http: aiohttp.ClientSession, world: Emulator) -> None:
        self.http = http
        self.world = world
        self.opened: Any = None
        self.number = 0

    async def open(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
        async with self.http.post("/services/oauth2/token", data=form) as response:
            token = (await response.json())["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        body = {
            "externalSessionKey": "3e9b8d2c-51f4-4d0e-a6d1-0f1f9f0c7a11",
            "instanceConfig": {"endpoint": "https://acme.my.salesforce.com"},
            "tz": "Europe/Rome",
            "variables": [
                {"name": "$Context.EndUserLanguage", "type": "Text", "value": "it"},
                {"name": "CallerPhone", "type": "Text", "value": "+390212345678"},
            ],
            "featureSupport": "Streaming",
            "streamingCapabilities": {"chunkTypes": ["Text"]},
            "bypassUser": True,
        }
        path = f"{API}/agents/0XxHu000000XXXXKX4/sessions"
        async with self.http.post(path, json=body) as response:
            assert response.status == 200
            self.opened = json.loads(await response.read())

    async def send(self, path: str) -> bytes:
        self.number += 1
        message = {"sequenceId": self.number, "type": "Text", "text": "Where is my order 4711?"}
        url = f"{API}/sessions/{self.opened['sessionId']}{path}"
        async with self.http.post(url, json={"message": message, "variables": []}) as response:
            assert response.status == 200
            return await response.read()

    async def end(self) -> bytes:
        url = f"{API}/sessions/{self.opened['sessionId']}"
        async with self.http.delete(
            url, headers={"x-session-end-reason": "UserRequest"}
        ) as response:
            assert response.status == 200
            return await response.read()


async def streamed(turn: AgentTurn, fault: Fault | None = None, **fields: Any) -> bytes:
    scenario = Scenario(name="test", agent_replies=turn, **fields)
    async with (
        Emulator(providers=("agentforce",), scenario=scenario) as world,
        aiohttp.ClientSession(world.agentforce.url) as http,
    ):
        vendor = Vendor(http, world)
        await vendor.open()
        if fault is not None:
            world.inject("agentforce", fault)
        return await vendor.send("/messages/stream")


@pytest.mark.parametrize(
    ("turn", "fault", "expected"),
    [
        (TURN, None, PROGRESS + CHUNKS + INFORM + END),
        (AgentTurn(text=TEXT, chunks=()), None, INFORM + END),
        (TURN, Fault("in_stream_error", after_events=1), PROGRESS + ERROR),
        (TURN, Fault("no_end_marker"), PROGRESS + CHUNKS + INFORM),
        (
            AgentTurn(text="b", chunks=("b",), retracted=("It left yesterday. ",)),
            Fault("no_end_marker", after_events=2),
            CHUNKS[: CHUNKS.index(b"event", 1)] + VOID,
        ),
    ],
    ids=["whole", "without chunks", "error", "without end", "retraction"],
)
async def test_a_stream_is_the_vendors_bytes(
    turn: AgentTurn, fault: Fault | None, expected: bytes
) -> None:
    """Field by field, in the vendor's order and spelling; only ids and times differ."""
    assert alike(await streamed(turn, fault)) == alike(expected)


async def test_crlf_changes_line_ends_only() -> None:
    """The same bytes, each line ended otherwise."""
    content = await streamed(TURN, agent_framing=AgentFraming(line_end="\r\n"))
    expected = (PROGRESS + CHUNKS + INFORM + END).replace(b"\n", b"\r\n")
    assert alike(content) == alike(expected)


async def test_whole_answers_are_the_vendors_bytes() -> None:
    """Start, message and end of a session; the messages' fields are in the reference's order."""
    scenario = Scenario(name="test", agent_replies=TEXT, agent_greeting="Ciao")
    async with (
        Emulator(providers=("agentforce",), scenario=scenario) as world,
        aiohttp.ClientSession(world.agentforce.url) as http,
    ):
        vendor = Vendor(http, world)
        await vendor.open()
        assert list(vendor.opened) == ["sessionId", "_links", "messages"]
        assert alike(plain(vendor.opened["messages"])) == alike(GREETING)
        answered = json.loads(await vendor.send("/messages"))
        assert list(answered) == ["messages", "_links"]
        assert alike(plain(answered["messages"])) == alike(ANSWER)
        assert alike(await vendor.end()) == alike(ENDED)
