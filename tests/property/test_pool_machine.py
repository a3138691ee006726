"""The socket pool's state machine under every order of events that Hypothesis can think of."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from voicekit.transport.config import PoolConfig
from voicekit.transport.cutoff import IdleCutoff
from voicekit.transport.pool_state import Actions, PoolState


class PoolMachine(RuleBasedStateMachine):
    """Plays the shell: does what it is told, and keeps books of its own to compare."""

    waiters = Bundle("waiters")

    @initialize(
        max_connections=st.integers(1, 4),
        max_idle=st.integers(0, 4),
        minimum=st.integers(0, 5),
        one_use=st.booleans(),
        max_age=st.sampled_from([None, 200.0]),
    )
    def start(self, max_connections, max_idle, minimum, one_use, max_age):
        config = PoolConfig(max_connections=max_connections, max_idle=max_idle)
        cutoff = IdleCutoff(100.0, 100.0)
        self.pool = PoolState(config, cutoff, one_use=one_use, max_age=max_age)
        self.pool.minimum = minimum
        self.most = max_connections
        self.one_use = one_use
        self.now = 1000.0
        self.last_waiter = 0
        self.dialing: set[int] = set()
        self.given_up: set[int] = set()
        self.open: set[int] = set()
        self.dead: set[int] = set()
        self.holders: dict[int, int] = {}
        self.waiting: list[int] = []
        self.opened = 0
        self.closed = 0

    def do(self, actions: Actions, failing: int | None = None) -> None:
        for conn, _ in actions.close:
            self.open.remove(conn)
            self.holders.pop(conn, None)
            self.closed += 1
        for dial in actions.cancel:
            self.dialing.remove(dial)
            self.given_up.add(dial)
        for dial in actions.dial:
            assert dial not in self.dialing | self.open | self.given_up
            self.dialing.add(dial)
        for waiter, conn in actions.hand:
            assert waiter == self.waiting[0], "first come, first served"
            self.waiting.pop(0)
            assert conn in self.open
            assert conn not in self.holders, "two callers on one socket"
            self.holders[conn] = waiter
        for waiter in actions.fail:
            self.waiting.remove(waiter)
        assert len(actions.fail) <= 1 or self.pool.closed
        assert not actions.fail or failing is not None or self.pool.closed

    # -- events ------------------------------------------------------------------

    @rule(target=waiters)
    @precondition(lambda self: not self.pool.closed)
    def ask(self):
        self.last_waiter += 1
        self.waiting.append(self.last_waiter)
        alive = self.open - self.dead
        had_ready = any(
            c in alive and self.now < self.pool._ready[c].dead_at(
                self.pool.cutoff.seconds, self.pool._max_age
            )
            for c in self.pool.ready
        )  # fmt: skip
        actions = self.pool.checkout(self.last_waiter, self.now, alive.__contains__)
        assert bool(actions.hand) == had_ready
        for _, conn in actions.hand:
            assert conn in alive
        self.do(actions)
        return self.last_waiter

    @rule(waiter=consumes(waiters))
    def leave(self, waiter):
        if waiter in self.waiting:
            before = self.open | self.dialing
            self.waiting.remove(waiter)
            self.do(self.pool.leave(waiter))
            assert before <= self.open | self.dialing, "a leaving waiter took something away"

    @rule(data=st.data(), jitter=st.floats(0, 1))
    @precondition(lambda self: self.dialing)
    def dial_arrives(self, data, jitter):
        dial = data.draw(st.sampled_from(sorted(self.dialing)))
        self.dialing.remove(dial)
        self.opened += 1
        self.open.add(dial)
        served = self.waiting[:1]
        self.do(self.pool.dialed(dial, self.now, jitter))
        assert dial in self.open
        assert not served or self.holders.get(dial) == served[0]

    @rule(data=st.data(), jitter=st.floats(0, 1))
    @precondition(lambda self: self.dialing)
    def dial_fails(self, data, jitter):
        dial = data.draw(st.sampled_from(sorted(self.dialing)))
        waited_for = self.pool.waited_for(dial)
        self.dialing.remove(dial)
        actions = self.pool.dial_failed(dial, self.now, jitter)
        assert len(actions.fail) == waited_for
        self.do(actions, failing=dial)

    @rule(data=st.data(), succeeds=st.booleans())
    @precondition(lambda self: self.given_up)
    def cancelled_dial_ends(self, data, succeeds):
        dial = data.draw(st.sampled_from(sorted(self.given_up)))
        self.given_up.remove(dial)
        if succeeds:
            self.opened += 1
            self.open.add(dial)
            self.do(self.pool.dialed(dial, self.now, 0.5))
            assert dial not in self.open
        else:
            self.do(self.pool.dial_failed(dial, self.now, 0.5))

    @rule(data=st.data(), reusable=st.booleans(), idle_s=st.sampled_from([0.0, 30.0, 100.0]))
    @precondition(lambda self: self.holders)
    def give_back(self, data, reusable, idle_s):
        conn = data.draw(st.sampled_from(sorted(self.holders)))
        del self.holders[conn]
        reusable = reusable and conn not in self.dead
        self.do(self.pool.give_back(conn, self.now, reusable=reusable, idle_s=idle_s))
        if not reusable or self.one_use:
            assert conn not in self.open

    @rule(data=st.data())
    @precondition(lambda self: self.holders)
    def taker_was_gone(self, data):
        conn = data.draw(st.sampled_from(sorted(self.holders)))
        current = self.pool.held(conn).generation == self.pool.generation
        del self.holders[conn]
        self.do(self.pool.put_back(conn, self.now))
        assert (conn in self.open) == (current and not self.pool.closed)

    @rule(data=st.data())
    @precondition(lambda self: self.holders)
    def lease_is_collected(self, data):
        conn = data.draw(st.sampled_from(sorted(self.holders)))
        del self.holders[conn]
        self.do(self.pool.leak(conn))
        assert conn not in self.open

    @rule(data=st.data(), noticed=st.booleans())
    @precondition(lambda self: self.open)
    def peer_closes(self, data, noticed):
        conn = data.draw(st.sampled_from(sorted(self.open)))
        self.dead.add(conn)
        if noticed:
            self.do(self.pool.lost(conn, self.now))
            assert conn not in self.pool.ready

    @rule(count=st.integers(-1, 5))
    def warm(self, count):
        self.do(self.pool.dial_more(count))

    @rule(seconds=st.sampled_from([0.01, 1.0, 20.0, 76.0, 100.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def keep(self):
        actions, wake_at = self.pool.keep(self.now)
        assert wake_at is None or wake_at > self.now
        self.do(actions)
        again, _ = self.pool.keep(self.now)
        assert again == Actions(), "planning again changes nothing"

    @rule(max_connections=st.integers(1, 5))
    def resize(self, max_connections):
        self.most = max(self.most, max_connections)
        self.do(self.pool.resize(max_connections))

    @rule()
    def retire(self):
        self.do(self.pool.retire())
        assert not self.pool.ready

    @rule()
    @precondition(lambda self: self.last_waiter > 5 and not self.pool.closed)
    def close(self):
        self.do(self.pool.close())
        assert not self.waiting
        assert not self.dialing

    @rule(target=waiters)
    @precondition(lambda self: self.pool.closed)
    def drop_leases(self):
        self.do(self.pool.drop_leases())
        assert not self.open
        return multiple()

    # -- what always holds ---------------------------------------------------------

    @invariant()
    def books_balance(self):
        if not hasattr(self, "pool"):
            return
        pool, stats = self.pool, self.pool.stats()
        ready, leased, dialing = set(pool.ready), set(pool.leased), set(pool.dialing)
        states = len(ready) + len(leased) + len(dialing)
        assert len(ready | leased | dialing) == states, "one state each"
        assert ready | leased == self.open
        assert leased == set(self.holders)
        assert dialing == self.dialing
        assert states <= self.most
        assert (stats.open, stats.ready, stats.leased) == (len(self.open), len(ready), len(leased))
        assert stats.opened == self.opened == self.closed + len(self.open)
        assert sum(stats.closed.values()) == self.closed
        assert list(pool.waiting) == self.waiting

    @invariant()
    def nobody_starves(self):
        if not hasattr(self, "pool") or not self.waiting:
            return
        pool = self.pool
        assert not pool.ready, "a waiter starves while a socket is ready"
        without = [pool.waits_for_place(w) for w in self.waiting]
        assert without == sorted(without), "the first in the queue have the dials"
        assert all(pool.waited_for(d) for d in pool.dialing) or not any(without)
        if any(without):
            taken = len(pool.leased) + len(pool.dialing)
            assert taken >= pool.max_connections, "a place is free and nobody dials for it"


PoolMachine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, derandomize=True
)
TestPoolMachine = PoolMachine.TestCase
