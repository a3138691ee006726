"""Hedging under every order of events that Hypothesis can think of, on a virtual clock.

The machine is the provider and the clock, and keeps books of its own: who was asked when, what
the budget holds, how long first attempts took. After each event the policy must have done what
the books say, no more and no less.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicekit.errors import UnavailableError
from voicekit.events import CallEnded, FirstOutput, HedgeEnded, HedgeStarted
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.hedge import Hedge
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VirtualLoop

# All times are multiples of a power of two, so that sums of them are exact.
LEAST = 3
QUANTILE = 0.75
SIZE, PER_CALL = 2.0, 0.25
EVERY_TURN = 12


class Answer:
    def __init__(self) -> None:
        self.freed = 0

    def abandon(self) -> None:
        self.freed += 1


@dataclass(eq=False)
class Attempt:
    """One request at the provider: ``outcome`` is what it waits for."""

    outcome: asyncio.Future[Any]
    cancelled: bool = False
    failed: bool = False


@dataclass(eq=False)
class Caller:
    """One call, as the books have it."""

    began_at: float
    after: float | None
    doubles: bool
    seen: RecordingObserver = field(default_factory=RecordingObserver)
    attempts: list[Attempt] = field(default_factory=list)
    task: Any = None
    call: Any = None
    decided: bool = False
    uploaded: bool = False
    first_failed_at: float | None = None

    def running(self) -> list[Attempt]:
        return [each for each in self.attempts if not (each.cancelled or each.failed)]


class HedgeMachine(RuleBasedStateMachine):
    """Plays provider, clock and callers."""

    @initialize(after=st.sampled_from([None, 0.5]))
    def start(self, after: float | None) -> None:
        self.loop = VirtualLoop()
        self.fixed = after
        self.tokens = SIZE
        self.samples: list[float] = []
        self.calls = self.hedges = self.wins = 0
        self.callers: list[Caller] = []
        self.finished: list[Caller] = []
        self.policy = Hedge(
            after,
            quantile=QUANTILE,
            least_samples=LEAST,
            budget=Budget(SIZE, PER_CALL),
            clock=self.loop.time,
        )

    # -- the books -----------------------------------------------------------------

    def delay(self) -> float | None:
        if self.fixed is not None:
            return self.fixed
        if len(self.samples) < LEAST:
            return None
        return sorted(self.samples)[math.ceil(QUANTILE * len(self.samples)) - 1]

    def learn(self, caller: Caller, *, succeeded: bool) -> None:
        if not caller.doubles or self.fixed is not None:
            return
        failed_at = caller.first_failed_at
        took = (self.loop.time() if failed_at is None else failed_at) - caller.began_at
        if succeeded or (caller.after is not None and took > caller.after):
            self.samples.append(took)

    def settle(self, seconds: float = 0.0) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            for _ in range(EVERY_TURN):
                await asyncio.sleep(0)

        self.loop.run_until_complete(wait())

    def end(self, caller: Caller) -> None:
        self.callers.remove(caller)
        self.finished.append(caller)

    # -- events --------------------------------------------------------------------

    @rule(kind=st.sampled_from([*[OperationClass.COMPUTE] * 3, *OperationClass]))
    @precondition(lambda self: len(self.callers) < 3)
    def ask(self, kind: OperationClass) -> None:
        doubles = kind in {OperationClass.COMPUTE, OperationClass.PURE}
        caller = Caller(self.loop.time(), self.delay() if doubles else None, doubles)
        if doubles:
            self.calls += 1
            self.tokens = min(SIZE, self.tokens + PER_CALL)

        async def step(call: Call) -> Answer:
            attempt = Attempt(self.loop.create_future())
            caller.attempts.append(attempt)
            try:
                answer: Answer = await attempt.outcome
            except asyncio.CancelledError:
                attempt.cancelled = True
                raise
            call.request_id = str(caller.attempts.index(attempt))
            call.committed()
            return answer

        operation = Operation(provider="fake", name="try", kind=kind, limits=Limits(connect=None))
        caller.call = Call(operation, observer=caller.seen)
        caller.task = self.loop.create_task(Pipeline((self.policy,)).open(caller.call, step))
        self.callers.append(caller)
        self.settle()
        assert len(caller.attempts) == 1

    @rule(seconds=st.sampled_from([0.0625, 0.25, 0.5, 1.0]))
    def time_passes(self, seconds: float) -> None:
        # One boundary at a time, lest several delays pass in an order that the books do not know.
        until = self.loop.time() + seconds
        while True:
            due = sorted(
                (caller.began_at + caller.after, place)
                for place, caller in enumerate(self.callers)
                if caller.after is not None and not caller.decided
            )
            if not due or due[0][0] > until:
                break
            at = due[0][0]
            same = [each for each in due if each[0] == at]
            wanted = sum(not self.callers[place].uploaded for _, place in same)
            payable = wanted <= 1 or self.tokens >= wanted or self.tokens < 1
            if not payable:  # which of them gets the last token is nobody's promise
                for _, other in same:
                    self.callers[other].decided = True
                self.settle(at - self.loop.time())
                for _, other in same:
                    if len(self.callers[other].attempts) == 2:
                        self.tokens -= 1
                        self.hedges += 1
                assert self.tokens < 1
                continue
            self.settle(at - self.loop.time())
            for _, other in same:
                caller = self.callers[other]
                caller.decided = True
                begins = not caller.uploaded and self.tokens >= 1
                self.tokens -= begins
                self.hedges += begins
                assert len(caller.attempts) == 1 + begins
        self.settle(until - self.loop.time())

    @rule(data=st.data())
    @precondition(lambda self: self.callers)
    def an_upload_begins_that_can_be_read_once(self, data: Any) -> None:
        caller = data.draw(st.sampled_from(self.callers))
        caller.call.replayable = False
        caller.uploaded = True

    @rule(data=st.data(), both=st.booleans())
    @precondition(lambda self: self.callers)
    def an_attempt_succeeds(self, data: Any, both: bool) -> None:
        self.time_passes(0.0625)  # nothing takes no time
        caller = data.draw(st.sampled_from(self.callers))
        running = caller.running()
        winners = running if both else [data.draw(st.sampled_from(running))]
        answers = {id(each): Answer() for each in winners}
        for each in winners:
            each.outcome.set_result(answers[id(each)])
        self.learn(caller, succeeded=caller.attempts[0] in winners)
        self.settle()
        assert caller.task.done()
        winner = winners[0]
        assert caller.task.result() is answers[id(winner)]
        assert [answers[id(each)].freed for each in winners] == [0, 1][: len(winners)]
        assert caller.call.request_id == str(caller.attempts.index(winner))
        for each in running:
            assert each in winners or each.cancelled, "a loser that nobody has stopped"
        self.wins += winner is not caller.attempts[0]
        caller.call.end()
        self.check_end(caller, "ok", 1 + caller.attempts.index(winner))

    @rule(data=st.data())
    @precondition(lambda self: self.callers)
    def an_attempt_fails(self, data: Any) -> None:
        caller = data.draw(st.sampled_from(self.callers))
        attempt = data.draw(st.sampled_from(caller.running()))
        attempt.failed = True
        attempt.outcome.set_exception(UnavailableError(str(caller.attempts.index(attempt))))
        if attempt is caller.attempts[0]:
            caller.first_failed_at = self.loop.time()
        left = caller.running()
        self.settle()
        assert caller.task.done() == (not left), "a failure ended what could still succeed"
        if not left:
            self.learn(caller, succeeded=False)
            assert caller.task.exception().message == "0", "the first one's error surfaces"
            self.check_end(caller, "error", None)

    @rule(data=st.data())
    @precondition(lambda self: self.callers)
    def a_caller_leaves(self, data: Any) -> None:
        caller = data.draw(st.sampled_from(self.callers))
        running = caller.running()
        caller.task.cancel()
        self.learn(caller, succeeded=False)
        self.settle()
        assert caller.task.cancelled()
        assert all(each.cancelled for each in running)
        self.check_end(caller, "cancelled", None)

    def check_end(self, caller: Caller, result: str, winner: int | None) -> None:
        seen = caller.seen
        (ended,) = seen.of(CallEnded)
        assert seen.events[-1] is ended
        assert ended.result == result
        assert ended.attempts == len(caller.attempts)
        assert len(seen.of(FirstOutput)) == (result == "ok")
        hedged = len(caller.attempts) == 2
        assert ended.hedged is hedged
        assert [event.after for event in seen.of(HedgeStarted)] == [caller.after] * hedged
        assert [event.winner for event in seen.of(HedgeEnded)] == [winner] * hedged
        self.end(caller)

    # -- what always holds -----------------------------------------------------------

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "policy"):
            return
        stats = self.policy.stats()
        assert (stats.calls, stats.hedges, stats.wins) == (self.calls, self.hedges, self.wins)
        assert stats.after == self.policy.after == self.delay()
        assert stats.hedges <= SIZE + PER_CALL * stats.calls, "amplification beyond the budget"
        tasks = asyncio.all_tasks(self.loop)
        alive = sum(len(caller.running()) for caller in self.callers if caller.after is not None)
        assert len(tasks) == len(self.callers) + alive, "a task too many, or too few"

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for caller in list(self.callers):
            caller.task.cancel()
        self.settle()
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()


TestHedge = HedgeMachine.TestCase
TestHedge.settings = settings(max_examples=100, stateful_step_count=30)
