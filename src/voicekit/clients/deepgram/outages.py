"""Whether and when a lost connection is replaced. Decides; does nothing itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from voicekit.errors import FirstOutputTimeout, GapTimeout, TotalTimeout, VoicekitError

FIRST_DELAY_S: Final = 0.15
MAX_DELAY_S: Final = 3.0
"""Source: this project's table of limits, live transcription: 0.15 → 3."""

MAX_FAILURES: Final = 10
"""Connections lost or refused in a row before it is given up: about 15 s of waiting."""

MAX_HANGS: Final = 3
"""Of them, those that said nothing until a limit passed: each takes the whole gap limit."""

STEADY_S: Final = 10.0
"""Seconds after which a connection that owes nothing counts as a good one: as long as the
vendor takes to close one that it finds idle (sheet §3)."""


@dataclass(slots=True, kw_only=True)
class Outages:
    """Counts what went wrong since something went well.

    Attributes:
        failures: Connections lost or refused, in a row.
        hangs: Those that said nothing, of these.
        furthest: Second of the session up to which anything was heard.
        reason: Why it was given up, for ``retry_stopped``.
    """

    failures: int = 0
    hangs: int = 0
    furthest: float = 0.0
    reason: str | None = None

    def lost(self, *, heard_s: float, lived_s: float, owed: bool) -> None:
        """A connection was lost that had been up for some time.

        Only progress counts as a good sign: audio that breaks each connection which hears it
        must not be sent for ever.
        """
        if heard_s > self.furthest + 1e-3 or (lived_s >= STEADY_S and not owed):
            self.failures = self.hangs = 0
        self.furthest = max(self.furthest, heard_s)

    def delay(self, error: VoicekitError, most: float) -> float | None:
        """Seconds to wait before the next dial; None to give up, see ``reason``.

        Waits of more than ``most`` seconds, whose audio cannot be kept, make no sense.
        """
        if not error.retryable or isinstance(error, TotalTimeout):
            self.reason = "not retryable"
            return None
        if isinstance(error, GapTimeout | FirstOutputTimeout):
            self.hangs += 1
        if self.failures >= MAX_FAILURES or self.hangs >= MAX_HANGS:
            self.reason = f"{self.failures + 1} connections failed in a row"
            return None
        wait = min(MAX_DELAY_S, FIRST_DELAY_S * 2.0**self.failures)
        self.failures += 1
        # Not from zero: a restarting server is dialled by everybody at once.
        wait *= random.uniform(0.5, 1.0)
        asked = error.retry_after or 0.0
        if asked > most:
            self.reason = f"asked to wait for {asked:g} s"
            return None
        return max(wait, asked)
