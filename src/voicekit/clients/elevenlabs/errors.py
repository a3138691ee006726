"""ElevenLabs' refusals as our errors: one table for HTTP, handshakes, frames and close codes.

Source: ElevenLabs fact sheet of 2026-11, §5, §9 and §10 (errors pages of 2025 and 2026,
help articles on 400, 401 and 429, AsyncAPI). The vendor's complete table of codes could
not be retrieved: an unknown code is classed by its status.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from voicekit.checks import is_integer
from voicekit.clients.elevenlabs.concurrency import read_capacity
from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "elevenlabs"

# What a code says is more exact than its status: 401 is a wrong key, an empty account or a
# text that is too long; sockets have one close code for all of them.
_CODES: dict[type[ProviderError], tuple[str, ...]] = {
    AuthenticationError: (
        "invalid_api_key",
        "missing_permissions",  # Unverified name.
        "needs_authorization",
        "auth_error",
        "detected_unusual_activity",
        "only_for_creator+",
    ),
    QuotaError: ("quota_exceeded",),
    InvalidRequestError: (
        "max_character_limit_exceeded",
        "voice_not_found",
        "invalid_uid",
        "invalid_parameters",
        "unsupported_model",
        "unsupported_parameter",
        "invalid_input_message",
        "input_timeout_exceeded",
    ),
    RateLimitError: (
        "too_many_concurrent_requests",
        "concurrent_limit_exceeded",
        "rate_limit_exceeded",
        "max_active_conversations",
        "system_busy",
    ),
    UnavailableError: ("internal_error", "internal_server_error"),
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}

# Source: RFC 6455 §7.4 and the IANA registry; 1011 for an internal error by the vendor's
# changelog of 31 March 2025 (1008 before).
_LOST = frozenset({1000, 1001, 1005, 1006})
_UNAVAILABLE = frozenset({1011, 1012, 1013, 1014})

_WORD = re.compile(r"[a-z_]+\+?")


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Our error for an HTTP refusal, whatever its body is."""
    return error_of(body_of(body), status, headers)


def error_of(value: Any, status: int, headers: Mapping[str, str]) -> ProviderError:
    """Our error for a parsed body, or for one in place of audio (status 200).

    It is ``{"detail": …}`` in one of four shapes: the current object (``code``), the legacy one
    (``status``), the list of a schema failure, a string. A proxy's page is None.
    """
    detail = value.get("detail", value) if isinstance(value, dict) else value
    code = param = message = request_id = None
    if isinstance(detail, list):
        first = detail[0] if detail and isinstance(detail[0], dict) else {}
        code, message = first.get("type"), first.get("msg")
        place = first.get("loc")
        if isinstance(place, list):
            # ["body", "voice_settings", "stability"]: the first says where, not what.
            param = ".".join(str(each) for each in place[1:]) or None
    elif isinstance(detail, dict):
        # "status" is the legacy alias of "code"; read in the vendor's order.
        code = detail.get("code") or detail.get("status") or detail.get("type")
        message, param = detail.get("message"), detail.get("param")
        request_id = detail.get("request_id")
    elif isinstance(detail, str):
        message = detail
    return build(
        _class(code, status),
        status,
        headers,
        code=code,
        param=param,
        detail=message,
        request_id=request_id,
    )


def _class(code: object, status: int) -> type[ProviderError]:
    known = _BY_CODE.get(code) if isinstance(code, str) else None
    if known is RateLimitError and status >= 500:
        return UnavailableError  # "system_busy" with 503: it may have begun
    if known is UnavailableError and 400 <= status < 500:
        return class_of(status)  # "internal_error" with 422: it will be refused again
    if known is not None:
        return known
    # An error in place of audio, in a 200, whose code says nothing.
    return class_of(status) if status >= 400 else UnavailableError


def error_of_frame(frame: Mapping[str, Any]) -> ProviderError:
    """Our error for an error frame, ``{"message": "…", "error": "…", "code": 1008}``."""
    code = frame.get("code")
    status = code if is_integer(code) else 1008
    name = frame.get("error")
    known = _BY_CODE.get(name) if isinstance(name, str) else None
    return build(
        known or _class_of_close(status),
        status,
        {},
        code=name,
        param=frame.get("param"),
        detail=frame.get("message"),
    )


def error_of_loss(error: VoicekitError) -> VoicekitError:
    """Our error for the end of a socket before the end of an utterance.

    A close frame comes as a ``ProviderError`` whose status is the close code and whose
    detail is the reason; everything else is an error of ours already.
    """
    if not isinstance(error, ProviderError) or error.status is None:
        return error
    code = error.status
    if code in _LOST:
        # A clean close before the provider's own end marker is a truncation too.
        return ConnectionLostError(f"closed with code {code} before the end of the utterance")
    name = next((word for word in _WORD.findall(error.detail or "") if word in _BY_CODE), None)
    known = _BY_CODE[name] if name is not None else None
    return build(known or _class_of_close(code), code, {}, code=name, detail=error.detail)


def _class_of_close(code: int) -> type[ProviderError]:
    if code in _UNAVAILABLE or code in _LOST:
        return UnavailableError
    if 400 <= code < 600:
        return class_of(code)
    # 1008 is a policy of the vendor's, and the rest of the 1000s our fault: 1002, 1003,
    # 1007 and 1009 say that a message of ours was none. Unverified beyond that.
    return InvalidRequestError


DIALECT = Dialect(
    provider=PROVIDER,
    # Source: request-stitching cookbook; the trace id by a recorded response of 2026-01.
    request_id_headers=("request-id", "x-trace-id"),
    read_error=read_error,
    read_capacity=read_capacity,
)
