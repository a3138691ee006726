"""aiohttp's exceptions, each as the most specific of ours. Theirs stop here."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
from aiohttp import ClientConnectorCertificateError, ClientConnectorSSLError
from multidict import CIMultiDict, CIMultiDictProxy

from voicekit.errors import (
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
    GapTimeout,
    InvalidArgumentError,
    LocalProtocolError,
    RemoteProtocolError,
    VoicekitError,
)


def translate(error: Exception) -> VoicekitError:
    """Our error for one of aiohttp's; raise it ``from`` the original.

    What was raised decides what may have happened at the server (the table in
    ``docs/explanation/commit-point.md``).
    """
    _forget_content(error)
    name = type(error).__name__
    match error:
        case VoicekitError():
            return error
        case ClientConnectorCertificateError() | ClientConnectorSSLError():
            where = f"{error.host}:{error.port}"
            return ConnectError(f"TLS with {where} failed ({name})", retryable=False)
        case aiohttp.ClientHttpProxyError():
            return proxy_refused(error.status)
        case aiohttp.ClientConnectorDNSError():
            return ConnectError(f"the name {error.host} cannot be resolved")
        case aiohttp.ClientConnectorError():
            why = error.os_error.strerror or type(error.os_error).__name__
            proxy = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
            return ConnectError(f"cannot connect to {proxy}{error.host}:{error.port} ({why})")
    for theirs, ours, text, facts in _TABLE:
        if isinstance(error, theirs):
            return ours(text.format(name=name), **facts)
    return RemoteProtocolError(f"the response cannot be read ({name})")


_TABLE: Final[tuple[tuple[Any, type[VoicekitError], str, dict[str, Any]], ...]] = (
    (aiohttp.ConnectionTimeoutError, ConnectTimeout, "no connection in time", {}),
    (
        aiohttp.SocketTimeoutError,
        GapTimeout,
        "nothing arrived for longer than the read backstop",
        {},
    ),
    (
        aiohttp.ClientConnectionResetError,
        ConnectionLostError,
        "the connection was closing already",
        {"outcome": "not_applied"},
    ),
    (aiohttp.ClientPayloadError, ConnectionLostError, "the body was cut short", {}),
    (aiohttp.InvalidURL, InvalidArgumentError, "not a URL", {"argument": "base_url"}),
    (aiohttp.ClientResponseError, RemoteProtocolError, "not an HTTP response ({name})", {}),
    (
        (aiohttp.ClientConnectionError, OSError),
        ConnectionLostError,
        "the connection was lost ({name})",
        {},
    ),
    (ValueError, LocalProtocolError, "the request cannot be written ({name})", {}),
)
"""What is raised, by the first of aiohttp's that it is."""


def proxy_refused(status: int) -> ConnectError:
    """The error for a proxy that answered instead of the host behind it."""
    # What it may allow later: the host behind it did not answer, or it has too much to do.
    later = status == 429 or status >= 500
    return ConnectError(f"the proxy refused (status {status})", retryable=later)


def _forget_content(error: Exception) -> None:
    """Take out what aiohttp's errors show: headers, which hold the key, and pieces of answers."""
    if isinstance(error, aiohttp.ClientResponseError):
        empty = CIMultiDictProxy(CIMultiDict[str]())
        url = error.request_info.url.with_query(None)
        error.request_info = aiohttp.RequestInfo(url, error.request_info.method, empty, url)
        error.headers = None
        error.history = ()
        error.message = ""
        error.args = (error.status,)
        _cut_off(error)
    elif isinstance(error, aiohttp.ClientPayloadError):
        error.args = ()
        _cut_off(error)
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        error.message = error.__class__.__name__
        error.args = ()
        _cut_off(error)


def _cut_off(error: Exception) -> None:
    error.__cause__ = error.__context__ = None
