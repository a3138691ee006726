"""One timer per event loop for the limits of every call on it.

A timer of its own costs a call several microseconds each time it is set, moved and
cancelled, and leaves its corpse in the loop's heap. Almost no limit ever passes, so
the limits stand in a set, and the loop holds one timer for the earliest of them;
moving a limit further away is an assignment. Exact: the timer is never later than
the earliest limit that is set.
"""

from __future__ import annotations

import asyncio

_EARLY = 1e-6  # Seconds by which a loop may call back too soon; not worth another timer.


class Alarm:
    """A point in ``loop.time()`` at which something must be done about a call.

    Derived from, not told what to do: a bound method of whoever has it would be a cycle for
    each call, and keep its client until the collector comes.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0

    def ring(self) -> None:
        """Do it."""
        raise NotImplementedError


class AlarmClock:
    """The alarms of one event loop."""

    __slots__ = ("_armed_at", "_handle", "_loop", "_set")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set: set[Alarm] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._armed_at = 0.0

    def set(self, alarm: Alarm, due: float) -> None:
        """Ring ``alarm`` at ``due``, and not at any earlier time set before."""
        alarm.due = due
        self._set.add(alarm)
        if self._handle is None or due < self._armed_at:
            self._arm(due)

    def clear(self, alarm: Alarm) -> None:
        """Do not ring. Idempotent."""
        self._set.discard(alarm)

    def __len__(self) -> int:
        return len(self._set)

    def _arm(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed_at = due
        self._handle = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._loop.time() + _EARLY
        ringing = [alarm for alarm in self._set if alarm.due <= now]
        self._set.difference_update(ringing)
        if self._set:
            self._arm(min(alarm.due for alarm in self._set))
        for alarm in ringing:
            try:
                alarm.ring()
            except Exception as error:  # noqa: BLE001 - the other calls' limits hold all the same
                self._loop.call_exception_handler(
                    {"message": "a voicekit limit could not be kept", "exception": error}
                )


# A clock holds its loop, so weak references would keep both; closed loops are dropped instead.
_clocks: dict[asyncio.AbstractEventLoop, AlarmClock] = {}


def alarm_clock(loop: asyncio.AbstractEventLoop) -> AlarmClock:
    """The one clock of ``loop``."""
    clock = _clocks.get(loop)
    if clock is None:
        for other in list(_clocks):
            if other.is_closed():
                _clocks.pop(other, None)
        clock = _clocks[loop] = AlarmClock(loop)
    return clock
