"""The pool's decisions, rule by rule, without a loop."""

from __future__ import annotations

from voicekit.transport.config import PoolConfig
from voicekit.transport.cutoff import IdleCutoff
from voicekit.transport.pool_state import NOTHING, Actions, PoolState

T = 1000.0


def state(*, minimum: int = 0, one_use: bool = False, max_age: float | None = None, **sizes):
    cutoff = IdleCutoff(100.0, 100.0)
    pool = PoolState(PoolConfig(**sizes), cutoff, one_use=one_use, max_age=max_age)
    pool.minimum = minimum
    return pool


def always(_: int) -> bool:
    return True


def take(pool: PoolState, waiter: int, at: float = T) -> Actions:
    return pool.checkout(waiter, at, always)


def fill(pool: PoolState, count: int, at: float = T) -> tuple[int, ...]:
    """Open ``count`` ready connections."""
    dials = pool.dial_more(count).dial
    for dial in dials:
        assert pool.dialed(dial, at, 0.0) == NOTHING
    return dials


# -- rule 1: checkout --------------------------------------------------------------


def test_the_newest_ready_one_is_taken():
    """Spare ones age out."""
    pool = state()
    old, new = fill(pool, 2)
    assert take(pool, 1).hand == ((1, new),)
    assert take(pool, 2).hand == ((2, old),)
    assert pool.stats().reused == 2


def test_unusable_and_expired_ones_are_closed_on_the_way():
    """What is handed out is alive, as far as anybody can tell."""
    pool = state()
    (expired,) = fill(pool, 1, T - 100.0)
    good, dead = fill(pool, 2, T - 10.0)
    actions = pool.checkout(1, T, lambda conn: conn != dead)
    assert pool.stats().idle_cutoff == 8.0
    assert actions.close == ((dead, "dead"),)
    assert actions.hand == ((1, good),)
    actions = take(pool, 2)
    assert actions.close == ((expired, "expired"),)
    assert actions.hand == ()
    assert len(actions.dial) == 1


def test_a_dead_one_teaches_the_cutoff():
    """It was closed while it was idle, even though nobody saw it."""
    pool = state()
    fill(pool, 1, T - 50.0)
    pool.checkout(1, T, lambda _: False)
    assert pool.stats().idle_cutoff == 40.0


# -- rules 2 and 3: waiting ---------------------------------------------------------


def test_each_waiter_gets_a_dial_of_its_own_while_there_is_room():
    """Nobody queues behind another's handshake."""
    pool = state(max_connections=2)
    assert len(take(pool, 1).dial) == 1
    assert len(take(pool, 2).dial) == 1
    assert take(pool, 3) == NOTHING
    assert [pool.waits_for_place(w) for w in (1, 2, 3)] == [False, False, True]
    assert pool.waiting == (1, 2, 3)


def test_a_dial_nobody_waits_for_is_taken_over():
    """Warm-up and checkout share a dial, the oldest first."""
    pool = state()
    first, second = pool.dial_more(2).dial
    assert take(pool, 1) == NOTHING
    assert pool.waited_for(first)
    assert not pool.waited_for(second)


def test_the_first_dial_to_arrive_goes_to_the_first_waiter():
    """And the other waiter inherits the slower dial."""
    pool = state()
    (slow,) = take(pool, 1).dial
    (quick,) = take(pool, 2).dial
    assert pool.dialed(quick, T, 0.0) == Actions(hand=((1, quick),))
    assert pool.held(quick).new
    assert pool.waited_for(slow)
    assert pool.dialed(slow, T, 0.0) == Actions(hand=((2, slow),))
    assert pool.stats().reused == 0


def test_a_returned_one_goes_to_the_first_waiter_and_frees_its_dial():
    """The dial serves the next one without a place; here it starts in the free place."""
    pool = state(max_connections=2)
    (held,) = fill(pool, 1)
    take(pool, 1)
    (dial,) = take(pool, 2).dial
    take(pool, 3)
    assert pool.waits_for_place(3)
    actions = pool.give_back(held, T, reusable=True)
    assert actions == Actions(hand=((2, held),))
    assert not pool.waits_for_place(3)
    assert pool.dialed(dial, T, 0.0).hand == ((3, dial),)


