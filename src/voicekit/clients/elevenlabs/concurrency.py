"""How much of an account's concurrency is in use, as its answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class _Answered(Protocol):
    """A stream, a clip, a page: whatever has the headers of a response."""

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Requests in flight in the model's group when an answer began, and how many may be.

    Beyond the maximum the vendor queues, which costs about 50 ms, and refuses once the queue
    is full. Source: models page, concurrency, August 2025.

    Attributes:
        current: In flight, this one included.
        maximum: That the plan allows at once.

    Example:
        >>> clip = await tts.synthesize("Hello")
        >>> Concurrency.of(clip)
        Concurrency(current=1, maximum=10)
    """

    current: int
    maximum: int

    @classmethod
    def of(cls, result: _Answered) -> Concurrency | None:
        """What the headers of a stream, a clip or another result say; None where nothing."""
        said = read_capacity(result.headers)
        return None if said is None else cls(current=said[0], maximum=said[1])


def read_capacity(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Requests in flight and allowed, for the concurrency limit; None where nothing is said."""
    current = _count(headers.get("current-concurrent-requests"))
    maximum = _count(headers.get("maximum-concurrent-requests"))
    return None if current is None or maximum is None else (current, maximum)


def _count(value: str | None) -> int | None:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return int(value)
