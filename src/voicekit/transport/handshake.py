"""A handshake that the server refuses, with what it said: aiohttp would drop the body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

_REFUSAL_BYTES = 1 << 16
_SWITCHING_PROTOCOLS = 101


class HandshakeRefused(VoicekitError):  # noqa: N818 - never leaves the client layer
    """The server answered the handshake with a status of its own."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"handshake refused with status {status}")
        self.status = status
        self.headers = headers
        self.body = body


async def refuse(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Middleware of a session that only opens WebSockets.

    Raises:
        HandshakeRefused: The protocol was not switched.
    """
    response = await handler(request)
    if response.status != _SWITCHING_PROTOCOLS:
        try:
            body = await response.content.read(_REFUSAL_BYTES)
        finally:
            response.close()
        raise HandshakeRefused(response.status, response.headers, body)
    return response
