"""``Once``: what is delivered twice is done once, whatever happens to the first delivery."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voicekit.cache.storage import StorageStats
from voicekit.clients.twilio import Once, once
from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    LocalProtocolError,
    RejectedError,
)

pytestmark = pytest.mark.anyio


class Kept:
    """A storage in memory that can fail, hang, and outlive a process."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.ttls: dict[str, float] = {}
        self.broken: set[str] = set()
        self.steps = 0
        self.calls: list[str] = []

    async def _step(self, name: str) -> None:
        self.calls.append(name)
        for _ in range(self.steps):
            await asyncio.sleep(0)
        if name in self.broken:
            raise OSError("marked")

    async def get(self, key: str, /) -> bytes | None:
        await self._step("get")
        return self.values.get(key)

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        await self._step("put")
        self.values[key], self.ttls[key] = value, ttl

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        await self._step("add")
        if key in self.values:
            return False
        self.values[key], self.ttls[key] = value, ttl
        # After it was kept, as a server's answer is still on its way.
        for _ in range(self.steps):
            await asyncio.sleep(0)
        return True

    async def delete(self, key: str, /) -> bool:
        await self._step("delete")
        return self.values.pop(key, None) is not None

    def stats(self) -> StorageStats:
        return StorageStats(kind="test")

    async def aclose(self) -> None:
        pass


class Seen(list[Any]):
    def on_event(self, event: Any, /) -> None:
        self.append(event)


class BoomError(Exception):
    pass


async def deliver(gate: Once, done: list[str], key: str = "tok", name: str = "run") -> Any:
    async with gate(key) as first:
        if first:
            done.append(name)
            await asyncio.sleep(0)
        return first


async def fail(gate: Once, key: str, *, before: bool) -> None:
    async with gate(key) as first:
        with first.before_effects():
            if before:
                raise BoomError
        raise BoomError


async def test_the_second_delivery_runs_nothing() -> None:
    """One after the other; another key is another message."""
    gate, done = Once(Kept()), []  # type: ignore[var-annotated]
    assert await deliver(gate, done)
    second = await deliver(gate, done)
    assert not second
    assert second.state == "done"
    assert await deliver(gate, done, "other")
    assert done == ["run", "run"]


@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("processes", [1, 3])
async def test_deliveries_at_the_same_time(processes: int, steps: int) -> None:
    """Of a hundred at once, in one process or several, one runs."""
    storage = Kept()
    storage.steps = steps
    gates = [Once(storage) for _ in range(processes)]
    done: list[str] = []
    turns = await asyncio.gather(*(deliver(gates[n % processes], done) for n in range(100)))
    assert done == ["run"]
    assert sum(map(bool, turns)) == 1


async def test_while_the_first_is_running() -> None:
    """The state says so, here and in another process."""
    storage = Kept()
    gate, other, done = Once(storage), Once(storage), []  # type: ignore[var-annotated]
    async with gate("tok") as first:
        assert first
        for each in (gate, other):
            later = await deliver(each, done)
            assert (bool(later), later.state) == (False, "running")
    assert (await deliver(other, done)).state == "done"
    assert done == []


async def test_after_the_first_has_failed() -> None:
    """Whether its answer went out, nobody can tell: nothing runs."""
    storage = Kept()
    gate, done = Once(storage), []  # type: ignore[var-annotated]
    with pytest.raises(BoomError):
        async with gate("tok"):
            raise BoomError
    for each in (gate, Once(storage)):
        later = await deliver(each, done)
        assert (bool(later), later.state) == (False, "failed")
    assert done == []


async def test_what_failed_before_any_effect_runs_again() -> None:
    """Inside ``before_effects``, or released by hand; not what fails after it."""
    storage = Kept()
    gate, done = Once(storage), []  # type: ignore[var-annotated]
    with pytest.raises(BoomError):
        await fail(gate, "tok", before=True)
    assert storage.values == {}
    assert await deliver(gate, done)
    async with gate("two") as first:
        first.release()
    assert await deliver(Once(storage), done, "two")
    with pytest.raises(BoomError):
        await fail(gate, "three", before=False)
    assert not await deliver(gate, done, "three")
    # What was handled ended the delivery well: its apology has gone out.
    async with gate("four") as first:
        try:
            with first.before_effects():
                raise BoomError
        except BoomError:
            pass
    assert not await deliver(gate, done, "four")
    assert done == ["run", "run"]


