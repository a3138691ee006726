"""A text that is still being written, read once and said to one member after the other."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterable, Callable
from typing import Any, Final, Self

from voicekit.errors import InvalidArgumentError
from voicekit.tasks import closed

_log = logging.getLogger("voicekit.resilience")

MOST_KEPT: Final = 100_000
"""Characters that are kept for another member until the first audio. Source: ours; an hour and a
half of speech, which nobody waits for without a sound."""


class SharedText:
    """Reads the caller's iterable, one piece ahead of who needs it, in one task throughout.

    Members come and go and may be cancelled while they wait for text; the iterable never
    notices. Pieces are kept, so that the next member hears them from the beginning, until
    ``commit()``, or until they are too many. ``ended`` is called when it gives no more.

    Attributes:
        over: Nothing more will come.
        error: What it raised.
        replayable: Whether all of it can still be said again.
    """

    def __init__(self, pieces: AsyncIterable[str], ended: Callable[[], None]) -> None:
        self.over = False
        self.error: Exception | None = None
        self.replayable = True
        self._pieces: Any = pieces
        self._ended = ended
        self._keeps = True
        self._kept: list[str] = []
        self._dropped = 0
        self._size = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to read, in the caller's own context; once."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(
                self._read(), name="voicekit-member-text", context=contextvars.copy_context()
            )

    def commit(self) -> None:
        """It was heard: nothing has to be kept."""
        self._keeps = False

    def came_from_here(self, error: BaseException) -> bool:
        """Whether ``error`` is the text's own, wrapped by an engine or not."""
        return self.error is not None and self.error in (error, error.__cause__)

    async def aclose(self) -> None:
        """Stop reading and close the iterable. Idempotent."""
        task = self._task
        if task is None:
            if not self._closed:
                self._closed = True
                await self._close()
            return
        if not self._closed:
            self._closed = True
            if not self.over:
                task.cancel()
        if task is not asyncio.current_task() and not task.done():
            await asyncio.wait([task])

    async def _read(self) -> None:
        try:
            self._pieces = aiter(self._pieces)
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                piece = await anext(self._pieces)
                if not isinstance(piece, str):
                    raise InvalidArgumentError(
                        f"got a {type(piece).__name__}",
                        argument="text",
                        allowed="an async iterable of str",
                    )
                self._add(piece)
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self.error = error
        finally:
            self.over = True
            self._changed.set()
            self._ended()
            await self._close()

    def _add(self, piece: str) -> None:
        self._kept.append(piece)
        self._size += len(piece)
        if self._keeps and self._size > MOST_KEPT:
            self._keeps = self.replayable = False
        self._changed.set()

    async def _close(self) -> None:
        await closed(self._pieces, _log, "closing the text of a speech failed: %s")

    async def piece(self, number: int) -> str:
        """The piece of that number, when it has come.

        Raises:
            StopAsyncIteration: There are not so many.
            Exception: What the iterable raised.
        """
        while number >= self._dropped + len(self._kept):
            if self.over:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self._changed.clear()
            self._wanted.set()
            await self._changed.wait()
        piece = self._kept[number - self._dropped]
        if not self._keeps:
            gone = number + 1 - self._dropped
            del self._kept[:gone]
            self._dropped += gone
        return piece


class TextReader:
    """One member's reading of a shared text; closing it leaves that as it is."""

    def __init__(self, text: SharedText) -> None:
        self._text = text
        self._at = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece = await self._text.piece(self._at)
        self._at += 1
        return piece

    async def aclose(self) -> None:
        """Nothing is held."""
