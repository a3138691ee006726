"""Calls under a policy that a test ends by hand, one step at a time, without an event loop."""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Generator
from typing import Any

import pytest

from voicekit.errors import CircuitOpenError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.resilience.guard import Guard
from voicekit.testing import RecordingObserver

SPEAK = Operation(
    provider="acme", name="speak", kind=OperationClass.COMPUTE, limits=Limits(first_output=4.0)
)


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class NoJitter(random.Random):
    def random(self) -> float:
        return 0.0


@types.coroutine
def _wait() -> Generator[None, Any, Any]:
    return (yield)


class Doing:
    """One call that waits at the server until the test ends it.

    Attributes:
        refusal: The policy's, if it let nothing through.
    """

    def __init__(
        self,
        guard: Guard,
        operation: Operation = SPEAK,
        *,
        observer: RecordingObserver | None = None,
    ) -> None:
        self.call = Call(operation, observer=observer)
        self.refusal: CircuitOpenError | None = None
        self._run = guard(self.call, self._step)
        try:
            self._run.send(None)
        except CircuitOpenError as refusal:
            self.refusal = refusal

    async def _step(self, call: Call) -> Any:
        call.attempts += 1
        return await _wait()

    def returns(self, value: object = "done") -> None:
        """The server answers, and the caller gets that answer."""
        with pytest.raises(StopIteration) as end:
            self._run.send(value)
        assert end.value.value is value

    def raises(self, error: BaseException) -> None:
        """The attempt fails, and the caller gets that very error."""
        with pytest.raises(type(error)) as raised:
            self._run.throw(error)
        assert raised.value is error

    def is_cancelled(self) -> None:
        self.raises(asyncio.CancelledError())


def answered(guard: Guard, **options: Any) -> None:
    """One call that succeeds at once."""
    Doing(guard, **options).returns()


def failed(guard: Guard, error: BaseException, **options: Any) -> None:
    """One call that fails at once."""
    Doing(guard, **options).raises(error)


def refused(guard: Guard, **options: Any) -> CircuitOpenError:
    """One call that is not let through."""
    refusal = Doing(guard, **options).refusal
    assert refusal is not None
    return refusal
