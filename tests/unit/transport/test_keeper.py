"""The keeper's plan, rule by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.transport.keeper import BACKOFF_MOST, Backoff, IdleConn, Plan, plan

NOW = 1000.0


def conn(number: int, idle: float = 0.0, age: float | None = None, jitter: float = 0.0) -> IdleConn:
    age = idle if age is None else age
    return IdleConn(id=number, idle_since=NOW - idle, opened_at=NOW - age, jitter=jitter)


def decide(*idle: IdleConn, now: float = NOW, **facts) -> Plan:
    settings = {
        "leased": 0,
        "returning": 0,
        "dialing": 0,
        "minimum": 2,
        "max_idle": 10,
        "max_connections": 20,
        "cutoff": 100.0,
    }
    return plan(now, idle, **{**settings, **facts})


def test_dials_what_is_missing():
    """An empty pool is filled to its minimum."""
    assert decide().dial == 2
    assert decide(conn(1)).dial == 1
    assert decide(conn(1), conn(2)).dial == 0


def test_dials_under_way_count():
    """Asked again while it dials, it does not dial again."""
    assert decide(dialing=2).dial == 0
    assert decide(conn(1), dialing=1).dial == 0


def test_a_lease_that_comes_back_starts_no_dial():
    """A handshake during a caller's turn is noise."""
    assert decide(leased=2, returning=2).dial == 0


def test_a_lease_that_does_not_come_back_is_replaced():
    """One-use, taken over or retired: the minimum is short already."""
    assert decide(leased=2, returning=0).dial == 2
    assert decide(conn(1), leased=2, returning=1).dial == 0
    assert decide(leased=2, returning=1).dial == 1


def test_a_spare_is_kept_beyond_the_leases():
    """For those who want the next caller warm too."""
    assert decide(leased=2, returning=2, spare=True).dial == 1
    assert decide(conn(1), leased=2, returning=2, spare=True).dial == 0
    assert decide(leased=2, returning=2, dialing=1, spare=True).dial == 0
    assert decide(minimum=0, spare=True).dial == 0


def test_never_beyond_max_connections():
    """The bound is on everything together."""
    assert decide(leased=3, minimum=3, max_connections=4).dial == 1
    assert decide(leased=4, minimum=3, max_connections=4).dial == 0
    assert decide(minimum=9, max_connections=4).dial == 4
    assert decide(leased=9, max_connections=4).dial == 0


def test_the_due_point_is_jittered_from_three_quarters_to_nineteen_twentieths():
    """Connections dialled together are not replaced together."""
    assert conn(1, jitter=0.0).due_at(100.0, None) == pytest.approx(NOW + 75.0)
    assert conn(1, jitter=1.0).due_at(100.0, None) == pytest.approx(NOW + 95.0)


def test_a_needed_one_is_replaced_before_it_is_closed():
    """There is no moment with less than the minimum."""
    old = conn(1, idle=80.0)
    first = decide(old, conn(2))
    assert (first.dial, first.close) == (1, ())
    assert first.wake_at == pytest.approx(NOW + 20.0)
    dialing = decide(old, conn(2), dialing=1)
    assert (dialing.dial, dialing.close) == (0, ())
    arrived = decide(old, conn(2), conn(3))
    assert (arrived.dial, arrived.close) == (0, (1,))


def test_at_the_cutoff_it_goes_even_if_nothing_replaced_it():
    """A connection that the peer has closed is worth nothing."""
    late = decide(conn(1, idle=100.0), conn(2), dialing=1)
    assert (late.dial, late.close) == (0, (1,))


def test_an_unneeded_one_is_just_closed():
    """Spare connections age out."""
    surplus = decide(conn(1, idle=80.0), conn(2), conn(3))
    assert (surplus.dial, surplus.close) == (0, (1,))
    leased = decide(conn(1, idle=80.0), leased=2, returning=2)
    assert (leased.dial, leased.close) == (0, (1,))


def test_where_there_is_no_room_for_both_the_old_one_goes_first():
    """At max_connections a replacement needs the place of the replaced."""
    full = decide(conn(1, idle=80.0), conn(2), max_connections=2)
    assert (full.dial, full.close) == (1, (1,))


def test_a_lease_in_the_way_makes_no_difference_to_the_bound():
    """The trade frees exactly as many places as it needs."""
    full = decide(conn(1, idle=80.0), conn(2, idle=90.0), leased=1, max_connections=3)
    assert (full.dial, full.close) == (2, (1, 2))


def test_maximal_age_counts_like_idleness():
    """A provider that ends old connections does not surprise a caller."""
    used_lately = conn(1, idle=1.0, age=80.0)
    assert decide(used_lately, max_age=100.0).dial == 2
    assert decide(conn(1, idle=1.0, age=100.0), max_age=100.0).close == (1,)
    assert decide(used_lately, conn(2), max_age=1000.0).close == ()


