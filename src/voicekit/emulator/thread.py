"""The emulator on an event loop in a thread of its own, for blocking callers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.remote import RemoteEmulator
from voicekit.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicekit.emulator.journal import Journal
    from voicekit.emulator.providers.twilio_inbound import CalledBack


class ThreadedEmulator(RemoteEmulator):
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

    def _ask(self, call: str, **arguments: Any) -> Any:
        return self._call(lambda: getattr(self._world, call)(**arguments))

    def _call(self, action: Callable[[], Any]) -> Any:
        self._running()

        async def run() -> Any:
            done = action()
            return await done if isawaitable(done) else done

        return asyncio.run_coroutine_threadsafe(run(), self._ready.result()).result()

    def _running(self) -> None:
        if self._thread is None or not self._thread.is_alive() or not self._ready.done():
            raise EmulatorError("the emulator is not running")

    def _call_back(self, kind: str, arguments: dict[str, Any]) -> Future[CalledBack]:
        self._running()
        provider = self._world.provider("twilio")

        async def tell() -> CalledBack:
            told: CalledBack = await provider.call_back(kind, arguments)
            return told

        return asyncio.run_coroutine_threadsafe(tell(), self._ready.result())
