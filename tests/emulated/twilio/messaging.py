"""A Twilio client, its emulated provider, and an application that is called back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from voicekit.clients.twilio import InboundMessage, MessageStatus, TwilioClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN

USER, BUSINESS = "whatsapp:+390212345678", "whatsapp:+14155238886"
INSTANT = Scenario(name="test")

Handler = Callable[[InboundMessage | MessageStatus], Awaitable[None]]


@asynccontextmanager
async def messaging(
    scenario: Scenario = INSTANT,
    *,
    emulator: dict[str, Any] | None = None,
    providers: tuple[str, ...] = (),
    **options: Any,
) -> AsyncIterator[tuple[Emulator, TwilioClient]]:
    """Both of them, in this loop."""
    served = ("twilio", *providers)
    async with Emulator(providers=served, scenario=scenario, **(emulator or {})) as world:
        settings: dict[str, Any] = {
            "base_url": world.twilio.url,
            "ca": None if world.ca_file is None else str(world.ca_file),
            "from_": BUSINESS,
            **options,
        }
        async with TwilioClient(ACCOUNT_SID, AUTH_TOKEN, **settings) as twilio:
            yield world, twilio


@asynccontextmanager
async def application(twilio: TwilioClient, handle: Handler) -> AsyncIterator[str]:
    """An application that reads webhooks with the client; its address."""

    async def answer(request: web.Request) -> web.Response:
        url = f"{base}{request.raw_path}"
        came = twilio.parse_webhook(url, request.headers, await request.read())
        await handle(came)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        yield base
    finally:
        await runner.cleanup()


async def received(world: Emulator, twilio: TwilioClient, **told: Any) -> InboundMessage:
    """What the client reads of a user's message."""
    came: list[Any] = []

    async def keep(message: Any) -> None:
        came.append(message)

    async with application(twilio, keep) as url:
        await world.calls_back.message(f"{url}/in", **told)
    [message] = came
    assert isinstance(message, InboundMessage)
    return message


def posted(world: Emulator, operation: str = "messages.create") -> int:
    """How many such requests the provider has seen."""
    return len(world.journal.requests_for("twilio", operation))
