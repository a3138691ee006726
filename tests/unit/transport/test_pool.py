"""The socket pool's promises, on virtual time and fake sockets."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
from fake_sockets import FakeSocket, Provider, World

from voicekit.errors import ClosedError, ConnectError, PoolTimeout, WrongLoopError
from voicekit.tasks import Background
from voicekit.testing.clock import VIRTUAL
from voicekit.transport.config import PoolConfig
from voicekit.transport.pool import SocketPool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return VIRTUAL


async def settle(turns: int = 6) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def now() -> float:
    return asyncio.get_running_loop().time()


# -- leasing -------------------------------------------------------------------


async def test_a_cold_lease_dials_and_says_so():
    """The evidence of a cold start: not reused, and how long it took."""
    async with World() as world:
        lease = await world.pool.lease()
        assert (lease.reused, lease.waited, lease.connect_s) == (
            False,
            pytest.approx(0.1),
            pytest.approx(0.1),
        )
        assert world.provider.dials[0].waited_for
        lease.release()


async def test_a_warm_lease_takes_no_time_at_all():
    """With a ready socket the caller is not even suspended."""
    async with World() as world:
        await world.pool.warm(1)
        await asyncio.sleep(3.0)
        coroutine = world.pool.lease()
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        lease = stop.value.value
        assert (lease.reused, lease.waited, lease.connect_s) == (True, 0.0, 0.0)
        assert lease.age == pytest.approx(3.0)
        assert lease.connection.idle == pytest.approx(3.0)
        lease.release()


async def test_the_newest_ready_socket_is_taken():
    """Spare ones age out, and the one least likely to be stale is used."""
    async with World() as world:
        leases = [await world.pool.lease() for _ in range(3)]
        for lease in leases:
            lease.release()
        again = await world.pool.lease()
        assert again.socket is leases[2].socket
        again.release()


async def test_a_lease_is_alone_on_its_socket():
    """Two callers never share one."""
    async with World() as world:
        one, two = await asyncio.gather(world.pool.lease(), world.pool.lease())
        assert one.socket is not two.socket
        one.release()
        two.release()


async def test_a_dead_socket_is_never_lent():
    """A socket that the peer closed unnoticed is found out at checkout, off the caller's path."""
    async with World() as world:
        await world.pool.warm(2)
        newest = world.provider.sockets[-1]
        newest.vanish()
        lease = await world.pool.lease()
        assert lease.reused
        assert lease.socket is not newest
        assert not newest.aborted
        await settle()
        assert newest.aborted
        assert world.pool.stats().closed == {"dead": 1}
        lease.release()


async def test_an_expired_socket_is_never_lent():
    """Even when the timer was late, a socket past its cut-off is not handed out."""
    async with World(cutoff=100.0) as world:
        lease = await world.pool.lease()
        lease.release(idle_s=74.0)
        old = lease.socket
        # Nothing runs between: the loop was blocked.
        asyncio.get_running_loop()._jumping.now += 30.0
        again = await world.pool.lease()
        assert again.socket is not old
        assert not again.reused
        again.release()


async def test_a_lease_joins_a_dial_under_way():
    """Warm-up and checkout share a dial."""
    async with World() as world:
        world.pool.start_warming(1)
        await asyncio.sleep(0.06)
        lease = await world.pool.lease()
        assert lease.waited == lease.connect_s == pytest.approx(0.04)
        assert not lease.reused
        assert len(world.provider.dials) == 1
        lease.release()


async def test_a_returned_socket_serves_a_waiting_caller_before_its_dial():
    """Whatever comes first; the dial it no longer needs becomes ready."""
    async with World() as world:
        first = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await asyncio.sleep(0.02)
        first.release()
        second = await waiting
        assert second.reused
        assert second.socket is first.socket
        assert (second.waited, second.connect_s) == (pytest.approx(0.02), 0.0)
        await asyncio.sleep(1.0)
        assert world.pool.stats().ready == 1
        second.release()


