"""Sockets and a provider made of nothing, for the pool's tests."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Self

from voicekit.errors import ConnectError, ConnectionLostError
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolConfig
from voicekit.transport.pool import SocketPool

if TYPE_CHECKING:
    from voicekit.transport.interfaces import FrameReceiver
    from voicekit.transport.lease import DialFacts


class FakeSocket:
    """Counts what is done to it. ``peer_closes`` is the network's side."""

    def __init__(self, provider: Provider, facts: DialFacts) -> None:
        self.provider = provider
        self.facts = facts
        self.connection = ConnectionInfo(reused=False, id=facts.id, generation=facts.generation)
        self.headers: dict[str, str] = {}
        self.receiver: FrameReceiver | None = None
        self.said_goodbye = False
        self.aborted = False
        self.gone = False
        self.lost_told = False

    @property
    def alive(self) -> bool:
        return not self.gone

    @property
    def open(self) -> bool:
        return not (self.aborted or self.said_goodbye)

    def attach(self, receiver: FrameReceiver | None) -> None:
        self.receiver = receiver
        if self.gone:
            self._tell()

    async def send(self, data: str | bytes) -> None:
        if self.gone:
            raise ConnectionLostError("gone")

    async def aclose(self) -> None:
        await asyncio.sleep(self.provider.goodbye)
        self.said_goodbye = self.gone = True
        self._tell()

    def abort(self) -> None:
        self.aborted = self.gone = True
        self._tell()

    def vanish(self) -> None:
        """The peer closed and our reader task has not noticed."""
        self.gone = True

    def peer_closes(self) -> None:
        """The peer closed and our reader task noticed."""
        self.gone = True
        self._tell()

    def _tell(self) -> None:
        if not self.lost_told and self.receiver is not None:
            self.lost_told = True
            self.receiver.lost(ConnectionLostError("gone"))


class Provider:
    """Dials succeed after ``latency`` seconds; ``failing`` makes them fail instead."""

    def __init__(self, latency: float = 0.1, goodbye: float = 0.05) -> None:
        self.latency = latency
        self.goodbye = goodbye
        self.failing = False
        self.fail_next = 0
        self.dials: list[DialFacts] = []
        self.dialed_at: list[float] = []
        self.sockets: list[FakeSocket] = []
        self.cancelled = 0
        self.most = 0

    @property
    def open(self) -> list[FakeSocket]:
        return [s for s in self.sockets if s.open]

    async def dial(self, facts: DialFacts) -> FakeSocket:
        self.dials.append(facts)
        self.dialed_at.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.latency)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing or self.fail_next > 0:
            self.fail_next -= 1
            raise ConnectError("refused")
        socket = FakeSocket(self, facts)
        self.sockets.append(socket)
        self.most = max(self.most, len(self.open))
        return socket


class _Complaints(logging.Handler):
    """What ``Background`` says of tasks that failed; none of the pool's may."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class World:
    """A provider, a pool on it, and the background that owns the pool's tasks."""

    _log = logging.getLogger("voicekit.tasks")

    def __init__(self, provider: Provider | None = None, **options: Any) -> None:
        self.provider = provider or Provider()
        self.background = Background()
        self._complaints = _Complaints()
        self._log.addHandler(self._complaints)
        sizes = {
            name: options.pop(name)
            for name in ("max_connections", "min_ready", "max_idle", "max_wait")
            if name in options
        }
        self.pool = SocketPool(
            dial=self.provider.dial,
            config=PoolConfig(**sizes),
            background=self.background,
            cutoff=options.pop("cutoff", 100.0),
            clock=lambda: asyncio.get_running_loop().time(),
            rng=random.Random(7),
            **options,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever the test did, nothing is left behind."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self.pool.aclose()
        self._log.removeHandler(self._complaints)
        assert self._complaints.told == [], "a background task failed"
        assert loop.time() - started <= 1.0
        await asyncio.sleep(0.001)  # whatever order the loop has, what was ready has run by then
        assert not len(self.background)
        assert self.provider.open == []
        stats = self.pool.stats()
        assert (stats.open, stats.dialing) == (0, 0)
        assert stats.opened == sum(stats.closed.values()) == len(self.provider.sockets)
        await self.background.aclose()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert {t.get_name() for t in others if t.get_name().startswith("voicekit")} == set()
