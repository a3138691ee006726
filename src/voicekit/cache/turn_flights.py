"""Single flight for what acts.

Others may share a turn's answer, but only once it is known to be for everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from voicekit.speech import AgentAnswer

_LOOK_S: Final = 1.0
"""How often one who waits looks whether the turn he waits for still goes on, in seconds."""


class TurnFlight:
    """One turn under way, for which others wait.

    Attributes:
        answer: What everybody may have, once it has landed.
        given_up: Its caller left before its end: one who waits may take his place.
        moving: Whether it goes on. A stream that nobody reads does not.
    """

    def __init__(self) -> None:
        self.answer: AgentAnswer | None = None
        self.given_up = False
        self.moving: Callable[[], bool] = lambda: True
        self._landed = asyncio.Event()

    @property
    def landed(self) -> bool:
        """Whether it is over."""
        return self._landed.is_set()

    def land(self, answer: AgentAnswer | None, *, given_up: bool = False) -> None:
        """It is over; the first word counts."""
        if not self.landed:
            self.answer, self.given_up = answer, given_up
            self._landed.set()

    async def wait(self) -> AgentAnswer | None:
        """Wait for its end, or until it stands still; what it gave to everybody."""
        while not self.landed:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._landed.wait()
            except TimeoutError:
                if not self.landed and not self.moving():
                    return None
        return self.answer


class TurnFlights:
    """The turns that others may wait for, by key.

    One that landed stays until its answer is kept, and as long as somebody looks into the
    storage for it: that look may have come too early.
    """

    def __init__(self) -> None:
        self._flights: dict[str, TurnFlight] = {}
        self._looking: dict[str, int] = {}
        self._over: set[TurnFlight] = set()

    def __len__(self) -> int:
        return len(self._flights)

    @contextmanager
    def looking(self, key: str) -> Iterator[None]:
        """While somebody looks for ``key``."""
        self._looking[key] = self._looking.get(key, 0) + 1
        try:
            yield
        finally:
            self._looking[key] -= 1
            if not self._looking[key]:
                del self._looking[key]
                flight = self._flights.get(key)
                if flight is not None and flight in self._over:
                    self.forget(key, flight)

    def under_way(self, key: str) -> TurnFlight | None:
        """What one who asks now may wait for."""
        flight = self._flights.get(key)
        return None if flight is None or (flight.landed and flight.answer is None) else flight

    def begin(self, key: str) -> TurnFlight:
        """A turn of one's own, for which others may wait."""
        flight = self._flights[key] = TurnFlight()
        return flight

    def forget(self, key: str, flight: TurnFlight) -> None:
        """Its answer is kept, or there is none."""
        if key in self._looking and flight.answer is not None:
            self._over.add(flight)
            return
        self._over.discard(flight)
        if self._flights.get(key) is flight:
            del self._flights[key]
