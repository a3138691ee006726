"""aiohttp's connection pool, made honest: the one file that knows aiohttp from the inside.

What it adds to ``TCPConnector``: the newest idle connection first (the least likely
to be stale), a stale-socket check before reuse, age and idle time of each
connection, generations (key rotation retires what is open), a dial without a
request, sharing of a dial in progress, a bound on the wait for a free place, and
requests that aiohttp never sends a second time on its own.

Guarded by ``tests/unit/transport/test_connector_compat.py`` and by the upper bound on
aiohttp in ``pyproject.toml``. Facts: aiohttp 3.14.5, read and measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import select
import time
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import aiohappyeyeballs
import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection, _TransportPlaceholder
from aiohttp.http import StreamWriter
from yarl import URL

from voicekit.errors import ClosedError, ConnectError, PoolTimeout
from voicekit.timing import ConnectionInfo
from voicekit.transport.failures import translate
from voicekit.transport.handshake import refuse
from voicekit.transport.held import in_pieces
from voicekit.transport.sending import Sending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ssl import SSLContext

    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http import WebSocketWriter
    from aiohttp.tracing import Trace

    from voicekit.operation import Call
    from voicekit.tasks import Background
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.messages import Upload
    from voicekit.transport.proxy import Proxy

handshake_call: ContextVar[Call | None] = ContextVar("voicekit_handshake_call", default=None)
"""How a handshake made through ``ClientSession.ws_connect`` finds its call."""

NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""Limits are ours (``Call``); aiohttp's own would round above 5 s and count other things."""

_SKIP_AUTO_HEADERS = ("User-Agent", "Content-Type")
_TEMPLATES = 64  # Addresses whose prepared requests are kept.
_READ_BUFFER = 1 << 16  # Measured: no CPU difference from 16 KiB to 1 MiB; smaller bounds memory.
_REFUSED = 300  # From here a status means that the rest of a body is not wanted.
_GONE = (
    getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0) | getattr(select, "POLLRDHUP", 0)
)


class PooledProtocol(ResponseHandler):
    """One connection, with the facts that the pool and the evidence need."""

    connection_id = 0
    generation = 0
    opened_at = 0.0
    idle_since: float | None = None
    idle_before = 0.0
    served = 0
    one_use = False
    jitter = 0.5
    key: ConnectionKey | None = None
    close_cause: str | None = None
    uploading = False
    """A request's body is not out yet: whatever is answered, the connection ends with it."""
    _poll: select.poll | None = None
    _read_due: float | None = None

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[PooledProtocol], None]
    ) -> None:
        super().__init__(loop=loop)
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the OS socket, for the zero-timeout poll."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN | _GONE)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the pool, which learns the host's idle cut-off from it."""
        super().connection_lost(exc)
        self._drop_timeout()
        self._on_lost(self)

    # aiohttp cancels and sets a timer for every piece that arrives. The read limit is a
    # backstop here, so one timer looks now and then whether it has really passed.

    def _reschedule_timeout(self) -> None:
        timeout = self._read_timeout
        if not timeout:
            self._read_due = None
            return
        self._read_due = due = self._loop.time() + timeout
        if self._read_timeout_handle is None:
            self._read_timeout_handle = self._loop.call_at(due, self._check_read)

    def _drop_timeout(self) -> None:
        self._read_due = None
        if self.transport is None and self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None

    def _check_read(self) -> None:
        self._read_timeout_handle = None
        due = self._read_due
        if due is None:
            return
        if self._loop.time() < due:
            self._read_timeout_handle = self._loop.call_at(due, self._check_read)
        else:
            self._on_read_timeout()

    @property
    def readable(self) -> bool:
        """Whether the OS socket holds something unread: an end, or bytes nobody asked for.

        Measured: 0.7 µs. Before reuse it replaces a failed turn when the peer closed
        while the event loop was busy.
        """
        return self._poll is not None and bool(self._poll.poll(0))

    @property
    def hung_up(self) -> bool:
        """Whether the OS knows that the peer has closed or reset, where it can tell.

        Unlike ``readable`` it may be asked of a socket on which the peer speaks unasked.
        """
        return self._poll is not None and any(mask & _GONE for _, mask in self._poll.poll(0))

    def drop(self, cause: str) -> None:
        """Free the socket without waiting for the peer.

        A TLS close would wait one round trip, and 30 s for a hung peer.
        """
        self.close_cause = self.close_cause or cause
        payload = self._payload
        self.abort()  # forgets the payload, and whoever waits for it
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ServerDisconnectedError())


