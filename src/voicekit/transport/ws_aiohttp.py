"""A WebSocket on aiohttp, with a reader task that never pauses.

It shares the HTTP pool's connections: a handshake to a warm host costs one round
trip instead of three. No heartbeat (a slow consumer would kill a healthy socket,
measured) and no compression (it doubles the cost of an audio frame, measured).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import WSMsgType

from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    ProviderError,
    RemoteProtocolError,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo
from voicekit.transport.connector import (
    handshake_call,
    protocol_of,
    response_of,
    writer_of,
)
from voicekit.transport.failures import proxy_refused, translate
from voicekit.transport.handshake import HandshakeRefused
from voicekit.transport.http_aiohttp import PROXY_LOGIN, parse_url

__all__ = ["MAX_FRAME_BYTES", "AiohttpSocket", "HandshakeRefused", "SocketClosed", "dial_socket"]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from voicekit.operation import Call
    from voicekit.transport.http_pool import HttpPool
    from voicekit.transport.interfaces import FrameReceiver
    from voicekit.transport.messages import Request

_CLOSE_LIMIT = 0.5  # Seconds to wait for the peer's close frame.
MAX_FRAME_BYTES = 16 << 20
"""ElevenLabs sends audio frames beyond 1 MiB (base64 in JSON).
Source: providers' sheet, pipecat uses 16 MiB."""


class SocketClosed(ProviderError):  # noqa: N818 - a fact, which a provider's table turns into an error
    """The peer closed the socket; ``status`` is the close code, ``detail`` its reason."""


async def dial_socket(
    pool: HttpPool,
    request: Request,
    call: Call,
    ssl: SSLContext | bool,
    *,
    max_frame_bytes: int = MAX_FRAME_BYTES,
) -> AiohttpSocket:
    """Open a WebSocket: TCP and TLS unless the host is warm, then the handshake.

    Cancelled, it leaves nothing behind.

    Raises:
        HandshakeRefused: The server said no; the provider's table knows what it means.
        VoicekitError: A TransportError or DeadlineError.
    """
    token = handshake_call.set(call)
    try:
        ws = await pool.connector.session.ws_connect(
            parse_url(request.url),
            headers=dict(request.headers),
            ssl=ssl,
            max_msg_size=max_frame_bytes,
            autoping=True,
            compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=_CLOSE_LIMIT),
        )
    except HandshakeRefused as refused:
        if refused.status == PROXY_LOGIN and pool.connector.proxy is not None:
            raise proxy_refused(refused.status) from None
        raise
    except VoicekitError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error.__cause__, VoicekitError):  # aiohttp takes our PoolTimeout for its own
            raise error.__cause__ from None
        raise pool.failure(error) from error
    finally:
        handshake_call.reset(token)
    connection = call.connection or ConnectionInfo(reused=False)
    socket = AiohttpSocket(pool, ws, connection)
    if call.limits.first_output is None:
        call.sent(connection)  # else it was, with the handshake
    return socket


