"""A storage that a test can make fail, hang, or lie."""

from __future__ import annotations

import asyncio

from voicekit.cache.storage import StorageStats


class Troubled:
    """A ``Storage`` in a dict.

    Attributes:
        trouble: ``"raises"``, ``"hangs"`` or ``"lies"``; empty for none.
        reading: What a look waits for.
    """

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.values: dict[str, bytes] = {}
        self.ttls: dict[str, float] = {}
        self.reading: asyncio.Event | None = None
        self.closed = 0

    async def _suffer(self) -> None:
        if self.trouble == "raises":
            raise OSError("marked-content")
        if self.trouble == "hangs":
            await asyncio.Event().wait()

    async def get(self, key: str, /) -> bytes | None:
        await self._suffer()
        value = self.values.get(key)
        if self.reading is not None:
            await self.reading.wait()
        if self.trouble == "lies":
            return b'{"v":1,"text":7}'
        return value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        await self._suffer()
        self.values[key] = value
        self.ttls[key] = ttl

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        raise NotImplementedError

    async def delete(self, key: str, /) -> bool:
        return self.values.pop(key, None) is not None

    def stats(self) -> StorageStats:
        return StorageStats(kind="dict", entries=len(self.values))

    async def aclose(self) -> None:
        self.closed += 1
