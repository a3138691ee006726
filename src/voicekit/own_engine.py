"""Speech of an engine of your own, as the stream that every ``Synthesizer`` returns."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from voicekit.errors import (
    ClosedError,
    FirstOutputTimeout,
    InvalidArgumentError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.events import Observer, Observers
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.speech import AudioChunk, AudioFormat
from voicekit.streams import Opened, SpeechStream
from voicekit.tasks import closed
from voicekit.wire.pcm import Aligner

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import Response

__all__ = ["EngineSpeech"]

_log = logging.getLogger("voicekit.engine")
_UNCLOSED: Final = "closing an engine failed: %s"
_WAV_HEADER: Final = 44
"""Bytes; the shortest that a WAV's samples can stand behind."""


class EngineSpeech(SpeechStream):
    """Speech from an async iterable of audio: what an engine of your own returns.

    A handle like those of the built-in clients. Nothing runs before it is opened; from then
    on a task of its own asks the iterable for one piece ahead of the consumer, in one task
    throughout, under the opener's context. Ending early, in whatever way, cancels that task
    and closes the iterable before ``aclose()`` or ``cancel()`` return.

    Cancelling a task inside ``__anext__`` loses nothing when the stream was entered with
    ``async with``; one that was not releases itself.

    Args:
        chunks: Audio in pieces of any size; they may end inside a sample. Words of an
            ``AudioChunk`` are kept. An async generator is the usual one.
        format: What the bytes are, ``"pcm_24000"`` say.
        provider: The engine's name, for errors and events.
        limits: In seconds; ``connect`` means nothing here.
        observers: See the events of this call.

    Raises:
        VoicekitError: While opening or iterating, as with every stream. What the iterable
            raises is the cause: a ``VoicekitError`` as it is, anything else as
            ``UnavailableError``, so that a fallback may take over. ``RemoteProtocolError``
            when it gave no audio, or ended inside a sample.

    Example:
        >>> async def tone():
        ...     yield bytes(4_800)
        >>> async with EngineSpeech(tone(), format="pcm_24000") as speech:
        ...     async for chunk in speech:
        ...         play(chunk)
    """

    def __init__(
        self,
        chunks: AsyncIterable[bytes],
        *,
        format: AudioFormat | str,  # noqa: A002 - the option's name
        provider: str = "own",
        limits: Limits | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if not hasattr(chunks, "__aiter__"):
            raise InvalidArgumentError(
                f"got a {type(chunks).__name__}",
                argument="chunks",
                allowed="an async iterable of bytes",
            )
        made_of = AudioFormat.parse(format)
        operation = Operation(
            provider=provider,
            name="stream_speech",
            kind=OperationClass.COMPUTE,
            limits=limits or Limits(),
        )
        observer = Observers.of(observers)
        self._engine = engine = _Engine(chunks, made_of)

        async def open_engine() -> Opened[AudioChunk]:
            return await Pipeline().open(Call(operation, observer=observer), engine.open)

        super().__init__(open_engine, format=made_of)

    async def __anext__(self) -> AudioChunk:
        try:
            return await super().__anext__()
        except BaseException:
            if self._ended:
                await self._engine.closed()
            raise

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent."""
        await super().cancel()
        await self._engine.closed()

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await super().aclose()
        await self._engine.closed()


class _Engine:
    """Reads the iterable; to the stream it is a response and its decoder.

    Attributes:
        progress: Grows each time 10 ms of audio have come.
        done: The iterable has ended, and was whole.
    """

    status = 200
    headers: Mapping[str, str] = {}
    connection: ConnectionInfo | None = None
    delimited = True

    def __init__(self, chunks: AsyncIterable[bytes], format: AudioFormat) -> None:  # noqa: A002
        self.progress = 0
        self.done = False
        self._chunks = chunks
        self._format = format
        self._aligner = Aligner(format.frame_bytes)
        # A header of a WAV is no sound yet.
        self._silent = _WAV_HEADER if format.encoding == "wav" else 0
        self._size = 0
        self._uncounted = -self._silent
        self._pieces: deque[bytes] = deque()
        self._finished = False
        self._stopped = False
        self._error: VoicekitError | None = None
        self._changed = asyncio.Event()  # something to take
        self._taken = asyncio.Event()  # room for more
        self._task: asyncio.Task[None] | None = None

    async def open(self, call: Call) -> Opened[AudioChunk]:
        """One attempt: start the engine and wait for its first useful output."""
        items: deque[AudioChunk] = deque()
        self._task = asyncio.create_task(self._read(), name="voicekit-engine")
        try:
            async with asyncio.timeout(call.limits.first_output):
                while not self.progress and not self.done:
                    data = await self.chunk()
                    items.extend(self.feed(data) if data else self.eof(delimited=True))
        except BaseException as error:
            self.abort()
            await self.closed()
            if isinstance(error, TimeoutError) and not isinstance(error, VoicekitError):
                limit = call.limits.first_output
                raise FirstOutputTimeout(
                    f"nothing useful within {limit:g} s", limit=limit
                ) from None
            raise
        call.committed()
        return Opened(call, cast("Response", self), self, items)

    # -- the task --

    async def _read(self) -> None:
        pieces = aiter(self._chunks)
        try:
            async for piece in pieces:
                if not isinstance(piece, bytes | bytearray | memoryview):
                    raise InvalidArgumentError(
                        f"got a {type(piece).__name__}",
                        argument="chunks",
                        allowed="an async iterable of bytes",
                    )
                data = piece if isinstance(piece, bytes) else bytes(piece)
                if not data:
                    continue
                self._pieces.append(data)
                self._changed.set()
                while self._pieces:
                    self._taken.clear()
                    await self._taken.wait()
            self._finished = True
        except VoicekitError as error:
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, its name is told
            failed = UnavailableError(f"the engine failed ({type(error).__name__})")
            failed.__cause__ = error
            self._error = self._error or failed
        finally:
            try:
                await closed(pieces, _log, _UNCLOSED)
            finally:
                self._changed.set()

    async def closed(self) -> None:
        """Wait until the iterable is closed; it is one that was never begun as well."""
        task = self._task
        if task is None:
            await closed(self._chunks, _log, _UNCLOSED)
        elif task is not asyncio.current_task() and not task.done():
            await asyncio.wait([task])

    # -- as a response --

    async def chunk(self) -> bytes:
        """The next piece; empty at the end. Cancelling loses nothing."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._finished:
                return b""
            if self._task is not None and self._task.done():
                raise ClosedError("the speech was closed")
            self._changed.clear()
            await self._changed.wait()
        self._taken.set()
        return self._pieces.popleft()

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and abort."""
        self._pieces.clear()
        self._error = error
        self.abort()
        self._changed.set()

    def abort(self) -> None:
        """Stop the engine. Idempotent: how it frees what it holds goes undisturbed."""
        if self._task is not None and not self._finished and not self._stopped:
            self._stopped = True
            self._task.cancel()

    def release(self) -> None:
        """Everything was read."""

    # -- as a decoder --

    def feed(self, data: bytes, /) -> Iterable[AudioChunk]:
        """Whole samples of one piece."""
        whole = self._aligner.feed(data)
        if not whole:
            return ()
        self._size += len(whole)
        self._uncounted += len(whole)
        if self._uncounted >= self._format.useful_bytes:
            self._uncounted = 0
            self.progress += 1
        timed: Any = data if isinstance(data, AudioChunk) else AudioChunk
        return (AudioChunk(whole, self._format, timed.words, timed.characters),)

    def eof(self, *, delimited: bool) -> Iterable[AudioChunk]:  # noqa: ARG002 - a decoder's
        """The iterable ended.

        Raises:
            RemoteProtocolError: Inside a sample, or without audio.
        """
        if self._aligner.pending:
            raise RemoteProtocolError("the engine ended inside a sample")
        if self._size <= self._silent:
            raise RemoteProtocolError("the engine gave no audio")
        self.done = True
        return ()
