"""How the handles of members open: one task at a time, which another may call off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from voicekit.errors import ClosedError

T = TypeVar("T")


class Opening:
    """The opening of a handle: by one ``task`` at a time, which another may call off."""

    __slots__ = ("_off", "_over", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self._over: asyncio.Future[None] | None = None
        self._off = False

    async def run(self, start: Callable[[], Awaitable[T]]) -> T:
        """Run ``start``; only while ``task`` is None.

        Raises:
            ClosedError: It was called off.
        """
        task = self.task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are awaited
        self._over = task.get_loop().create_future()
        cancelling = task.cancelling()
        try:
            return await start()
        except BaseException as error:
            ours = self._off and task.uncancel() <= cancelling
            if ours and isinstance(error, asyncio.CancelledError):
                raise ClosedError("the handle was closed while it was being opened") from None
            raise
        finally:
            self.task = None
            self._over.set_result(None)

    async def call_off(self) -> None:
        """End it, if it is under way, and wait until nothing of it is left."""
        task, over = self.task, self._over
        if task is None or over is None:
            return
        if not self._off:
            self._off = True
            task.cancel()  # taken back in run(), as asyncio.timeout does it
        if task is not asyncio.current_task():
            await asyncio.shield(over)
