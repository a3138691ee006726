"""The store of sessions: one per conversation, opened once, ended politely."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from scripted_agent import Recorder, ScriptedAgent, Turn, turns_of_the_loop

from interleaving import interleavings
from voicekit import deadline
from voicekit.cache.session_ids import SessionIds
from voicekit.cache.sessions import SessionStore
from voicekit.cache.storage import StorageStats
from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.tasks import Background
from voicekit.testing.clock import VirtualLoop

pytestmark = pytest.mark.anyio


def virtually(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


async def test_a_conversation_keeps_its_session() -> None:
    """The second message finds the first one's session; another conversation has its own."""
    agent, seen = ScriptedAgent(), Recorder()
    async with SessionStore(agent, observers=[seen]) as store:
        async with store.session("anna") as session:
            assert session.greeting == "Hello, I am scripted."
            await session.send("one")
        async with store.session("anna") as session:
            await session.send("two")
        async with store.session("bert") as session:
            await session.send("three")
        assert [s.heard for s in agent.sessions] == [[("one", {}), ("two", {})], [("three", {})]]
        assert [s.key for s in agent.sessions] == ["anna", "bert"]
        stats = store.stats()
        assert (stats.open, stats.opened, stats.reused, stats.in_use) == (2, 2, 1, 0)
    assert agent.open == 0
    assert agent.closed == 0  # it is its owner's
    assert [result for result, _ in seen.results()] == ["miss", "hit", "miss"]


async def test_an_old_session_ends_only_itself() -> None:
    """Whoever still holds one that is over does not end the conversation's next one."""
    agent = ScriptedAgent(Turn("Bye.", ended=True))
    async with SessionStore(agent) as store:
        async with store.session("anna") as old:
            await old.send("bye")
        async with store.session("anna") as new:
            assert new is not old
            await old.aclose()
            await turns_of_the_loop()
            assert [each.closed for each in agent.sessions] == [1, 0]
            await new.send("hello")
        async with store.session("anna") as again:
            assert again is new
            await again.aclose()
        assert [each.closed for each in agent.sessions] == [1, 1]


async def test_one_opening_for_all_who_come() -> None:
    """Ten at once: one session, used by all of them."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    async with SessionStore(agent) as store:

        async def use() -> Any:
            async with store.session("anna") as session:
                return session

        uses = [asyncio.create_task(use()) for _ in range(10)]
        await turns_of_the_loop()
        assert store.stats().opening == 1
        agent.gate.set()
        assert len({id(session) for session in await asyncio.gather(*uses)}) == 1
        assert len(agent.sessions) == 1
        assert store.stats().joined == 9


async def test_one_who_gives_up_leaves_the_opening_to_the_others() -> None:
    """Whoever is cancelled takes nothing with him, not even as the first or the only one."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    async with SessionStore(agent) as store:
        first = asyncio.create_task(store.session("anna").__aenter__())
        second = asyncio.create_task(store.session("anna").__aenter__())
        await turns_of_the_loop()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        agent.gate.set()
        await second
        assert len(agent.sessions) == 1
        assert store.stats().in_use == 1
        await store.aclose(drain=0)


