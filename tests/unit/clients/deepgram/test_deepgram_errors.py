"""Every error row of the vendor's pages, as our class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.deepgram.errors import (
    DIALECT,
    LONG_DIALECT,
    label_of,
    read_close,
    read_error,
    read_error_message,
)
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)

LEGACY = "legacy"
MODERN = "modern"
TEXT = "text"


@pytest.mark.parametrize(
    ("status", "shape", "code", "kind", "retryable"),
    [
        (400, MODERN, "INVALID_JSON", InvalidRequestError, False),
        (400, TEXT, "Bad Request", InvalidRequestError, False),
        (400, LEGACY, "Bad Request", InvalidRequestError, False),
        (400, LEGACY, "INVALID_QUERY_PARAMETER", InvalidRequestError, False),
        (400, LEGACY, "PAYLOAD_ERROR", InvalidRequestError, False),
        (400, LEGACY, "REMOTE_CONTENT_ERROR", InvalidRequestError, False),
        (401, LEGACY, "INVALID_AUTH", AuthenticationError, False),
        (401, LEGACY, "INSUFFICIENT_PERMISSIONS", AuthenticationError, False),
        (402, LEGACY, "ASR_PAYMENT_REQUIRED", QuotaError, False),
        (403, LEGACY, "INSUFFICIENT_PERMISSIONS", AuthenticationError, False),
        (403, LEGACY, "FORBIDDEN", AuthenticationError, False),
        (404, LEGACY, "PROJECT_NOT_FOUND", InvalidRequestError, False),
        (404, TEXT, "Not Found", InvalidRequestError, False),
        (408, LEGACY, "Request Timeout", UnavailableError, True),
        (411, LEGACY, "Length Required", InvalidRequestError, False),
        (413, LEGACY, "PAYLOAD_TOO_LARGE", InvalidRequestError, False),
        (413, LEGACY, "Payload Too Large", InvalidRequestError, False),
        (414, LEGACY, "URI Too Long", InvalidRequestError, False),
        (415, LEGACY, "UNSUPPORTED_MEDIA_TYPE", InvalidRequestError, False),
        (429, LEGACY, "TOO_MANY_REQUESTS", RateLimitError, True),
        (429, LEGACY, "Too Many Requests", RateLimitError, True),
        (499, LEGACY, "Client Closed", UnavailableError, True),
        (500, LEGACY, "INTERNAL_SERVER_ERROR", UnavailableError, True),
        (502, LEGACY, "Bad Gateway", UnavailableError, True),
        (503, "error_code", "Service Unavailable", UnavailableError, True),
        (503, "error_code", "SERVICE_UNAVAILABLE", UnavailableError, True),
        (503, TEXT, "upstream connect error", UnavailableError, True),
        (504, LEGACY, "Gateway Timeout", UnavailableError, True),
        (504, TEXT, "Gateway Timeout", UnavailableError, True),
    ],
)
def test_refusals(
    status: int, shape: str, code: str, kind: type[ProviderError], retryable: bool
) -> None:
    """Class, repeatability, code, words and request id of every documented refusal."""
    body: dict[str, Any] = (
        {"category": code, "message": "marked words", "details": "at line 1", "request_id": "r1"}
        if shape == MODERN
        else {
            "err_code" if shape == LEGACY else shape: code,
            "err_msg": "marked words",
            "request_id": "r1",
        }
    )
    sent = b"marked words: " + code.encode() if shape == TEXT else json.dumps(body).encode()
    headers = {"dg-request-id": "r1"} if shape == TEXT else {"dg-request-id": "r2"}
    for dialect in (DIALECT, LONG_DIALECT):
        error = dialect.read_error(status, headers, sent)
        assert type(error) is kind
        # What a long recording is too long for, it is too long for next time.
        assert error.retryable is (retryable and (dialect, status) != (LONG_DIALECT, 504))
        assert error.status == status
        assert error.code == (code if shape != TEXT and " " not in code else None)
        assert error.request_id == "r1"
        assert error.retry_after is None
        assert error.detail is not None
        assert error.detail.startswith("marked words")
        assert "marked" not in f"{error} {error!r}"


def test_a_bare_line() -> None:
    """A text body, as of the vendor's 404, is the detail; the header names the request."""
    error = read_error(404, {"dg-request-id": "r2"}, b"Not Found")
    assert type(error) is InvalidRequestError
    assert (error.detail, error.request_id, error.code) == ("Not Found", "r2", None)


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b'{"err_code":', b"[1]", b"null", b"7"]
)
def test_headers_speak_where_the_body_does_not(body: bytes) -> None:
    """dg-error and dg-request-id are enough; whatever the body is, the status decides."""
    error = read_error(429, {"dg-error": "Too many", "dg-request-id": "r3"}, body)
    assert type(error) is RateLimitError
    assert (error.detail, error.request_id) == ("Too many", "r3")


