"""``TranscriptionSession``: one live transcription over one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from voicekit.checks import wrong
from voicekit.clients.deepgram.audio import bytes_of
from voicekit.clients.deepgram.errors import read_loss
from voicekit.clients.deepgram.protocol import (
    CLOSE_STREAM,
    Configured,
    configure_fields,
    configure_message,
    finalize_message,
)
from voicekit.clients.deepgram.reconnecting import ReconnectingSession
from voicekit.errors import (
    ClosedError,
    GapTimeout,
    LocalProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.speech import Transcript, TranscriptionGap

if TYPE_CHECKING:
    from voicekit.clients.deepgram.reconnecting import Line
    from voicekit.transport.interfaces import Socket

# Source: ours. A result takes one or two KB, so this is over an hour that nobody reads.
_MAX_UNREAD_BYTES: Final = 16 << 20


class TranscriptionSession(ReconnectingSession):
    """Audio goes in, interim and final results come out.

    Awaitable and an async context manager, both of which open it. ``send`` and iteration
    may run in different tasks; one task iterates at a time. Iteration ends after
    ``finish()``, with the last result. KeepAlives go out by themselves while no audio
    does, and one frame of silence if the first audio takes long: the vendor closes a
    socket that carries none for 10 s.

    Results that wait for their reader are bounded (16 MiB); reading from the network
    never pauses.

    A connection that is lost, or hangs for longer than the gap limit, is replaced (0.15 to
    3 s between dials, ten in a row at most, three that hang), and what no final result
    covers is sent again, as fast as the network takes it; ``send()`` goes on meanwhile.
    Words of final results are there once, in order, timed from the session's first byte.
    What an interim result said may change, as ever. What could not be sent again is a
    ``TranscriptionGap`` among the results, and in ``gaps``: audio beyond ``max_replay_s``
    (16 MiB at most); and, where bytes do not tell the time, everything between the last
    result and the loss: of packets, MP3 and AAC, which then go on. So is more than a second
    that no final result covers at the end, as the vendor ends it. Ogg and FLAC cannot go on:
    a loss ends the session, as does ``reconnect=False``, ``callback`` or an error that
    repeating cannot mend (a wrong key, no credit, audio that cannot be decoded).

    Example:
        >>> async with stt.open_transcription(format="pcm_16000") as session:
        ...     await session.send(pcm)
        ...     await session.finish()
        ...     async for result in session:
        ...         print(result.is_final, result.text)
    """

    _unread_bytes = 0

    # -- what callers send --

    async def send(self, audio: bytes | bytearray | memoryview, /) -> None:
        """Send audio of any length; long chunks go out as frames of at most 250 ms.

        Waits only for back-pressure, and for no longer than the gap limit: a peer that reads
        nothing is left as one that is gone. The vendor wants 20 to 250 ms at a time, not faster
        than 1.25 times real time; neither is enforced here. No bytes are no audio: they
        are not sent (the vendor would end the stream). A sample cut in two by the end of
        a chunk is held until the next. Cancelled, no frame is sent by half. While a lost
        connection is being replaced it is kept, and this returns at once.

        Raises:
            InvalidArgumentError: It is not bytes.
            ClosedError: Not open, over, or ``finish()`` was called.
            VoicekitError: The session broke; iteration raises the same.
        """
        socket = self._socket
        if type(audio) is not bytes or len(audio) != self._usual or socket is None:
            if self._lead is not None:
                audio = await self._begin_wav(audio)
            for frame in self._cut(audio):
                await self._send_frame(frame)
            return
        # What follows is _send_frame, written out: fifty times a second, another coroutine
        # would be felt.
        state = self._state
        state.sent_bytes = sent = state.sent_bytes + self._usual
        state.quiet = False
        self._keep(audio)
        if sent > self._full_at:
            self._settle()
        self._pulse.sent_at = self._time()
        if self._waiter is not None and not self._counting:
            self._progress()
        heartbeat = self._heartbeat
        heartbeat.writing = True
        try:
            await socket.send(audio)
        except VoicekitError as error:
            self._not_sent(socket, error)
        finally:
            heartbeat.writing = False

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
        message = finalize_message(channel)
        self._keep(message)
        await self._send_text(message)

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
        fields = configure_fields(keyterms, numerals)
        self._may_speak()
        if self._configuring is not None:
            raise LocalProtocolError("another change waits for its answer")
        answer = self._configuring = asyncio.get_running_loop().create_future()
        self._asked = fields
        limit = self._gap
        try:
            async with asyncio.timeout(limit):
                await self._send_text(configure_message(fields))
                await answer
        except TimeoutError as error:
            if isinstance(error, VoicekitError):
                raise
            raise GapTimeout(f"no answer within {limit:g} s", limit=limit) from None
        finally:
            if self._configuring is answer:
                self._configuring = None
                self._asked = {}

    # -- what has come --

    @property
    def transcript(self) -> str:
        """The final results' text so far, whether it was iterated over or not."""
        return self._state.finals.transcript

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """The vendor's summary of the stream; None before its end."""
        return self._state.metadata

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the last handshake's response; empty before it is open."""
        return self._headers

    @property
    def reconnects(self) -> int:
        """How many connections were replaced."""
        return self._reconnects

    @property
    def gaps(self) -> tuple[TranscriptionGap, ...]:
        """What was sent and nobody has heard, in order of its time."""
        return tuple(self._gaps)

    async def result(self) -> Transcript:
        """Read to the end and return all that was final; closes the session.

        The end is what ``finish()`` brings: call it before, or from the task that sends.

        Raises:
            VoicekitError: As iteration does.
        """
        async with self:
            async for _ in self:
                pass
        state, finals = self._state, self._state.finals
        return Transcript(
            text=finals.transcript,
            words=finals.words,
            confidence=finals.confidence,
            duration=state.duration,
            language=finals.language,
            request_id=self.request_id,
            timings=self.timings,
            connection=self.connection,
            attempts=self.attempts,
            hedged=self.hedged,
            headers=self._headers,
            raw=state.metadata,
        )

    # -- the socket --

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_s = self._state.heard_s
        error.delivered_characters = len(self._state.finals.transcript)
        return error

    def _cut(self, audio: bytes | bytearray | memoryview) -> Sequence[bytes]:
        self._may_speak()
        frames = self._cutter.cut(audio)
        whole = len(frames) == 1 and frames[0] is audio and not self._cutter.rest
        self._usual = len(audio) if whole else -1
        return frames

    async def _send_frame(self, frame: bytes) -> None:
        state = self._state
        if not self._first_audio_at:
            self._first_audio_at = self._time()
        # Counted before it is sent: cancelled while it waits for back-pressure, it is out.
        state.sent_bytes += len(frame)
        state.quiet = False
        self._keep(frame)
        if self._reconnecting is not None:
            self._replay.bound(self._position)
        elif state.sent_bytes > self._full_at:
            self._settle()
        if self._waiter is not None and not self._counting:
            self._progress()
        await self._write(frame)

    async def _begin_wav(self, audio: bytes | bytearray | memoryview) -> bytes:
        """Send the header on, by itself; what follows it is audio like any other."""
        self._may_speak()
        header, rest = self._split(bytes_of(audio))
        if header:
            await self._write(header)
        return rest

    async def _send_text(self, text: str) -> None:
        socket = self._socket
        try:
            async with asyncio.timeout(self._gap):
                await self._write(text)
        except TimeoutError as error:
            if isinstance(error, VoicekitError) or socket is None:
                raise
            self._stuck(socket)
            if self._error is not None:
                raise self._error from None

    async def _write(self, data: str | bytes) -> None:
        socket = self._socket
        if socket is None:
            if self._reconnecting is None:
                raise self._broken()
            return  # it is kept, and said by the next socket
        self._pulse.sent_at = self._time()
        self._heartbeat.writing = True
        try:
            await socket.send(data)
        except VoicekitError as error:
            self._not_sent(socket, error)
        finally:
            self._heartbeat.writing = False

    def _not_sent(self, socket: Socket, error: VoicekitError) -> None:
        """The socket has ended; it is lost, and what was not sent is kept, or it all is over."""
        if socket is self._socket:
            self._lost(self._line, error)
        if self._ended:
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

    # -- from the socket's reader --

    def _frame(self, line: Line, data: str | bytes) -> None:
        if self._ended:
            return
        unread = self._unread
        while len(unread) > len(self._items):
            self._unread_bytes -= unread.popleft()
        try:
            event = self._state.read(data)
        except VoicekitError as error:
            self._lost(line, error)
            return
        if type(event) is Configured:
            self._configured(line, event)
        elif event is not None:
            if self._call is not None and self._call.request_id is None:
                self._call.request_id = self._state.request_id
            unread.append(len(data))
            self._unread_bytes += len(data)
            self._push(event)  # type: ignore[arg-type] # mypy does not narrow by type(x) is not
            if self._state.acknowledged_s != self._settled_s:
                self._settle()
            if self._unread_bytes > _MAX_UNREAD_BYTES:
                self._fail(LocalProtocolError("the consumer is too far behind: the buffer is full"))
        elif self._state.done:
            self._end_of_stream()

    def _configured(self, line: Line, answer: Configured) -> None:
        waiting, error, asked = self._configuring, answer.error, self._asked
        repeated, line.repeated = line.repeated, False
        if waiting is None or waiting.done():
            if error is not None and repeated:  # what another socket had agreed to
                self._lost(line, error)
            return
        self._asked = {}
        if error is None:
            self._agreed.update(asked)
            waiting.set_result(None)
            return
        if repeated and self._agreed:
            # Refused together with what had been agreed to, which holds.
            line.repeated = True
            self._background().spawn(
                self._send_text(configure_message(self._agreed)), "voicekit-deepgram-configure"
            )
        waiting.set_exception(self._call.describe(error) if self._call is not None else error)
