"""An application that Twilio calls back: it keeps what comes and answers as it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping


@dataclass(frozen=True, slots=True)
class Came:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(slots=True)
class Application:
    """Where it is, what came, and what it answers by path; an empty 204 to any other."""

    url: str = ""
    came: list[Came] = field(default_factory=list)
    answers: dict[str, Callable[[Came], web.StreamResponse]] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    gates: dict[str, asyncio.Barrier] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, path: str) -> list[Came]:
        return [each for each in self.came if each.path == path]

    async def until(self, count: int, path: str = "/status") -> list[Came]:
        """Wait until so many have come to a path."""
        async with asyncio.timeout(10):
            while len(self.at(path)) < count:
                await self.changed.wait()
                self.changed.clear()
        return self.at(path)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        came = Came(
            request.method,
            request.path,
            dict(request.headers),
            dict(parse_qsl(body, keep_blank_values=True)),
            dict(request.query),
        )
        self.came.append(came)
        self.changed.set()
        if gate := self.gates.get(request.path):
            async with asyncio.timeout(5):
                await gate.wait()
        await asyncio.sleep(self.delays.get(request.path, 0.0))
        answer = self.answers.get(request.path)
        return web.Response(status=204) if answer is None else answer(came)


def twiml(inside: str, *, status: int = 200, content_type: str = "text/xml") -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inside}</Response>'
    return web.Response(text=text, status=status, content_type=content_type)


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Application]:
    """Serve one in the running loop."""
    application = Application()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", application.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    application.url = f"http{'s' * (tls is not None)}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield application
    finally:
        await runner.cleanup()
