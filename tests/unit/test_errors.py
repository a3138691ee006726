"""The error tree: what each kind says of retrying and of effects, and what it never shows."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import voicekit.errors as errors
from voicekit.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    FirstOutputTimeout,
    InvalidArgumentError,
    PoolTimeout,
    ProviderError,
    StreamInterruptedError,
    TransportError,
    UnavailableError,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo, Timings

KINDS = sorted(
    (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, VoicekitError)
    ),
    key=lambda kind: kind.__name__,
)


def test_the_tree_is_the_documented_one() -> None:
    """The module's docstring draws every class, by name."""
    text = errors.__doc__ or ""
    for kind in KINDS:
        assert re.search(rf"\b{kind.__name__}\b", text), kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_a_pickle(kind: type[VoicekitError]) -> None:
    """With its evidence, across processes and copies."""
    error = kind("what happened")
    error.provider, error.operation, error.attempts = "elevenlabs", "stream_speech", 2
    error.timings = Timings(connect=0.1, total=0.5)
    error.connection = ConnectionInfo(reused=True, age=3.0, id=7)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error) == "elevenlabs stream_speech: what happened"
        assert vars(twin) == vars(error)
        assert twin.outcome == kind.outcome


def test_facts_are_checked() -> None:
    """A misspelt fact is our bug, found at once."""
    assert UnavailableError("x", status=503, retry_after=2.0).status == 503
    with pytest.raises(TypeError, match="statu"):
        UnavailableError("x", statu=503)


def test_timeouts_are_timeouts() -> None:
    """So that ``except TimeoutError`` catches ours; wrong arguments are ValueErrors."""
    assert issubclass(DeadlineError, TimeoutError)
    assert issubclass(InvalidArgumentError, ValueError)
    assert FirstOutputTimeout("x", limit=5.0).limit == 5.0


@pytest.mark.parametrize(
    ("kind", "retryable", "outcome"),
    [
        (ConnectError, True, "not_applied"),
        (ConnectionLostError, True, "unknown"),
        (PoolTimeout, True, "not_applied"),
        (FirstOutputTimeout, True, "unknown"),
        (errors.LocalProtocolError, False, "not_applied"),
        (errors.RemoteProtocolError, True, "unknown"),
        (errors.AuthenticationError, False, "not_applied"),
        (errors.QuotaError, False, "not_applied"),
        (errors.RateLimitError, True, "not_applied"),
        (UnavailableError, True, "unknown"),
        (errors.CircuitOpenError, True, "not_applied"),
        (errors.OutcomeUnknownError, False, "unknown"),
        (StreamInterruptedError, False, "partial"),
        (ClosedError, False, "not_applied"),
    ],
)
def test_what_a_kind_says(kind: type[VoicekitError], retryable: bool, outcome: str) -> None:
    """Policies read these two and nothing else."""
    assert (kind.retryable, kind.outcome) == (retryable, outcome)


def test_an_argument_error_names_what_is_allowed() -> None:
    """The argument, what it was and what it may be, in one line."""
    error = InvalidArgumentError("got -1", argument="n", allowed="an int ≥ 1")
    assert str(error) == "n: got -1; allowed: an int ≥ 1"
    assert error.argument == "n"


def test_the_vendors_words_are_not_shown() -> None:
    """They may quote the text that was sent: in ``detail``, and nowhere else."""
    error = ProviderError("status 400", detail="cannot say: the walrus sings", status=400)
    error.provider = "openai"
    assert "walrus" not in str(error)
    assert "walrus" not in repr(error)
    assert error.detail == "cannot say: the walrus sings"


def test_redact() -> None:
    """A secret goes out of an error and its causes, also cut off, also in another case."""
    key = "sk-0123456789abcdef"
    cause = TransportError(f"refused {key.upper()}")
    error = ProviderError(f"bad {key}", detail=f"your key {key[:12]}", request_id=key, status=401)
    error.__cause__ = cause
    cause.__cause__ = error  # a circle is no reason to hang
    error.redact(key)
    shown = f"{error!r} {error.detail} {error.request_id} {cause!r}".lower()
    assert key not in shown
    assert key[:12] not in shown
    assert error.status == 401


def test_a_short_secret_stays() -> None:
    """Replacing "key" everywhere would only garble what is said."""
    error = ProviderError("the key is wrong")
    error.redact("key")
    assert error.message == "the key is wrong"


def test_attributes_have_their_own_state() -> None:
    """Evidence put on one error is not on the next of its class."""
    ConnectError("x").attempts = 3
    assert ConnectError("y").attempts == 0
