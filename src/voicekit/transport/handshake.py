"""A handshake that the server refuses, with what it said: aiohttp would drop the body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSAL_BYTES = 1 << 16
_REFUSAL_WAIT = 1.0  # Seconds. The status is known; what explains it may come late or never.
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

    It stops before aiohttp would follow a redirect, and take the key along.

    Raises:
        HandshakeRefused: The protocol was not switched.
    """
    response = await handler(request)
    if response.status != _SWITCHING_PROTOCOLS:
        body = bytearray()
        try:
            async with asyncio.timeout(_REFUSAL_WAIT):
                while len(body) < _REFUSAL_BYTES and (data := await response.content.readany()):
                    body += data
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # half an explanation is better than none
        finally:
            response.close()
        raise HandshakeRefused(response.status, response.headers, bytes(body[:_REFUSAL_BYTES]))
    return response
