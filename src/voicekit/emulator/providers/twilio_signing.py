"""How Twilio signs what it sends to an application, written anew from its documentation.

Source: fact sheet of 2026-11, §6 ("Security" in the vendor's documentation, SDK twilio 9.13.0).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urldefrag


def sign(
    url: str, fields: Iterable[tuple[str, str]], secret: str, *, algorithm: str = "sha1"
) -> str:
    """Return the ``X-Twilio-Signature`` of a request.

    Args:
        url: As configured; a fragment is neither sent nor signed.
        fields: Names and values of a form, in any order, repeated names allowed; none for GET,
            JSON and WebSockets.
        secret: The account's auth token, or a shared key's secret.
        algorithm: "sha1" for the token, "sha256" for a shared key. Source: sheet §6.6.
    """
    signed = urldefrag(url).url
    # As a set of pairs: of a repeated name each value counts once, in order.
    signed += "".join(name + value for name, value in sorted(set(fields)))
    digest = hmac.new(secret.encode(), signed.encode(), algorithm).digest()
    return base64.b64encode(digest).decode("ascii")


def body_url(url: str, body: bytes) -> str:
    """Return the URL to which a JSON body goes: with the body's hash, which is then signed."""
    plain, fragment = urldefrag(url)
    plain += ("&" if "?" in plain else "?") + f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    return f"{plain}#{fragment}" if fragment else plain
