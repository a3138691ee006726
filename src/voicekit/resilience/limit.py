"""``Limit``: as many calls at a time as the provider takes, and a queue for the rest.

The rules are in ``limit_state``; here are the futures, the timers and the way back of a place.

A place is held until the *call* ends, not only while it opens: a stream or a session occupies
the provider all the time. Whoever forgets a stream has it ended by the garbage collector, in
whichever thread that runs and between any two steps of this file. So what comes back is only
put down there, and taken up by the event loop that the limit works on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Final, TypeVar

from voicekit import events
from voicekit.checks import is_integer
from voicekit.errors import OverloadedError, RateLimitError
from voicekit.resilience.guard import Guard, check, number
from voicekit.resilience.limit_state import LimitState, counts_of
from voicekit.resilience.waiting import skipping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.operation import Call
    from voicekit.resilience.limit_state import Change

T = TypeVar("T")

_TICK: Final = 0.001
"""Seconds. A loop may call back a little early; what is left then is not worth a spin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStats:
    """How full it is, and what was seen.

    Attributes:
        limit: Calls that may be under way at a time; None while there is no bound.
        in_flight: Calls under way.
        queued: Calls that wait for a place.
        rejected: Calls that got none.
        known_maximum: As far as the limit may climb: by the user, by the provider, or the
            smaller of both; None where neither has said.
        waited_s: Seconds that calls have waited, all together.
    """

    limit: int | None
    in_flight: int
    queued: int
    rejected: int
    known_maximum: int | None
    waited_s: float


