"""The emulator on an event loop in a thread of its own, for blocking callers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from voicekit.emulator.endpoints import Addresses
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.emulator.faults import Fault
    from voicekit.emulator.journal import ConnectionRecord, Journal
    from voicekit.emulator.providers.twilio_calls_back import CallsBack
    from voicekit.emulator.providers.twilio_inbound import CalledBack
    from voicekit.emulator.scenario import Scenario

T = TypeVar("T")


class ThreadedEmulator(Addresses):
    """What `Emulator.in_thread()` returns: the emulator's surface, every method blocking.

    Args:
        loop_factory: Makes the thread's event loop, such as `uvloop.new_event_loop`.
        options: As for `Emulator`.
    """

    def __init__(
        self, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None, **options: Any
    ) -> None:
        super().__init__()
        self._world = Emulator(**options)
        self._loop_factory = loop_factory
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def journal(self) -> Journal:
        """What the server saw, live."""
        return self._world.journal

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise EmulatorError("this emulator has been started already; make another")
        self._thread = threading.Thread(target=self._run, name="voicekit-emulator", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.__exit__()
            raise
        self.endpoints = self._world.endpoints
        self.ca_file = self._world.ca_file
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._thread is None:
            return
        if self._ready.done() and self._ready.exception() is None:
            stop = self._stop
            if stop is not None:
                self._ready.result().call_soon_threadsafe(stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as broken:  # noqa: BLE001 - handed to the thread that waits
            if not self._ready.done():
                self._ready.set_exception(broken)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with self._world:
            self._ready.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def _call(self, action: Callable[[], T]) -> T:
        async def run() -> T:
            return action()

        return self._await(run)

    def _await(self, action: Callable[[], Awaitable[T]]) -> T:
        self._running()

        async def run() -> T:
            return await action()

        return asyncio.run_coroutine_threadsafe(run(), self._ready.result()).result()

    def _running(self) -> None:
        if self._thread is None or not self._thread.is_alive() or not self._ready.done():
            raise EmulatorError("the emulator is not running")

    def inject(self, provider: str, fault: Fault) -> None:
        """As `Emulator.inject`."""
        self._call(lambda: self._world.inject(provider, fault))

    def clear_faults(self, provider: str | None = None) -> None:
        """As `Emulator.clear_faults`."""
        self._call(lambda: self._world.clear_faults(provider))

    def set_scenario(self, scenario: str | Scenario) -> None:
        """As `Emulator.set_scenario`."""
        self._call(lambda: self._world.set_scenario(scenario))

    def clear_journal(self) -> None:
        """As `Emulator.clear_journal`."""
        self._call(self._world.clear_journal)

    def drop_idle(self, provider: str, *, how: Literal["fin", "rst"] = "fin") -> int:
        """As `Emulator.drop_idle`, blocking until done."""
        return self._await(lambda: self._world.drop_idle(provider, how=how))

    def cut(self, provider: str, *, how: Literal["fin", "rst", "blackhole"] = "rst") -> int:
        """As `Emulator.cut`."""
        return self._call(lambda: self._world.cut(provider, how=how))

    @property
    def calls_back(self) -> CallsBack:
        """As `Emulator.calls_back`; what it begins can be awaited, or its `result()` taken."""
        from voicekit.emulator.providers.twilio_calls_back import CallsBack

        return CallsBack(self._call_back)

    def _call_back(self, kind: str, arguments: dict[str, Any]) -> Future[CalledBack]:
        self._running()
        provider = self._world.provider("twilio")

        async def tell() -> CalledBack:
            told: CalledBack = await provider.call_back(kind, arguments)
            return told

        return asyncio.run_coroutine_threadsafe(tell(), self._ready.result())

    def connections(self, provider: str) -> list[ConnectionRecord]:
        """As `Emulator.connections`."""
        return self._call(lambda: self._world.connections(provider))
