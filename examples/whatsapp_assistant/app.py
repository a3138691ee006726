"""The application: Twilio's webhooks in, health and metrics out, voice notes for Twilio to fetch.

PUBLIC_URL=https://bot.example.com python -m examples.whatsapp_assistant.app
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import voicekit
from voicekit.clients.twilio import InboundMessage
from voicekit.errors import InvalidArgumentError, SignatureError
from voicekit.web import lifespan, routes

from .assistant import Assistant
from .settings import Settings

LARGEST_WEBHOOK = 64 << 10
LAST_REQUESTS = 3
"""Seconds for requests that are under way when the conversations have ended."""


class Leaving:
    """Whether the process has been told to end, and how long its conversations still have."""

    def __init__(self, drain_s: float) -> None:
        self.drain_s = drain_s
        self.until: float | None = None

    def begin(self) -> float:
        """From now on no message is taken; the time when the last conversation is cut off."""
        if self.until is None:
            self.until = monotonic() + self.drain_s
        return self.until

    def at_once(self) -> None:
        """Nobody is waited for any more."""
        self.until = monotonic()

    def left(self) -> float:
        """Seconds; who drains a second time gets the rest of the first."""
        return max(self.begin() - monotonic(), 0.0)


async def webhook(request: Request) -> Response:
    """A message, or the status of one; answered at once, since Twilio waits for 15 s only.

    A process that leaves takes no message: with a 204 nobody else would answer it.
    """
    assistant: Assistant = request.app.state.assistant
    leaving: Leaving = request.app.state.leaving
    length = request.headers.get("content-length", "")
    if not (length.isdecimal() and len(length) < 8 and int(length) <= LARGEST_WEBHOOK):
        return Response(status_code=413)
    # Signed is the address that Twilio called, not the one that a proxy has made of it.
    query = request.scope["query_string"].decode("latin-1")
    url = assistant.settings.public_url + request.scope["path"] + (f"?{query}" if query else "")
    try:
        said = assistant.twilio.parse_webhook(url, request.headers, await request.body())
    except SignatureError:
        return Response(status_code=403)
    except InvalidArgumentError:  # signed, and about a phone call or the like
        return Response(status_code=400)
    if isinstance(said, InboundMessage):
        if leaving.until is not None:  # it may have begun while we read
            return Response(status_code=503)
        voicekit.background(assistant.take(said), name=f"message {said.sid}")
    else:
        assistant.delivered(said)
    return Response(status_code=204)


def application(settings: Settings) -> Starlette:
    """The application; its clients open with it, and close after the last conversation."""
    assistant = Assistant(settings)
    leaving = Leaving(settings.drain_s)
    app = Starlette(
        routes=[
            Route("/twilio", webhook, methods=["POST"]),
            *routes(
                health=assistant.health,
                metrics=assistant.metrics,
                media=assistant.media.asgi,
                token=settings.metrics_token,
            ),
        ],
        lifespan=lifespan(*assistant.resources, drain=leaving.left),
    )
    app.state.assistant, app.state.leaving = assistant, leaving
    return app


class Server(uvicorn.Server):
    """Listens until the conversations have ended: Twilio still fetches their voice notes."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(config)
        self.leaving = leaving
        self.draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At the first signal the conversations are waited for, at the second nothing is."""
        if self.draining is not None:
            self.leaving.at_once()
            super().handle_exit(sig, frame)
            return
        # A signal comes between any two steps of the loop, and may find it asleep.
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        async def leave() -> None:
            await voicekit.drain(self.leaving.left())
            self.should_exit = True

        if self.draining is None:
            self.leaving.begin()
            self.draining = asyncio.create_task(leave(), name="leaving")


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.from_environment()
    app = application(settings)
    config = uvicorn.Config(
        app,
        host="0.0.0.0",
        port=settings.port,
        ws="none",
        timeout_graceful_shutdown=LAST_REQUESTS,
        access_log=False,  # the paths of voice notes are as good as a key
    )
    Server(config, app.state.leaving).run()


if __name__ == "__main__":
    main()
