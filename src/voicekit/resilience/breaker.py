"""The circuit breaker: while a server fails, nobody waits for it."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from voicekit import events
from voicekit.errors import CircuitOpenError, TotalTimeout
from voicekit.resilience.breaker_verdict import FAIR_S, Verdict, verdict_of
from voicekit.resilience.breaker_window import Window
from voicekit.resilience.guard import Guard, are_failures, check, is_rng, number
from voicekit.resilience.open_period import OpenPeriod

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from voicekit.operation import Call, Operation
    from voicekit.resilience.breaker_states import States

T = TypeVar("T")

State = Literal["closed", "open", "half_open", "forced_open", "disabled"]

_log = logging.getLogger("voicekit.resilience")


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStats:
    """What a breaker has seen.

    Attributes:
        state: Its state now.
        calls: Calls in the window that said something of the server.
        failure_rate: Failed ones among them, 0 to 1.
        slow_rate: Slow ones among them, failed or not, 0 to 1.
        opened: How often it has opened.
        rejected: Calls that it has refused.
        since: When the state last changed, by the breaker's clock.
        retry_in: Seconds until it lets a probe through; None unless it is open.
    """

    state: State
    calls: int
    failure_rate: float
    slow_rate: float
    opened: int
    rejected: int
    since: float
    retry_in: float | None


class Breaker(Guard):
    """Refuses calls at once while too many of the last ones failed or were slow.

    Closed, it counts. A failure or a slow call that makes ``failure_rate`` or ``slow_rate``
    of at least ``least_calls`` in ``window`` opens it; that call still gives its own result
    or error. Open, it raises ``CircuitOpenError``, until the open period is over; then it is
    half open and lets ``probes`` calls through. If they all succeed it closes, and forgets
    what it counted; if one fails it opens again, for twice as long.

    What counts as a failure: lost connections, limits that passed, unavailable servers, and
    what is not voicekit's. A refused request shows a server that lives. Cancelled calls,
    rate limits, a full pool and our own refusals say nothing: such a probe gives its place
    back. What ends after the state has changed changes nothing.

    One breaker is for one scope, and for one event loop.

    Args:
        failure_rate: Failed share of the calls that opens it.
        least_calls: In the window, before any share counts.
        window: Seconds that are looked back on.
        open_for: Seconds that it stays open, doubled each time that probes fail.
        longest_open: Seconds that it stays open at most.
        probes: Successes that close it, and calls under way at a time meanwhile.
        probe_limit: Seconds after which a probe that has not returned gives its place to
            another. Its result still counts.
        slow_after: Seconds until the first output from which a call is slow. None is half of the
            call's first-output limit; uploads are not measured then, nor what has no such
            limit. ``math.inf`` is never.
        slow_rate: Slow share of the calls that opens it.
        ignore: Exceptions of the application's own that are no failures.
        clock: Monotonic seconds.
        rng: For the jitter of the open periods.
        on_change: Told of every change of state, on the event loop. Must not block; what it
            raises is logged.

    Raises:
        InvalidArgumentError: A number is out of its range, or ``ignore`` or ``rng`` something else.
    """

    def __init__(
        self,
        *,
        failure_rate: float = 0.5,
        least_calls: int = 10,
        window: float = 30.0,
        open_for: float = 5.0,
        longest_open: float = 60.0,
        probes: int = 2,
        probe_limit: float = 30.0,
        slow_after: float | None = None,
        slow_rate: float = 0.5,
        ignore: tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        on_change: Callable[[BreakerStats], None] | None = None,
    ) -> None:
        check("failure_rate", failure_rate, 0 < number(failure_rate) <= 1, "0 < share ≤ 1")
        check("slow_rate", slow_rate, 0 < number(slow_rate) <= 1, "0 < share ≤ 1")
        for name, count in (("least_calls", least_calls), ("probes", probes)):
            check(name, count, type(count) is int and count >= 1, "a whole number ≥ 1")
        for name, seconds in (("window", window), ("probe_limit", probe_limit)):
            check(name, seconds, 0 < number(seconds) < math.inf, "seconds > 0")
        if slow_after is not None:
            check("slow_after", slow_after, number(slow_after) > 0, "seconds > 0, or None")
        check("ignore", ignore, are_failures(ignore), "a tuple of subclasses of Exception")
        check("rng", rng, is_rng(rng), "a random.Random, or None")
        self._settings = {
            "failure_rate": failure_rate,
            "least_calls": least_calls,
            "window": window,
            "open_for": open_for,
            "longest_open": longest_open,
            "probes": probes,
            "probe_limit": probe_limit,
            "slow_after": slow_after,
            "slow_rate": slow_rate,
            "ignore": ignore,
            "clock": clock,
            "rng": rng,
            "on_change": on_change,
        }
        self._failure_rate, self._slow_rate = failure_rate, slow_rate
        self._least_calls, self._probes, self._probe_limit = least_calls, probes, probe_limit
        self._period = OpenPeriod(open_for, longest_open, rng)
        self._slow_after = slow_after
        self._ignore = ignore
        self._clock = clock
        self._on_change = on_change
        self._window = Window(window)
        self._states: States | None = None
        self._state: State = "closed"
        self._since = clock()
        # Each state is a generation: what entered in another one is late.
        self._generation = 0
        self._under_way: dict[int, float] = {}  # probe → when its place is free again
        self._probes_begun = self._probes_passed = 0
        self._open_until = 0.0
        self._opened = self._rejected = 0
        self._told: tuple[events.Observer | None, Operation | None] = None, None

    # -- calls --

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` if the circuit is not open.

        Raises:
            CircuitOpenError: It is. ``retry_after`` says when to ask again.
        """
        probe = 0 if self._state == "closed" else self._admit(call)
        generation = self._generation
        attempts, queued = call.attempts, call.queue_s
        began = self._clock()
        try:
            result = await step(call)
        except BaseException as error:
            if generation == self._generation:
                verdict = verdict_of(error, self._ignore)
                took = self._clock() - began - (call.queue_s - queued)
                if isinstance(error, TotalTimeout) and not self._was_fair(
                    call, error, took, started=call.attempts > attempts
                ):
                    verdict = Verdict.NOTHING
                self._ended(call, verdict, probe, took)
            raise
        if generation == self._generation:
            took = self._clock() - began - (call.queue_s - queued)
            self._ended(call, Verdict.ALIVE, probe, took)
        return result

    def _ended(self, call: Call, verdict: Verdict, probe: int, took: float) -> None:
        state = self._state
        if state == "half_open":
            self._under_way.pop(probe, None)
        if verdict is Verdict.NOTHING:
            return
        limit = self._slow_limit(call)
        slow = limit is not None and took > limit
        failed = verdict is Verdict.FAILED
        if state == "closed":
            self._window.add(self._clock(), failed=failed, slow=slow)
            # Only what is bad can open: pybreaker need not hear of the rest.
            if failed or slow:
                self._machine().failed()
        elif state == "half_open":
            if failed or slow:
                self._machine().failed()
            else:
                self._probes_passed += 1
                self._machine().succeeded()
        if state != self._state:
            self._announce(state, call)

    def _slow_limit(self, call: Call) -> float | None:
        if self._slow_after is not None:
            return self._slow_after
        first = call.limits.first_output
        # That limit counts from the end of an upload, and ``took`` from its beginning.
        return None if first is None or call.uploaded else first / 2

    def _was_fair(self, call: Call, error: TotalTimeout, took: float, *, started: bool) -> bool:
        """Whether a total limit that passed left the server the time to answer.

        The caller's ``deadline()`` may have been all but spent when the call began. But whoever
        never waits for longer than a second or two must not ask a dead server for ever.
        """
        limit = self._slow_limit(call)
        if limit is not None and took < min(limit, FAIR_S):
            return False
        # What has no connection to wait for is at the server once it runs.
        return error.outcome != "not_applied" or (started and call.limits.connect is None)

    # -- admission --

    def _admit(self, call: Call) -> int:
        """Let the call through, as a probe if need be; else raise."""
        now = self._clock()
        if self._state == "open" and now >= self._open_until:
            self._machine().half_open()
            self._announce("open", call)
        state = self.state  # whoever heard of that may have forced another one
        if state in {"closed", "disabled"}:
            return 0
        if state == "half_open":
            return self._take_place(now)
        raise self._refusal(self._open_until - now if state == "open" else None)

    def _take_place(self, now: float) -> int:
        places = self._under_way
        if len(places) + self._probes_passed >= self._probes:
            for probe in [probe for probe, until in places.items() if until <= now]:
                del places[probe]
            if len(places) + self._probes_passed >= self._probes:
                # A probe may answer at any moment, and closes or opens it then.
                raise self._refusal(min(min(places.values()) - now, self._period.open_for))
        self._probes_begun += 1
        places[self._probes_begun] = now + self._probe_limit
        return self._probes_begun

    def _refusal(self, retry_after: float | None) -> CircuitOpenError:
        self._rejected += 1
        when = "" if retry_after is None else f", for {retry_after:.3g} s"
        how = self._state.replace("_", " ")
        return CircuitOpenError(f"the circuit is {how}{when}", retry_after=retry_after)

    # -- states --

    def _machine(self) -> States:
        if self._states is None:
            from voicekit.resilience.breaker_states import States

            self._states = States(
                too_many=self._too_many, probes=self._probes, changed=self._changed
            )
        return self._states

    def _too_many(self) -> bool:
        seen = self._window
        return seen.calls >= self._least_calls and (
            seen.failure_rate >= self._failure_rate or seen.slow_rate >= self._slow_rate
        )

    def _changed(self, state: Any) -> None:
        if state == "open":
            self._opened += 1
            self._open_until = self._clock() + self._period.next()
        elif state == "closed":
            self._period.start_over()
            self._window.clear()
        self._enter(state)

    def _enter(self, state: State) -> None:
        self._state = state
        self._since = self._clock()
        self._generation += 1
        self._under_way.clear()
        self._probes_passed = 0

    def _announce(self, previous: State, call: Call | None = None) -> None:
        seen = self._window
        observer, operation = self._told if call is None else (call.observer, call.operation)
        if observer is not None and operation is not None:
            observer.on_event(
                events.BreakerChanged(
                    at=time.monotonic(),
                    provider=operation.provider,
                    operation=operation.name,
                    call=0 if call is None else call.id,
                    state=self._state,
                    previous=previous,
                    failure_rate=seen.failure_rate,
                    slow_rate=seen.slow_rate,
                    calls=seen.calls,
                )
            )
        if self._on_change is not None:
            try:
                self._on_change(self.stats())
            except Exception as error:  # noqa: BLE001 - whoever listens must not break a call
                _log.warning("on_change of a breaker failed: %s", type(error).__name__)

    # -- by hand --

    @property
    def state(self) -> State:
        """Its state; an open one turns half open with the first call after its period."""
        return self._state

    def tell(self, observer: events.Observer | None, operation: Operation) -> None:
        """Have an observer hear of changes by hand too, which no call makes; None changes nothing.

        A client does so when it hands out its live breaker. The last observer counts.
        """
        if observer is not None:
            self._told = observer, operation

    def force_open(self) -> None:
        """Refuse every call until ``reset()``: maintenance, or an incident that you know of."""
        self._force("forced_open")

    def disable(self) -> None:
        """Let every call through and count nothing, until ``reset()``."""
        self._force("disabled")

    def reset(self) -> None:
        """Close it, whatever its state, with nothing seen."""
        self._force("closed")

    def _force(self, state: State) -> None:
        previous = self._state
        self._states = None  # a new one is closed
        self._period.start_over()
        self._window.clear()
        self._enter(state)
        if state != previous:
            self._announce(previous)

    def stats(self) -> BreakerStats:
        """What it has seen until now."""
        now = self._clock()
        seen = self._window
        if self._state == "closed":
            seen.slide(now)
        return BreakerStats(
            state=self._state,
            calls=seen.calls,
            failure_rate=seen.failure_rate,
            slow_rate=seen.slow_rate,
            opened=self._opened,
            rejected=self._rejected,
            since=self._since,
            retry_in=max(self._open_until - now, 0.0) if self._state == "open" else None,
        )

    def __repr__(self) -> str:
        share, window = self._failure_rate * 100, self._settings["window"]
        return f"breaker (≥ {share:g} % of ≥ {self._least_calls} in {window:g} s, {self._period!r})"
