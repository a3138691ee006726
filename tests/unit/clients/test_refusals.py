"""The part of every provider's table that is alike."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit.clients.refusals import body_of, build, class_of
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, QuotaError),
        (403, AuthenticationError),
        (404, InvalidRequestError),
        (408, UnavailableError),
        (413, InvalidRequestError),
        (422, InvalidRequestError),
        (425, UnavailableError),
        (429, RateLimitError),
        (500, UnavailableError),
        (503, UnavailableError),
        (599, UnavailableError),
    ],
)
def test_statuses(status: int, kind: type[ProviderError]) -> None:
    """What a status means where the vendor says nothing more."""
    assert class_of(status) is kind


def test_the_vendors_words_stay_in_detail() -> None:
    """A message holds only what looks like a code."""
    error = build(
        RateLimitError,
        429,
        {"retry-after": "7"},
        code="rate_limit.exceeded",
        param="voice_settings",
        detail="the walrus sings",
        request_id="req_1",
    )
    assert str(error) == "status 429 rate_limit.exceeded (param voice_settings)"
    assert (error.status, error.code, error.param) == (429, "rate_limit.exceeded", "voice_settings")
    assert error.detail == "the walrus sings"
    assert (error.retry_after, error.request_id) == (7.0, "req_1")


@pytest.mark.parametrize("code", ["the walrus sings", "a" * 65, "", "9lives", 7, None, ["x"]])
def test_what_is_no_code_is_not_shown(code: Any) -> None:
    """Prose, echoes of a text, things of another type."""
    error = build(InvalidRequestError, 400, {}, code=code, param=code, detail=code)
    assert str(error) == "status 400"
    assert error.code is None
    assert error.param is None


def test_an_error_with_status_200() -> None:
    """Says that it came inside an answer."""
    assert "inside the answer" in str(build(UnavailableError, 200, {}))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"", None),
        (b"<html>", None),
        (b'{"a": ', None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
    ],
)
def test_bodies(body: bytes, value: Any) -> None:
    """JSON or None, whatever it is."""
    assert body_of(body) == value
