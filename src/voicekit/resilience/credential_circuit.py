"""A refused key is refused for every operation: nobody asks with it again for a while."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from voicekit import events
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ProviderError,
    QuotaError,
)
from voicekit.operation import OperationClass
from voicekit.resilience.guard import Guard
from voicekit.resilience.open_period import OpenPeriod

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from voicekit.operation import Call

T = TypeVar("T")

CredentialState = Literal["closed", "open", "half_open"]

_PROBE_LIMIT: Final = 30.0
"""Seconds after which a probe that has not returned gives its place to another."""

CREDENTIAL_REFUSED: Final = "credential_refused"
"""``retry_stopped`` of an ``AuthenticationError`` that says so by neither status nor code."""
# Sockets have no status but a close code: there the vendor's own code says it.
_WRONG_KEY: Final = frozenset({"invalid_api_key", "invalid_auth", "auth_error"})
# The key is right, and may do other things: a plan or a scope lacks this one.
# Source: ElevenLabs fact sheet of 2026-11, §5; Deepgram fact sheet of 2026-11, §8.
_LACKS_PERMISSION: Final = frozenset(
    {"missing_permissions", "insufficient_permissions", "only_for_creator+", "forbidden"}
)


def refuses_credential(error: BaseException) -> bool:
    """Whether ``error`` means that the credential is of no use now, whatever is asked with it."""
    if isinstance(error, QuotaError):
        return True
    if not isinstance(error, AuthenticationError):
        return False
    if error.retry_stopped == CREDENTIAL_REFUSED:
        return True
    code = (error.code or "").lower()
    return code not in _LACKS_PERMISSION and (error.status == 401 or code in _WRONG_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialStats:
    """What a credential's circuit has seen.

    Attributes:
        state: Its state now.
        reason: Class, status and code of the last refusal; None while it is closed.
        opened: How often the credential was refused, probes included.
        rejected: Calls that were not made.
        since: When the state last changed, by the circuit's clock.
        retry_in: Seconds until it lets one call through; None unless it is open.
    """

    state: CredentialState
    reason: str | None
    opened: int
    rejected: int
    since: float
    retry_in: float | None


class CredentialCircuit(Guard):
    """Opens when the provider refuses the credential itself: a wrong key, a spent quota.

    One refusal is enough, since the error table is certain where a breaker's window guesses.
    The call that is refused raises the provider's error. Later ones raise ``CircuitOpenError``
    at once, whose cause repeats it, until the open period is over. Then one call goes through:
    if it succeeds the circuit closes, if the credential is refused again it opens for twice as
    long, and any other end says nothing of the credential and leaves the next call to try.
    Reads go through a spent quota: they cost nothing.

    One is shared by all operations of a credential, on one event loop. A rotated key is
    another credential; ``reset()`` is for one that was topped up.

    Args:
        open_for: Seconds that it stays open, doubled at each further refusal.
        longest_open: Seconds that it stays open at most.
        clock: Monotonic seconds.
        rng: For the jitter of the open periods.

    Raises:
        InvalidArgumentError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        open_for: float = 5.0,
        longest_open: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._period = OpenPeriod(open_for, longest_open, rng)
        self._settings = {
            "open_for": open_for,
            "longest_open": longest_open,
            "clock": clock,
            "rng": rng,
        }
        self._clock = clock
        self._state: CredentialState = "closed"
        self._since = clock()
        self._generation = 0
        self._refusal: ProviderError | None = None
        self._open_until = self._place_free_at = 0.0
        self._opened = self._rejected = 0

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` unless the credential was refused a short while ago.

        Raises:
            CircuitOpenError: It was. Its cause says by what, and ``retry_after`` when to try.
        """
        if self._state != "closed":
            if isinstance(self._refusal, QuotaError) and call.operation.kind is OperationClass.PURE:
                # Reads cost nothing. They tell the user what is left, and prove nothing here.
                return await step(call)
            self._admit(call)
        generation = self._generation
        try:
            result = await step(call)
        except BaseException as error:
            if generation == self._generation:
                if isinstance(error, ProviderError) and refuses_credential(error):
                    self._open(call, error)
                elif self._state == "half_open":
                    self._place_free_at = 0.0
            raise
        if generation == self._generation and self._state == "half_open":
            self._close(call)
        return result

    def _admit(self, call: Call) -> None:
        now = self._clock()
        wait = self._open_until - now
        if self._state == "half_open":  # the call under way may answer at any moment
            wait = min(self._place_free_at - now, self._period.open_for)
        if wait > 0:
            self._rejected += 1
            raise CircuitOpenError(
                f"the credential was refused ({self._reason()}), not asked again for {wait:.3g} s",
                retryable=False,
                retry_after=wait,
            ) from self._refusal
        # A probe whose place was given to another is late.
        self._place_free_at = now + _PROBE_LIMIT
        self._enter("half_open", call)

    def _open(self, call: Call, error: ProviderError) -> None:
        # A copy, because an error that is kept keeps all the frames that it went through, and
        # without the vendor's own words, which may quote the text of that call.
        call.describe(error)  # which takes the key itself out of what quotes it
        self._refusal = copy.copy(error)
        self._refusal.detail = self._refusal.timings = self._refusal.connection = None
        self._opened += 1
        self._open_until = self._clock() + self._period.next()
        self._enter("open", call)

    def _close(self, call: Call | None) -> None:
        self._period.start_over()
        self._refusal = None
        self._enter("closed", call)

    def _enter(self, state: CredentialState, call: Call | None) -> None:
        previous, self._state = self._state, state
        self._generation += 1
        if state == previous:
            return
        self._since = self._clock()
        if call is not None and call.observer is not None:
            call.emit(
                events.CredentialCircuitChanged,
                state=state,
                previous=previous,
                reason=self._reason(),
            )

    def _reason(self) -> str | None:
        error = self._refusal
        if error is None:
            return None
        parts = (type(error).__name__, error.status, error.code)
        return " ".join(str(part) for part in parts if part is not None)

    @property
    def state(self) -> CredentialState:
        """Its state; an open one turns half open with the first call after its period."""
        return self._state

    def reset(self) -> None:
        """Close it: the account was topped up, or the key put right."""
        self._close(None)

    def stats(self) -> CredentialStats:
        """What it has seen until now."""
        left = max(self._open_until - self._clock(), 0.0)
        return CredentialStats(
            state=self._state,
            reason=self._reason(),
            opened=self._opened,
            rejected=self._rejected,
            since=self._since,
            retry_in=left if self._state == "open" else None,
        )

    def __repr__(self) -> str:
        return f"credential circuit ({self._period!r})"
