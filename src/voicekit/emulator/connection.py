"""The server's side of a connection, recorded: who opened it, how, and who ended it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from typing import Any, Literal

from aiohttp import web

from voicekit.emulator.journal import ConnectionRecord, Journal


def hang_up(transport: asyncio.BaseTransport | None, *, reset: bool) -> None:
    """End a connection at once with an RST, or after what is buffered with a FIN."""
    if transport is None:
        return
    if not reset:
        transport.close()
        return
    raw = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already: then there is nothing to reset
        if raw is not None:
            # Linger zero makes the kernel's close send an RST in place of a FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()  # type: ignore[attr-defined]


class RecordingHandler(web.RequestHandler):
    """aiohttp's protocol for one connection, which also keeps that connection's record."""

    __slots__ = ("_journal", "_provider", "_register", "charged", "record")

    def __init__(
        self,
        server: web.Server,
        *,
        provider: str,
        journal: Journal,
        register: set[RecordingHandler],
        charged: bool,
        loop: asyncio.AbstractEventLoop,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._provider = provider
        self._journal = journal
        self._register = register
        self.charged = charged
        self.record: ConnectionRecord | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record the connection before aiohttp serves it."""
        tls = transport.get_extra_info("ssl_object")
        version = tls.version() if tls is not None else None
        extra = 0 if version is None else 1 if version == "TLSv1.3" else 2
        self.record = self._journal.open_connection(
            self._provider,
            tls=version,
            resumed=bool(tls is not None and tls.session_reused),
            handshake_round_trips=1 + extra,
            charged_by_link=self.charged,
            line=(transport.get_extra_info("peername") or (None, 0))[1],
        )
        self._register.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Close the record; an abortive end from the other side reads "reset"."""
        self._register.discard(self)
        record = self.record
        if record is not None and record.closed_at is None:
            record.closed_at = self._journal.now()
            if isinstance(exc, OSError) and exc.errno in {errno.ECONNRESET, errno.EPIPE}:
                self._blame("reset")
            else:
                self._blame("client")
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Note that the client ended its side first."""
        self._blame("client")
        super().eof_received()

    def close(self) -> None:
        """End the connection after the request under way, as aiohttp asks at shutdown."""
        self._blame("server")
        super().close()

    def force_close(self) -> None:
        """End the connection, as aiohttp does on a keep-alive timeout or a protocol error."""
        self._blame("server")
        super().force_close()

    def drop(self, how: Literal["fin", "rst"]) -> None:
        """Close this connection now, with a FIN or an RST."""
        self._blame("server")
        hang_up(self.transport, reset=how == "rst")

    def stop(self) -> None:
        """End the connection at once and cancel its handler: the emulator is stopping."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    @property
    def idle(self) -> bool:
        """Whether no request is under way: between two, or before the first."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        return self._current_request is None and not self._messages

    def _blame(self, side: Literal["client", "server", "reset"]) -> None:
        if self.record is not None and self.record.closed_by is None:
            self.record.closed_by = side
