"""Closing sockets politely, off everybody's path."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Socket

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
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await socket.aclose()
