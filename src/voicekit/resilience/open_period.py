"""How long a circuit stays open: longer each time that a probe finds nothing better."""

from __future__ import annotations

import math
import random
from typing import Final

from voicekit.resilience.guard import check, number

_JITTER: Final = 0.2
"""Periods are shorter by up to this share, lest a thousand clients probe in one moment."""


class OpenPeriod:
    """Seconds, doubled from ``open_for`` up to ``longest_open``, a little less by chance."""

    __slots__ = ("_in_a_row", "longest_open", "open_for", "rng")

    def __init__(self, open_for: float, longest_open: float, rng: random.Random | None) -> None:
        check("open_for", open_for, 0 < number(open_for) < math.inf, "seconds > 0")
        check("longest_open", longest_open, number(longest_open) >= open_for, "≥ open_for")
        self.open_for, self.longest_open = open_for, longest_open
        self.rng = rng or random.Random()
        self._in_a_row = 0

    def next(self) -> float:
        """The next period, in seconds."""
        doubled = math.ldexp(self.open_for, min(self._in_a_row, 64))
        self._in_a_row += 1
        return min(doubled, self.longest_open) * (1 - _JITTER * self.rng.random())

    def start_over(self) -> None:
        """All is well again."""
        self._in_a_row = 0

    def __repr__(self) -> str:
        return f"open {self.open_for:g}–{self.longest_open:g} s"
