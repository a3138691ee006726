"""How far a request over httpx has come: its trace, and its upload as it is taken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from voicekit.errors import VoicekitError
from voicekit.timing import ConnectionInfo
from voicekit.transport.held import in_pieces, let_go, unreadable, wrong_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicekit.operation import Call
    from voicekit.transport.messages import Upload


class Progress:
    """Tells the call about one request, and ``connected`` whether it was dialled for.

    Attributes:
        content: The body as httpx takes it.
        size: Its bytes, where that is known and httpx would not know.
        connection: What carries the request.
    """

    def __init__(
        self, call: Call, body: bytes | Upload | None, connected: Callable[[bool], None]
    ) -> None:
        if body is not None:
            body = in_pieces(body)  # as with our own pool
        self._call = call
        self._upload = None if body is None or isinstance(body, bytes) else body
        self._pieces: AsyncIterator[bytes] | None = None
        self._on_connected = connected
        self._started = 0.0
        self._dialled = False
        self._told = False
        self.connection = ConnectionInfo(reused=False)
        self.size = None if self._upload is None else self._upload.size
        self.content: bytes | AsyncIterator[bytes] | None
        if body is None or isinstance(body, bytes):
            self.content = body
        else:
            self._pieces = self._taken(body)
            self.content = self._pieces

    async def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Httpcore's account of what it does, event by event."""
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
            # A proxy is asked for a way first; that is part of connecting.
            case _, "send_request_headers.started" if (
                getattr(info.get("request"), "method", None) != b"CONNECT"
            ):
                self._on_connected(self._dialled)
                self.connected(ConnectionInfo(reused=not self._dialled))

    def connected(self, connection: ConnectionInfo) -> None:
        """The request goes out over ``connection``."""
        self.connection = connection
        if self._upload is None:
            self._told = True
            self._call.sent(connection)
        else:
            self._call.uploading(connection, replayable=self._upload.replayable)

    def answered(self) -> None:
        """The headers are in hand, perhaps before the end of an upload."""
        if not self._told:
            self._told = True
            self._call.sent(self.connection, whole=False)

    async def aclose(self) -> None:
        """Close the upload, however the request ended."""
        await let_go(self._pieces)

    async def _taken(self, upload: Upload) -> AsyncIterator[bytes]:
        size, sent = upload.size, 0
        pieces: AsyncIterator[bytes] | None = None
        try:
            pieces = upload.open()
            async for piece in pieces:
                if not piece:
                    continue
                sent += len(piece)
                if size is not None and sent > size:
                    raise wrong_length(f"more than its {size}")
                yield piece
                self._call.progressed()  # asked for more, so the network took it
        except (VoicekitError, GeneratorExit):
            raise
        except Exception as error:
            raise unreadable("upload", error) from error
        finally:
            await let_go(pieces)
        if size is not None and sent < size:
            raise wrong_length(f"{sent} of its {size}")
        self._told = True
        self._call.sent(self.connection)
