"""``Transport``: what one provider's clients send over, under common TLS, sizes and close."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
import weakref
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from voicekit.checks import number, wrong
from voicekit.errors import ClosedError, ConnectError, VoicekitError, WrongLoopError
from voicekit.transport.config import PoolConfig, PoolStats, WarmReport, sum_of
from voicekit.transport.proxy import parse_proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping
    from ssl import SSLContext

    from voicekit.operation import Call
    from voicekit.tasks import Background
    from voicekit.transport.http_pool import HttpPool
    from voicekit.transport.interfaces import HttpTransport, Response, Socket
    from voicekit.transport.messages import Request
    from voicekit.transport.pool import SocketPool


_SOCKET_KINDS = 4
"""Pools of sockets kept at a time; each holds sockets of one voice, model and format."""
_MOST_SHARED = 1024
"""A client with ten operations asks for some 30."""
_SEAM = ("send", "warm", "stats", "retire", "aclose", "abandon")
"""The methods of an ``HttpTransport``."""
T = TypeVar("T")


class Transport:
    """Warm connections to share between clients with equal host and TLS settings.

    Constructing does no I/O and imports no HTTP library. The first use binds it to
    the running event loop. Whoever creates it closes it: a client closes only the
    transport that it made itself.

    Args:
        pool: Sizes and ages.
        ca: PEM file of certificate authorities to trust instead of the system's.
        proxy: ``http://[user:password@]host:port``: HTTP goes through it, and TLS and
            sockets by way of CONNECT. See ``transport.proxy`` for what is not supported.
        http: What sends plain requests in place of our own pool, such as an
            ``HttpxTransport``; it has its own TLS and proxies. Sockets stay ours.

    Raises:
        InvalidArgumentError: An argument is not of these.

    Example:
        >>> async with Transport(pool=PoolConfig(max_connections=50)) as transport:
        ...     tts = ElevenLabsClient(voice="…", transport=transport)
    """

    def __init__(
        self,
        *,
        pool: PoolConfig | None = None,
        ca: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        http: HttpTransport | None = None,
    ) -> None:
        if pool is not None and not isinstance(pool, PoolConfig):
            raise wrong("pool", pool, "PoolConfig(…)")
        if http is not None and not all(callable(getattr(http, name, None)) for name in _SEAM):
            raise wrong("http", http, "an HttpTransport, such as HttpxTransport(client)")
        if ca is not None and not isinstance(ca, str | os.PathLike):
            raise wrong("ca", ca, "the path of a PEM file")
        self.config = pool or PoolConfig()
        self._other = http
        self._proxy = None if proxy is None else parse_proxy(proxy)
        self._ca = None if ca is None else os.fspath(ca)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: HttpPool | None = None
        # Kept with the pool: an import statement in every call costs half a microsecond.
        self._send: Callable[..., Awaitable[Response]] | None = None
        self._tls: SSLContext | None = None
        self._sockets: dict[Hashable, SocketPool] = {}
        self._shared: dict[Hashable, Any] = {}
        self._alive: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._opened()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "new" if self._http is None else "open"
        return f"<Transport {state}>"

    @property
    def background(self) -> Background:
        """Owns the tasks that outlive calls over this transport."""
        if self._closed and self._http is not None:
            return self._http.background  # of what is still ending
        return self._opened().background

    def _opened(self) -> HttpPool:
        """The pool of the running loop, made on first use."""
        if self._closed:
            raise ClosedError("the transport is closed")
        loop = asyncio.get_running_loop()
        if self._http is None:
            from voicekit.transport.dns import ServeStaleResolver
            from voicekit.transport.http_aiohttp import send
            from voicekit.transport.http_pool import HttpPool

            self._loop = loop
            self._send = send
            resolver = ServeStaleResolver()
            self._http = HttpPool(
                self.config, resolver, self._proxy, partial(_give_way, self._sockets)
            )
        elif loop is not self._loop:
            raise WrongLoopError(
                "this client was opened in another event loop; make one per loop, "
                "or close it there first"
            )
        return self._http

    async def _ssl(self, url: str) -> SSLContext | bool:
        if not url.startswith(("https:", "wss:")):
            return True
        if self._tls is None:
            from voicekit.transport.tls import tls_context

            self._tls = await tls_context(self._ca)
        return self._tls

    async def send(self, request: Request, call: Call) -> Response:
        """See ``HttpTransport.send``."""
        pool = self._opened()
        if self._other is not None:
            return await self._other.send(request, call)
        send = self._send
        assert send is not None  # noqa: S101 - comes with the pool
        if not request.url.startswith("https:"):
            return await send(pool, request, call, True)
        tls = self._tls
        return await send(pool, request, call, tls or await self._ssl(request.url))

    async def dial_socket(self, request: Request, call: Call, *, apart: bool = False) -> Socket:
        """Open one WebSocket; see ``ws_aiohttp.dial_socket``.

        Args:
            request: The handshake.
            call: Whose limits and evidence.
            apart: Over a connection of its own, since nobody waits for it: a handshake takes
                a warm connection over, which the next request would miss.
        """
        from voicekit.transport.ws_aiohttp import dial_socket

        pool = self._opened()
        ssl = await self._ssl(request.url)
        if apart:
            call.dialing()
            await pool.dial_one_more(request.url, ssl)
        return await dial_socket(pool, request, call, ssl)

    def socket_pool(self, key: Hashable, make: Callable[[], SocketPool]) -> SocketPool:
        """The pool of sockets that are alike in everything a handshake fixes.

        Few kinds are kept: an option that changes with each call must not leave a pool of
        idle sockets behind each time. The one that was used longest ago and holds nobody's
        socket is closed; one that was warmed stays while there is another.
        """
        http = self._opened()
        pool = self._sockets.pop(key, None)
        if pool is None:
            if len(self._sockets) >= _SOCKET_KINDS:
                stats = {each: kind.stats() for each, kind in self._sockets.items()}
                idle = [each for each, seen in stats.items() if not (seen.leased or seen.dialing)]
                unasked = [each for each in idle if not self._sockets[each].minimum]
                for each in (unasked or idle)[:1]:
                    closing = self._sockets.pop(each).aclose()
                    http.background.spawn(closing, "voicekit-close-sockets")
            pool = make()
        self._sockets[key] = pool  # the last is the one used last
        return pool

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """What all clients of this transport keep under ``key``, made when it is first asked for.

        Breakers, budgets and limits. Not without end: of keys that change every hour, those
        that were asked for longest ago are forgotten, but for what a client still uses.
        """
        kept = self._shared
        value: T | None = self._alive.get(key)
        if value is None:
            value = self._alive[key] = make()
        kept.pop(key, None)
        if len(kept) >= _MOST_SHARED:
            del kept[next(iter(kept))]
        kept[key] = value  # the last is the one asked for last
        return value

    async def warm(self, url: str, n: int, *, timeout: float = 10.0) -> WarmReport:
        """Have ``n`` connections to the host of ``url`` ready. Never raises for a failed dial.

        Opens TCP and TLS and sends no request, so it costs nothing.

        Raises:
            ClosedError: The transport is closed.
            WrongLoopError: It belongs to another event loop.
        """
        from voicekit.transport.http_aiohttp import parse_url

        started = time.monotonic()
        pool = self._opened()
        if self._other is not None:
            return await self._other.warm(url, n)
        try:
            return await pool.warm(parse_url(url), await self._ssl(url), n, timeout)
        except VoicekitError as error:
            names = (type(error).__name__,)
            elapsed = time.monotonic() - started
            return WarmReport(opened=0, reused=0, failures=names, elapsed=elapsed)

    async def dial(self, url: str) -> None:
        """Open one connection more to the host of ``url``, however many are ready.

        Raises:
            ConnectError: It failed; another transport for requests may do without.
            PoolTimeout: The pool is full.
        """
        pool = self._opened()
        if self._other is None:
            await pool.dial_one_more(url, await self._ssl(url))
        elif failures := (await self._other.warm(url, 1)).failures:
            raise ConnectError(f"a connection failed: {failures[0]}")

    def stats(self) -> PoolStats:
        """The HTTP connections, sockets among the leased ones; and the sockets by themselves."""
        if self._other is not None:
            stats = self._other.stats()
        elif self._http is not None:
            stats = self._http.stats()
        else:
            stats = PoolStats(idle_cutoff=self.config.idle_cutoff)
        sockets = sum_of([pool.stats() for pool in self._sockets.values()])
        return stats if sockets is None else replace(stats, sockets=sockets)

    def retire(self) -> None:
        """The key was rotated: use no connection again that was opened before now."""
        if self._other is not None:
            self._other.retire()
        if self._http is not None:
            self._http.connector.retire()
        for pool in self._sockets.values():
            pool.retire()

    async def aclose(self, drain: float = 0.0) -> None:
        """Close every connection; bounded in time; may be called twice.

        Args:
            drain: Seconds that what is under way may take to end first: requests, streams
                and sessions. Nothing new begins meanwhile.

        Raises:
            InvalidArgumentError: ``drain`` is no number ≥ 0.
            WrongLoopError: Another event loop opened it, and has not ended; it stays open there.
        """
        number(0.0)("drain", drain)
        if self._closed:
            return
        if self._http is None or self._loop is None or self._loop.is_closed():
            self.abandon()
            self._closed = True
            return
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError("close a client in the event loop that opened it")
        self._closed = True
        pools = list(self._sockets.values())
        self._sockets.clear()
        try:
            # Together: a socket that its pool closes is a connection that comes back.
            await asyncio.gather(self._http.drain(drain), *(pool.aclose(drain) for pool in pools))
        finally:
            if self._other is not None:
                await self._other.aclose()
            await self._http.aclose()

    @property
    def in_use(self) -> bool:
        """Whether it holds anything that only ``aclose`` frees."""
        return self._http is not None and not self._closed

    def abandon(self) -> None:
        """Free everything from wherever an owner is collected who never closed it."""
        loop, http = self._loop, self._http
        if self._closed or loop is None or http is None:
            return
        self._closed = True
        for each in (http,) if self._other is None else (self._other, http):
            if loop.is_closed():
                each.abandon()
            else:
                loop.call_soon_threadsafe(each.abandon)

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_http", None) is not None and not self._closed:
            _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
            self.abandon()


def _give_way(sockets: Mapping[Hashable, SocketPool]) -> None:
    """An idle socket serves nobody; a call that finds every place taken may have its place."""
    any(pool.give_way() for pool in sockets.values())
