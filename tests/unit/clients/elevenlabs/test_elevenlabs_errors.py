"""Every refusal of the vendor's table as our error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.elevenlabs.errors import (
    error_of_frame,
    error_of_loss,
    read_error,
)
from voicekit.clients.utterance import may_replay
from voicekit.errors import (
    AuthenticationError,
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

# Source: ElevenLabs fact sheet of 2026-11, §5: every row, and what our own table knows beside.
TABLE: list[tuple[int, str, type[ProviderError], bool]] = [
    (400, "max_character_limit_exceeded", InvalidRequestError, False),
    (401, "max_character_limit_exceeded", InvalidRequestError, False),
    (401, "invalid_api_key", AuthenticationError, False),
    (401, "needs_authorization", AuthenticationError, False),
    (401, "missing_permissions", AuthenticationError, False),
    (401, "quota_exceeded", QuotaError, False),
    (400, "quota_exceeded", QuotaError, False),
    (401, "detected_unusual_activity", AuthenticationError, False),
    (400, "voice_not_found", InvalidRequestError, False),
    (404, "voice_not_found", InvalidRequestError, False),
    (400, "invalid_uid", InvalidRequestError, False),
    (403, "only_for_creator+", AuthenticationError, False),
    (404, "not_found", InvalidRequestError, False),
    (404, "unknown_effect", InvalidRequestError, False),
    (400, "invalid_parameters", InvalidRequestError, False),
    (400, "unsupported_parameter", InvalidRequestError, False),
    (403, "never_heard_of", AuthenticationError, False),
    (422, "missing", InvalidRequestError, False),
    (429, "too_many_concurrent_requests", RateLimitError, True),
    (429, "concurrent_limit_exceeded", RateLimitError, True),
    (429, "system_busy", RateLimitError, True),
    (429, "rate_limit_exceeded", RateLimitError, True),
    (503, "system_busy", UnavailableError, True),
    (500, "internal_error", UnavailableError, True),
    (402, "internal_error", QuotaError, False),
    (408, "internal_error", UnavailableError, True),
    (413, "internal_error", InvalidRequestError, False),
    (422, "internal_server_error", InvalidRequestError, False),
    (500, "quota_exceeded", QuotaError, False),
    (502, "never_heard_of", UnavailableError, True),
    (503, "never_heard_of", UnavailableError, True),
    (504, "never_heard_of", UnavailableError, True),
    (429, "never_heard_of", RateLimitError, True),
    (400, "never_heard_of", InvalidRequestError, False),
]


@pytest.mark.parametrize(("status", "code", "kind", "retryable"), TABLE)
def test_the_table(status: int, code: str, kind: type[ProviderError], retryable: bool) -> None:
    """The code decides before the status; class, code and retryability are as in the sheet."""
    for detail in (
        {"status": code, "message": "Words."},
        {"type": "some_error", "code": code, "message": "Words.", "status": "older_name"},
    ):
        error = read_error(status, {}, json.dumps({"detail": detail}).encode())
        assert type(error) is kind
        assert (error.status, error.code, error.retryable) == (status, code, retryable)
        assert error.detail == "Words."
        assert "Words" not in str(error)
        assert error.retry_after is None
        # Undocumented, and honoured where it comes.
        again = read_error(status, {"Retry-After": "3"}, json.dumps({"detail": detail}).encode())
        assert again.retry_after == 3.0


SHAPES: list[tuple[int, str, type[ProviderError], str | None, str | None]] = [
    # Status, body as the sheet has it, class, code, param.
    (401, '{"detail":{"status":"invalid_api_key","message":"Invalid API key"}}',
     AuthenticationError, "invalid_api_key", None),
    (422, '{"detail":[{"loc":["body","text"],"msg":"Field required","type":"missing"}]}',
     InvalidRequestError, "missing", "text"),
    (400, ('{"detail":{"type":"validation_error","code":"invalid_parameters","message":"text is'
     ' empty","status":"invalid_parameters","request_id":"req_01","param":"text"}}'),
     InvalidRequestError, "invalid_parameters", "text"),
    (404, '{"detail":"Not Found"}', InvalidRequestError, None, None),
    (429, ('{"detail":{"type":"rate_limit_error","code":"concurrent_limit_exceeded","status":'
     '"too_many_concurrent_requests","message":"Too many concurrent requests. Your subscription'
     ' allows a maximum of 5 concurrent requests.","request_id":"req_02"}}'),
     RateLimitError, "concurrent_limit_exceeded", None),
    (404, '{"detail":{"code":"not_found","message":"m","param":"audio_effects.filter_preset_id"}}',
     InvalidRequestError, "not_found", "audio_effects.filter_preset_id"),
    (502, "<html><body>Bad Gateway</body></html>", UnavailableError, None, None),
    (413, "Payload too large", InvalidRequestError, None, None),
    (503, "", UnavailableError, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code", "param"), SHAPES)
def test_the_sheets_own_examples(
    status: int, body: str, kind: type[ProviderError], code: str | None, param: str | None
) -> None:
    """All four shapes, word for word."""
    error = read_error(status, {}, body.encode())
    assert type(error) is kind
    assert (error.status, error.code, error.param) == (status, code, param)
    assert error.retryable is issubclass(kind, RateLimitError | UnavailableError)


def test_the_four_shapes() -> None:
    """Legacy object, list, current object, plain: each gives what it holds."""
    current = {
        "type": "validation_error",
        "code": "invalid_parameters",
        "message": "text is empty",
        "status": "invalid_parameters",
        "request_id": "req_01",
        "param": "text",
    }
    error = read_error(400, {}, json.dumps({"detail": current}).encode())
    assert (error.code, error.param, error.request_id) == ("invalid_parameters", "text", "req_01")

    failures = [{"loc": ["body", "voice_settings", "stability"], "msg": "No.", "type": "missing"}]
    error = read_error(422, {}, json.dumps({"detail": failures}).encode())
    assert type(error) is InvalidRequestError
    assert (error.code, error.param, error.detail) == ("missing", "voice_settings.stability", "No.")

    error = read_error(404, {}, b'{"detail":"Not Found"}')
    assert (type(error), error.code, error.detail) == (InvalidRequestError, None, "Not Found")

    error = read_error(502, {}, b"<html>Bad gateway</html>")
    assert (type(error), error.code, error.detail) == (UnavailableError, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"detail":null}',
        b'{"detail":[]}',
        b'{"detail":[5]}',
        b'{"detail":{"code":{"a":1},"message":[1]}}',
        b'{"detail":{"code":"not a token: said hello"}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_any_body_gives_an_error_by_its_status(body: bytes) -> None:
    """Whatever a proxy or a broken server writes, the status decides, and no prose is a code."""
    error = read_error(401, {}, body)
    assert type(error) is AuthenticationError
    assert error.code is None


def test_retry_after_is_read() -> None:
    """Not documented, but honoured where it comes."""
    assert read_error(429, {"Retry-After": "3"}, b"").retry_after == 3.0


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("input_timeout_exceeded", 1008, InvalidRequestError),
        ("invalid_input_message", 1008, InvalidRequestError),
        ("detected_unusual_activity", 1008, AuthenticationError),
        ("invalid_api_key", 1008, AuthenticationError),
        ("quota_exceeded", 1008, QuotaError),
        ("max_active_conversations", 1008, RateLimitError),
        ("too_many_concurrent_requests", 1008, RateLimitError),
        ("never_heard_of", 1008, InvalidRequestError),
        ("internal_error", 1011, UnavailableError),
        ("never_heard_of", 1011, UnavailableError),
        ("never_heard_of", None, InvalidRequestError),
    ],
)
def test_error_frames(name: str, code: int | None, kind: type[ProviderError]) -> None:
    """The name decides, then the close code that the frame announces."""
    error = error_of_frame({"message": "Words.", "error": name, "code": code})
    assert type(error) is kind
    assert (error.code, error.status, error.detail) == (name, code or 1008, "Words.")
    assert "Words" not in str(error)


def closed(code: int, reason: str = "") -> ProviderError:
    return ProviderError(f"closed with code {code}", status=code, detail=reason)


@pytest.mark.parametrize(
    ("loss", "kind", "replay"),
    [
        (closed(1000), ConnectionLostError, True),
        (closed(1001), ConnectionLostError, True),
        (closed(1006), ConnectionLostError, True),
        (closed(1011), UnavailableError, True),
        (closed(1012), UnavailableError, True),
        (closed(1008), InvalidRequestError, False),
        (closed(1008, "quota_exceeded"), QuotaError, False),
        (closed(1008, "the field must be in the first message"), InvalidRequestError, False),
        (closed(1009), InvalidRequestError, False),
        (closed(4001), InvalidRequestError, False),
        (ConnectionLostError("gone"), ConnectionLostError, True),
        (RemoteProtocolError("garbage"), RemoteProtocolError, False),
        (FirstOutputTimeout("late"), FirstOutputTimeout, False),
    ],
)
def test_the_end_of_a_socket(loss: VoicekitError, kind: type[VoicekitError], replay: bool) -> None:
    """Losses and the server's own failures may be said again; refusals and limits may not."""
    error = error_of_loss(loss)
    assert type(error) is kind
    assert may_replay(error) is replay


def test_rate_limits_are_not_replayed() -> None:
    """They wait for one of our own requests to end; another socket at once would not help."""
    frame: dict[str, Any] = {"error": "too_many_concurrent_requests", "code": 1008}
    error = error_of_frame(frame)
    assert error.retryable
    assert not may_replay(error)
