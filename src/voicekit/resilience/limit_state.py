"""How many calls may be under way at a time: the rules, without a clock or a loop.

1. Places are given first come, first served. Who comes while others wait, waits behind them.
2. There is no bound until somebody names one: the user, a header of the provider's, or a refusal
   for too many at a time.
3. A maximum that the provider names holds from that moment. A limit that stood at the maximum
   before goes up with it; one that was lowered climbs. Providers count kinds of work apart, so
   each operation has a maximum of its own, and the largest bounds all of them together: the
   limit neither jumps with each answer nor holds one kind to what another may.
4. A refusal for too many lowers the limit to a share of what is under way: that was too much,
   whatever the limit said. So does a provider that counts more than it allows, though the
   calls beyond may be another process's.
5. One lowering a round: what was given a place before the last lowering speaks of the time
   before it, in refusals and in successes.
6. After so many successes as the limit is, it goes up by one: as far as the maximum, where one is
   known. Where none is, only successes count that came while half of the limit was in use; what
   nobody tried proves nothing.
7. A refusal for too many *per minute* lowers nothing. It may stop new places for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

W = TypeVar("W", bound=Hashable)

Cause = Literal["told", "refused", "exceeded", "recovered"]

_FRESH: Final = 0.2
"""Weight of the newest place in the average of how long one is held."""
_ROUNDING: Final = 1e-9

# What a refusal counts, by the vendor's code. It decides whether fewer at a time would help.
# Sources: ElevenLabs fact sheet of 2026-11, §5 (the limit is requests in flight; system_busy and
# rate_limit_exceeded are the platform's load and the rate); Deepgram fact sheet, §9 (all limits
# are of concurrency, and what is over is refused at once); OpenAI fact sheet, §2 (requests and
# tokens per minute). A code that is not here, or none, counts as of concurrency: fewer at a time
# helps against either, and a limit that was lowered wrongly climbs again.
_PER_MINUTE: Final = frozenset({"rate_limit_exceeded", "system_busy", "requests", "tokens"})
_AT_A_TIME: Final = frozenset(
    {
        "too_many_concurrent_requests",
        "concurrent_limit_exceeded",
        "max_active_conversations",
        "TOO_MANY_REQUESTS",
    }
)


def counts_of(code: str | None) -> Literal["at_a_time", "per_minute", "unknown"]:
    """What the provider counted when it refused with ``code``."""
    if code in _PER_MINUTE:
        return "per_minute"
    return "at_a_time" if code in _AT_A_TIME else "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """The limit is another one now."""

    limit: int
    previous: int | None
    cause: Cause


class LimitState(Generic[W]):
    """Places under way, who waits for one, and how many there may be.

    Each place has a serial number, by which its end tells the round that it belongs to.

    Attributes:
        limit: How many places there are now; None is no bound.
        maximum: As far as the limit may climb; None where nobody has named a maximum.
        in_flight: How many are taken.
        waiting: Who waits for one, in order.
        serial: Of the place that was given last; the first is 1.
        average_held: Seconds for which a place is held; None before the first came back.
        rejected: How many got no place.
    """

    __slots__ = (
        "_credit",
        "_decrease",
        "_least",
        "_most",
        "_paused_until",
        "_queue",
        "_round",
        "_told",
        "average_held",
        "in_flight",
        "limit",
        "maximum",
        "rejected",
        "serial",
        "waiting",
    )

    def __init__(self, *, most: int | None, least: int, queue: int, decrease: float) -> None:
        self._most, self._least = most, least
        self._queue, self._decrease = queue, decrease
        self._told: dict[str, int] = {}
        self._round = 0
        self._credit = 0
        self._paused_until = 0.0
        self.waiting: OrderedDict[W, Literal[False] | None] = OrderedDict()
        self.limit = self.maximum = most
        self.in_flight = 0
        self.serial = 0
        self.average_held: float | None = None
        self.rejected = 0

    # -- places --

    def enter(self, now: float) -> int:
        """Take a place, if nobody waits and one is free: its serial number, else 0."""
        limit = self.limit
        if (
            self.waiting
            or (limit is not None and self.in_flight >= limit)
            or now < self._paused_until
        ):
            return 0
        self.in_flight += 1
        self.serial += 1
        return self.serial

    def leave(self, held: float | None = None) -> None:
        """A place is free again, after it was ``held`` for so many seconds."""
        self.in_flight -= 1
        if held is not None:
            average = self.average_held
            self.average_held = held if average is None else average + _FRESH * (held - average)

    # -- the queue --

    def join(self, waiter: W) -> bool:
        """Wait for a place; False when the queue is full."""
        if len(self.waiting) >= self._queue:
            return False
        self.waiting[waiter] = None
        return True

    def drop(self, waiter: W) -> bool:
        """Wait no longer; False for one who no longer waits."""
        # One step, lest a garbage collection come between two; the values are all None.
        return self.waiting.pop(waiter, False) is None

    def admit(self, now: float) -> W | None:
        """Give a place to whoever waits longest, if one is free; its number is ``serial``."""
        limit = self.limit
        if (
            not self.waiting
            or (limit is not None and self.in_flight >= limit)
            or now < self._paused_until
        ):
            return None
        waiter, _ = self.waiting.popitem(last=False)
        self.in_flight += 1
        self.serial += 1
        return waiter

    def pause(self, until: float) -> None:
        """Give no new place before ``until``."""
        self._paused_until = max(self._paused_until, until)

    def paused(self, now: float) -> float:
        """Seconds for which no new place is given; 0 in ordinary times."""
        return max(0.0, self._paused_until - now)

    def likely_wait(self, now: float) -> float | None:
        """Seconds until one more who waits would have a place; None if nothing is known."""
        paused = self.paused(now)
        if self.average_held is None or self.limit is None:
            return paused or None
        return paused + self.average_held * (len(self.waiting) + 1) / self.limit

    # -- what is learnt --

    def succeeded(
        self, serial: int, capacity: tuple[int, int] | None = None, operation: str = ""
    ) -> Change | None:
        """The provider has answered.

        Args:
            serial: Of the place.
            capacity: What it says is under way, this one included, and may be.
            operation: For which it says that.
        """
        if capacity is not None and capacity[1] > 0:
            current, maximum = capacity
            previous = self.limit
            if maximum != self._told.get(operation):
                self._tell(operation, maximum)
            if current > maximum:
                if serial > self._round:
                    self._lower()
                return self._change(previous, "exceeded")
            if self.limit != previous:
                return self._change(previous, "told")
        return self._credited(serial)

    def refused(
        self, serial: int, capacity: tuple[int, int] | None = None, operation: str = ""
    ) -> Change | None:
        """The provider has refused for too many at a time; arguments as of ``succeeded``."""
        previous = self.limit
        if capacity is not None and capacity[1] > 0:
            self._tell(operation, capacity[1])
        if serial > self._round:
            self._lower()
        return self._change(previous, "refused")

    def _change(self, previous: int | None, cause: Cause) -> Change | None:
        limit = self.limit
        if limit is None or limit == previous:
            return None
        return Change(limit, previous, cause)

    def _tell(self, operation: str, told: int) -> None:
        before, limit = self.maximum, self.limit
        self._told[operation] = told
        largest = max(self._told.values())
        maximum = self.maximum = max(
            self._least, largest if self._most is None else min(largest, self._most)
        )
        stood_at_it = before is not None and limit is not None and limit >= before
        if limit is None or limit > maximum or stood_at_it:
            self.limit = maximum
            self._credit = 0

    def _lower(self) -> None:
        share = max(self._least, int(self._decrease * self.in_flight + _ROUNDING))
        if self.limit is None or share < self.limit:
            self.limit = share
        self._round = self.serial
        self._credit = 0

    def _credited(self, serial: int) -> Change | None:
        limit, maximum = self.limit, self.maximum
        if limit is None or limit == maximum or serial <= self._round:
            return None
        if maximum is None and 2 * self.in_flight < limit:
            return None
        self._credit += 1
        if self._credit < limit:
            return None
        self._credit = 0
        self.limit = limit + 1
        return Change(limit + 1, limit, "recovered")
