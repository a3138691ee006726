"""A pooled speech socket: what it still owes, what is to be dropped, how many flushes are left."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voicekit.alarms import alarm_clock
from voicekit.clients.deepgram.speech.flushes import FlushBudget
from voicekit.clients.deepgram.speech.messages import CLEAR, CLOSE, FLUSH
from voicekit.clients.sockets import SpokenSocket, read_frame
from voicekit.errors import ConnectionLostError, VoicekitError

if TYPE_CHECKING:
    from voicekit.clients.deepgram.speech.utterance import Utterance
    from voicekit.transport.interfaces import Socket

CLEAR_LIMIT: Final = 2.0
"""Seconds for the ``Cleared`` that answers a ``Clear``; a socket that takes longer is given up.
Source: ours; it takes one round trip and what the server is just sending."""

CLOSE_LIMIT: Final = 0.3
"""Seconds for the server's own close after our ``Close``; then it gets ours."""


class SpeakSocket(SpokenSocket):
    """A socket that knows whose audio comes, whoever holds it: the pool or an utterance.

    After a ``Clear``, what still comes is dropped until ``Cleared``; whoever leases the
    socket meanwhile waits for that (``settled``), since audio carries no id.

    Attributes:
        flushes: How many it may still send.
        metadata: What the server said of itself and the voice; empty until it has.
    """

    __slots__ = (
        "_buffered",
        "_clears",
        "_gone",
        "_loop",
        "_owed",
        "_settling",
        "flushes",
        "metadata",
    )

    def __init__(
        self, inner: Socket, *, tls_s: float = 0.0, flushes: FlushBudget | None = None
    ) -> None:
        super().__init__(inner, tls_s)
        self._loop = asyncio.get_running_loop()
        self._owed = 0  # flushes that were not confirmed
        self._buffered = False  # text that was not flushed
        self._clears = 0  # clears that were not confirmed
        self._settling: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self.flushes = flushes or FlushBudget()
        self.metadata: Mapping[str, Any] = {}
        inner.attach(self)

    # -- the pool's side --

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
        await super().aclose()

    # -- the utterance's side --

    def begin(self, speaker: Utterance) -> None:
        """An utterance takes the socket; its audio comes once the socket is ``settled``."""
        self._speaker = weakref.ref(speaker)

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

    # -- the network's side --

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        try:
            if isinstance(data, bytes):
                if (speaker := self._held()) is not None:
                    speaker.hear(data)
                return
            self._read(read_frame(data))
        except VoicekitError as error:
            self._garbled(error)

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
        self._garbled(ConnectionLostError("the server did not confirm a Clear"))

    def _held(self) -> Utterance | None:
        """Whose it is what comes; nobody's until a ``Clear`` is confirmed."""
        if self._speaker is None or self._clears:
            return None
        return self._speaker()

    def _wake(self) -> None:
        settling, self._settling = self._settling, None
        if settling is not None and not settling.done():
            settling.set_result(None)

    def _end(self, error: VoicekitError) -> None:
        self._clears = 0
        alarm_clock(self._loop).clear(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        super()._end(error)
        self._wake()

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed"
        return f"<SpeakSocket {state}, {self._owed} owed, {self._clears} clearing>"