class Limit(Guard):
    """Bounds how many calls of a credential are under way at a time; the others queue.

    Without ``most`` there is no bound until the provider shows one: it names its maximum in a
    header, or refuses a call because too many are under way. Refused, the limit goes down to
    ``decrease`` × what was under way, once for all calls of that moment; afterwards it climbs by
    one for as many successes as it is. Refusals that count calls *per minute* lower nothing;
    their ``Retry-After`` is waited for by every call, if it is no longer than ``max_wait``.

    An attempt that finds no place waits in order, before anything is sent. Cancelled while it
    waits, it leaves no trace, also when its place was on the way. Two attempts of one call
    (a hedge) hold two places; the second does not wait for one. Works on one event loop at a
    time.

    Args:
        most: Calls at a time, whatever the provider says; None: what the provider says.
        least: Below this the limit never goes.
        queue: Calls that may wait; the next one is turned away at once.
        max_wait: Seconds that a call may wait; less, when it has less left.
        decrease: Share of the calls under way that is left when they were too many.
        clock: Monotonic seconds.

    Raises:
        InvalidArgumentError: An argument makes no sense.
        OverloadedError: From a call, when it got no place. Nothing was sent.

    Example:
        >>> limit = Limit(10)
        >>> clips = await asyncio.gather(*(limit.run(partial(tts.synthesize, t)) for t in texts))
    """

    def __init__(
        self,
        most: int | None = None,
        *,
        least: int = 1,
        queue: int = 100,
        max_wait: float = 5.0,
        decrease: float = 0.7,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        counts = [("least", least, 1), ("most", most, least), ("queue", queue, 0)]
        for name, count, fewest in counts:
            if count is not None or name != "most":
                good = is_integer(count) and count >= fewest
                check(name, count, good, f"a whole number ≥ {fewest}")
        check("max_wait", max_wait, 0 <= number(max_wait) < math.inf, "seconds ≥ 0")
        check("decrease", decrease, 0 < number(decrease) < 1, "a number between 0 and 1")
        self._settings = {
            "most": most,
            "least": least,
            "queue": queue,
            "max_wait": max_wait,
            "decrease": decrease,
            "clock": clock,
        }
        self.most, self.least, self.queue = most, least, queue
        self.max_wait, self.decrease = max_wait, decrease
        self._clock = clock
        self._state: LimitState[asyncio.Future[int]] = LimitState(
            most=most, least=least, queue=queue, decrease=decrease
        )
        self._waited_s = 0.0
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._kept: dict[int, _Place] = {}
        self._returned: deque[_Place] = deque()
        self._settling = False

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` once, with a place.

        Raises:
            OverloadedError: There was none in time.
        """
        if self._returned:
            self._settle()
        if call.id in self._kept:
            # A session's next connection takes the place of the one before.
            return await step(call)
        self._thread = get_ident()
        now = self._clock()
        serial = self._state.enter(now)
        place = _Place(self, call.id, serial, now) if serial else await self._wait(call, now)
        try:
            result = await step(call)
        except BaseException as error:
            try:
                if isinstance(error, RateLimitError):
                    self._refused(call, place, error)
            finally:
                place.release()
            raise
        self._kept[call.id] = place
        call.at_end(place.release)
        change = self._state.succeeded(place.serial, call.capacity, call.operation.name)
        if change is not None:
            self._changed(call, change)
        return result

    def stats(self) -> LimitStats:
        """How full it is now, and what was seen."""
        state = self._state
        put_down = {place for place in tuple(self._returned) if place.held}
        return LimitStats(
            limit=state.limit,
            in_flight=state.in_flight - len(put_down),
            queued=len(state.waiting),
            rejected=state.rejected,
            known_maximum=state.maximum,
            waited_s=self._waited_s,
        )

    def __repr__(self) -> str:
        most = "as the provider allows" if self.most is None else f"≤ {self.most}"
        return f"limit ({most}, queue {self.queue} for {self.max_wait:g} s)"

    # -- waiting --

    async def _wait(self, call: Call, since: float) -> _Place:
        state = self._state
        left = call.remaining()
        hurried = left is not None and left < self.max_wait
        allowed = left if left is not None and hurried else self.max_wait
        if (pause := state.paused(since)) >= allowed > 0:
            raise self._overloaded(
                f"the provider asked for a pause, of which {pause:.3g} s are left: "
                f"longer than the {allowed:.3g} s that the call may wait"
            )
        if call.root is not call:
            # It would wait in the place of a call that has none, for one that has.
            raise OverloadedError("no place is free for a second attempt")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._resume = loop, None
        future: asyncio.Future[int] = loop.create_future()
        if allowed <= 0 or not state.join(future):
            raise self._overloaded(f"no place is free, and {len(state.waiting)} calls wait already")
        timer = loop.call_later(allowed, self._give_up, future)
        call.queue_since = since
        try:
            try:
                if call.observer is not None:
                    call.emit(events.Queued, depth=len(state.waiting))
                self._settle()
                serial = await future
            finally:
                timer.cancel()
                now = self._clock()
                self._waited_s += now - since
                call.queue_s += now - since
                call.queue_since = None
                if call.observer is not None:
                    call.emit(events.Waited, seconds=now - since)
        except BaseException:
            # Perhaps in the moment in which it was given a place.
            given = future.done() and not future.cancelled() and future.result()
            if not state.drop(future) and given:
                state.leave()
                self._settle()
            self._plan()
            raise
        if not serial:
            all_there_was = ", which was all that the call had left" if hurried else ""
            raise self._overloaded(f"no place came free within {allowed:.3g} s{all_there_was}")
        return _Place(self, call.id, serial, now)

    def _give_up(self, future: asyncio.Future[int]) -> None:
        """It has waited for as long as it may."""
        if self._state.drop(future) and not future.done():
            future.set_result(0)
        self._plan()

    def _overloaded(self, reason: str) -> OverloadedError:
        state = self._state
        state.rejected += 1
        bound = "" if state.limit is None else f" (at most {state.limit} at a time)"
        wait = state.likely_wait(self._clock())
        return OverloadedError(reason + bound, retry_after=self.max_wait if wait is None else wait)

    # -- learning --

    def _refused(self, call: Call, place: _Place, error: RateLimitError) -> None:
        counted = counts_of(error.code)
        pause = error.retry_after
        # Too many at a time: a place comes free when a call of ours ends, not by waiting.
        asked = counted != "at_a_time" and pause is not None and 0 < pause <= self.max_wait
        if asked and not skipping():
            self._state.pause(self._clock() + (pause or 0.0))
        if counted != "per_minute":
            change = self._state.refused(place.serial, call.capacity, call.operation.name)
            if change is not None:
                self._changed(call, change)

    def _changed(self, call: Call, change: Change) -> None:
        self._settle()
        if call.observer is not None:
            call.emit(
                events.LimitChanged,
                limit=change.limit,
                previous=change.previous,
                cause=change.cause,
            )

    # -- places on their way back --

    def _call_home(self) -> None:
        """Another thread has put a place down; its taker matters only to who waits."""
        if self._state.waiting and self._loop is not None:
            # If it was closed just now, the next call takes the place up.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        """Take up returned places, and hand out what is free.

        A garbage collection inside may come here again: it has put its place down by then,
        and the one that is at work takes it up.
        """
        if self._settling:
            return
        self._settling = True
        try:
            state, returned = self._state, self._returned
            now = self._clock()
            while True:
                while returned:
                    place = returned.popleft()
                    if place.held:
                        place.held = False
                        if self._kept.get(place.call_id) is place:
                            del self._kept[place.call_id]
                        state.leave(now - place.since)
                if not state.waiting:
                    break
                future = state.admit(now)
                if future is None:
                    if not returned:
                        break
                elif future.done() or future.get_loop().is_closed():
                    state.leave()  # its caller was cancelled in this turn, or will never wake
                else:
                    future.set_result(state.serial)
        finally:
            self._settling = False
        if self._resume is not None or state.waiting:
            self._plan()

    def _plan(self) -> None:
        """While the provider has us pause, look again when it is over, if somebody waits."""
        state = self._state
        pause = state.paused(self._clock()) if state.waiting else 0.0
        if not pause:
            if self._resume is not None:
                self._resume.cancel()
                self._resume = None
        elif self._resume is None and self._loop is not None and not self._loop.is_closed():
            self._resume = self._loop.call_later(max(pause, _TICK), self._resumed)

    def _resumed(self) -> None:
        self._resume = None
        self._settle()


class _Place:
    """One of the calls under way."""

    __slots__ = ("_limit", "call_id", "held", "serial", "since")

    def __init__(self, limit: Limit, call_id: int, serial: int, since: float) -> None:
        self._limit = limit
        self.call_id = call_id
        self.serial = serial
        self.since = since
        self.held = True

    def release(self) -> None:
        """Give it back. From any thread, more than once."""
        limit = self._limit
        limit._returned.append(self)
        if get_ident() == limit._thread:
            limit._settle()
        else:
            limit._call_home()
