"""A chat model's answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicekit.speech.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.speech.rate_limits import RateLimits
    from voicekit.speech.usage import Usage
    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model asks for a function to be called.

    Attributes:
        id: Given back with the function's result.
        name: Name of the function.
        arguments: JSON text exactly as the model wrote it; it may be invalid JSON.
    """

    id: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult(Evidence):
    """A whole answer, with the evidence of how it came about.

    Attributes:
        text: What the model said; empty when it only called tools or refused.
        refusal: What it said instead of answering, or None.
        tool_calls: In the order the model opened them.
        finish_reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``
            or a newer word of the provider; None when it gave none.
        usage: Tokens, when the provider reported them.
        model: The model that answered, as the provider names it.
        id: The id of the answer itself.
        service_tier: Which of the provider's tiers served it, when it says so; under load it
            may be another than was asked for.
        rate_limits: What is left of the account's limits, when the provider says so.
        cache: ``"hit"`` or ``"joined"`` when it is a cache's, else None.
    """

    text: str = field(repr=False)
    refusal: str | None = field(default=None, repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    id: str | None = None
    service_tier: str | None = None
    rate_limits: RateLimits | None = field(default=None, compare=False)
    cache: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)
