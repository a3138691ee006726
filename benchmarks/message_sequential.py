"""The same turn step by step: each step awaited, each over a session of its own."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.message_ours import FORMAT, VOICE

API = "/einstein/ai-agent/v1"


class Sequential:
    """What a first version looks like: correct, and nothing of it ahead of time.

    Attributes:
        turns: The turns that were begun; whoever measures waits for them.
    """

    def __init__(self, world: Any, public: str) -> None:
        self.url = f"{public}/sequential"
        self._public = public
        self._env = world.env()
        self._deepgram = world.deepgram.url
        self._elevenlabs = world.elevenlabs.url
        self._clips: dict[str, bytes] = {}
        self.turns: list[asyncio.Task[None]] = []

    async def webhook(self, request: web.Request) -> web.Response:
        fields = dict(await request.post())
        self.turns.append(asyncio.create_task(self._converse(fields)))
        return web.Response(status=204)

    async def clip(self, request: web.Request) -> web.Response:
        data = self._clips[request.match_info["name"]]
        return web.Response(body=data, content_type="audio/mpeg")

    async def _converse(self, fields: dict[str, Any]) -> None:
        env = self._env
        twilio = aiohttp.BasicAuth(env["TWILIO_ACCOUNT_SID"], env["TWILIO_AUTH_TOKEN"])
        recording = await self._bytes("GET", fields["MediaUrl0"], auth=twilio)
        heard = await self._json(
            "POST",
            f"{self._deepgram}/v1/listen?model=nova-3",
            data=recording,
            headers={"Authorization": "Token emulated", "Content-Type": "audio/ogg"},
        )
        words = heard["results"]["channels"][0]["alternatives"][0]["transcript"]
        text = await self._ask(words)
        await self._send(twilio, fields, Body=text)
        name = uuid.uuid4().hex
        self._clips[name] = await self._bytes(
            "POST",
            f"{self._elevenlabs}/v1/text-to-speech/{VOICE}?output_format={FORMAT}",
            json={"text": text, "model_id": "eleven_flash_v2_5"},
            headers={"xi-api-key": "emulated"},
        )
        await self._send(twilio, fields, MediaUrl=f"{self._public}/clips/{name}")

    async def _ask(self, words: str) -> str:
        env = self._env
        granted = await self._json(
            "POST",
            f"{env['AGENTFORCE_DOMAIN']}/services/oauth2/token",
            data={
                "grant_type": "client_credentials",
                "client_id": env["AGENTFORCE_CLIENT_ID"],
                "client_secret": env["AGENTFORCE_CLIENT_SECRET"],
            },
        )
        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        base = env["AGENTFORCE_BASE_URL"] + API
        opened = await self._json(
            "POST",
            f"{base}/agents/{env['AGENTFORCE_AGENT_ID']}/sessions",
            json={
                "externalSessionKey": str(uuid.uuid4()),
                "instanceConfig": {"endpoint": "https://acme.my.salesforce.com"},
                "bypassUser": True,
            },
            headers=headers,
        )
        said = await self._json(
            "POST",
            f"{base}/sessions/{opened['sessionId']}/messages",
            json={"message": {"sequenceId": 1, "type": "Text", "text": words}},
            headers=headers,
        )
        return str(said["messages"][0]["message"])

    async def _send(self, auth: aiohttp.BasicAuth, fields: dict[str, Any], **what: str) -> None:
        await self._json(
            "POST",
            f"{self._env['TWILIO_BASE_URL']}/2010-04-01/Accounts/{auth.login}/Messages.json",
            data={"To": fields["From"], "From": fields["To"], **what},
            auth=auth,
        )

    async def _json(self, method: str, url: str, **options: Any) -> Any:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.request(method, url, **options) as response,
        ):
            return await response.json()

    async def _bytes(self, method: str, url: str, **options: Any) -> bytes:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.request(method, url, **options) as response,
        ):
            return await response.read()
