"""One cell of the grid: its server, its clients, its calls, and what they came to."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invariants import BrokenError, Canary, Held, check, listening
from operations import DIALS, Row, Taken
from servers import FaultServer, Script, good, relayed
from subjects import VOICEKIT, Subject
from world import NAME, Names, Reference, World, patched

import voicekit.transport.dns as dns
from voicekit import events
from voicekit.testing import RecordingObserver

if TYPE_CHECKING:
    from faults import Fault


@dataclass(frozen=True)
class Result:
    """One call, as its caller saw it.

    Attributes:
        elapsed: Seconds.
        worked: Seconds of the processor that the loop had meanwhile, whoever else waits for one.
    """

    received: bytes
    error: BaseException | None
    started_at: float
    elapsed: float
    worked: float
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None and not self.cancelled


class Cell:
    """What a fault has at hand.

    Attributes:
        server: Where clients are pointed; its journal is the truth.
        names: The name server.
        reference: A good call.
        results: Of every call, in the order in which they ended.
        alone: No other server but ``server`` is in play, so that its journal is complete.
        healthy: The next call must succeed at once, when the fault is over.
        rng: Jitters pauses; seeded by the repeat.
        hops: Requests that are a part of an attempt and none of their own, as the column knows.
        most: Calls begun in the same turn of the loop.
    """

    def __init__(
        self, world: World, row: Row, *, tls: bool, seed: str, subject: Subject = VOICEKIT
    ) -> None:
        self.world, self.row, self.tls, self.subject = world, row, tls, subject
        self.rng = random.Random(seed)
        self.names = Names()
        self.reference: Reference = world.reference(row)
        self.recorder = RecordingObserver()
        self.results: list[Result] = []
        self.canary = Canary()
        self.alone = True
        self.healthy = True
        self.most = 1
        self.hops = 0
        self._clients = contextlib.AsyncExitStack()
        self._main: Any = None
        context = world.server_tls() if tls else None
        self.server = FaultServer(self.reference.reply, world.relay_port(row), context)
        self.server.script = self.good
        self.server.aside = row.aside

    # -- the server -----------------------------------------------------------------------

    @property
    def good(self) -> Script:
        return relayed if self.row.socket else good

    def first(self, fault: Script, times: int = 1) -> Script:
        """``fault`` for the next requests, then the right answer."""
        left = [times]

        async def script(visit: Any) -> None:
            left[0] -= 1
            await (fault if left[0] >= 0 else self.good)(visit)

        return script

    def there(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Done on the server's loop, while ours stands still."""
        with self.canary.forgiving():
            return self.world.thread.do(work)

    @contextlib.contextmanager
    def another(self, host: str, *, tls: Any = None, **attributes: Any) -> Iterator[FaultServer]:
        """A second server at the same port of another loopback address."""
        other = FaultServer(self.reference.reply, self.world.relay_port(self.row), tls)
        other.script, other.aside = self.good, self.row.aside
        for name, value in attributes.items():
            setattr(other, name, value)
        self.there(other.start(host, self.server.port))
        self.alone = False
        try:
            yield other
        finally:
            self.there(other.stop())

    def lengthened(self, times: int) -> None:
        """The good answer is so many times as long; of audio, whose body is what is received."""
        reply = self.reference.reply
        assert reply is not None
        reply = replace(reply, body=reply.body * times)
        self.reference = Reference(reply, reply.body)
        self.server.reply = reply

    def drop(self, how: str = "fin", *, idle: bool = True) -> int:
        dropped: int = self.there(self.server.drop(how=how, idle=idle))
        return dropped

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{NAME}:{self.server.port}"

    # -- clients and calls ----------------------------------------------------------------

    async def make(self, **options: Any) -> Any:
        """Another client; closed with the cell."""
        ca = self.world.ca if self.tls else None
        client = self.subject.make(self.row, url=self.url, ca=ca, observer=self.recorder, **options)
        return await self._clients.enter_async_context(client)

    async def client(self) -> Any:
        """The cell's own client."""
        if self._main is None:
            self._main = await self.make()
        return self._main

    async def call(self, client: Any = None, *, counts: bool = True, slow: float = 0.0) -> Result:
        """One call; it raises nothing, but for the cell's own cancellation."""
        client = client or await self.client()
        got = Taken()
        got.slow = slow
        started, worked = time.monotonic(), time.thread_time()
        error, cancelled = None, False
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        try:
            await self.subject.ask(self.row, client, got)
        except asyncio.CancelledError as caught:
            error, cancelled = caught, True
        except Exception as caught:
            error = caught
        if not cancelled and task.cancelling() != cancelling:
            raise BrokenError("I6 a cancellation is left on the caller's task")
        elapsed, worked = time.monotonic() - started, time.thread_time() - worked
        result = Result(bytes(got), error, started, elapsed, worked, cancelled)
        if counts:
            self.results.append(result)
        return result

    def ready(self, client: Any) -> int:
        """Idle connections, as the client believes, or else the server."""
        stats = self.subject.stats(client)
        return (
            sum(not busy for busy in self.server.lines.values()) if stats is None else stats.ready
        )

    def waiting(self, client: Any) -> int:
        stats = self.subject.stats(client)
        return 0 if stats is None else stats.waiting

    async def together(self, count: int, client: Any = None) -> list[Result]:
        """So many calls at the same moment."""
        self.most = max(self.most, count)
        return await asyncio.gather(*(self.call(client) for _ in range(count)))

    @property
    def events(self) -> list[events.Event]:
        return self.recorder.events

    @property
    def ends(self) -> list[events.CallEnded]:
        """The terminal records of this row's calls."""
        return [end for end in self.recorder.ended if end.operation == self.row.name]

    async def jitter(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.003))


