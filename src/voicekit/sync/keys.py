"""Keys that a blocking callable returns, for clients that ask on the event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Ask = Callable[[], str] | Callable[[], Awaitable[str]]
"""Returns the key to use for the next request; blocking or async."""

ApiKey = str | Ask
"""A key, or a callable that returns the key to use for the next request. A blocking one is
called in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Asks a blocking callable off the event loop.

    Equal for equal callables, so that their connections can be shared.
    """

    ask: Ask

    async def __call__(self) -> str:
        """The key."""
        key: Any = await asyncio.to_thread(self.ask)
        answer: str = await key if inspect.isawaitable(key) else key
        return answer


def asked(key: ApiKey | None) -> Any:
    """What the asynchronous client takes for ``key``."""
    return Asked(key) if callable(key) and not inspect.iscoroutinefunction(key) else key
