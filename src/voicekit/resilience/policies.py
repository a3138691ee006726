"""``Policies``: what stands between a call and the network, as a client or a call is given it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from voicekit.errors import InvalidArgumentError
from voicekit.resilience.breaker import Breaker
from voicekit.resilience.guard import Guard
from voicekit.resilience.hedge import Hedge
from voicekit.resilience.limit import Limit
from voicekit.resilience.retry import Retry

# One object each, so that "nothing was said" can be told from "this one, please".
_RETRY: Final = Retry()
_LIMIT: Final = Limit()
_BREAKER: Final = Breaker()

_KINDS: Final[dict[str, type[Guard]]] = {
    "retry": Retry,
    "hedge": Hedge,
    "limit": Limit,
    "breaker": Breaker,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Policies:
    """The policies around the opening of a call, in this order; None leaves one out.

    Each is a pattern: what was seen is kept by scope, on the transport. So clients and views
    with the same provider, address and credential that share a transport share it all; a rotated
    key begins anew. Retry, hedge and breaker are by operation, the limit is by credential, or by
    service where the provider counts speech and transcription apart.

    Equal where their settings are.

    Attributes:
        retry: Another attempt after one that failed.
        hedge: Another attempt beside one that is late. It is in place of ``retry``: both
            would multiply each other.
        limit: How many calls at a time.
        breaker: Refuses at once while the server fails, or while the credential is refused.

    Raises:
        InvalidArgumentError: One is something else, or both ``retry`` and ``hedge`` are given.

    Example:
        >>> tts = ElevenLabsClient(policies=Policies(retry=Retry(1), limit=Limit(10)))
        >>> llm = OpenAIClient(policies={"stream_chat": Policies(hedge=Hedge())})
        >>> await tts.synthesize("Hello", policies=NO_POLICIES)
    """

    retry: Retry | None = _RETRY
    hedge: Hedge | None = None
    limit: Limit | None = _LIMIT
    breaker: Breaker | None = _BREAKER
    _settings: Hashable = field(init=False)
    _hash: int = field(init=False)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            policy = getattr(self, name)
            if policy is not None and not isinstance(policy, kind):
                raise InvalidArgumentError(
                    f"got {policy!r}"
                    if isinstance(policy, Guard)
                    else f"got a {type(policy).__name__}",
                    argument=name,
                    allowed=f"a {kind.__name__}, or None",
                )
        if self.hedge is not None and self.retry is not None:
            if self.retry is not _RETRY:
                raise InvalidArgumentError(
                    "retry or hedge, not both: together they multiply what is asked of a server "
                    "that is slow already (docs/explanation/retry-or-hedge.md)",
                    argument="hedge",
                    allowed="one of both",
                )
            object.__setattr__(self, "retry", None)
        settings = tuple(None if part is None else part.settings for part in self._parts)
        object.__setattr__(self, "_settings", settings)
        object.__setattr__(self, "_hash", hash(settings))

    @property
    def _parts(self) -> tuple[Guard | None, ...]:
        return self.retry, self.hedge, self.limit, self.breaker

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policies) and self._settings == other._settings

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        parts = [repr(part) for part in self._parts if part is not None]
        return " → ".join(parts) or "no policies"


NO_POLICIES: Final = Policies(retry=None, limit=None, breaker=None)
"""One attempt and no more, whatever happened before."""
DEFAULT_POLICIES: Final = Policies()
"""What a client has unless it is told otherwise."""
