"""A second attempt beside a first one that is late: whichever is there first is the answer.

Hedging is for the slow tail, not for failures: it costs a few requests more and takes the
slowest calls from the provider's rare hiccup down to an ordinary answer after a short wait.
What failed is ``Retry``'s affair; an operation has one or the other.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from voicekit import events
from voicekit.errors import RejectedError
from voicekit.operation import OperationClass
from voicekit.resilience.budget import PATTERN, own_or
from voicekit.resilience.guard import Guard, check, number
from voicekit.resilience.latency import RecentQuantile
from voicekit.resilience.race import Race

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from voicekit.operation import Call
    from voicekit.resilience.budget import Budget
    from voicekit.resilience.race import Attempt

T = TypeVar("T")

_MAY_BE_DOUBLED: Final = frozenset({OperationClass.PURE, OperationClass.COMPUTE})
"""Not idempotent ones: they are harmless when repeated one after the other, and at the same time
they may still collide."""
_TURNS: Final = 3
"""Turns of the event loop from "the socket can be read" to "the attempt has ended": the reader is
woken, it reads, its task ends."""
_EARLY: Final = 1e-6
_TICK: Final = 0.005
"""Seconds. A timer may ring a little early; and it is no use to look again sooner than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStats:
    """What a ``Hedge`` has seen and done.

    Attributes:
        calls: Calls that might have been hedged.
        hedges: Second attempts that were begun.
        wins: Second attempts that were quicker than the first.
        after: Seconds after which a second attempt begins now; None while that is not known.
        loser_s: Seconds that losing attempts ran, all together: what the provider did for
            nothing, and may charge.
    """

    calls: int
    hedges: int
    wins: int
    after: float | None
    loser_s: float


