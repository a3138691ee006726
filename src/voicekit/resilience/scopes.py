"""Which policies a client's calls go through: composed once, and kept where others find them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from voicekit.pipeline import Pipeline, Policy
from voicekit.resilience.breaker import Breaker, BreakerStats
from voicekit.resilience.credential_circuit import CredentialCircuit, CredentialStats
from voicekit.resilience.guard import Guard
from voicekit.resilience.hedge import Hedge, HedgeStats
from voicekit.resilience.limit import Limit, LimitStats
from voicekit.resilience.retry import Retry

if TYPE_CHECKING:
    from voicekit.operation import Operation
    from voicekit.resilience.budget import BudgetStats
    from voicekit.resilience.policies import Policies

G = TypeVar("G", bound=Guard)

_CIRCUIT: Final = CredentialCircuit()
_MOST_PIPELINES: Final = 256
"""Kept by one client. Operations are few, and so are the policies that calls name; if each call
brings new ones, composing them anew costs some microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationHealth:
    """What the policies of one operation have seen; None for one that it has not.

    Attributes:
        breaker: Whether calls are let through.
        retry: What pays for repeats; None without a budget, too.
        hedge: Second attempts.
    """

    breaker: BreakerStats | None = None
    retry: BudgetStats | None = None
    hedge: HedgeStats | None = None


class Scopes:
    """The pipelines of one client and its views.

    Args:
        shared: Keeps a policy with what it has seen, for all who have the same key.
        where: What every key begins with: provider and address.
        credential: Its fingerprint, now.
        renewal: What asks for another key when one is refused, where that can be done.
    """

    __slots__ = ("__weakref__", "_credential", "_renewal", "_shared", "_where", "_who", "kept")

    def __init__(
        self,
        shared: Callable[[Hashable, Callable[[], Any]], Any],
        where: tuple[Hashable, ...],
        *,
        credential: Callable[[], Hashable],
        renewal: Callable[[], Policy | None],
    ) -> None:
        self._shared = shared
        self._where = where
        self._credential = credential
        self._renewal = renewal
        self._who = credential()
        self.kept: dict[tuple[str, Policies], Pipeline] = {}
        """By operation and policies; what a call looks up."""

    def pipeline(self, operation: Operation, policies: Policies) -> Pipeline:
        """The policies of an operation, composed when they are first asked for."""
        key = (operation.name, policies)
        pipeline = self.kept.get(key)
        if pipeline is None:
            if len(self.kept) >= _MOST_PIPELINES:
                self.kept.clear()
            pipeline = self.kept[key] = self._compose(operation, policies)
        return pipeline

    def _compose(self, operation: Operation, policies: Policies) -> Pipeline:
        name = operation.name
        hedge, limit, breaker = policies.hedge, policies.limit, policies.breaker
        layers: list[Policy | None] = [
            self._of(policies.retry, name),
            self._of(hedge, name),
            self._renewal(),
            self._of(limit, operation.service or None),
            None if breaker is None else self._of(_CIRCUIT),
            self._of(breaker, name),
        ]
        return Pipeline(tuple(layer for layer in layers if layer is not None))

    def _of(self, pattern: G | None, part: str | None = None) -> G | None:
        """The one of this operation or service; of the whole credential, where none is named."""
        if pattern is None:
            return None
        kind = type(pattern).__qualname__
        key = (*self._where, self._who, part, kind, pattern.settings)
        found: G = self._shared(key, pattern.fresh)
        return found

    def credential_changed(self) -> None:
        """Another key is in force. What the last one was refused for is no longer true."""
        who = self._credential()
        if who != self._who:
            self._who = who
            self.kept.clear()
            return
        for circuit in self._all(CredentialCircuit):  # the same callable, with another key
            circuit.reset()

    def _all(self, kind: type[G]) -> list[G]:
        """Those of that kind in all pipelines, each once."""
        found = (part for pipeline in self.kept.values() for part in pipeline.policies)
        return list(dict.fromkeys(part for part in found if isinstance(part, kind)))

    def operations(self, policies_of: Callable[[str], Policies]) -> Mapping[str, OperationHealth]:
        """Of each operation that was called: what its policies have seen."""
        return {
            name: OperationHealth(
                breaker=_stats(pipeline, Breaker),
                retry=_stats(pipeline, Retry),
                hedge=_stats(pipeline, Hedge),
            )
            for (name, policies), pipeline in self.kept.items()
            if policies == policies_of(name)
        }

    def limit(self) -> LimitStats | None:
        """The busiest one: services may have their own, and calls may name others."""
        found = [limit.stats() for limit in self._all(Limit)]
        return max(found, key=lambda stats: stats.in_flight + stats.queued, default=None)

    def credential(self) -> CredentialStats | None:
        """Whether the credential is refused."""
        found = self._all(CredentialCircuit)
        return found[0].stats() if found else None

    def breaker(self, operation: Operation, policies: Policies) -> Breaker | None:
        """The live one of an operation."""
        return _find(self.pipeline(operation, policies), Breaker)


def _find(pipeline: Pipeline, kind: type[G]) -> G | None:
    return next((part for part in pipeline.policies if isinstance(part, kind)), None)


def _stats(pipeline: Pipeline, kind: type[Guard]) -> Any:
    found = _find(pipeline, kind)
    return None if found is None else found.stats()
