"""Stores that share a storage: no store ends a session that another one is using."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from scripted_agent import ScriptedAgent, ScriptedSession, Turn, turns_of_the_loop

from voicekit.cache import MemoryStorage
from voicekit.cache.session_ids import SessionIds
from voicekit.cache.sessions import SessionStore
from voicekit.cache.storage import StorageStats
from voicekit.tasks import Background
from voicekit.testing.clock import VirtualLoop

pytestmark = pytest.mark.anyio

TTL = 10.0


def virtually(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


class Server(MemoryStorage):
    """A storage that outlives the processes that use it, and may fail."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: asyncio.get_running_loop().time())
        self.broken = False

    def stats(self) -> StorageStats:
        return StorageStats(kind="server")

    async def get(self, key: str, /) -> bytes | None:
        if self.broken:
            raise OSError("down")
        value = await super().get(key)
        await turns_of_the_loop(5)  # the answer is under way
        return value


class Here(MemoryStorage):
    """One that ends with this process."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: asyncio.get_running_loop().time())


class Handle(ScriptedSession):
    """What a process has of a session."""

    detached = 0

    def detach(self) -> None:
        self.detached += 1


class Process(ScriptedAgent):
    """An agent of one process; sessions of others can be gone on with."""

    def __init__(self, name: str, *script: Turn) -> None:
        super().__init__(*script)
        self.name = name

    async def open_session(self, *, key: str | None = None, **options: Any) -> Handle:  # type: ignore[override]
        return self._handle(f"{self.name}{len(self.sessions)}", key)

    async def resume_session(self, name: str, *, key: str) -> Handle:
        return self._handle(name, key)

    def _handle(self, name: str, key: str | None) -> Handle:
        handle = Handle(self, key, {})
        handle.id = name
        self.sessions.append(handle)
        return handle

    @property
    def fate(self) -> list[tuple[str, str]]:
        """Each session's id, and what became of it."""
        said = {(0, 0): "open", (1, 0): "ended", (0, 1): "left"}
        return [(each.id, said[each.closed, each.detached]) for each in self.sessions]  # type: ignore[attr-defined]


def store_of(process: Process, storage: Any, **options: Any) -> SessionStore:
    return SessionStore(process, storage=storage, secret="shared", **{"ttl": TTL, **options})


async def use(store: SessionStore, key: str = "anna") -> str:
    async with store.session(key) as session:
        name: str = session.id
    await turns_of_the_loop()
    return name


@contextlib.asynccontextmanager
async def two(
    storage: Any, **options: Any
) -> AsyncIterator[tuple[Process, SessionStore, Process, SessionStore]]:
    """Two processes, the first of which has opened a session that the second went on with."""
    a, b = Process("a"), Process("b")
    one, other = store_of(a, storage, **options), store_of(b, storage)
    assert await use(one) == await use(other) == "a0"
    yield a, one, b, other
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("storage", [Server, Here])
def test_one_that_another_uses_does_not_expire(storage: type) -> None:
    """The first lets it go; whoever was the last to use it ends it, when nobody does any more."""

    async def scenario() -> None:
        async with two(storage()) as (a, one, b, other):
            for _ in range(5):
                await asyncio.sleep(0.4 * TTL)
                assert await use(other) == "a0"
            assert a.fate == [("a0", "left")]
            assert b.fate == [("a0", "open")]
            assert await use(one) == "a0"  # and it comes back
            await asyncio.sleep(0.9 * TTL)
            assert await use(other) == "a0"
            await asyncio.sleep(0.9 * TTL)
            assert a.fate == [("a0", "left")] * 2
            assert b.fate == [("a0", "open")]
            await asyncio.sleep(0.2 * TTL)
            assert b.fate == [("a0", "ended")]
            assert await use(one) == "a2"

    virtually(scenario())


def test_both_hold_it_and_the_last_to_use_it_ends_it() -> None:
    """Every use is told: by turns, neither ends it under the other."""

    async def scenario() -> None:
        async with two(Server()) as (a, one, b, other):
            await asyncio.sleep(0.1 * TTL)
            assert await use(one) == "a0"
            await asyncio.sleep(0.95 * TTL)
            assert (a.fate, b.fate) == ([("a0", "open")], [("a0", "left")])
            async with one.session("anna"):
                await asyncio.sleep(3 * TTL)
                assert a.fate == [("a0", "open")]
            await asyncio.sleep(1.1 * TTL)
            assert a.fate == [("a0", "ended")]
            await other.aclose()

    virtually(scenario())


def test_a_use_is_told_when_it_begins() -> None:
    """It lasts: the other one, whose time is over meanwhile, does not end it."""

    async def scenario() -> None:
        async with two(Server()) as (a, one, b, _other):
            await asyncio.sleep(0.9 * TTL)
            async with one.session("anna"):
                await asyncio.sleep(0.2 * TTL)
                assert b.fate == [("a0", "left")]
            assert a.fate == [("a0", "open")]

    virtually(scenario())


