"""What may be repeated: one table over what failed and the class of the operation."""

from __future__ import annotations

import pytest

from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    OutcomeUnknownError,
    OverloadedError,
    PoolTimeout,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Call, Operation, OperationClass
from voicekit.resilience.repeats import Verdict, outcome_unknown, verdict
from voicekit.timing import ConnectionInfo

PURE, COMPUTE, IDEMPOTENT, EFFECT = (
    OperationClass.PURE,
    OperationClass.COMPUTE,
    OperationClass.IDEMPOTENT,
    OperationClass.EFFECT,
)

AGAIN = "again"
ONCE = "once"
NEVER = "never"
UNKNOWN = "OutcomeUnknownError"

# What failed; then pure, compute, idempotent, effect.
TABLE: list[tuple[Exception, str, str, str, str]] = [
    # nothing was sent
    (ConnectError(), AGAIN, AGAIN, AGAIN, AGAIN),
    (ConnectTimeout(), AGAIN, AGAIN, AGAIN, AGAIN),
    (PoolTimeout(), AGAIN, AGAIN, AGAIN, AGAIN),
    (ConnectionLostError(outcome="not_applied"), AGAIN, AGAIN, AGAIN, AGAIN),
    # it was refused
    (RateLimitError(status=429), AGAIN, AGAIN, AGAIN, AGAIN),
    (UnavailableError(outcome="not_applied"), AGAIN, AGAIN, AGAIN, AGAIN),
    # nobody knows
    (ConnectionLostError(), AGAIN, ONCE, AGAIN, UNKNOWN),
    (UnavailableError(status=503), AGAIN, ONCE, AGAIN, UNKNOWN),
    (RemoteProtocolError(), AGAIN, ONCE, AGAIN, UNKNOWN),
    (FirstOutputTimeout(), AGAIN, ONCE, AGAIN, UNKNOWN),
    (GapTimeout(), AGAIN, ONCE, AGAIN, UNKNOWN),
    (OSError(), AGAIN, ONCE, AGAIN, UNKNOWN),  # listed in on=
    # it would be of no use
    (ConnectError(retryable=False), NEVER, NEVER, NEVER, NEVER),
    (AuthenticationError(status=401), NEVER, NEVER, NEVER, NEVER),
    (InvalidRequestError(status=400), NEVER, NEVER, NEVER, NEVER),
    (QuotaError(status=429), NEVER, NEVER, NEVER, NEVER),
    (InvalidArgumentError(), NEVER, NEVER, NEVER, NEVER),
    (LocalProtocolError(), NEVER, NEVER, NEVER, NEVER),
    (LocalProtocolError(outcome="unknown"), NEVER, NEVER, NEVER, NEVER),
    (ClosedError(), NEVER, NEVER, NEVER, NEVER),
    (OutcomeUnknownError(), NEVER, NEVER, NEVER, NEVER),
    (KeyError(), NEVER, NEVER, NEVER, NEVER),  # not listed
    # something was delivered
    (StreamInterruptedError(), NEVER, NEVER, NEVER, NEVER),
    (StreamInterruptedError(retryable=True), NEVER, NEVER, NEVER, NEVER),
    (UnavailableError(outcome="applied"), NEVER, NEVER, NEVER, NEVER),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]!r} {vars(row[0])}")
def test_the_table(row: tuple[Exception, str, str, str, str]) -> None:
    """Class and outcome decide, before anything else was unknown and after."""
    error, *expected = row
    for kind, what in zip((PURE, COMPUTE, IDEMPOTENT, EFFECT), expected, strict=True):
        first = verdict(error, kind, unknown_before=0, on=(OSError,))
        later = verdict(error, kind, unknown_before=1, on=(OSError,))
        match what:
            case "again":
                assert first == later == Verdict(again=True), kind
            case "once":
                assert first == Verdict(again=True), kind
                assert later == Verdict(again=False, stopped="unknown_outcome"), kind
            case "never":
                assert first == later == Verdict(again=False), kind
            case _:
                unknown = Verdict(again=False, stopped="unknown_outcome", may_have_acted=True)
                assert first == later == unknown, kind


