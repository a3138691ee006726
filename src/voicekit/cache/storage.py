"""Where caches keep what they keep: the seam that memory, files and servers stand behind.

Values are bytes that their owner has encoded, never pickles. Keys are keyed digests, so that
a short phrase cannot be guessed from one; each owner keeps to a namespace of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Storage", "StorageStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStats:
    """A look at a storage; what it cannot know is None.

    Attributes:
        kind: ``"memory"``, ``"sqlite"``, ``"redis"``, or a user's own word.
        entries: How many there are.
        size: Their bytes.
        most: Bytes that there may be.
        hits: How often a key was there.
        misses: How often it was not.
        evicted: How many went to make room.
        expired: How many went because their time was over.
        failures: How often the storage itself failed.
    """

    kind: str
    entries: int | None = None
    size: int | None = None
    most: int | None = None
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0
    failures: int = 0


class Storage(Protocol):
    """Bytes by key, each for a time. Safe for many tasks at once.

    A storage that fails raises; whoever uses it decides what that means (for a cache: a miss).
    Cancelling any of these leaves either the old value or the new one.
    """

    async def get(self, key: str, /) -> bytes | None:
        """What is kept, or None when there is nothing or its time is over."""
        ...

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """Keep it for ``ttl`` seconds from now, instead of what was there.

        What is larger than the storage may hold is not kept, and that is no error.
        """
        ...

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """Keep it only if nothing is there: of several callers at once, one gets True."""
        ...

    async def delete(self, key: str, /) -> bool:
        """Forget it; whether it was there."""
        ...

    def stats(self) -> StorageStats:
        """A look at it; no I/O."""
        ...

    async def aclose(self) -> None:
        """Free everything; may be called twice."""
        ...
