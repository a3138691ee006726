"""Attempts of one call that do as they are told, and whoever must see what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from voicekit.events import CallEnded, FirstOutput, HedgeEnded, HedgeStarted
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.testing import RecordingObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Does:
    """What one attempt does: after ``takes`` seconds it succeeds, or raises ``error``.

    Cancelled, it ends after ``lingers`` seconds; ``deaf``, it does not hear of it.
    """

    takes: float = 0.1
    error: Exception | None = None
    lingers: float = 0.0
    deaf: bool = False


class Answer:
    """A result that holds something, like an opened stream."""

    def __init__(self, number: int, call: Call) -> None:
        self.number = number
        self.call = call
        self.freed = 0

    def abandon(self) -> None:
        self.freed += 1


class Provider:
    """Answers each attempt as its script says; the last one goes for all that follow."""

    def __init__(self, *scripts: Does) -> None:
        self.scripts: Sequence[Does] = scripts or (Does(),)
        self.begun = self.running = self.cancelled = 0
        self.begun_at: list[float] = []
        self.answers: list[Answer] = []
        self.tasks: list[str] = []

    async def __call__(self, call: Call) -> Answer:
        number = self.begun
        does = self.scripts[min(number, len(self.scripts) - 1)]
        self.begun += 1
        self.running += 1
        self.begun_at.append(now())
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task.get_name())
        try:
            await self._take(does)
            if does.error is not None:
                raise does.error
            call.request_id = f"r{number + 1}"
            call.committed()
            self.answers.append(answer := Answer(number + 1, call.root))
            return answer
        except asyncio.CancelledError:
            self.cancelled += 1
            if does.lingers:
                await asyncio.sleep(does.lingers)
            raise
        finally:
            self.running -= 1

    async def _take(self, does: Does) -> None:
        until = now() + does.takes
        while True:
            try:
                await asyncio.sleep(until - now())
                return
            except asyncio.CancelledError:
                if not does.deaf:
                    raise


class Permits:
    """An inner policy that holds a permit from the attempt's start to the end of its call."""

    def __init__(self) -> None:
        self.held = 0

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[Any]], /) -> Any:
        self.held += 1
        try:
            result = await step(call)
        except BaseException:
            self.held -= 1
            raise
        call.at_end(self._free)
        return result

    def _free(self) -> None:
        self.held -= 1


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def operation(kind: OperationClass = OperationClass.COMPUTE, *, session: bool = False) -> Operation:
    """Something to be done, without limits."""
    return Operation(
        provider="fake", name="try", kind=kind, limits=Limits(connect=None), session=session
    )


def check_events(seen: RecordingObserver) -> CallEnded:
    """What must hold of the events of every call that is over; its end."""
    (ended,) = seen.ended
    assert seen.events[-1] is ended
    started, over = seen.of(HedgeStarted), seen.of(HedgeEnded)
    assert len(started) == len(over) <= 1
    assert ended.hedged == bool(started)
    firsts = len(seen.of(FirstOutput))
    assert firsts <= 1
    if ended.result == "ok":
        assert firsts == 1
    return ended
