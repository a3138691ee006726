"""Waits for what another thread is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable

SOON = 5.0
"""Seconds; whatever takes longer does not happen."""


def eventually(true: Callable[[], object], *, within: float = SOON) -> bool:
    """Whether it comes true within so many seconds."""
    until = time.monotonic() + within
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
