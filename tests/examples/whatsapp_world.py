"""The WhatsApp assistant, served on a port of its own, beside the emulator in one event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from voicekit.emulator import DeliveryRecord, Emulator

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from examples.whatsapp_assistant.app import application  # noqa: E402
from examples.whatsapp_assistant.assistant import Assistant  # noqa: E402
from examples.whatsapp_assistant.settings import Settings  # noqa: E402

PROVIDERS = ("twilio", "deepgram", "agentforce", "elevenlabs")
ANNA = "whatsapp:+390212345678"
BEN = "whatsapp:+390287654321"
TOKEN = "a-token-of-the-test"
SOON = 15.0
"""Seconds; a machine under load needs some of them."""


def _fetched(voice: DeliveryRecord) -> bool:
    """Whether the channel has got its media, or has given them up."""
    return not voice.media or not {"sha256", "error"}.isdisjoint(voice.media[0])


def is_voice(sent: DeliveryRecord) -> bool:
    return bool(sent.media)


@dataclass
class Running:
    """The application, and what its users see of it."""

    world: Emulator
    assistant: Assistant
    settings: Settings
    app: Any

    @property
    def webhook(self) -> str:
        return f"{self.settings.public_url}/twilio"

    async def tell(self, who: str = ANNA, **message: Any) -> Any:
        """A user's message; returns when Twilio has its answer."""
        return await self.world.calls_back.message(self.webhook, from_=who, **message)

    def texts(self, who: str = ANNA) -> list[str]:
        return [each.body for each in self.world.journal.sent_to(who) if not is_voice(each)]

    def voices(self, who: str = ANNA) -> list[DeliveryRecord]:
        return [each for each in self.world.journal.sent_to(who) if is_voice(each)]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(SOON):
            while not true():
                await asyncio.sleep(0.005)

    async def replied(self, who: str = ANNA, *, texts: int = 1, voices: int = 1) -> None:
        """Wait until a user has so many of them, and the application is at rest."""
        await self.until(lambda: len(self.texts(who)) >= texts and len(self.voices(who)) >= voices)
        await self.until(lambda: all(map(_fetched, self.voices(who))))
        await self.at_rest()

    async def at_rest(self) -> None:
        await self.until(
            lambda: not any(t.get_name().startswith("message ") for t in asyncio.all_tasks())
        )

    async def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = self.settings.public_url + path
        async with aiohttp.ClientSession(headers=headers) as client, client.get(url) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text()

    def figures(self) -> dict[str, Any]:
        return self.assistant.metrics.snapshot()

    def failed(self) -> dict[str, int]:
        """How often which stage failed."""
        return {k: v for k, v in self.assistant.metrics.stage_errors.items() if v}

    def asked(self, provider: str, operation: str) -> int:
        return len(self.world.journal.requests_for(provider, operation))


@asynccontextmanager
async def running(world: Emulator, **settings: Any) -> AsyncIterator[Running]:
    """Serve the application until the block is left."""
    import uvicorn

    os.environ.update(world.env())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        told = Settings(
            **{
                "public_url": f"http://127.0.0.1:{port}",
                "port": port,
                "metrics_token": TOKEN,
                "voice_format": "mp3_22050_32",
                "conversations": 20,
                **settings,
            }
        )
        app = application(told)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="serving")
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            yield Running(world, app.state.assistant, told, app)
        finally:
            server.should_exit = True
            await serving
