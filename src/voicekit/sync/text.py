"""Text from a blocking iterable, for a voice on the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from voicekit.sync.handles import Handle


def pieces_of(text: Any) -> Any:
    """What the asynchronous client takes for ``text``.

    A blocking stream is unwrapped: its text never leaves the event loop. Any other
    iterable is read in a thread of its own, piece by piece, while the voice speaks.
    """
    if isinstance(text, Handle):
        return text._inner
    if isinstance(text, str | bytes | AsyncIterable) or not isinstance(text, Iterable):
        return text  # the client's affair, to take or to refuse
    return _read(text)


def _next(pieces: Iterator[str]) -> str | None:
    return next(pieces, None)


async def _read(text: Iterable[str]) -> AsyncIterator[str]:
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    thread = ThreadPoolExecutor(1, "voicekit-sync-text")
    pieces = iter(text)
    try:
        while True:
            piece = await loop.run_in_executor(thread, context.run, _next, pieces)
            if piece is None:
                return
            yield piece
    finally:
        # Closed where it was read: a generator must not be closed while it runs.
        close = getattr(pieces, "close", None)
        if close is not None:
            thread.submit(context.run, close)
        thread.shutdown(wait=False)
