"""Many calls over one budget, in thousands of orders, with cancellations among them."""

from __future__ import annotations

import asyncio
import random

from interleaving import interleavings
from voicekit import events
from voicekit.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    OutcomeUnknownError,
    RateLimitError,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.retry import Retry
from voicekit.testing import RecordingObserver
from voicekit.timing import ConnectionInfo

WARM = ConnectionInfo(reused=True)
ERRORS = (
    ConnectError,
    ConnectionLostError,
    RateLimitError,
    UnavailableError,
    AuthenticationError,
)


class Server:
    """Sees each attempt of one call; fails as its generator says."""

    def __init__(self, rng: random.Random, failing: float) -> None:
        self._rng, self._failing = rng, failing
        self.outcomes: list[str] = []

    async def __call__(self, call: Call) -> int:
        call.sent(WARM)
        await asyncio.sleep(self._rng.choice((0, 0, 0.1, 0.5)))
        if self._rng.random() >= self._failing:
            self.outcomes.append("applied")
            return call.id
        error = self._rng.choice(ERRORS)()
        if isinstance(error, RateLimitError):
            error.retry_after = self._rng.choice((None, 0.0, 1.0, 30.0))
        self.outcomes.append(error.outcome)
        raise error


async def scenario(rng: random.Random) -> None:
    """Each call gets its own result or error, and the budget knows what was sent."""
    budget = Budget(rng.choice((0.0, 1.0, 3.0, 10.0)), rng.choice((0.0, 0.1, 0.5)))
    size, per_call = budget.left, float(repr(budget).split(" + ")[1].removesuffix("/call"))
    retries = [Retry(budget=budget, rng=rng) for _ in range(2)]
    recorder = RecordingObserver()
    failing = rng.choice((0.2, 0.6, 1.0))
    calls: list[tuple[Call, Server, asyncio.Task[int]]] = []
    for number in range(rng.randint(2, 8)):
        kind = rng.choice(list(OperationClass))
        operation = Operation(
            provider="testing", name="test", kind=kind, limits=Limits(connect=None)
        )
        call, server = Call(operation, observer=recorder), Server(rng, failing)
        pipeline = Pipeline((retries[number % 2],))
        calls.append((call, server, asyncio.create_task(pipeline.open(call, server))))

    async def cancel_some() -> None:
        for _, _, task in calls:
            await asyncio.sleep(rng.choice((0, 0, 0.1, 0.3)))
            if rng.random() < 0.3:
                task.cancel()

    await cancel_some()
    await asyncio.wait([task for _, _, task in calls])

    attempts = 0
    begun = 0
    for call, server, task in calls:
        made = len(server.outcomes) + (task.cancelled() and call.attempts > len(server.outcomes))
        assert call.attempts == made <= 3
        attempts += made
        begun += made > 0
        check(call, server, task)
        ends = [e for e in recorder.events if isinstance(e, events.CallEnded) and e.call == call.id]
        succeeded = not task.cancelled() and task.exception() is None
        assert len(ends) == (made > 0 and not succeeded)  # what was opened goes on
    assert attempts <= begun * (1 + per_call) + size
    stats = budget.stats()
    assert (stats.calls, stats.taken) == (begun, attempts - begun)
    assert 0 <= stats.left <= stats.size


def check(call: Call, server: Server, task: asyncio.Task[int]) -> None:
    """One outcome of one call against what its server saw."""
    seen = server.outcomes
    match call.operation.kind:
        case OperationClass.EFFECT:
            assert "unknown" not in seen[:-1]
            assert seen.count("applied") + seen.count("unknown") <= 1
        case OperationClass.COMPUTE:
            assert seen[:-1].count("unknown") <= 1
        case _:
            pass
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        assert task.result() == call.id
        assert seen[-1] == "applied"
        return
    assert isinstance(error, VoicekitError)
    assert error.outcome == ("unknown" if "unknown" in seen else "not_applied")
    effect = call.operation.kind is OperationClass.EFFECT and seen[-1] == "unknown"
    assert isinstance(error, OutcomeUnknownError) == effect
    if error.retryable:
        assert error.retry_stopped in {"attempts", "budget", "retry_after", "unknown_outcome"}


def test_calls_that_share_a_budget() -> None:
    """Whatever the order: the bound holds, nothing is doubled, nothing of a budget is lost."""
    interleavings(scenario)
