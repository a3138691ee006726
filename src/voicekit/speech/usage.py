"""What a call consumed, as the provider counts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Billed quantities of one call; None where the provider does not say.

    Attributes:
        characters: Characters of text turned into speech.
        input_tokens: Prompt tokens, the cached ones included.
        output_tokens: Generated tokens, the reasoning ones included.
        total_tokens: As the provider adds them up.
        cached_input_tokens: Prompt tokens served from the provider's prompt cache.
        reasoning_tokens: Generated tokens that no one sees.
        audio_seconds: Seconds of audio transcribed or spoken.
        raw: The provider's own object.
    """

    characters: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_seconds: float | None = None
    raw: Any = field(default=None, repr=False, compare=False)
