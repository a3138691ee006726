"""What a store of sessions holds, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from voicekit.cache.stored_session import StoredSession


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStoreStats:
    """A look at a store.

    Attributes:
        open: Sessions that are open.
        opening: Those that are being opened.
        in_use: Those that somebody holds.
        opened: How many were opened so far.
        resumed: How many of them by their id.
        reused: How often an open one served.
        joined: How often a caller waited for one that was being opened already.
        expired: How many ended because nobody used them for ``ttl``.
        evicted: How many ended to make room.
        ended: How many the agent ended, or a caller did.
        failures: How many could not be opened, or not be ended politely.
        storage_failures: How often the storage failed.
    """

    open: int
    opening: int
    in_use: int
    opened: int
    resumed: int
    reused: int
    joined: int
    expired: int
    evicted: int
    ended: int
    failures: int
    storage_failures: int


class Held:
    """One conversation's session, or the opening of it."""

    __slots__ = ("key", "opening", "session", "used_at", "users")

    def __init__(self, key: str) -> None:
        self.key = key
        self.session: StoredSession | None = None
        self.opening: asyncio.Task[Any] | None = None
        self.users = 0
        self.used_at = 0.0
