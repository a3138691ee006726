"""One written sign and when it sounds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One character of a text and when it sounds.

    Attributes:
        text: The character; white space and punctuation have a time, too.
        start: Seconds from the start of the whole speech.
        end: Seconds from the start of the whole speech.
    """

    text: str = field(repr=False)
    start: float
    end: float
