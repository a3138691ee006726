"""How a back-off waits, and the switch that lets tests not wait."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_skipping: ContextVar[bool] = ContextVar("voicekit_no_waits", default=False)


def skipping() -> bool:
    """Whether this is under ``no_waits()``. For tasks that do not inherit that."""
    return _skipping.get()


async def pause(seconds: float, *, skip: bool | None = None) -> None:
    """Wait; under ``no_waits()`` only until everything else that is ready has run.

    Args:
        seconds: How long.
        skip: What ``skipping()`` was where the work began; None is as it is here.
    """
    await asyncio.sleep(0 if (skipping() if skip is None else skip) else seconds)


@contextmanager
def no_waits() -> Iterator[None]:
    """Retry without waiting, for tests: back-offs of the block's calls take no time.

    So do pauses that a provider asks for, and those before a session that was opened in the block
    dials again.

    All else stays as it is: what would not have fitted before the deadline is not tried, and
    ``RetryScheduled.wait`` says how long it would have been. Holds in the block and in tasks
    that are started there, and nowhere else.

    Example:
        >>> with no_waits():
        ...     clip = await tts.synthesize("Hello")
    """
    # Not by a token: a fixture may be left in another context than it was entered in.
    before = _skipping.get()
    _skipping.set(True)
    try:
        yield
    finally:
        _skipping.set(before)
