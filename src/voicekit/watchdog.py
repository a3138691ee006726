"""The gap and total limits of one stream or session, after its commit point.

It counts only while the caller waits for output; useless output (pings, empty
deltas) does not stop the count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voicekit.alarms import Alarm, alarm_clock


class Watchdog(Alarm):
    """Trips when the caller has waited ``limit`` seconds in all since the last useful output.

    Args:
        loop: Whose clock and timer are used.
        limit: Seconds of waiting allowed between useful outputs, or None. May be changed
            between waits.
        until: Point in ``loop.time()`` at which the whole call must be over, or None.
        trip: Called once, with True when it was ``until`` that passed.
    """

    __slots__ = (
        "_clock",
        "_loop",
        "_spent",
        "_trip",
        "_until",
        "_waiting_since",
        "limit",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: float | None,
        until: float | None,
        trip: Callable[[bool], None],
    ) -> None:
        super().__init__()
        self.limit = limit
        self._loop = loop
        self._clock = alarm_clock(loop)
        self._until = until
        self._trip = trip
        self._spent = 0.0
        self._waiting_since: float | None = None

    def waiting(self) -> None:
        """The caller waits for the provider from now on, if it did not already."""
        if self._waiting_since is not None:
            return
        self._waiting_since = now = self._loop.time()
        due = None if self.limit is None else now + self.limit - self._spent
        if self._until is not None and (due is None or self._until < due):
            due = self._until
        if due is not None:
            self._clock.set(self, due)

    def arrived(self, *, useful: bool) -> None:
        """Something came, or the provider owes nothing more: the wait is over."""
        since = self._waiting_since
        self._waiting_since = None
        self._clock.clear(self)
        if useful:
            self._spent = 0.0
        elif since is not None:
            self._spent += self._loop.time() - since

    def stop(self) -> None:
        """The stream is over, and no longer held. Idempotent."""
        self._waiting_since = None
        self._clock.clear(self)
        self._trip = _nothing

    def ring(self) -> None:
        """Trip."""
        self._waiting_since = None
        self._trip(self._until is not None and self.due >= self._until)


def _nothing(_total: bool) -> None:
    pass
