"""Our errors for httpx's."""

from __future__ import annotations

from typing import Any, Final

import httpx

from voicekit.errors import (
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
    GapTimeout,
    InvalidArgumentError,
    LocalProtocolError,
    PoolTimeout,
    RemoteProtocolError,
    VoicekitError,
)

MAX_WAIT: Final = 1.0
"""Seconds to wait for a free connection, as ``PoolConfig.max_wait``."""

_SAYS_NOTHING_SECRET: Final = (httpx.TimeoutException, httpx.NetworkError, OSError)


def shown_cause(error: Exception) -> Exception | None:
    """``error``, where its words are the system's; others quote headers, URLs, or the answer."""
    return error if isinstance(error, _SAYS_NOTHING_SECRET) else None


def translate(error: Exception) -> VoicekitError:
    """Our error for one of httpx's; raise it ``from shown_cause(error)``."""
    name, text = type(error).__name__, str(error)
    match error:
        case VoicekitError():
            return error
        case httpx.PoolTimeout():
            return PoolTimeout(f"all connections stayed busy for {MAX_WAIT:g} s", limit=MAX_WAIT)
        case httpx.ConnectError() | httpx.ProxyError():
            tls = "SSL" in text or "certificate" in text.lower()
            return ConnectError(f"cannot connect ({name})", retryable=not tls)
        case httpx.RemoteProtocolError() if "disconnected" in text or "closed" in text:
            return ConnectionLostError("the connection ended too early")
    for theirs, ours, told, facts in _TABLE:
        if isinstance(error, theirs):
            return ours(told.format(name=name), **facts)
    return LocalProtocolError(f"the httpx client failed by itself ({name})", outcome="unknown")


_TABLE: Final[tuple[tuple[Any, type[VoicekitError], str, dict[str, Any]], ...]] = (
    (httpx.ConnectTimeout, ConnectTimeout, "no connection in time", {}),
    (httpx.TimeoutException, GapTimeout, "httpx's own limit passed ({name})", {}),
    (
        httpx.HTTPStatusError,
        LocalProtocolError,
        "a hook of the httpx client refused the answer",
        {"outcome": "unknown"},
    ),
    (
        (httpx.RemoteProtocolError, httpx.DecodingError, httpx.TooManyRedirects),
        RemoteProtocolError,
        "not an HTTP response ({name})",
        {},
    ),
    (
        (httpx.InvalidURL, httpx.UnsupportedProtocol),
        InvalidArgumentError,
        "not a URL that httpx can ask",
        {"argument": "base_url"},
    ),
    (
        (httpx.NetworkError, OSError),
        ConnectionLostError,
        "the connection was lost ({name})",
        {},
    ),
    (
        (httpx.LocalProtocolError, ValueError),
        LocalProtocolError,
        "the request cannot be written ({name})",
        {},
    ),
)
"""What is raised, by the first of httpx's that it is."""