async def test_a_deadline_bounds_the_wait_and_not_the_opening() -> None:
    """The caller's budget is his own; the session is there for the next use."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    async with SessionStore(agent) as store:
        with deadline(0.02), pytest.raises(TotalTimeout):
            async with store.session("anna"):
                pass
        agent.gate.set()
        async with store.session("anna"):
            pass
        assert len(agent.sessions) == 1


async def test_what_cannot_be_opened_is_tried_again() -> None:
    """All who waited get an error of their own; the next use begins anew."""
    agent = ScriptedAgent()
    agent.gate = asyncio.Event()
    agent.open_fails.append(UnavailableError("down"))
    async with SessionStore(agent) as store:
        tasks = [asyncio.create_task(store.session("anna").__aenter__()) for _ in range(3)]
        await turns_of_the_loop()
        agent.gate.set()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(failure) for failure in failures] == [UnavailableError] * 3
        assert len({id(failure) for failure in failures}) == 3
        assert store.stats().failures == 1
        assert store.stats().open == store.stats().opening == 0
        async with store.session("anna"):
            assert store.stats().open == 1


async def test_started_while_something_else_is_done() -> None:
    """``start`` opens in the background; the use joins, and ``start`` again does nothing."""
    agent = ScriptedAgent()
    async with SessionStore(agent) as store:
        store.start("anna", variables={"a": 1})
        store.start("anna")
        await turns_of_the_loop()
        assert len(agent.sessions) == 1
        assert agent.sessions[0].options == {"variables": {"a": 1}}
        async with store.session("anna") as session:
            assert session.id == "session-0"
        assert len(agent.sessions) == 1


async def test_the_agents_own_start_is_used() -> None:
    """An agent that opens in the background itself is asked to, and joined by the use."""

    class Starting(ScriptedAgent):
        started: list[Any] = []  # noqa: RUF012

        def start_session(self, *, key: str, **options: Any) -> None:
            self.started.append((key, options))

    agent = Starting()
    async with SessionStore(agent) as store:
        store.start("anna", tz="Europe/Rome")
        await turns_of_the_loop()
        assert agent.started == [("anna", {"tz": "Europe/Rome"})]
        assert not agent.sessions
        async with store.session("anna"):
            pass
        store.start("anna")
        assert len(agent.started) == 1


async def test_one_that_the_agent_ended_is_replaced() -> None:
    """After an escalation the next message begins a new session, and the old one is closed."""
    agent = ScriptedAgent(Turn("A person will call you.", plain=False, ended=True), Turn("Hello!"))
    async with SessionStore(agent) as store:
        async with store.session("anna") as session:
            assert (await session.send("a person, please")).ended
        async with store.session("anna") as session:
            await session.send("hello?")
        assert [len(s.heard) for s in agent.sessions] == [1, 1]
        await turns_of_the_loop()
        assert agent.sessions[0].closed == 1
        assert store.stats().ended == 1


async def test_one_that_ended_in_a_stream_is_replaced() -> None:
    """The same when the last turn was streamed."""
    agent = ScriptedAgent(Turn("Goodbye.", plain=False, ended=True))
    async with SessionStore(agent) as store:
        async with store.session("anna") as session, session.stream_message("bye") as reply:
            assert [delta async for delta in reply] == ["Goodbye."]
        async with store.session("anna") as session:
            assert session.id == "session-1"


async def test_its_user_may_end_it() -> None:
    """``aclose`` of a session ends the conversation there and then, and ``end`` does by its key."""
    agent = ScriptedAgent()
    async with SessionStore(agent) as store:
        async with store.session("anna") as session:
            await session.aclose()
            assert agent.sessions[0].closed == 1
        async with store.session("anna"):
            pass
        assert await store.end("anna")
        assert not await store.end("anna")
        assert [s.closed for s in agent.sessions] == [1, 1]


def test_it_ends_when_nobody_has_used_it_for_a_while() -> None:
    """The time counts from the last use, not from the first; one in use stays."""

    async def scenario() -> None:
        agent = ScriptedAgent()
        async with SessionStore(agent, ttl=10) as store:
            async with store.session("anna"):
                await asyncio.sleep(30)
                assert agent.open == 1
            async with store.session("bert"):
                pass
            await asyncio.sleep(8)
            async with store.session("anna"):
                pass
            await asyncio.sleep(4)
            assert [s.closed for s in agent.sessions] == [0, 1]
            assert store.stats().expired == 1
            await asyncio.sleep(7)
            assert agent.open == 0
            assert (store.stats().open, store.stats().expired) == (0, 2)

    virtually(scenario())


def test_started_and_never_used_it_ends_as_well() -> None:
    """Nobody came for it: it costs the provider no longer than the others."""

    async def scenario() -> None:
        agent = ScriptedAgent()
        async with SessionStore(agent, ttl=10) as store:
            store.start("anna")
            await asyncio.sleep(11)
            assert len(agent.sessions) == 1
            assert agent.open == 0

    virtually(scenario())


async def test_the_least_recently_used_makes_room() -> None:
    """Never one in use: then there are more for a while."""
    agent = ScriptedAgent()
    async with SessionStore(agent, most=2) as store:
        for key in ("a", "b", "a", "c"):
            async with store.session(key):
                pass
        await turns_of_the_loop()
        assert [(s.key, s.closed) for s in agent.sessions] == [("a", 0), ("b", 1), ("c", 0)]
        async with store.session("a"), store.session("c"), store.session("d"):
            assert store.stats().open == 3
            await turns_of_the_loop()
            assert agent.open == 3
        await turns_of_the_loop()
        assert agent.open == store.stats().open == 2
        assert store.stats().evicted == 2


async def test_a_goodbye_that_fails_or_hangs_is_bounded_and_counted() -> None:
    """Nobody waits for it but the end of the store, and that not for ever."""
    agent = ScriptedAgent()
    agent.close_fails = UnavailableError("down")
    store = SessionStore(agent, most=1)
    async with store.session("a"):
        pass
    async with store.session("b"):
        pass
    await turns_of_the_loop()
    assert store.stats().failures == 1
    await store.aclose()
    await store.aclose()
    with pytest.raises(ClosedError):
        store.start("c")
    with pytest.raises(ClosedError):
        async with store.session("c"):
            pass


def test_a_goodbye_that_hangs_is_left_to_the_provider() -> None:
    """The end of the store has a bound of its own."""

    async def scenario() -> None:
        agent = ScriptedAgent()
        agent.closing = asyncio.Event()
        async with SessionStore(agent) as store, store.session("a"):
            pass
        assert store.stats().failures == 1

    virtually(scenario())


def test_at_the_end_those_in_use_are_waited_for() -> None:
    """As long as ``drain`` says; what is being opened is called off."""

    async def scenario() -> None:
        agent = ScriptedAgent()
        store = SessionStore(agent)
        done = []

        async def use(key: str, seconds: float) -> None:
            async with store.session(key) as session:
                await asyncio.sleep(seconds)
                done.append(key)
                if key == "quick":
                    await session.send("one more")

        quick, slow = asyncio.create_task(use("quick", 2)), asyncio.create_task(use("slow", 60))
        await asyncio.sleep(1)
        agent.gate = asyncio.Event()
        store.start("opening")
        waiting = asyncio.create_task(store.session("opening").__aenter__())
        await asyncio.sleep(0.1)
        begun = asyncio.get_running_loop().time()
        await store.aclose(drain=4)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(4, abs=0.1)
        assert done == ["quick"]
        assert agent.opening == agent.open == 0
        with pytest.raises(ClosedError):
            await waiting
        slow.cancel()
        await asyncio.wait([quick, slow])

    virtually(scenario())


async def test_what_a_session_has_besides_is_there() -> None:
    """Feedback, ids and whatever else the agent's own session offers."""
    agent = ScriptedAgent()
    async with SessionStore(agent) as store, store.session("anna") as session:
        assert await session.feedback(True) == "good"
        assert session.id == "session-0"
        with pytest.raises(AttributeError):
            _ = session.nothing


