"""The HTTP seam on httpx: a user's own ``httpx.AsyncClient``, with its proxies, hooks and mocks.

httpx cannot open a connection without a request, nor drop one without waiting for its
peer, and costs five to six times the CPU of the default; it says so in its
``capabilities``. Limits are ours (``Call``): its trace tells how far a request has come.
A transport that does not trace (``MockTransport``, ASGI) counts as connected from the start.
A refusal that comes in the middle of an upload is read once the peer takes no more.

Facts: httpx 0.28.1, httpcore 1.0.9.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import httpx

from voicekit.checks import wrong
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    VoicekitError,
)
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolStats, WarmReport
from voicekit.transport.goodbye import read_out
from voicekit.transport.httpx_failures import MAX_WAIT, shown_cause, translate
from voicekit.transport.httpx_progress import Progress
from voicekit.transport.interfaces import Capabilities

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.transport.messages import Request

__all__ = ["HttpxTransport"]

_CLOSE_LIMIT: Final = 1.0
"""Seconds to wait at the end for the peers' goodbyes."""


class HttpxTransport:
    """Sends over an ``httpx.AsyncClient``; see ``interfaces.HttpTransport``.

    Args:
        client: The user's own, which stays the user's to close, with its own authentication
            (one that answers a challenge sends a request twice), cookies and hooks. None
            makes one, with an idle limit that outlasts the pauses of a conversation.

    Raises:
        InvalidArgumentError: ``client`` is another object.

    Example:
        >>> http = HttpxTransport(httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        >>> llm = OpenAIClient(model="…", transport=Transport(http=http))
    """

    capabilities: Final = Capabilities(warms=False, aborts=False)

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._own = client is None
        if client is None:
            limits = httpx.Limits(
                max_connections=20, max_keepalive_connections=20, keepalive_expiry=50.0
            )
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            client = httpx.AsyncClient(limits=limits, trust_env=False, cookies=no_cookies)
        elif not isinstance(client, httpx.AsyncClient):
            raise wrong("client", client, "an httpx.AsyncClient, or None")
        self._client = client
        self._background = Background()
        self._closed = False
        self._opened = 0
        self._reused = 0
        self._live: set[HttpxResponse] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: Request, call: Call) -> HttpxResponse:
        """Send once and wait for the headers; no redirect is followed.

        Cancelled, the request is abandoned and httpx closes its connection.

        Raises:
            VoicekitError: A TransportError or DeadlineError; a LocalProtocolError when an
                upload cannot be read, or a hook of the client fails.
        """
        self._check_open()
        progress = Progress(call, request.body, self._connected)
        try:
            built = self._client.build_request(
                request.method,
                request.url,
                headers=request.headers
                if progress.size is None
                else {**request.headers, "Content-Length": str(progress.size)},
                content=progress.content,
                timeout=httpx.Timeout(None, pool=MAX_WAIT),
            )
            if _traces(self._client, built.url):
                built.extensions = {**built.extensions, "trace": progress.trace}
                call.queued()
            else:
                progress.connected(ConnectionInfo(reused=False))
            response = await self._client.send(built, stream=True, follow_redirects=False)
        except VoicekitError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's transport or hook may raise anything
            if self._closed or self._client.is_closed:
                raise ClosedError("the httpx client is closed") from None
            raise translate(error) from shown_cause(error)
        finally:
            await progress.aclose()
        progress.answered()
        answer = HttpxResponse(self, response, progress.connection)
        try:
            self._check_open()
        except ClosedError:
            answer.abort()
            raise
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the transport is closed")

    def _connected(self, dialled: bool) -> None:
        self._opened += dialled
        self._reused += not dialled

    async def warm(self, url: str, n: int) -> WarmReport:  # noqa: ARG002 - the seam's
        """Open nothing: httpx has no connection without a request."""
        return WarmReport(opened=0, reused=0, failures=("NotSupported",) * n)

    def stats(self) -> PoolStats:
        """What the trace told; httpx does not show its pool."""
        return PoolStats(leased=len(self._live), opened=self._opened, reused=self._reused)

    def retire(self) -> None:
        """Nothing: HTTP connections are not bound to a key, and httpx retires none."""

    async def aclose(self) -> None:
        """End what is in flight and what runs in the background, and the client if it is ours."""
        self._closed = True
        for response in list(self._live):
            response.abort()
        try:
            if self._closing:
                await asyncio.wait(self._closing, timeout=_CLOSE_LIMIT)
        finally:
            await self._background.aclose()
            if self._own:
                await self._client.aclose()

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait."""
        self._closed = True
        self._background.abandon()

    def __repr__(self) -> str:
        return "<HttpxTransport>"


class HttpxResponse:
    """A response in flight. See ``transport.interfaces.Response``."""

    __slots__ = (
        "_interrupt",
        "_over",
        "_pieces",
        "_reading",
        "_response",
        "_transport",
        "connection",
        "headers",
        "status",
    )

    def __init__(
        self, transport: HttpxTransport, response: httpx.Response, connection: ConnectionInfo
    ) -> None:
        self._transport = transport
        self._response = response
        # What a mock answers with was read when it was made.
        whole = response.is_stream_consumed
        self._pieces = _at_once(response.content) if whole else response.aiter_raw()
        self._reading: asyncio.Task[bytes | VoicekitError] | None = None
        self._interrupt: asyncio.Future[VoicekitError] | None = None
        self._over = False
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.connection = connection
        transport._live.add(self)

    @property
    def delimited(self) -> bool:
        """A length or chunked framing proves the end of the body (HTTP/2 frames it anyway)."""
        return (
            "content-length" in self.headers
            or "chunked" in self.headers.get("transfer-encoding", "").lower()
            or self._response.http_version == "HTTP/2"
        )

    async def chunk(self) -> bytes:
        """The next piece of the body as it arrived; empty at its end.

        Read by a task of its own: httpx gives the connection up when a read is cancelled.
        """
        interrupt = self._interrupt
        if interrupt is None:
            interrupt = self._interrupt = asyncio.get_running_loop().create_future()
        reading = self._reading
        if reading is None and not interrupt.done():
            if self._over:
                return b""
            reading = self._reading = self._transport._background.spawn(
                self._read(), "voicekit-httpx-read"
            )
        if reading is not None and not interrupt.done():
            await asyncio.wait((reading, interrupt), return_when=asyncio.FIRST_COMPLETED)
        if interrupt.done():
            raise interrupt.result()
        assert reading is not None  # noqa: S101 - waited for above
        self._reading = None
        if reading.cancelled():  # by the transport's end; whoever waits here was not cancelled
            raise ClosedError("the transport was closed")
        piece = reading.result()
        if isinstance(piece, VoicekitError):
            raise piece
        return piece

    async def _read(self) -> bytes | VoicekitError:
        """The next piece, or why there is none: a task that fails would be logged."""
        try:
            while piece := await anext(self._pieces, b""):
                return piece
        except Exception as error:  # noqa: BLE001 - a user's transport may raise anything
            self._end()
            failure = translate(error)
            failure.__cause__ = shown_cause(error)
            return failure
        self._end()
        return b""

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and abort."""
        if self._interrupt is None:
            self._interrupt = asyncio.get_running_loop().create_future()
        if not self._interrupt.done():
            self._interrupt.set_result(error)
        self.abort()

    def abort(self) -> None:
        """Free the connection, in the background: httpx waits for the peer's goodbye."""
        if self._over:
            return
        self._end()
        if self._interrupt is None or not self._interrupt.done():
            closed = self._transport._closed
            self.interrupt(
                ClosedError("the transport was closed")
                if closed
                else ConnectionLostError("the response was given up")
            )
        closing = self._transport._closing
        task = self._transport._background.spawn(self._close(), "voicekit-httpx-close")
        closing.add(task)
        task.add_done_callback(closing.discard)

    def release(self) -> None:
        """Nobody wants the rest: keep the connection if the body ends within a second."""
        if not self._over:
            self._transport._background.spawn(read_out(self), "voicekit-httpx-drain")

    async def _close(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        # Whatever it says, nobody can do anything about it any more.
        with contextlib.suppress(Exception):
            await self._response.aclose()

    def _end(self) -> None:
        self._over = True
        self._transport._live.discard(self)


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


def _traces(client: httpx.AsyncClient, url: httpx.URL) -> bool:
    """Whether the transport that this client uses for ``url`` reports its progress.

    Guarded by a test: httpx has no public way to ask.
    """
    chosen: Any = getattr(client, "_transport_for_url", None)
    return chosen is not None and isinstance(chosen(url), httpx.AsyncHTTPTransport)
