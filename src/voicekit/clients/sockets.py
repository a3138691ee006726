"""What a pooled speech socket is to its pool and to an utterance, whatever the grammar on it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from voicekit.alarms import Alarm
from voicekit.errors import ClosedError, ConnectionLostError, RemoteProtocolError

if TYPE_CHECKING:
    import weakref
    from collections.abc import Mapping

    from voicekit.errors import VoicekitError
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import FrameReceiver, Socket


class SpokenSocket(Alarm):
    """A ``Socket`` that follows what is said on it, whoever holds it: the pool or an utterance.

    Its alarm is for what the server must answer in time.

    Attributes:
        connection: How it was opened.
        headers: Of the handshake's response.
        tls_s: Seconds of its dial that went to TLS.
        written_at: When the last message was sent, in ``time.monotonic()``.
    """

    __slots__ = (
        "__weakref__",
        "_inner",
        "_speaker",
        "_spoiled",
        "_watch",
        "connection",
        "headers",
        "tls_s",
        "written_at",
    )

    def __init__(self, inner: Socket, tls_s: float) -> None:
        super().__init__()
        self._inner = inner
        # Weak, so that a session which nobody closes is collected, warns and is hung up.
        self._speaker: weakref.ref[Any] | None = None
        self._watch: FrameReceiver | None = None
        self._spoiled = False
        self.connection: ConnectionInfo = inner.connection
        self.headers: Mapping[str, str] = inner.headers
        self.tls_s = tls_s
        self.written_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether nothing says that it is closed or out of step."""
        return not self._spoiled and self._inner.alive

    @property
    def idle_s(self) -> float:
        """Seconds since the last message that it was sent, from which its idle limit counts."""
        return max(0.0, time.monotonic() - self.written_at)

    def attach(self, receiver: FrameReceiver | None) -> None:
        """The pool watches, while nobody holds it."""
        self._watch = receiver
        if receiver is not None and not self.alive:
            receiver.lost(ConnectionLostError("the socket is closed"))

    def leave(self, *, ended: bool = False) -> None:  # noqa: ARG002 - for those with contexts
        """The utterance lets go; ``ended`` says that the server has ended it."""
        self._speaker = None

    @property
    def reusable(self) -> bool:
        """Whether another utterance may have it."""
        return True

    async def send(self, data: str | bytes) -> None:
        """See ``Socket.send``."""
        self.written_at = time.monotonic()
        await self._inner.send(data)

    async def aclose(self) -> None:
        """See ``Socket.aclose``."""
        self._closing()
        await self._inner.aclose()

    def abort(self) -> None:
        """See ``Socket.abort``."""
        self._closing()
        self._inner.abort()

    def _closing(self) -> None:
        self._watch = None  # it is the pool that closes
        self._end(ClosedError("the connection was closed"))

    def lost(self, error: VoicekitError) -> None:
        """The socket ended."""
        self._end(error)

    def _garbled(self, error: VoicekitError) -> None:
        """What else it sends cannot be told apart any more."""
        self._end(error)
        self._inner.abort()

    def _held(self) -> Any:
        """The utterance whose it is what comes; None for nobody's."""
        return None if self._speaker is None else self._speaker()

    def _end(self, error: VoicekitError) -> None:
        self._spoiled = True
        speaker, self._speaker = self._held(), None
        watch, self._watch = self._watch, None
        if speaker is not None:
            speaker.lost(error)
        if watch is not None:
            watch.lost(error)


def read_frame(data: str | bytes) -> dict[str, Any]:
    """One message of the server.

    Raises:
        RemoteProtocolError: It is no JSON object.
    """
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("a frame is not JSON") from None
    if not isinstance(message, dict):
        raise RemoteProtocolError("a frame is no JSON object")
    return message