class Hedge(Guard):
    """Makes a second attempt when the first is slower than nearly all others were.

    The first to succeed is the answer. The other is cancelled, and has ended before the
    answer is returned, so that nothing of a call outlives it. While one attempt is still
    running, the failure of the other is not the call's; when both fail, the first one's
    error is. A first attempt that fails before the second began has failed: hedging is not
    retrying.

    Only what reads or computes is hedged; never a session, never what acts, and never once
    an upload began that can be read only once. Everything else passes through untouched.

    Cancelled, both attempts are cancelled and awaited.

    Args:
        after: Seconds after which the second attempt begins. None learns it: the
            ``quantile`` of the times to the first useful output of the last 1,000 calls.
        quantile: So many of the calls are not hedged: 0.97 means 3 % more requests.
        least_samples: Calls to learn from before the first hedge.
        budget: Bounds the second attempts, by default to 10 and one for every ten calls.
            None lifts the bound. One that is given is shared by all who have it.
        clock: Monotonic seconds.

    Attributes:
        budget: What pays for second attempts.

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    def __init__(
        self,
        after: float | None = None,
        *,
        quantile: float = 0.97,
        least_samples: int = 100,
        budget: Budget | None = PATTERN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if after is not None:
            fine = 0 < number(after) < math.inf
            check("after", after, fine, "seconds > 0, or None to learn them")
        check("quantile", quantile, 0 < number(quantile) < 1, "a number between 0 and 1")
        fine = type(least_samples) is int and least_samples >= 1
        check("least_samples", least_samples, fine, "an int ≥ 1")
        self._settings = {
            "after": after,
            "quantile": quantile,
            "least_samples": least_samples,
            "budget": budget,
            "clock": clock,
        }
        self._after = after
        self._quantile = quantile
        self._least_samples = least_samples
        self.budget = own_or(budget)
        self._clock = clock
        self._latency = RecentQuantile(quantile, least=least_samples)
        self._calls = self._hedges = self._wins = 0
        self._loser_s = 0.0

    @property
    def after(self) -> float | None:
        """Seconds after which a second attempt begins; None while that is not known."""
        return self._latency.value if self._after is None else self._after

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step``, and once more beside it when it is late.

        Raises:
            Exception: What the first attempt raised, when none succeeded.
        """
        operation = call.operation
        if operation.session or operation.kind not in _MAY_BE_DOUBLED:
            return await step(call)
        self._calls += 1
        if self.budget is not None:
            self.budget.deposit()
        after = self.after
        if after is None:
            started, queued = self._clock(), call.queue_s
            result = await step(call)
            self._latency.add(self._clock() - started - (call.queue_s - queued))
            return result
        return await self._hedged(call, step, after)

    async def _hedged(self, call: Call, step: Callable[[Call], Awaitable[T]], after: float) -> T:
        race, queued = Race(call, step, self._clock), call.queue_s
        winner: Attempt | None = None
        try:
            winner = await self._decide(race, after, queued)
        finally:
            decided_at = self._clock()
            try:
                await race.end()
            except asyncio.CancelledError:
                winner = None
                raise
            finally:
                self._learn(_served(race.attempts[0], decided_at, queued), race, after)
                if len(race.attempts) > 1:
                    self._account(race.attempts, winner)
                for attempt in race.attempts:
                    if attempt is not winner:
                        attempt.discard()
        if winner is None:
            winner = race.attempts[0]
        elif winner is not race.attempts[0]:
            call.adopt(winner.call)
        try:
            result: T = winner.result()
        finally:
            # An error leads here and to the attempts, and they to it: a circle that would keep
            # all that an attempt had in hand until the collector comes.
            for attempt in race.attempts:
                attempt.error = None
        return result

    async def _decide(self, race: Race, after: float, queued: float) -> Attempt | None:
        """The attempt that succeeded first, or None if all failed."""
        race.begin()
        first = race.attempts[0]
        await race.change(after)
        # Waiting in a queue of ours it is not late, and the queue would be longer for a second.
        while not first.task.done() and (
            first.call.queue_since is not None or first.call.queue_s > queued
        ):
            left = after - _served(first, self._clock(), queued)
            if left <= _EARLY:
                break
            await race.change(max(left, _TICK))
        if not first.task.done():
            # It may be here already: after a pause of the event loop every delay has passed at
            # once, and what came meanwhile has not been read.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if not first.task.done() and self._may_begin(first.call):
                self._hedges += 1
                if first.call.observer is not None:
                    first.call.emit(events.HedgeStarted, after=after)
                race.begin()
        while True:
            for attempt in race.attempts:  # in order: if both are there, the first is the answer
                if attempt.succeeded:
                    return attempt
            if all(attempt.task.done() for attempt in race.attempts):
                return None
            await race.change()

    def _may_begin(self, call: Call) -> bool:
        return call.replayable and (self.budget is None or self.budget.take())

    def _learn(self, took: float, race: Race, after: float) -> None:
        """One sample for each call: how long its *first* attempt took, or at least took.

        When the second was quicker, nobody knows when the first would have been there, only
        that it was not by now. That it counts as later than ``after`` is what matters for a
        quantile. Were it left out, or the second's time taken for it, the slowest calls would
        be missing from the samples; their 97th percentile would then lie lower, more calls
        would be hedged and missing, and so on down until only the budget stopped it. For
        the same reason a late attempt counts whatever became of it.

        The second's own time is no sample: it is only ever taken when the first is slow.
        """
        if self._after is None and (race.attempts[0].succeeded or took > after):
            self._latency.add(took)

    def _account(self, attempts: Sequence[Attempt], winner: Attempt | None) -> None:
        first, second = attempts
        loser = first if winner is second else second
        loser_s = loser.ran(self._clock())
        self._wins += winner is second
        self._loser_s += loser_s
        # What has no connection to wait for is at the server once it runs.
        asked = second.call.dispatched or second.call.limits.connect is None
        if self.budget is not None and (isinstance(second.error, RejectedError) or not asked):
            self.budget.give_back()  # the provider was not asked
        number = None if winner is None else 2 if winner is second else 1
        if first.call.observer is not None:
            first.call.emit(events.HedgeEnded, winner=number, loser_s=loser_s)

    def stats(self) -> HedgeStats:
        """What it has seen and done."""
        return HedgeStats(
            calls=self._calls,
            hedges=self._hedges,
            wins=self._wins,
            after=self.after,
            loser_s=self._loser_s,
        )

    def __repr__(self) -> str:
        if self._after is not None:
            after = f"after {self._after:g} s"
        else:
            after = f"after p{self._quantile * 100:g} of ≥ {self._least_samples} calls"
        budget = "no budget" if self.budget is None else repr(self.budget)
        return f"hedge ({after}, {budget})"


def _served(first: Attempt, now: float, queued: float) -> float:
    """Seconds that the first attempt ran by ``now`` without waiting for a place of ours."""
    call = first.call
    since = call.queue_since
    waiting = 0.0 if since is None else max(0.0, now - since)
    return first.ran(now) - waiting - (call.queue_s - queued)