def test_a_place_that_becomes_free_is_dialled_for_the_first_who_waits_for_it():
    """A broken socket makes room."""
    pool = state(max_connections=1)
    (held,) = fill(pool, 1)
    take(pool, 1)
    take(pool, 2)
    actions = pool.give_back(held, T, reusable=False)
    assert actions.close == ((held, "broken"),)
    assert len(actions.dial) == 1
    assert not pool.waits_for_place(2)


# -- rule 4: failures ----------------------------------------------------------------


def test_a_failed_dial_fails_its_waiter_alone():
    """And its place is dialled for the next one."""
    pool = state(max_connections=1)
    (dial,) = take(pool, 1).dial
    take(pool, 2)
    actions = pool.dial_failed(dial, T, 0.0)
    assert actions.fail == (1,)
    assert len(actions.dial) == 1
    assert pool.waiting == (2,)


def test_a_failed_warm_up_dial_fails_nobody_and_holds_the_keeper_back():
    """An outage is not met with a storm."""
    pool = state(minimum=1)
    (dial,) = pool.dial_more(1).dial
    assert pool.dial_failed(dial, T, 0.0) == NOTHING
    actions, wake_at = pool.keep(T)
    assert (actions, wake_at) == (NOTHING, T + 0.5)
    assert len(pool.keep(T + 0.5)[0].dial) == 1


def test_a_success_ends_the_patience():
    """After one success the rest is dialled at once."""
    pool = state(minimum=3)
    for dial in pool.dial_more(3).dial:
        pool.dial_failed(dial, T, 0.0)
    (probe,) = pool.keep(T + 0.5)[0].dial
    pool.dialed(probe, T + 0.6, 0.0)
    assert len(pool.keep(T + 0.6)[0].dial) == 2


def test_a_failure_of_a_forgotten_dial_changes_nothing():
    """A dial given up at retirement may fail later."""
    pool = state()
    (dial,) = pool.dial_more(1).dial
    pool.retire()
    assert pool.dial_failed(dial, T, 0.0) == NOTHING


# -- rule 5: leaving -----------------------------------------------------------------


def test_a_leaving_waiters_dial_becomes_ready():
    """Cancellation takes no socket away."""
    pool = state()
    (dial,) = take(pool, 1).dial
    assert pool.leave(1) == NOTHING
    assert pool.dialed(dial, T, 0.0) == NOTHING
    assert pool.ready == (dial,)
    assert pool.leave(1) == NOTHING


def test_a_leaving_waiters_dial_goes_to_the_next():
    """Who had no place has one now."""
    pool = state(max_connections=1)
    (dial,) = take(pool, 1).dial
    take(pool, 2)
    pool.leave(1)
    assert not pool.waits_for_place(2)
    assert pool.dialed(dial, T, 0.0).hand == ((2, dial),)


def test_a_handed_one_that_nobody_took_is_put_back_as_it_was():
    """The taker was cancelled in the tick between: not a reuse, not a use."""
    pool = state()
    (conn,) = fill(pool, 1)
    take(pool, 1, T + 10.0)
    assert pool.put_back(conn, T + 10.0) == NOTHING
    assert pool.stats().reused == 0
    take(pool, 2, T + 20.0)
    assert pool.held(conn).idle_s == 20.0
    assert pool.put_back(99, T) == NOTHING


def test_a_one_use_connection_that_nobody_took_is_still_good():
    """Only a lease uses it up."""
    pool = state(one_use=True)
    (conn,) = fill(pool, 1)
    take(pool, 1)
    assert pool.put_back(conn, T) == NOTHING
    assert pool.ready == (conn,)


