"""How much of an account's limits is left."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One limit, as the provider said when it answered; None where it did not.

    Attributes:
        limit: How many fit into the provider's interval.
        remaining: How many of them are left.
        reset_s: Seconds until all of them are there again, counted from the answer.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The limits that a request counts towards.

    Attributes:
        requests: Of requests.
        tokens: Of tokens.
    """

    requests: RateLimit = field(default_factory=RateLimit)
    tokens: RateLimit = field(default_factory=RateLimit)