def test_too_many_idle_ones_are_closed_oldest_first():
    """max_idle bounds what a burst leaves behind."""
    idle = [conn(n, idle=float(n)) for n in range(1, 6)]
    assert decide(*idle, max_idle=3).close == (4, 5)


def test_the_minimum_outranks_max_idle():
    """Contradicting sizes do not make it dial and close for ever."""
    idle = [conn(n) for n in range(1, 4)]
    assert decide(*idle, minimum=3, max_idle=1) == decide(*idle, minimum=3, max_idle=10)


def test_without_a_minimum_it_only_expires():
    """Nobody asked for warm connections: none is dialled."""
    assert decide(minimum=0) == Plan()
    expiring = decide(conn(1, idle=80.0), conn(2), minimum=0)
    assert (expiring.dial, expiring.close) == (0, (1,))
    assert expiring.wake_at == pytest.approx(NOW + 75.0)


def test_it_wakes_for_the_next_decision():
    """One timer is enough."""
    assert decide(conn(1, idle=10.0), conn(2)).wake_at == pytest.approx(NOW + 65.0)
    assert decide().wake_at is None


def test_a_failed_dial_is_not_repeated_at_once():
    """An outage is not met with a storm of dials."""
    failed = Backoff().failed(NOW, 0.0)
    held = decide(backoff=failed)
    assert (held.dial, held.wake_at) == (0, NOW + 0.5)
    assert decide(now=NOW + 0.5, backoff=failed).dial == 1
    assert decide(now=NOW + 0.5, backoff=failed, dialing=1).dial == 0
    assert decide(now=NOW + 0.5, backoff=Backoff()).dial == 2


def test_no_warm_connection_is_traded_while_dials_fail():
    """The old one may still serve a caller until its cut-off."""
    failed = Backoff().failed(NOW, 0.0)
    held = decide(conn(1, idle=80.0), conn(2), max_connections=2, backoff=failed)
    assert (held.dial, held.close) == (0, ())


def test_the_wait_doubles_up_to_half_a_minute():
    """0.5, 1, 2 … 30 s, and a burst counts once."""
    state, waits, now = Backoff(), [], NOW
    for _ in range(12):
        state = state.failed(now, 0.0)
        assert state.failed(now, 0.5) is state
        waits.append(state.until - now)
        now = state.until
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == BACKOFF_MOST


def test_the_wait_is_jittered():
    """Many processes do not knock together."""
    assert Backoff().failed(NOW, 1.0).until == pytest.approx(NOW + 0.25)


@st.composite
def situations(draw):
    max_connections = draw(st.integers(1, 8))
    leased = draw(st.integers(0, max_connections))
    dialing = draw(st.integers(0, max_connections - leased))
    count = draw(st.integers(0, max_connections - leased - dialing))
    idle = [
        conn(
            n,
            idle=draw(st.floats(0, 120)),
            age=draw(st.floats(0, 400)),
            jitter=draw(st.floats(0, 1)),
        )
        for n in range(count)
    ]
    facts = {
        "leased": leased,
        "returning": draw(st.integers(0, leased)),
        "dialing": dialing,
        "minimum": draw(st.integers(0, 10)),
        "max_idle": draw(st.integers(0, 10)),
        "max_connections": max_connections,
        "max_age": draw(st.sampled_from([None, 300.0])),
        "spare": draw(st.booleans()),
        "backoff": draw(st.sampled_from([None, Backoff(), Backoff(failures=2, until=NOW + 3)])),
    }
    return idle, facts


@given(situations())
def test_every_plan_keeps_the_bounds(situation):
    """Never above max_connections, never a past wake-up, no dial without a minimum."""
    idle, facts = situation
    decided = decide(*idle, **facts)
    assert decided == decide(*reversed(idle), **facts)
    assert len(set(decided.close)) == len(decided.close)
    left = [c for c in idle if c.id not in decided.close]
    total = len(left) + facts["leased"] + facts["dialing"] + decided.dial
    assert total <= facts["max_connections"]
    assert decided.wake_at is None or decided.wake_at > NOW
    assert all(c.dead_at(100.0, facts["max_age"]) > NOW for c in left)
    if not facts["minimum"]:
        assert decided.dial == 0
    if decided.wake_at is None:
        assert not left


@given(situations())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(situation):
    """Planning again right away, with the dials under way, changes nothing."""
    idle, facts = situation
    decided = decide(*idle, **facts)
    left = [c for c in idle if c.id not in decided.close]
    again = decide(*left, **{**facts, "dialing": facts["dialing"] + decided.dial})
    assert (again.dial, again.close) == (0, ())
