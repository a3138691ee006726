"""The socket pool: a thin asyncio shell around ``PoolState``.

It dials, watches, closes and wakes; every decision is made in ``pool_state.py``
and ``keeper.py``. One pool serves one address with one credential, on the event
loop that first uses it. There is one timer and no polling task; dials and polite
goodbyes are tasks of the owner's ``Background``, so that no caller waits for them
unless it needs their outcome, and no caller's cancellation reaches them.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import random
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from voicekit.errors import ClosedError, PoolTimeout, VoicekitError, WrongLoopError
from voicekit.tasks import at_most
from voicekit.transport.config import WarmReport
from voicekit.transport.cutoff import IdleCutoff
from voicekit.transport.goodbye import Goodbyes
from voicekit.transport.lease import DialFacts, Lease
from voicekit.transport.pool_state import NOTHING, PoolState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.tasks import Background
    from voicekit.transport.config import PoolConfig, PoolStats
    from voicekit.transport.interfaces import Socket
    from voicekit.transport.pool_state import Actions, Cause

CLOSE_LIMIT = 1.0
"""Seconds that ``aclose`` takes at most, beyond its ``drain``."""
SHORTEST_NAP = 0.001
"""Seconds. uvloop rounds timers to milliseconds and would call back before the time has come."""
ABRUPT: frozenset[Cause] = frozenset({"broken", "dead", "leaked", "lost"})
"""Causes after which there is nobody to say goodbye to, or nothing that may still be said."""


@dataclass(slots=True)
class _Entry:
    socket: Socket
    connect_s: float


class _Watch:
    """Receives for a ready socket: drops stray frames, reports its loss."""

    __slots__ = ("_id", "_pool")

    def __init__(self, pool: SocketPool, conn_id: int) -> None:
        self._pool = pool
        self._id = conn_id

    def frame(self, data: str | bytes) -> None:
        pass

    def lost(self, error: VoicekitError) -> None:  # noqa: ARG002 - the seam's signature
        self._pool._lost(self._id)


class SocketPool:
    """Sockets to one address, ready before they are asked for.

    Args:
        dial: Opens one socket. It has its own time limit, raises the typed error that
            the waiting caller shall see, and when cancelled leaves nothing open.
        background: Owns dials and goodbyes. To be closed after the pool.
        cutoff: Seconds of idleness after which the provider closes a socket, from the
            sheet. Sockets are replaced before; an earlier close teaches a shorter time.
        one_use: A socket serves one lease; a dialled spare replaces it at once.
        max_age: Seconds after which the provider ends a socket whatever it does.
    """

    def __init__(
        self,
        *,
        dial: Callable[[DialFacts], Awaitable[Socket]],
        config: PoolConfig,
        background: Background,
        cutoff: float,
        one_use: bool = False,
        max_age: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._dial = dial
        self._config = config
        self._background = background
        self._clock = clock
        self._rng = rng or random.Random()
        self._state = PoolState(
            config, IdleCutoff(cutoff, cutoff), one_use=one_use, max_age=max_age
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        # The timer may live for minutes; it must not keep some caller's variables alive.
        self._context = contextvars.Context()
        self._entries: dict[int, _Entry] = {}
        self._dials: dict[int, asyncio.Task[str | None]] = {}
        self._goodbyes = Goodbyes(background)
        self._tasks: set[asyncio.Task[object]] = set()
        self._waiters: dict[int, asyncio.Future[int]] = {}
        self._last_waiter = 0
        self._keeping: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._all_back = asyncio.Event()

    # -- callers --

    async def lease(self, max_wait: float | None = None) -> Lease:
        """Borrow the newest ready socket, or wait for the next: a dial's or a returned one.

        Does not suspend when a socket is ready. Cancelling leaves the pool as it was:
        a dial goes on and its socket becomes ready.

        Args:
            max_wait: Seconds to wait for a place when ``max_connections`` are in use;
                None for ``PoolConfig.max_wait``. The dial's own limit comes on top.

        Raises:
            PoolTimeout: No place became free in time.
            ClosedError: The pool is closed, or was closed meanwhile.
            WrongLoopError: Another event loop uses the pool.
            VoicekitError: Whatever the dial raised that this caller waited for.
        """
        loop = self._bind()
        asked = self._clock()
        limit = self._config.max_wait if max_wait is None else max_wait
        while True:
            if self._state.closed:
                raise ClosedError("the socket pool is closed")
            self._last_waiter = waiter = self._last_waiter + 1
            actions = self._state.checkout(waiter, self._clock(), self._usable)
            if actions.hand:
                conn_id = actions.hand[0][1]
                self._act(actions)
                return self._lend(conn_id, asked)
            arrival = self._waiters[waiter] = loop.create_future()
            self._act(actions)
            left = limit - (self._clock() - asked)
            conn_id = await self._wait(loop, waiter, arrival, left, limit)
            if self._still_good(conn_id):
                return self._lend(conn_id, asked)

    async def warm(self, n: int | None = None, timeout: float = 10.0) -> WarmReport:
        """Have ``n`` sockets open, and keep them: the pool's minimum rises to ``n``.

        Dials what is missing, all at once, at most up to ``max_connections``; joins what
        is being dialled already. Never raises but for cancellation, which stops the
        waiting and not the dials.

        Args:
            n: How many; None for ``PoolConfig.min_ready``.
            timeout: Seconds to wait. Dials that take longer go on in the background.
        """
        started = self._clock()
        try:
            self._bind()
            if self._state.closed:
                raise ClosedError("the socket pool is closed")
        except VoicekitError as error:
            return WarmReport(opened=0, reused=0, failures=(type(error).__name__,))
        state = self._state
        n = min(self._config.min_ready if n is None else n, state.max_connections)
        state.minimum = max(state.minimum, n)
        for conn_id in state.ready:
            if not self._usable(conn_id):
                self._lost(conn_id)
        have = len(state.ready) + state.returning()
        joined = {self._dials[dial] for dial in state.coming()}
        actions = state.dial_more(n - have - len(joined))
        self._act(actions)
        own = {self._dials[dial] for dial in actions.dial}
        failures = []
        opened = 0
        if awaited := own | joined:
            done, late = await asyncio.wait(awaited, timeout=timeout)
            failures = ["ConnectTimeout"] * len(late)
            for task in done:
                failure = "ClosedError" if task.cancelled() else task.result()
                if failure is not None:
                    failures.append(failure)
                elif task in own:
                    opened += 1
                else:
                    have += 1
        return WarmReport(
            opened=opened,
            reused=max(0, min(have, n - opened)),
            failures=tuple(sorted(failures)),
            elapsed=self._clock() - started,
        )

    def start_warming(self, n: int | None = None) -> None:
        """``warm`` in the background; returns at once."""
        self._bind()
        self._own(self._background.spawn(self.warm(n), "voicekit-warm"))

    @property
    def minimum(self) -> int:
        """How many sockets the keeper holds open; 0 until ``warm`` was called."""
        return self._state.minimum

    def stats(self) -> PoolStats:
        """A snapshot."""
        return self._state.stats()

    def resize(self, max_connections: int) -> None:
        """Change the bound, when the provider says what the account allows."""
        self._act(self._state.resize(max_connections))

    def retire(self) -> None:
        """Start a new generation, after a credential changed.

        Ready sockets and dials of the old one end now, leased ones when they come back.
        """
        self._act(self._state.retire())

    async def aclose(self, drain: float = 0.0) -> None:
        """Close everything. Idempotent; takes at most a second beyond ``drain``.

        Waiting callers get ``ClosedError`` at once. Cancelling aborts what is still open.

        Args:
            drain: Seconds that leased sockets get to come back by themselves.

        Raises:
            WrongLoopError: Another event loop uses the pool.
        """
        if self._loop is not None:
            self._bind()
        self._end()
        try:
            if drain > 0 and self._state.leased:
                await at_most(drain, self._all_back.wait())
            self._drop_leases()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=CLOSE_LIMIT)
        finally:
            self._drop_leases()
            self._goodbyes.cut_short()

    # -- leases --

    async def _wait(
        self,
        loop: asyncio.AbstractEventLoop,
        waiter: int,
        arrival: asyncio.Future[int],
        left: float,
        limit: float,
    ) -> int:
        timer = None
        # Once it has a dial it always has one, so only who waits for a place is timed.
        if self._state.waits_for_place(waiter) and left < math.inf:
            timer = loop.call_later(max(0.0, left), self._give_up, waiter, limit)
        try:
            return await arrival
        except asyncio.CancelledError:
            if self._waiters.pop(waiter, None) is not None:
                self._act(self._state.leave(waiter))
            elif not arrival.cancelled() and arrival.exception() is None:
                self._put_back(arrival.result())
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self, waiter: int, limit: float) -> None:
        if self._state.waits_for_place(waiter):
            arrival = self._waiters.pop(waiter)
            self._act(self._state.leave(waiter))
            if not arrival.done():
                most = self._state.max_connections
                text = f"none of {most} connections became free within {limit:g} s"
                arrival.set_exception(PoolTimeout(text, limit=limit))

    def _still_good(self, conn_id: int) -> bool:
        """Whether a socket handed over a moment ago can still be lent.

        A new one is lent as it is, lest a peer that accepts and hangs up be dialled forever.
        """
        if not self._state.is_leased(conn_id):
            return False
        held = self._state.held(conn_id)
        if held.generation != self._state.generation:
            self._put_back(conn_id)
            return False
        if held.new or self._usable(conn_id):
            return True
        self.give_back(conn_id, reusable=False)
        return False

    def _lend(self, conn_id: int, asked: float) -> Lease:
        entry, held, now = self._entries[conn_id], self._state.held(conn_id), self._clock()
        waited = now - asked
        connection = replace(
            entry.socket.connection,
            reused=not held.new,
            age=now - held.conn.opened_at,
            idle=held.idle_s,
        )
        connect_s = min(waited, entry.connect_s) if held.new else 0.0
        return Lease(self, conn_id, entry.socket, connection, waited=waited, connect_s=connect_s)

    def give_back(self, conn_id: int, *, reusable: bool, idle_s: float = 0.0) -> None:
        """For ``Lease``: it ended."""
        if self._loop is None or self._loop.is_closed() or not self._state.is_leased(conn_id):
            return
        reusable = reusable and self._usable(conn_id)
        actions = self._state.give_back(conn_id, self._clock(), reusable=reusable, idle_s=idle_s)
        self._act(actions)
        self._watch(conn_id)

    def _put_back(self, conn_id: int) -> None:
        self._act(self._state.put_back(conn_id, self._clock()))
        self._watch(conn_id)

    def leak(self, conn_id: int) -> bool:
        """For ``Lease``: the garbage collector got it, on any thread, in the middle of anything."""
        if self._loop is None or self._loop.is_closed() or not self._state.is_leased(conn_id):
            return False
        self._loop.call_soon_threadsafe(self._collect, conn_id)
        return True

    def _collect(self, conn_id: int) -> None:
        self._act(self._state.leak(conn_id))

    def give_way(self) -> bool:
        """Free the place of an idle socket at once, for a call that found none.

        The keeper dials again when there is room. False where no socket is idle.
        """
        conn_id = self._state.give_way()
        if conn_id is None:
            return False
        self._entries.pop(conn_id).socket.abort()
        self._act(NOTHING)
        return True

    # -- sockets --

    def _usable(self, conn_id: int) -> bool:
        return self._entries[conn_id].socket.alive

    def _watch(self, conn_id: int) -> None:
        if self._state.is_ready(conn_id):
            # A socket that is gone already may say so from inside attach().
            self._entries[conn_id].socket.attach(_Watch(self, conn_id))

    def _lost(self, conn_id: int) -> None:
        self._act(self._state.lost(conn_id, self._clock()))

    def _start_dial(self, dial: int) -> None:
        facts = DialFacts(
            id=dial, generation=self._state.generation, waited_for=self._state.waited_for(dial)
        )
        task = self._background.spawn(self._run_dial(facts), f"voicekit-dial-{dial}")
        self._dials[dial] = task
        self._own(task)
        task.add_done_callback(partial(self._dial_ended, dial))

    async def _run_dial(self, facts: DialFacts) -> str | None:
        started = self._clock()
        try:
            socket = await self._dial(facts)
        except Exception as error:  # noqa: BLE001 - it is the waiter's, or the keeper's to repeat
            now = self._clock()
            self._dials.pop(facts.id, None)
            self._act(self._state.dial_failed(facts.id, now, self._rng.random()), error)
            return type(error).__name__
        now = self._clock()
        self._dials.pop(facts.id, None)
        self._entries[facts.id] = _Entry(socket, now - started)
        actions = self._state.dialed(facts.id, now, self._rng.random())
        self._act(actions, abort=self._state.closed)
        self._watch(facts.id)
        return None

    def _dial_ended(self, dial: int, _: asyncio.Task[str | None]) -> None:
        """Only a dial that somebody else cancelled is still there now."""
        if self._dials.pop(dial, None) is not None:
            self._background.interrupted()
            error = ClosedError("the dial was cancelled")
            actions = self._state.dial_failed(dial, self._clock(), self._rng.random())
            self._act(actions, error)

    # -- doing what was decided --

    def _act(
        self, actions: Actions, error: Exception | None = None, *, abort: bool = False
    ) -> None:
        """Do it, and let the keeper look at the result soon, off the caller's path."""
        self._do(actions, error, abort=abort)
        if self._keeping is None and not self._state.closed and self._loop is not None:
            self._keeping = self._loop.call_soon(self._keep)

    def _do(self, actions: Actions, error: Exception | None = None, *, abort: bool = False) -> None:
        for conn_id, cause in actions.close:
            socket = self._entries.pop(conn_id).socket
            self._discard(conn_id, socket, abort=abort or cause in ABRUPT)
        for dial in actions.cancel:
            self._dials.pop(dial).cancel()
        for dial in actions.dial:
            self._start_dial(dial)
        for waiter, conn_id in actions.hand:
            self._entries[conn_id].socket.attach(None)
            arrival = self._waiters.pop(waiter, None)
            if arrival is not None and not arrival.done():
                arrival.set_result(conn_id)
            elif arrival is not None:
                # Cancelled, and its task has not run yet.
                self._put_back(conn_id)
        for waiter in actions.fail:
            arrival = self._waiters.pop(waiter)
            if not arrival.done():
                arrival.set_exception(error or ClosedError("the socket pool was closed"))
        if not self._state.leased:
            self._all_back.set()

    def _discard(self, conn_id: int, socket: Socket, *, abort: bool) -> None:
        if not abort:
            self._own(self._goodbyes.say(socket, f"voicekit-close-{conn_id}"))
        elif self._state.closed or self._loop is None:
            socket.abort()
        else:
            self._loop.call_soon(socket.abort)

    def _own(self, task: asyncio.Task[object]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _keep(self) -> None:
        self._keeping = None
        self._stop_timer()
        if (rest := self._background.rest) and self._loop is not None:
            self._timer = self._loop.call_later(rest, self._wake, context=self._context)
            return
        actions, wake_at = self._state.keep(self._clock())
        self._do(actions)
        if wake_at is not None and self._loop is not None:
            nap = max(wake_at - self._clock(), SHORTEST_NAP)
            self._timer = self._loop.call_later(nap, self._wake, context=self._context)

    def _wake(self) -> None:
        self._timer = None
        if self._keeping is None:
            self._keep()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the end --

    def _end(self) -> None:
        if self._state.closed:
            return
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        self._stop_timer()
        self._all_back.clear()
        self._do(self._state.close())

    def _drop_leases(self) -> None:
        self._do(self._state.drop_leases(), abort=True)

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoopError("the socket pool belongs to another event loop")
        return loop

    def __repr__(self) -> str:
        stats = self.stats()
        state = "closed" if self._state.closed else f"minimum {self.minimum}"
        counts = f"{stats.ready} ready, {stats.leased} leased, {stats.dialing} dialing"
        return f"SocketPool({counts}, {state})"
