"""What the policies protect from, and what protects them."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from mutations import Mutation, constant, straight, swap, wrap

from voicekit import operation
from voicekit.operation import OperationClass
from voicekit.resilience import breaker, hedge, repeats, retry
from voicekit.resilience.breaker import Breaker
from voicekit.resilience.breaker_verdict import Verdict, verdict_of
from voicekit.resilience.budget import Budget
from voicekit.resilience.credential_circuit import CredentialCircuit
from voicekit.resilience.hedge import Hedge
from voicekit.resilience.limit import Limit, _Place
from voicekit.resilience.limit_state import LimitState
from voicekit.resilience.open_period import OpenPeriod
from voicekit.resilience.race import Race
from voicekit.resilience.repeats import verdict
from voicekit.resilience.retry import Retry, _Repeats
from voicekit.wire import retry_after

_CHAT, _SPEECH, _EFFECT = "openai.chat", "elevenlabs.stream_speech", "twilio.send_message"


def _any_class(error: Exception, kind: Any, **facts: Any) -> Any:
    del kind
    return verdict(error, OperationClass.IDEMPOTENT, **facts)


def _forgetful(error: Exception, kind: Any, *, unknown_before: int, **facts: Any) -> Any:
    del unknown_before
    return verdict(error, kind, unknown_before=0, **facts)


def _cancellation_fails(error: BaseException, ignore: Any = ()) -> Verdict:
    if isinstance(error, asyncio.CancelledError):
        return Verdict.FAILED
    return verdict_of(error, ignore)


def _same_generation(enter: Any) -> Any:
    def mutated(self: Any, state: Any) -> None:
        enter(self, state)
        self._generation = 0

    return mutated


def _only_all(_too_many: Any) -> Any:
    """As plain pybreaker: it takes failures in a row."""

    def mutated(self: Any) -> bool:
        seen = self._window
        return bool(seen.calls >= self._least_calls and seen.failure_rate == 1)

    return mutated


def _let_in(self: Any, _now: float) -> int:
    self._probes_begun += 1
    self._under_way[self._probes_begun] = float("inf")
    return int(self._probes_begun)


def _no_longest(init: Any) -> Any:
    def mutated(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self._longest_wait = 1e9

    return mutated


def _for_ever(init: Any) -> Any:
    def mutated(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self._probe_limit = 1e9

    return mutated


def _without_end(self: Any, waiter: Any) -> bool:
    self.waiting[waiter] = None
    return True


def _kept_up(self: Any, call: Any) -> bool:
    del self
    return bool(call.replayable)


async def _not_ended(_race: Any) -> None:
    """The loser of a race is left to itself."""


_WALL = SimpleNamespace(monotonic=lambda: time.time())  # noqa: PLW0108 - a cell moves it

MUTATIONS = (
    Mutation(
        name="what may be repeated is repeated",
        without=swap(Retry, __call__=straight),
        cells=((_CHAT, "20"),),
        says="50",
    ),
    Mutation(
        name="an effect that may have happened is not repeated",
        without=swap(retry, verdict=_any_class),
        cells=((_EFFECT, "13b"), (_EFFECT, "20")),
        says="succeeded|I3",
    ),
    Mutation(
        name="what may have been computed is computed once more at most",
        without=swap(retry, verdict=_forgetful),
        cells=((_CHAT, "18"),),
        says="more than twice",
    ),
    Mutation(
        name="a provider's wait has a longest",
        without=wrap(Retry, "__init__", _no_longest),
        cells=((_CHAT, "21"),),
        says="waited for|succeeded",
    ),
    Mutation(
        name="a wait must fit into what the call has left",
        without=swap(retry, fits=constant(True)),
        cells=((_CHAT, "21"),),
        says="waited for|succeeded|TotalTimeout",
    ),
    Mutation(
        name="repeats are paid for",
        without=swap(Budget, take=constant(True)),
        cells=((_CHAT, "22b"),),
        says="the budget pays",
    ),
    Mutation(
        name="breaker: it opens",
        without=swap(Breaker, __call__=straight),
        cells=((_CHAT, "22"),),
        says="were refused",
    ),
    Mutation(
        name="breaker: failures need not be in a row",
        without=wrap(Breaker, "_too_many", _only_all),
        cells=((_CHAT, "23"),),
        says="still closed",
    ),
    Mutation(
        name="breaker: so many probes at a time",
        without=swap(Breaker, _take_place=_let_in),
        cells=((_CHAT, "24"),),
        says="probes at a time",
    ),
    Mutation(
        name="breaker: what comes late counts for nothing",
        without=wrap(Breaker, "_enter", _same_generation),
        cells=((_CHAT, "24"),),
        says="came late|circuit is open",
    ),
    Mutation(
        name="breaker: who leaves is no failure",
        without=swap(breaker, verdict_of=_cancellation_fails),
        cells=((_CHAT, "41"), (_EFFECT, "41")),
        says="CircuitOpen",
    ),
    Mutation(
        name="breaker: slow calls count",
        without=swap(Breaker, _slow_limit=constant(None)),
        cells=((_CHAT, "25"),),
        says="pile up",
    ),
    Mutation(
        name="a refused key is not tried again by the next caller",
        without=swap(CredentialCircuit, __call__=straight),
        cells=((_CHAT, "26b"),),
        says="status 401",
    ),
    Mutation(
        name="limit: so many calls at a time",
        without=swap(Limit, __call__=straight),
        cells=((_CHAT, "21b"),),
        says="at a time",
    ),
    Mutation(
        name="limit: a place comes back when its call ends",
        without=swap(_Place, release=constant(None)),
        cells=((_CHAT, "21b"), (_SPEECH, "21b")),
        says="OverloadedError",
    ),
    Mutation(
        name="limit: so many wait for a place",
        without=swap(LimitState, join=_without_end),
        cells=((_CHAT, "21b"),),
        says="turned away",
    ),
    Mutation(
        name="limit: what was too much is asked no more",
        without=swap(LimitState, _lower=constant(None)),
        cells=((_CHAT, "21c"),),
        says="of whom two are taken",
    ),
    Mutation(
        name="limit: a pause that the provider asks for is everybody's",
        without=swap(LimitState, pause=constant(None)),
        cells=((_CHAT, "21c"),),
        says="of a pause",
    ),
    Mutation(
        name="breaker: a probe that hangs gives its place up",
        without=wrap(Breaker, "__init__", _for_ever),
        cells=((_CHAT, "24b"),),
        says="keep their places",
    ),
    Mutation(
        name="breaker: each period is twice as long",
        without=swap(OpenPeriod, next=lambda self: self.open_for),
        cells=((_CHAT, "24b"),),
        says="of a server that stays down",
    ),
    Mutation(
        name="a stale connection is made up for at once",
        without=swap(_Repeats, _is_stale=constant(False)),
        cells=((_CHAT, "13b"),),
        says="repeats were waited for",
    ),
    Mutation(
        name="a repeat that was not sent is paid back",
        without=swap(_Repeats, _give_back=constant(None)),
        cells=((_CHAT, "41b"),),
        says="failed: RateLimit",
    ),
    Mutation(
        name="an effect is not begun with too little time",
        without=swap(repeats, _LEAST_LEFT=dict.fromkeys(OperationClass, 0.005)),
        cells=((_EFFECT, "21"),),
        says="0.39: it was waited for",
    ),
    Mutation(
        name="a Retry-After that is a date is read",
        without=swap(retry_after, http_date=constant(None)),
        cells=((_CHAT, "21"),),
        says="a date: ",
    ),
    Mutation(
        name="hedge: a late answer is asked for once more",
        without=swap(Hedge, __call__=straight),
        cells=((_CHAT, "19"),),
        says="p99",
    ),
    Mutation(
        name="hedge: never what acts",
        without=swap(hedge, _MAY_BE_DOUBLED=frozenset(OperationClass)),
        cells=((_EFFECT, "19"),),
        says="never asked for twice|I3",
    ),
    Mutation(
        name="hedge: second attempts are paid for",
        without=swap(Hedge, _may_begin=_kept_up),
        cells=((_CHAT, "19b"),),
        says="the budget pays",
    ),
    Mutation(
        name="hedge: the loser has ended before the answer is given",
        without=swap(Race, end=_not_ended),
        cells=((_CHAT, "19"),),
        says="outlives its call",
    ),
    Mutation(
        name="limits read no wall clock",
        without=swap(operation, time=_WALL),
        cells=((_CHAT, "43"),),
        says="TotalTimeout|not done|I1|I4|failed",
    ),
)
