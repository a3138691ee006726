"""Who gets which socket, who waits, who is stale, who closes: the pool's decisions, pure.

One ``PoolState`` serves one key (host, credential, address). It does no I/O and
reads no clock: each event is a method call that brings the time, and answers with
what the shell has to do. A connection is in exactly one state::

    (dial) ──► dialling ──► ready ◄──► leased
                  │           │          │
                  ▼           ▼          ▼
               failed      closed     closed

Rules:
    1. A checkout takes the newest ready connection, so that spare ones age out; one
       that is past its cut-off or no longer usable is closed on the way.
    2. Waiters queue first come, first served. The first ones each have a dial of
       their own; a waiter beyond ``max_connections`` has none and waits for a place.
       A dial that nobody waits for (warm-up, keeper) is taken over before a new one
       is started.
    3. Whatever becomes free first, a new or a returned connection, goes to the first
       waiter; the dial that this waiter no longer needs goes to the next one without.
    4. A failed dial fails the one waiter who has it. Its place goes to the next one.
    5. A waiter who leaves takes no connection away: its dial goes to the next waiter
       without one, or becomes ready.
    6. ``retire`` starts a new generation: ready connections and dials of the old one
       end at once, leased ones when they come back.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from voicekit.transport import keeper
from voicekit.transport.config import PoolStats
from voicekit.transport.keeper import Backoff, IdleConn

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicekit.transport.config import PoolConfig
    from voicekit.transport.cutoff import IdleCutoff

Cause = Literal[
    "aged", "broken", "closed", "dead", "expired", "leaked", "lost", "retired", "surplus", "used"
]
"""Why a connection was closed: past its maximal age; returned as not reusable; with the
pool; found dead at checkout; idle too long; its lease was garbage collected; by the peer
while ready; by ``retire``; more than needed; used once where once is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What the shell has to do after an event, in this order.

    Attributes:
        close: Sockets to close, with the cause.
        cancel: Dials to give up.
        dial: Dials to start.
        hand: ``(waiter, connection)``: wake the waiter with the connection.
        fail: Waiters to wake with the error of the event.
    """

    close: tuple[tuple[int, Cause], ...] = ()
    cancel: tuple[int, ...] = ()
    dial: tuple[int, ...] = ()
    hand: tuple[tuple[int, int], ...] = ()
    fail: tuple[int, ...] = ()


NOTHING = Actions()


@dataclass(slots=True, kw_only=True)
class Held:
    """A leased connection.

    Attributes:
        generation: Which generation took it.
        idle_s: How long it had been idle when it was taken, seconds.
        new: It came straight from its dial.
    """

    conn: IdleConn
    generation: int
    idle_s: float
    new: bool = False


class PoolState:
    """The state machine of one socket pool; ``cutoff``, the peer's idle limit, learns here.

    ``one_use`` and ``max_age`` are those of the pool.
    """

    def __init__(
        self,
        config: PoolConfig,
        cutoff: IdleCutoff,
        *,
        one_use: bool = False,
        max_age: float | None = None,
    ) -> None:
        self.minimum = 0
        self.generation = 0
        self.closed = False
        self.cutoff = cutoff
        self.max_connections = config.max_connections
        self._max_idle = config.max_idle
        self._one_use = one_use
        self._max_age = max_age
        self._backoff = Backoff()
        self._ids = 0
        self._ready: dict[int, IdleConn] = {}
        self._leased: dict[int, Held] = {}
        self._dialing: dict[int, int | None] = {}
        self._waiting: dict[int, int | None] = {}
        self._opened = 0
        self._reused = 0
        self._closed_by: Counter[str] = Counter()

    # -- what it holds --

    @property
    def ready(self) -> tuple[int, ...]:
        """Ids of the ready connections, newest last."""
        return tuple(self._ready)

    @property
    def leased(self) -> tuple[int, ...]:
        """Ids of the leased connections."""
        return tuple(self._leased)

    @property
    def dialing(self) -> tuple[int, ...]:
        """Ids of the dials under way, oldest first."""
        return tuple(self._dialing)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The waiters, first come first."""
        return tuple(self._waiting)

    def is_ready(self, conn: int) -> bool:
        """Whether ``conn`` is ready."""
        return conn in self._ready

    def is_leased(self, conn: int) -> bool:
        """Whether ``conn`` is leased."""
        return conn in self._leased

    def returning(self) -> int:
        """How many leased connections will come back for reuse."""
        if self._one_use:
            return 0
        return sum(held.generation == self.generation for held in self._leased.values())

    def coming(self) -> tuple[int, ...]:
        """The dials whose connection will stay in the pool, at once or after a lease."""
        if not self._one_use:
            return tuple(self._dialing)
        return tuple(dial for dial, waiter in self._dialing.items() if waiter is None)

    def waits_for_place(self, waiter: int) -> bool:
        """Whether ``waiter`` has no dial because all places are taken."""
        return waiter in self._waiting and self._waiting[waiter] is None

    def waited_for(self, dial: int) -> bool:
        """Whether a caller waits for this dial."""
        return self._dialing.get(dial) is not None

    def held(self, conn: int) -> Held:
        """The facts of a leased connection."""
        return self._leased[conn]

    def stats(self) -> PoolStats:
        """A snapshot."""
        return PoolStats(
            open=len(self._ready) + len(self._leased),
            ready=len(self._ready),
            leased=len(self._leased),
            dialing=len(self._dialing),
            opened=self._opened,
            reused=self._reused,
            closed=dict(self._closed_by),
            idle_cutoff=self.cutoff.seconds,
            waiting=sum(dial is None for dial in self._waiting.values()),
        )

    def _room(self) -> int:
        taken = len(self._ready) + len(self._leased) + len(self._dialing)
        return self.max_connections - taken

    # -- callers --

    def checkout(self, waiter: int, now: float, usable: Callable[[int], bool]) -> Actions:
        """Give ``waiter`` the newest usable connection, or let it wait.

        ``hand`` names it when there was one. Otherwise it waits, with a dial if
        there is room for one.
        """
        close: list[tuple[int, Cause]] = []
        # What a dead one teaches on the way is not turned against the others here: they
        # are just being asked, and the caller waits.
        cutoff = self.cutoff.seconds
        while self._ready:
            conn_id, conn = self._ready.popitem()
            if now >= conn.dead_at(cutoff, self._max_age):
                close.append((conn_id, self._stale_cause(conn, now)))
            elif not usable(conn_id):
                self.cutoff.observe_close(now - conn.idle_since)
                close.append((conn_id, "dead"))
            else:
                self._lend(conn_id, conn, now)
                return self._closing(close, hand=((waiter, conn_id),))
        self._waiting[waiter] = None
        return self._closing(close, dial=self._supply())

    def leave(self, waiter: int) -> Actions:
        """``waiter`` no longer waits (cancelled, or its time is up)."""
        dial = self._waiting.pop(waiter, None)
        if dial is not None:
            self._dialing[dial] = None
        return Actions(dial=self._supply())

    def put_back(self, conn_id: int, now: float) -> Actions:
        """A handed connection was never touched, because its taker had gone meanwhile."""
        held = self._leased.pop(conn_id, None)
        if held is None:
            return NOTHING
        self._reused -= not held.new
        if held.generation != self.generation or self.closed:
            cause: Cause = "closed" if self.closed else "retired"
            return self._closing([(conn_id, cause)], dial=self._supply())
        return self._free(conn_id, held.conn, now)

    def give_back(
        self, conn_id: int, now: float, *, reusable: bool, idle_s: float = 0.0
    ) -> Actions:
        """A lease ended. ``idle_s`` is how long the connection has been idle already."""
        held = self._leased.get(conn_id)
        if held is None:
            return NOTHING
        if not reusable:
            return self._drop(conn_id, "broken")
        if held.idle_s > 0:
            self.cutoff.observe_survival(held.idle_s)
        if self.closed:
            return self._drop(conn_id, "closed")
        if held.generation != self.generation:
            return self._drop(conn_id, "retired")
        if self._one_use:
            return self._drop(conn_id, "used")
        conn = replace(held.conn, idle_since=now - idle_s)
        if now >= conn.dead_at(self.cutoff.seconds, self._max_age):
            return self._drop(conn_id, self._stale_cause(conn, now))
        del self._leased[conn_id]
        return self._free(conn_id, conn, now)

    def leak(self, conn_id: int) -> Actions:
        """A lease was garbage collected."""
        return self._drop(conn_id, "leaked") if conn_id in self._leased else NOTHING

    # -- dials --

    def dial_more(self, count: int) -> Actions:
        """Start up to ``count`` dials that nobody waits for yet, as far as there is room."""
        count = 0 if self.closed else min(count, self._room())
        return Actions(dial=tuple(self._start_dial() for _ in range(count)))

    def dialed(self, conn_id: int, now: float, jitter: float) -> Actions:
        """A dial succeeded. ``jitter`` (0 to 1) decides when the connection falls due."""
        self._opened += 1
        if conn_id not in self._dialing:
            return self._closing([(conn_id, "closed" if self.closed else "retired")])
        self._backoff = Backoff()
        self._unpair(conn_id)
        conn = IdleConn(id=conn_id, idle_since=now, opened_at=now, jitter=jitter)
        return self._free(conn_id, conn, now, new=True)

    def dial_failed(self, conn_id: int, now: float, jitter: float) -> Actions:
        """A dial failed; whoever waited for it fails with its error."""
        if conn_id not in self._dialing:
            return NOTHING
        self._backoff = self._backoff.failed(now, jitter)
        waiter = self._unpair(conn_id)
        if waiter is None:
            return Actions(dial=self._supply())
        del self._waiting[waiter]
        return Actions(dial=self._supply(), fail=(waiter,))

    # -- what happens to ready ones --

    def lost(self, conn_id: int, now: float) -> Actions:
        """The peer closed a connection while it was ready."""
        conn = self._ready.pop(conn_id, None)
        if conn is None:
            return NOTHING
        self.cutoff.observe_close(now - conn.idle_since)
        return self._closing([(conn_id, "lost")], dial=self._supply())

    def give_way(self) -> int | None:
        """End the ready connection that was used longest ago: a call wants its place."""
        conn = next(iter(self._ready), None)
        if conn is not None:
            del self._ready[conn]
            self._closed_by["surplus"] += 1
        return conn

    def keep(self, now: float) -> tuple[Actions, float | None]:
        """Let the keeper decide; also says when to ask again."""
        if self.closed:
            return NOTHING, None
        coming = len(self.coming())
        decided = keeper.plan(
            now,
            tuple(self._ready.values()),
            leased=len(self._leased) + len(self._dialing) - coming,
            returning=self.returning(),
            dialing=coming,
            minimum=self.minimum,
            max_idle=self._max_idle,
            max_connections=self.max_connections,
            cutoff=self.cutoff.seconds,
            max_age=self._max_age,
            backoff=self._backoff,
        )
        close = [(c, self._stale_cause(self._ready.pop(c), now)) for c in decided.close]
        dial = tuple(self._start_dial() for _ in range(decided.dial))
        return self._closing(close, dial=self._supply() + dial), decided.wake_at

    # -- all of it --

    def resize(self, max_connections: int) -> Actions:
        """Change the bound; what is open beyond it ages out."""
        self.max_connections = max_connections
        return Actions(dial=self._supply())

    def retire(self) -> Actions:
        """Start a new generation (the key was rotated)."""
        self.generation += 1
        return self._end("retired", dial=True)

    def close(self) -> Actions:
        """End everything but the leases. Waiters fail."""
        self.closed = True
        waiters = tuple(self._waiting)
        self._waiting.clear()
        return replace(self._end("closed", dial=False), fail=waiters)

    def drop_leases(self) -> Actions:
        """End the leases too."""
        leased: list[tuple[int, Cause]] = [(conn_id, "closed") for conn_id in self._leased]
        self._leased.clear()
        return self._closing(leased)

    # -- inside --

    def _end(self, cause: Cause, *, dial: bool) -> Actions:
        ready: list[tuple[int, Cause]] = [(conn_id, cause) for conn_id in self._ready]
        dials = tuple(self._dialing)
        self._ready.clear()
        self._dialing.clear()
        for waiter in self._waiting:
            self._waiting[waiter] = None
        return self._closing(ready, cancel=dials, dial=self._supply() if dial else ())

    def _start_dial(self) -> int:
        self._ids += 1
        self._dialing[self._ids] = None
        return self._ids

    def _supply(self) -> tuple[int, ...]:
        """Pair waiters that have no dial with dials that nobody waits for, then with new ones."""
        needy = deque(w for w, dial in self._waiting.items() if dial is None)
        for dial, waiter in self._dialing.items():
            if not needy:
                return ()
            if waiter is None:
                self._pair(needy.popleft(), dial)
        started = []
        for waiter in list(needy)[: max(0, self._room())]:
            dial = self._start_dial()
            self._pair(waiter, dial)
            started.append(dial)
        return tuple(started)

    def _pair(self, waiter: int, dial: int) -> None:
        self._waiting[waiter] = dial
        self._dialing[dial] = waiter

    def _unpair(self, dial: int) -> int | None:
        """Take a dial that ended out; its waiter, if any, is left without one."""
        waiter = self._dialing.pop(dial)
        if waiter is not None:
            self._waiting[waiter] = None
        return waiter

    def _free(self, conn_id: int, conn: IdleConn, now: float, *, new: bool = False) -> Actions:
        """A usable connection is free: to the first waiter, or ready."""
        if not self._waiting:
            self._ready[conn_id] = conn
            return NOTHING
        waiter = next(iter(self._waiting))
        dial = self._waiting.pop(waiter)
        if dial is not None:
            self._dialing[dial] = None
        self._lend(conn_id, conn, now, new=new)
        return Actions(hand=((waiter, conn_id),), dial=self._supply())

    def _lend(self, conn_id: int, conn: IdleConn, now: float, *, new: bool = False) -> None:
        self._reused += not new
        idle_s = max(0.0, now - conn.idle_since)
        self._leased[conn_id] = Held(conn=conn, generation=self.generation, idle_s=idle_s, new=new)

    def _drop(self, conn_id: int, cause: Cause) -> Actions:
        del self._leased[conn_id]
        return self._closing([(conn_id, cause)], dial=self._supply())

    def _stale_cause(self, conn: IdleConn, now: float) -> Cause:
        cutoff = self.cutoff.seconds
        if now < conn.due_at(cutoff, self._max_age):
            return "surplus"
        return "expired" if now >= conn.due_at(cutoff, None) else "aged"

    def _closing(
        self,
        close: list[tuple[int, Cause]],
        *,
        cancel: tuple[int, ...] = (),
        dial: tuple[int, ...] = (),
        hand: tuple[tuple[int, int], ...] = (),
    ) -> Actions:
        for _, cause in close:
            self._closed_by[cause] += 1
        return Actions(close=tuple(close), cancel=cancel, dial=dial, hand=hand)
