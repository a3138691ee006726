"""An asyncio loop whose timers are on time to the microsecond, for links that are to be believed.

epoll counts in milliseconds and asyncio rounds up, so every leg of an emulated round trip would
arrive up to a millisecond late: more than what the benchmarks measure.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys
from selectors import SelectorKey

_SELECT_LIMIT = 1024
"""`select` watches file descriptors below this number only."""

if sys.platform == "linux":

    class PreciseSelector(selectors.EpollSelector):
        """Waits in `select`, which counts in microseconds, for the epoll descriptor itself."""

        def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
            """As the base's, but never late by rounding."""
            if timeout is not None and timeout > 0 and self.fileno() < _SELECT_LIMIT:
                select.select([self.fileno()], (), (), timeout)
                timeout = 0
            return super().select(timeout)

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Return a loop with timers as precise as the system's."""
        return asyncio.SelectorEventLoop(PreciseSelector())

else:
    new_event_loop = asyncio.new_event_loop
