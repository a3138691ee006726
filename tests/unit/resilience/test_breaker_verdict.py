"""What each error says of the server."""

from __future__ import annotations

import asyncio

import pytest

import voicekit.errors as errors
from voicekit.resilience.breaker_verdict import Verdict, verdict_of

FAILED, ALIVE, NOTHING = Verdict.FAILED, Verdict.ALIVE, Verdict.NOTHING

TABLE: dict[str, Verdict] = {
    "VoicekitError": NOTHING,
    "ConfigurationError": NOTHING,
    "MissingCredentialError": NOTHING,
    "InvalidArgumentError": NOTHING,
    "WrongLoopError": NOTHING,
    "ClosedError": NOTHING,
    "TransportError": FAILED,
    "ConnectError": FAILED,
    "ConnectionLostError": FAILED,
    "LocalProtocolError": NOTHING,
    "RemoteProtocolError": FAILED,
    "DeadlineError": FAILED,
    "PoolTimeout": NOTHING,
    "ConnectTimeout": FAILED,
    "FirstOutputTimeout": FAILED,
    "GapTimeout": FAILED,
    "TotalTimeout": FAILED,
    "ProviderError": ALIVE,
    "AuthenticationError": ALIVE,
    "InvalidRequestError": ALIVE,
    "RateLimitError": NOTHING,
    "QuotaError": ALIVE,
    "UnavailableError": FAILED,
    "RejectedError": NOTHING,
    "CircuitOpenError": NOTHING,
    "OverloadedError": NOTHING,
    "OutcomeUnknownError": FAILED,
    "StreamInterruptedError": FAILED,
    "SignatureError": NOTHING,
}


def test_the_table_is_complete() -> None:
    """A new error must be given its place."""
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.VoicekitError)
    }
    assert kinds == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_each_error_says_what_the_table_says(name: str) -> None:
    assert verdict_of(getattr(errors, name)("…")) is TABLE[name]


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), SystemExit()],
    ids=repr,
)
def test_who_goes_says_nothing(error: BaseException) -> None:
    assert verdict_of(error) is NOTHING


def test_other_errors_are_failures_unless_they_are_ignored() -> None:
    """Around a function of the application's own."""
    assert verdict_of(OSError()) is FAILED
    assert verdict_of(TimeoutError()) is FAILED
    assert verdict_of(KeyError(), (LookupError,)) is NOTHING


@pytest.mark.parametrize("kind", [errors.StreamInterruptedError, errors.OutcomeUnknownError])
def test_what_reports_another_error_is_judged_by_that(kind: type[errors.VoicekitError]) -> None:
    error = kind("…")
    error.__cause__ = errors.LocalProtocolError("we read too slowly")
    assert verdict_of(error) is NOTHING