def test_a_retired_one_that_is_put_back_makes_room():
    """Who waited for a place has one now."""
    pool = state(max_connections=1)
    (one,) = fill(pool, 1)
    take(pool, 1)
    take(pool, 2)
    pool.retire()
    actions = pool.put_back(one, T)
    assert actions.close == ((one, "retired"),)
    assert len(actions.dial) == 1
    assert not pool.waits_for_place(2)


def test_what_is_put_back_after_the_end_is_closed():
    """Of the old generation, or of a closed pool."""
    pool = state()
    first, second = fill(pool, 2)
    take(pool, 1)
    take(pool, 2)
    pool.retire()
    assert pool.put_back(second, T).close == ((second, "retired"),)
    pool.close()
    assert pool.put_back(first, T).close == ((first, "closed"),)


# -- rule 6: generations, and the end -------------------------------------------------


def test_retire_ends_ready_ones_now_and_leased_ones_at_return():
    """Nothing of the old key is lent again."""
    pool = state(minimum=2)
    leased_one, ready = fill(pool, 2)[::-1]
    take(pool, 1)
    (dial,) = pool.dial_more(1).dial
    actions = pool.retire()
    assert actions == Actions(close=((ready, "retired"),), cancel=(dial,))
    assert len(pool.keep(T)[0].dial) == 2, "a lease of the old generation does not come back"
    assert pool.give_back(leased_one, T, reusable=True).close == ((leased_one, "retired"),)
    assert pool.dialed(dial, T, 0.0).close == ((dial, "retired"),)


def test_retire_dials_again_for_those_who_wait():
    """They get a socket of the new key."""
    pool = state()
    (old,) = take(pool, 1).dial
    actions = pool.retire()
    assert actions.cancel == (old,)
    (new,) = actions.dial
    assert new != old
    assert pool.dialed(new, T, 0.0).hand == ((1, new),)


def test_close_ends_all_but_leases():
    """Then the leases too, when the drain is over."""
    pool = state(max_connections=3, minimum=3)
    (one,) = fill(pool, 1)
    take(pool, 1)
    take(pool, 2)
    take(pool, 3)
    take(pool, 4)
    actions = pool.close()
    assert actions.fail == (2, 3, 4)
    assert len(actions.cancel) == 2
    assert pool.waiting == pool.dialing == ()
    assert pool.keep(T) == (NOTHING, None)
    assert pool.dial_more(3) == NOTHING
    assert pool.drop_leases().close == ((one, "closed"),)
    assert pool.stats().closed == {"closed": 1}
    assert pool.give_back(one, T, reusable=True) == NOTHING


def test_what_comes_back_during_the_drain_is_closed():
    """With a reason of its own in the books."""
    pool = state()
    (one,) = fill(pool, 1)
    take(pool, 1)
    pool.close()
    assert pool.give_back(one, T, reusable=True).close == ((one, "closed"),)


def test_a_dial_that_ends_after_the_close_is_closed():
    """It is counted all the same: closed and open together are opened."""
    pool = state()
    (dial,) = pool.dial_more(1).dial
    pool.close()
    assert pool.dialed(dial, T, 0.0).close == ((dial, "closed"),)
    stats = pool.stats()
    assert (stats.opened, stats.closed) == (1, {"closed": 1})


# -- coming back ----------------------------------------------------------------------


def test_what_comes_back_too_old_is_closed():
    """Its lease outlived it."""
    pool = state(max_age=50.0)
    (one,) = fill(pool, 1)
    take(pool, 1)
    assert pool.give_back(one, T + 50.0, reusable=True).close == ((one, "aged"),)


def test_idleness_may_have_begun_before_the_return():
    """A provider counts from the last message it got, not from our release."""
    pool = state()
    (one,) = fill(pool, 1)
    take(pool, 1)
    assert pool.give_back(one, T, reusable=True, idle_s=100.0).close == ((one, "expired"),)
    (two,) = fill(pool, 1)
    take(pool, 2)
    assert pool.give_back(two, T, reusable=True, idle_s=30.0) == NOTHING
    assert pool.keep(T)[1] == T + 45.0


