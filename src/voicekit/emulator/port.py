"""One provider's port: accepting, TLS, the link in front, the connections served, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Literal, cast

from aiohttp import web

from voicekit.emulator.connection import RecordingHandler
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.link import Link
from voicekit.emulator.providers.base import Provider
from voicekit.emulator.relay import Relay

BACKLOG = 1024
STOP_SECONDS = 0.8
"""How long stopping waits for cancelled handlers before it goes on without them."""

MAX_UPLOAD_BYTES = 1 << 30


class Port:
    """One provider's listener, its aiohttp application and the connections it serves."""

    def __init__(
        self, provider: Provider, *, ssl_context: ssl.SSLContext | None, link: Link | None
    ) -> None:
        self.provider = provider
        self.handlers: set[RecordingHandler] = set()
        self.number = 0
        self._ssl = ssl_context
        self._link = link
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._factory: Callable[[], RecordingHandler]
        self._relays = 0
        self._relaying: set[Relay] = set()

    async def start(self, *, host: str, port: int, keepalive_timeout: float) -> None:
        """Listen on a host and port (0 takes a free one) and begin to accept."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
        self.provider.routes(app.router)
        self.provider.add(app.router, "*", "/{path:.*}", "unknown", self.provider.not_found)
        runner = self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await runner.setup()
        await self.provider.start()
        self._factory = functools.partial(
            RecordingHandler,
            cast("web.Server", runner.server),
            provider=self.provider.name,
            journal=self.provider.ctx.journal,
            register=self.handlers,
            charged=self._link is not None,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=keepalive_timeout,
        )
        serve: Callable[[socket.socket], Coroutine[Any, Any, None]] = self._serve
        if self._link is not None:
            inner = self._listen("127.0.0.1", 0, self._serve)
            serve = functools.partial(self._relay, self._link, ("127.0.0.1", inner))
        self.number = self._listen(host, port, serve)
        if self._ssl is not None and host == "127.0.0.1":
            # "localhost" may resolve to ::1 first; a refusal there would look like a slow connect.
            with contextlib.suppress(OSError):
                self._listen("::1", self.number, serve)

    def _listen(
        self, host: str, port: int, serve: Callable[[socket.socket], Coroutine[Any, Any, None]]
    ) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listening.setblocking(False)
        self._listening.append(listening)
        self._own(self._accept(listening, serve), f"accept {self.provider.name}")
        number: int = listening.getsockname()[1]
        return number

    def _own(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"emulator {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(
        self,
        listening: socket.socket,
        serve: Callable[[socket.socket], Coroutine[Any, Any, None]],
    ) -> None:
        # By hand, not loop.create_server: a handshake or relay under way when the emulator stops
        # is then a task of ours to cancel, on every Python and on uvloop.
        def close_unserved(task: asyncio.Task[None], accepted: socket.socket) -> None:
            if task.cancelled():  # perhaps before it began
                accepted.close()

        async with _arrivals(listening) as arrival:
            while True:
                try:
                    accepted = await arrival()
                except BlockingIOError:
                    continue
                except OSError:  # out of descriptors, or a client gone before we looked
                    await asyncio.sleep(0.05)
                    continue
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serving = self._own(serve(accepted), f"connection {self.provider.name}")
                serving.add_done_callback(functools.partial(close_unserved, accepted=accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        options: dict[str, Any] = {}
        if self._ssl is not None:
            options = {
                "ssl": self._ssl,
                "ssl_handshake_timeout": 20.0,
                "ssl_shutdown_timeout": 3.0,
            }
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, accepted, **options
            )
        except OSError:  # an ssl.SSLError is one: a handshake that failed is the client's to tell
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _relay(self, link: Link, inner: tuple[str, int], accepted: socket.socket) -> None:
        self._relays += 1
        ctx = self.provider.ctx
        rng = random.Random(f"{ctx.seed}/{ctx.provider}/link/{self._relays}")
        crossed = functools.partial(ctx.journal.crossed, ctx.provider)
        relay = Relay(link, rng, inner, crossed)
        self._relaying.add(relay)
        try:
            await relay.run(accepted)
        finally:
            self._relaying.discard(relay)

    def cut(self, how: Literal["fin", "rst", "blackhole"]) -> int:
        """Break every connection now, in use or not, and return how many there were.

        Raises:
            EmulatorError: A black hole without a link.
        """
        if self._link is not None:
            relays = list(self._relaying)
            for relay in relays:
                relay.cut(how)
            return len(relays)
        if how == "blackhole":
            raise EmulatorError("a black hole needs a link: Emulator(link=Link())")
        handlers = list(self.handlers)
        for handler in handlers:
            handler.drop(how)
        return len(handlers)

    async def drop_idle(self, how: Literal["fin", "rst"]) -> int:
        """Close the connections without a request under way and return how many there were."""
        idle = [handler for handler in self.handlers if handler.idle]
        wires = []
        for handler in idle:
            if how == "fin" and self._ssl is not None and handler.transport is not None:
                raw = handler.transport.get_extra_info("socket")
                if raw is not None:  # the client was quicker
                    wires.append(socket.fromfd(raw.fileno(), raw.family, raw.type))
            handler.drop(how)
        if wires:
            # TLS closes when both sides have said so; a real server's FIN does not wait for a
            # client that is busy. A moment first, for the close_notify to be written. The
            # duplicates keep the descriptors from being reused meanwhile.
            await asyncio.sleep(0.005)
            for wire in wires:
                with contextlib.suppress(OSError), wire:
                    wire.shutdown(socket.SHUT_WR)
        for _ in range(3):  # a transport closes its socket in a later turn of the loop
            await asyncio.sleep(0)
        return len(idle)

    async def stop(self) -> None:
        """End every connection, handshake, relay and handler, and stop listening."""
        for handler in list(self.handlers):
            handler.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._listening:
            listening.close()
        runner = self._runner
        if runner is None:
            return
        loop = asyncio.get_running_loop()
        for handler in list(self.handlers):
            handler.stop()
        deadline = loop.time() + STOP_SECONDS
        # aiohttp forgets a connection when its cancelled handler has ended, and tells nobody.
        while runner.server is not None and runner.server.connections and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await runner.cleanup()
        await self.provider.stop()


@contextlib.asynccontextmanager
async def _arrivals(
    listening: socket.socket,
) -> AsyncIterator[Callable[[], Awaitable[socket.socket]]]:
    """Yield what waits for the next connection and, cancelled, loses none.

    `loop.sock_accept`, cancelled, leaves one that has just come unclosed.
    """
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()

    async def accept() -> socket.socket:
        await arrived.wait()
        arrived.clear()
        return listening.accept()[0]

    async def accept_elsewhere() -> socket.socket:
        return (await loop.sock_accept(listening))[0]

    try:
        loop.add_reader(listening, arrived.set)
    except NotImplementedError:  # the event loop of Windows
        yield accept_elsewhere
        return
    try:
        yield accept
    finally:
        loop.remove_reader(listening)
