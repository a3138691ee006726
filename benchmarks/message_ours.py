"""The WhatsApp turn of ``message`` as it is built from the library."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web

from voicekit import (
    AgentforceClient,
    DeepgramClient,
    ElevenLabsClient,
    Limits,
    MediaHost,
    PoolConfig,
    TwilioClient,
)
from voicekit.cache import MemoryStorage, ResponseCache, SessionStore, SpeechCache
from voicekit.clients.twilio import InboundMessage, Once

VOICE = "21m00Tcm4TlvDq8ikWAM"
FORMAT = "mp3_22050_32"
"""The emulator encodes no Opus; WhatsApp plays both."""

AT_ONCE = 64
"""Connections to each provider; the turns under way are fewer."""

WARM = 16
FETCHED_WITHIN_S = 15.0


class Ours:
    """The clients, their caches, and one turn of a conversation.

    Attributes:
        words_at: By user, when the words of the message were in hand.
        turns: The turns that were begun; whoever measures waits for them.
    """

    def __init__(self, world: Any, public: str) -> None:
        env = world.env()
        pool = PoolConfig(max_connections=AT_ONCE, max_idle=AT_ONCE)
        self.url = f"{public}/ours"
        self.twilio = TwilioClient(
            account_sid=env["TWILIO_ACCOUNT_SID"],
            auth_token=env["TWILIO_AUTH_TOKEN"],
            base_url=env["TWILIO_BASE_URL"],
            pool=pool,
        )
        self.stt = DeepgramClient("emulated", base_url=world.deepgram.url, pool=pool)
        self.agents = ResponseCache(
            AgentforceClient(
                client_id=env["AGENTFORCE_CLIENT_ID"],
                client_secret=env["AGENTFORCE_CLIENT_SECRET"],
                agent_id=env["AGENTFORCE_AGENT_ID"],
                domain=world.agentforce.url,
                base_url=world.agentforce.url,
                pool=pool,
            )
        )
        self.speech = SpeechCache(
            ElevenLabsClient(
                "emulated",
                base_url=world.elevenlabs.url,
                voice=VOICE,
                limits={"stream_speech": Limits(connect=2.0, first_output=20.0, gap=10.0)},
                pool=pool,
            )
        )
        self.sessions = SessionStore(self.agents)
        self.media = MediaHost(f"{public}/media")
        self.once = Once(MemoryStorage())
        self.words_at: dict[str, float] = {}
        self.turns: list[asyncio.Task[None]] = []
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        warmable = (self.twilio, self.stt, self.agents, self.speech)
        for resource in (self.media, *warmable, self.sessions):
            await self._open.enter_async_context(resource)
        for client in warmable:
            await client.warm(WARM, strict=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._open.aclose()

    async def webhook(self, request: web.Request) -> web.Response:
        """Answered at once; the turn goes on by itself."""
        body = await request.read()
        at = time.monotonic()
        message = self.twilio.parse_webhook(self.url, request.headers, body)
        if not isinstance(message, InboundMessage):
            raise web.HTTPBadRequest
        if message.body:
            self.words_at[message.from_] = at
        self.turns.append(asyncio.create_task(self._take(message)))
        return web.Response(status=204)

    async def _take(self, message: InboundMessage) -> None:
        async with self.once(message.sid) as first:
            if first:
                await self._converse(message)

    async def _converse(self, message: InboundMessage) -> None:
        words = message.body
        if not words:
            self.sessions.start(message.key)  # opens while the recording is on its way
            heard = await self.stt.transcribe(self.twilio.stream_media(message.media[0]))
            self.words_at[message.from_] = time.monotonic()
            words = heard.text
        async with self.sessions.session(message.key) as session:
            answer = await session.send(words)
        async with asyncio.TaskGroup() as both:
            # The voice is made while the text is on its way: its request is the first on the wire.
            both.create_task(self._send(message, body=answer.text))
            both.create_task(self._speak(message, answer.text))

    async def _speak(self, message: InboundMessage, text: str) -> None:
        clip = await self.speech.synthesize(text, format=FORMAT)
        url = await self.media.publish(clip)
        await self._send(message, media=url)
        if not await self.media.fetched(url, within=FETCHED_WITHIN_S):
            raise RuntimeError("the voice note was not fetched")

    async def _send(self, message: InboundMessage, **what: Any) -> None:
        await self.twilio.send_message(to=message.from_, from_=message.to, **what)
