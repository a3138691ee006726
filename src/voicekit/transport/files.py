"""Uploads out of files, read in a thread of their own; and out of what is still coming."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from voicekit.errors import LocalProtocolError, VoicekitError
from voicekit.transport.held import let_go, unreadable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

T = TypeVar("T")

READ_BYTES = 1 << 18
"""Read at a time. Bounds memory; a hop to the thread and back costs more than the reading.
Measured: reading 64 KiB at a time takes 2.7 times the CPU."""
PIECE_BYTES = 1 << 16
"""Handed on at a time, so that a slow line still shows progress."""


class _Upload:
    __slots__ = ()
    size: int | None

    def __repr__(self) -> str:
        size = "unknown size" if self.size is None else f"{self.size} bytes"
        return f"<{type(self).__name__} {size}>"


class FileUpload(_Upload):
    """A file on disk, opened anew for each attempt. See ``transport.messages.Upload``.

    Args:
        path: A regular file.
        size: Its bytes. What is appended later is not sent; a file that has fewer by
            then fails the upload.
    """

    __slots__ = ("_path", "size")
    replayable = True

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size

    def open(self) -> AsyncIterator[bytes]:
        """The content in pieces.

        Raises:
            LocalProtocolError: While iterating: the file cannot be read, or has shrunk.
        """
        return _pieces(self._file, self.size)

    def _file(self) -> tuple[Callable[[int, int], bytes], Callable[[], None]]:
        handle = self._path.open("rb", buffering=0)
        return (lambda _, n: cast("bytes", handle.read(n))), handle.close


class HandleUpload(_Upload):
    """Somebody's open file from where it stands. Never closed here.

    Args:
        handle: A binary file.
        start: Its position; None when it cannot seek, and so be sent only once.
        size: Bytes from there; None when it cannot seek.
    """

    __slots__ = ("_handle", "_lock", "_opened", "_start", "_take", "size")

    def __init__(self, handle: BinaryIO, *, start: int | None, size: int | None) -> None:
        self._handle = handle
        # Of a pipe, what is there: a whole read would wait for sound yet to be spoken.
        read1 = getattr(handle, "read1", None) if start is None else None
        self._take: Callable[[int], bytes] = read1 or handle.read
        self._start = start
        self._lock = threading.Lock()
        self._opened = False
        self.size = size

    @property
    def replayable(self) -> bool:
        """Whether it can be read again from where it stood."""
        return self._start is not None

    def open(self) -> AsyncIterator[bytes]:
        """The content in pieces.

        Raises:
            LocalProtocolError: At once: it was sent before, and cannot seek. While
                iterating: it cannot be read, or has shrunk.
        """
        if self._opened and self._start is None:
            raise LocalProtocolError("a file that cannot seek can be sent only once")
        self._opened = True
        return _pieces(lambda: (self._read, _nothing), self.size)

    def _read(self, at: int, n: int) -> bytes:
        # Each piece seeks, so that two attempts at a time do not take each other's bytes.
        with self._lock:
            if self._start is not None:
                self._handle.seek(self._start + at)
            return self._take(n)


class StreamUpload(_Upload):
    """What is still coming, sent on as it comes. See ``transport.messages.Upload``.

    Args:
        stream: Iterated once, and closed at the end if it can be.
        size: Its bytes, where they are known.
    """

    __slots__ = ("_opened", "_stream", "size")
    replayable = False

    def __init__(self, stream: AsyncIterable[bytes], size: int | None) -> None:
        self._stream = stream
        self._opened = False
        self.size = size

    async def open(self) -> AsyncIterator[bytes]:
        """The content in pieces.

        Raises:
            LocalProtocolError: While iterating: it was sent before, or broke off. Its cause
                says why: what failed is not the provider that it was being sent to.
        """
        if self._opened:
            raise LocalProtocolError("a stream can be sent only once")
        self._opened = True
        try:
            async for piece in self._stream:
                yield piece
        except Exception as error:
            name = type(error).__name__  # somebody's stream may raise anything
            raise LocalProtocolError(
                f"the stream to be sent broke off ({name})", outcome="unknown"
            ) from error
        finally:
            await let_go(self._stream)


class _Worker:
    """One daemon thread that does one thing after the other.

    Not an executor's: the interpreter waits for those at its exit, and one that reads
    from a pipe nobody writes to would keep it waiting.
    """

    __slots__ = ("_jobs",)

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any] | None, Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(
            target=_work, args=(self._jobs,), name="voicekit-upload", daemon=True
        ).start()

    async def do(self, job: Callable[[], T]) -> T:
        """What ``job`` returns or raises. Cancelled, it goes on to its end."""
        result: Future[T] = Future()
        self._jobs.put((result, job))
        return await asyncio.wrap_future(result)

    def stop(self, last: Callable[[], None]) -> None:
        """End after what is under way, and ``last``. Does not wait."""
        self._jobs.put((None, last))
        self._jobs.put(None)


def _work(jobs: SimpleQueue[tuple[Future[Any] | None, Callable[[], Any]] | None]) -> None:
    while (job := jobs.get()) is not None:
        result, function = job
        del job
        if result is not None and not result.set_running_or_notify_cancel():
            continue
        try:
            value = function()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            if result is not None:
                result.set_exception(error)
        else:
            if result is not None:
                result.set_result(value)
        del result, function


async def _pieces(
    open_file: Callable[[], tuple[Callable[[int, int], bytes], Callable[[], None]]],
    size: int | None,
) -> AsyncIterator[bytes]:
    """The content; ``open_file`` gives what reads ``n`` bytes at a position, and what closes."""
    worker = _Worker()
    files: list[Callable[[], None]] = []

    def open_and_keep() -> Callable[[int, int], bytes]:
        read, close = open_file()
        files.append(close)  # known here even when nobody waits for the outcome any more
        return read

    def close_all() -> None:
        for close in files:
            close()

    try:
        read = await worker.do(open_and_keep)
        at = 0
        while size is None or at < size:
            n = READ_BYTES if size is None else min(READ_BYTES, size - at)
            data = await worker.do(lambda at=at, n=n: read(at, n))  # type: ignore[misc]
            if not isinstance(data, (bytes, bytearray)):
                # None: a non-blocking file without data at the moment.
                raise LocalProtocolError(
                    f"the file's read() gave a {type(data).__name__}, not bytes",
                    outcome="unknown",
                )
            if not data:
                if size is None:
                    return
                raise LocalProtocolError(
                    f"the file ended after {at} of {size} bytes", outcome="unknown"
                )
            at += len(data)
            for start in range(0, len(data), PIECE_BYTES):
                yield bytes(data[start : start + PIECE_BYTES])
    except VoicekitError:
        raise
    except Exception as error:  # somebody's file object may raise anything
        raise unreadable("file", error) from error
    finally:
        worker.stop(close_all)


def _nothing() -> None:
    pass
