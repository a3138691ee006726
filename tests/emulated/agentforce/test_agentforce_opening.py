"""Sessions opened ahead, once for all who ask, and ended when nobody wants them."""

from __future__ import annotations

import asyncio

import pytest
from agent_world import ANSWER, INSTANT, asked, world_and_client

from settling import settled, steps, until
from voicekit import deadline, events
from voicekit.clients.agentforce import opening
from voicekit.emulator import Emulator, Fault, Scenario, agent_sessions
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    InvalidArgumentError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

OPENING = Scenario(name="test", agent_replies=ANSWER, agent_session_open=0.15)


def ended(world: Emulator) -> bool:
    """Whether every session that was opened was ended."""
    sessions = agent_sessions(world.journal)
    return bool(sessions) and all(each.end_reason for each in sessions)


async def test_one_is_opened_for_all_who_ask_for_a_key() -> None:
    """The same session, one start; the last to leave ends it."""
    async with world_and_client(OPENING) as (world, agents):
        handles = [agents.open_session(key="a") for _ in range(5)]
        sessions = await asyncio.gather(*(handle.session() for handle in handles))
        assert len(set(map(id, sessions))) == 1
        for handle in handles[:-1]:
            await handle.aclose()
        assert (await sessions[0].send("hi")).text == ANSWER
        await handles[-1].aclose()
        assert asked(world, "session.start", "session.end") == [200, 200]
        async with agents.open_session(key="a") as later:
            assert later.id != sessions[0].id


async def test_who_leaves_at_once_leaves_it_to_the_others() -> None:
    """However the tasks of those who joined take their turns, and whoever is cancelled."""
    async with world_and_client(OPENING) as (world, agents):

        async def briefly() -> None:
            async with agents.open_session(key="a"):
                pass

        async def talk() -> str:
            async with agents.open_session(key="a") as session:
                await asyncio.sleep(0.02)
                return (await session.send("hi")).text

        tasks = [asyncio.create_task(talk() if n % 3 == 1 else briefly()) for n in range(9)]
        await until(lambda: world.journal.requests_for("agentforce", "session.start"))
        tasks[0].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in done if isinstance(each, str)] == [ANSWER] * 3
        assert [type(each) for each in done if isinstance(each, BaseException)] == [
            asyncio.CancelledError
        ]
        assert asked(world, "session.start", "session.end") == [200, 200]


async def test_a_handle_does_nothing_until_it_is_used() -> None:
    """And may be asked for its session any number of times."""
    async with world_and_client() as (world, agents):
        handle = agents.open_session(key="a")
        await asyncio.sleep(0.02)
        assert world.journal.requests == []
        assert "new" in repr(handle)
        assert await handle is await handle
        await handle.aclose()
        await handle.aclose()
        assert asked(world, "session.start", "session.end") == [200, 200]
        unused = agents.open_session()
        await unused.aclose()
        with pytest.raises(ClosedError):
            await unused


async def test_it_may_be_started_before_it_is_needed() -> None:
    """Joined by who asks for the key, whether it is there already or not."""
    async with world_and_client(OPENING) as (world, agents):
        agents.start_session(key="a", variables={"Phone": "1"})
        async with agents.open_session(key="a", variables={"Phone": "1"}) as session:
            assert session.key == "a"
        agents.start_session(key="b")
        await until(lambda: asked(world, "session.start") == [200, 200])
        started = world.journal.now()
        async with agents.open_session(key="b"):
            assert world.journal.now() - started < 0.1
        assert asked(world, "session.start") == [200, 200]
        assert ended(world)


async def test_other_options_are_another_session() -> None:
    """What was started ahead with others is ended, not passed off as this one."""
    async with world_and_client(OPENING) as (world, agents):
        agents.start_session(key="a", variables={"Phone": "1"})
        await until(lambda: world.journal.requests_for("agentforce", "session.start"))
        async with agents.open_session(key="a", variables={"Phone": "2"}) as session:
            await session.send("hi")
        await until(lambda: ended(world))
        unwanted, used = agent_sessions(world.journal)
        assert (len(unwanted.messages), len(used.messages)) == (0, 1)
        assert (unwanted.end_reason, used.end_reason) == ("Other", "UserRequest")
        assert unwanted.variables != used.variables


