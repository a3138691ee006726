"""One utterance over a pooled socket: what is the same whatever the provider's grammar.

How it gets its socket and gives it back, what happens when the socket is lost before the
first audio and after, and how it ends early. A provider's subclass says what text becomes on
the wire and what frames mean.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from voicekit.checks import wrong
from voicekit.clients.audio_body import most_bytes
from voicekit.clients.execute import request_id_of
from voicekit.clients.script import Script
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.pipeline import open_call
from voicekit.sessions import Session
from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.speech.clip import clip_of
from voicekit.wire.pcm import Aligner

if TYPE_CHECKING:
    from voicekit.clients.sockets import SpokenSocket
    from voicekit.clients.speaking import Studio
    from voicekit.operation import Call
    from voicekit.transport.lease import Lease

GOODBYE_LIMIT: Final = 1.0
"""Seconds that the last message may wait for back-pressure: a hung peer must not hold up
whoever cancels."""


def may_replay(error: VoicekitError) -> bool:
    """Whether the same text may be sent on another socket, when no audio has come yet.

    The socket was lost, or closed for a reason of the server's own; never a refusal and
    never a limit of ours that passed.
    """
    return error.retryable and isinstance(error, ConnectionLostError | UnavailableError)


class SpokenSession(Session[AudioChunk]):
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

    def __init__(
        self,
        studio: Studio,
        script: Script,
        *,
        format: AudioFormat,  # noqa: A002 - the option's name
        max_buffered_s: float,
    ) -> None:
        super().__init__(studio.make_call)
        self.format = format
        self.delivered_bytes = 0
        self._studio = studio
        self._script = script
        self._max_buffered = max_buffered_s
        # Where bytes do not tell the time (Opus), the bit rate does nearly.
        self._bytes_per_second = format.bytes_per_second or (format.bit_rate_kbps or 32) * 125
        self._lease: Lease | None = None
        self._headers: Mapping[str, str] = {}
        self._replay: asyncio.Task[None] | None = None
        self._replays = 0
        self._aligner = Aligner(format.frame_bytes)
        self._useful = format.useful_bytes
        self._uncounted = 0  # bytes since the last that were useful
        self._heard_bytes = 0
        self._count_said(0)
        self._taking = False  # an attempt leases a socket, or says on it what was said before
        self._gone: VoicekitError | None = None  # how that attempt's socket was lost

    # -- for subclasses --

    async def send(self, text: str, /) -> None:
        """Say this too. Pieces may end anywhere.

        Waits only when the network takes nothing more. Cancelled, the text counts as said.

        Raises:
            InvalidArgumentError: Not a str, or one that UTF-8 cannot carry.
            ClosedError: The session is over, or ``finish`` was called.
            VoicekitError: The session broke.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Speak what was sent so far now, without waiting for more; the text may go on.

        Raises:
            ClosedError: The session is over, or ``finish`` was called.
            VoicekitError: The session broke.
        """
        raise NotImplementedError

    async def finish(self) -> None:
        """That was all; iteration ends with the last audio. May be called twice.

        Raises:
            ClosedError: The session is over before its text was.
            VoicekitError: The session broke.
        """
        raise NotImplementedError

    async def _borrow(self) -> Lease:
        """Lease a socket that may be spoken to."""
        return await self._studio.pool().lease()

    async def _begin(self, lease: Lease) -> None:
        """Have the socket's frames from now on; the script is written next."""
        raise NotImplementedError

    async def _leave(self, lease: Lease) -> bool:
        """Tell the server that nobody listens any more; whether it need not be told."""
        raise NotImplementedError

    def _error_of_loss(self, error: VoicekitError) -> VoicekitError:
        """The provider's meaning of a socket's end."""
        raise NotImplementedError

    def _rewind(self) -> None:
        """Nothing was heard: say everything again."""
        self._script.rewind()

    def _written_again(self) -> None:
        """The script was written on another socket than the first."""

    # -- text --

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

    def _count_said(self, characters: int) -> None:
        """So much is said by now."""
        self._said = characters
        self._most = most_bytes(self.format, characters)

    async def _write(self) -> None:
        """Write what is to be said. While a replay is under way, that does it."""
        script = self._script
        while (lease := self._lease) is not None and (message := script.take()) is not None:
            try:
                await lease.socket.send(message)
            except VoicekitError as error:
                if self._lease is lease:
                    self._lose(error)
                if self._error is not None:
                    raise self._error from None
                return

    # -- the socket --

    async def _connect(self, call: Call) -> None:
        await open_call(call, self._take_socket)

    async def _take_socket(self, call: Call) -> None:
        """One attempt. It leaves the script as it found it, or says that there is no other."""
        script = self._script
        self._taking = True
        try:
            await self._speak_first(call)
        except BaseException:
            if self._ended or not script.replayable:
                call.replayable = False
            elif script.begun:
                self._rewind()
            raise
        finally:
            self._taking = False

    async def _speak_first(self, call: Call) -> None:
        """Lease a socket, say what is to be said.

        A socket may turn out to be dead at the first word. A pooled one costs nothing, for
        nothing was sent, and by then the pool has noticed the others that died with it; a
        fresh one costs the replay.
        """
        script = self._script
        for again in (True, False):
            await self._studio.key()
            call.dialing(shared=True)
            lease = await self._borrow()
            socket = _socket_of(lease)
            tls_s = min(socket.tls_s, lease.connect_s)  # none of it, where it was pooled
            call.queue_s += lease.waited - lease.connect_s
            call.connect_s += lease.connect_s - tls_s
            call.tls_s += tls_s
            call.sent(lease.connection)
            self._headers = socket.headers
            call.request_id = request_id_of(socket.headers, self._studio.dialect)
            self._lease, self._gone = lease, None
            try:
                await self._begin(lease)
                while (message := script.take()) is not None:
                    await socket.send(message)
                if self._gone is not None:
                    raise self._gone
                return
            except VoicekitError as error:
                if self._lease is lease:
                    self._give_back(reusable=False, ended=False)
                elif self._gone is None:
                    raise self._error or error from None  # the reader has decided
                typed = self._gone or self._error_of_loss(error)
                free = lease.reused or not self._replays
                if not (again and free and script.replayable and may_replay(typed)):
                    raise typed from None
                self._replays += not lease.reused
                self._rewind()
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
        typed = self._error_of_loss(error)
        if self._taking:
            self._gone = typed  # for the attempt under way, which has lost its socket
            return
        possible = self._script.replayable and not self._replays
        if not possible or not may_replay(typed):
            self._fail(typed)
        else:
            self._say_elsewhere(typed)

    def _say_elsewhere(self, cause: VoicekitError) -> None:
        """Say everything again on another socket, in the background."""
        self._replays += 1
        self._rewind()
        work = self._say_again(cause)
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
        else:
            self._written_again()

    def _return(self, lease: Lease, *, reusable: bool, ended: bool) -> None:
        """Let go of the socket: is it in step, and has the server ended the utterance."""
        socket = _socket_of(lease)
        socket.leave(ended=ended)
        lease.release(reusable=reusable and socket.reusable, idle_s=socket.idle_s)

    async def _dismiss(self, lease: Lease) -> None:
        """End the utterance and give the socket back, at once unless the network is stuck."""
        clean = ended = False
        try:
            async with asyncio.timeout(GOODBYE_LIMIT):
                ended = await self._leave(lease)
            clean = True
        except (TimeoutError, VoicekitError):
            pass  # it is gone, which is what was wanted
        finally:
            self._return(lease, reusable=clean, ended=ended)

    def _call_later(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        """Have a method of this called later; the timer keeps no forgotten utterance alive."""
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, _call_alive, weakref.WeakMethod(do))

    def _give_back(self, *, reusable: bool, ended: bool) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._return(lease, reusable=reusable, ended=ended)

    # -- audio --

    def _take(self, audio: bytes) -> tuple[bytes, bool]:
        """Audio came: its whole samples, and whether it is useful.

        That is when enough has come since the last that was, 10 ms, which a drip never does.

        Raises:
            RemoteProtocolError: It is more than the text can take.
        """
        if not self._heard_bytes:
            self._script.settle()
        self._heard_bytes += len(audio)
        if self._heard_bytes > self._most:
            raise RemoteProtocolError("more audio came than the text can take")
        whole = self._aligner.feed(audio)
        self._uncounted += len(whole)
        useful = self._uncounted >= self._useful
        if useful:
            self._uncounted = 0
        return whole, useful

    def _lacking(self, *, due: bool) -> VoicekitError | None:
        """What is wrong if the audio has ended; ``due`` says that there must be some."""
        if self._aligner.pending:
            return ConnectionLostError("the audio was cut inside a sample")
        if due and not self._heard_bytes:
            return RemoteProtocolError("the utterance ended without any audio")
        return None

    # -- what the base asks --

    def _weigh(self, item: AudioChunk) -> float:
        return len(item) / self._bytes_per_second

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_bytes = self.delivered_bytes
        error.delivered_s = self.delivered_s
        return error

    def _hang_up(self, *, clean: bool) -> None:
        if self._replay is not None:
            self._replay.cancel()
        self._give_back(reusable=clean, ended=clean)

    async def __anext__(self) -> AudioChunk:
        chunk = await super().__anext__()
        self.delivered_bytes += len(chunk)
        return chunk

    # -- ending --

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent.

        The socket goes back warm; audio that is still on its way is dropped.
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
            await self._dismiss(lease)

    # -- evidence --

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
        """None: sockets do not say what they charge."""
        return

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the handshake that opened its socket, as is the request id; empty before."""
        return self._headers

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the session."""
        return await clip_of(self)


def _socket_of(lease: Lease) -> SpokenSocket:
    """The socket of a lease, as the dial made it."""
    return cast("SpokenSocket", lease.socket)


def _call_alive(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    if (alive := method()) is not None:
        alive()