class PooledRequest(aiohttp.ClientRequest):
    """A request that knows its call, so that the pool can tell it how far it has come."""

    call: Call | None = None
    info: ConnectionInfo | None = None
    waited = False
    """The caller waited for a dial, so the connection was not warm."""
    one_use = False
    """The connection will not come back: a WebSocket takes it over."""
    whole: bytes | None = None
    """A body that goes out in one write with the headers."""
    upload: Upload | None = None
    """A body that goes out in pieces, as the peer takes them."""
    target: str | None = None
    """What the request line names, where that is not the path alone."""
    _connection_key: ConnectionKey | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connector = self._session.connector
        if isinstance(connector, WarmConnector) and connector.proxy is not None:
            self._go_through(connector.proxy)
        handshake = handshake_call.get()
        if handshake is not None:
            self.one_use = True
            self.call = handshake

    def _go_through(self, proxy: Proxy) -> None:
        # Headers rather than aiohttp's auth, which its keys would hold, and its errors show.
        login = {}
        if proxy.authorization is not None:
            login[hdrs.PROXY_AUTHORIZATION] = proxy.authorization
        self.update_proxy(URL(proxy.url), None, login)
        if not self.is_ssl():
            self.target = str(self.url)
            self.headers.update(login)

    @property
    def connection_key(self) -> ConnectionKey:
        """As aiohttp's, made once: neither address nor TLS settings change.

        The headers for a proxy are part of it, to which aiohttp adds when it dials.
        """
        key = self._connection_key
        if key is None:
            key = self._connection_key = super().connection_key
        return key

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """As aiohttp's, but a small body needs no task that writes it.

        Measured: the task costs a turn of the event loop, a tenth of a warm call's CPU.
        """
        protocol, body = conn.protocol, self.whole
        if body is None or protocol is None:
            return await super().send(conn)
        writer = StreamWriter(protocol, self.loop)
        target = self.target or self.url.raw_path_qs
        await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        await writer.write_eof(body)
        protocol.start_timeout()
        return self._response(writer)

    async def start_upload(self, conn: Connection) -> tuple[aiohttp.ClientResponse, Sending]:
        """The response to wait for, and what is to be run beside."""
        protocol = cast("PooledProtocol", conn.protocol)
        upload, info = self.upload, self.info
        assert upload is not None  # noqa: S101 - asked by the caller
        assert info is not None  # noqa: S101 - connected
        protocol.uploading = True
        writer = StreamWriter(protocol, self.loop)
        if upload.size is None:
            writer.enable_chunking()
        target = self.target or self.url.raw_path_qs
        await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        return self._response(writer), Sending(upload, writer, protocol, self.call, info)

    def _response(self, writer: StreamWriter) -> aiohttp.ClientResponse:
        return aiohttp.ClientResponse(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )


def _again(template: PooledRequest, body: bytes | Upload | None) -> PooledRequest:
    """A request like ``template``, which was never sent, with another body.

    aiohttp's constructor derives a dozen things from address and headers; a client
    that asks the same address with the same headers need not have it done each time.
    """
    request = PooledRequest.__new__(PooledRequest)
    request.__dict__.update(template.__dict__)
    request.headers = template.headers.copy()
    if body is None:
        request.update_body_from_data(None)
        return request
    body = in_pieces(body)
    if isinstance(body, bytes):
        request.whole = body
        request.headers[hdrs.CONTENT_LENGTH] = str(len(body))
    else:
        request.upload = body
        if body.size is None:
            request.headers[hdrs.TRANSFER_ENCODING] = "chunked"
        else:
            request.headers[hdrs.CONTENT_LENGTH] = str(body.size)
    return request


