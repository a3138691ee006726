"""The HTTP seam on httpx: a user's own ``httpx.AsyncClient``, with its proxies, hooks and mocks.

httpx cannot open a connection without a request, nor drop one without waiting for its
peer, and costs five to six times the CPU of the default; it says so in its
``capabilities``. Limits are ours (``Call``): its trace tells how far a request has come.
A transport that does not trace (``MockTransport``, ASGI) counts as connected from the start.

Facts: httpx 0.28.1, httpcore 1.0.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx

from voicekit.background import Background
from voicekit.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
    GapTimeout,
    InvalidArgumentError,
    LocalProtocolError,
    PoolTimeout,
    RemoteProtocolError,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolStats, WarmReport
from voicekit.transport.interfaces import Capabilities

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.transport.messages import Request

__all__ = ["HttpxTransport"]

_DRAIN_LIMIT: Final = 1.0
"""Seconds to wait for the end of a body that nobody wants."""

_MAX_WAIT: Final = 1.0
"""Seconds to wait for a free connection, as ``PoolConfig.max_wait``."""


class HttpxTransport:
    """Sends over an ``httpx.AsyncClient``; see ``interfaces.HttpTransport``.

    Args:
        client: The user's own, which stays the user's to close; None makes one, with an
            idle limit that outlasts the pauses of a conversation.

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
            client = httpx.AsyncClient(limits=limits, trust_env=False)
        self._client = client
        self._background = Background()
        self._closed = False
        self._opened = 0
        self._reused = 0
        self._in_flight = 0

    async def send(self, request: Request, call: Call) -> HttpxResponse:
        """Send once and wait for the headers; no redirect is followed.

        Cancelled, the request is abandoned and httpx closes its connection.

        Raises:
            VoicekitError: A TransportError or DeadlineError.
        """
        if self._closed:
            raise ClosedError("the transport is closed")
        progress = _Progress(self, call)
        body = request.body
        try:
            built = self._client.build_request(
                request.method,
                request.url,
                headers=_headers(request),
                content=body if body is None or isinstance(body, bytes) else body.open(),
                timeout=httpx.Timeout(None, pool=_MAX_WAIT),
                extensions={"trace": progress.trace},
            )
            progress.begin(traced=_traces(self._client, built.url))
            response = await self._client.send(built, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError) as error:
            raise _translate(error) from error
        except RuntimeError as error:  # how httpx says that it is closed
            raise ClosedError("the httpx client is closed") from error
        self._in_flight += 1
        return HttpxResponse(self, response, progress.connection)

    async def warm(self, url: str, n: int) -> WarmReport:  # noqa: ARG002 - the seam's
        """Open nothing: httpx has no connection without a request."""
        return WarmReport(opened=0, reused=0, failures=("NotSupported",) * n)

    def stats(self) -> PoolStats:
        """What the trace told; httpx does not show its pool."""
        return PoolStats(
            open=0, ready=0, leased=self._in_flight, dialing=0, opened=self._opened,
            reused=self._reused, closed={}, idle_cutoff=0.0,
        )  # fmt: skip

    def retire(self) -> None:
        """Nothing: HTTP connections are not bound to a key, and httpx retires none."""

    async def aclose(self) -> None:
        """End what runs in the background, and the client if it is ours."""
        self._closed = True
        await self._background.aclose()
        if self._own:
            await self._client.aclose()

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait."""
        self._closed = True
        self._background.abandon()

    def __repr__(self) -> str:
        return "<HttpxTransport>"


class _Progress:
    """Tells the call how far its request has come, as httpx's trace has it."""

    def __init__(self, transport: HttpxTransport, call: Call) -> None:
        self._transport = transport
        self._call = call
        self._started = 0.0
        self._dialled = False
        self.connection = ConnectionInfo(reused=False)

    def begin(self, *, traced: bool) -> None:
        if traced:
            self._call.queued()
        else:
            self._call.sent(self.connection)

    async def trace(self, name: str, _info: Mapping[str, Any]) -> None:
        call, layer, _, event = self._call, *name.partition(".")
        match layer, event:
            case "connection", "connect_tcp.started":
                self._dialled = True
                self._started = time.monotonic()
                call.dialing()
            case "connection", "connect_tcp.complete":
                call.connect_s += time.monotonic() - self._started
            case "connection", "start_tls.started":
                self._started = time.monotonic()
            case "connection", "start_tls.complete":
                call.tls_s += time.monotonic() - self._started
            case _, "send_request_headers.started":
                self._transport._opened += self._dialled
                self._transport._reused += not self._dialled
                self.connection = ConnectionInfo(reused=not self._dialled)
                call.sent(self.connection)


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
        piece = reading.result()
        if isinstance(piece, VoicekitError):
            raise piece
        return piece

    async def _read(self) -> bytes | VoicekitError:
        """The next piece, or why there is none: a task that fails would be logged."""
        try:
            while piece := await anext(self._pieces, b""):
                return piece
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as error:
            self._end()
            failure = _translate(error)
            failure.__cause__ = error
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
        self._transport._background.spawn(self._close(), "voicekit-httpx-close")

    def release(self) -> None:
        """Nobody wants the rest: keep the connection if the body ends within a second."""
        if not self._over:
            self._transport._background.spawn(self._drain(), "voicekit-httpx-drain")

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError, VoicekitError):
            async with asyncio.timeout(_DRAIN_LIMIT):
                while await self.chunk():
                    pass
        self.abort()

    async def _close(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        with contextlib.suppress(httpx.HTTPError, OSError, RuntimeError):
            await self._response.aclose()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._transport._in_flight -= 1


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


def _headers(request: Request) -> Mapping[str, str]:
    body = request.body
    if body is None or isinstance(body, bytes) or body.size is None:
        return request.headers
    return {**request.headers, "Content-Length": str(body.size)}


def _traces(client: httpx.AsyncClient, url: httpx.URL) -> bool:
    """Whether the transport that this client uses for ``url`` reports its progress.

    Guarded by a test: httpx has no public way to ask.
    """
    chosen = getattr(client, "_transport_for_url", None)
    return chosen is not None and isinstance(chosen(url), httpx.AsyncHTTPTransport)


def _translate(error: Exception) -> VoicekitError:
    """Our error for one of httpx's; raise it ``from`` the original."""
    name = type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            return ConnectTimeout("no connection in time")
        case httpx.PoolTimeout():
            return PoolTimeout(f"all connections stayed busy for {_MAX_WAIT:g} s", limit=_MAX_WAIT)
        case httpx.TimeoutException():
            return GapTimeout(f"httpx's own limit passed ({name})")
        case httpx.ConnectError() | httpx.ProxyError():
            tls = "SSL" in str(error) or "certificate" in str(error).lower()
            return ConnectError(f"cannot connect ({name})", retryable=not tls)
        case httpx.LocalProtocolError():
            return LocalProtocolError(f"the request cannot be written ({name})")
        case httpx.RemoteProtocolError() if "disconnected" in str(error) or "closed" in str(error):
            return ConnectionLostError("the connection ended too early")
        case httpx.RemoteProtocolError() | httpx.DecodingError():
            return RemoteProtocolError(f"not an HTTP response ({name})")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return InvalidArgumentError("not a URL that httpx can ask", argument="base_url")
        case ValueError():
            return LocalProtocolError(f"the request cannot be written ({name})")
        case _:
            return ConnectionLostError(f"the connection was lost ({name})")
