"""Every error row of the vendor's pages on speech, as our class."""

from __future__ import annotations

import json

import pytest

from voicekit.clients.deepgram.errors import read_error, read_error_message
from voicekit.clients.deepgram.speech.errors import (
    error_in_body,
    error_of_loss,
    is_of_flushes,
)
from voicekit.clients.utterance import may_replay
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.transport.ws_aiohttp import SocketClosed


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (400, "Bad Request", InvalidRequestError, False),
        (400, "INVALID_QUERY_PARAMETER", InvalidRequestError, False),
        (400, "PAYLOAD_ERROR", InvalidRequestError, False),
        (401, "INVALID_AUTH", AuthenticationError, False),
        (402, "ASR_PAYMENT_REQUIRED", QuotaError, False),
        (403, "INSUFFICIENT_PERMISSIONS", AuthenticationError, False),
        (413, "PAYLOAD_TOO_LARGE", InvalidRequestError, False),
        (413, "Payload Too Large", InvalidRequestError, False),
        (414, "URI Too Long", InvalidRequestError, False),
        (415, "UNSUPPORTED_MEDIA_TYPE", InvalidRequestError, False),
        (422, "Unprocessable", InvalidRequestError, False),
        (429, "Too Many Requests", RateLimitError, True),
        (500, "INTERNAL_SERVER_ERROR", UnavailableError, True),
        (502, "Bad Gateway", UnavailableError, True),
        (503, "Service Unavailable", UnavailableError, True),
        (504, "Gateway Timeout", UnavailableError, True),
    ],
)
def test_statuses(status: int, code: str, kind: type[ProviderError], retryable: bool) -> None:
    """The status decides; the vendor's phrases are no codes, its tokens are."""
    body = json.dumps({"err_code": code, "err_msg": "said", "request_id": "r1"}).encode()
    error = read_error(status, {"Retry-After": "3"}, body)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.retry_after == 3.0
    assert error.code == (code if " " not in code else None)
    assert error.detail == "said"
    assert error.request_id == "r1"


@pytest.mark.parametrize(
    ("code", "reason", "kind", "label", "again"),
    [
        (1000, "", ConnectionLostError, None, True),
        (1003, "MESSAGE-0000", InvalidRequestError, "MESSAGE-0000", False),
        (1008, "DATA-0000", InvalidRequestError, "DATA-0000", False),
        (1008, "DATA-0001", RateLimitError, "DATA-0001", False),
        (1009, "BIG-0000", InvalidRequestError, "BIG-0000", False),
        (1009, "see https://dpgr.am/big0001", InvalidRequestError, "BIG-0001", False),
        (1011, "NET-0000", UnavailableError, "NET-0000", True),
        (1011, "See https://dpgr.am/net0001", UnavailableError, "NET-0001", True),
        (1011, "NET-0002", UnavailableError, "NET-0002", True),
        (1011, "NET-0003", UnavailableError, "NET-0003", True),
        (1001, "", UnavailableError, None, True),
        (1012, "", UnavailableError, None, True),
        (1008, "", InvalidRequestError, None, False),
    ],
)
def test_close_codes(
    code: int, reason: str, kind: type[VoicekitError], label: str | None, again: bool
) -> None:
    """Each close code and label is its class, and says whether another socket may be tried."""
    error = error_of_loss(SocketClosed(f"closed with code {code}", status=code, detail=reason))
    assert type(error) is kind
    assert getattr(error, "code", None) == label
    assert may_replay(error) is again


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionLostError("gone"), True),
        (RemoteProtocolError("noise"), False),
        (ClosedError("closed"), False),
        (FirstOutputTimeout("late", limit=1.0), False),
    ],
)
def test_other_losses(error: VoicekitError, again: bool) -> None:
    """What is an error of ours already stays what it is."""
    assert error_of_loss(error) is error
    assert may_replay(error) is again


def test_error_in_a_body() -> None:
    """JSON with status 200 where audio was due."""
    error = error_in_body({"err_code": "TOO_MANY", "err_msg": "said"}, 200, {})
    assert isinstance(error, ProviderError)
    assert error.detail == "said"
    assert "said" not in str(error)


def test_error_message() -> None:
    """The newer grammar's ``Error`` on a socket."""
    error = read_error_message({"type": "Error", "code": "NET-0000", "description": "d"})
    assert type(error) is UnavailableError
    assert type(read_error_message({"code": "DATA-0000"})) is InvalidRequestError


@pytest.mark.parametrize(
    ("warning", "of_flushes"),
    [
        ({"description": "Exceeded 20 flushes", "code": "X"}, True),
        ({"code": "EXCESSIVE_FLUSH"}, True),
        ({"warn_code": "X", "warn_msg": "too many Flush messages"}, True),
        ({"description": "This language ignores speed", "code": "SPEED"}, False),
        ({"description": 5}, False),
        ({}, False),
    ],
)
def test_warnings(warning: dict[str, object], of_flushes: bool) -> None:
    """Both spellings of the fields; the code is not documented, so the word counts."""
    assert is_of_flushes(warning) is of_flushes
