"""aiohttp's exceptions, each as the most specific of ours, without what they quote."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

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
from voicekit.transport.failures import translate

KEY = "sk-marked-key-7d1f"
CONNECTION = ConnectionKey("host", 443, True, True, None, None, None)


def response_error(kind: type[aiohttp.ClientResponseError]) -> aiohttp.ClientResponseError:
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}"}))
    url = URL(f"https://host/v1?token={KEY}")
    error = kind(
        aiohttp.RequestInfo(url, "POST", headers, url),
        (),
        status=400,
        message=f"bad line {KEY}",
        headers=headers,
    )
    error.__cause__ = ValueError(KEY)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "outcome", "retryable"),
    [
        (
            aiohttp.ClientConnectorError(CONNECTION, OSError(111, "refused")),
            ConnectError,
            "not_applied",
            True,
        ),
        (
            aiohttp.ClientConnectorDNSError(CONNECTION, OSError(-2, "unknown")),
            ConnectError,
            "not_applied",
            True,
        ),
        (
            aiohttp.ClientConnectorSSLError(CONNECTION, ssl.SSLError(1, "handshake")),
            ConnectError,
            "not_applied",
            False,
        ),
        (
            aiohttp.ClientConnectorCertificateError(CONNECTION, ssl.CertificateError("name")),
            ConnectError,
            "not_applied",
            False,
        ),
        (aiohttp.ConnectionTimeoutError(), ConnectTimeout, "not_applied", True),
        (aiohttp.SocketTimeoutError(), GapTimeout, "unknown", True),
        (aiohttp.ClientConnectionResetError(), ConnectionLostError, "not_applied", True),
        (aiohttp.ServerDisconnectedError(), ConnectionLostError, "unknown", True),
        (aiohttp.ClientOSError(104, "reset"), ConnectionLostError, "unknown", True),
        (ConnectionResetError(104, "reset"), ConnectionLostError, "unknown", True),
        (aiohttp.ClientPayloadError("cut"), ConnectionLostError, "unknown", True),
        (response_error(aiohttp.ClientResponseError), RemoteProtocolError, "unknown", True),
        (response_error(aiohttp.WSServerHandshakeError), RemoteProtocolError, "unknown", True),
        (aiohttp.InvalidURL("nonsense"), InvalidArgumentError, "not_applied", False),
        (ValueError("newline in a header"), LocalProtocolError, "not_applied", False),
        (RuntimeError("?"), RemoteProtocolError, "unknown", True),
    ],
)
def test_each_has_its_own(
    error: Exception, kind: type[VoicekitError], outcome: str, retryable: bool
) -> None:
    """What was raised decides what may have happened at the server."""
    ours = translate(error)
    assert type(ours) is kind
    assert (ours.outcome, ours.retryable) == (outcome, retryable)


def test_ours_stay_ours() -> None:
    """Translated already."""
    error = PoolTimeout("full")
    assert translate(error) is error


@pytest.mark.parametrize(
    "error",
    [
        response_error(aiohttp.ClientResponseError),
        response_error(aiohttp.WSServerHandshakeError),
        aiohttp.ClientPayloadError(f"bad chunk {KEY}"),
        aiohttp.ServerDisconnectedError(f"half a head {KEY}"),
    ],
)
def test_nothing_is_quoted(error: Exception) -> None:
    """Neither the request's headers and query nor pieces of the answer, in the whole chain."""
    if error.__cause__ is None:
        error.__cause__ = ValueError(f"parser: {KEY}")
    try:
        raise translate(error) from error
    except VoicekitError as ours:
        shown = str(_links(ours))
    assert KEY not in shown


def _links(error: BaseException | None) -> list[Any]:
    links: list[Any] = []
    while error is not None:
        links += [repr(error), str(error), error.args, vars(error)]
        if isinstance(error, aiohttp.ClientResponseError):
            links += [error.request_info, error.headers, error.history]
        error = error.__cause__ or error.__context__
    return links
