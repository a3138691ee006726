"""Whether a member may lead; decisions only, on a clock that is handed in.

::

    well ──failed──▶ resting ──rest over, somebody calls──▶ probing
      ▲                 ▲                                    │    │
      │                 └──────────── probe failed ──────────┘    │ probe succeeded
      └── a call succeeded ── trial ◀─────────────────────────────┘
                                │
                                └── a call failed ──▶ resting, twice as long

On trial it gets one call at a time: what is free to try proves little. A call that was begun
under another state than it ends in changes nothing: it speaks of the past.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from voicekit.resilience.members.trail import Place

State = Literal["well", "resting", "probing", "trial"]


class Health:
    """One member's. A first rest is doubled by each further failure in a row, up to the longest.

    Attributes:
        failures: In a row.
        until: Point of the clock at which its rest is over.
        epoch: Counts the changes of its state.
    """

    __slots__ = ("_longest", "_rest", "_trial", "epoch", "failures", "state", "until")

    def __init__(self, rest: float, longest: float) -> None:
        self._rest = rest
        self._longest = longest
        self.state: State = "well"
        self.failures = 0
        self.until = 0.0
        self.epoch = 0
        self._trial: weakref.ref[Place] | None = None

    @property
    def leads(self) -> bool:
        """Whether the next call may go there."""
        return self.state == "well" or (self.state == "trial" and not self._tried())

    def _tried(self) -> bool:
        place = self._trial() if self._trial is not None else None
        return place is not None and place.held

    def asked(self, place: Place) -> int:
        """A call goes there; returns the epoch in which it did."""
        if self.state == "trial" and not self._tried():
            self._trial = weakref.ref(place)
        return self.epoch

    def failed(self, now: float, epoch: int, *, wait: float | None, exactly: bool) -> None:
        """A call failed that was asked in ``epoch``; ``wait`` is what it asked us to wait.

        ``exactly``: not longer either; its breaker knows when it wants to be tried.
        """
        if epoch != self.epoch or self.state in {"resting", "probing"}:
            return
        self._rests(now, wait, exactly=exactly)

    def proved(self, epoch: int) -> None:
        """A call succeeded."""
        if epoch != self.epoch:
            return
        self.failures = 0
        if self.state != "well":
            self._become("well")

    def due(self, now: float) -> bool:
        """Whether it is to be probed; says so once."""
        if self.state != "resting" or now < self.until:
            return False
        self._become("probing")
        return True

    def probed(self, now: float, *, fine: bool) -> None:
        """The probe ended."""
        if self.state != "probing":
            return  # a call was quicker
        if fine:
            self._become("trial")
        else:
            self._rests(now)

    def _rests(self, now: float, wait: float | None = None, *, exactly: bool = False) -> None:
        self.failures += 1
        rest = self._rest * 2.0 ** min(self.failures - 1, 30)
        if wait is not None:
            rest = wait if exactly else max(rest, wait)
        self.until = now + min(rest, self._longest)
        self._become("resting")

    def _become(self, state: State) -> None:
        self.state = state
        self.epoch += 1
        self._trial = None
