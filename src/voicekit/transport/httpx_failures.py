"""Our errors for httpx's."""

from __future__ import annotations

from typing import Final

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
    name = type(error).__name__
    match error:
        case VoicekitError():
            return error
        case httpx.ConnectTimeout():
            return ConnectTimeout("no connection in time")
        case httpx.PoolTimeout():
            return PoolTimeout(f"all connections stayed busy for {MAX_WAIT:g} s", limit=MAX_WAIT)
        case httpx.TimeoutException():
            return GapTimeout(f"httpx's own limit passed ({name})")
        case httpx.ConnectError() | httpx.ProxyError():
            tls = "SSL" in str(error) or "certificate" in str(error).lower()
            return ConnectError(f"cannot connect ({name})", retryable=not tls)
        case httpx.HTTPStatusError():
            return LocalProtocolError(
                "a hook of the httpx client refused the answer", outcome="unknown"
            )
        case httpx.RemoteProtocolError() if "disconnected" in str(error) or "closed" in str(error):
            return ConnectionLostError("the connection ended too early")
        case httpx.RemoteProtocolError() | httpx.DecodingError() | httpx.TooManyRedirects():
            return RemoteProtocolError(f"not an HTTP response ({name})")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return InvalidArgumentError("not a URL that httpx can ask", argument="base_url")
        case httpx.NetworkError() | OSError():
            return ConnectionLostError(f"the connection was lost ({name})")
        case httpx.LocalProtocolError() | ValueError():
            return LocalProtocolError(f"the request cannot be written ({name})")
        case _:
            return LocalProtocolError(
                f"the httpx client failed by itself ({name})", outcome="unknown"
            )
