"""Ending sockets and responses politely, off everybody's path."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from voicekit.errors import VoicekitError
from voicekit.tasks import at_most

if TYPE_CHECKING:
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Response, Socket

_READ_OUT_LIMIT = 1.0
"""Seconds to wait for the end of a body that nobody wants."""
GOODBYE = 0.9
"""Seconds for a polite close before the socket is aborted."""


class Goodbyes:
    """Says goodbye in tasks of ``background``; whatever becomes of a task, its socket is freed."""

    __slots__ = ("_background", "_going")

    def __init__(self, background: Background) -> None:
        self._background = background
        self._going: dict[asyncio.Task[None], Socket] = {}

    def say(self, socket: Socket, name: str) -> asyncio.Task[None]:
        """Start closing ``socket``; takes ``GOODBYE`` seconds at most."""
        task = self._background.spawn(_close(socket), name)
        self._going[task] = socket
        task.add_done_callback(self._said)
        return task

    def _said(self, task: asyncio.Task[None]) -> None:
        self._going.pop(task).abort()

    def cut_short(self) -> None:
        """Abort what has not gone yet."""
        for task in self._going:
            task.cancel()


async def _close(socket: Socket) -> None:
    await at_most(GOODBYE, socket.aclose())


async def read_out(response: Response) -> None:
    """Read to the end, so that the connection can be used again; give up on a longer rest."""
    try:
        async with asyncio.timeout(_READ_OUT_LIMIT):
            while await response.chunk():
                pass
    except (TimeoutError, VoicekitError):
        pass
    finally:
        response.abort()