async def test_callers_beyond_the_bound_queue_in_order():
    """First come, first served."""
    async with World(max_connections=1, max_wait=60.0) as world:
        order = []

        async def caller(name: int) -> None:
            lease = await world.pool.lease()
            order.append(name)
            await asyncio.sleep(1.0)
            lease.release()

        await asyncio.gather(*(caller(n) for n in range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert world.provider.most == 1


async def test_waiting_for_a_place_ends_in_pool_timeout():
    """A full pool is told from a slow provider, and nothing was sent."""
    async with World(max_connections=1, max_wait=1.0) as world:
        lease = await world.pool.lease()
        waiting: list[int] = []
        started = now()
        asyncio.get_running_loop().call_later(
            0.5, lambda: waiting.append(world.pool.stats().waiting)
        )
        with pytest.raises(PoolTimeout) as caught:
            await world.pool.lease()
        assert now() - started == pytest.approx(1.0)
        assert waiting == [1]
        assert world.pool.stats().waiting == 0
        assert (caught.value.limit, caught.value.outcome) == (1.0, "not_applied")
        with pytest.raises(PoolTimeout):
            await world.pool.lease(max_wait=0.0)
        lease.release()


async def test_a_caller_with_a_dial_is_not_timed_by_max_wait():
    """Dialling has its own limit; max_wait is for a place."""
    async with World(Provider(latency=5.0), max_wait=1.0) as world:
        lease = await world.pool.lease()
        assert lease.connect_s == pytest.approx(5.0)
        lease.release()


async def test_a_caller_cancelled_just_when_its_time_is_up():
    """Both at once is a cancellation, and leaves nobody in the queue."""
    async with World(max_connections=1, max_wait=1.0) as world:
        lease = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        asyncio.get_running_loop().call_at(now() + 1.0 - 1e-10, waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert world.pool._state.waiting == ()
        lease.release()


async def test_a_cancelled_caller_leaves_the_queue_at_once():
    """Not only when its turn comes."""
    async with World(max_connections=1, max_wait=60.0) as world:
        lease = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        waiting.cancel()
        await settle()
        assert world.pool._state.waiting == ()
        assert not world.pool._waiters
        lease.release()


async def test_a_caller_cancelled_just_when_its_dial_fails():
    """The error has no taker, and does no harm."""
    provider = Provider()
    refused = asyncio.get_running_loop().create_future()

    async def dial(facts):
        await refused

    provider.dial = dial
    async with World(provider) as world:
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        refused.set_exception(ConnectError("refused"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await settle()
        assert world.pool.stats().dialing == 0


async def test_a_place_that_became_free_in_time_is_not_timed_any_more():
    """A caller who got a place within max_wait waits for its dial."""
    async with World(Provider(latency=5.0), max_connections=1, max_wait=1.0) as world:
        lease = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await asyncio.sleep(0.5)
        lease.release(reusable=False)
        second = await waiting
        assert second.waited == pytest.approx(5.5)
        assert second.connect_s == pytest.approx(5.0)
        second.release()


async def test_a_dial_error_reaches_only_the_caller_who_waits_for_it():
    """One refused connection fails one caller."""
    async with World() as world:
        world.provider.fail_next = 1
        results = await asyncio.gather(
            *(world.pool.lease() for _ in range(3)), return_exceptions=True
        )
        assert [type(r).__name__ for r in results] == ["ConnectError", "Lease", "Lease"]
        for lease in results[1:]:
            lease.release()


async def test_a_failed_dial_gives_its_place_to_the_next_caller():
    """An outage does not strand those who wait for a place."""
    async with World(max_connections=1, max_wait=60.0) as world:
        world.provider.fail_next = 1
        results = await asyncio.gather(
            *(world.pool.lease() for _ in range(2)), return_exceptions=True
        )
        assert [type(r).__name__ for r in results] == ["ConnectError", "Lease"]
        results[1].release()


async def test_a_new_socket_that_hangs_up_at_once_is_not_dialled_for_ever():
    """The caller gets it and sees the loss itself."""
    provider = Provider()

    async def hangs_up(facts):
        socket = await Provider.dial(provider, facts)
        socket.vanish()
        return socket

    provider.dial = hangs_up
    async with World(provider) as world:
        lease = await world.pool.lease()
        assert not lease.socket.alive
        assert len(provider.dials) == 1
        lease.release()


async def test_a_returned_socket_lost_on_its_way_to_a_waiter_is_replaced():
    """The tick between handing over and waking up is covered too."""
    async with World(max_connections=1, max_wait=60.0) as world:
        first = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        first.release()
        first.socket.vanish()
        second = await waiting
        assert second.socket is not first.socket
        second.release()


# -- giving back ---------------------------------------------------------------


async def test_release_is_idempotent():
    """A second release does not take the socket from its next holder."""
    async with World() as world:
        one = await world.pool.lease()
        one.release()
        two = await world.pool.lease()
        one.release()
        one.release(reusable=False)
        assert world.pool.stats().leased == 1
        assert two.socket.alive
        two.release()


async def test_a_spoiled_socket_is_aborted_off_the_path_and_replaced():
    """A barge-in that cannot be cleaned up does not make the next turn cold."""
    async with World() as world:
        await world.pool.warm(2)
        lease = await world.pool.lease()
        lease.release(reusable=False)
        assert not lease.socket.aborted
        await settle()
        assert lease.socket.aborted
        await asyncio.sleep(0.2)
        assert world.pool.stats().ready == 2
        assert world.pool.stats().closed == {"broken": 1}


async def test_a_socket_that_died_in_use_does_not_come_back():
    """Returned as reusable or not, a dead socket is no use."""
    async with World() as world:
        lease = await world.pool.lease()
        lease.socket.vanish()
        lease.release()
        assert world.pool.stats().ready == 0


async def test_released_in_another_task():
    """Handles are entered, iterated and closed from different tasks."""
    async with World() as world:
        lease = await asyncio.create_task(world.pool.lease())

        async def closer() -> None:
            lease.release()

        await asyncio.create_task(closer())
        assert world.pool.stats().ready == 1


async def test_what_exceeds_max_idle_is_closed_when_it_comes_back():
    """A burst leaves no crowd behind."""
    async with World(max_idle=2) as world:
        leases = [await world.pool.lease() for _ in range(5)]
        for lease in leases:
            lease.release()
        await asyncio.sleep(1.0)
        assert world.pool.stats().ready == 2
        assert world.pool.stats().closed == {"surplus": 3}


@pytest.mark.parametrize("thread", [False, True])
async def test_a_forgotten_lease_frees_its_place_and_warns(thread):
    """A leak costs a warning, not the pool; wherever the garbage is collected."""
    async with World(max_connections=1) as world:
        lease = await world.pool.lease()
        socket = lease.socket
        holder = [lease]
        del lease

        def forget() -> None:
            if not thread:
                return holder.clear()
            dropper = threading.Thread(target=holder.clear)
            dropper.start()
            return dropper.join()

        with pytest.warns(ResourceWarning, match="never released"):
            forget()
        await settle()
        assert socket.aborted
        assert world.pool.stats().closed == {"leaked": 1}
        (await world.pool.lease()).release()


async def test_a_lease_outliving_its_pool_does_not_warn():
    """After aclose there is nothing left to leak."""
    world = World()
    async with world:
        lease = await world.pool.lease()
    lease.release()
    async with World() as world:
        lease = await world.pool.lease()
        await world.pool.aclose()
        del lease
        gc.collect()


# -- warming and keeping ---------------------------------------------------------


async def test_warm_dials_at_once_what_is_missing():
    """The sockets together cost the time of one handshake."""
    async with World() as world:
        report = await world.pool.warm(3)
        assert (report.opened, report.reused, report.failures) == (3, 0, ())
        assert report.elapsed == pytest.approx(0.1)
        report = await world.pool.warm(5)
        assert (report.opened, report.reused) == (2, 3)
        assert world.pool.minimum == 5
        report = await world.pool.warm(2)
        assert (report.opened, report.reused) == (0, 2)
        assert world.pool.minimum == 5


async def test_warm_without_a_number_takes_min_ready():
    """The config says how many."""
    async with World(min_ready=3) as world:
        assert (await world.pool.warm()).opened == 3


async def test_warm_stays_under_the_bound():
    """max_connections outranks n."""
    async with World(max_connections=2) as world:
        report = await world.pool.warm(5)
        assert (report.opened, report.failures) == (2, ())
        assert world.pool.minimum == 2


async def test_two_warm_ups_share_their_dials():
    """A start-up hook and a first caller do not both pay."""
    async with World() as world:
        one, two = await asyncio.gather(world.pool.warm(2), world.pool.warm(2))
        assert (one.opened, two.opened, two.reused) == (2, 0, 2)
        assert len(world.provider.dials) == 2


async def test_warm_never_raises():
    """A provider that is down does not stop an application from starting."""
    async with World() as world:
        world.provider.failing = True
        report = await world.pool.warm(2)
        assert (report.opened, report.failures) == (0, ("ConnectError", "ConnectError"))
        world.provider.failing = False
        await asyncio.sleep(2.0)
        assert world.pool.stats().ready == 2


async def test_warm_stops_waiting_after_its_timeout():
    """A slow dial goes on in the background."""
    async with World(Provider(latency=30.0)) as world:
        report = await world.pool.warm(2, timeout=10.0)
        assert report.elapsed == pytest.approx(10.0)
        assert report.failures == ("ConnectTimeout", "ConnectTimeout")
        await asyncio.sleep(21.0)
        assert world.pool.stats().ready == 2


async def test_warm_replaces_the_dead():
    """It reports what is there, not what is believed to be."""
    async with World() as world:
        await world.pool.warm(2)
        for socket in world.provider.sockets:
            socket.vanish()
        assert (await world.pool.warm(2)).opened == 2


async def test_start_warming_returns_at_once():
    """For start-up code that is not async."""
    async with World() as world:
        world.pool.start_warming(2)
        assert world.provider.dials == []
        await asyncio.sleep(0.2)
        assert world.pool.stats().ready == 2


async def test_a_lease_does_not_start_a_dial():
    """A handshake during the caller's turn is noise."""
    async with World() as world:
        await world.pool.warm(2)
        leases = [await world.pool.lease() for _ in range(2)]
        await asyncio.sleep(5.0)
        assert len(world.provider.dials) == 2
        for lease in leases:
            lease.release()


async def test_an_unwarmed_pool_keeps_nothing():
    """Nobody asked for warm sockets."""
    async with World() as world:
        (await world.pool.lease()).release()
        await asyncio.sleep(500.0)
        assert world.pool.stats().open == 0
        assert world.pool.stats().closed == {"expired": 1}
        assert len(world.provider.dials) == 1


async def test_a_warm_pool_stays_warm_through_any_silence():
    """Sockets are replaced before the peer closes them; at no moment is one missing."""
    async with World(cutoff=60.0) as world:
        await world.pool.warm(2)
        for _ in range(600):
            await asyncio.sleep(1.0)
            assert world.pool.stats().ready >= 2
            assert len(world.provider.open) <= 4
        assert set(world.pool.stats().closed) == {"expired"}
        at = world.provider.dialed_at
        ages = [later - earlier for earlier, later in zip(at, at[2:], strict=False)]
        assert 45.0 <= min(ages) <= max(ages) <= 57.1
        lease = await world.pool.lease()
        assert lease.reused
        lease.release()


async def test_replaced_sockets_get_a_goodbye():
    """The provider frees its side at once."""
    async with World(cutoff=60.0) as world:
        await world.pool.warm(1)
        await asyncio.sleep(70.0)
        assert world.provider.sockets[0].said_goodbye


async def test_maximal_age_ends_a_busy_socket():
    """A provider's own limit on session length does not hit a caller."""
    async with World(max_age=300.0) as world:
        await world.pool.warm(1)
        for _ in range(60):
            lease = await world.pool.lease()
            assert lease.age < 300.0
            await asyncio.sleep(5.0)
            lease.release()
            await asyncio.sleep(1.0)
        assert world.pool.stats().closed == {"aged": 1}


async def test_one_use_sockets_are_replaced_while_they_are_used():
    """The next utterance finds a dialled spare."""
    async with World(one_use=True) as world:
        await world.pool.warm(1)
        lease = await world.pool.lease()
        await asyncio.sleep(0.2)
        assert len(world.provider.dials) == 2
        lease.release()
        again = await world.pool.lease()
        assert again.reused
        assert again.socket is not lease.socket
        again.release()
        await asyncio.sleep(1.0)
        assert world.pool.stats().closed == {"used": 2}


async def test_a_loss_while_idle_is_noticed_replaced_and_learned_from():
    """No caller meets it, and the next one is replaced before."""
    async with World(cutoff=100.0) as world:
        await world.pool.warm(1)
        await asyncio.sleep(40.0)
        world.provider.sockets[0].peer_closes()
        await asyncio.sleep(0.2)
        assert world.pool.stats().ready == 1
        assert world.pool.stats().closed == {"lost": 1}
        assert world.pool.stats().idle_cutoff == pytest.approx(0.8 * 40.0, rel=0.01)


async def test_stray_frames_are_dropped_while_idle():
    """A late message belongs to nobody."""
    async with World() as world:
        await world.pool.warm(1)
        watch = world.provider.sockets[0].receiver
        watch.frame("late")
        watch.frame(b"late")
        lease = await world.pool.lease()
        assert lease.socket.receiver is None
        lease.release()


async def test_a_socket_lost_just_before_it_became_ready_is_replaced():
    """The loss may be told from inside attach()."""
    async with World() as world:
        await world.pool.warm(1)
        lease = await world.pool.lease()

        class Dying:
            def __get__(self, socket: FakeSocket, _: object) -> bool:
                socket.gone = True
                return True

        lease.socket.__class__ = type("DyingSocket", (FakeSocket,), {"alive": Dying()})
        lease.release()
        await asyncio.sleep(0.2)
        assert world.pool.stats().closed == {"lost": 1}
        assert world.pool.stats().ready == 1


async def test_an_outage_is_met_with_patience():
    """Half a minute between two tries, not thousands of dials; then back to the minimum."""
    async with World() as world:
        await world.pool.warm(3)
        world.provider.failing = True
        for socket in list(world.provider.sockets):
            socket.peer_closes()
        await asyncio.sleep(600.0)
        assert len(world.provider.dials) < 3 + 3 + 45
        world.provider.failing = False
        await asyncio.sleep(31.0)
        assert world.pool.stats().ready == 3


async def test_callers_are_not_held_back_by_the_keepers_patience():
    """A caller's dial is its own business."""
    async with World() as world:
        world.provider.failing = True
        await world.pool.warm(1)
        await asyncio.sleep(60.0)
        world.provider.failing = False
        lease = await world.pool.lease()
        assert lease.waited == pytest.approx(0.1)
        lease.release()


async def test_fifty_barge_ins_leave_the_pool_as_it_was():
    """Back at its minimum within two seconds, no socket or task more than before."""
    async with World() as world:
        await world.pool.warm(2)
        for _ in range(50):
            (await world.pool.lease()).release(reusable=False)
        await asyncio.sleep(2.0)
        assert world.pool.stats().ready == 2
        assert len(world.provider.open) == 2
        assert len(world.background) == 0


async def test_the_keeper_has_one_timer():
    """However busy the pool, the loop's heap does not fill with its timers."""
    async with World() as world:
        loop = asyncio.get_running_loop()

        def timers() -> list[asyncio.TimerHandle]:
            return [h for h in loop._scheduled if "SocketPool" in repr(h)]

        await world.pool.warm(2)
        for turn in range(400):
            lease = await world.pool.lease()
            await asyncio.sleep(0.1)
            # In the second half it falls due sooner and sooner, so the timer has to be moved.
            lease.release(idle_s=max(0.0, (turn - 200) * 0.3))
            await settle()
            assert sum(not timer.cancelled() for timer in timers()) == 1
            if turn < 200:
                assert len(timers()) <= 3
    assert all(timer.cancelled() for timer in timers())


# -- generations -------------------------------------------------------------------


async def test_retire_ends_the_old_generation():
    """After a key was rotated nothing dialled with the old one is lent again."""
    async with World() as world:
        await world.pool.warm(2)
        held = await world.pool.lease()
        world.pool.retire()
        await asyncio.sleep(0.3)
        assert world.pool.stats().ready == 2
        held.release()
        await asyncio.sleep(0.3)
        assert [s.facts.generation for s in world.provider.open] == [1, 1]
        assert world.pool.stats().closed == {"retired": 2}


async def test_retire_redials_for_those_who_wait():
    """A caller in the middle of a dial gets a socket of the new key."""
    async with World() as world:
        waiting = asyncio.create_task(world.pool.lease())
        await asyncio.sleep(0.05)
        world.pool.retire()
        lease = await waiting
        assert lease.connection.generation == lease.socket.facts.generation == 1
        assert world.provider.cancelled == 1
        assert lease.waited == pytest.approx(0.15)
        lease.release()


async def test_a_socket_retired_on_its_way_to_a_waiter_is_not_lent():
    """Not even in the tick between handing over and waking up."""
    async with World(max_connections=1, max_wait=60.0) as world:
        first = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        first.release()
        world.pool.retire()
        second = await waiting
        assert second.connection.generation == 1
        second.release()


# -- the end -------------------------------------------------------------------------


async def test_aclose_ends_everything_and_may_be_repeated():
    """Waiters are told, sockets closed, and nothing works afterwards."""
    async with World(max_connections=2, max_wait=60.0) as world:
        leases = [await world.pool.lease() for _ in range(2)]
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        await world.pool.aclose()
        with pytest.raises(ClosedError):
            await waiting
        assert all(lease.socket.aborted for lease in leases)
        await world.pool.aclose()
        with pytest.raises(ClosedError):
            await world.pool.lease()
        assert (await world.pool.warm(1)).failures == ("ClosedError",)
        for lease in leases:
            lease.release()


async def test_aclose_drains():
    """Leased sockets get time to come back; those that do not are aborted."""
    async with World() as world:
        quick, slow = [await world.pool.lease() for _ in range(2)]
        asyncio.get_running_loop().call_later(1.0, quick.release)
        started = now()
        await world.pool.aclose(drain=5.0)
        assert 5.0 <= now() - started <= 6.0
        assert quick.socket.said_goodbye
        assert slow.socket.aborted
        slow.release()


async def test_aclose_does_not_wait_longer_than_needed():
    """An early return ends the drain."""
    async with World() as world:
        lease = await world.pool.lease()
        asyncio.get_running_loop().call_later(1.0, lease.release)
        started = now()
        await world.pool.aclose(drain=60.0)
        assert now() - started < 2.0


async def test_aclose_is_bounded_against_a_hung_peer():
    """A goodbye that is never answered costs less than a second."""
    async with World(Provider(goodbye=3600.0)) as world:
        await world.pool.warm(3)
        started = now()
        await world.pool.aclose()
        assert now() - started <= 1.0
        assert all(s.aborted for s in world.provider.sockets)


async def test_aclose_aborts_leases_before_it_says_goodbye():
    """What has to go goes now, however long the polite ones take."""
    async with World(Provider(goodbye=3600.0)) as world:
        await world.pool.warm(2)
        lease = await world.pool.lease()
        closing = asyncio.create_task(world.pool.aclose())
        await settle()
        assert lease.socket.aborted
        assert not closing.done()
        await closing


async def test_a_close_cancelled_in_its_goodbyes_aborts():
    """Whoever cannot wait gets the sockets freed all the same."""
    async with World(Provider(goodbye=3600.0)) as world:
        await world.pool.warm(2)
        closing = asyncio.create_task(world.pool.aclose())
        await settle()
        closing.cancel()
        await settle()
        assert closing.cancelled()
        assert world.provider.open == []
        assert len(world.background) == 0


async def test_aclose_cancels_dials():
    """Nothing is opened after the end."""
    async with World(Provider(latency=30.0)) as world:
        world.pool.start_warming(2)
        waiting = asyncio.create_task(world.pool.lease())
        await asyncio.sleep(1.0)
        await world.pool.aclose()
        assert world.provider.cancelled == 2
        with pytest.raises(ClosedError):
            await waiting


async def test_a_dial_that_ignores_its_cancellation_is_closed_when_it_comes():
    """A socket born after the end does not live."""
    provider = Provider()

    async def stubborn(facts):
        dial = asyncio.create_task(Provider.dial(provider, facts))
        try:
            return await asyncio.shield(dial)
        except asyncio.CancelledError:
            return await dial

    provider.dial = stubborn
    async with World(provider) as world:
        world.pool.start_warming(1)
        await asyncio.sleep(0.05)
        await world.pool.aclose()
        assert [s.open for s in provider.sockets] == [False]


async def test_closing_a_pool_that_was_never_used():
    """No loop, no sockets, no trouble."""
    world = World()
    assert world.pool.minimum == 0
    await world.pool.aclose()
    with pytest.raises(ClosedError):
        await world.pool.lease()


async def test_a_background_that_ends_first_fails_those_who_wait():
    """Out of order, but not hanging."""
    async with World() as world:
        waiting = asyncio.create_task(world.pool.lease())
        await settle()
        await world.background.aclose()
        with pytest.raises(ClosedError):
            await waiting
        await world.pool.aclose()


async def test_another_loop_is_refused():
    """Sockets belong to the loop that opened them."""
    async with World() as world:
        (await world.pool.lease()).release()
        caught: list[BaseException] = []

        async def elsewhere() -> None:
            for attempt in (world.pool.lease, world.pool.aclose):
                try:
                    await attempt()
                except WrongLoopError as error:
                    caught.append(error)
            caught.extend((await world.pool.warm(1)).failures)

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        thread.join()
        assert [type(e) for e in caught[:2]] == [WrongLoopError, WrongLoopError]
        assert caught[2:] == ["WrongLoopError"]


async def test_resize_admits_those_who_wait():
    """A provider's header may allow more than the careful default."""
    async with World(max_connections=1, max_wait=60.0) as world:
        one = await world.pool.lease()
        waiting = asyncio.create_task(world.pool.lease())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        world.pool.resize(5)
        two = await waiting
        one.release()
        two.release()


async def test_reprs_tell_the_state():
    """Seen in logs and debuggers."""
    async with World() as world:
        await world.pool.warm(1)
        assert repr(world.pool) == "SocketPool(1 ready, 0 leased, 0 dialing, minimum 1)"
        lease = await world.pool.lease()
        assert repr(lease) == "Lease(socket 1, reused, age 0.0 s)"
        lease.release()
        assert repr(lease) == "Lease(socket 1, released, age 0.0 s)"
    assert "closed" in repr(world.pool)


async def test_nothing_of_the_caller_reaches_a_dial():
    """Shared work starts in an empty context."""
    import contextvars

    marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker", default="none")
    seen = []
    provider = Provider()

    async def dial(facts):
        seen.append(marker.get())
        return await Provider.dial(provider, facts)

    provider.dial = dial
    async with World(provider) as world:
        marker.set("caller")
        await world.pool.warm(1)
        (await world.pool.lease()).release(reusable=False)
        await asyncio.sleep(1.0)
    assert seen == ["none", "none"]


async def test_nothing_of_the_caller_is_kept_alive():
    """The pool's timers run for minutes; a request's variables must not live as long."""
    import contextvars
    import weakref

    class Requested:
        pass

    marker: contextvars.ContextVar[Requested] = contextvars.ContextVar("marker")
    async with World() as world:
        await world.pool.warm(2)

        async def request() -> weakref.ref[Requested]:
            requested = Requested()
            marker.set(requested)
            lease = await world.pool.lease()
            await asyncio.sleep(1.0)
            lease.release(idle_s=50.0)
            await asyncio.sleep(1.0)
            return weakref.ref(requested)

        kept = await asyncio.create_task(request())
        await settle()
        gc.collect()
        assert kept() is None


def test_construction_needs_no_loop_and_does_no_io():
    """A pool may be built at import time."""

    async def never(facts):
        raise AssertionError

    pool = SocketPool(dial=never, config=PoolConfig(), background=Background(), cutoff=180.0)
    assert pool.stats().idle_cutoff == 180.0
    pool.retire()
    assert pool.stats().open == 0


def test_a_lease_released_after_its_loop_is_harmless():
    """Interpreter shutdown releases in any order."""
    kept = []

    async def main() -> None:
        world = World()
        kept.append(await world.pool.lease())

    asyncio.run(main())
    kept[0].release()
    asyncio.run(main())
    kept.clear()


def test_real_time_works_too():
    """The default clock and a plain loop."""

    async def main() -> None:
        provider = Provider(latency=0.0, goodbye=0.0)
        background = Background()
        pool = SocketPool(
            dial=provider.dial, config=PoolConfig(), background=background, cutoff=180.0
        )
        await pool.warm(2)
        lease = await pool.lease()
        assert lease.reused
        lease.release()
        await pool.aclose()
        await background.aclose()
        assert provider.open == []

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 5.0


# -- cancellation ----------------------------------------------------------------------


async def cancelled_after(ticks: int, work) -> bool:
    """Run ``work``, cancel it after ``ticks`` turns of the loop; whether that was in time."""
    task = asyncio.create_task(work)
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    try:
        result = await task
    except (asyncio.CancelledError, ConnectError):
        return task.cancelled()
    if hasattr(result, "release"):
        result.release()
    return False


SWEEP = 30


@pytest.mark.parametrize("ticks", range(SWEEP))
@pytest.mark.parametrize("situation", ["cold", "warm", "full", "joining", "failing", "one_use"])
async def test_a_lease_cancelled_anywhere_leaves_the_pool_as_it_was(situation, ticks):
    """Swept over every turn of the loop: no socket lost, no place lost, no task left."""
    provider = Provider(latency=0.0, goodbye=0.0)
    full = situation == "full"
    async with World(
        provider,
        max_connections=1 if full else 5,
        max_wait=60.0,
        one_use=situation == "one_use",
    ) as world:
        held = None
        if situation == "warm":
            await world.pool.warm(2)
        elif full:
            held = await world.pool.lease()
            asyncio.get_running_loop().call_soon(
                lambda: asyncio.get_running_loop().call_soon(held.release)
            )
        elif situation == "joining":
            world.pool.start_warming(1)
        elif situation == "failing":
            provider.fail_next = 2
        rival = asyncio.create_task(world.pool.lease())
        await cancelled_after(ticks, world.pool.lease())
        try:
            (await rival).release()
        except ConnectError:
            assert situation == "failing"
        assert world.pool._state.waiting == ()
        assert not world.pool._waiters
        await asyncio.sleep(1.0)
        stats = world.pool.stats()
        assert (stats.leased, stats.dialing) == (0, 0)
        assert stats.ready == len(provider.open)
        provider.fail_next = 0
        again = await world.pool.lease()
        again.release()


@pytest.mark.parametrize("ticks", range(SWEEP))
async def test_a_warm_up_cancelled_anywhere_goes_on_in_the_background(ticks):
    """Cancelling stops the waiting, not the dials."""
    async with World(Provider(latency=0.0)) as world:
        started = await cancelled_after(ticks, world.pool.warm(2))
        await asyncio.sleep(1.0)
        stats = world.pool.stats()
        assert (stats.dialing, len(world.provider.open)) == (0, stats.ready)
        if ticks or not started:
            assert stats.ready == 2


@pytest.mark.parametrize("ticks", range(SWEEP))
@pytest.mark.parametrize("drain", [0.0, 5.0])
async def test_a_close_cancelled_anywhere_leaves_nothing_behind(ticks, drain):
    """Cancelled in the middle of its goodbyes it aborts, and can be called again."""
    async with World(Provider(latency=0.0, goodbye=0.0)) as world:
        await world.pool.warm(3)
        lease = await world.pool.lease()
        world.pool.start_warming(5)
        await cancelled_after(ticks, world.pool.aclose(drain))
        await settle(10)
        if ticks:
            assert world.provider.open == []
        lease.release()


@pytest.mark.parametrize("seed", range(12))
async def test_a_crowd_of_impatient_callers_loses_nothing(seed):
    """Random arrivals, cancellations, failures, losses and rotations: the books balance."""
    import random

    rng = random.Random(seed)
    provider = Provider(latency=0.05)
    async with World(provider, max_connections=4, max_wait=2.0, one_use=seed % 4 == 3) as world:
        await world.pool.warm(2)

        async def caller() -> None:
            await asyncio.sleep(rng.uniform(0, 20))
            try:
                lease = await world.pool.lease()
            except (PoolTimeout, ConnectError):
                return
            try:
                await asyncio.sleep(rng.uniform(0, 0.5))
            finally:
                lease.release(reusable=rng.random() < 0.8)

        async def chaos() -> None:
            for _ in range(60):
                await asyncio.sleep(rng.uniform(0, 0.6))
                event = rng.random()
                if event < 0.3:
                    provider.fail_next = 1
                elif event < 0.6 and provider.open:
                    rng.choice(provider.open).peer_closes()
                elif event < 0.7:
                    world.pool.retire()

        callers = [asyncio.create_task(caller()) for _ in range(150)]
        for task in rng.sample(callers, 50):
            asyncio.get_running_loop().call_later(rng.uniform(0, 21), task.cancel)
        await asyncio.gather(chaos(), *callers, return_exceptions=True)
        assert provider.most <= 4 + 1  # one may still be saying goodbye
        provider.fail_next = 0
        await asyncio.sleep(40.0)
        stats = world.pool.stats()
        assert (stats.leased, stats.dialing) == (0, 0)
        assert stats.ready >= 2
