"""How long somebody may take to the first useful output, where only the outside can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from voicekit.checks import is_number
from voicekit.errors import FirstOutputTimeout, InvalidArgumentError, VoicekitError

T = TypeVar("T")


def checked_timeout(timeout: float | None) -> float | None:
    """The argument ``timeout``: positive, or None."""
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        raise InvalidArgumentError(
            f"got {timeout!r}"[:60], argument="timeout", allowed="seconds > 0, or None"
        )
    return timeout


class Patience:
    """A limit that counts from a point which may come later, across several waits.

    Nothing of it belongs to a task between two waits. What takes too long is cancelled.
    """

    __slots__ = ("_due", "_limit", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._due: float | None = None
        self._limit: asyncio.Timeout | None = None

    def start(self) -> None:
        """Count from now, for whoever waits already too."""
        if self.seconds is not None:
            self._set(asyncio.get_running_loop().time() + self.seconds)

    def stop(self) -> None:
        """Nothing is owed."""
        self._set(None)

    def _set(self, due: float | None) -> None:
        self._due = due
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(due)

    async def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``.

        Raises:
            FirstOutputTimeout: It took too long.
        """
        if self.seconds is None:
            return await work()
        limit = asyncio.timeout_at(self._due)
        try:
            async with limit:
                self._limit = limit
                return await work()
        except TimeoutError as error:
            if isinstance(error, VoicekitError) or not limit.expired():
                raise
            raise FirstOutputTimeout(
                f"nothing useful within {self.seconds:g} s", limit=self.seconds
            ) from None
        finally:
            if self._limit is limit:
                self._limit = None