def test_wrong_types_in_the_body_are_ignored() -> None:
    """A body of the right shape with the wrong types still gives the status's class."""
    body = {"err_code": 5, "err_msg": ["x"], "request_id": {}, "details": 7}
    error = read_error(401, {}, json.dumps(body).encode())
    assert type(error) is AuthenticationError
    assert (error.code, error.request_id) == (None, None)


def test_retry_after_is_read() -> None:
    """None is documented; if one comes it counts."""
    assert read_error(429, {"retry-after": "2"}, b"").retry_after == 2.0


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retryable", "label"),
    [
        (1008, "DATA-0000", InvalidRequestError, False, "DATA-0000"),
        (1008, "data0000 cannot decode", InvalidRequestError, False, "DATA-0000"),
        (1008, "", InvalidRequestError, False, None),
        (1011, "NET-0000", UnavailableError, True, "NET-0000"),
        (1011, "NET-0001", UnavailableError, True, "NET-0001"),
        (
            1011,
            "Deepgram did not receive audio data or a text message in time: dpgr.am/net0001",
            UnavailableError,
            True,
            "NET-0001",
        ),
        (1011, "", UnavailableError, True, None),
        (1001, "going away", UnavailableError, True, None),
        (1012, "", UnavailableError, True, None),
        (1003, "MESSAGE-0000", InvalidRequestError, False, "MESSAGE-0000"),
        (1009, "BIG-0000", InvalidRequestError, False, "BIG-0000"),
        (4000, "whatever", UnavailableError, True, None),
        # The label is more exact than the code.
        (1011, "DATA-0000", InvalidRequestError, False, "DATA-0000"),
    ],
)
def test_close_codes(
    code: int, reason: str, kind: type[ProviderError], retryable: bool, label: str | None
) -> None:
    """Class and repeatability of each close code, by label where the reason holds one."""
    error = read_close(code, reason)
    assert type(error) is kind
    assert isinstance(error, ProviderError)
    assert (error.retryable, error.status, error.code) == (retryable, code, label)
    assert error.detail == (reason or None)
    assert "did not receive" not in f"{error} {error!r}"


def test_a_normal_close_too_early_is_a_loss() -> None:
    """1000 before the stream's end is no success."""
    error = read_close(1000, "")
    assert type(error) is ConnectionLostError
    assert error.retryable


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"description": "marked", "variant": "SchemaError"}, InvalidRequestError, "SchemaError"),
        ({"description": "marked", "code": "INTERNAL_SERVER_ERROR"}, UnavailableError, None),
        ({"description": "marked", "variant": "InternalError"}, UnavailableError, "InternalError"),
        ({"description": "marked NET-0000"}, UnavailableError, "NET-0000"),
        ({"description": "marked", "code": "DATA-0000"}, InvalidRequestError, "DATA-0000"),
        ({"message": "marked"}, UnavailableError, None),
        ({"description": 5, "code": ["x"], "variant": None}, UnavailableError, None),
        ({"code": "marked words"}, UnavailableError, None),
        (
            {"description": "marked", "code": "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"},
            InvalidRequestError,
            "CONFIGURE_KEYTERM_LIMIT_EXCEEDED",
        ),
        (
            {"description": "marked", "code": "CONFIGURE_INTERNAL_ERROR"},
            UnavailableError,
            "CONFIGURE_INTERNAL_ERROR",
        ),
    ],
)
def test_error_messages(
    fields: dict[str, Any], kind: type[ProviderError], code: str | None
) -> None:
    """An Error message is typed by its code or variant; its words are the detail only."""
    error = read_error_message({"type": "Error", **fields})
    assert type(error) is kind
    if code is not None:
        assert error.code == code
    assert "marked" not in f"{error} {error!r}"


def test_labels_are_found_in_prose() -> None:
    """With or without hyphen, in any case, and not inside another word."""
    assert label_of("see https://dpgr.am/net0001") == "NET-0001"
    assert label_of("Data-0000.") == "DATA-0000"
    assert label_of("internet0001") is None


def test_the_dialect() -> None:
    """The id of a request is in one header."""
    assert DIALECT.provider == "deepgram"
    assert DIALECT.request_id_headers == ("dg-request-id",)
