"""The access token on the wire, sans-IO: the request for one, and what the answer says.

Source: Agentforce fact sheet of 2026-11, §3.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from voicekit.checks import is_header_text, is_number
from voicekit.clients.agentforce.config import api_url_of
from voicekit.clients.agentforce.protocol import AGENT, JSON
from voicekit.clients.refusals import body_of
from voicekit.errors import RemoteProtocolError
from voicekit.transport.messages import Request
from voicekit.wire.retry_after import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path
LIFETIME: Final = 25 * 60.0
"""Seconds that a token is taken to live when it does not say. Source: sheet §3.4."""
_LONGEST: Final = 24 * 3600.0
_LEAST_MARGIN: Final = 60.0
_MARGIN: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A token, in seconds of ``time.monotonic()``: no clock that is set touches it.

    From ``refresh_at`` on a new one is fetched in the background, from ``expires_at`` on it is
    not sent any more. One that is no JWT is refused by the API (404 observed).
    """

    token: str = field(repr=False)
    api_url: str
    refresh_at: float
    expires_at: float
    jwt: bool


def token_request(domain: str, client_id: str, client_secret: str) -> Request:
    """Ask for a token by client credentials."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
    }
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": JSON,
        "Accept-Encoding": "identity",
        "User-Agent": AGENT,
    }
    return Request("POST", domain + TOKEN_PATH, headers, urlencode(form).encode())


def read_grant(
    value: dict[str, Any], headers: Mapping[str, str], *, domain: str, now: float, wall: float
) -> Grant:
    """Read the answer of the token endpoint at ``domain``.

    Its ``Date`` is the server's clock, which ``exp`` is of; ``wall``, ours, stands in for it.

    Raises:
        RemoteProtocolError: It holds no token that a header can.
    """
    token = value.get("access_token")
    if not is_header_text(token) or not token or " " in token:
        raise RemoteProtocolError("the answer holds no access token")
    claims = claims_of(token)
    left = _lifetime(claims or {}, value, http_date(headers.get("Date", "")), wall)
    margin = min(max(_LEAST_MARGIN, _MARGIN * left), left / 2)  # some live for a minute only
    return Grant(
        token=token,
        api_url=api_url_of(value.get("api_instance_url"), domain),
        refresh_at=now + left - margin,
        expires_at=now + left,
        jwt=claims is not None,
    )


def claims_of(token: str) -> dict[str, Any] | None:
    """What a JWT says; None where it is none. Its signature is the server's affair."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    text = parts[1]
    try:
        value = body_of(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _lifetime(
    claims: Mapping[str, Any], value: Mapping[str, Any], date: float | None, wall: float
) -> float:
    """Seconds that are left of a token that has just come."""
    expires, issued = _moment(claims.get("exp")), _moment(claims.get("iat"))
    granted = _moment(value.get("issued_at"))
    granted = None if granted is None else granted / 1000  # a string of milliseconds
    # The server's clock where it shows it: ours may be wrong by hours.
    server = date if date is not None else issued if issued is not None else granted
    here = wall if server is None else server
    if expires is None:
        age = here - granted if granted is not None and date is not None else 0.0
        left = LIFETIME - max(age, 0.0)
    else:
        left = expires - here
        if issued is not None and expires > issued:
            left = min(left, expires - issued)
    # Whatever the clocks say: it was issued just now, so that it is good for something.
    return min(max(left, 1.0), _LONGEST)


def _moment(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if is_number(value) and math.isfinite(value) and value > 0 else None
