"""A storage in memory keeps to its bytes, its times, and a bounded piece of work at a time."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import tracemalloc
from typing import Any

import pytest
from cachetools import LRUCache

from voicekit import ClosedError, InvalidArgumentError, MemoryStorage
from voicekit.cache.memory import _EVICTED, _SWEPT, OVERHEAD

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def room_for(entries: int, size: int = 100) -> int:
    """Bytes for so many entries of keys of one character."""
    return entries * (size + 1 + OVERHEAD)


def check_books(storage: MemoryStorage) -> None:
    """What is kept, what is due and what is counted are one."""
    due = {key for keys in storage._due.values() for key in keys}
    assert due == set(storage._kept)
    assert set(storage._due) == set(storage._seconds)
    sizes = sum(entry.size for entry in storage._kept.values())
    assert storage.stats().size == sizes <= storage._most


async def test_it_keeps_what_it_is_given_for_its_time(clock: Clock) -> None:
    """To the fraction of a second; deleting and overwriting included."""
    storage = MemoryStorage(clock=clock)
    await storage.put("a", b"1", ttl=10.5)
    clock.now += 10.4
    assert await storage.get("a") == b"1"
    await storage.put("a", b"2", ttl=1.0)
    clock.now += 0.9
    assert await storage.get("a") == b"2"
    clock.now += 0.1
    assert await storage.get("a") is None
    assert await storage.delete("a") is False
    await storage.put("a", b"3", ttl=1)
    assert await storage.delete("a") is True
    assert await storage.get("a") is None
    stats = storage.stats()
    assert (stats.hits, stats.misses, stats.expired, stats.entries, stats.size) == (2, 2, 1, 0, 0)
    check_books(storage)


async def test_what_was_not_used_for_longest_goes_first() -> None:
    """Within the bytes that it may have, keys and overhead included."""
    storage = MemoryStorage(room_for(3))
    for key in "abc":
        await storage.put(key, bytes(100), ttl=60)
    assert await storage.get("a") is not None
    await storage.put("d", bytes(100), ttl=60)
    assert [key for key in "abcd" if await storage.get(key)] == ["a", "c", "d"]
    await storage.put("c", bytes(200), ttl=60)
    assert storage.stats().evicted == 2
    assert await storage.get("a") is None
    check_books(storage)


async def test_what_is_too_large_is_not_kept_nor_what_it_replaces() -> None:
    """Nothing else goes for it."""
    storage = MemoryStorage(room_for(3), most_item=room_for(1))
    await storage.put("a", bytes(100), ttl=60)
    await storage.put("b", bytes(100), ttl=60)
    await storage.put("a", bytes(101), ttl=60)
    assert await storage.get("a") is None
    assert await storage.get("b") is not None
    assert await storage.add("c", bytes(101), ttl=60) is False
    check_books(storage)


async def test_of_several_who_add_one_is_first(clock: Clock) -> None:
    """Until its time is over."""
    storage = MemoryStorage(clock=clock)
    first = await asyncio.gather(*(storage.add("a", b"%d" % n, ttl=5) for n in range(20)))
    assert first.count(True) == 1
    assert await storage.get("a") == b"%d" % first.index(True)
    clock.now += 5
    assert await storage.add("a", b"x", ttl=5) is True
    check_books(storage)


async def test_a_hundred_thousand_that_are_over_together_hold_up_nobody(clock: Clock) -> None:
    """No operation frees more than a few; after enough of them all memory is free."""
    storage = MemoryStorage(1 << 30, clock=clock)
    many = 100_000
    for number in range(many):
        await storage.put(str(number), b"x", ttl=60)
    clock.now += 61.5
    before = 0
    for number in range(many // _SWEPT + 1):
        operation: Any = (
            storage.get("k"),
            storage.put("k", b"y", ttl=60),
            storage.delete("k"),
            storage.add("k", b"z", ttl=60),
        )
        for index, each in enumerate(operation):
            if index == number % 4:
                await each
            else:
                each.close()
        freed = storage.stats().expired - before
        assert freed <= _SWEPT
        before += freed
        assert await storage.get("0") is None, "what is over is never given out"
        before = storage.stats().expired
    assert before == many
    assert (storage.stats().entries or 0) <= 1
    check_books(storage)


async def test_room_for_a_great_one_is_made_in_small_pieces() -> None:
    """Others have their turn between; and it is whole or not there."""
    small = 2_000
    storage = MemoryStorage(small * (OVERHEAD + 10))
    for number in range(small):
        await storage.put(f"{number:05}", b"12345", ttl=60)
    evicted: list[int] = []

    async def watch() -> None:
        while not done.is_set():
            evicted.append(storage.stats().evicted)
            await asyncio.sleep(0)

    done = asyncio.Event()
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    great = bytes(storage._most - OVERHEAD - 1)
    await storage.put("g", great, ttl=60)
    done.set()
    await watching
    steps = [b - a for a, b in itertools.pairwise(evicted)]
    assert max(steps) <= _EVICTED
    assert await storage.get("g") == great
    check_books(storage)
    task = asyncio.create_task(storage.put("g", great[:-1], ttl=60))
    task.cancel()
    await asyncio.wait([task])
    assert await storage.get("g") == great


async def test_an_entry_takes_what_it_says() -> None:
    """``most`` is of the process's memory, nearly."""
    storage = MemoryStorage(1 << 30)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10_000):
            await storage.put(f"speech:{number:040}", b"x" * 50, ttl=3600)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    told = storage.stats().size
    assert told is not None
    assert 0.6 * told < taken < 1.4 * told