class AiohttpSocket:
    """See ``transport.interfaces.Socket``."""

    __slots__ = (
        "_closing",
        "_lost",
        "_pool",
        "_protocol",
        "_reader",
        "_receiver",
        "_response",
        "_writer",
        "_ws",
        "connection",
        "headers",
    )

    def __init__(
        self, pool: HttpPool, ws: aiohttp.ClientWebSocketResponse, connection: ConnectionInfo
    ) -> None:
        self._pool = pool
        self._ws = ws
        self._writer = writer_of(ws)
        self._receiver: FrameReceiver | None = None
        self._lost: VoicekitError | None = None
        self._closing = False
        self.connection = connection
        self._response = response_of(ws)
        self._protocol = protocol_of(self._response)
        self.headers: Mapping[str, str] = self._response.headers
        self._reader = pool.background.spawn(self._read(), "voicekit-socket-reader")
        self._reader.add_done_callback(self._reader_ended)

    @property
    def alive(self) -> bool:
        """False as soon as anything says that the socket is over, the OS included."""
        protocol = self._protocol
        return (
            self._lost is None
            and not self._closing
            and not self._ws.closed
            and protocol is not None
            and protocol.is_connected()
            and not protocol.hung_up
        )

    def attach(self, receiver: FrameReceiver | None) -> None:
        """Hand coming frames to ``receiver``; one that comes too late learns of the loss."""
        self._receiver = receiver
        if receiver is not None and self._lost is not None:
            receiver.lost(self._lost)

    async def send(self, data: str | bytes) -> None:
        """Write one message; waits only for back-pressure."""
        if self._lost is not None:
            raise self._gone()
        try:
            # The writer itself: fifty times a second, a coroutine less.
            if isinstance(data, str):
                await self._writer.send_frame(data.encode(), WSMsgType.TEXT)
            else:
                await self._writer.send_frame(data, WSMsgType.BINARY)
        except (aiohttp.ClientError, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> VoicekitError:
        lost = self._lost
        if lost is None:
            return ConnectionLostError("the socket is closed")
        facts = {name: value for name, value in vars(lost).items() if not name.startswith("_")}
        return type(lost)(*lost.args, **facts)

    async def _read(self) -> None:
        ws = self._ws
        error: VoicekitError
        try:
            while True:
                message = await ws.receive()
                kind = message.type
                if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                    receiver = self._receiver
                    if receiver is not None:
                        receiver.frame(message.data)
                    continue
                if self._closing:
                    return  # aclose() reads on
                error = self._ending(message)
                break
        except asyncio.CancelledError:
            if self._lost is None:
                self._pool.background.interrupted()
            error = ClosedError("closed")
        except GeneratorExit:  # its event loop has ended: nothing is waited for any more
            error = ClosedError("closed")
        except Exception as failure:  # noqa: BLE001 - whoever holds the socket gets it, typed
            error = (
                failure
                if isinstance(failure, VoicekitError)
                else RemoteProtocolError(f"a frame cannot be handled ({type(failure).__name__})")
            )
        self._end(error)

    def _reader_ended(self, _: asyncio.Task[None]) -> None:
        """Only a reader that was cancelled before its first step has not said so itself."""
        if not self._closing:
            self._end(ClosedError("closed"))

    def _ending(self, message: aiohttp.WSMessage) -> VoicekitError:
        if message.type is WSMsgType.ERROR:
            failure = message.data
            if isinstance(failure, aiohttp.WebSocketError):
                return RemoteProtocolError(f"a frame breaks the protocol (code {failure.code})")
            return translate(failure if isinstance(failure, Exception) else OSError())
        code = self._ws.close_code
        if message.type is WSMsgType.CLOSE and code is not None:
            reason = message.extra if isinstance(message.extra, str) else ""
            return SocketClosed(f"closed with code {code}", status=code, detail=reason)
        return ConnectionLostError("the socket ended without a close frame")

    def _end(self, error: VoicekitError) -> None:
        if self._lost is not None:
            return
        self._lost = error
        if self._protocol is not None:
            self._protocol.drop("used")
        self._response.close()  # gives the pool its place back
        if (connection := self._response.connection) is not None:
            connection.close()  # where the loop has ended, aiohttp leaves that
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(error)

    async def aclose(self) -> None:
        """Close frame, at most half a second for the answer, then the end."""
        self._receiver = None
        if self._lost is None and not self._closing:
            self._closing = True
            try:
                # A talkative peer could keep the close frame away for ever; hence the outer limit.
                async with asyncio.timeout(2 * _CLOSE_LIMIT):
                    await self._ws.close()  # wakes the reader, which leaves
            except (TimeoutError, aiohttp.ClientError, OSError):
                pass
            finally:
                self.abort()

    def abort(self) -> None:
        """Free the socket at once."""
        self._receiver = None
        self._end(ClosedError("closed"))
        self._reader.cancel()
