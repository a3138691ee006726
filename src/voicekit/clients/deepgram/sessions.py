"""``TranscriptionSession``: one live transcription over one socket."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.checks import wrong
from voicekit.clients.deepgram.audio import FrameCutter
from voicekit.clients.deepgram.errors import read_loss
from voicekit.clients.deepgram.heartbeat import Farewell, Heartbeat, say_last_word
from voicekit.clients.deepgram.protocol import (
    CLOSE_STREAM,
    Configured,
    ListenEvent,
    ListenState,
    configure_message,
    finalize_message,
)
from voicekit.clients.deepgram.pulse import Pulse
from voicekit.errors import (
    ClosedError,
    GapTimeout,
    LocalProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.sessions import Session
from voicekit.speech import Transcript

if TYPE_CHECKING:
    from voicekit.background import Background
    from voicekit.clients.deepgram.config import ListenRequest
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Socket

# Source: ours. A result takes one or two KB, so this is over an hour that nobody reads.
_MAX_UNREAD_BYTES: Final = 16 << 20


class TranscriptionSession(Session[ListenEvent]):
    """Audio goes in, interim and final results come out.

    Awaitable and an async context manager, both of which open it. ``send`` and iteration
    may run in different tasks; one task iterates at a time. Iteration ends after
    ``finish()``, with the last result. KeepAlives go out by themselves while no audio
    does, and one frame of silence if the first audio takes long: the vendor closes a
    socket that carries none for 10 s.

    Results that wait for their reader are bounded (16 MiB); reading from the network
    never pauses.

    Example:
        >>> async with stt.open_transcription(format="pcm_16000") as session:
        ...     await session.send(pcm)
        ...     await session.finish()
        ...     async for result in session:
        ...         print(result.is_final, result.text)
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
            state=self._state,
            quiet=self._progress,
            background=background,
        )
        self._cutter = FrameCutter(audio)
        self._usual = -1  # length of a chunk that may go out as it is, while any may
        self._socket: Socket | None = None
        self._time = time.monotonic
        self._headers: Mapping[str, str] = {}
        self._counting = False
        self._configuring: asyncio.Future[None] | None = None
        self._unread: deque[int] = deque()
        self._unread_bytes = 0

    # -- what callers send ------------------------------------------------------------

    async def send(self, audio: bytes | bytearray | memoryview, /) -> None:
        """Send audio of any length; long chunks go out as frames of at most 250 ms.

        Waits only for back-pressure. The vendor wants 20 to 250 ms at a time, not faster
        than 1.25 times real time; neither is enforced here. No bytes are no audio: they
        are not sent (the vendor would end the stream). A sample cut in two by the end of
        a chunk is held until the next. Cancelled, no frame is sent by half.

        Raises:
            InvalidArgumentError: It is not bytes.
            ClosedError: Not open, over, or ``finish()`` was called.
            VoicekitError: The socket broke; iteration raises the same.
        """
        socket = self._socket
        if type(audio) is not bytes or len(audio) != self._usual or socket is None:
            for frame in self._cut(audio):
                await self._send_frame(frame)
            return
        # What follows is _send_frame, written out: fifty times a second, another coroutine
        # would be felt.
        self._state.sent_bytes += self._usual
        self._state.quiet = False
        self._pulse.sent_at = self._time()
        if self._waiter is not None and not self._counting:
            self._progress()
        try:
            await socket.send(audio)
        except VoicekitError as error:
            raise self._broken(error) from None

    async def finalize(self, *, channel: int | None = None) -> None:
        """Have everything sent so far transcribed now, as final results.

        The last of them usually has ``from_finalize``; not when there was hardly any audio.

        Args:
            channel: Only this one, of several.

        Raises:
            InvalidArgumentError: There cannot be such a channel.
            ClosedError: Not open, over, or ``finish()`` was called.
        """
        if channel is not None and (type(channel) is not int or not 0 <= channel < 64):
            raise wrong("channel", channel, "the index of a channel, or None")
        self._may_speak()
        await self._send_text(finalize_message(channel))

    async def finish(self) -> None:
        """That was all the audio; iteration ends with the last result. May be called twice.

        Raises:
            ClosedError: Not open, or closed.
            VoicekitError: The socket broke; iteration raises the same.
        """
        state = self._state
        if state.finishing and self._error is None:
            return
        self._ready()
        state.finishing = True
        self._usual = -1
        self._heartbeat.stop()
        await self._send_text(CLOSE_STREAM)
        self._progress()

    async def configure(
        self, *, keyterms: Sequence[str] | None = (), numerals: bool | None = None
    ) -> None:
        """Change the stream under way, and wait until the vendor has agreed.

        Args:
            keyterms: In place of the words to expect so far; None for no words at all.
                Nova-3 only. Not given, they stay.
            numerals: Whether numbers are written as digits. Not given, it stays.

        Raises:
            InvalidArgumentError: Nothing was given, or not what is meant.
            InvalidRequestError: The vendor refuses; the session goes on as it was.
            GapTimeout: No answer within the gap limit.
            LocalProtocolError: Another change waits for its answer.
            ClosedError: Not open, over, or ``finish()`` was called.
        """
        message = configure_message(keyterms, numerals)
        self._may_speak()
        if self._configuring is not None:
            raise LocalProtocolError("another change waits for its answer")
        answer = self._configuring = asyncio.get_running_loop().create_future()
        limit = self._call.limits.gap if self._call is not None else None
        try:
            async with asyncio.timeout(limit):
                await self._send_text(message)
                await answer
        except TimeoutError as error:
            if isinstance(error, VoicekitError):
                raise
            raise GapTimeout(f"no answer within {limit:g} s", limit=limit) from None
        finally:
            if self._configuring is answer:
                self._configuring = None

    # -- what has come ----------------------------------------------------------------

    @property
    def transcript(self) -> str:
        """The final results' text so far, whether it was iterated over or not."""
        return self._state.transcript

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """The vendor's summary of the stream; None before its end."""
        return self._state.metadata

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the handshake's response; empty before it is open."""
        return self._headers

    async def result(self) -> Transcript:
        """Read to the end and return all that was final; closes the session.

        The end is what ``finish()`` brings: call it before, or from the task that sends.

        Raises:
            VoicekitError: As iteration does.
        """
        async with self:
            async for _ in self:
                pass
        state = self._state
        return Transcript(
            text=state.transcript,
            words=state.words,
            confidence=state.confidence,
            duration=state.duration,
            language=state.language,
            request_id=self.request_id,
            timings=self.timings,
            connection=self.connection,
            headers=self._headers,
            raw=state.metadata,
        )

    # -- the socket -------------------------------------------------------------------

    async def _connect(self, call: Call) -> None:
        socket = self._socket = await self._dial(call)
        self._headers = socket.headers
        socket.attach(_Inbox(self))
        if not self._over():
            loop = asyncio.get_running_loop()
            self._time = loop.time
            self._heartbeat.start(socket, loop)

    def _hang_up(self, *, clean: bool) -> None:
        self._heartbeat.stop()
        answer, self._configuring = self._configuring, None
        if answer is not None and not answer.done():
            answer.set_exception(self._error or ClosedError("the session is closed"))
        socket, self._socket = self._socket, None
        if socket is None:
            return
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

    def _owes(self) -> bool:
        return self._state.owes()

    def _progress(self) -> None:
        super()._progress()
        self._counting = self._waiter is not None and self._state.owes()

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_s = self._state.heard_s
        error.delivered_characters = len(self._state.transcript)
        return error

    def _cut(self, audio: bytes | bytearray | memoryview) -> Sequence[bytes]:
        self._may_speak()
        frames = self._cutter.cut(audio)
        whole = len(frames) == 1 and frames[0] is audio and not self._cutter.rest
        self._usual = len(audio) if whole else -1
        return frames

    async def _send_frame(self, frame: bytes) -> None:
        socket = self._socket
        if socket is None:
            raise self._broken()
        # Counted before it is sent: cancelled while it waits for back-pressure, it is out.
        self._state.sent_bytes += len(frame)
        self._state.quiet = False
        self._pulse.sent_at = self._time()
        if self._waiter is not None and not self._counting:
            self._progress()
        try:
            await socket.send(frame)
        except VoicekitError as error:
            raise self._broken(error) from None

    async def _send_text(self, text: str) -> None:
        socket = self._socket
        if socket is None:
            raise self._broken()
        self._pulse.sent_at = self._time()
        try:
            await socket.send(text)
        except VoicekitError as error:
            raise self._broken(error) from None

    def _broken(self, error: VoicekitError | None = None) -> VoicekitError:
        if self._error is not None:
            return self._error
        if error is None or self._closed:
            return ClosedError("the session is closed")
        return read_loss(error)

    def _may_speak(self) -> None:
        self._ready()
        if self._state.finishing:
            raise ClosedError("finish() was called: the stream is ending")

    # -- from the socket's reader -----------------------------------------------------

    def _frame(self, data: str | bytes) -> None:
        if self._ended:
            return
        unread = self._unread
        while len(unread) > len(self._items):
            self._unread_bytes -= unread.popleft()
        try:
            event = self._state.read(data)
        except VoicekitError as error:
            self._fail(error)
            return
        if type(event) is Configured:
            self._configured(event)
        elif event is not None:
            if self._call is not None and self._call.request_id is None:
                self._call.request_id = self._state.request_id
            unread.append(len(data))
            self._unread_bytes += len(data)
            self._push(event)  # type: ignore[arg-type] # mypy does not narrow by type(x) is not
            if self._unread_bytes > _MAX_UNREAD_BYTES:
                self._fail(LocalProtocolError("the consumer is too far behind: the buffer is full"))
        elif self._state.done:
            self._end()

    def _configured(self, answer: Configured) -> None:
        waiting = self._configuring
        if waiting is None or waiting.done():
            return
        if answer.error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(
                self._call.describe(answer.error) if self._call is not None else answer.error
            )

    def _lost(self, error: VoicekitError) -> None:
        self._fail(read_loss(error))


class _Inbox:
    """What the socket's reader sees of a session. Weakly: one that is forgotten warns of it."""

    __slots__ = ("_session",)

    def __init__(self, session: TranscriptionSession) -> None:
        self._session = weakref.ref(session)

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        session = self._session()
        if session is not None:
            session._frame(data)

    def lost(self, error: VoicekitError) -> None:
        """The socket ended."""
        session = self._session()
        if session is not None:
            session._lost(error)