@pytest.mark.parametrize("storage", [Server, Here])
async def test_one_that_another_uses_is_not_ended_to_make_room(storage: type) -> None:
    """Nor with the store."""
    async with two(storage(), most=1) as (a, one, b, other):
        assert await use(one, "bert") == "a1"
        assert a.fate == [("a0", "left"), ("a1", "open")]
        assert await use(other, "bert") == "a1"
        await one.aclose()
        assert a.fate == [("a0", "left"), ("a1", "left")]
        assert await use(other) == "a0"
        assert b.fate == [("a0", "open"), ("a1", "open")]


async def test_the_next_process_goes_on_with_what_a_closed_store_has_left() -> None:
    """A restart: what the storage keeps for the next one stays open, in use or not."""
    storage = Server()
    a, c = Process("a"), Process("c")
    one = store_of(a, storage)
    await use(one)
    async with one.session("bert"):
        async with one.session("cleo"):
            closing = asyncio.create_task(one.aclose(drain=0.1))
            await turns_of_the_loop()
        await closing
    assert a.fate == [("a0", "left"), ("a1", "left"), ("a2", "left")]
    async with store_of(c, storage) as next_one:
        names = [await use(next_one, key) for key in ("anna", "bert", "cleo")]
        assert names == ["a0", "a1", "a2"]
        assert next_one.stats().resumed == 3


async def test_a_storage_in_memory_has_no_next_process() -> None:
    """What nobody else uses ends with the store, or to make room, as without a storage."""
    a, storage = Process("a"), Here()
    async with store_of(a, storage, most=1) as store:
        assert [await use(store), await use(store, "bert")] == ["a0", "a1"]
        assert a.fate == [("a0", "ended"), ("a1", "open")]
    assert a.fate == [("a0", "ended"), ("a1", "ended")]
    assert not MemoryStorage.stats(storage).entries


async def test_what_is_over_is_over_for_everybody() -> None:
    """Its user ends it, or the agent does: its id is not gone on with, whoever used it last."""
    storage = Server()
    async with two(storage) as (a, one, _b, other):
        assert await one.end("anna")
        assert a.fate == [("a0", "ended")]
        assert not MemoryStorage.stats(storage).entries
        assert await use(one) == "a1"
        assert await other.end("anna")  # its own, which is not the conversation's any more
        assert MemoryStorage.stats(storage).entries == 1
        assert await use(other) == "a1"


def test_where_the_storage_cannot_tell_it_is_let_go() -> None:
    """Somebody may be using it; the provider ends it in its own time."""

    async def scenario() -> None:
        storage, a = Server(), Process("a")
        async with store_of(a, storage) as store:
            await use(store)
            storage.broken = True
            await asyncio.sleep(1.1 * TTL)
            assert a.fate == [("a0", "left")]
            assert store.stats().storage_failures == 1

    virtually(scenario())


def test_one_that_is_just_ending_is_not_gone_on_with() -> None:
    """The next use waits until its id is forgotten, and has a new one."""

    async def scenario() -> None:
        storage, a = Server(), Process("a")
        async with store_of(a, storage) as store:
            await use(store)
            ending = asyncio.create_task(store.end("anna"))
            await turns_of_the_loop(3)
            assert await use(store) == "a1"
            await ending
            assert a.fate == [("a0", "ended"), ("a1", "open")]
            assert MemoryStorage.stats(storage).entries == 1

    virtually(scenario())


async def test_another_id_of_the_same_session_is_kept() -> None:
    """The agent has replaced it under its handle: the next process goes on with the new one."""
    storage = Server()
    a, b = Process("a"), Process("b")
    async with store_of(a, storage) as one, store_of(b, storage) as other:
        async with one.session("anna") as session:
            session.inner.id = "replaced"  # type: ignore[attr-defined]
        await turns_of_the_loop()
        assert await use(other) == "replaced"


async def test_an_old_session_says_nothing_for_the_new_one() -> None:
    """What still is to be kept or forgotten of it leaves the entry of the new one alone."""
    storage, a, background = Server(), Process("a"), Background()
    ids = SessionIds(a, storage, provider="scripted", ttl=TTL, secret=None)
    old, new = await a.open_session(), await a.open_session()
    await ids.keep("anna", old)
    ids.touch("anna", old, background)
    await ids.keep("anna", new)
    await turns_of_the_loop()
    assert not await ids.forget("anna", old, "unused")
    assert (await ids.resumed("anna")).id == new.id == "a1"
    assert await ids.forget("anna", new, "unused")
    assert await ids.resumed("anna") is None
    await background.aclose()


async def test_an_agent_whose_sessions_need_no_letting_go() -> None:
    """``detach`` is for agents that end what is left open."""
    storage, a = Server(), Process("a")
    async with store_of(a, storage) as store:
        await use(store)
        a.sessions[0].detach = None  # type: ignore[attr-defined]
    assert a.sessions[0].closed == 0
