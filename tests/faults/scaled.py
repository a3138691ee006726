"""The default policies, a tenth as patient: everything else is what a client has by itself."""

from __future__ import annotations

from typing import Any

from voicekit.resilience.breaker import Breaker
from voicekit.resilience.hedge import Hedge
from voicekit.resilience.limit import Limit
from voicekit.resilience.policies import Policies
from voicekit.resilience.retry import Retry


def policies(**others: Any) -> Policies:
    """Those of every cell; ``others`` in their place."""
    return Policies(**{"retry": retry(), "limit": limit(), "breaker": breaker()} | others)


def retry(**others: Any) -> Retry:
    settings: dict[str, Any] = {"base": 0.03, "longest": 0.8, "longest_wait": 1.5}
    return Retry(**settings | others)


def limit(most: int | None = None, **others: Any) -> Limit:
    return Limit(most, **{"max_wait": 0.5} | others)


def breaker(**others: Any) -> Breaker:
    settings: dict[str, Any] = {"window": 3.0, "open_for": 0.5, "longest_open": 6.0}
    return Breaker(**settings | {"probe_limit": 3.0} | others)


def hedge(after: float) -> Hedge:
    return Hedge(after)
