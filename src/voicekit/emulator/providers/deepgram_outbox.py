"""Results leave in the order in which they fell due, however long each decoding takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.exchange import sleep_until

Message = dict[str, Any]


@dataclass(slots=True, eq=False)
class Pending:
    """A message in its place in the order, sent not before `ready` on the loop's clock.

    It is built from what was heard, when its turn has come; where that decoding was cancelled, it
    is dropped.
    """

    message: Callable[[Any], Message]
    heard: asyncio.Task[Any] | None = None
    ready: float = 0.0


class Outbox:
    """A queue of messages of which some are still being worked on."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue()

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return self._queue.empty()

    def put(self, pending: Pending) -> None:
        """Append a message."""
        self._queue.put_nowait(pending)

    def say(self, message: Message) -> None:
        """Append a message that needs no decoding."""
        self.put(Pending(lambda _: message))

    def end(self) -> None:
        """Let `drain` return once everything before has been sent."""
        self._queue.put_nowait(None)

    async def drain(self, send: Callable[[Message], Awaitable[None]]) -> None:
        """Send messages as they become ready, until `end`; raises what `send` raises."""
        while (pending := await self._queue.get()) is not None:
            heard: Any = None
            if pending.heard is not None:
                await asyncio.wait({pending.heard})
                if pending.heard.cancelled():
                    continue
                heard = pending.heard.result()
            await sleep_until(pending.ready)
            await send(pending.message(heard))
