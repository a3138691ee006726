"""What every result says of how it came about."""

from __future__ import annotations


class Evidence:
    """Results that say how they came about. Some have not all of it.

    Attributes:
        timings: Where the time went.
        connection: Which connection carried it.
        attempts: How often it was asked for; 0 for one from a cache.
        hedged: Whether a second attempt was made beside a slow first one.
        request_id: The id of the HTTP request, for the provider's support.
        headers: Response headers.
        raw: The provider's own object.
    """

    __slots__ = ()
