"""The sockets of one live transcription, one after another."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from voicekit import events
from voicekit.clients.deepgram.audio import FrameCutter
from voicekit.clients.deepgram.errors import read_loss
from voicekit.clients.deepgram.heartbeat import Farewell, Heartbeat, say_last_word
from voicekit.clients.deepgram.outages import Outages
from voicekit.clients.deepgram.protocol import (
    ListenEvent,
    ListenState,
    configure_message,
)
from voicekit.clients.deepgram.pulse import Pulse
from voicekit.clients.deepgram.replay import LEAD_S, ReplayBuffer, WavLead, room_for
from voicekit.clients.deepgram.resending import send_again
from voicekit.clients.fed import current_task
from voicekit.errors import (
    ClosedError,
    FirstOutputTimeout,
    GapTimeout,
    VoicekitError,
)
from voicekit.pipeline import open_call
from voicekit.resilience.waiting import pause, skipping
from voicekit.sessions import Session
from voicekit.speech import TranscriptionGap

if TYPE_CHECKING:
    from voicekit.clients.deepgram.audio import Rejoin
    from voicekit.clients.deepgram.config import ListenRequest
    from voicekit.operation import Call
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Socket

# Source: ours. Less is the rounding of bytes to seconds.
_LEAST_GAP_S: Final = 0.001
# Source: ours, as for what is owed: results end a little before the last sample.
_COVERED_S: Final = 0.050
# Source: ours. A vendor that ends the stream as asked may round more than that.
_UNHEARD_S: Final = 1.0


class ReconnectingSession(Session[ListenEvent]):
    """What a transcription does about its sockets; what callers see is in ``sessions.py``.

    ``_socket`` is the one that takes audio, and None while there is none; ``_line`` is the
    one whose frames count, also while it is still hearing again what its predecessor did
    not settle.
    """

    def __init__(
        self,
        request: ListenRequest,
        *,
        make_call: Callable[[], Call],
        dial: Callable[[Call], Awaitable[Socket]],
        background: Callable[[], Background],
        pulse: Pulse | None = None,
    ) -> None:
        super().__init__(make_call)
        audio = request.audio
        self.request = request
        self._dial = dial
        self._background = background
        self._state = ListenState(
            audio, interim_results=request.interim_results, silent=request.callback
        )
        self._pulse = pulse or Pulse()
        self._heartbeat = Heartbeat(
            self._pulse,
            silence=audio.silence,
            quiet=self._progress,
            stuck=self._stuck,
            background=background,
        )
        self._cutter = FrameCutter(audio)
        self._usual = -1  # length of a chunk that may go out as it is, while any may
        self._socket: Socket | None = None
        self._line: Line | None = None
        self._time = time.monotonic
        self._headers: Mapping[str, str] = {}
        self._counting = False
        self._configuring: asyncio.Future[None] | None = None
        self._asked: dict[str, Any] = {}  # the change that waits for its answer
        self._agreed: dict[str, Any] = {}  # changes that the vendor has agreed to
        self._unread: deque[int] = deque()  # sizes of what waits for its reader
        self._gaps: list[TranscriptionGap] = []
        self._reconnects = 0
        # -- for the next socket
        self._reports = request.reconnect and not request.callback
        # Results that go elsewhere cannot tell what is settled.
        self._rejoin: Rejoin = audio.rejoin if self._reports else "never"
        rate = audio.byte_rate if self._rejoin == "exact" else None
        self._replay = ReplayBuffer(rate, room_for(request.max_replay_s, rate))
        self._keep = self._replay.items.append if rate is not None else _forget
        # Bytes on this socket at which the buffer is full.
        self._full_at: float = self._replay.max_bytes if rate is not None else float("inf")
        self._settled_s = 0.0  # when ``_settle`` looked last
        self._before = 0  # bytes of the session that came before this socket's
        self._lead = WavLead() if self._rejoin == "header" else None
        self._outages = Outages()
        self._opened_at = self._lost_at = self._first_audio_at = 0.0
        self._reconnecting: asyncio.Task[None] | None = None
        self._losing: VoicekitError | None = None
        self._skips = False  # the pauses between dials, as in tests

    # -- opening and leaving --

    async def _connect(self, call: Call) -> None:
        self._skips = skipping()
        socket = await open_call(call, self._dial)
        self._listen_on(socket)
        self._take_over(socket)

    def _listen_on(self, socket: Socket) -> Line:
        self._headers = socket.headers
        line = self._line = Line(self, socket)
        socket.attach(line)
        return line

    def _take_over(self, socket: Socket) -> None:
        if self._over() or self._line is None:
            return
        loop = asyncio.get_running_loop()
        self._socket = socket
        self._time = loop.time
        self._opened_at = loop.time()
        if not self._state.finishing:
            self._heartbeat.start(socket, loop, self._state, self._gap)

    def _hang_up(self, *, clean: bool) -> None:
        self._heartbeat.stop()
        task, self._reconnecting = self._reconnecting, None
        if task is not None and task is not current_task():
            task.cancel()
        answer, self._configuring = self._configuring, None
        if answer is not None and not answer.done():
            answer.set_exception(self._error or ClosedError("the session is closed"))
        line, self._line, self._socket = self._line, None, None
        self._replay.restart(0)
        if line is None:
            return
        socket = line.socket
        try:
            loop, background = asyncio.get_running_loop(), self._background()
        except (VoicekitError, RuntimeError):  # closed, or no event loop runs any more
            socket.abort()
            return
        if not socket.alive:
            socket.abort()
            return
        # An open stream counts against the account until the vendor knows that it is over.
        Farewell(socket, loop)
        if not (clean or self._state.finishing):
            background.spawn(say_last_word(socket), "voicekit-deepgram-leave")

    # -- what is owed --

    def _owes(self) -> bool:
        return self._reconnecting is None and self._state.owes()

    def _progress(self) -> None:
        super()._progress()
        self._counting = self._waiter is not None and self._owes()

    def _tripped(self, total: bool) -> None:
        call = self._call
        if total or call is None or self._rejoin == "never":
            super()._tripped(total)
            return
        limit = call.limits.gap or call.limits.first_output or 0.0
        kind = GapTimeout if self._arrived else FirstOutputTimeout
        self._lost(self._line, kind(f"nothing useful for {limit:g} s", limit=limit))

    @property
    def _gap(self) -> float | None:
        return self._call.limits.gap if self._call is not None else None

    def _stuck(self, socket: Socket) -> None:
        """The peer reads nothing: who only sends would wait for it without end."""
        if socket is self._socket:
            limit = self._gap or 0.0
            self._lost(self._line, GapTimeout(f"nothing was read for {limit:g} s", limit=limit))

    # -- audio --

    @property
    def _position(self) -> int:
        """Bytes of the caller's audio since the session began."""
        return self._before + self._state.audio_bytes

    def _settle(self) -> None:
        """Forget what need not be sent again."""
        replay, state = self._replay, self._state
        self._settled_s = state.acknowledged_s
        if replay.rate is None:
            return
        replay.settle(state.acknowledged_s - LEAD_S)
        replay.bound(self._position)
        self._full_at = state.sent_bytes + replay.max_bytes - (self._position - replay.start)

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """Of the beginning of a WAV stream: what is header, and what is audio."""
        lead, replay = self._lead, self._replay
        parts = lead.take(data) if lead is not None else None
        if lead is None or parts is None:
            self._lead, self._rejoin = None, "never"  # whatever it is, the vendor may know it
            return b"", data
        replay.preamble += parts[0]
        if lead.info is not None:
            self._lead = None
            self._cutter.align(lead.frame_bytes)
            replay.rate = lead.byte_rate
            replay.max_bytes = room_for(self.request.max_replay_s, lead.byte_rate)
            self._full_at = replay.max_bytes
            self._keep = replay.items.append
        return parts

    # -- a socket is lost --

    def _lost(self, line: Line | None, cause: VoicekitError) -> None:
        """A socket ended, hangs, or says what makes no sense."""
        if self._ended or line is None or line is not self._line:
            return
        cause = read_loss(cause)
        if not self._open or self._rejoin == "never" or not cause.retryable:
            self._fail(cause)
            return
        state = self._state
        if state.finishing and self._all_said():
            self._end()
            return
        self._line = self._socket = None
        if self._reconnecting is not None:
            self._losing = cause  # the reconnecting task finds its socket gone
            line.socket.abort()
            return
        now = self._lost_at = asyncio.get_running_loop().time()
        self._outages.lost(
            heard_s=state.heard_s if state.answered else 0.0,
            lived_s=now - self._opened_at,
            owed=state.owes(),
        )
        self._usual = -1
        self._full_at = float("inf")
        self._heartbeat.stop()
        if self._rejoin == "pieces":
            self._keep = self._replay.items.append
            self._replay.restart(self._position)
        line.socket.abort()
        try:
            background = self._background()
        except VoicekitError as error:
            self._fail(error)
            return
        task = self._reconnecting = background.spawn(
            self._reconnect(cause), "voicekit-deepgram-reconnect"
        )
        task.add_done_callback(self._reconnect_ended)
        self._progress()

    def _all_said(self) -> bool:
        """Whether final results cover everything, so that only the summary is missing."""
        sent, state = self._state.sent_s, self._state
        return sent is not None and state.acknowledged_s >= sent - _COVERED_S

    def _reconnect_ended(self, task: asyncio.Task[None]) -> None:
        if task is self._reconnecting:
            self._reconnecting = None
            if task.cancelled():  # perhaps before its first step: the client was closed
                self._fail(ClosedError("the client is closed"))

    async def _reconnect(self, cause: VoicekitError) -> None:
        error, dials = cause, 0
        while not self._ended:
            delay = self._outages.delay(error, self.request.max_replay_s)
            call = self._call
            if delay is None or call is None:
                error.retry_stopped = self._outages.reason
                self._fail(error)
                return
            left = call.remaining()
            await pause(delay if left is None else max(0.0, min(delay, left)), skip=self._skips)
            dials += 1
            self._losing = None
            try:
                replayed, lost = await self._dial_again(call)
            except VoicekitError as failure:
                error = read_loss(self._losing or failure)
                line, self._line = self._line, None
                if line is not None:
                    line.socket.abort()
                if self._state.answered:
                    self._outages.lost(heard_s=self._state.heard_s, lived_s=0.0, owed=True)
                continue
            self._reconnecting = None
            self._reconnects += 1
            call.emit(
                events.Reconnected,
                attempt=dials,
                outage=asyncio.get_running_loop().time() - self._lost_at,
                lost=lost,
                replayed=replayed,
                error=type(cause).__name__,
                connection=call.connection,
            )
            self._progress()
            return

    async def _dial_again(self, call: Call) -> tuple[float, float]:
        """Seconds that were sent again, and seconds that could not be."""
        call.queue_s = call.connect_s = call.tls_s = 0.0
        # Not under the policies: how often and when is for ``Outages`` to say.
        socket = await call.attempt(self._dial)
        if self._ended:
            socket.abort()
            raise ClosedError("the session is closed")
        replay = self._replay
        lost = self._resume()
        settled = self._state.acknowledged_s
        line = self._listen_on(socket)
        replayed = await self._say_again(socket, line, settled)
        # No turn of the event loop lies between the last frame and this.
        self._take_over(socket)
        self._settle()
        return (replayed / replay.rate if replay.rate else 0.0), lost

    def _resume(self) -> float:
        """Begin the state of another socket; returns the seconds that nobody will hear."""
        old, replay = self._state, self._replay
        acknowledged, settled = old.acknowledged_s, old.settled
        position = self._position
        lost = 0.0
        if replay.rate is not None:
            replay.settle(acknowledged - LEAD_S)
            replay.bound(position)
            offset = replay.start_s
            self._before = replay.start
        else:
            offset = self._sent_s()
            replay.bound(position)
            self._before = replay.start
        if offset > acknowledged + _LEAST_GAP_S:
            lost = offset - acknowledged
            self._report_gap(acknowledged, offset)
            settled = {channel: max(at, offset) for channel, at in settled.items()}
        state = self._state = ListenState(
            self.request.audio,
            offset=offset,
            settled=settled,
            finals=old.finals,
            interim_results=self.request.interim_results,
        )
        state.finishing = old.finishing
        # Counted as if it were sent already: what comes meanwhile is appended and counted too.
        state.sent_bytes = position - self._before
        return lost

    async def _say_again(self, socket: Socket, line: Line, settled: float) -> int:
        """What was agreed, then what is kept, until nothing is left; returns its bytes."""
        replay = self._replay
        asked = {**self._agreed, **self._asked}
        line.repeated = bool(self._agreed)
        sent = await send_again(
            socket,
            replay,
            first=configure_message(asked) if asked else None,
            settled_s=settled,
            ending=lambda: self._state.finishing,
            limit=self._gap,
        )
        if line is not self._line:
            raise self._losing or ClosedError("the session is closed")
        if replay.rate is None:
            replay.restart(self._position)
            self._keep = _forget
        return sent

    def _fail(self, cause: VoicekitError) -> None:
        if not self._ended and self._reports and not isinstance(cause, ClosedError):
            # Nobody will hear what was sent and is not settled.
            start, end = self._state.acknowledged_s, self._sent_s()
            if end > start + _COVERED_S:
                self._report_gap(start, end)
        super()._fail(cause)

    def _end_of_stream(self) -> None:
        """The vendor says that it was all: nobody has heard what no final result covers."""
        sent, heard = self._state.sent_s, self._state.acknowledged_s
        if sent is not None and sent > heard + _UNHEARD_S and not self.request.callback:
            self._report_gap(heard, sent)
        self._end()

    def _sent_s(self) -> float:
        """Seconds of the session that were sent; by the clock, where bytes do not tell."""
        if self._replay.rate is not None:
            return self._position / self._replay.rate
        if not self._state.unanswered:
            return self._state.heard_s
        until = self._lost_at if self._reconnecting is not None else self._time()
        return max(self._state.heard_s, until - self._first_audio_at)

    def _report_gap(self, start: float, end: float) -> None:
        gap = TranscriptionGap(start=start, end=end)
        self._gaps.append(gap)
        self._unread.append(0)
        self._push(gap, useful=False)

    # -- from the socket's reader --

    def _frame(self, line: Line, data: str | bytes) -> None:
        raise NotImplementedError


def _forget(_frame: bytes | str) -> None:
    """Nothing is sent again."""


class Line:
    """What a socket's reader sees of a session. Weakly: one that is forgotten warns of it."""

    __slots__ = ("_session", "repeated", "socket")

    def __init__(self, session: ReconnectingSession, socket: Socket) -> None:
        self._session = weakref.ref(session)
        self.socket = socket
        self.repeated = False  # it was told what its predecessor had agreed to

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        session = self._session()
        if session is not None and session._line is self:
            session._frame(self, data)

    def lost(self, error: VoicekitError) -> None:
        """The socket ended."""
        session = self._session()
        if session is not None:
            session._lost(self, error)
