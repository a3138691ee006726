"""Text from a blocking iterable, for a voice on the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final

from voicekit import streams
from voicekit.sync.handles import Handle

_END: Final = object()


def pieces_of(text: Any) -> Any:
    """What the asynchronous client takes for ``text``.

    A blocking stream is unwrapped: its text never leaves the event loop. Any other
    iterable is read in a thread of its own, piece by piece, while the voice speaks.
    """
    if isinstance(text, Handle):
        here = text._taken()
        return Rest(here, text._inner) if here else text._inner
    if isinstance(text, str | bytes | AsyncIterable) or not isinstance(text, Iterable):
        return text  # the client's affair, to take or to refuse
    return Pieces(text)


class Rest:
    """A stream on the event loop, after what of it had come over already."""

    def __init__(self, here: Iterable[Any], stream: streams.Stream[Any]) -> None:
        self._here = deque(item for item in here if isinstance(item, str))
        self._stream = stream

    def __aiter__(self) -> Rest:
        return self

    async def __anext__(self) -> Any:
        return self._here.popleft() if self._here else await self._stream.__anext__()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


class Pieces:
    """Reads an iterable in a thread, a piece whenever one is wanted, and closes it there.

    The thread is a daemon: text that never comes keeps no script from ending.
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._text = iter(text)
        self._asked: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._last: Future[Any] | None = None
        self._begun = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Any:
        piece = await asyncio.wrap_future(self._ask(Future()))
        if piece is _END:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close the iterable, and wait for it unless a piece is just being waited for."""
        busy = self._last is not None and not self._last.done()
        closed = self._ask(_Close())
        if not busy:
            await asyncio.wrap_future(closed)

    def _ask(self, asked: Future[Any]) -> Future[Any]:
        if not self._begun:
            self._begun = True
            # In the context of whoever has it spoken.
            run = contextvars.copy_context().run
            threading.Thread(
                target=run,
                args=(_read, self._text, self._asked),
                name="voicekit-sync-text",
                daemon=True,
            ).start()
        self._last = asked
        self._asked.put(asked)
        return asked


class _Close(Future[Any]):
    """Asks for the end."""


def _read(text: Iterator[str], asked: queue.SimpleQueue[Future[Any]]) -> None:
    while True:
        reply = asked.get()
        if not reply.set_running_or_notify_cancel():
            continue
        try:
            if isinstance(reply, _Close):
                # Where it was read: a generator must not be closed while it runs.
                close = getattr(text, "close", None)
                reply.set_result(close() if close is not None else None)
                return
            reply.set_result(next(text, _END))
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            reply.set_exception(error)
            if isinstance(reply, _Close):
                return
        del reply
