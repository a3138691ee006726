"""``background`` and ``drain``: work that goes on after the request that began it.

A webhook is answered at once and its work done afterwards. A bare ``asyncio.create_task`` may be
collected half-way, loses its exception, and inherits the deadline of the request; and a process
that ends kills it. Here each event loop has one owner of such work, which is waited for when the
application stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from voicekit.checks import number, text, wrong
from voicekit.errors import WrongLoopError
from voicekit.tasks import Background

__all__ = ["DrainReport", "background", "drain", "draining"]

T = TypeVar("T")

_log = logging.getLogger("voicekit.running")

_GRACE: Final = 1.0
"""Seconds that what was cut off may take to clean up. What refuses to end is left behind."""

_LONGEST: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """How a ``drain`` went.

    Attributes:
        finished: How many tasks ended by themselves meanwhile, well or not.
        cut_off: Names of those that were cancelled when the time was over, and of those that came
            after that and never ran, sorted.
        stuck: Names of those among them that did not end even then.
        elapsed: Seconds.
    """

    finished: int = 0
    cut_off: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    elapsed: float = 0.0


class _Owner(Background):
    """The work of one event loop. What comes once the rest was cut off does not run, and is told.

    Attributes:
        refused: Names of what came too late; None while there is time.
    """

    __slots__ = ("refused",)

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] | None = None

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = super().spawn(work, name)
        if self.refused is not None:
            task.cancel()
            self.refused.append(name)
            _log.warning("came too late, and does not run: %s", name)
        return task


# A loop's tasks hold the loop, so an entry may keep its own key alive: loops that were closed
# under their tasks are thrown out when the next one comes.
_owners: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Owner] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def background(work: Coroutine[Any, Any, T], /, *, name: str | None = None) -> asyncio.Task[T]:
    """Run ``work`` on, whoever began it: it is kept, named, and waited for by ``drain``.

    It starts in an empty context: no ``deadline()`` of a request ends it. An exception is logged
    by the task's name and its type (and is the task's result, for who awaits the task); neither
    it nor the log holds speech. It keeps no process alive: who ends an event loop without
    ``drain`` ends it too.

    Args:
        work: What ``work()`` of an ``async def`` gives.
        name: For logs and ``drain``; the function's own by default. Not a place for content.

    Returns:
        The task. It may be cancelled or awaited, and need not be kept.

    Raises:
        InvalidArgumentError: ``work`` is no coroutine.
        WrongLoopError: No event loop is running here. ``work`` is closed then.

    Example:
        >>> async def webhook(request):
        ...     message = twilio.parse_webhook(url, request.headers, await request.body())
        ...     voicekit.background(answer(message), name="answer")
        ...     return Response()
    """
    if not inspect.iscoroutine(work):
        raise wrong("work", work, "a coroutine: background(f(…)), where f is an async def")
    try:
        if name is not None:
            text("name", name)
        loop = asyncio.get_running_loop()
    except RuntimeError:
        work.close()
        raise WrongLoopError("background() needs a running event loop") from None
    except ValueError:
        work.close()
        raise
    return _owner(loop).spawn(work, name or f"background {work.__qualname__}")


def _owner(loop: asyncio.AbstractEventLoop) -> _Owner:
    with _lock:
        owner = _owners.get(loop)
        if owner is None:
            for other in [each for each in _owners if each.is_closed()]:
                del _owners[other]
            owner = _owners[loop] = _Owner()
        return owner


async def drain(seconds: float = 10.0) -> DrainReport:
    """Wait for the background work of this event loop; cut off what is not done in time.

    For the end of an application, when nothing new comes in any more. What the work itself begins
    meanwhile is waited for within the same time. What is cut off is cancelled and awaited, for
    one second at most. What comes in that second does not run, whoever begins it: it is logged
    and reported with what was cut off. Let nothing in by then (a webhook answers 503), or somebody
    waits for an answer that nobody works on. Afterwards ``background`` works as before.

    Cancelled, it leaves the work running, unless it was being cut off already.

    Args:
        seconds: To wait for. 0 cuts off at once.

    Returns:
        What was cut off. That is also logged.

    Raises:
        InvalidArgumentError: ``seconds`` is no time.
    """
    seconds = number(0.0, _LONGEST)("seconds", seconds)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with _lock:
        owner = _owners.get(loop)
    if owner is None:
        return DrainReport()
    finished = await _wait(owner, began + seconds)
    late = _others(owner)
    if not late:
        return DrainReport(finished=finished, elapsed=loop.time() - began)
    names = tuple(sorted(task.get_name() for task in late))
    _log.warning("cut off after %g s: %s", seconds, ", ".join(names))
    if owner.refused is None:  # another drain may be at its end as well
        owner.refused = []
    refused = owner.refused  # what they begin now, on their way out, and what still comes in
    for task in late:
        task.cancel()
    try:
        await _wait(owner, loop.time() + _GRACE)
    finally:
        with _lock:
            if _owners.get(loop) is owner:
                del _owners[loop]
    stuck = tuple(sorted(task.get_name() for task in _others(owner)))
    if stuck:
        _log.error("does not end: %s", ", ".join(stuck))
    return DrainReport(
        finished=finished,
        cut_off=tuple(sorted((*names, *refused))),
        stuck=stuck,
        elapsed=loop.time() - began,
    )


async def _wait(owner: Background, until: float) -> int:
    """Wait until nothing is left or the time has come; how many ended."""
    loop = asyncio.get_running_loop()
    ended = 0
    while tasks := _others(owner):
        left = until - loop.time()
        if left <= 0:
            break
        done, _ = await asyncio.wait(tasks, timeout=left)
        ended += len(done)
    return ended


def _others(owner: Background) -> list[asyncio.Task[Any]]:
    """What still runs, but for whoever asks."""
    current = asyncio.current_task()
    return [task for task in owner.tasks if task is not current and not task.done()]


@contextlib.asynccontextmanager
async def draining(seconds: float | Callable[[], float] = 10.0) -> AsyncIterator[None]:
    """``drain`` at the end of a block: of ``main``, or of a web application's lifespan.

    Put it inside the block that closes the clients, so that the work still has them.

    Args:
        seconds: See ``drain``. A function is asked at the end of the block: for what is left of
            a time that began earlier.

    Raises:
        InvalidArgumentError: ``seconds`` is no time; before the block begins.

    Example:
        >>> async with TwilioClient() as twilio, voicekit.running.draining(20):
        ...     await serve(twilio)
    """
    if not callable(seconds):
        seconds = number(0.0, _LONGEST)("seconds", seconds)
    try:
        yield
    finally:
        await drain(seconds() if callable(seconds) else seconds)
