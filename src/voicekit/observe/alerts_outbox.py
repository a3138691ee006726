"""Messages on their way to somebody: the last word of each alert, until it has been heard."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.tasks import at_most

if TYPE_CHECKING:
    from voicekit.observe.alerts import Alert

_log = logging.getLogger("voicekit.observe")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_JITTER: Final = 0.2

Key = tuple[str, str]


class _Told:
    """What somebody was last told of one alert."""

    __slots__ = ("at", "attempted", "state")

    def __init__(self) -> None:
        self.state = "resolved"  # as long as nobody has heard of it, nothing is wrong
        self.at = float("-inf")
        self.attempted = False  # they may have heard although it failed


class Outbox:
    """Holds at most one message per alert, and sends them one after the other.

    What is no news by the time that it could be sent is left out: what fires and is resolved
    before anybody heard of it. If they may have heard, they hear that it is over.

    Attributes:
        failures: How often ``send`` failed.
        running: Whether somebody runs it.
    """

    def __init__(
        self, send: Callable[[Alert], Awaitable[object]], *, least_gap: float, timeout: float
    ) -> None:
        self._send, self._least_gap, self._timeout = send, least_gap, timeout
        self._messages: dict[Key, Alert] = {}
        self._told: dict[Key, _Told] = {}
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._pause = self._again_at = 0.0
        self.failures = 0
        self.running = False

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, key: Key, alert: Alert) -> None:
        """This is what is true of the alert from now on."""
        told = self._told.setdefault(key, _Told())
        if alert.state == told.state and not told.attempted:
            self._messages.pop(key, None)  # it is as they know it
        else:
            self._messages[key] = alert
        self._wake.set()

    def forget(self, now: float) -> None:
        """Of what is over and long said nothing is remembered."""
        for key, told in list(self._told.items()):
            if (
                key not in self._messages
                and told.state == "resolved"
                and now - told.at >= self._least_gap
            ):
                del self._told[key]

    async def run(self) -> None:
        """Send what there is, each in its time; ends when there is nothing left."""
        loop = asyncio.get_running_loop()
        try:
            while self._messages:
                now = loop.time()
                if self._again_at > now:  # nothing new makes a broken channel whole
                    await asyncio.sleep(self._again_at - now)
                    continue
                self._wake.clear()
                due = {key: self._told[key].at + self._least_gap for key in self._messages}
                ready = next((key for key, at in due.items() if at <= now), None)
                if ready is not None:
                    await self._one(ready)
                    continue
                await at_most(min(due.values()) - now, self._wake.wait())
        finally:
            self.running = False

    async def _one(self, key: Key) -> None:
        """Try to send one message."""
        async with self._sending:
            alert = self._messages.get(key)
            if alert is None:
                return
            told = self._told[key]
            told.attempted = True
            try:
                async with asyncio.timeout(self._timeout):
                    await self._send(alert)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._failed(key, "CancelledError")  # send's own affair
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._failed(key, type(error).__name__)
                return
            told.state, told.attempted = alert.state, False
            told.at = asyncio.get_running_loop().time()
            self._pause = 0.0
            newer = self._messages.get(key)
            if newer is not None and newer.state == told.state:
                del self._messages[key]

    def _failed(self, key: Key, error: str) -> None:
        self.failures += 1
        if key in self._messages:  # the others first: it may be this one that cannot be sent
            self._messages[key] = self._messages.pop(key)
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        jitter = 1 - _JITTER * random.random()
        self._again_at = asyncio.get_running_loop().time() + self._pause * jitter
        _log.warning("an alert could not be sent: %s", error)

    async def flush(self) -> None:
        """Send all that waits, now; once each."""
        for key in list(self._messages):
            await self._one(key)
