"""A body that goes out in pieces, in a task of its own, while the answer is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import aiohttp

from voicekit.errors import ConnectionLostError, VoicekitError
from voicekit.transport.held import let_go, unreadable, wrong_length

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.http import StreamWriter

    from voicekit.operation import Call
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.connector import PooledProtocol
    from voicekit.transport.messages import Upload

_UNSENT_BYTES = 1 << 17
"""What the system may hold that is not on the wire yet. Without a bound that is megabytes,
half a minute of a slow line, and neither the last byte nor a standstill would be seen."""


class Sending:
    """One upload over one connection.

    Attributes:
        error: Why it failed through us: the file, not the network, which the answer's
            reader learns of by itself.
    """

    def __init__(
        self,
        upload: Upload,
        writer: StreamWriter,
        protocol: PooledProtocol,
        call: Call | None,
        info: ConnectionInfo,
    ) -> None:
        self._upload = upload
        self._writer = writer
        self._protocol = protocol
        self._call = call
        self._info = info
        self._sent = 0
        self.error: VoicekitError | None = None

    async def run(self) -> None:
        """Send it all. Raises nothing: what fails wakes whoever waits for the answer."""
        protocol = self._protocol
        pieces: AsyncIterator[bytes] | None = None
        try:
            _bound_unsent(protocol)
            pieces = self._upload.open()
            await self._send(pieces)
        except (aiohttp.ClientError, OSError) as error:
            if self._sent:
                lost = ConnectionLostError("the connection was lost during the upload")
                lost.__cause__ = error
                self._fail(lost)
            else:
                self._fail(error)
        except Exception as error:  # noqa: BLE001 - an upload may be anybody's
            self.error = error if isinstance(error, VoicekitError) else unreadable("upload", error)
            self._fail(self.error)
        finally:
            await let_go(pieces)

    def _fail(self, error: Exception) -> None:
        if self._protocol.exception() is None:
            self._protocol.set_exception(error)

    async def _send(self, pieces: AsyncIterator[bytes]) -> None:
        writer, protocol, call = self._writer, self._protocol, self._call
        size, sent = self._upload.size, 0
        while size is None or sent < size:
            piece = await _next(pieces)
            if piece is None:
                break
            if protocol.readable:
                # An answer, or the end: to be read before a write that fails, which would
                # take away what has arrived.
                for _ in range(3):
                    await asyncio.sleep(0)
            sent += len(piece)
            if size is not None and sent > size:
                raise wrong_length(f"more than its {size}")
            if piece:
                await writer.write(piece, drain=False)
                self._sent = sent
                await writer.drain()
                if call is not None:
                    call.progressed()
        if size is not None and sent < size:
            raise wrong_length(f"{sent} of its {size}")
        await writer.write_eof()
        await self._flushed()
        protocol.uploading = False
        if call is not None:
            call.sent(self._info)
        protocol.start_timeout()

    async def _flushed(self) -> None:
        """Until the system has taken the last byte."""
        transport = self._protocol.transport
        if transport is None or not transport.get_write_buffer_size():
            return
        # Not high=0: a TLS transport would take an empty buffer for a full one.
        transport.set_write_buffer_limits(high=1, low=0)
        try:
            await self._writer.drain()
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(pieces)
    except StopAsyncIteration:
        return None
    except VoicekitError:
        raise
    except Exception as error:
        raise unreadable("upload", error) from error


def _bound_unsent(protocol: PooledProtocol) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    transport = protocol.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if option is not None and sock is not None:
        with contextlib.suppress(OSError):  # it can still send; less is known of how far it is
            sock.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_BYTES)
