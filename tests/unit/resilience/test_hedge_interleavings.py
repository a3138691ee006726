"""Hedging under thousands of orders in which tasks may take their steps."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from rivals import Answer, Does, Permits, Provider, check_events, operation

from interleaving import interleavings
from voicekit.errors import UnavailableError
from voicekit.events import AttemptStarted, HedgeEnded, HedgeStarted
from voicekit.operation import Call
from voicekit.pipeline import Pipeline
from voicekit.resilience.budget import Budget
from voicekit.resilience.hedge import Hedge
from voicekit.testing import RecordingObserver

AFTER = 0.2
# Few, and multiples of the delay's half: everything happens at once as often as can be.
TIMES = (0.0, 0.1, 0.2, 0.3, 0.4)


def drawn(rng: random.Random) -> Does:
    return Does(
        takes=rng.choice(TIMES),
        error=UnavailableError("no") if rng.random() < 0.3 else None,
        lingers=rng.choice((0.0, 0.0, 0.1)),
        deaf=rng.random() < 0.2,
    )


def test_every_interleaving_of_attempts_callers_and_cancellations() -> None:
    """One terminal event and at most one first output for each call; losers ended and freed; no
    permit lost; the evidence is the winner's; the budget is spent once for each hedge.
    """
    happened: Counter[str] = Counter()

    async def scenario(rng: random.Random) -> None:
        budget = Budget(2.0, 0.25)
        policy = Hedge(AFTER, budget=budget, clock=asyncio.get_running_loop().time)
        permits = Permits()

        async def caller() -> None:
            seen = RecordingObserver()
            provider = Provider(drawn(rng), drawn(rng))
            call = Call(operation(), observer=seen)
            task = asyncio.ensure_future(
                Pipeline((policy, permits)).open(call, provider), loop=asyncio.get_running_loop()
            )
            patience = rng.choice((*TIMES, 9.0, 9.0))
            await asyncio.wait([task], timeout=patience)
            task.cancel()
            await asyncio.wait([task])
            happened[check(task, call, provider, seen)] += 1
            happened["hedged"] += call.hedged

        await asyncio.gather(*(caller() for _ in range(3)))
        assert permits.held == 0
        stats = policy.stats()
        assert budget.stats().taken == stats.hedges

    interleavings(scenario, range(2000))
    assert min(happened[each] for each in ("first", "second", "error", "cancelled")) > 100
    assert happened["hedged"] > 1000


def check(task: asyncio.Task[Any], call: Call, provider: Provider, seen: RecordingObserver) -> str:
    """What must hold of one call that is over; how it ended."""
    assert provider.running == 0, "an attempt outlives its call"
    begun = len(seen.of(AttemptStarted))
    assert provider.begun == call.attempts == begun <= 2
    answer: Answer | None = None
    how = "cancelled" if task.cancelled() else "error"
    if not task.cancelled() and task.exception() is None:
        answer = task.result()
        assert answer.call is call
        assert call.request_id == f"r{answer.number}"
        call.end()
        how = "first" if answer.number == 1 else "second"
    elif not task.cancelled():
        assert task.exception() is provider.scripts[0].error, "the first one's error surfaces"
        assert not provider.answers, "an answer was there, and an error is what the caller got"
    for each in provider.answers:
        assert each.freed == (each is not answer)
    if call.ended_at is not None:
        check_events(seen)
    for over in seen.of(HedgeEnded):
        assert over.winner == (None if answer is None else answer.number)
        assert over.loser_s >= 0
    assert len(seen.of(HedgeStarted)) == len(seen.of(HedgeEnded)) == call.hedged
    return how
