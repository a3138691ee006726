"""What tells how a value came that a provider was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What such a value has besides its own fields.

    Attributes:
        timings: Where the time of its request went; None inside a page, which has it.
        connection: Which connection carried it; None inside a page.
        attempts: How often it was asked for.
        hedged: Whether a second attempt was made beside a slow first one.
        request_id: For the provider's support; None inside a page.
        headers: Response headers; empty inside a page.
        raw: The vendor's own object.
    """

    timings: Timings | None = field(default=None, compare=False, repr=False)
    connection: ConnectionInfo | None = field(default=None, compare=False, repr=False)
    attempts: int = field(default=0, compare=False, repr=False)
    hedged: bool = field(default=False, compare=False, repr=False)
    request_id: str | None = field(default=None, compare=False, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    raw: Any = field(default=None, compare=False, repr=False)
