"""Signs of life on a listening socket, and its last word: what runs beside a session."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from voicekit.alarms import Alarm, alarm_clock
from voicekit.clients.deepgram.protocol import CLOSE_STREAM, KEEP_ALIVE
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from voicekit.clients.deepgram.protocol import ListenState
    from voicekit.clients.deepgram.pulse import Pulse
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Socket

LEAVE_S: Final = 0.5
"""Seconds for the last word and the server's close frame; then the socket is aborted."""


class Heartbeat:
    """Sends what ``Pulse`` asks for, while a socket is open.

    One timer, moved once per beat; a task exists only while something is being sent. It also
    finds out that the peer reads nothing any more, while whoever sends audio waits for that.

    It calls two methods of the session, which it holds weakly, so that one which is forgotten can
    warn of it: ``quiet`` when the caller pauses, and ``stuck`` when the peer of the socket has
    read nothing for as long as it may.

    Attributes:
        writing: Whether the session waits for the network to take a frame.
    """

    __slots__ = (
        "_background",
        "_beating",
        "_blocked_at",
        "_blocked_since",
        "_limit",
        "_loop",
        "_quiet",
        "_silence",
        "_socket",
        "_state",
        "_stuck",
        "_timer",
        "pulse",
        "writing",
    )

    def __init__(
        self,
        pulse: Pulse,
        *,
        silence: bytes | None,
        quiet: Callable[[], None],
        stuck: Callable[[Socket], None],
        background: Callable[[], Background],
    ) -> None:
        self.pulse = pulse
        self._silence = silence
        self._state: ListenState | None = None
        self._quiet = weakref.WeakMethod(quiet)
        self._stuck = weakref.WeakMethod(stuck)
        self._limit: float | None = None
        self.writing = False
        self._blocked_at = -1  # bytes that were sent when it was noticed
        self._blocked_since = 0.0
        self._background = background
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: Socket | None = None
        self._beating: Socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(
        self,
        socket: Socket,
        loop: asyncio.AbstractEventLoop,
        state: ListenState,
        limit: float | None = None,
    ) -> None:
        """The socket is open; its state is told of silence that is sent, and of pauses.

        The peer may read nothing for ``limit`` seconds.
        """
        self._socket, self._loop, self._state, self._limit = socket, loop, state, limit
        self._blocked_at = -1
        self.pulse.opened(loop.time(), can_pad=self._silence is not None)
        self._timer = loop.call_at(self.pulse.due_at(), self._ring)

    def stop(self) -> None:
        """No more signs of life. Idempotent."""
        timer, self._timer, self._loop, self._socket = self._timer, None, None, None
        if timer is not None:
            timer.cancel()

    def _ring(self) -> None:
        loop, socket, pulse, state = self._loop, self._socket, self.pulse, self._state
        if loop is None or socket is None or state is None:
            return
        now = loop.time()
        if self.writing and self._limit is not None:
            self._timer = self._wait_or_give_up(socket, loop, state, self._limit)
            return
        pulse.had_audio = state.sent_bytes > 0
        beat = pulse.beat(now)
        if beat is not None:
            pulse.sent_at = now
            data: str | bytes = KEEP_ALIVE
            if beat == "silence" and self._silence is not None:
                data = self._silence
                state.padded(len(data))
                pulse.had_audio = True
            state.quiet = True
            if (quiet := self._quiet()) is not None:
                quiet()
            if self._beating is not socket:  # else one still waits for a peer that reads nothing
                self._beating = socket
                self._background().spawn(self._send(socket, data), "voicekit-deepgram-keep-alive")
        self._timer = loop.call_at(pulse.due_at(), self._ring)

    def _wait_or_give_up(
        self,
        socket: Socket,
        loop: asyncio.AbstractEventLoop,
        state: ListenState,
        limit: float,
    ) -> asyncio.TimerHandle | None:
        """A frame does not go out. Signs of life would wait behind it."""
        if self._blocked_at != state.sent_bytes:
            self._blocked_at, self._blocked_since = state.sent_bytes, self.pulse.sent_at
        due = self._blocked_since + limit
        now = loop.time()
        if now < due - 1e-6:
            return loop.call_at(min(due, now + self.pulse.keep_alive), self._ring)
        if (stuck := self._stuck()) is not None:
            stuck(socket)
        return self._timer

    async def _send(self, socket: Socket, data: str | bytes) -> None:
        try:
            with contextlib.suppress(VoicekitError):  # the socket's receiver has been told
                await socket.send(data)
        finally:
            if self._beating is socket:
                self._beating = None


class Farewell(Alarm):
    """Waits for the server to close, as the protocol has it; too slow, the socket is aborted.

    Nothing is left to do on our side, so it takes an alarm and no task.
    """

    __slots__ = ("_clock", "_socket")

    def __init__(self, socket: Socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._socket = socket
        self._clock = alarm_clock(loop)
        self._clock.set(self, loop.time() + LEAVE_S)
        socket.attach(self)

    def ring(self) -> None:
        """It took too long."""
        self._socket.abort()

    def frame(self, data: str | bytes) -> None:
        """Nobody wants it any more."""

    def lost(self, _error: VoicekitError) -> None:
        """The socket ended."""
        self._clock.clear(self)


async def say_last_word(socket: Socket) -> None:
    """Tell the vendor that the stream is over; ends with the socket, if not before."""
    with contextlib.suppress(VoicekitError):
        await socket.send(CLOSE_STREAM)
