"""OpenAI's table of errors: every row of the sheet gives the right class and its facts."""

from __future__ import annotations

import json

import pytest

from voicekit.clients.openai.errors import error_of, read_error
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)


def body(message="words", type_="invalid_request_error", param=None, code=None, **more):
    error = {"message": message, "type": type_, "param": param, "code": code}
    return json.dumps({"error": error, **more}).encode()


ROWS = [
    # status, body, class, retryable, code
    (400, body(code="decimal_below_min_value", param="temperature"), InvalidRequestError, False,
     "decimal_below_min_value"),
    (400, body(code="model_not_found", param="model"), InvalidRequestError, False,
     "model_not_found"),
    (400, body(message="[{'type': 'enum', 'loc': ('body', 'voice')}]"), InvalidRequestError, False,
     None),
    (400, body(usage={"type": "duration", "seconds": 0}), InvalidRequestError, False, None),
    (400, body(code="previous_response_not_found", param="previous_response_id"),
     InvalidRequestError, False, "previous_response_not_found"),
    (400, body(param="service_tier"), InvalidRequestError, False, None),
    (401, body(code="invalid_api_key"), AuthenticationError, False, "invalid_api_key"),
    (401, body(), AuthenticationError, False, None),
    (403, b"<html>not in your country</html>", AuthenticationError, False, None),
    (404, body(code="model_not_found"), InvalidRequestError, False, "model_not_found"),
    (408, b"", UnavailableError, True, None),
    (409, b"", UnavailableError, True, None),
    (413, body(type_="server_error"), InvalidRequestError, False, None),
    (422, body(), InvalidRequestError, False, None),
    (429, body(type_="tokens", code="rate_limit_exceeded"), RateLimitError, True,
     "rate_limit_exceeded"),
    (429, body(type_="requests", code="rate_limit_exceeded"), RateLimitError, True,
     "rate_limit_exceeded"),
    (429, b"slow down", RateLimitError, True, None),
    (429, body(type_="insufficient_quota", code="insufficient_quota"), QuotaError, False,
     "insufficient_quota"),
    (429, body(type_="insufficient_quota", code="credit_balance_exhausted"), QuotaError, False,
     "credit_balance_exhausted"),
    (429, body(type_="insufficient_quota", code="some_new_code"), QuotaError, False,
     "some_new_code"),
    (429, body(type_="billing", code="billing_hard_limit_reached"), QuotaError, False,
     "billing_hard_limit_reached"),
    (500, body(type_="server_error"), UnavailableError, True, None),
    (502, b"<html>bad gateway</html>", UnavailableError, True, None),
    (503, body(type_="service_unavailable_error", code="server_is_overloaded"), UnavailableError,
     True, "server_is_overloaded"),
    (503, body(type_="service_unavailable_error", code="slow_down"), UnavailableError, True,
     "slow_down"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "data", "kind", "retryable", "code"), ROWS)
def test_each_row_of_the_table(status, data, kind, retryable, code) -> None:
    """Class, retryable, status and code follow the sheet; other bodies fall back on the status."""
    error = read_error(status, {}, data)
    assert type(error) is kind
    assert (error.status, error.retryable, error.code) == (status, retryable, code)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"type": "server_error", "code": None}, UnavailableError, 200),
        ({"type": "service_unavailable_error", "code": "server_is_overloaded"}, UnavailableError,
         200),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, RateLimitError, 200),
        ({"type": "requests", "code": None}, RateLimitError, 200),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, QuotaError, 200),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, InvalidRequestError,
         200),
        ({"type": "a_new_type"}, UnavailableError, 200),
        ({"code": 429}, RateLimitError, 429),
        ({"code": 401}, AuthenticationError, 401),
        ({"code": 7}, UnavailableError, 200),
        ("just words", UnavailableError, 200),
        (["what"], UnavailableError, 200),
    ],
)  # fmt: skip
def test_an_error_inside_a_stream_is_read_by_its_type(error, kind, status) -> None:
    """Where the status says 200, code and type decide, and the unknown is the vendor's fault."""
    found = error_of({"error": error}, 200, {})
    assert type(found) is kind
    assert found.status == status


def test_the_vendors_words_are_in_detail_alone() -> None:
    """A refusal may quote the text that was sent: neither message nor repr shows it."""
    error = read_error(400, {}, body(message="cannot say SECRETWORDS", param="not a token!"))
    assert error.detail == "cannot say SECRETWORDS"
    assert "SECRETWORDS" not in str(error) + repr(error)
    assert error.param is None


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "7"}, "Please try again in 1.574s.", 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, "", 0.25),
        ({}, "Rate limit reached. Please try again in 1.574s. Visit …", 1.574),
        ({}, "Please try again in 6ms.", 0.006),
        ({}, "Please try again in 1m13.588s.", 73.588),
        ({}, "Please try again in a while.", None),
        ({"retry-after": "soon"}, "", None),
        # When a bucket is full again is no wish to wait so long.
        ({"x-ratelimit-reset-requests": "23h55m16.126s"}, "", None),
    ],
)
def test_the_wait_comes_from_headers_else_from_the_message(headers, message, wait) -> None:
    """Headers name the wait; a 429 without one says it in words."""
    data = body(message=message, type_="tokens", code="rate_limit_exceeded")
    assert read_error(429, headers, data).retry_after == pytest.approx(wait)


@pytest.mark.parametrize(
    ("status", "said", "retryable"),
    [
        (500, "false", False),
        (400, "true", True),
        (400, "false", False),
        (500, "maybe", True),
        (429, "False", False),
    ],
)
def test_the_servers_word_on_repeats_wins(status, said, retryable) -> None:
    """``x-should-retry`` overrides what the table says; another word changes nothing."""
    assert read_error(status, {"x-should-retry": said}, b"").retryable is retryable