def _call_of(request: aiohttp.ClientRequest) -> Call | None:
    return request.call if isinstance(request, PooledRequest) else None


class WarmConnector(aiohttp.TCPConnector):
    """The pool of one transport, for one event loop.

    Args:
        background: Owns the tasks that send uploads.
        proxy: What every connection goes through.
        on_change: Called with a key when a connection of it came back (False), or
            will not come back (True). Must be cheap.
        on_idle_lost: The peer closed an idle connection, after so many idle seconds.
        on_reused: A connection served a request after so many idle seconds.
        on_full: A call found every place taken; an idle socket may give its own up, at once.
    """

    def __init__(
        self,
        *,
        config: PoolConfig,
        resolver: aiohttp.abc.AbstractResolver,
        socket_factory: Callable[[Any], Any] | None,
        background: Background,
        proxy: Proxy | None,
        on_change: Callable[[ConnectionKey, bool], None],
        on_idle_lost: Callable[[ConnectionKey, float], None],
        on_reused: Callable[[ConnectionKey, float], None],
        on_full: Callable[[], None],
    ) -> None:
        super().__init__(
            limit=config.max_connections,
            keepalive_timeout=None,  # the keeper decides, with what it learned
            use_dns_cache=False,  # the resolver caches, and serves stale
            resolver=resolver,
            happy_eyeballs_delay=0.1,  # Measured: 0.25 s, the default, is a lost turn.
            socket_factory=socket_factory,
        )
        self._config = config
        self._background = background
        self.proxy = proxy
        self._on_change = on_change
        self._on_idle_lost = on_idle_lost
        self._on_reused = on_reused
        self._on_full = on_full
        self._ids = itertools.count(1)
        self._dials: dict[ConnectionKey, set[asyncio.Future[None]]] = {}
        self._claims: Counter[ConnectionKey] = Counter()
        self._dialers: set[asyncio.Task[Any]] = set()
        factory = functools.partial(PooledProtocol, self._loop, self._lost)
        self._factory = factory  # type: ignore[assignment]  # partial is invariant
        self._templates: dict[URL, tuple[Mapping[str, str], tuple[str, object], PooledRequest]] = {}
        self.generation = 0
        self.opened = 0
        self.reused = 0
        self.closed_by: Counter[str] = Counter()
        self.session = aiohttp.ClientSession(
            connector=self,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),  # Measured: the default jar doubles the CPU.
            request_class=PooledRequest,
            timeout=NO_TIMEOUT,
            skip_auto_headers=_SKIP_AUTO_HEADERS,
            read_bufsize=_READ_BUFFER,
            middlewares=(refuse,),  # Only handshakes pass through the session.
        )
        # aiohttp re-sends GET and handshakes once after a disconnect; repeats are ours.
        self.session._retry_connection = False

    # -- requests --

    async def open(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | Upload | None,
        *,
        ssl: SSLContext | bool,
        call: Call | None,
        sock_read: float | None,
    ) -> tuple[aiohttp.ClientResponse, ConnectionInfo]:
        """Send one request once and wait for the headers.

        ``ClientSession.request`` would do it too, with cookies, redirects and
        re-sends that we do not want. Cancelled or failed, the connection is
        aborted: nothing of it is reused.
        """
        request = self._request(method, url, headers, body, ssl)
        request.call = call
        connection = await self.connect(request, [], NO_TIMEOUT)
        protocol = cast("PooledProtocol", connection.protocol)
        try:
            protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=sock_read,
                read_bufsize=_READ_BUFFER,
                timeout_ceil_threshold=1e9,
            )
            if request.upload is None:
                response = await request.send(connection)
                try:
                    await response.start(connection)
                except BaseException:
                    protocol.drop("failed")
                    response.close()
                    raise
            else:
                response = await self._upload(request, connection, protocol)
        except BaseException:
            protocol.drop("failed")
            connection.close()
            raise
        if protocol.idle_before > 0:
            self._on_reused(request.connection_key, protocol.idle_before)
        return response, cast("ConnectionInfo", request.info)

    async def _upload(
        self, request: PooledRequest, connection: Connection, protocol: PooledProtocol
    ) -> aiohttp.ClientResponse:
        """Send the body and wait for the headers at a time: a server may refuse early.

        What it answered then counts, not that it took no more; the connection is not
        used again. An early success only begins, so the rest of the body follows.
        """
        response, sending = await request.start_upload(connection)
        task = self._background.spawn(sending.run(), "voicekit-upload")
        try:
            await response.start(connection)
            if response.status < _REFUSED and not task.done():
                await asyncio.wait([task])
            if sending.error is not None and response.status < _REFUSED:
                raise sending.error
        except BaseException:
            protocol.drop("failed")
            response.close()
            raise
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if protocol.uploading and request.call is not None:
            request.call.sent(cast("ConnectionInfo", request.info), whole=False)
        return response

    def _request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | Upload | None,
        ssl: SSLContext | bool | aiohttp.Fingerprint,
    ) -> PooledRequest:
        known = self._templates.get(url)
        if known is not None and known[0] == headers and known[1] == (method, ssl):
            return _again(known[2], body)
        template = PooledRequest(
            method,
            url,
            headers=headers,
            skip_auto_headers=_SKIP_AUTO_HEADERS,
            loop=self._loop,
            session=self.session,
            ssl=ssl,
        )
        template.headers.popall(hdrs.CONTENT_LENGTH, None)
        template.headers.popall(hdrs.TRANSFER_ENCODING, None)
        _ = template.connection_key  # kept, so that its copies have it
        if len(self._templates) >= _TEMPLATES:
            self._templates.clear()
        self._templates[url] = (dict(headers), (method, ssl), template)
        return _again(template, body)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Lease the newest live idle connection, join a dial in progress, or dial."""
        key = req.connection_key
        call = _call_of(req)
        connection = await self._get(key, traces)
        if connection is None:
            if key in self._dials:
                await self._join_dial(key, req)
            if self._available_connections(key) <= 0 and not self._conns.get(key):
                self._on_full()
                if call is not None and self._available_connections(key) <= 0:
                    call.queued()
            connection = await super().connect(req, traces, timeout)
        protocol = cast("PooledProtocol", connection.protocol)
        now = time.monotonic()
        warm = not (isinstance(req, PooledRequest) and req.waited)
        info = ConnectionInfo(
            reused=warm,
            age=now - protocol.opened_at,
            idle=protocol.idle_before,
            id=protocol.connection_id,
            generation=protocol.generation,
        )
        self.reused += warm
        protocol.served += 1
        if isinstance(req, PooledRequest):
            req.info = info
            if req.one_use:
                protocol.one_use = True
                if call is not None:
                    call.shaking_hands(info)
                self._on_change(key, True)
            elif call is None:
                pass
            elif req.upload is None:
                call.sent(info)
            else:
                call.uploading(info, replayable=req.upload.replayable)
        return connection

    async def _join_dial(self, key: ConnectionKey, req: aiohttp.ClientRequest) -> None:
        """Wait for a dial that nobody has claimed yet; on its failure the caller dials."""
        call = _call_of(req)
        started = time.monotonic()
        # Whoever wakes first takes the connection, and the others wait for the next dial.
        while not self._conns.get(key) and self._claims[key] < len(self._dials.get(key, ())):
            if call is not None:
                cast("PooledRequest", req).waited = True
                call.dialing()
            self._claims[key] += 1
            try:
                await asyncio.wait(self._dials[key], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._claims[key] -= 1
        if call is not None:
            call.connect_s += time.monotonic() - started

    async def _get(self, key: ConnectionKey, _traces: list[Trace]) -> Connection | None:
        """The newest idle connection that is alive, or None.

        What the poll finds readable gets two turns of the event loop to show why
        (a close that arrived while the loop was busy; a TLS session ticket).
        Measured: removes every failure of a POST on a connection whose peer has
        closed, except while the close is still on its way to us.
        """
        waited_for: PooledProtocol | None = None
        while conns := self._conns.get(key):
            protocol = cast("PooledProtocol", conns[-1][0])
            if not protocol.is_connected() or protocol.should_close:
                cause = "peer"
            elif not protocol.readable:
                conns.pop()
                if not conns:
                    del self._conns[key]
                self._acquired.add(protocol)
                protocol.idle_before = time.monotonic() - (protocol.idle_since or 0.0)
                protocol.idle_since = None
                return Connection(self, key, protocol, self._loop)
            elif protocol is not waited_for:
                waited_for = protocol
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                continue
            else:
                cause = "peer"
            self._remove_idle(key, protocol, cause)
            self._on_change(key, True)
        return None

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        limit = self._config.max_wait
        try:
            async with asyncio.timeout(limit) as timer:
                await super()._wait_for_available_connection(key, traces)
        except TimeoutError:
            if timer.expired():
                msg = f"all {self.limit} connections stayed busy for {limit:g} s"
                raise PoolTimeout(msg, limit=limit) from None
            raise

    # -- dialling --

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        call = _call_of(req)
        if call is not None:
            cast("PooledRequest", req).waited = True
            call.dialing()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are awaited
        started, tls_s = time.monotonic(), 0.0 if call is None else call.tls_s
        self._dialers.add(task)
        try:
            protocol = await super()._create_connection(req, traces, timeout)
        except asyncio.CancelledError:
            if self._closed and task not in self._dialers and task.uncancel() == 0:
                raise ClosedError("the transport was closed") from None
            raise
        finally:
            self._dialers.discard(task)
        if call is not None:
            call.connect_s += time.monotonic() - started - (call.tls_s - tls_s)
        pooled = cast("PooledProtocol", protocol)
        self._adopt(pooled, req.connection_key)
        if self._closed:
            pooled.drop("closed")
            raise ClosedError("the transport was closed")
        return protocol

    def _adopt(self, protocol: PooledProtocol, key: ConnectionKey) -> None:
        protocol.key = key
        protocol.connection_id = next(self._ids)
        protocol.generation = self.generation
        protocol.opened_at = time.monotonic()
        protocol.jitter = random.random()
        self.opened += 1

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[Any],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """As aiohttp's, but TLS is timed apart.

        aiohttp would also try again with one address fewer after all have failed;
        happy eyeballs has tried each of them by then, so the copy it walks is emptied.
        """
        call = _call_of(req)
        try:
            sock = await aiohappyeyeballs.start_connection(
                addr_infos=addr_infos,
                local_addr_infos=self._local_addr_infos,
                happy_eyeballs_delay=self._happy_eyeballs_delay,
                interleave=self._interleave,
                loop=self._loop,
                socket_factory=self._socket_factory,
            )
        except OSError as error:
            addr_infos.clear()
            raise client_error(req.connection_key, error) from error
        connected = time.monotonic()
        try:
            # Hands the open socket to aiohttp's own wrapper, which maps TLS errors.
            result: tuple[
                asyncio.Transport, ResponseHandler
            ] = await super()._wrap_existing_connection(
                *args, req=req, timeout=timeout, client_error=client_error, sock=sock, **kwargs
            )
        except aiohttp.ClientConnectorCertificateError:
            addr_infos.clear()  # no other address of the name cures that
            raise
        if call is not None and kwargs.get("ssl"):
            call.tls_s += time.monotonic() - connected
        return result

    async def _create_proxy_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """As aiohttp's, but whatever the proxy does instead of a tunnel is a failed dial."""
        try:
            return await super()._create_proxy_connection(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
            raise
        except (aiohttp.ClientError, OSError) as error:
            name = type(error).__name__
            translate(error)  # which takes out of it what may be secret
            raise ConnectError(f"the proxy opened no tunnel ({name})") from error

    async def _start_tls_connection(
        self,
        underlying_transport: asyncio.Transport,
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """As aiohttp's, but timed."""
        started = time.monotonic()
        result: tuple[asyncio.BaseTransport, ResponseHandler] = await super()._start_tls_connection(
            underlying_transport, req, timeout, client_error
        )
        call = _call_of(req)
        if call is not None:
            call.tls_s += time.monotonic() - started
        return result

    def key_of(self, url: URL, ssl: SSLContext | bool) -> ConnectionKey:
        """The pool key of an origin: http and ws share it, as do https and wss."""
        return self._request("GET", url, {}, None, ssl).connection_key

    async def dial(self, key: ConnectionKey) -> None:
        """Open one connection without a request and put it into the pool.

        Cancelled, it leaves nothing behind.

        Raises:
            aiohttp.ClientError: The dial failed.
            PoolTimeout: The pool is full.
            ClosedError: The pool was closed meanwhile.
        """
        url = URL.build(scheme="https" if key.is_ssl else "http", host=key.host, port=key.port)
        request = self._request("GET", url, {}, None, key.ssl)
        if self._available_connections(key) <= 0:
            raise PoolTimeout(f"all {self.limit} connections are in use", limit=0.0)
        done: asyncio.Future[None] = self._loop.create_future()
        self._dials.setdefault(key, set()).add(done)
        placeholder = cast("ResponseHandler", _TransportPlaceholder(self._placeholder_future))
        self._acquired.add(placeholder)
        protocol: ResponseHandler | None = None
        try:
            protocol = await self._create_connection(request, [], NO_TIMEOUT)
        finally:
            self._acquired.discard(placeholder)
            if protocol is not None:
                self._release(key, protocol)
            else:
                self._release_waiter()
            dials = self._dials[key]
            dials.discard(done)
            if not dials:
                del self._dials[key]
            done.set_result(None)

    def dialing(self, key: ConnectionKey) -> int:
        """Dials without a request in progress."""
        return len(self._dials.get(key, ()))

    # -- returning and losing --

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        pooled = cast("PooledProtocol", protocol)
        if should_close or pooled.uploading or pooled.should_close:
            should_close = True  # dropping it clears the signs
            pooled.drop("used")
        elif pooled.generation != self.generation:
            should_close = True
            pooled.drop("retired")
        super()._release(key, protocol, should_close=should_close)
        if pooled.close_cause is None and not self._closed:
            pooled.idle_since = time.monotonic()
        # What the keeper must look at now: one that will not come back, or one too many.
        crowded = len(self._conns.get(key, ())) > self._config.max_idle
        self._on_change(key, crowded or pooled.close_cause is not None)

    def _remove_idle(self, key: ConnectionKey, protocol: PooledProtocol, cause: str) -> None:
        conns = self._conns.get(key)
        if conns is None:
            return
        for entry in conns:
            if entry[0] is protocol:
                conns.remove(entry)
                break
        if not conns:
            del self._conns[key]
        if protocol.is_connected():
            protocol.idle_since = None
            protocol.drop(cause)

    def _lost(self, protocol: PooledProtocol) -> None:
        """A connection is gone, whoever ended it."""
        key, idle_since = protocol.key, protocol.idle_since
        if key is None:
            return  # lost during its handshake; the dial reports it
        cause = protocol.close_cause or "peer"
        self.closed_by[cause] += 1
        if idle_since is None or self._closed:
            return
        protocol.idle_since = None
        self._remove_idle(key, protocol, cause)
        if cause == "peer":
            self._on_idle_lost(key, time.monotonic() - idle_since)
        self._on_change(key, True)

    def idle(self, key: ConnectionKey) -> list[PooledProtocol]:
        """The idle connections of ``key`` that are still connected, oldest first."""
        return [
            cast("PooledProtocol", protocol)
            for protocol, _ in self._conns.get(key, ())
            if protocol.is_connected()
        ]

    def drop_idle(self, key: ConnectionKey, ids: frozenset[int], cause: str) -> None:
        """Close some idle connections."""
        for protocol in self.idle(key):
            if protocol.connection_id in ids:
                self._remove_idle(key, protocol, cause)

    def leased(self, key: ConnectionKey) -> tuple[int, int]:
        """Connections of ``key`` in somebody's hands, and how many of them come back."""
        held = [
            protocol
            for protocol in self._acquired
            if isinstance(protocol, PooledProtocol) and protocol.key == key
        ]
        back = sum(1 for p in held if not p.one_use and p.generation == self.generation)
        return len(held), back

    def retire(self) -> None:
        """Start a new generation: idle connections go now, leased ones when they come back."""
        self.generation += 1
        for key in list(self._conns):
            for protocol in self.idle(key):
                self._remove_idle(key, protocol, "retired")
            self._on_change(key, True)

    def counts(self) -> tuple[int, int]:
        """How many connections are idle, and how many leased."""
        idle = sum(len(self.idle(key)) for key in list(self._conns))
        leased = sum(1 for protocol in self._acquired if isinstance(protocol, PooledProtocol))
        return idle, leased

    @property
    def waiting(self) -> int:
        """Callers for whom every connection is in use."""
        return sum(len(waiters) for waiters in self._waiters.values())

    def __del__(self) -> None:  # type: ignore[override]
        """Whose it is says that it was never closed, and frees it."""

    async def shut(self) -> None:
        """Abort everything, at once; whoever waits gets ``ClosedError``. Idempotent."""
        self.abandon()
        await self.session.close()

    def abandon(self) -> None:
        """As ``shut``, without an event loop that runs."""
        if self._closed:
            return
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(ClosedError("the transport was closed"))
        for protocol in list(self._acquired):
            if isinstance(protocol, PooledProtocol):
                protocol.drop("closed")
        for key in list(self._conns):
            for protocol in self.idle(key):
                self._remove_idle(key, protocol, "closed")
        dialers, self._dialers = self._dialers, set()
        self._close()
        for task in dialers:
            task.cancel()


def do_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """An event loop that has ended closes now what it would have closed in its next turn.

    A transport closes its socket a turn after it is told to. uvloop closes all of them when it
    ends, and takes no attributes. Nothing else can be done without a loop: who waits on it waits.
    """

    def at_once(callback: Callable[..., Any], *args: Any, **_context: Any) -> None:
        if isinstance(getattr(callback, "__self__", None), _CLOSING):
            callback(*args)

    with contextlib.suppress(AttributeError):
        loop.call_soon = at_once  # type: ignore[assignment]


_CLOSING = (asyncio.BaseTransport, asyncio.BaseProtocol)


def key_of_response(response: aiohttp.ClientResponse) -> ConnectionKey | None:
    """The pool key of the connection that still carries ``response``, if one does."""
    connection = response.connection
    return None if connection is None else connection._key


def abort_response(response: aiohttp.ClientResponse) -> None:
    """Abort the transport, then close: a close alone would wait for a hung TLS peer."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def response_of(ws: aiohttp.ClientWebSocketResponse) -> aiohttp.ClientResponse:
    """The handshake's response, which holds the socket's connection."""
    return ws._response


def protocol_of(response: aiohttp.ClientResponse) -> PooledProtocol | None:
    """The connection that carries ``response``."""
    connection = response.connection
    protocol = None if connection is None else connection.protocol
    return protocol if isinstance(protocol, PooledProtocol) else None


def writer_of(ws: aiohttp.ClientWebSocketResponse) -> WebSocketWriter:
    """What frames the messages of a socket."""
    return ws._writer
