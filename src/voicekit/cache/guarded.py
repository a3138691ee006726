"""A storage that may fail, hang or lie, asked so that a call never notices more than a moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from voicekit.cache.storage import Storage
from voicekit.checks import is_number, wrong

_log = logging.getLogger("voicekit.cache")

_WRITE_S: Final = 2.0
"""Seconds for a write, which nobody waits for."""
_FAILURES: Final = 3
"""In a row, until it is left alone for a while."""
_FIRST_REST_S: Final = 1.0
_LONGEST_REST_S: Final = 30.0


class StorageTrouble(Exception):  # noqa: N818 - an event here, never a caller's error
    """The storage failed, was too slow, or is being left alone for that."""


class Guarded:
    """Asks a storage within a limit, and not at all for a while when it keeps failing.

    After three failures in a row it rests for 1 s, then for twice as long after each next
    failure, up to 30 s; so one that hangs delays three calls by ``timeout``, and then one
    call at a time now and then.

    Raises:
        InvalidArgumentError: The timeout is not positive.
    """

    __slots__ = ("_clock", "_in_a_row", "_rest", "_until", "failures", "storage", "timeout")

    def __init__(
        self,
        storage: Storage,
        *,
        timeout: float = 0.02,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not is_number(timeout) or not timeout > 0:
            raise wrong("storage_timeout", timeout, "seconds > 0")
        self.storage = storage
        self.timeout = timeout
        self.failures = 0
        self._clock = clock
        self._in_a_row = 0
        self._rest = _FIRST_REST_S
        self._until = 0.0

    @property
    def resting(self) -> bool:
        """Whether it is being left alone."""
        return self._in_a_row >= _FAILURES and self._clock() < self._until

    async def get(self, *keys: str) -> tuple[str, bytes] | None:
        """The first of these that is kept, with its key; all within one limit.

        Raises:
            StorageTrouble: It cannot say.
        """
        self._check()
        found = None
        try:
            async with asyncio.timeout(self.timeout):
                for key in keys:
                    value = await self.storage.get(key)
                    if value is not None:
                        found = key, value
                        break
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a miss
            raise self._failed(error) from None
        self._fine()
        return found

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep it; has two seconds.

        Raises:
            StorageTrouble: It did not.
        """
        self._check()
        try:
            async with asyncio.timeout(_WRITE_S):
                await self.storage.put(key, value, ttl=ttl)
        except Exception as error:  # noqa: BLE001
            raise self._failed(error) from None
        self._fine()

    def _check(self) -> None:
        if self.resting:
            raise StorageTrouble("it is left alone for a while")
        if self._in_a_row >= _FAILURES:
            # The one that tries; others go on without, until it is known how that went.
            self._until = self._clock() + self._rest

    def _fine(self) -> None:
        self._in_a_row = 0
        self._rest = _FIRST_REST_S

    def _failed(self, error: Exception) -> StorageTrouble:
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row >= _FAILURES:
            if self._in_a_row == _FAILURES:
                _log.warning("the storage keeps failing: %s", type(error).__name__)
            else:
                self._rest = min(2 * self._rest, _LONGEST_REST_S)
            self._until = self._clock() + self._rest
        return StorageTrouble(type(error).__name__)
