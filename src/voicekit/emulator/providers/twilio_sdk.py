"""Twilio's own SDK, pointed at another address: an HTTP client that swaps scheme and host.

Source: fact sheet of 2026-11, §12.1: the documented way that works for all its domains.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.errors import EmulatorError


def arguments_of(url: str, *, asynchronous: bool) -> dict[str, Any]:
    """Return the arguments of the SDK's `Client`, all of whose domains are at one URL.

    The asynchronous ones are for the methods ending in ``_async``, inside a running event loop.

    Raises:
        EmulatorError: The SDK is not installed.
    """
    try:
        from twilio.http.async_http_client import AsyncTwilioHttpClient
        from twilio.http.http_client import TwilioHttpClient
    except ImportError as missing:
        raise EmulatorError("sdk('twilio') needs the SDK: pip install twilio") from missing

    def here(asked: str) -> str:
        parts, own = urlsplit(asked), urlsplit(url)
        return parts._replace(scheme=own.scheme, netloc=own.netloc).geturl()

    class Pointed(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *rest: Any, **options: Any) -> Any:
            return super().request(method, here(url), *rest, **options)

    class PointedAsync(AsyncTwilioHttpClient):  # type: ignore[misc]
        async def request(self, method: str, url: str, *rest: Any, **options: Any) -> Any:
            return await super().request(method, here(url), *rest, **options)

    connections = PointedAsync() if asynchronous else Pointed()
    return {"username": ACCOUNT_SID, "password": AUTH_TOKEN, "http_client": connections}
