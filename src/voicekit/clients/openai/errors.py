"""OpenAI's refusals as our errors: one table, for statuses and for errors inside a stream.

Source: OpenAI fact sheet of 2026-11 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)
from voicekit.wire.retry_after import parse_go_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "openai"

# What a code says is more exact than its status: 429 is a limit or an empty account.
_BY_CODE: dict[str, type[ProviderError]] = {
    "invalid_api_key": AuthenticationError,
    "model_not_found": InvalidRequestError,
    "rate_limit_exceeded": RateLimitError,
    "insufficient_quota": QuotaError,
    "credit_balance_exhausted": QuotaError,
    # Unverified: older public captures show these two.
    "billing_hard_limit_reached": QuotaError,
    "billing_not_active": QuotaError,
    "server_is_overloaded": UnavailableError,
    "slow_down": UnavailableError,
}

# What a failed response names that the same request would earn again.
# Source: SDK openai 3.52.0, types/responses/response_error.py.
_BY_CODE |= dict.fromkeys(
    (
        "invalid_prompt",
        "data_residency_mismatch",
        "bio_policy",
        "misalignment_policy_violation",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
        "previous_response_not_found",
    ),
    InvalidRequestError,
)

# Status 409 is a lock that another request holds; the vendor's SDK repeats it like a 408.
_BY_STATUS: dict[int, type[ProviderError]] = {409: UnavailableError}

# Read only inside a 200, where no status tells; elsewhere the type is less exact than
# the status (a 413 is a "server_error").
_BY_TYPE: dict[str, type[ProviderError]] = {
    "invalid_request_error": InvalidRequestError,
    "authentication_error": AuthenticationError,  # Unverified, as is the next.
    "permission_error": AuthenticationError,
    "tokens": RateLimitError,
    "requests": RateLimitError,
    "server_error": UnavailableError,
    "service_unavailable_error": UnavailableError,
}

# "Please try again in 1.574s.", "… in 6m0s": where a 429 comes without a Retry-After.
_TRY_AGAIN = re.compile(r"try again in (\d[\dhms.]*[hms])\b", re.IGNORECASE)


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Our error for an HTTP refusal, whatever its body is."""
    return error_of(body_of(body), status, headers)


def error_of(value: Any, status: int, headers: Mapping[str, str]) -> ProviderError:
    """Our error for a parsed body, or for an event inside a stream (status 200).

    Normally it is ``{"error": {…}}``. Compatible servers also send the inner object alone, or a
    plain string; a proxy's page is None.
    """
    fields = _fields(value)
    code, type_ = fields.get("code"), fields.get("type")
    if status < 400 and isinstance(code, int) and 400 <= code < 600:
        # Compatible servers name in the stream the status that they could no longer send.
        status = code
    error = build(
        _class(status, code, type_),
        status,
        headers,
        code=code,
        param=fields.get("param"),
        detail=fields.get("message"),
    )
    if error.retry_after is None and error.detail and (said := _TRY_AGAIN.search(error.detail)):
        error.retry_after = parse_go_duration(said[1])
    # The server's own word on a repeat wins over the table.
    # Source: SDK openai 3.52.0, _base_client.py; whether api.openai.com sends it is unverified.
    match headers.get("x-should-retry", "").strip().lower():
        case "true":
            error.retryable = True
        case "false":
            error.retryable = False
    return error


def _class(status: int, code: object, type_: object) -> type[ProviderError]:
    if isinstance(code, str) and (found := _BY_CODE.get(code)):
        return found
    if type_ == "insufficient_quota":  # the codes of an empty account vary, their type does not
        return QuotaError
    if status >= 400:
        return _BY_STATUS.get(status) or class_of(status)
    found = _BY_TYPE.get(type_) if isinstance(type_, str) else None
    return found or UnavailableError


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        value = value.get("error") or value
    if isinstance(value, str):
        return {"message": value}
    return value if isinstance(value, dict) else {}


DIALECT = Dialect(
    provider=PROVIDER,
    request_id_headers=("x-request-id",),
    read_error=read_error,
)