def test_threads_may_share_it() -> None:
    """Its books hold whoever writes at the same time."""
    storage = MemoryStorage(room_for(50))
    failed: list[BaseException] = []

    async def work(number: int) -> None:
        for step in range(300):
            key = chr(97 + (step * 7 + number) % 26)
            await storage.put(key, bytes(100), ttl=60 if step % 3 else 1e-9)
            await storage.get(key)
            await storage.add(key, b"x", ttl=60)
            await storage.delete(chr(97 + step % 26))

    def run(number: int) -> None:
        try:
            asyncio.run(work(number))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not failed
    check_books(storage)


async def test_every_step_is_under_its_lock(clock: Clock) -> None:
    """What two threads would break once in a million times."""
    storage = MemoryStorage(room_for(3), clock=clock)
    touched: list[str] = []
    watching = False

    class Watched(LRUCache[str, Any]):
        def __getattribute__(self, name: str) -> Any:
            if watching and not name.startswith("_"):
                assert storage._lock.locked(), name
                touched.append(name)
            return super().__getattribute__(name)

        def __getitem__(self, key: str) -> Any:
            assert storage._lock.locked()
            touched.append("get")
            return super().__getitem__(key)

    storage._kept = Watched(room_for(3), getsizeof=lambda entry: entry.size)
    watching = True
    for number in range(5):
        await storage.put(str(number), bytes(100), ttl=60)
        await storage.get("0")
        await storage.add("a", bytes(100), ttl=60)
        await storage.delete("a")
        storage.stats()
    clock.now += 62
    await storage.get("4")
    await storage.aclose()
    assert {"popitem", "get", "pop", "currsize", "clear"} <= set(touched)


@pytest.mark.parametrize("arguments", [{"most": 0}, {"most": 10, "most_item": 11}, {"most": "1"}])
def test_bounds_that_make_no_sense_are_refused(arguments: Any) -> None:
    """By name."""
    with pytest.raises(InvalidArgumentError, match="most"):
        MemoryStorage(**arguments)


@pytest.mark.parametrize("ttl", [float("nan"), "60", None])
async def test_a_time_that_makes_no_sense_is_refused(ttl: Any) -> None:
    """And one that is over at once keeps nothing; one without end is long."""
    storage = MemoryStorage()
    with pytest.raises(InvalidArgumentError, match="ttl"):
        await storage.put("a", b"x", ttl=ttl)
    await storage.put("a", b"x", ttl=float("inf"))
    assert await storage.get("a") == b"x"
    await storage.put("a", b"x", ttl=0)
    assert await storage.get("a") is None


async def test_a_closed_one_says_so() -> None:
    """Twice closed is closed; nothing of it stays."""
    storage = MemoryStorage()
    await storage.put("a", b"x", ttl=60)
    await storage.aclose()
    await storage.aclose()
    assert storage.stats().entries == 0
    with pytest.raises(ClosedError):
        await storage.get("a")
    with pytest.raises(ClosedError):
        await storage.put("a", b"x", ttl=60)
    assert "x" not in repr(storage).split("entries")[0]
