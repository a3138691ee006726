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
    from voicekit.background import Background
    from voicekit.clients.deepgram.protocol import ListenState
    from voicekit.clients.deepgram.pulse import Pulse
    from voicekit.transport.interfaces import Socket

LEAVE_S: Final = 0.5
"""Seconds for the last word and the server's close frame; then the socket is aborted."""


class Heartbeat:
    """Sends what ``Pulse`` asks for, while a socket is open.

    One timer, moved once per beat; a task exists only while something is being sent.

    Args:
        pulse: Decides.
        silence: A frame of it; None where the stream's format has none.
        quiet: Method of the session, called when the caller pauses. Held weakly, so that a
            session which is forgotten can warn of it.
        background: Owns the sending.
    """

    __slots__ = (
        "_background",
        "_beating",
        "_loop",
        "_quiet",
        "_silence",
        "_socket",
        "_state",
        "_timer",
        "pulse",
    )

    def __init__(
        self,
        pulse: Pulse,
        *,
        silence: bytes | None,
        quiet: Callable[[], None],
        background: Callable[[], Background],
    ) -> None:
        self.pulse = pulse
        self._silence = silence
        self._state: ListenState | None = None
        self._quiet = weakref.WeakMethod(quiet)
        self._background = background
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: Socket | None = None
        self._beating: Socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, socket: Socket, loop: asyncio.AbstractEventLoop, state: ListenState) -> None:
        """The socket is open; its state is told of silence that is sent, and of pauses."""
        self._socket, self._loop, self._state = socket, loop, state
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

    async def _send(self, socket: Socket, data: str | bytes) -> None:
        try:
            with contextlib.suppress(VoicekitError):  # the socket's receiver has been told
                await socket.send(data)
        finally:
            if self._beating is socket:
                self._beating = None


class Farewell:
    """Waits for the server to close, as the protocol has it; too slow, the socket is aborted.

    Nothing is left to do on our side, so it takes an alarm and no task.

    Args:
        socket: Which nobody wants any more.
        loop: Whose clock counts.
    """

    __slots__ = ("_alarm", "_clock", "_socket")

    def __init__(self, socket: Socket, loop: asyncio.AbstractEventLoop) -> None:
        self._socket = socket
        self._clock = alarm_clock(loop)
        self._alarm = Alarm(socket.abort)
        self._clock.set(self._alarm, loop.time() + LEAVE_S)
        socket.attach(self)

    def frame(self, data: str | bytes) -> None:
        """Nobody wants it any more."""

    def lost(self, _error: VoicekitError) -> None:
        """The socket ended."""
        self._clock.clear(self._alarm)


async def say_last_word(socket: Socket) -> None:
    """Tell the vendor that the stream is over; ends with the socket, if not before."""
    with contextlib.suppress(VoicekitError):
        await socket.send(CLOSE_STREAM)