def test_a_reuse_that_went_well_teaches_the_cutoff():
    """Only a lease that came back healthy is a survival."""
    cutoff = IdleCutoff(50.0, 120.0)
    pool = PoolState(PoolConfig(), cutoff)
    (one,) = fill(pool, 1)
    take(pool, 1, T + 45.0)
    assert cutoff.seconds == 50.0
    pool.give_back(one, T + 46.0, reusable=True)
    assert cutoff.seconds > 50.0


def test_a_broken_reuse_teaches_nothing():
    """It may have broken for any reason."""
    cutoff = IdleCutoff(50.0, 120.0)
    pool = PoolState(PoolConfig(), cutoff)
    (one,) = fill(pool, 1)
    take(pool, 1, T + 45.0)
    pool.give_back(one, T + 46.0, reusable=False)
    assert cutoff.seconds == 50.0


def test_events_of_unknown_connections_change_nothing():
    """Late news of what is gone already."""
    pool = state()
    assert pool.give_back(7, T, reusable=True) == NOTHING
    assert pool.lost(7, T) == NOTHING
    assert pool.leak(7) == NOTHING


def test_a_leaked_lease_gives_its_place_back():
    """To the first who waits."""
    pool = state(max_connections=1)
    (one,) = fill(pool, 1)
    take(pool, 1)
    take(pool, 2)
    actions = pool.leak(one)
    assert actions.close == ((one, "leaked"),)
    assert len(actions.dial) == 1


# -- keeping ----------------------------------------------------------------------------


def test_the_keeper_replaces_before_the_cutoff():
    """Dial first, close then."""
    pool = state(minimum=1)
    (old,) = fill(pool, 1)
    assert pool.keep(T) == (NOTHING, T + 75.0)
    (new,) = pool.keep(T + 75.0)[0].dial
    assert pool.keep(T + 75.0)[0] == NOTHING
    pool.dialed(new, T + 76.0, 0.0)
    assert pool.keep(T + 76.0)[0].close == ((old, "expired"),)


def test_the_cause_of_an_aged_one_is_its_age():
    """So that the books tell a provider's idle limit from its session limit."""
    pool = state(max_age=50.0)
    (one,) = fill(pool, 1)
    assert pool.keep(T + 38.0)[0].close == ((one, "aged"),)


def test_the_cause_of_too_many_is_surplus():
    """Not their age."""
    pool = state(max_idle=1)
    one, two = fill(pool, 2)
    closed = pool.keep(T)[0].close
    assert closed in (((one, "surplus"),), ((two, "surplus"),))


def test_one_use_leases_are_replaced_at_once():
    """Those in use and those promised to a waiter do not count as warm."""
    pool = state(minimum=1, one_use=True)
    (first,) = fill(pool, 1)
    take(pool, 1)
    (spare,) = pool.keep(T)[0].dial
    assert pool.coming() == (spare,)
    take(pool, 2)
    assert pool.coming() == ()
    assert len(pool.keep(T)[0].dial) == 1
    assert pool.give_back(first, T, reusable=True).close == ((first, "used"),)


def test_a_loss_makes_room_and_teaches():
    """The peer's idle limit shows while nobody is hurt."""
    pool = state(minimum=1)
    (one,) = fill(pool, 1)
    assert pool.lost(one, T + 50.0).close == ((one, "lost"),)
    assert pool.stats().idle_cutoff == 40.0
    assert len(pool.keep(T + 50.0)[0].dial) == 1


def test_a_larger_bound_serves_those_who_wait():
    """The provider's header said so."""
    pool = state(max_connections=1)
    take(pool, 1)
    take(pool, 2)
    take(pool, 3)
    assert len(pool.resize(3).dial) == 2
    assert pool.resize(1) == NOTHING
    assert pool.dial_more(1) == NOTHING
