"""Access tokens of the client-credentials flow: granted as JWTs, and looked at again.

Source: fact sheet of 2026-11, section on OAuth (vendor's guide "Get started", community captures).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from voicekit.emulator.body import as_json, base64_url

SCOPE = "sfap_api chatbot_api api"
ORGANIZATION = "00Dxx0000000001EAA"
USER = "005xx0000000001AAA"


class TokenRefusalError(Exception):
    """A request for a token that is refused: the code, and the sentence beside it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Credentials(NamedTuple):
    """What a request for a token carries."""

    grant_type: str
    client_id: str
    client_secret: str


def credentials(body: bytes, content_type: str, authorization: str) -> Credentials:
    """Read them from the form and, when the form lacks them, from the Basic header."""
    form: dict[str, str] = {}
    if content_type == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic" and not client_id:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        client_id, _, client_secret = decoded.partition(":")
    return Credentials(
        grant_type=form.get("grant_type", ""), client_id=client_id, client_secret=client_secret
    )


class Tokens:
    """Grants tokens and tells good ones, those of its seed, without a memory of them."""

    def __init__(self, seed: object) -> None:
        self._key = f"agentforce/{seed}".encode()
        self._granted = 0

    def grant(
        self, asked: Credentials, *, lifetime: float, origin: str, bad: str
    ) -> dict[str, Any]:
        """Return the answer to a request for a token; `bad` is the secret that is refused.

        A lifetime of whole seconds gives claims in whole seconds, as the vendor's are; `origin` is
        My Domain and the API's host alike.

        Raises:
            TokenRefusalError: It asks for another flow, or its credentials are not good.
        """
        # Source: fact sheet, table of token errors (community captures).
        if asked.grant_type != "client_credentials":
            raise TokenRefusalError("unsupported_grant_type", "grant type not supported")
        if not asked.client_id or asked.client_id == bad:
            raise TokenRefusalError("invalid_client_id", "client identifier invalid")
        if not asked.client_secret or asked.client_secret == bad:
            raise TokenRefusalError("invalid_client", "invalid client credentials")
        now = time.time()
        whole = float(lifetime).is_integer()
        self._granted += 1
        issued_at = str(int(now * 1000))
        claims = {
            "sub": f"uid:{ORGANIZATION}/{USER}",
            "iss": origin,
            "sfdc_app_id": asked.client_id,
            "scope": SCOPE,
            "iat": int(now) if whole else round(now, 3),
            "exp": int(now) + int(lifetime) if whole else round(now + lifetime, 3),
            "jti": str(self._granted),
        }
        return {
            "access_token": self._sign({"alg": "HS256", "typ": "JWT"}, claims),
            "signature": base64.b64encode(self._mac(issued_at.encode())).decode(),
            "token_format": "jwt",
            "scope": SCOPE,
            "instance_url": origin,
            "id": f"https://login.salesforce.com/id/{ORGANIZATION}/{USER}",
            "token_type": "Bearer",
            "issued_at": issued_at,
            "api_instance_url": origin,
        }

    def state(self, token: str) -> Literal["good", "expired", "unknown"]:
        """Tell whether a token opens anything."""
        signed, _, signature = token.rpartition(".")
        mine = base64_url(self._mac(signed.encode("utf-8", "replace")))
        if not hmac.compare_digest(mine.encode(), signature.encode("utf-8", "replace")):
            return "unknown"
        claims = json.loads(_bytes(signed.partition(".")[2]))
        return "good" if time.time() < claims["exp"] else "expired"

    def _sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        signed = ".".join(base64_url(as_json(part)) for part in (header, claims))
        return f"{signed}.{base64_url(self._mac(signed.encode()))}"

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
