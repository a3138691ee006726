"""Deepgram's refusals as our errors: statuses, close codes and Error messages.

Source: Deepgram fact sheet of 2026-11, §3 and §8 (OpenAPI and AsyncAPI of July 2026, the
vendor's error pages, and what production clients have seen).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.errors import (
    ConnectionLostError,
    InvalidRequestError,
    ProviderError,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "deepgram"

# 499 is the vendor's word for a request that its own client has left; it may be repeated.
_BY_STATUS: dict[int, type[ProviderError]] = {499: UnavailableError}

# Close codes that say that what we sent cannot be; every other one is the service's trouble.
_OUR_FAULT = frozenset({1003, 1007, 1008, 1009})
_NORMAL = 1000

# The vendor's own labels, "NET-0001", which in the field come as "…/net0001" inside prose.
_LABEL = re.compile(r"\b(NET|DATA|BIG|MESSAGE)-?(\d{4})\b", re.IGNORECASE)
_MAX_REASON = 200

_BY_VARIANT: dict[str, type[ProviderError]] = {
    "SchemaError": InvalidRequestError,
    "CONFIGURE_KEYTERMS_NOT_SUPPORTED": InvalidRequestError,
    "CONFIGURE_KEYTERM_LIMIT_EXCEEDED": InvalidRequestError,
    "CONFIGURE_ALREADY_PENDING": InvalidRequestError,
    "CONFIGURE_INTERNAL_ERROR": UnavailableError,
}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Our error for a refused request or handshake, whichever of three shapes its body has.

    The status decides: the vendor's codes are phrases as often as tokens, and some
    bodies are bare lines of text.
    """
    value = body_of(body)
    fields = value if isinstance(value, dict) else {}
    detail = fields.get("err_msg") or fields.get("message")
    if more := fields.get("details"):
        detail = f"{detail}: {more}"
    if not isinstance(detail, str):
        # A bare line, or a proxy's page; the header is kinder than the latter.
        detail = headers.get("dg-error") or body[:500].decode("utf-8", "replace") or None
    return build(
        _BY_STATUS.get(status) or class_of(status),
        status,
        headers,
        # The 503 of the vendor's own examples writes error_code.
        code=fields.get("err_code") or fields.get("error_code") or fields.get("category"),
        detail=detail,
        request_id=fields.get("request_id") or headers.get("dg-request-id"),
    )


def read_close(code: int, reason: str) -> VoicekitError:
    """Our error for a socket that the server closed before the stream's own end."""
    if code == _NORMAL:
        return ConnectionLostError("the server closed the stream before its end")
    label = label_of(reason)
    ours = code in _OUR_FAULT if label is None else not label.startswith("NET")
    kind = InvalidRequestError if ours else UnavailableError
    said = f"closed with code {code}" + (f" {label}" if label else "")
    return kind(said, status=code, code=label, detail=reason[:_MAX_REASON] or None)


def read_loss(error: VoicekitError) -> VoicekitError:
    """The provider's meaning of a close frame; any other end of a socket is what it is."""
    from voicekit.transport.ws_aiohttp import SocketClosed

    if isinstance(error, SocketClosed) and error.status is not None:
        return read_close(error.status, error.detail or "")
    return error


def read_error_message(fields: Mapping[str, Any]) -> ProviderError:
    """Our error for an ``Error`` or a ``ConfigureFailure`` message."""
    detail = fields.get("description") or fields.get("message")
    detail = detail if isinstance(detail, str) else None
    name = fields.get("code") or fields.get("variant")
    name = name if isinstance(name, str) else ""
    label = label_of(name) or (label_of(detail) if detail else None)
    kind = _BY_VARIANT.get(name)
    if kind is None:
        ours = label is not None and not label.startswith("NET")
        kind = InvalidRequestError if ours else UnavailableError
    code = name if name.isascii() and name.replace("_", "").isalnum() else ""
    code = label or code[:64]
    said = "the provider reports an error" + (f" {code}" if code else "")
    return kind(said, code=code or None, detail=detail)


def label_of(text: str) -> str | None:
    """The vendor's label in a close reason or description, as ``NET-0001``; None without one."""
    match = _LABEL.search(text)
    return f"{match[1].upper()}-{match[2]}" if match else None


DIALECT = Dialect(
    provider=PROVIDER,
    request_id_headers=("dg-request-id",),
    read_error=read_error,
)


def read_long_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """As ``read_error``; but 504 says that a long recording took too long, and will again."""
    error = read_error(status, headers, body)
    if status == 504:
        error.retryable = False
    return error


LONG_DIALECT = replace(DIALECT, read_error=read_long_error)
"""For recordings that last longer than the vendor works on any."""
