"""One lazily re-armed timer per stream: the gap and total limits after the commit point.

It counts only while the caller waits for output; useless output (pings, empty
deltas) does not stop the count. Re-arming is a comparison, not a new timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Watchdog:
    """Trips when the caller has waited ``limit`` seconds in all since the last useful output.

    Args:
        loop: Whose clock and timers are used.
        limit: Seconds of waiting allowed between useful outputs, or None. May be changed
            between waits.
        until: Point in ``loop.time()`` at which the whole call must be over, or None.
        trip: Called once, with True when it was ``until`` that passed.
    """

    __slots__ = ("_due", "_handle", "_loop", "_spent", "_trip", "_until", "_waiting_since", "limit")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: float | None,
        until: float | None,
        trip: Callable[[bool], None],
    ) -> None:
        self.limit = limit
        self._loop = loop
        self._until = until
        self._trip = trip
        self._spent = 0.0
        self._waiting_since: float | None = None
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def waiting(self) -> None:
        """The caller waits for the provider from now on, if it did not already."""
        if self._waiting_since is not None:
            return
        self._waiting_since = now = self._loop.time()
        due = None if self.limit is None else now + self.limit - self._spent
        if self._until is not None and (due is None or self._until < due):
            due = self._until
        self._due = due
        if due is None:
            return
        handle = self._handle
        if handle is None:
            self._handle = self._loop.call_at(due, self._fire)
        elif handle.when() > due:
            handle.cancel()
            self._handle = self._loop.call_at(due, self._fire)

    def arrived(self, *, useful: bool) -> None:
        """Something came, or the provider owes nothing more: the wait is over."""
        since = self._waiting_since
        self._waiting_since = self._due = None
        if useful:
            self._spent = 0.0
        elif since is not None:
            self._spent += self._loop.time() - since

    def stop(self) -> None:
        """The stream is over. Idempotent."""
        self._waiting_since = self._due = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        due = self._due
        if due is None:
            return  # nobody waits; the next wait arms it again
        if self._loop.time() < due - 1e-6:
            self._handle = self._loop.call_at(due, self._fire)
            return
        self._waiting_since = self._due = None
        self._trip(self._until is not None and due >= self._until)
