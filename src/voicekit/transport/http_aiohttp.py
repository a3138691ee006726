"""The HTTP seam on aiohttp: one request out, one response in, limits told to the call."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from yarl import URL

from voicekit.errors import InvalidArgumentError, VoicekitError
from voicekit.transport.connector import abort_response, key_of_response
from voicekit.transport.failures import proxy_refused
from voicekit.transport.goodbye import read_out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from voicekit.operation import Call
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.http_pool import HttpPool
    from voicekit.transport.messages import Request

PROXY_LOGIN = 407
"""Only ever said by a proxy, which wants another user or password."""


@lru_cache(maxsize=1024)
def parse_url(url: str) -> URL:
    """The parsed form, kept: a client asks for few URLs, many times.

    Raises:
        InvalidArgumentError: Not an absolute http(s) or ws(s) URL.
    """
    try:
        parsed = URL(url, encoded=True)
    except ValueError as error:
        raise InvalidArgumentError("not a URL", argument="base_url") from error
    if parsed.scheme not in {"http", "https", "ws", "wss"} or not parsed.host:
        raise InvalidArgumentError("not an absolute http(s) URL", argument="base_url")
    return parsed


async def send(
    pool: HttpPool, request: Request, call: Call, ssl: SSLContext | bool
) -> AiohttpResponse:
    """Send ``request`` once over ``pool`` and return with the headers in hand.

    Raises:
        VoicekitError: A TransportError or DeadlineError; see ``failures``.
    """
    url = parse_url(request.url)
    first_output, gap = call.limits.first_output, call.limits.gap
    # The per-read limit of aiohttp is a second beyond ours: it acts only if ours cannot.
    backstop = None if first_output is None or gap is None else max(first_output, gap) + 1.0
    try:
        response, connection = await pool.connector.open(
            request.method,
            url,
            request.headers,
            request.body,
            ssl=ssl,
            call=call,
            sock_read=backstop,
        )
    except VoicekitError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise pool.failure(error) from error
    except asyncio.CancelledError:
        if call.connection is not None:
            pool.refill(pool.connector.key_of(url, ssl))
        raise
    if response.status == PROXY_LOGIN and pool.connector.proxy is not None:
        abort_response(response)
        raise proxy_refused(response.status)
    return AiohttpResponse(pool, response, connection)


class AiohttpResponse:
    """A response in flight. See ``transport.interfaces.Response``."""

    __slots__ = ("_content", "_pool", "_response", "connection", "headers", "status")

    def __init__(
        self, pool: HttpPool, response: aiohttp.ClientResponse, connection: ConnectionInfo
    ) -> None:
        self._pool = pool
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.connection = connection

    @property
    def delimited(self) -> bool:
        """A length or chunked framing proves the end of the body."""
        headers = self.headers
        return (
            hdrs.CONTENT_LENGTH in headers
            or "chunked" in headers.get(hdrs.TRANSFER_ENCODING, "").lower()
        )

    async def chunk(self) -> bytes:
        """The next piece of the body as it arrived; empty at its end.

        What arrived before the connection broke is given first: aiohttp itself throws it away
        where its reader comes later than the end.
        """
        try:
            if (broken := self._content.exception()) and not isinstance(broken, VoicekitError):
                arrived = self._arrived()
                if arrived:
                    return arrived
            return await self._content.readany()
        except VoicekitError:
            raise
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # RuntimeError is how aiohttp says that the connector was closed under us.
            raise self._pool.failure(error) from error

    def _arrived(self) -> bytes:
        """What is in hand and was not read."""
        return self._content._read_nowait(-1)

    @property
    def ended(self) -> bool:
        """Whether the whole body has arrived and been read."""
        return self._content.at_eof()

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting ``chunk()`` raise ``error``, and free the connection."""
        self._content.set_exception(error)
        self.abort()

    def abort(self) -> None:
        """Free the connection at once; the pool replaces it."""
        key = key_of_response(self._response)
        if key is not None:
            abort_response(self._response)
            self._pool.refill(key)

    def release(self) -> None:
        """Nobody wants the rest: keep the connection if the body ends within a second."""
        if self._response.connection is None:
            return
        self._pool.background.spawn(read_out(self), "voicekit-drain")