async def test_a_killed_process() -> None:
    """Its claim stays, so nothing is answered twice; ``running_for`` says until when."""
    storage = Kept()
    turn = Once(storage)("tok")
    await turn.__aenter__()  # and never left
    assert not await deliver(Once(storage), [])
    [key] = storage.values
    assert storage.ttls[key] == 86_400.0
    short = Once(storage, running_for=120, namespace="b")("tok")
    await short.__aenter__()
    assert storage.ttls[f"b:{key.partition(':')[2]}"] == 120.0
    await short.__aexit__(None, None, None)
    assert storage.ttls[f"b:{key.partition(':')[2]}"] == 86_400.0


@pytest.mark.parametrize("harmless", [False, True])
async def test_cancelled_at_every_await(harmless: bool) -> None:
    """Entering, it takes its claim back; in the block, only what says that it did nothing."""
    for step in range(40):
        storage = Kept()
        storage.steps = 2
        gate = Once(storage)
        ran: list[str] = []

        async def work(gate: Once = gate, ran: list[str] = ran) -> None:
            async with gate("tok") as first:
                if harmless:
                    with first.before_effects():
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                ran.append("effect")
                await asyncio.sleep(0)

        task = asyncio.create_task(work())
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        entered = bool(ran)
        again = await deliver(gate, [])
        elsewhere = await deliver(Once(storage), [])
        # Never after its effect, and never lost before it.
        if entered:
            assert not again
            assert not elsewhere
        else:
            assert again
            assert not elsewhere
        if task.done() and not task.cancelled():
            break
    else:
        pytest.fail("it never came to its end")


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_storage_that_fails(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery runs, and this process still knows what it did; an event says so."""
    monkeypatch.setattr(once, "_PATIENCE", 0.02)
    seen, done = Seen(), []  # type: ignore[var-annotated]
    storage = Kept()
    if how == "fails":
        storage.broken = {"add", "get", "put", "delete"}
    else:
        storage.steps = 10_000_000
    gate = Once(storage, observers=[seen])
    assert await deliver(gate, done)
    assert not await deliver(gate, done)
    assert done == ["run"]
    assert [type(each).__name__ for each in seen] == [
        "CacheAnswered",
        "CacheStored",
        "CacheAnswered",
    ]
    assert (seen[0].cache, seen[0].result, seen[0].reason) == ("once", "bypass", "storage")
    assert (seen[2].result, seen[2].reason) == ("repeated", "done")
    assert all("tok" not in repr(each) and "marked" not in repr(each) for each in seen)


async def test_refusing_without_a_storage() -> None:
    """The other choice: nothing runs that may have run before, and nothing is remembered."""
    storage = Kept()
    storage.broken = {"add"}
    gate, done = Once(storage, refuse_without_storage=True), []  # type: ignore[var-annotated]
    with pytest.raises(RejectedError) as caught:
        await deliver(gate, done)
    assert caught.value.retryable
    assert "marked" not in str(caught.value)
    storage.broken = set()
    assert await deliver(gate, done)
    assert done == ["run"]


async def test_a_claim_that_was_made_and_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, it is taken back: nobody runs, so the next delivery must."""
    monkeypatch.setattr(once, "_PATIENCE", 0.02)
    storage = Kept()
    add, late = storage.add, [True]

    async def confirmed_late(key: str, value: bytes, /, *, ttl: float) -> bool:
        made = await add(key, value, ttl=ttl)
        if late.pop() if late else False:
            await asyncio.Event().wait()
        return made

    storage.add = confirmed_late  # type: ignore[method-assign]
    gate, done = Once(storage, refuse_without_storage=True), []  # type: ignore[var-annotated]
    with pytest.raises(RejectedError):
        await deliver(gate, done)
    assert storage.values == {}
    assert await deliver(gate, done)
    assert done == ["run"]


async def test_refused_it_takes_back_nobody_elses_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage was too slow to say that another process has it."""
    monkeypatch.setattr(once, "_PATIENCE", 0.02)
    storage = Kept()
    async with Once(storage)("tok") as first:
        assert first
        claimed = dict(storage.values)
        storage.broken = {"add"}
        with pytest.raises(RejectedError):
            await deliver(Once(storage, refuse_without_storage=True), [])
        assert storage.values == claimed


@pytest.mark.parametrize("how", ["before_effects", "release"])
@pytest.mark.parametrize("why", ["it ran out", "it was never made"])
async def test_only_its_own_claim_is_given_back(how: str, why: str) -> None:
    """Another process has the message by now: a third one runs nothing while it is at work."""
    storage = Kept()

    async def harmless() -> None:
        async with Once(storage)("tok") as late:
            assert late
            storage.broken = set()
            if why == "it ran out":
                storage.values.clear()
            assert await other.__aenter__()
            if how == "release":
                late.release()
            else:
                with late.before_effects():
                    raise BoomError

    other = Once(storage)("tok")
    if why == "it was never made":
        storage.broken = {"add"}
    await asyncio.gather(harmless(), return_exceptions=True)
    third = await deliver(Once(storage), [])
    assert (bool(third), third.state) == (False, "running")
    await other.__aexit__(None, None, None)
    assert (await deliver(Once(storage), [])).state == "done"


async def test_the_memory_of_this_process_is_the_running_turns() -> None:
    """Also here: one that ran out forgets nothing of the one that took its place."""
    storage = Kept()
    gate = Once(storage)
    late, other = gate("tok"), gate("tok")
    await late.__aenter__()
    storage.values.clear()
    gate._here.clear()  # as ``running_for`` would
    assert await other.__aenter__()
    late.release()
    await late.__aexit__(None, None, None)
    storage.broken = {"add"}
    assert (await deliver(gate, [])).state == "running"


async def test_what_was_done_late_is_done_all_the_same() -> None:
    """Its claim had run out, and another gives its own back: the answer has gone out."""
    storage = Kept()
    late, other = Once(storage)("tok"), Once(storage)("tok")
    await late.__aenter__()
    storage.values.clear()
    assert await other.__aenter__()
    await late.__aexit__(None, None, None)
    other.release()
    await other.__aexit__(None, None, None)
    assert (await deliver(Once(storage), [])).state == "done"


async def test_a_storage_that_fails_at_the_end() -> None:
    """The handler's own error goes on, and so does its success."""
    storage = Kept()
    storage.broken = {"put", "delete"}
    gate = Once(storage)
    assert await deliver(gate, [])
    with pytest.raises(BoomError):
        async with gate("two"):
            raise BoomError
    assert not await deliver(gate, [], "two")


async def test_nothing_is_shown_and_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are digests; what this process remembers is bounded, what runs is never forgotten."""
    monkeypatch.setattr(once, "_MOST_HERE", 10)
    storage = Kept()
    gate = Once(storage)
    running = gate("running")
    await running.__aenter__()
    for n in range(50):
        await deliver(gate, [], f"tok-{n}")
    assert len(gate._here) == 10
    assert "tok" not in f"{gate!r} {list(storage.values)} {running!r}"
    assert gate._known(running._key) == "running"
    await running.__aexit__(None, None, None)


async def test_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``ttl`` a key counts as new, here as in the storage."""
    gate = Once(Kept(), ttl=60)
    now = [1000.0]
    monkeypatch.setattr(once.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    done: list[str] = []
    assert await deliver(gate, done)
    gate._storage.values.clear()  # type: ignore[attr-defined] # as its own clock would
    assert not await deliver(gate, done)
    now[0] += 61
    assert await deliver(gate, done)


async def test_wrong_use() -> None:
    """Named before anything is claimed."""
    storage = Kept()
    for options in (
        {"ttl": 0},
        {"running_for": -1},
        {"namespace": ""},
        {"ttl": float("inf")},
        {"refuse_without_storage": 1},
    ):
        with pytest.raises(InvalidArgumentError):
            Once(storage, **options)  # type: ignore[arg-type]
    gate = Once(storage)
    for key in ("", None):
        with pytest.raises(InvalidArgumentError):
            gate(key)  # type: ignore[arg-type]
    turn = await deliver(gate, [])
    with pytest.raises(ClosedError):
        turn.release()
    with pytest.raises(LocalProtocolError):
        await turn.__aenter__()
