"""A pooled speech socket: what it still owes, what is to be dropped, how many flushes are left."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from voicekit.alarms import Alarm, alarm_clock
from voicekit.clients.deepgram.speech.flushes import FlushBudget
from voicekit.clients.deepgram.speech.messages import CLEAR, CLOSE, FLUSH, read_message
from voicekit.errors import ClosedError, ConnectionLostError, VoicekitError

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import FrameReceiver, Socket

__all__ = ["CLEAR_LIMIT", "SpeakSocket", "Speaker"]

CLEAR_LIMIT: Final = 2.0
"""Seconds for the ``Cleared`` that answers a ``Clear``; a socket that takes longer is given up.
Source: ours; it takes one round trip and what the server is just sending."""

CLOSE_LIMIT: Final = 0.3
"""Seconds for the server's own close after our ``Close``; then it gets ours."""


class Speaker(Protocol):
    """The utterance that holds a socket."""

    def hear(self, audio: bytes, /) -> None:
        """Audio of its own."""
        ...

    def told(self, message: Mapping[str, Any], /) -> None:
        """A message of the server: ``Flushed``, ``Warning`` or one that is not known."""
        ...

    def lost(self, error: VoicekitError, /) -> None:
        """The socket ended, or what it sent is none of its protocol. Called once."""
        ...


class SpeakSocket(Alarm):
    """A ``Socket`` that knows whose audio comes, whoever holds it: the pool or an utterance.

    After a ``Clear``, what still comes is dropped until ``Cleared``; whoever leases the
    socket meanwhile waits for that (``settled``), since audio carries no id.

    Attributes:
        connection: How it was opened.
        headers: Of the handshake's response.
        tls_s: Seconds of its dial that went to TLS.
        flushes: How many it may still send.
        metadata: What the server said of itself and the voice; empty until it has.
        written_at: When the last message was sent, in ``time.monotonic()``.
    """

    __slots__ = (
        "__weakref__",
        "_buffered",
        "_clears",
        "_gone",
        "_inner",
        "_loop",
        "_owed",
        "_settling",
        "_speaker",
        "_spoiled",
        "_watch",
        "connection",
        "flushes",
        "headers",
        "metadata",
        "tls_s",
        "written_at",
    )

    def __init__(
        self, inner: Socket, *, tls_s: float = 0.0, flushes: FlushBudget | None = None
    ) -> None:
        super().__init__()
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        # Weak, so that a session which nobody closes is collected, warns and is hung up.
        self._speaker: weakref.ref[Speaker] | None = None
        self._watch: FrameReceiver | None = None
        self._spoiled = False
        self._owed = 0  # flushes that were not confirmed
        self._buffered = False  # text that was not flushed
        self._clears = 0  # clears that were not confirmed
        self._settling: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self.connection: ConnectionInfo = inner.connection
        self.headers: Mapping[str, str] = inner.headers
        self.tls_s = tls_s
        self.flushes = flushes or FlushBudget()
        self.metadata: Mapping[str, Any] = {}
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
        """Say ``Close``, so that the server counts it no more; then see ``Socket.aclose``.

        Text that nobody will hear is cleared before, lest it be spoken, and paid for.
        """
        self._watch = None  # it is the pool that closes
        if self.alive:
            gone = self._gone = self._loop.create_future()
            try:
                async with asyncio.timeout(CLOSE_LIMIT):
                    if (self._owed or self._buffered) and not self._clears:
                        await self._inner.send(CLEAR)
                    await self._inner.send(CLOSE)
                    await gone
            except (TimeoutError, VoicekitError):
                pass
        self._closing()
        await self._inner.aclose()

    def abort(self) -> None:
        """See ``Socket.abort``."""
        self._closing()
        self._inner.abort()

    def _closing(self) -> None:
        self._watch = None
        self._end(ClosedError("the connection was closed"))

    # -- the utterance's side --------------------------------------------------------------

    def begin(self, speaker: Speaker) -> None:
        """An utterance takes the socket; its audio comes once the socket is ``settled``."""
        self._speaker = weakref.ref(speaker)

    def leave(self) -> None:
        """The utterance lets go."""
        self._speaker = None

    async def settled(self) -> None:
        """Wait until what comes belongs to who holds the socket; at most ``CLEAR_LIMIT``.

        Raises:
            VoicekitError: The socket ended.
        """
        while self._clears:
            if self._settling is None:
                self._settling = self._loop.create_future()
            await asyncio.shield(self._settling)
        if not self.alive:
            raise ConnectionLostError("the socket is closed")

    async def clear(self) -> None:
        """Barge-in: have the server forget what it was to say, if there is anything.

        Returns when the message is written. ``Cleared`` is waited for by the socket itself.

        Raises:
            VoicekitError: The socket ended.
        """
        if not (self._owed or self._buffered) or self._clears:
            return
        self._clears += 1
        alarm_clock(self._loop).set(self, self._loop.time() + CLEAR_LIMIT)
        await self.send(CLEAR)

    async def send(self, data: str | bytes) -> None:
        """See ``Socket.send``."""
        self.written_at = time.monotonic()
        if data == FLUSH:
            self.flushes.spend(self.written_at)
            self._owed += 1
            self._buffered = False
        elif data != CLEAR:
            self._buffered = True
        await self._inner.send(data)

    # -- the network's side -----------------------------------------------------------------

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        try:
            if isinstance(data, bytes):
                if (speaker := self._held()) is not None:
                    speaker.hear(data)
                return
            self._read(read_message(data))
        except VoicekitError as error:
            # What else it sends cannot be told apart any more.
            self._end(error)
            self._inner.abort()

    def _read(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "Metadata":
                self.metadata = message
                return
            case "Cleared":
                self._cleared()
                return
            case "Flushed":
                if not self._owed:
                    return  # it comes twice, and would be taken for the next utterance's
                self._owed -= 1
        if (speaker := self._held()) is not None:
            speaker.told(message)

    def _cleared(self) -> None:
        if not self._clears:
            return
        self._clears -= 1
        if self._clears:
            return
        self._owed, self._buffered = 0, False
        alarm_clock(self._loop).clear(self)
        self._wake()

    def ring(self) -> None:
        """A ``Clear`` was not confirmed in time."""
        self._end(ConnectionLostError("the server did not confirm a Clear"))
        self._inner.abort()

    def _held(self) -> Speaker | None:
        """Whose it is what comes; nobody's until a ``Clear`` is confirmed."""
        if self._speaker is None or self._clears:
            return None
        return self._speaker()

    def _wake(self) -> None:
        settling, self._settling = self._settling, None
        if settling is not None and not settling.done():
            settling.set_result(None)

    def lost(self, error: VoicekitError) -> None:
        """The socket ended."""
        self._end(error)

    def _end(self, error: VoicekitError) -> None:
        self._spoiled = True
        self._clears = 0
        alarm_clock(self._loop).clear(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        speaker, self._speaker = self._held(), None
        watch, self._watch = self._watch, None
        if speaker is not None:
            speaker.lost(error)
        if watch is not None:
            watch.lost(error)
        self._wake()

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed"
        return f"<SpeakSocket {state}, {self._owed} owed, {self._clears} clearing>"
