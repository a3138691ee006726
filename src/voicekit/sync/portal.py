"""One event loop in one background thread, for all blocking clients of the process.

Whoever blocks hands a coroutine over and waits for its end: one *crossing*. Measured: 40 to
96 µs each when the process is idle, milliseconds when other Python threads are busy; so
a whole-value call makes one, and an iterator takes all that is there with each.

The thread lives while a client is open, and is a daemon: a script that forgets to close
still ends. A forked child has no threads of its parent, so it gets a portal of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from voicekit.errors import LocalProtocolError

P = ParamSpec("P")
T = TypeVar("T")

_END_WAIT = 5.0
"""Seconds that an interrupted crossing may take to clean up, and the loop to end."""


class Portal:
    """Runs coroutines on a loop in a thread of its own; started by the first who opens it.

    Attributes:
        crossings: How many calls went over so far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.crossings = 0

    def open(self) -> None:
        """Somebody needs the loop from now on."""
        with self._lock:
            self._users += 1
            if self._loop is not None:
                return
            started: concurrent.futures.Future[asyncio.AbstractEventLoop] = (
                concurrent.futures.Future()
            )
            self._thread = threading.Thread(
                target=_serve, args=(started,), name="voicekit-sync", daemon=True
            )
            self._thread.start()
            self._loop = started.result()

    def close(self) -> None:
        """Somebody needs it no more; with the last, the thread ends, before this returns."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._loop is None or self._thread is None:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():  # the collector runs anywhere
            thread.join(_END_WAIT)

    def run(
        self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await ``function(…)`` on the loop, in the caller's context, and return its result.

        Interrupted (Ctrl-C), the coroutine is cancelled, and has ended when the
        interrupt goes on.

        Raises:
            LocalProtocolError: Called from the loop itself, which would wait for ever.
        """
        loop = self._loop
        if loop is None:
            raise LocalProtocolError("the portal is closed")
        if self._thread is threading.current_thread():
            raise LocalProtocolError(
                "a blocking client is called from its own event loop: "
                "observers and key functions must not block"
            )
        self.crossings += 1
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            if done.cancelled():
                return
            task = loop.create_task(function(*args, **kwargs))
            tasks.append(task)
            task.add_done_callback(lambda ended: _report(ended, done))

        loop.call_soon_threadsafe(begin)  # in a copy of the caller's context
        try:
            return done.result()
        except BaseException:
            if not done.done():  # not the coroutine's error: the wait was interrupted
                loop.call_soon_threadsafe(_cancel, tasks, done)
                concurrent.futures.wait([done], _END_WAIT)
            raise

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function(…)`` on the loop; for what needs a running one but awaits nothing."""

        async def here() -> T:
            return function(*args, **kwargs)

        return self.run(here)

    def post(self, function: Callable[[], object]) -> None:
        """Have ``function`` called on the loop, soon; nobody waits for it."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)


def _serve(started: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set_result, loop)
        loop.run_forever()


def _report(task: asyncio.Task[T], done: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        done.set_exception(concurrent.futures.CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _cancel(tasks: list[asyncio.Task[T]], done: concurrent.futures.Future[T]) -> None:
    if tasks:
        tasks[0].cancel()
    else:
        done.cancel()


_portal = Portal()
_inherited: list[object] = []
"""What a forked child got from its parent: kept, since collecting it would act on sockets
that the parent still uses."""


def portal() -> Portal:
    """This process's portal."""
    return _portal


def inherit(thing: object) -> None:
    """Keep what belongs to the parent process as it is, for ever."""
    _inherited.append(thing)


def _after_fork() -> None:
    global _portal  # noqa: PLW0603 - the one place where another process begins
    _inherited.append(_portal)
    _portal = Portal()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
