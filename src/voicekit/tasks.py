"""Tasks that outlive the call that started them: owned, named, awaited at close."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

_log = logging.getLogger("voicekit.tasks")

REST: Final = 0.25
"""Seconds. Source: ours. ``asyncio.run`` cancels every task once, and runs on until they and
the executor's threads have ended; what begins meanwhile is never told."""


class Background:
    """Keeps the background tasks of one owner.

    Each task starts in an empty context, so that nobody's ambient deadline or
    request-scoped variable reaches work that is shared between callers. A task
    that fails is logged by type and name, never silently lost.
    """

    __slots__ = ("_closed", "_rests_until", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._rests_until = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """Those that run now."""
        return tuple(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start ``work``; after ``aclose`` it is refused (closed unawaited, task cancelled)."""
        task = asyncio.get_running_loop().create_task(
            work, name=name, context=contextvars.Context()
        )
        if self._closed:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def interrupted(self) -> None:
        """One was cancelled, and not by its owner: most probably its event loop is ending."""
        self._rests_until = asyncio.get_running_loop().time() + REST

    @property
    def rest(self) -> float:
        """Seconds for which nothing should begin that nobody waits for."""
        return max(0.0, self._rests_until - asyncio.get_running_loop().time())

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("%s failed: %s", task.get_name(), type(error).__name__)

    def abandon(self) -> None:
        """Cancel what still runs, for an owner who cannot wait for it."""
        self._closed = True
        for task in list(self._tasks):
            if not task.get_loop().is_closed():
                task.cancel()
                continue
            # It will never run again, and need not be reported for that.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(Exception):
                task.get_coro().close()

    async def aclose(self) -> None:
        """Cancel what still runs and wait for it. Safe to call twice; itself cancellable."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def closed(pieces: object, log: logging.Logger, message: str) -> None:
    """Close what was iterated, if it can be; a failure is logged: nobody else would say it."""
    close = getattr(pieces, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - what it was for is over
        log.warning(message, type(error).__name__)


async def at_most(seconds: float, work: Awaitable[object]) -> None:
    """Await ``work``; what takes longer than so many seconds is cancelled, and left at that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
