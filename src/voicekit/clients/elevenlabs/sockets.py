"""A pooled socket that knows its contexts, and the dial that opens one."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from voicekit.clients.elevenlabs.contexts import OpenContexts, read_frame
from voicekit.errors import ClosedError, ConnectionLostError, VoicekitError

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import FrameReceiver, Socket

__all__ = ["ContextSocket", "Speaker"]


class Speaker(Protocol):
    """The utterance that holds a socket."""

    def hear(self, frame: Mapping[str, Any], /) -> None:
        """One frame of its context, or one that concerns the whole socket."""
        ...

    def lost(self, error: VoicekitError, /) -> None:
        """The socket ended, or what it sent is none of its protocol. Called once."""
        ...


class ContextSocket:
    """A ``Socket`` that follows its contexts, whoever holds it: the pool or an utterance.

    Frames of former contexts end here. A socket on which too many of those still speak
    says that it is not reusable.

    Attributes:
        connection: How it was opened.
        headers: Of the handshake's response.
        tls_s: Seconds of its dial that went to TLS.
        written_at: When the last message was sent, in ``time.monotonic()``.
    """

    __slots__ = (
        "__weakref__",
        "_contexts",
        "_inner",
        "_speaker",
        "_spoiled",
        "_watch",
        "connection",
        "headers",
        "tls_s",
        "written_at",
    )

    def __init__(self, inner: Socket, *, tls_s: float = 0.0) -> None:
        self._inner = inner
        self._contexts = OpenContexts()
        # Weak, so that a session which nobody closes is collected, warns and is hung up.
        self._speaker: weakref.ref[Speaker] | None = None
        self._watch: FrameReceiver | None = None
        self._spoiled = False
        self.connection: ConnectionInfo = inner.connection
        self.headers: Mapping[str, str] = inner.headers
        self.tls_s = tls_s
        self.written_at = time.monotonic()
        inner.attach(self)

    # -- the pool's side ----------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether nothing says that it is closed or out of step."""
        return not self._spoiled and self._inner.alive

    def attach(self, receiver: FrameReceiver | None) -> None:
        """The pool watches, while nobody holds it."""
        self._watch = receiver
        if receiver is not None and not self.alive:
            receiver.lost(ConnectionLostError("the socket is closed"))

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

    # -- the utterance's side --------------------------------------------------------------

    def begin(self, speaker: Speaker, context: str) -> None:
        """An utterance takes the socket."""
        self._contexts.begin(context)
        self._speaker = weakref.ref(speaker)

    def leave(self, *, ended: bool) -> None:
        """The utterance lets go; ``ended`` says that the server ended its context."""
        self._speaker = None
        self._contexts.leave(ended=ended)

    @property
    def reusable(self) -> bool:
        """Whether another utterance may have it."""
        return self.alive and not self._contexts.crowded

    async def send(self, data: str | bytes) -> None:
        """See ``Socket.send``."""
        self.written_at = time.monotonic()
        await self._inner.send(data)

    # -- the network's side -----------------------------------------------------------------

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        if self._speaker is None and not self._contexts.unfinished:
            return  # nobody's, or an error whose close follows
        try:
            frame = read_frame(data)
            if self._contexts.is_live(frame) and (speaker := self._speaker) is not None:
                utterance = speaker()
                if utterance is not None:
                    utterance.hear(frame)
        except VoicekitError as error:
            # What else it sends cannot be told apart any more.
            self._end(error)
            self._inner.abort()

    def lost(self, error: VoicekitError) -> None:
        """The socket ended."""
        self._end(error)

    def _end(self, error: VoicekitError) -> None:
        self._spoiled = True
        speaker, self._speaker = self._speaker, None
        watch, self._watch = self._watch, None
        utterance = speaker() if speaker is not None else None
        if utterance is not None:
            utterance.lost(error)
        if watch is not None:
            watch.lost(error)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed"
        return f"<ContextSocket {state}, {len(self._contexts.unfinished)} unfinished>"
