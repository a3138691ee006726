"""The short-lived tokens that Deepgram grants, and whether one still opens anything."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from voicekit.emulator.body import as_json, base64_url
from voicekit.emulator.providers.deepgram_query import QueryRefusalError

DEFAULT_TTL = 30.0
MAX_TTL = 3600.0
"""Seconds. Source: the vendor's page on tokens gives both; the upper one is unverified."""


class Tokens:
    """Those granted so far."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ends: dict[str, float] = {}

    def grant(self, body: bytes, *, time_scale: float) -> dict[str, Any]:
        """Return the answer to a request for one; its JSON body may be missing."""
        ttl = self._ttl(body)
        now = time.time()
        parts = [
            {"alg": "HS256", "typ": "JWT"},
            {"iat": int(now), "exp": int(now + ttl), "scp": ["usage:write"]},
        ]
        token = ".".join(map(base64_url, [*map(as_json, parts), self._rng.randbytes(32)]))
        self._ends[token] = time.monotonic() + ttl * time_scale
        return {"access_token": token, "expires_in": ttl}

    def good(self, token: str) -> bool:
        """Tell whether a token opens anything; of those that it granted, until it is over."""
        ends = self._ends.get(token)
        return ends is None or time.monotonic() < ends

    def _ttl(self, body: bytes) -> float:
        try:
            fields = json.loads(body or b"{}")
        except ValueError:
            raise QueryRefusalError("Invalid JSON submitted.", code="INVALID_JSON") from None
        asked = fields.get("ttl_seconds") if isinstance(fields, dict) else fields
        if asked is None:
            return DEFAULT_TTL
        if (
            isinstance(asked, bool)
            or not isinstance(asked, int | float)
            or not 0 < asked <= MAX_TTL
        ):
            raise QueryRefusalError(f"ttl_seconds must be between 1 and {MAX_TTL:g}")
        return asked
