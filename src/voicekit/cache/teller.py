"""What a cache did, told to whoever observes it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from voicekit import events

if TYPE_CHECKING:
    from collections.abc import Sequence


COUNTED: Final = {"hit": "hits", "joined": "joined", "miss": "misses", "bypass": "bypasses"}
"""What counts the answers of each result."""


class Teller:
    """Builds the records of one cache, and none while nobody observes."""

    __slots__ = ("_cache", "_observers", "_provider")

    def __init__(self, cache: str, provider: str, observers: Sequence[events.Observer]) -> None:
        self._cache = cache
        self._provider = provider
        self._observers = events.Observers.of(observers)

    def answered(
        self,
        operation: str,
        result: str,
        reason: str | None = None,
        *,
        size: int = 0,
        call: int = 0,
    ) -> None:
        """A ``CacheAnswered``."""
        if self._observers is not None:
            self._observers.on_event(
                events.CacheAnswered(
                    at=time.monotonic(),
                    provider=self._provider,
                    operation=operation,
                    call=call,
                    cache=self._cache,
                    result=result,
                    reason=reason,
                    size=size,
                )
            )

    def stored(
        self, operation: str, reason: str | None = None, *, size: int = 0, ttl: float = 0.0
    ) -> None:
        """A ``CacheStored``: it is kept, unless there is a reason why not."""
        if self._observers is not None:
            self._observers.on_event(
                events.CacheStored(
                    at=time.monotonic(),
                    provider=self._provider,
                    operation=operation,
                    cache=self._cache,
                    stored=reason is None,
                    reason=reason,
                    size=size,
                    ttl=ttl,
                )
            )
