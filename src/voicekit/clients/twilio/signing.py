"""``X-Twilio-Signature``: what is signed, how, and whether it is right. No I/O.

Source: Twilio fact sheet of 2026-11, §6 (SDK 9.13.0 ``twilio.request_validator``, "Security").
The string is the address as Twilio called it, followed by each parameter's name and value in
the order of their names; JSON is signed by its SHA-256 in the query, sockets by their
``wss://`` address alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

from voicekit.checks import is_sequence
from voicekit.errors import InvalidArgumentError

__all__ = ["Algorithm", "Fields", "body_digest", "candidates", "matches", "sign"]

Algorithm = Literal["HMAC_SHA1", "HMAC_SHA256"]

Fields = Mapping[str, str | Sequence[str]]
"""Decoded parameters by name; one that came several times has all its values."""

HEADER: Final = "X-Twilio-Signature"
SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"
DIGEST_FIELD: Final = "bodySHA256"

_HASHES: Final = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def sign(url: str, params: Fields | None, token: str, *, algorithm: Algorithm = "HMAC_SHA1") -> str:
    """The signature that Twilio would send; for tests of your own handlers.

    Args:
        url: Exactly as Twilio calls it, query included; a fragment is not signed.
        params: The form's fields, decoded; None or empty for GET, JSON and sockets.
        token: The account's auth token, or the secret of a shared key.
        algorithm: ``"HMAC_SHA256"`` goes with shared keys.

    Raises:
        InvalidArgumentError: The algorithm is unknown.
    """
    if algorithm not in _HASHES:
        raise InvalidArgumentError(
            "is unknown", argument="algorithm", allowed=", ".join(map(repr, _HASHES))
        )
    return _signed(url.partition("#")[0] + _text_of(params or {}), token, algorithm)


def body_digest(body: bytes) -> str:
    """What Twilio puts into ``bodySHA256`` of the query when it sends JSON."""
    return hashlib.sha256(body).hexdigest()


def matches(
    signature: str,
    url: str,
    params: Fields,
    secrets: Iterable[str],
    *,
    algorithm: Algorithm = "HMAC_SHA1",
) -> bool:
    """Whether one of the secrets made that signature for that address. In constant time each."""
    given = signature.encode("utf-8", "replace")
    text = _text_of(params)
    right = False
    # All of them, every time: how long it takes must not tell which was right.
    for secret in secrets:
        for address in candidates(url):
            made = _signed(address + text, secret, algorithm)
            right |= hmac.compare_digest(made.encode(), given)
    return right


def body_matches(url: str, body: bytes) -> bool | None:
    """Whether the body is the one whose digest is in the query; None if none is there."""
    digests = parse_qs(urlsplit(url).query).get(DIGEST_FIELD)
    if not digests:
        return None
    given = digests[0].encode("utf-8", "replace")
    return hmac.compare_digest(body_digest(body).encode(), given)


def candidates(url: str) -> tuple[str, ...]:
    """The addresses that may have been signed for one that was called: with its port, without.

    Twilio signs now with, now without the port; which, only the signature tells. A default
    port that was left out is put in, any port that is there is left out. Exactly what the
    vendor's validator tries, 80 for all but ``https`` included: sockets are signed without.
    """
    url = url.partition("#")[0]
    scheme, separator, rest = url.partition("://")
    if not separator:
        return (url,)
    end = min((at for at in (rest.find(mark) for mark in "/?") if at >= 0), default=len(rest))
    place, path = rest[:end], rest[end:]
    user, at, host = place.rpartition("@")
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdecimal() and not name.endswith(":"):
        return url, f"{scheme}://{user}{at}{name}{path}"
    default = 443 if scheme.lower() == "https" else 80
    return url, f"{scheme}://{place.removesuffix(':')}:{default}{path}"


def algorithm_of(settings: str | None) -> tuple[str, str | None]:
    """Algorithm and key id that the settings header names; the auth token's where it is absent."""
    algorithm, key = "HMAC_SHA1", None
    for part in (settings or "").split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            algorithm = value.strip().upper()
        elif name.strip() == "key" and value.strip():
            key = value.strip()
    return algorithm, key


def _text_of(params: Fields) -> str:
    parts: list[str] = []
    for name in sorted(params):
        value = params[name]
        values = sorted(set(value)) if is_sequence(value) else [value]
        parts += [f"{name}{each}" for each in values]
    return "".join(parts)


def _signed(text: str, secret: str, algorithm: str) -> str:
    # A lone surrogate is no text; what Twilio never sent need only not match.
    message = text.encode("utf-8", "surrogatepass")
    digest = hmac.new(secret.encode(), message, _HASHES[algorithm]).digest()
    return base64.b64encode(digest).decode("ascii")
