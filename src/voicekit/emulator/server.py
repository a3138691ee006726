"""The emulator in the running event loop: one port per provider."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from aiohttp import web

from voicekit.emulator.connection import RecordingHandler
from voicekit.emulator.endpoints import Addresses, EmulatorError, Endpoint
from voicekit.emulator.faults import Fault, Faults
from voicekit.emulator.journal import ConnectionRecord, Journal
from voicekit.emulator.link import Link
from voicekit.emulator.providers import PROVIDERS, load
from voicekit.emulator.providers.base import Context, Provider
from voicekit.emulator.scenario import Scenario
from voicekit.emulator.scenario import scenario as named_scenario

__all__ = ["Emulator"]

BACKLOG = 1024
STOP_SECONDS = 0.8
"""How long stopping waits for cancelled handlers before it goes on without them."""

MAX_UPLOAD_BYTES = 1 << 30


class Emulator(Addresses):
    """A wire-level stand-in for the providers, served from the running event loop.

    `async with Emulator() as world:` is the usual form; `Emulator.in_thread()` serves blocking
    callers and `EmulatorProcess` keeps the server's work off the caller's core. Leaving stops
    within a second, whatever the handlers are doing.

    Args:
        providers: Whom to serve; each gets its own port.
        tls: Serve https and wss with a throw-away authority (`ca_file`), names `localhost`,
            `127.0.0.1` and `::1`.
        scenario: A name from `SCENARIOS`, or a `Scenario`.
        link: The network in front, or None for bare loopback.
        seed: Seeds every draw.
        speech: "tones" is self-checking audio and no ears; "real" speaks and listens.
        host: Address to listen on.
        keepalive_timeout: Seconds after which an idle connection is closed.
        port_base: First port, one more per provider in order; None takes free ones.

    Raises:
        EmulatorError: An extra that was asked for is not installed.
        ValueError: Unknown provider or scenario.
    """

    def __init__(
        self,
        *,
        providers: Iterable[str] = tuple(PROVIDERS),
        tls: bool = False,
        scenario: str | Scenario = "typical",
        link: Link | None = None,
        seed: int = 0,
        speech: Literal["tones", "real"] = "tones",
        host: str = "127.0.0.1",
        keepalive_timeout: float = 75.0,
        port_base: int | None = None,
    ) -> None:
        super().__init__()
        self.providers = tuple(providers)
        for name in self.providers:
            if name not in PROVIDERS:
                raise ValueError(f"unknown provider {name!r}; one of {', '.join(PROVIDERS)}")
        if speech not in {"tones", "real"}:
            raise ValueError(f"speech is 'tones' or 'real', not {speech!r}")
        self.journal = Journal()
        self._scenario = named_scenario(scenario)
        self._link = link
        self._seed = seed
        self._speech = speech
        self._host = host
        self._keepalive_timeout = keepalive_timeout
        self._port_base = port_base
        self._tls = tls
        self._ports: dict[str, _Port] = {}
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.endpoints.clear()
        await self._closing.aclose()

    async def _start(self) -> None:
        server_ssl = self._make_tls() if self._tls else None
        voice, ears = await self._make_speech()
        for index, name in enumerate(self.providers):
            context = Context(
                provider=name,
                journal=self.journal,
                faults=Faults(),
                scenario=lambda: self._scenario,
                seed=self._seed,
                voice=voice,
                ears=ears,
            )
            port = _Port(load(name)(context), ssl_context=server_ssl, link=self._link)
            self._closing.push_async_callback(port.stop)
            await port.start(
                host=self._host,
                port=0 if self._port_base is None else self._port_base + index,
                keepalive_timeout=self._keepalive_timeout,
            )
            self._ports[name] = port
            self.endpoints[name] = Endpoint(
                provider=name,
                host="localhost" if self._tls else self._host,
                port=port.number,
                tls=self._tls,
            )

    def _make_tls(self) -> ssl.SSLContext:
        from voicekit.emulator.tls import Authority

        directory = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="voicekit-ca-"))
        authority = Authority()
        self.ca_file = authority.write(Path(directory))
        return authority.server_context(self._host)

    async def _make_speech(self) -> tuple[Any, Any]:
        if self._speech == "tones":
            try:
                from voicekit.emulator.material import TonesVoice
            except ImportError:  # pragma: no cover
                return None, None
            return TonesVoice(), None
        raise EmulatorError("speech='real' needs the demo extra: pip install 'voicekit[demo]'")

    def inject(self, provider: str, fault: Fault) -> None:
        """Make a provider's next fitting request fail as the fault says."""
        self._port(provider).provider.ctx.faults.inject(fault)

    def clear_faults(self) -> None:
        """Forget every fault that has not struck yet."""
        for port in self._ports.values():
            port.provider.ctx.faults.clear()

    def set_scenario(self, scenario: str | Scenario) -> None:
        """Change the scenario for requests from now on, and begin the seeded draws again."""
        self._scenario = named_scenario(scenario)
        for port in self._ports.values():
            port.provider.ctx.restart_seed()

    async def drop_idle(self, provider: str, *, how: Literal["fin", "rst"] = "fin") -> int:
        """Close a provider's idle connections now, as its server might, and return how many."""
        return await self._port(provider).drop_idle(how)

    def connections(self, provider: str) -> list[ConnectionRecord]:
        """Return the records of a provider's open connections, oldest first."""
        records = [handler.record for handler in self._port(provider).handlers]
        return sorted((r for r in records if r is not None), key=lambda record: record.id)

    def _port(self, provider: str) -> _Port:
        self.endpoint(provider)
        return self._ports[provider]