@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": "1"}, {"most": 0}, {"agent": object()}])
async def test_arguments_that_make_no_sense(options: dict[str, Any]) -> None:
    """Refused before anything happens."""
    with pytest.raises(InvalidArgumentError):
        SessionStore(**{"agent": ScriptedAgent(), **options})
    with pytest.raises(InvalidArgumentError):
        SessionStore(ScriptedAgent()).session("")


class Kept:
    """A ``Storage`` in a dict, which may fail."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.fails = False

    async def get(self, key: str, /) -> bytes | None:
        if self.fails:
            raise OSError("marked-content")
        return self.values.get(key)

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        if self.fails:
            raise OSError("marked-content")
        self.values[key] = value

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        self.values[key] = value
        return True

    async def delete(self, key: str, /) -> bool:
        return self.values.pop(key, None) is not None

    def stats(self) -> StorageStats:
        return StorageStats(kind="dict")

    async def aclose(self) -> None:
        pass


class Resuming(ScriptedAgent):
    """An agent whose sessions can be gone on with by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: list[str] = []
        self.gone = False

    def resume_session(self, name: str, *, key: str) -> Any:
        self.resumed.append(name)
        if self.gone:
            self.open_fails.append(VoicekitError("no such session"))
        return self.open_session(key=key, resumed=name)


