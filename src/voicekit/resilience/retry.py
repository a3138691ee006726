"""``Retry``: another attempt before the commit point, where the operation's class allows it."""

from __future__ import annotations

import copy
import math
import random
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from voicekit import events
from voicekit.checks import is_integer, wrong
from voicekit.errors import ConnectionLostError, RejectedError, VoicekitError
from voicekit.resilience.budget import PATTERN, own_or
from voicekit.resilience.guard import Guard, are_failures, check, is_rng, number
from voicekit.resilience.repeats import Verdict, fits, outcome_of, outcome_unknown, verdict
from voicekit.resilience.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

    from voicekit.operation import Call
    from voicekit.resilience.budget import Budget

T = TypeVar("T")

_JITTER: Final = 0.1
"""How much longer than asked a Retry-After is waited for, at most: all who were told the same
would come back together."""


class Retry(Guard):
    """Repeats a failed opening: what may be repeated, as often as allowed, while it is of use.

    The class of the operation and what the error proves decide (``repeats.verdict``); a
    ``Budget`` bounds what all calls together repeat. Between attempts it waits
    0 … ``base`` × 2ⁿ seconds (full jitter), or as long as the provider asked for if that is
    longer. A *reused*
    connection that was lost before it answered is made up for at once, the first time.

    The error that surfaces is the last real one, with ``retry_stopped`` saying why it is the
    last: ``attempts``, ``budget``, ``deadline`` (the back-off would not fit), ``retry_after``
    (the provider asks for more than there is), ``unknown_outcome``, ``uploaded``,
    ``not_replayable``, ``rejected`` (our own breaker or limiter refused the repeat); None where a
    repeat could not have helped. An effect that may have happened surfaces as
    ``OutcomeUnknownError``.

    Cancellation goes through untouched, and pays back a repeat that was not sent.

    Args:
        repeats: How often a call may be repeated; None is as often as its operation says.
        base: Seconds; the first back-off is at most so long.
        longest: Seconds; no back-off is longer.
        longest_wait: Seconds; a provider that asks for a longer wait is not waited for.
        on: Exceptions which are not voicekit's that count as retryable, with an unknown
            outcome. For functions of your own; all others are let through.
        budget: What pays for repeats; None for no limit. The default is one of its own; one that is
            given is shared by all who have it.
        rng: Where the jitter comes from.

    Attributes:
        budget: What pays for repeats.

    Raises:
        InvalidArgumentError: A number is negative, ``on`` holds no exception classes, or ``budget``
            or ``rng`` is something else.

    Example:
        >>> await Retry(on=(OSError,)).run(fetch, kind=OperationClass.PURE)
    """

    def __init__(
        self,
        repeats: int | None = None,
        *,
        base: float = 0.3,
        longest: float = 8.0,
        longest_wait: float = 10.0,
        on: tuple[type[Exception], ...] = (),
        budget: Budget | None = PATTERN,
        rng: random.Random | None = None,
    ) -> None:
        if repeats is not None and (not is_integer(repeats) or repeats < 0):
            raise wrong("repeats", repeats, "a whole number ≥ 0, or None")
        if not are_failures(on):
            raise wrong("on", on, "a tuple of subclasses of Exception")
        if not is_rng(rng):
            raise wrong("rng", rng, "a random.Random, or None")
        times = {"base": base, "longest": longest, "longest_wait": longest_wait}
        for name, seconds in times.items():
            check(name, seconds, 0 <= number(seconds) < math.inf, "seconds ≥ 0")
        self._settings = {"repeats": repeats, **times, "on": on, "budget": budget, "rng": rng}
        self._repeats = repeats
        self._base, self._longest, self._longest_wait = map(float, times.values())
        self._on = on
        self.budget = own_or(budget)
        self._rng = rng

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` until it succeeds or there is a reason not to run it again."""
        if self.budget is not None:
            self.budget.deposit()
        # The first attempt knows nothing of retries: nearly every call is only that.
        try:
            return await step(call)
        except Exception as error:  # noqa: BLE001 - judged, and raised if it is none of ours
            repeats = _Repeats(self, call, step, error)
        return await repeats.run()

    def stats(self) -> Any:
        """The ``BudgetStats``; None without a budget."""
        return None if self.budget is None else self.budget.stats()

    def __repr__(self) -> str:
        most = "" if self._repeats is None else f"≤ {self._repeats} × "
        budget = "no budget" if self.budget is None else repr(self.budget)
        return f"retry {most}({self._base:g} s × 2ⁿ, {budget})"


class _Failure:
    """An attempt that failed, handed around as a value: tenacity sees no exception of ours."""

    __slots__ = ("error", "verdict")

    def __init__(self, error: Exception, verdict: Verdict) -> None:
        self.error, self.verdict = error, verdict


class _Repeats(Generic[T]):
    """All that follows the first failure of one call. Its methods are tenacity's callbacks."""

    def __init__(
        self, policy: Retry, call: Call, step: Callable[[Call], Awaitable[T]], error: Exception
    ) -> None:
        self._policy, self._call, self._step = policy, call, step
        self._unknown = 0
        self._back_offs = 0
        self._made_up = False
        self._stopped: str | None = None
        self._real: _Failure | None = None
        self._first = self._judge(error)

    async def run(self) -> T:
        """Repeat as long as it makes sense, then return the result or raise the last error."""
        repeats = self._policy._repeats
        if repeats is None:
            repeats = self._call.operation.repeats
        ended: T | _Failure = self._first
        if self._first.verdict.again and repeats > 0:
            ended = await self._repeat(repeats)
        if not isinstance(ended, _Failure):
            return ended
        error = self._final(ended)
        # Its traceback leads here, and from Python 3.12 on to tenacity's frames, which hold
        # what the last attempt returned: nothing of all that may lead to it.
        del ended.error
        try:
            raise error
        finally:
            del error, ended, self._first, self._real

    async def _repeat(self, repeats: int) -> T | _Failure:
        # Not before something failed: it takes 30 ms to import, and 30 µs to go through.
        from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt

        pending: _Failure | None = self._first

        async def attempt() -> T | _Failure:
            nonlocal pending
            if pending is not None:  # the first attempt was made outside, and is counted here
                failure, pending = pending, None
                return failure
            return await self._attempt()

        enough = stop_after_attempt(1 + repeats)
        # New for each call: what is shared between tasks mixes up their attempts.
        retrying = AsyncRetrying(
            retry=retry_if_result(
                lambda ended: isinstance(ended, _Failure) and ended.verdict.again
            ),
            wait=self._wait,
            stop=lambda state: enough(state) or self._stop(state),
            before_sleep=self._announce,
            sleep=self._sleep,
            retry_error_callback=_result_of,
        )
        # mypy cannot tell: the type variable of the result is not tied to the function.
        ended: T | _Failure = await retrying(attempt)
        return ended

    async def _attempt(self) -> T | _Failure:
        left = self._call.remaining()
        if left is not None and left <= 0:  # the loop was held up: nothing is sent any more
            self._give_back()
            self._stopped = "deadline"
            return _Failure(self._real_error(), Verdict(again=False))
        try:
            return await self._step(self._call)
        except Exception as error:  # noqa: BLE001 - judged, and raised if it is none of ours
            if isinstance(error, RejectedError):
                self._give_back()  # nothing was sent
            return self._judge(error)

    def _judge(self, error: Exception) -> _Failure:
        call, on = self._call, self._policy._on
        found = verdict(error, call.operation.kind, unknown_before=self._unknown, on=on)
        if found.again and not call.replayable:
            found = Verdict(again=False, stopped="not_replayable")
        failure = _Failure(error, found)
        if outcome_of(error) == "unknown":
            self._unknown += 1
        if self._real is None or not isinstance(error, RejectedError):
            self._real = failure
        return failure

    # -- what tenacity asks, in this order --

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt."""
        policy = self._policy
        draw = random.random if policy._rng is None else policy._rng.random
        asked = _asked(state)
        if asked is None and self._is_stale(_failure_of(state).error):
            self._made_up = True
            return 0.0
        most = policy._base * 2.0 ** min(self._back_offs, 64)
        self._back_offs += 1
        back_off = draw() * min(most, policy._longest)
        if asked is None:
            return back_off
        # "At once" is for one caller; all of them at once are why there are back-offs.
        longer = max(back_off, min(asked * (1 + _JITTER * draw()), policy._longest_wait))
        return longer if fits(longer, self._call) else max(back_off, asked)

    def _stop(self, state: RetryCallState) -> bool:
        """Whether the wait is too long, or nobody pays for the attempt behind it."""
        policy, wait, asked = self._policy, state.upcoming_sleep, _asked(state)
        # As stop_before_delay, by the clock of the call: an upload moves its deadline.
        if asked is not None and not (asked <= policy._longest_wait and fits(asked, self._call)):
            self._stopped = "retry_after"
        elif not fits(wait, self._call):
            self._stopped = "deadline"
        elif policy.budget is not None and not policy.budget.take():
            self._stopped = "budget"
        return self._stopped is not None

    def _announce(self, state: RetryCallState) -> None:
        if self._call.observer is not None:
            error = _failure_of(state).error
            self._call.emit(
                events.RetryScheduled,
                attempt=self._call.attempts + 1,
                wait=state.upcoming_sleep,
                error=type(error).__name__,
                outcome=outcome_of(error),
            )

    async def _sleep(self, seconds: float) -> None:
        try:
            await pause(seconds)
        except BaseException:
            self._give_back()
            raise

    # -- facts --

    def _is_stale(self, error: Exception) -> bool:
        """Whether a warm connection was gone already; what else failed deserves a back-off."""
        if self._made_up or not isinstance(error, ConnectionLostError):
            return False
        connection = error.connection or self._call.connection
        answered = error.request_id or self._call.request_id
        return connection is not None and connection.reused and not answered

    def _give_back(self) -> None:
        if self._policy.budget is not None:
            self._policy.budget.give_back()

    def _real_error(self) -> Exception:
        """The last; what our own breaker says of a repeat is not why the call failed."""
        assert self._real is not None  # noqa: S101 - the first failure is one
        return self._real.error

    def _final(self, failure: _Failure) -> Exception:
        """The error of the call."""
        found = failure.verdict
        stopped = found.stopped or self._stopped or ("attempts" if found.again else None)
        if found.may_have_acted:
            return outcome_unknown(failure.error, self._call, stopped)
        error = failure.error if stopped != "rejected" else self._real_error()
        if isinstance(error, VoicekitError):
            if self._unknown and error.outcome == "not_applied":
                error = _with_unknown_outcome(error)
            error.retry_stopped = stopped or error.retry_stopped
        return error


def _with_unknown_outcome(error: VoicekitError) -> VoicekitError:
    """The same, for a call of which an earlier attempt may have acted.

    A copy: a dial that failed gives its one error to all who waited for it.
    """
    copied = copy.copy(error).with_traceback(error.__traceback__)
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    copied.outcome = "unknown"
    return copied


def _failure_of(state: RetryCallState) -> _Failure:
    failure = _result_of(state)
    assert isinstance(failure, _Failure)  # noqa: S101 - tenacity waits after failures only
    return failure


def _result_of(state: RetryCallState) -> Any:
    assert state.outcome is not None  # noqa: S101 - an attempt was made
    return state.outcome.result()


def _asked(state: RetryCallState) -> float | None:
    """How long the provider asked us to wait."""
    error = _failure_of(state).error
    return error.retry_after if isinstance(error, VoicekitError) else None