class _Port:
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

    async def start(self, *, host: str, port: int, keepalive_timeout: float) -> None:
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
        self.provider.routes(app.router)
        self.provider.add(app.router, "*", "/{path:.*}", "unknown", self.provider.not_found)
        runner = self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await runner.setup()
        await self.provider.start()
        assert runner.server is not None
        factory = functools.partial(
            RecordingHandler,
            runner.server,
            provider=self.provider.name,
            journal=self.provider.ctx.journal,
            register=self.handlers,
            charged=self._link is not None,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=keepalive_timeout,
        )
        for listening in _listen(host, port, also_ipv6=self._ssl is not None):
            self._listening.append(listening)
            self.number = listening.getsockname()[1]
            self._own(self._accept(listening, factory), f"accept {self.provider.name}")

    def _own(self, coroutine: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"emulator {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket, factory: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:  # pragma: no cover - out of descriptors: the next one may be free
                await asyncio.sleep(0.1)
                continue
            if self._ssl is None:
                await loop.connect_accepted_socket(factory, accepted)
            else:
                self._own(self._handshake(accepted, factory), "tls handshake")

    async def _handshake(self, accepted: socket.socket, factory: Any) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                factory,
                accepted,
                ssl=self._ssl,
                ssl_handshake_timeout=20.0,
                ssl_shutdown_timeout=0.5,
            )
        except (OSError, ssl.SSLError):
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def drop_idle(self, how: Literal["fin", "rst"]) -> int:
        idle = [handler for handler in self.handlers if handler.idle]
        for handler in idle:
            handler.drop(how)
        await asyncio.sleep(0)
        return len(idle)

    async def stop(self) -> None:
        for listening in self._listening:
            listening.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        runner = self._runner
        if runner is None:
            return
        for handler in list(self.handlers):
            handler.force_close()
            if handler.transport is not None:
                handler.transport.abort()
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        while runner.server is not None and runner.server.connections:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.001)
        await runner.cleanup()
        await self.provider.stop()


def _listen(host: str, port: int, *, also_ipv6: bool) -> list[socket.socket]:
    first = socket.create_server((host, port), backlog=BACKLOG)
    first.setblocking(False)
    sockets = [first]
    if also_ipv6 and host == "127.0.0.1":
        # "localhost" may resolve to ::1 first; a refusal there would look like a slow connect.
        with contextlib.suppress(OSError):
            second = socket.create_server(
                ("::1", first.getsockname()[1]), family=socket.AF_INET6, backlog=BACKLOG
            )
            second.setblocking(False)
            sockets.append(second)
    return sockets
