"""Retries, budgets, breakers, limits, hedging: each alone around any awaitable, or composed.

Inside a client they are composed already; see ``Policies``. Around clients stand
``fallback`` and ``spread``, which are what they wrap; those two are loaded on first use, since
every client imports the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.lazy import loader
from voicekit.resilience.breaker import Breaker, BreakerStats
from voicekit.resilience.budget import Budget, BudgetStats
from voicekit.resilience.credential_circuit import CredentialCircuit, CredentialStats
from voicekit.resilience.guard import Guard
from voicekit.resilience.hedge import Hedge, HedgeStats
from voicekit.resilience.limit import Limit, LimitStats
from voicekit.resilience.policies import DEFAULT_POLICIES, NO_POLICIES, Policies
from voicekit.resilience.retry import Retry
from voicekit.resilience.scopes import OperationHealth
from voicekit.resilience.waiting import no_waits

if TYPE_CHECKING:
    from voicekit.resilience.members.fallback import fallback
    from voicekit.resilience.members.spread import spread

__all__ = [
    "DEFAULT_POLICIES",
    "NO_POLICIES",
    "Breaker",
    "BreakerStats",
    "Budget",
    "BudgetStats",
    "CredentialCircuit",
    "CredentialStats",
    "Guard",
    "Hedge",
    "HedgeStats",
    "Limit",
    "LimitStats",
    "OperationHealth",
    "Policies",
    "Retry",
    "fallback",
    "no_waits",
    "spread",
]

if not TYPE_CHECKING:  # so that a type checker still finds a typo
    __getattr__ = loader(__name__, {"fallback": ".members.fallback", "spread": ".members.spread"})