async def test_a_view_of_another_agent_joins_nobody_elses() -> None:
    """A key is shared by views; a session of one agent never answers for another."""
    async with world_and_client(OPENING) as (world, agents):
        other = agents.with_options(agent_id="0XxHu000000YYYYKX4")
        same = agents.with_options(message={"extra_headers": {"x-a": "b"}})
        agents.start_session(key="a")
        async with same.open_session(key="a"):
            assert asked(world, "session.start") == [200]
        agents.start_session(key="b")
        async with other.open_session(key="b"):
            pass
        started = world.journal.requests_for("agentforce", "session.start")[-1]
        assert "0XxHu000000YYYYKX4" in started.path


async def test_who_goes_away_while_it_opens_leaves_nothing() -> None:
    """The session that comes late is ended in the background."""
    async with world_and_client(OPENING) as (world, agents):
        await agents.warm(1)
        task = asyncio.create_task(agents.open_session(key="a").session())
        await until(lambda: world.journal.requests_for("agentforce", "session.start"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: ended(world))
        assert agent_sessions(world.journal)[0].end_reason == "Other"
        assert (await agents.open_session(key="a")).key == "a"


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    """They get the session that the first had asked for."""
    async with world_and_client(OPENING) as (world, agents):
        first, second = (
            asyncio.create_task(agents.open_session(key="a").session()) for _ in range(2)
        )
        await until(lambda: world.journal.requests_for("agentforce", "session.start"))
        first.cancel()
        session = await second
        assert (await session.send("hi")).text == ANSWER
        await session.aclose()
        assert asked(world, "session.start", "session.end") == [200, 200]


async def test_what_was_started_ahead_may_be_given_up() -> None:
    """By its handle, before it is there and after."""
    async with world_and_client(OPENING) as (world, agents):
        for wait in (False, True):
            handle = agents.start_session(key="a")
            await until(lambda: world.journal.requests_for("agentforce", "session.start"))
            if wait:
                await until(lambda: asked(world, "session.start")[-1] == 200)
                await asyncio.sleep(0.05)
            await handle.aclose()
            await until(lambda: ended(world))
            with pytest.raises(ClosedError):
                await handle
            world.journal.clear()


async def test_what_nobody_takes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, whether somebody looks or not."""
    monkeypatch.setattr(opening, "MAX_AGE", 0.1)
    async with world_and_client() as (world, agents):
        agents.start_session(key="a")
        await agents.warm(1, sessions=1)
        await until(lambda: len(agent_sessions(world.journal)) == 2 and ended(world))


async def test_nothing_waits_for_what_was_taken_to_expire() -> None:
    """A task of five minutes for each conversation would be many."""
    async with world_and_client() as (_, agents):
        agents.start_session(key="a")
        await agents.warm(1, sessions=1)
        waiting = "voicekit-session-unused"
        assert [task.get_name() for task in asyncio.all_tasks()].count(waiting) == 2
        async with agents.open_session(key="a"), agents.open_session():
            await asyncio.sleep(0)
            assert waiting not in [task.get_name() for task in asyncio.all_tasks()]


async def test_sessions_may_be_warm() -> None:
    """Taken by whoever asks for such a one; the rest is ended with the client."""
    seen = RecordingObserver()
    async with world_and_client(OPENING, observers=(seen,)) as (world, agents):
        report = await agents.warm(1, sessions=2)
        assert report.failures == ()
        assert asked(world, "token", "session.start") == [200, 200, 200]
        await agents.warm(1, sessions=2)
        async with agents.open_session(key="a") as session:
            assert session.key == "a"
            assert (await session.send("hi")).text == ANSWER
        async with agents.open_session(variables={"A": 1}):
            pass
        assert len(asked(world, "session.start")) == 3
        await agents.aclose()
        assert ended(world)
        assert len(seen.of(events.Warmed)) == 2


async def test_warming_says_what_failed() -> None:
    """In the report, or as an error when that was asked for."""
    async with world_and_client(policies=NO_POLICIES) as (world, agents):
        world.inject("agentforce", Fault("status", operation="session.start", status=503, times=4))
        report = await agents.warm(1, sessions=2)
        assert report.failures == ("UnavailableError", "UnavailableError")
        with pytest.raises(ConnectError, match="2 sessions"):
            await agents.warm(1, sessions=2, strict=True)
        with pytest.raises(InvalidArgumentError):
            await agents.warm(1, sessions=-1)
        agents.start_warming(1, sessions=1)
        await until(lambda: asked(world, "session.start")[-1:] == [200])
    async with world_and_client(client_secret="bad-key") as (_, agents):
        report = await agents.warm(1)
        assert report.failures[0] == "AuthenticationError"


async def test_a_start_may_be_repeated() -> None:
    """Once, on 503; a plain 500 is not repeated."""
    async with world_and_client() as (world, agents):
        world.inject("agentforce", Fault("status", operation="session.start", status=503))
        async with agents.open_session() as session:
            assert session.attempts == 2
        world.inject("agentforce", Fault("status", operation="session.start", status=500))
        with pytest.raises(UnavailableError):
            await agents.open_session()
        assert asked(world, "session.start") == [503, 200, 500]


async def test_a_start_that_fails_is_forgotten() -> None:
    """All who wait are told, each by itself; the next one asks anew."""
    async with world_and_client(OPENING, policies=NO_POLICIES) as (world, agents):
        world.inject("agentforce", Fault("status", operation="session.start", status=503))
        errors = await asyncio.gather(
            *(agents.open_session(key="a").session() for _ in range(3)), return_exceptions=True
        )
        assert [type(error) for error in errors] == [UnavailableError] * 3
        assert len(set(map(id, errors))) == 3
        async with agents.open_session(key="a"):
            pass
        agents.start_session(key="b")  # of which nobody hears
        world.inject("agentforce", Fault("status", operation="session.start", status=503))


async def test_whoever_waits_is_bound_by_the_deadline() -> None:
    """The start itself is not: it is shared."""
    slow = Scenario(name="test", agent_replies=ANSWER, agent_session_open=0.5)
    async with world_and_client(slow) as (world, agents):
        patient = asyncio.create_task(agents.open_session(key="a").session())
        with deadline(0.1), pytest.raises(TotalTimeout):
            await agents.open_session(key="a")
        assert (await patient).id
        assert asked(world, "session.start") == [200]


async def test_an_app_that_is_not_attached_is_told_at_once() -> None:
    """No other token is fetched, and nothing is repeated."""
    apart = Scenario(name="test", agent_attached=False)
    async with world_and_client(apart) as (world, agents):
        with pytest.raises(AuthenticationError) as caught:
            await agents.open_session()
        assert caught.value.retry_stopped == "not_attached"
        assert caught.value.attempts == 1
        assert asked(world, "token", "session.start") == [200, 401]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_opening_cancelled_at_every_await(warm: bool) -> None:
    """Whenever: no task, no connection, no session is left behind."""
    async with world_and_client(INSTANT) as (world, agents):
        if warm:
            await agents.warm(1)
        for count in range(3000):
            task = asyncio.create_task(agents.open_session(key="a").session())
            await steps(task, count)
            if not task.cancel():
                break
            with pytest.raises(asyncio.CancelledError):
                await task
            if not warm:
                agents._tokens.clear()  # type: ignore[union-attr]
        assert count > 5
        session = await task
        assert (await session.send("hi")).text == ANSWER
        await session.aclose()
        await settled(agents)
        await until(lambda: ended(world))


async def test_a_session_may_be_resumed_elsewhere() -> None:
    """Without a request; one that is gone by then is replaced with the next turn."""
    async with world_and_client() as (world, agents):
        first = await agents.open_session(key="a")
        await first.send("one")
        world.journal.clear()
        again = await agents.resume_session(first.id, key="a", variables={"Phone": "1"})
        assert (again.key, again.greeting, again.timings) == ("a", "", None)
        assert world.journal.requests == []
        assert (await again.send("two")).text == ANSWER
        assert again.id == first.id
        world.inject("agentforce", Fault("session_lost", operation="messages"))
        assert (await again.send("three")).text == ANSWER
        assert again.id != first.id
        assert set(agent_sessions(world.journal)[-1].variables) == {"Phone"}
        with pytest.raises(InvalidArgumentError):
            await agents.resume_session("")
