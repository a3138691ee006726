"""The keeper of the HTTP connections: warms, refills, replaces before the cut-off.

aiohttp's pool holds the connections (``connector``); what to do about them is
decided by ``keeper.plan``; this shell dials, closes and sets the one timer per host.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp

from voicekit.errors import ClosedError, ConnectTimeout, VoicekitError
from voicekit.tasks import Background, at_most
from voicekit.transport import keeper
from voicekit.transport.config import PoolConfig, PoolStats, WarmReport
from voicekit.transport.connector import WarmConnector, do_at_once
from voicekit.transport.cutoff import IdleCutoff
from voicekit.transport.failures import translate
from voicekit.transport.http_aiohttp import parse_url
from voicekit.transport.sockets import make_socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from aiohttp.client_reqrep import ConnectionKey
    from yarl import URL

    from voicekit.transport.dns import ServeStaleResolver
    from voicekit.transport.proxy import Proxy

_DIAL_LIMIT = 10.0  # Own limit of the keeper's dials, seconds; callers' have theirs.
_CLOSING_S = 0.05
_CLOSING_TURNS = 8  # Measured: most take four, TLS whose peer has left some milliseconds.


class _Host:
    """What is known and wanted of one host."""

    __slots__ = ("backoff", "cutoff", "dials", "handle", "key", "minimum")

    def __init__(self, key: ConnectionKey, config: PoolConfig) -> None:
        self.key = key
        self.cutoff = IdleCutoff(config.idle_cutoff, config.idle_ceiling)
        self.minimum = 0
        self.dials: set[asyncio.Task[VoicekitError | None]] = set()
        self.backoff = keeper.Backoff()
        self.handle: asyncio.TimerHandle | None = None


class HttpPool:
    """Connections to the hosts of one transport. Belongs to the running event loop."""

    def __init__(
        self,
        config: PoolConfig,
        resolver: ServeStaleResolver,
        proxy: Proxy | None = None,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._hosts: dict[ConnectionKey, _Host] = {}
        self._closed = False
        self._drained: asyncio.Event | None = None
        self._resolver = resolver
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self.background = Background()
        self.connector = WarmConnector(
            config=config,
            resolver=resolver,
            socket_factory=self._make_socket,
            background=self.background,
            proxy=proxy,
            on_change=self._changed,
            on_idle_lost=lambda key, idle: self._host(key).cutoff.observe_close(idle),
            on_reused=lambda key, idle: self._host(key).cutoff.observe_survival(idle),
            on_full=on_full,
        )

    def _make_socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        made = make_socket(addr_info)
        self._sockets.add(made)
        return made

    def _host(self, key: ConnectionKey) -> _Host:
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Host(key, self._config)
        return host

    # -- keeping --

    def _changed(self, key: ConnectionKey, lost: bool) -> None:
        if self._drained is not None and not self.connector.counts()[1]:
            self._drained.set()
        host = self._hosts.get(key)
        if host is None:
            host = self._host(key)
        if lost or host.handle is None:
            self._keep(host)

    def _keep(self, host: _Host) -> None:
        if self._closed:
            return
        if host.handle is not None:
            host.handle.cancel()
            host.handle = None
        if rest := self.background.rest:
            host.handle = self._loop.call_later(rest, self._woken, host)
            return
        connector, now = self.connector, time.monotonic()
        leased, returning = connector.leased(host.key)
        plan = keeper.plan(
            now,
            [
                keeper.IdleConn(
                    id=idle.connection_id,
                    idle_since=idle.idle_since or now,
                    opened_at=idle.opened_at,
                    jitter=idle.jitter,
                )
                for idle in connector.idle(host.key)
            ],
            leased=leased,
            returning=returning,
            dialing=len(host.dials),
            minimum=host.minimum,
            max_idle=self._config.max_idle,
            max_connections=self._config.max_connections,
            cutoff=host.cutoff.seconds,
            backoff=host.backoff,
        )
        if plan.wake_at is not None:
            host.handle = self._loop.call_later(
                max(0.0, plan.wake_at - now) + 0.001, self._woken, host
            )
        if plan.close:
            connector.drop_idle(host.key, frozenset(plan.close), "expired")
        for _ in range(plan.dial):
            self._start_dial(host)

    def _woken(self, host: _Host) -> None:
        host.handle = None
        self._keep(host)

    def _start_dial(self, host: _Host) -> asyncio.Task[VoicekitError | None]:
        name = f"voicekit-dial-{host.key.host}"
        task: asyncio.Task[VoicekitError | None] = self.background.spawn(self._dial(host), name)

        def ended(dial: asyncio.Task[VoicekitError | None]) -> None:
            host.dials.discard(dial)
            if dial.cancelled():  # never by us
                self.background.interrupted()
            self._keep(host)

        host.dials.add(task)
        task.add_done_callback(ended)
        return task

    def failure(self, error: Exception) -> VoicekitError:
        """Our error for one of the HTTP library's; after ``aclose`` they all mean that."""
        ours = translate(error)
        if self._closed:  # which says nothing of whether the request had gone out by then
            return ClosedError("the transport was closed", outcome=ours.outcome)
        return ours

    async def _dial(self, host: _Host) -> VoicekitError | None:
        error: VoicekitError | None = None
        try:
            async with asyncio.timeout(_DIAL_LIMIT):
                await self.connector.dial(host.key)
        except VoicekitError as ours:
            error = ours
        except TimeoutError:
            error = ConnectTimeout(f"no connection within {_DIAL_LIMIT:g} s", limit=_DIAL_LIMIT)
        except (aiohttp.ClientError, OSError) as failure:
            error = translate(failure)
        if error is None:
            host.backoff = keeper.Backoff()
        else:
            host.backoff = host.backoff.failed(time.monotonic(), random.random())
        return error

    async def dial_one_more(self, url: str, ssl: SSLContext | bool) -> None:
        """Have one idle connection more; see ``WarmConnector.dial``."""
        try:
            await self.connector.dial(self.connector.key_of(parse_url(url), ssl))
        except VoicekitError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise self.failure(error) from error

    def refill(self, key: ConnectionKey) -> None:
        """A healthy connection was given up (barge-in, timeout): replace it.

        With a minimum the keeper has seen to it already.
        """
        host = self._host(key)
        connector = self.connector
        ready = len(connector.idle(key)) + len(host.dials) + connector.leased(key)[1]
        if not self._closed and host.minimum == 0 and ready < min(1, self._config.min_ready):
            self._start_dial(host)

    # -- warming --

    async def warm(
        self, url: URL, ssl: SSLContext | bool, n: int, timeout: float = _DIAL_LIMIT
    ) -> WarmReport:
        """Have ``n`` connections to the host of ``url`` ready, and keep them so.

        Joins the dials in progress and makes the missing ones, concurrently, without
        sending a request; at most ``max_connections``. Failures are in the report.
        Cancelled, or after ``timeout`` seconds, the dials go on; they are the pool's.
        """
        started = time.monotonic()
        for _ in range(2):
            await asyncio.sleep(0)  # what the peer closed while the loop was busy shows itself
        key = self.connector.key_of(url, ssl)
        host = self._host(key)
        n = min(n, self._config.max_connections)
        ready = min(n, len(self.connector.idle(key)))
        joined = list(host.dials)[: n - ready]
        host.minimum = max(host.minimum, n)
        own = [self._start_dial(host) for _ in range(n - ready - len(joined))]
        if own or joined:
            await asyncio.wait([*own, *joined], timeout=timeout)
        failures = [name for dial in [*own, *joined] if (name := _failure(dial)) is not None]
        opened = sum(1 for dial in own if _failure(dial) is None)
        self._keep(host)
        return WarmReport(
            opened=opened,
            reused=n - opened - len(failures),
            failures=tuple(sorted(failures)),
            elapsed=time.monotonic() - started,
        )

    def stats(self) -> PoolStats:
        """What is open, and what became of the rest."""
        connector = self.connector
        ready, leased = connector.counts()
        cutoffs = [host.cutoff.seconds for host in self._hosts.values()]
        return PoolStats(
            open=ready + leased,
            ready=ready,
            leased=leased,
            dialing=sum(len(host.dials) for host in self._hosts.values()),
            opened=connector.opened,
            reused=connector.reused,
            closed=dict(connector.closed_by),
            idle_cutoff=min(cutoffs, default=self._config.idle_cutoff),
            waiting=connector.waiting,
        )

    async def drain(self, seconds: float) -> None:
        """Wait until no connection is in anybody's hands, so many seconds at most."""
        if seconds > 0 and self.connector.counts()[1]:
            self._drained = asyncio.Event()
            await at_most(seconds, self._drained.wait())

    async def aclose(self) -> None:
        """Abort every connection and end every dial. Idempotent."""
        self._stop()
        try:
            await self.background.aclose()
        finally:
            await self.connector.shut()
            await self._resolver.close()
            await self._sockets_closed()

    async def _sockets_closed(self) -> None:
        """The event loop closes a socket some time after it is told to, and may be about to end."""
        until = self._loop.time() + _CLOSING_S
        open_ones = [each for each in self._sockets if each.fileno() >= 0]
        turns = 0
        while open_ones and self._loop.time() < until:
            await asyncio.sleep(0 if turns < _CLOSING_TURNS else 0.001)
            turns += 1
            open_ones = [each for each in open_ones if each.fileno() >= 0]

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait for what then ends."""
        self._closed = True
        if self._loop.is_closed():
            do_at_once(self._loop)
        self.background.abandon()
        self._stop()
        self._resolver.abandon()

    def _stop(self) -> None:
        self._closed = True
        for host in self._hosts.values():
            if host.handle is not None:
                host.handle.cancel()
                host.handle = None
        self.connector.abandon()


def _failure(dial: asyncio.Task[VoicekitError | None]) -> str | None:
    """Why a dial came to nothing, or to nothing yet; None when it did not."""
    if not dial.done():
        return "ConnectTimeout"
    if dial.cancelled():
        return "ClosedError"
    error = dial.result()
    return None if error is None else type(error).__name__
