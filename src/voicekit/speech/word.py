"""A word, and when it sounds."""

from __future__ import annotations

from dataclasses import dataclass, field

Speaker = int | str
"""Whoever speaks, as the provider tells them apart: a number from 0, or a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word and when it sounds.

    Attributes:
        text: The word as it was recognised or spoken.
        start: Seconds from the start of the audio.
        end: Seconds from the start of the audio.
        confidence: 0 to 1.
        speaker: Index of the speaker, when asked for.
        punctuated: The word with its punctuation and capitals, when asked for.
    """

    text: str = field(repr=False)
    start: float
    end: float
    confidence: float | None = None
    speaker: Speaker | None = None
    punctuated: str | None = field(default=None, repr=False)
