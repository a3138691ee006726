"""What an error says of the server: that it fails, that it lives, or nothing at all."""

from __future__ import annotations

import enum
from typing import Final

from voicekit.errors import (
    DeadlineError,
    LocalProtocolError,
    OutcomeUnknownError,
    PoolTimeout,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
    TransportError,
    UnavailableError,
    VoicekitError,
)

FAIR_S: Final = 1.0
"""Seconds; ours. Who was given less than that by a caller's ``deadline()`` is not ill for it."""


class Verdict(enum.Enum):
    """What a breaker makes of how a call ended."""

    FAILED = "failed"
    ALIVE = "alive"
    NOTHING = "nothing"


def verdict_of(error: BaseException, ignore: tuple[type[Exception], ...] = ()) -> Verdict:
    """Judge how a call ended that raised ``error``; what is in ``ignore`` says nothing."""
    if not isinstance(error, Exception) or isinstance(error, ignore):
        return Verdict.NOTHING  # cancelled, or the process ends: not the server's doing
    if not isinstance(error, VoicekitError):
        return Verdict.FAILED  # what an application raises in a breaker of its own
    if isinstance(error, StreamInterruptedError | OutcomeUnknownError):
        cause = error.__cause__
        # Both say what a failure meant for the caller; what failed is behind them.
        return verdict_of(cause, ignore) if isinstance(cause, Exception) else Verdict.FAILED
    if isinstance(error, UnavailableError):
        return Verdict.FAILED
    if isinstance(error, RateLimitError):
        # Too much was asked of it, by us or by others: the limiter asks less then. Opening
        # would stop what the limit still allows, and to close on it would prove nothing.
        return Verdict.NOTHING
    if isinstance(error, ProviderError):
        # It read the request and refused it. Left out of the window, a flood of bad requests
        # would make the few failures among them look like all there is.
        return Verdict.ALIVE
    if isinstance(error, PoolTimeout | LocalProtocolError):
        return Verdict.NOTHING  # our own bounds
    if isinstance(error, DeadlineError | TransportError):
        return Verdict.FAILED
    return Verdict.NOTHING  # refused by us: wrong arguments, closed, another policy
