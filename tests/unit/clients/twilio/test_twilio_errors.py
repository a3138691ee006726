"""Every refusal of the sheet: class, whether it may be repeated, after how long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.twilio.errors import (
    TemplateRequiredError,
    UnsubscribedError,
    read_error,
)
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    RateLimitError,
    UnavailableError,
)


def body(code: int | None, status: int, **more: Any) -> bytes:
    said = {"code": code, "message": "Marked words", "status": status, **more}
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def rfc9457(code: int, status: int) -> bytes:
    return json.dumps({
        "type": "https://www.twilio.com/docs/errors/1", "title": "Marked words",
        "status": status, "code": code, "detail": "more of them", "instance": "/x",
        "errors": [{"pointer": "#/messageId", "detail": "bad"}],
    }).encode()  # fmt: skip


HTML = b"<html><body>502 Bad Gateway</body></html>"
ROWS: list[tuple[int, bytes, type[ProviderError], bool, str | None]] = [
    # Sheet §2.6
    (400, body(20001, 400), InvalidRequestError, False, "20001"),
    (401, body(20003, 401, detail="wrong"), AuthenticationError, False, "20003"),
    (403, body(None, 403), AuthenticationError, False, None),
    (403, body(20403, 403), AuthenticationError, False, "20403"),
    (404, body(20404, 404), InvalidRequestError, False, "20404"),
    (429, body(20429, 429), RateLimitError, True, "20429"),
    (429, HTML, RateLimitError, True, None),
    (500, body(20500, 500), UnavailableError, True, "20500"),
    (502, HTML, UnavailableError, True, None),
    (503, b"", UnavailableError, True, None),
    (503, b'{"code"', UnavailableError, True, None),
    (500, body(20001, 500), UnavailableError, True, "20001"),
    # Sheet §3.3, at once
    *[
        (400, body(code, 400), InvalidRequestError, False, str(code))
        for code in (
            21211, 21212, 21408, 21603, 21606, 21608, 21612, 21614, 21617, 21658, 21910, 63007,
        )
    ],
    (400, body(21610, 400), UnsubscribedError, False, "21610"),
    (400, body(20009, 400), InvalidRequestError, False, "20009"),
    (409, body(20009, 409), InvalidRequestError, False, "20009"),
    (400, body(63016, 400), TemplateRequiredError, False, "63016"),
    (400, body(99999, 400), InvalidRequestError, False, "99999"),
    # RFC 9457
    (400, rfc9457(20001, 400), InvalidRequestError, False, "20001"),
    (429, rfc9457(20429, 429), RateLimitError, True, "20429"),
    # Codes that are none
    (400, body("Marked words", 400), InvalidRequestError, False, None),  # type: ignore[arg-type]
    (400, body(-1, 400), InvalidRequestError, False, None),
    (400, b"[]", InvalidRequestError, False, None),
    (400, b"\xff", InvalidRequestError, False, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind", "retryable", "code"), ROWS)
def test_a_refusal(
    status: int, said: bytes, kind: type[ProviderError], retryable: bool, code: str | None
) -> None:
    """One row of the table; the vendor's words are in ``detail`` alone."""
    error = read_error(status, {}, said)
    assert type(error) is kind
    assert (error.status, error.retryable, error.code) == (status, retryable, code)
    assert "Marked" not in f"{error} {error!r} {error.args}"
    assert error.outcome == ("unknown" if kind is UnavailableError else "not_applied")
    if b"Marked words" in said and code is not None:
        assert error.detail is not None
        assert error.detail.startswith("Marked words")
    if b"pointer" in said:
        assert error.param == "messageId"


def test_a_wait_that_is_asked_for() -> None:
    """Not documented by the vendor; honoured where it is there."""
    assert read_error(429, {"Retry-After": "3"}, body(20429, 429)).retry_after == 3.0
    assert read_error(429, {}, body(20429, 429)).retry_after is None
