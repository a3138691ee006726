"""Calls through a concurrency limit whose steps last as long as a test wants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voicekit import events
from voicekit.errors import RateLimitError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.limit import Limit

OPERATION = Operation(
    provider="testing", name="test", kind=OperationClass.COMPUTE, limits=Limits(connect=None)
)


def make(most: int | None = None, **settings: Any) -> Limit:
    return Limit(most, clock=asyncio.get_running_loop().time, **settings)


def busy(limit: Limit) -> tuple[int, int]:
    stats = limit.stats()
    return stats.in_flight, stats.queued


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Worker:
    """One call through a limit; its step lasts until ``go`` or ``fail``."""

    def __init__(self, limit: Limit, observer: events.Observer | None = None) -> None:
        self.call = Call(OPERATION, observer=observer)
        self.started = False
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(Pipeline((limit,)).open(self.call, self._step))

    async def _step(self, call: Call) -> Any:
        self.started = True
        return await self._end

    async def answer(self, capacity: tuple[int, int] | None = None) -> None:
        """The call is open: it goes on, as a stream does."""
        self.call.capacity = capacity
        self._end.set_result("opened")
        assert await self.task == "opened"

    async def go(self, capacity: tuple[int, int] | None = None) -> None:
        await self.answer(capacity)
        self.call.end()
        await turns()

    async def fail(self, error: Exception) -> None:
        self._end.set_exception(error)
        with pytest.raises(type(error)):
            await self.task
        await turns()

    async def cancel(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
        await turns()


async def workers(
    limit: Limit, count: int, observer: events.Observer | None = None
) -> list[Worker]:
    made = [Worker(limit, observer) for _ in range(count)]
    await turns()
    return made


def refusal(code: str | None = "concurrent_limit_exceeded", **facts: Any) -> RateLimitError:
    return RateLimitError("status 429", status=429, code=code, **facts)
