"""Attempts of one call that run at the same time, each in a task that ends with the race."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from voicekit.alarms import Alarm, alarm_clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.operation import Call

_log = logging.getLogger("voicekit.resilience")


class Race(Alarm):
    """The attempts of one call, and the wait for something to happen to them.

    Whoever starts one awaits ``end()`` before anything else, whatever happens. ``call`` is the
    first attempt's; each further one has a twin of it.
    """

    __slots__ = ("_call", "_clock", "_loop", "_step", "_waiter", "attempts")

    def __init__(
        self,
        call: Call,
        step: Callable[[Call], Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._call = call
        self._step = step
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.attempts: list[Attempt] = []

    def begin(self) -> None:
        """One more attempt."""
        call = self._call.twin() if self.attempts else self._call
        attempt = Attempt(call, self._clock)
        name = f"voicekit-hedge-{call.id}-{len(self.attempts) + 1}"
        # Of its own, since the limits of an attempt are its task's. In the caller's context.
        attempt.task = self._loop.create_task(attempt.run(self._step), name=name)
        attempt.task.add_done_callback(self._ended)
        self.attempts.append(attempt)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self.ring()

    def ring(self) -> None:
        """Something has changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def change(self, within: float | None = None) -> None:
        """Wait until an attempt ends that is running now, or so many seconds have passed."""
        # Not asyncio.wait(): it costs three times as much, and each hedged call pays for it.
        self._waiter = self._loop.create_future()
        if within is None:
            await self._waiter
            return
        clock = alarm_clock(self._loop)
        clock.set(self, self._loop.time() + within)
        try:
            await self._waiter
        finally:
            clock.clear(self)

    async def end(self) -> None:
        """Cancel what still runs and wait for it.

        Cancelled meanwhile, it passes that on, waits all the same and then raises: as long as
        ``await step(call)`` itself would take to be cancelled, and no longer.
        """
        cancelled: asyncio.CancelledError | None = None
        running = [attempt.task for attempt in self.attempts if not attempt.task.done()]
        for task in running:
            task.cancel()
        while not all(task.done() for task in running):
            try:
                await self.change()
            except asyncio.CancelledError as error:
                cancelled = error
                for task in running:
                    task.cancel()
        if cancelled is not None:
            raise cancelled


class Attempt:
    """One of them: its call, its task, and what became of it.

    Attributes:
        succeeded: It has a result.
        error: What it raised, if it has failed.
    """

    __slots__ = (
        "_clock",
        "_ended_at",
        "_result",
        "_started_at",
        "call",
        "error",
        "succeeded",
        "task",
    )

    task: asyncio.Task[None]

    def __init__(self, call: Call, clock: Callable[[], float]) -> None:
        self.call = call
        self.succeeded = False
        self.error: Exception | None = None
        self._result: Any = None
        self._clock = clock
        self._started_at = clock()
        self._ended_at: float | None = None

    async def run(self, step: Callable[[Call], Awaitable[Any]]) -> None:
        """What its task does. An error is kept here, and not by the task, which it leads to."""
        try:
            self._result = await step(self.call)
            self.succeeded = True
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            self.error = error
        finally:
            self._ended_at = self._clock()

    def ran(self, now: float) -> float:
        """Seconds that it ran, or has been running by ``now``."""
        ended_at = self._ended_at
        return (now if ended_at is None else min(ended_at, now)) - self._started_at

    def result(self) -> Any:
        """Its result, once it has ended; or what it raised, cancelled from within included."""
        if self.error is not None:
            raise self.error
        self.task.result()
        return self._result

    def discard(self) -> None:
        """Free what it opened, if it was too late to be stopped; nobody will use it."""
        abandon = getattr(self._result, "abandon", None)
        if callable(abandon):
            try:
                abandon()
            except Exception as error:  # noqa: BLE001 - the winner's answer is good all the same
                _log.warning("a hedge's loser cannot be freed: %s", type(error).__name__)