async def test_another_process_goes_on_with_the_session() -> None:
    """Only the id is kept, and by whom, under a name that does not tell whose it is."""
    agent, storage = Resuming(), Kept()
    one = SessionStore(agent, storage=storage, secret="shared")
    async with one.session("whatsapp:+15550100") as session:
        await session.send("my number is 4711")
    (kept,) = storage.values.values()
    assert kept.partition(b" ")[2] == b"session-0"
    assert "5550100" not in repr(storage.values)
    async with (
        SessionStore(agent, storage=storage, secret="shared") as two,
        two.session("whatsapp:+15550100"),
    ):
        assert agent.resumed == ["session-0"]
        assert two.stats().resumed == 1
    await one.aclose()
    assert list(storage.values.values()) != [kept]


async def test_one_that_is_gone_is_replaced() -> None:
    """A stale id costs one question, not the turn."""
    agent, storage = Resuming(), Kept()
    agent.gone = True
    async with SessionStore(agent, storage=storage, secret="shared") as store:
        await storage.put(store._ids._place("anna"), b"other stale", ttl=1)
        async with store.session("anna") as session:
            assert (await session.send("hello")).text
    assert agent.resumed == ["stale"]


async def test_a_storage_that_fails_costs_nothing_but_the_resuming() -> None:
    """The session is opened as if there were none."""
    agent, storage = Resuming(), Kept()
    storage.fails = True
    async with SessionStore(agent, storage=storage) as store:
        async with store.session("anna"):
            pass
        assert store.stats().storage_failures == 2
        assert store.stats().open == 1


async def test_an_id_that_is_just_being_kept_is_forgotten_too() -> None:
    """Else it would be stored behind the back of its end."""
    agent, storage, background = Resuming(), Kept(), Background()
    written, go_on = asyncio.Event(), asyncio.Event()
    ids = SessionIds(agent, storage, provider="scripted", ttl=0.0, secret=None)
    async with agent.open_session() as session:
        await ids.keep("anna", session)
        put = storage.put

        async def slowly(key: str, value: bytes, /, *, ttl: float) -> None:
            written.set()
            await go_on.wait()
            await put(key, value, ttl=ttl)

        storage.put = slowly  # type: ignore[method-assign]
        ids.touch("anna", session, background)
        await written.wait()
        forgetting = asyncio.create_task(ids.forget("anna", session, "over"))
        await turns_of_the_loop(3)
        go_on.set()
        await forgetting
    assert not storage.values
    await background.aclose()


async def test_an_agent_that_cannot_resume_keeps_nothing() -> None:
    """The storage stays empty."""
    agent, storage = ScriptedAgent(), Kept()
    async with SessionStore(agent, storage=storage) as store, store.session("anna"):
        assert not storage.values


def test_any_order_leaves_nothing_behind() -> None:
    """Uses, starts, cancellations and the end, in any order: every session is ended."""

    async def scenario(draw: random.Random) -> None:
        agent = ScriptedAgent()
        agent.says = lambda _: Turn("bye", ended=draw.random() < 0.3)
        store = SessionStore(agent, most=2, ttl=draw.choice([0.5, 100]))

        async def use(key: str) -> None:
            async with store.session(key) as session:
                if draw.random() < 0.5:
                    await asyncio.sleep(draw.choice([0, 1]))
                await session.send("hello")

        tasks = []
        for _ in range(6):
            key = draw.choice("abc")
            if draw.random() < 0.3:
                store.start(key)
            if draw.random() < 0.2:
                agent.open_fails.append(UnavailableError("down"))
            tasks.append(asyncio.create_task(use(key)))
            if draw.random() < 0.3:
                await asyncio.sleep(0)
                draw.choice(tasks).cancel()
        if draw.random() < 0.5:
            await asyncio.wait(tasks)
        await store.aclose(drain=draw.choice([0, 5]))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                assert isinstance(task.exception(), UnavailableError | ClosedError)
        assert all(session.closed for session in agent.sessions)
        assert agent.opening == 0
        stats = store.stats()
        assert (stats.open, stats.opening, stats.in_use) == (0, 0, 0)

    interleavings(scenario, range(300))


async def test_cancelled_at_every_step() -> None:
    """Wherever a use is cancelled, the next one has a session, and nothing is left at the end."""
    for step in range(12):
        agent = ScriptedAgent()
        async with SessionStore(agent) as store:

            async def use(store: SessionStore = store) -> None:
                async with store.session("anna") as session:
                    await session.send("hello")

            task = asyncio.create_task(use())
            for _ in range(step):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert store.stats().in_use == 0
            await use()
            assert len(agent.sessions) == 1
        assert agent.open == 0