def test_the_table_has_every_error() -> None:
    """All that a call may raise, but those with a test of their own."""
    seen = {type(row[0]) for row in TABLE}
    leaves, todo = set(), [VoicekitError]
    while todo:
        kind = todo.pop()
        if kind.__subclasses__():
            todo += kind.__subclasses__()
        elif kind.__module__ == "voicekit.errors":
            leaves.add(kind.__name__)
    apart = {"CircuitOpenError", "OverloadedError", "TotalTimeout"}
    before_io = {"MissingCredentialError", "SignatureError", "WrongLoopError"}
    assert leaves - apart - before_io <= {kind.__name__ for kind in seen}


@pytest.mark.parametrize("kind", OperationClass)
@pytest.mark.parametrize("error", [CircuitOpenError(retry_after=1.0), OverloadedError()])
def test_a_refusal_of_ours_is_not_asked_again(kind: OperationClass, error: Exception) -> None:
    """Asking less is what it is for."""
    assert verdict(error, kind, unknown_before=0) == Verdict(again=False, stopped="rejected")


@pytest.mark.parametrize("kind", OperationClass)
def test_no_time_is_left_after_a_total_limit(kind: OperationClass) -> None:
    """It is the limit of all attempts together; an effect may have happened before it."""
    found = verdict(TotalTimeout(outcome="not_applied"), kind, unknown_before=0)
    assert found == Verdict(again=False, stopped="deadline")
    found = verdict(TotalTimeout(), kind, unknown_before=0)
    if kind is EFFECT:
        assert found.may_have_acted
    else:
        assert found == Verdict(again=False, stopped="deadline")


@pytest.mark.parametrize("said", ["uploaded", "not_replayable", "deadline"])
def test_what_the_attempt_says_of_itself_counts(said: str) -> None:
    """No class repeats it; an effect may have happened all the same."""
    for kind in (PURE, COMPUTE, IDEMPOTENT):
        error = FirstOutputTimeout(retry_stopped=said)
        assert verdict(error, kind, unknown_before=0) == Verdict(again=False, stopped=said)
    found = verdict(FirstOutputTimeout(retry_stopped=said), EFFECT, unknown_before=0)
    assert found == Verdict(again=False, stopped=said, may_have_acted=True)


def test_why_another_policy_stopped_is_its_own_affair() -> None:
    """An error that has been through the retries of a client may be repeated around it."""
    error = RateLimitError(retry_stopped="attempts")
    assert verdict(error, EFFECT, unknown_before=0).again


def test_an_unknown_outcome_carries_the_evidence() -> None:
    """All that is needed to ask the provider, and the way to do it; no secret."""
    operation = Operation(
        provider="testing", name="send_message", kind=EFFECT, reconcile="list the messages"
    )
    key = "sk-0123456789"
    call = Call(operation, secret=lambda: key)
    call.attempts = 2
    connection = ConnectionInfo(reused=True)
    seen = UnavailableError(
        f"bad {key}", status=503, request_id="req-1", retry_after=3.0, connection=connection
    )
    error = outcome_unknown(seen, call, "unknown_outcome")
    assert error.__cause__ is seen
    assert (error.provider, error.operation, error.attempts) == ("testing", "send_message", 2)
    assert (error.request_id, error.retry_after) == ("req-1", 3.0)
    assert error.connection is connection
    assert error.timings is not None
    assert (error.hint, error.outcome) == ("list the messages", "unknown")
    assert (error.retryable, error.retry_stopped) == (False, "unknown_outcome")
    assert str(error) == (
        "testing send_message: it may or may not have happened (UnavailableError); "
        "to find out: list the messages"
    )
    assert key not in str(seen)


def test_an_unknown_outcome_of_anything() -> None:
    """Without a hint, from an exception that is not ours and may say anything."""
    call = Call(Operation(provider="testing", name="ring", kind=EFFECT))
    error = outcome_unknown(OSError("marked content"), call, None)
    assert str(error) == "testing ring: it may or may not have happened (OSError)"
    assert isinstance(error.__cause__, OSError)