async def run(cell: Cell, fault: Fault) -> None:
    """Strike, check what the fault's column says, and the invariants.

    Raises:
        AssertionError: What does not hold.
    """
    resolver = partial(dns.ServeStaleResolver, ttl=0.0, lookup=cell.names.lookup)
    with contextlib.ExitStack() as patches, listening() as noise:
        patches.enter_context(patched(dns, ServeStaleResolver=resolver))
        for module in map(importlib.import_module, DIALS):
            scaled = replace(module.DIAL, limits=cell.row.limits)
            patches.enter_context(patched(module, DIAL=scaled))
        asyncio.get_running_loop().set_exception_handler(noise.on_loop)
        before = Held.now()
        cell.there(cell.server.start())
        try:
            async with cell.canary, cell._clients:
                await fault.run(cell)
                await settled(cell)
                check(cell)
                if cell.healthy:
                    await _healthy(cell)
                    await settled(cell)
        finally:
            cell.there(cell.server.stop())
        await _as_before(before)
        cell._main = None
    if noise.heard:
        raise BrokenError(f"I7 {noise.heard}")


async def settled(cell: Cell) -> None:
    """I6, with the clients still open: nothing is leased, waited for or dialled."""
    until = time.monotonic() + 1.0
    while cell._main is not None:
        stats = cell.subject.stats(cell._main)
        if stats is None:
            return
        sockets = stats.sockets.open if stats.sockets else 0
        held = (stats.leased - sockets, stats.waiting)
        if held == (0, 0):
            return
        if time.monotonic() > until:
            raise BrokenError(
                f"I6 {held[0]} connections are leased, {held[1]} callers wait: {stats}"
            )
        await asyncio.sleep(0.002)


async def _healthy(cell: Cell) -> None:
    """I9: the next healthy call succeeds at once."""
    cell.server.script = cell.good
    cell.names.addresses = ["127.0.0.1"]
    cell.names.gate.set()
    seen = len(cell.server.seen)
    result = await cell.call(counts=False)
    if not result.ok:
        raise BrokenError(f"I9 the next call failed: {result.error!r}") from result.error
    if result.received != cell.reference.received:
        raise BrokenError("I9 the next call gave something else")
    if not cell.row.socket and len(cell.server.seen) != seen + 1:
        raise BrokenError(f"I9 the next call took {len(cell.server.seen) - seen} requests")


async def _as_before(before: Held) -> None:
    """I6: tasks, timers and sockets are as before."""
    until = time.monotonic() + 2.5  # the server's are closed by its own loop
    while True:
        now = Held.now()
        tasks = {task for task in now.tasks - before.tasks if not task.done()}
        if not tasks and now.timers <= before.timers and now.sockets <= before.sockets:
            return
        if time.monotonic() > until:
            raise BrokenError(
                f"I6 left behind: tasks {tasks}, {now.timers - before.timers} timers, "
                f"{now.sockets - before.sockets} sockets of {_sockets()}"
            )
        await asyncio.sleep(0.005)


def _sockets() -> list[str]:
    """Ours as the system sees them: addresses and state (01 is open, 08 closed by the peer)."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(link.readlink()))
    ours = {link[8:-1] for link in links if link.startswith("socket:")}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [f"{mine} {theirs} {state}" for _, mine, theirs, state, *_, inode in
            (line[:10] for line in lines) if inode in ours]  # fmt: skip


def in_loop(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on a new event loop of that kind."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if name == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work())
