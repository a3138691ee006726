"""A bare HTTP client of the Agent API, for tests of its twin: no client's code, nothing hidden."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from voicekit.emulator import Emulator, Scenario

API = "/einstein/ai-agent/v1"
AGENT = "0XxHu000000XXXXKX4"
FORM = {"grant_type": "client_credentials", "client_id": "key", "client_secret": "secret"}


class Talk:
    """A world with an Agentforce twin, a token for it, and its calls one by one."""

    def __init__(self, world: Emulator, http: aiohttp.ClientSession) -> None:
        self.world = world
        self.http = http
        self.headers: dict[str, str] = {}
        self.sequence = 0

    async def token(self, **form: str) -> dict[str, Any]:
        async with self.http.post("/services/oauth2/token", data={**FORM, **form}) as response:
            return {"status": response.status, **await response.json()}

    async def sign_in(self) -> None:
        self.headers = {"Authorization": f"Bearer {(await self.token())['access_token']}"}

    async def call(
        self, method: str, path: str, content: Any = None, **headers: str
    ) -> tuple[int, Any]:
        async with self.http.request(
            method, API + path, json=content, headers={**self.headers, **headers}
        ) as response:
            assert response.headers["X-Request-ID"]
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def start(self, *, chunks: bool = True, **fields: Any) -> tuple[int, Any]:
        return await self.call(
            "POST", f"/agents/{AGENT}/sessions", start_body(self.world, chunks=chunks, **fields)
        )

    async def open(self, **options: Any) -> str:
        status, opened = await self.start(**options)
        assert status == 200, opened
        return str(opened["sessionId"])

    def said(self, text: str = "Where is my order?", **fields: Any) -> dict[str, Any]:
        self.sequence += 1
        message = {"sequenceId": self.sequence, "type": "Text", "text": text}
        return {"message": {**message, **fields.pop("message", {})}, "variables": [], **fields}

    async def say(self, session: str, text: str = "?", **fields: Any) -> tuple[int, Any]:
        return await self.call("POST", f"/sessions/{session}/messages", self.said(text, **fields))

    async def end(self, session: str, reason: str = "UserRequest") -> tuple[int, Any]:
        return await self.call("DELETE", f"/sessions/{session}", **{"x-session-end-reason": reason})

    def streaming(self, session: str, text: str = "?") -> Any:
        """The request of a streamed message; the caller enters it."""
        return self.http.post(
            f"{API}/sessions/{session}/messages/stream",
            json=self.said(text),
            headers={**self.headers, "Accept": "text/event-stream"},
        )

    async def stream(self, session: str, text: str = "?") -> list[tuple[str, dict[str, Any]]]:
        """The events of a streamed message: names and data."""
        async with self.streaming(session, text) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            return events((await response.read()).decode())


def start_body(world: Emulator, *, chunks: bool = True, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "externalSessionKey": str(uuid.uuid4()),
        "instanceConfig": {"endpoint": world.agentforce.url},
        "bypassUser": True,
        **({"streamingCapabilities": {"chunkTypes": ["Text"]}} if chunks else {}),
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of a stream written with LF."""
    found = []
    for block in text.split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.splitlines() if line[:1] != ":"]
        named = dict(fields)
        if named:
            found.append((named["event"], json.loads(named["data"])))
    return found


def kinds(found: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    return [data["message"]["type"] for _, data in found]


@asynccontextmanager
async def talking(
    scenario: Scenario | None = None, *, signed_in: bool = True, **options: Any
) -> AsyncIterator[Talk]:
    async with (
        Emulator(
            providers=("agentforce",), scenario=scenario or Scenario(name="test"), **options
        ) as world,
        aiohttp.ClientSession(world.agentforce.url) as http,
    ):
        talk = Talk(world, http)
        if signed_in:
            await talk.sign_in()
        yield talk
