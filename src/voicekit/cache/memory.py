"""A storage in this process's memory: least recently used out first, each for its time."""

from __future__ import annotations

import asyncio
import heapq
import math
import os
import threading
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Final

from cachetools import LRUCache

from voicekit.cache.storage import StorageStats
from voicekit.checks import integer, is_number, wrong
from voicekit.errors import ClosedError

__all__ = ["MemoryStorage"]

OVERHEAD: Final = 400
"""Bytes of an entry besides its key and value. Source: measured, tracemalloc, 100,000 entries."""

_SWEPT: Final = 16
"""Entries whose time is over that one operation removes at most: 10,000 together would take
longer than a piece of audio lasts."""

_EVICTED: Final = 64
"""Entries that go to make room before others on the event loop have their turn."""

_LONGEST_S: Final = 10 * 365 * 86_400.0


class _Entry:
    __slots__ = ("expires", "size", "value")

    def __init__(self, value: bytes, size: int, expires: float) -> None:
        self.value = value
        self.size = size
        self.expires = expires

    @property
    def second(self) -> int:
        return int(self.expires)


class MemoryStorage:
    """Keeps up to ``most`` bytes: values, keys, and what Python takes for an entry.

    What was not used for longest goes first. An entry whose time is over is never given out;
    its memory is freed bit by bit by the operations that follow, so that a great many which
    are over at once hold up nobody.

    May be used by several event loops and threads at once: every step is under a lock which
    is held for microseconds and never across an ``await``.

    Args:
        most: Bytes in all.
        most_item: Bytes of one entry; what is larger is not kept. None is all there is.
        secret: What the names of entries are keyed with; None draws one, so that what is here
            can only be found by those who share this storage.
        clock: Seconds that never go backwards.

    Raises:
        InvalidArgumentError: An argument makes no sense.
    """

    def __init__(
        self,
        most: int = 64 << 20,
        *,
        most_item: int | None = None,
        secret: str | bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = integer(1)("most", most)
        self._most_item = most if most_item is None else integer(1, most)("most_item", most_item)
        self.secret: str | bytes = os.urandom(32) if secret is None else secret
        self._clock = clock
        self._kept: LRUCache[str, _Entry] = LRUCache(most, getsizeof=attrgetter("size"))
        # Keys by the second in which their time is over, and these seconds in order: one that is
        # overwritten leaves its second at once, where a heap of entries would keep a corpse.
        self._due: dict[int, dict[str, None]] = {}
        self._seconds: list[int] = []
        self._lock = threading.Lock()
        self._closed = False
        self._hits = self._misses = self._evicted = self._expired = 0

    async def get(self, key: str, /) -> bytes | None:
        """See ``Storage.get``.

        Raises:
            ClosedError: After ``aclose``.
        """
        with self._lock:
            now = self._sweep()
            entry = self._current(key, now)
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            return entry.value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """See ``Storage.put``. In place of what is larger than may be kept, there is nothing.

        Raises:
            InvalidArgumentError: ``ttl`` is no number.
            ClosedError: After ``aclose``.
        """
        await self._insert(key, value, ttl, replace=True)

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """See ``Storage.add``; False also of what is larger than may be kept.

        Raises:
            InvalidArgumentError: ``ttl`` is no number.
            ClosedError: After ``aclose``.
        """
        return await self._insert(key, value, ttl, replace=False)

    async def delete(self, key: str, /) -> bool:
        """Forget it; whether it was there.

        Raises:
            ClosedError: After ``aclose``.
        """
        with self._lock:
            now = self._sweep()
            there = self._current(key, now) is not None
            if there:
                self._remove(key)
            return there

    def stats(self) -> StorageStats:
        """A look at it; entries whose time is over count until their memory is freed."""
        with self._lock:
            return StorageStats(
                kind="memory",
                entries=len(self._kept),
                size=int(self._kept.currsize),
                most=self._most,
                hits=self._hits,
                misses=self._misses,
                evicted=self._evicted,
                expired=self._expired,
            )

    async def aclose(self) -> None:
        """Forget everything; may be called twice."""
        with self._lock:
            self._closed = True
            self._kept.clear()
            self._due.clear()
            self._seconds.clear()

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<MemoryStorage {stats.entries} entries {stats.size} of {stats.most} bytes>"

    # -- under the lock --

    async def _insert(self, key: str, value: bytes, ttl: float, *, replace: bool) -> bool:
        if not is_number(ttl) or math.isnan(ttl):
            raise wrong("ttl", ttl, "seconds")
        size = len(key) + len(value) + OVERHEAD
        while True:
            with self._lock:
                now = self._sweep()
                old = self._current(key, now)
                if old is not None and not replace:
                    return False
                if size > self._most_item or ttl <= 0:
                    if old is not None:
                        self._remove(key)
                    return False
                if self._make_room(size - (0 if old is None else old.size)):
                    if key in self._kept:
                        self._remove(key)
                    self._keep(key, _Entry(bytes(value), size, now + min(ttl, _LONGEST_S)))
                    return True
            # One great value may take the room of thousands of small ones.
            await asyncio.sleep(0)

    def _make_room(self, size: int) -> bool:
        for _ in range(_EVICTED):
            if self._kept.currsize + size <= self._most:
                return True
            key, entry = self._kept.popitem()
            self._forget(key, entry)
            self._evicted += 1
        return bool(self._kept.currsize + size <= self._most)

    def _keep(self, key: str, entry: _Entry) -> None:
        self._kept[key] = entry
        second = entry.second
        due = self._due.get(second)
        if due is None:
            due = self._due[second] = {}
            heapq.heappush(self._seconds, second)
        due[key] = None

    def _current(self, key: str, now: float) -> _Entry | None:
        try:
            entry = self._kept[key]
        except KeyError:
            return None
        if entry.expires > now:
            return entry
        self._remove(key)
        self._expired += 1
        return None

    def _remove(self, key: str) -> None:
        self._forget(key, self._kept.pop(key))

    def _forget(self, key: str, entry: _Entry) -> None:
        # An empty second stays until its time, lest it be there twice.
        self._due[entry.second].pop(key, None)

    def _sweep(self) -> float:
        """Free some of what is over; returns the time."""
        if self._closed:
            raise ClosedError("the storage is closed")
        now = self._clock()
        seconds = self._seconds
        for _ in range(_SWEPT):
            if not seconds or seconds[0] + 1 > now:
                break
            due = self._due[seconds[0]]
            if due:
                key, _nothing = due.popitem()
                del self._kept[key]
                self._expired += 1
            else:
                del self._due[heapq.heappop(seconds)]
        return now
