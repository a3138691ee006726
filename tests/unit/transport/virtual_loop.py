"""An event loop whose time jumps to the next timer when nothing else is to be done.

Minutes of timeouts pass in milliseconds, always in the same order. A test module
takes it by defining::

    @pytest.fixture
    def anyio_backend():
        return VIRTUAL

A loop that would wait for ever fails at once instead. Not for tests with real
sockets or threads, whose readiness it never waits for.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Never blocks: what the loop would have slept is added to its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            raise RuntimeError("deadlock: the loop waits and no timer is set")
        self.now += max(timeout, 0.0)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on virtual time, which starts at 1000.0 seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


VIRTUAL = ("asyncio", {"loop_factory": VirtualLoop})
"""For the ``anyio_backend`` fixture."""
