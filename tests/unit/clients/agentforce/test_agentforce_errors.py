"""Every row of the fact sheet's tables of errors, as our errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.agentforce.errors import (
    NOT_ATTACHED,
    SessionBusyError,
    SessionLostError,
    error_of,
    read_error,
)
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    RateLimitError,
    UnavailableError,
)

SESSION = "019d4c0e-7b11-7cc1-9d53-6a2f0e8d1b55"
WAIT = {"Retry-After": "7"}


def body(error: str, message: str, status: int = 0) -> dict[str, Any]:
    return {
        "status": status,
        "path": f"v6.0.0/sessions/{SESSION}/messages",
        "requestId": "b2a4f6c8-0000-4000-8000-000000000001",
        "error": error,
        "message": message,
        "timestamp": 1764000200000,
        "expected": False,
    }


LOST = body("NotFoundException", f"V6Session not found for sessionId: {SESSION}")
NO = "not_applied"
# status, asked, body, headers → class, retryable, outcome, retry_after
ROWS: list[tuple[int, str, Any, dict[str, str], type[ProviderError], bool, str, float | None]] = [
    (400, "turn", body("BadRequestException", "Missing required creator property 'sequenceId'"),
     {}, InvalidRequestError, False, NO, None),
    (400, "start", body("BadRequestException", "Invalid user ID provided on start session"),
     {}, InvalidRequestError, False, NO, None),
    (400, "start", body("BadRequestException", "0Xx is not a valid agent ID"),
     {}, InvalidRequestError, False, NO, None),
    (400, "other", body("BadRequestException", "Missing header x-session-end-reason"),
     {}, InvalidRequestError, False, NO, None),
    (401, "turn", body("UnauthorizedException", "token expired"),
     {}, AuthenticationError, False, NO, None),
    (401, "start", [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
     {}, AuthenticationError, False, NO, None),
    (403, "turn", body("Forbidden", "scope"), {}, AuthenticationError, False, NO, None),
    (404, "turn", LOST, {}, SessionLostError, False, NO, None),
    (404, "other", LOST, {}, SessionLostError, False, NO, None),
    (404, "turn", body("Other", f"session not found for sessionId: {SESSION}"),
     {}, SessionLostError, False, NO, None),
    (404, "turn", body("Other", "no such path"), {}, InvalidRequestError, False, NO, None),
    (404, "start", body("NotFoundException", "no such agent"),
     {}, InvalidRequestError, False, NO, None),
    (404, "turn", "<html>URL No Longer Exists</html>", {}, InvalidRequestError, False, NO, None),
    (404, "start", "", {}, InvalidRequestError, False, NO, None),
    (410, "turn", body("NotAvailableError", "gone"), {}, SessionLostError, False, NO, None),
    (410, "start", body("NotAvailableError", "gone"), {}, InvalidRequestError, False, NO, None),
    (412, "start", body("PreconditionFailed", "No access to Einstein Copilot"),
     {}, InvalidRequestError, False, NO, None),
    (422, "start", body("Unprocessable", "Cannot determine the active version for the agent"),
     {}, InvalidRequestError, False, NO, None),
    (423, "turn", body("ServerBusyError", "Session Already Locked Exception"),
     {}, SessionBusyError, True, NO, None),
    (423, "other", "", {}, SessionBusyError, True, NO, None),
    (429, "turn", body("TooManyRequestsError", "slow down"), {}, RateLimitError, True, NO, None),
    (429, "start", body("TooManyRequestsError", "slow down"), WAIT, RateLimitError, True, NO, 7.0),
    (500, "start", body("HttpServerErrorException", "wrong agent"),
     {}, UnavailableError, False, "unknown", None),
    (500, "start", body("EngineConfigLookupException", "x"),
     {}, InvalidRequestError, False, NO, None),
    (500, "start", body("InternalServerError", "Bad force-config endpoint"),
     {}, InvalidRequestError, False, NO, None),
    (500, "start", body("InactiveConfigException", "inactive"),
     {}, InvalidRequestError, False, NO, None),
    (500, "turn", body("InternalServerError", "Unsupported Media Type"),
     {}, InvalidRequestError, False, NO, None),
    (500, "turn", body("InternalServerError", "timed out"),
     {}, UnavailableError, True, "unknown", None),
    (410, "turn", body("Other", "the record is gone"), {}, InvalidRequestError, False, NO, None),
    (500, "turn", LOST, {}, SessionLostError, False, NO, None),
    *((500, "turn", body("HttpServerErrorException", words),
       {}, UnavailableError, True, "unknown", None)
      for words in (
          "Session not found",
          "Apex failed after charge: checkout session not found for cart 8",
          "V6Session not found for sessionId: 019d4c0e-7b11-7cc1-9d53-000000000000",
          f"charged; then V6Session not found for sessionId: {SESSION}",
          f"action failed in session {SESSION}: PLANNER_SESSION_NOT_FOUND",
      )),
    (500, "turn", "", {}, UnavailableError, True, "unknown", None),
    (500, "other", body("InternalServerError", "x"), {}, UnavailableError, True, "unknown", None),
    *((status, asked, "<html>bad gateway</html>", {}, UnavailableError, True, "unknown", None)
      for status in (502, 503, 504) for asked in ("start", "turn", "other")),
    (503, "turn", body("ServiceUnavailable", "x"), WAIT, UnavailableError, True, "unknown", 7.0),
    (500, "turn", body("PLANNER_SESSION_NOT_FOUND", "x"), {}, SessionLostError, False, NO, None),
    (500, "turn", body("PLANNER_REQUEST_VALIDATION_ERROR", "x"),
     {}, InvalidRequestError, False, NO, None),
    (500, "turn", body("PLANNER_LLM_GATEWAY_RATE_LIMIT", "x"),
     {}, RateLimitError, True, "unknown", 5.0),
    (500, "turn", body("RATE_LIMIT_EXCEEDED", "x"), {}, RateLimitError, True, "unknown", 10.0),
    (429, "turn", body("RATE_LIMIT_EXCEEDED", "x"), {}, RateLimitError, True, NO, 10.0),
    (500, "start", body("RATE_LIMIT_EXCEEDED", "x"), {}, RateLimitError, True, NO, 10.0),
    (500, "turn", body("PLANNER_LLM_GATEWAY_TIMEOUT", "x"),
     {}, UnavailableError, True, "unknown", None),
    # -- the token's own
    (400, "token", {"error": "invalid_client", "error_description": "invalid client credentials"},
     {}, AuthenticationError, False, NO, None),
    (400, "token", {"error": "invalid_client_id", "error_description": "client identifier invalid"},
     {}, AuthenticationError, False, NO, None),
    (400, "token", {"error": "invalid_grant", "error_description": "no client credentials user"},
     {}, AuthenticationError, False, NO, None),
    (400, "token", {"error": "unsupported_grant_type", "error_description": "not supported"},
     {}, AuthenticationError, False, NO, None),
    (403, "token", {"error": "access_denied", "error_description": "login rate exceeded"},
     {}, RateLimitError, False, NO, None),
    (400, "token", {"error": "inv", "error_description": "Maximum Logins Exceeded"},
     {}, RateLimitError, False, NO, None),
    (503, "token", "<html>", {}, UnavailableError, True, "unknown", None),
    (404, "token", "<html>", {}, InvalidRequestError, False, NO, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "asked", "value", "headers", "kind", "retryable", "outcome", "wait"),
    ROWS,
    ids=[f"{row[0]}-{row[1]}-{row[4].__name__}-{n}" for n, row in enumerate(ROWS)],
)
def test_a_row_of_the_table(
    status: int,
    asked: Any,
    value: Any,
    headers: dict[str, str],
    kind: type[ProviderError],
    retryable: bool,
    outcome: str,
    wait: float | None,
) -> None:
    """Class, whether it may be repeated, what is known of its effect, how long to wait."""
    sent = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    error = read_error(status, headers, sent, asked=asked, session=lambda: SESSION)
    assert type(error) is kind
    assert (error.retryable, error.outcome) == (retryable, outcome)
    assert error.retry_after == wait
    assert error.status == status
    if isinstance(value, dict) and "message" in value:
        assert error.detail == value["message"]
        assert value["message"] not in f"{error} {error!r}" or len(value["message"]) < 3
        assert error.request_id == value["requestId"]


@pytest.mark.parametrize(
    "said",
    [
        "Connected app is not attached to Agent",
        "connected App Is Not ATTACHED to agent!",
        "Error: The Connected app is not attached to Agent 0Xx",
    ],
)
def test_an_app_that_is_not_attached_is_no_matter_of_the_token(said: str) -> None:
    """It says itself that no further attempt helps, in any spelling."""
    error = read_error(
        401, {}, json.dumps(body("UnauthorizedException", said)).encode(), asked="turn"
    )
    assert isinstance(error, AuthenticationError)
    assert error.retry_stopped == NOT_ATTACHED


def test_another_401_may_be_cured_by_another_token() -> None:
    """Nothing stops its one repeat."""
    error = read_error(401, {}, b"", asked="turn")
    assert error.retry_stopped is None


def test_a_404_without_an_error_object_says_what_to_look_at() -> None:
    """It is about the setup: host, agent, kind of token."""
    error = read_error(404, {}, b"<html>", asked="turn")
    for word in ("host", "agent_id", "JWT"):
        assert word in str(error)


def test_an_error_inside_a_turn_may_have_acted() -> None:
    """Whatever its status says: the door was open."""
    for status, kind in (
        (400, InvalidRequestError),
        (429, RateLimitError),
        (500, UnavailableError),
    ):
        error = error_of({"httpStatus": status, "error": "X"}, 200, {}, asked="turn", inside=True)
        assert (type(error), error.status, error.outcome) == (kind, status, "unknown")
    odd = error_of({"error": "X", "status": "odd"}, 200, {}, asked="turn", inside=True)
    assert (type(odd), odd.status) == (UnavailableError, 500)


@pytest.mark.parametrize("sent", [b"", b"[]", b"[1]", b"null", b'"x"', b'{"error":7}', b"\xff"])
def test_any_body_becomes_an_error(sent: bytes) -> None:
    """Half a document, another type, no text at all."""
    for asked in ("token", "start", "turn", "other"):
        for status in (400, 401, 404, 423, 500):
            assert isinstance(read_error(status, {}, sent, asked=asked), ProviderError)
