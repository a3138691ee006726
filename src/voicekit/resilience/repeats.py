"""What a failure and the class of its operation say about doing it again. Pure.

=================== =========================== ==========================
class               proven not applied          outcome unknown
=================== =========================== ==========================
pure, idempotent    within the repeats          within the repeats
compute             within the repeats          once per call
effect              within the repeats          never: OutcomeUnknownError
=================== =========================== ==========================

All of it only where the error is ``retryable``; how many repeats there are, whether they fit
the time, and whether the budget pays for them is for ``Retry`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from voicekit.errors import OutcomeUnknownError, RejectedError, TotalTimeout, VoicekitError
from voicekit.operation import OperationClass

if TYPE_CHECKING:
    from voicekit.errors import Outcome
    from voicekit.operation import Call

_FINAL: Final = ("uploaded", "not_replayable", "deadline")
"""What an attempt itself says of its error, in ``retry_stopped``: there is no other attempt."""
_LEAST_LEFT: Final = {
    kind: 0.25 if kind is OperationClass.EFFECT else 0.005 for kind in OperationClass
}
"""Seconds. An attempt that has less left is not begun. Of an effect nobody would know whether it
happened, while now it is known that it did not: it must have time to be answered.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a failed attempt may be followed by another one.

    Attributes:
        again: It may.
        stopped: Why not, for ``retry_stopped``; None where a repeat could not help anyhow.
        may_have_acted: The failed attempt was an effect that may have happened: who asked
            for it gets an ``OutcomeUnknownError``.
    """

    again: bool
    stopped: str | None = None
    may_have_acted: bool = False


_AGAIN: Final = Verdict(again=True)
_USELESS: Final = Verdict(again=False)


def verdict(
    error: Exception,
    kind: OperationClass,
    *,
    unknown_before: int,
    on: tuple[type[Exception], ...] = (),
) -> Verdict:
    """Judge the failure of one attempt.

    Args:
        error: How the attempt ended.
        kind: What a repeat does at the provider.
        unknown_before: How many earlier attempts of the call ended with an unknown outcome.
        on: What is not voicekit's and counts as retryable, with an unknown outcome.
    """
    said: str | None = None
    if isinstance(error, VoicekitError):
        retryable, outcome = error.retryable, error.outcome
        said = error.retry_stopped if error.retry_stopped in _FINAL else None
    else:
        retryable, outcome = isinstance(error, on), "unknown"
    if not retryable or outcome in {"applied", "partial"}:
        return _USELESS  # what was delivered is not delivered twice
    if outcome == "unknown" and kind is OperationClass.EFFECT:
        return Verdict(again=False, stopped=said or "unknown_outcome", may_have_acted=True)
    if said is not None:
        return Verdict(again=False, stopped=said)
    if isinstance(error, RejectedError):
        # It was refused so that less is asked; to ask again at once would defeat that.
        return Verdict(again=False, stopped="rejected")
    if isinstance(error, TotalTimeout):
        return Verdict(again=False, stopped="deadline")  # which was of all attempts together
    if outcome == "unknown" and kind is OperationClass.COMPUTE and unknown_before:
        return Verdict(again=False, stopped="unknown_outcome")
    return _AGAIN


def fits(wait: float, call: Call) -> bool:
    """Whether the call has time for another attempt behind a wait of so many seconds."""
    left = call.remaining()
    return left is None or wait + _LEAST_LEFT[call.operation.kind] < left


def outcome_of(error: Exception) -> Outcome:
    """What ``error`` says of the attempt; of an exception that is not ours, nothing."""
    return error.outcome if isinstance(error, VoicekitError) else "unknown"


def outcome_unknown(error: Exception, call: Call, stopped: str | None) -> OutcomeUnknownError:
    """The error for an effect that may have happened, caused by what was seen.

    Args:
        error: How the attempt ended.
        call: What was asked for; says how to find out.
        stopped: For ``retry_stopped``.
    """
    hint = call.operation.reconcile
    text = f"it may or may not have happened ({type(error).__name__})"
    unknown = OutcomeUnknownError(
        f"{text}; to find out: {hint}" if hint else text, hint=hint, retry_stopped=stopped
    )
    if isinstance(error, VoicekitError):
        unknown.provider, unknown.operation = error.provider, error.operation
        unknown.request_id, unknown.retry_after = error.request_id, error.retry_after
        unknown.connection = error.connection
    unknown.__cause__ = error
    call.describe(unknown)
    return unknown
