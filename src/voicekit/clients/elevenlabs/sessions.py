"""One utterance whose text is still being written: a context on a pooled socket, or all of one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.checks import wrong
from voicekit.clients.elevenlabs.alignment import Debt, alignment_of
from voicekit.clients.elevenlabs.contexts import ContextScript, audio_of, is_error, is_final
from voicekit.clients.elevenlabs.errors import DIALECT, error_of_frame, error_of_loss, may_replay
from voicekit.clients.elevenlabs.protocol import most_bytes
from voicekit.clients.elevenlabs.single import SingleScript
from voicekit.clients.elevenlabs.spoken import SpokenAudio
from voicekit.clients.elevenlabs.studio import Studio, return_lease, socket_of
from voicekit.clients.execute import request_id_of
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    RemoteProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.sessions import Session
from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.speech.clip import clip_of
from voicekit.wire.words import WholeWords

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.config import SessionSettings
    from voicekit.clients.elevenlabs.script import Script
    from voicekit.operation import Call
    from voicekit.transport.lease import Lease

__all__ = ["Utterance"]

_GOODBYE_LIMIT: Final = 1.0
"""Seconds that the closing message may wait for back-pressure: a hung peer must not hold up
whoever cancels."""

_KEEP_ALIVE_SHARE: Final = 0.75
"""Of the inactivity timeout: when a silent utterance sends a sign of life."""

_contexts = itertools.count(1)


class Utterance(Session[AudioChunk]):
    """Speech from text that comes in pieces; iterate for ``AudioChunk``, which are bytes.

    ``send`` text as it is written, ``finish``, and read the audio meanwhile or after; or
    ``cancel``. Its socket belongs to nobody else until then.

    The socket may be lost before the first audio, an old one because its peer had left
    long ago. Then everything is said once more, on another socket; later it is an error,
    which says how much audio was delivered.

    Attributes:
        format: What the chunks are.
        delivered_bytes: How many bytes iteration has handed out.
    """

    def __init__(self, studio: Studio, settings: SessionSettings) -> None:
        super().__init__(studio.make_call)
        self.format: AudioFormat = settings.format
        self.delivered_bytes = 0
        self._studio = studio
        self._settings = settings
        self._max_buffered = settings.max_buffered_s
        # Where bytes do not tell the time (Opus), the bit rate does nearly.
        self._bytes_per_second = settings.format.bytes_per_second or (
            (settings.format.bit_rate_kbps or 32) * 125
        )
        self._id = f"voicekit-{next(_contexts)}"
        self._script: Script = (
            SingleScript(settings.first)
            if settings.single
            else ContextScript(self._id, settings.first)
        )
        self._debt = Debt(settings.schedule)
        self._typed = WholeWords()
        self._spoken = SpokenAudio(settings.format)
        self._said = 0
        self._all_said_and_final = False
        self._lease: Lease | None = None
        self._headers: Mapping[str, str] = {}
        self._replay: asyncio.Task[None] | None = None
        self._replays = 0
        self._keeping: asyncio.TimerHandle | None = None

    # -- text --------------------------------------------------------------------------------

    async def send(self, text: str, /) -> None:
        """Say this too. Pieces may end anywhere; they go out in whole words.

        Waits only when the network takes nothing more. Cancelled, the text counts as said.

        Raises:
            InvalidArgumentError: Not a str, or one that UTF-8 cannot carry.
            ClosedError: The session is over, or ``finish`` was called.
            VoicekitError: The session broke.
        """
        self._check(text)
        self._taking_text()
        if words := self._typed.feed(text):
            self._say(words)
            await self._write()

    async def flush(self) -> None:
        """Speak what was sent so far now, without waiting for more; the text may go on.

        Raises:
            ClosedError: The session is over, or ``finish`` was called.
            VoicekitError: The session broke.
        """
        self._taking_text()
        rest = self._typed.flush()
        if rest.strip():
            self._say(rest, flush=True)
        else:
            self._script.flush()
            self._debt.flushed()
            self._progress()
        await self._write()

    async def finish(self) -> None:
        """That was all; iteration ends with the last audio. May be called twice.

        Raises:
            ClosedError: The session is over before its text was.
            VoicekitError: The session broke.
        """
        if self._script.finished:
            return
        self._ready()
        rest = self._typed.flush()
        if rest.strip():
            self._say(rest, flush=True)
        self._debt.finished()
        self._script.finish(speak=bool(self._said) and not rest.strip())
        self._progress()
        await self._write()
        if self._all_said_and_final:
            self._end()

    def _check(self, text: object) -> None:
        if not isinstance(text, str):
            raise wrong("text", text, "a str")
        try:
            text.encode()
        except UnicodeEncodeError:
            # Without the cause: it quotes the content.
            raise wrong("text", text, "text that UTF-8 can carry (no lone surrogates)") from None

    def _taking_text(self) -> None:
        self._ready()
        if self._script.finished:
            raise ClosedError("finish() was called: the utterance takes no more text")

    def _say(self, text: str, *, flush: bool = False) -> None:
        if self._said or not text.isspace():
            self._said += len(text)
        self._all_said_and_final = False
        self._script.say(text, flush=flush)
        self._debt.said(text, flush=flush)
        self._progress()

    async def _write(self) -> None:
        """Write what is to be said. While a replay is under way, that does it."""
        while (lease := self._lease) is not None and (message := self._script.take()) is not None:
            try:
                await lease.socket.send(message)
            except VoicekitError as error:
                if self._lease is lease:
                    self._lose(error)
                if self._error is not None:
                    raise self._error from None
                return

    # -- the socket --------------------------------------------------------------------------

    async def _connect(self, call: Call) -> None:
        await self._studio.pipeline.open(call, self._take_socket)
        loop = asyncio.get_running_loop()
        self._keeping = loop.call_later(self._patience, _keep_alive, weakref.ref(self))

    async def _take_socket(self, call: Call) -> None:
        """One attempt: lease a socket, say what is to be said.

        A socket may turn out to be dead at the first word. A pooled one costs nothing, for
        nothing was sent, and by then the pool has noticed the others that died with it; a
        fresh one costs the replay.
        """
        for again in (True, False):
            call.dialing(shared=True)
            lease = await self._studio.pool().lease()
            socket = socket_of(lease)
            tls_s = min(socket.tls_s, lease.connect_s)  # none of it, where it was pooled
            call.queue_s += lease.waited - lease.connect_s
            call.connect_s += lease.connect_s - tls_s
            call.tls_s += tls_s
            call.sent(lease.connection)
            self._headers = socket.headers
            call.request_id = request_id_of(socket.headers, DIALECT)
            self._lease = lease
            socket.begin(self, self._id)
            try:
                while (message := self._script.take()) is not None:
                    await socket.send(message)
                return
            except VoicekitError as error:
                if self._lease is not lease:
                    raise  # the reader was quicker, and has decided
                self._give_back(reusable=False, ended=False)
                typed = error_of_loss(error)
                free = lease.reused or not self._replays
                if not (again and free and self._script.replayable and may_replay(typed)):
                    raise typed from None
                self._replays += not lease.reused
                self._script.rewind()
            except BaseException:
                if self._lease is lease:
                    self._give_back(reusable=False, ended=False)
                raise

    def lost(self, error: VoicekitError) -> None:
        """For the socket: it ended."""
        self._lose(error)

    def _lose(self, error: VoicekitError) -> None:
        """The socket is gone: say it all again if nothing has been heard, else fail."""
        self._give_back(reusable=False, ended=False)
        if self._ended:
            return
        typed = error_of_loss(error)
        possible = self._script.replayable and not self._replays
        if not possible or not may_replay(typed):
            self._fail(typed)
        else:
            self._replays += 1
            self._script.rewind()
            work = self._say_again(typed)
            self._replay = self._studio.background().spawn(work, "voicekit-speech-replay")

    async def _say_again(self, cause: VoicekitError) -> None:
        call = self._call
        assert call is not None  # noqa: S101 - it is open
        try:
            await call.attempt(self._take_socket)
        except VoicekitError as error:
            if not self._ended:
                error.__cause__ = error.__cause__ or cause
                self._fail(error)

    def _give_back(self, *, reusable: bool, ended: bool) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            return_lease(lease, reusable=reusable, ended=ended)

    # -- frames ------------------------------------------------------------------------------

    def hear(self, frame: Mapping[str, Any]) -> None:
        """For the socket: one frame of this utterance.

        Raises:
            RemoteProtocolError: It makes no sense; the socket cannot be used any more.
        """
        if is_error(frame):
            # The socket's close follows; what it holds besides is of no use to anybody.
            self._refused(error_of_frame(frame))
            return
        audio = audio_of(frame)
        if audio:
            self._hear_audio(audio, frame)
        if is_final(frame) and not self._ended:
            self._hear_final()

    def _hear_audio(self, audio: bytes, frame: Mapping[str, Any]) -> None:
        spoken = self._spoken
        if not spoken.heard_bytes:
            self._script.settle()
        chunk, useful = spoken.hear(audio, alignment_of(frame), self._debt)
        if spoken.heard_bytes > most_bytes(self.format, self._said):
            raise RemoteProtocolError("more audio came than the text can take")
        if chunk is not None:
            self._push(chunk, useful=useful)

    def _hear_final(self) -> None:
        if not self._script.finished:
            # Before our end it can only mean that everything so far was spoken. Unverified
            # whether the vendor ever sends it then; if no more text comes, it was the end.
            self._all_said_and_final = True
            self._debt.settled()
            self._progress()
            return
        if self._spoken.cut:
            self._fail(ConnectionLostError("the audio was cut inside a sample"))
        elif self._said and not self._spoken.heard_bytes:
            self._fail(RemoteProtocolError("the utterance ended without any audio"))
        else:
            if words := self._spoken.last_words():
                self._push(AudioChunk(b"", self.format, words), useful=False)
            self._end()

    def _refused(self, error: VoicekitError) -> None:
        if self._script.replayable and may_replay(error):
            self._lose(error)
        else:
            self._fail(error)

    # -- what the base asks ------------------------------------------------------------------

    def _owes(self) -> bool:
        return self._debt.owed

    def _weigh(self, item: AudioChunk) -> float:
        return len(item) / self._bytes_per_second

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_bytes = self.delivered_bytes
        error.delivered_s = self.delivered_s
        return error

    def _hang_up(self, *, clean: bool) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        if self._replay is not None:
            self._replay.cancel()
        self._give_back(reusable=clean, ended=clean)

    async def __anext__(self) -> AudioChunk:
        chunk = await super().__anext__()
        self.delivered_bytes += len(chunk)
        return chunk

    # -- ending ------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent.

        The context is closed and the socket goes back warm; audio that is still on its
        way is dropped by its id. A socket of ``"stream-input"`` is closed instead, and
        replaced by the pool.
        """
        if not self._closed or self._items:
            self._cancelled = True
        await self._part()

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await self._part()

    async def _part(self) -> None:
        if self._closed or not self._open:
            self._items.clear()
            self._buffered = 0.0
            await super().aclose()
            return
        lease, self._lease = self._lease, None
        self._abandon()
        if lease is not None:
            await self._say_goodbye(lease)

    async def _say_goodbye(self, lease: Lease) -> None:
        """Close the context and give the socket back, at once unless the network is stuck."""
        clean = False
        try:
            goodbye = self._script.goodbye
            if goodbye is not None and self._script.begun and not self._script.finished:
                async with asyncio.timeout(_GOODBYE_LIMIT):
                    await lease.socket.send(goodbye)
            clean = True
        except (TimeoutError, VoicekitError):
            pass  # it is gone, which is what was wanted
        finally:
            return_lease(lease, reusable=clean, ended=self._script.goodbye is None)

    # -- sign of life ------------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        return _KEEP_ALIVE_SHARE * self._settings.inactivity_timeout

    def _keep_alive(self) -> None:
        """The text pauses: keep the context open. After its end nothing is to be kept."""
        self._keeping = None
        lease = self._lease
        if self._closed or self._script.finished:
            return
        wait = self._patience
        if lease is not None:
            idle = time.monotonic() - socket_of(lease).written_at
            if idle >= wait - _TICK:
                self._script.keep_alive()
                self._studio.background().spawn(self._sign_of_life(), "voicekit-speech-keepalive")
            else:
                wait -= idle
        loop = asyncio.get_running_loop()
        self._keeping = loop.call_later(wait, _keep_alive, weakref.ref(self))

    async def _sign_of_life(self) -> None:
        with contextlib.suppress(VoicekitError):  # the session has failed with it
            await self._write()

    # -- evidence ----------------------------------------------------------------------------

    @property
    def delivered_s(self) -> float | None:
        """Seconds of audio handed out, where the format tells."""
        return self.format.duration_s(self.delivered_bytes)

    @property
    def attempts(self) -> int:
        """How many sockets the utterance was said to."""
        return self._call.attempts if self._call is not None else 0

    @property
    def usage(self) -> None:
        """None: the vendor's sockets do not say what they charge."""
        return

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the handshake that opened its socket, as is the request id; empty before."""
        return self._headers

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the session."""
        return await clip_of(self)


_TICK: Final = 0.01
"""Seconds by which a timer may come too early."""


def _keep_alive(utterance: weakref.ref[Utterance]) -> None:
    """The timer's, which must not keep a forgotten utterance from being collected."""
    if (alive := utterance()) is not None:
        alive._keep_alive()
