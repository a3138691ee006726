"""The child's end of `EmulatorProcess`: serves until its standard input ends.

Requests come on standard input and answers go to standard output, each a length and a pickle;
parent and child run the same installation, and nobody else can reach the pipes. When the parent
dies, however it dies, the kernel closes the pipe and the child ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import Any

from voicekit.emulator.precise_loop import new_event_loop
from voicekit.emulator.process import read_message, write_message
from voicekit.emulator.server import Emulator


class _Called:
    """The webhooks under way that the parent asks about, by number."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._last = 0

    def begin(self, world: Emulator, kind: str, arguments: dict[str, Any]) -> int:
        self._last += 1
        self._tasks[self._last] = world.provider("twilio").call_back(kind, arguments)
        return self._last

    def result(self, number: int) -> Any:
        """Return how one ended, once; None while it is under way."""
        return self._tasks.pop(number).result() if self._tasks[number].done() else None


async def _answer(world: Emulator, called: _Called, call: str, arguments: dict[str, Any]) -> Any:
    if call == "journal":
        return world.journal.to_json()
    if call == "drop_idle":
        return await world.drop_idle(**arguments)
    if call in {"inject", "clear_faults", "set_scenario", "clear_journal", "connections", "cut"}:
        return getattr(world, call)(**arguments)
    if call == "call_back":
        return called.begin(world, **arguments)
    if call == "called_back":
        return called.result(**arguments)
    raise ValueError(f"unknown call {call!r}")


def _control(
    world: Emulator, loop: asyncio.AbstractEventLoop, stop: asyncio.Event, pipes: Any
) -> None:
    requests, answers = pipes
    called = _Called()
    try:
        while True:
            call, arguments = read_message(requests)
            try:
                result: Any = asyncio.run_coroutine_threadsafe(
                    _answer(world, called, call, arguments), loop
                ).result()
                write_message(answers, (True, result))
            except Exception as broken:  # noqa: BLE001 - told to the caller
                write_message(answers, (False, broken))
    except (EOFError, OSError):
        pass
    loop.call_soon_threadsafe(stop.set)


async def _serve(options: dict[str, Any], pipes: Any) -> None:
    stop = asyncio.Event()
    try:
        world = await Emulator(**options).__aenter__()
    except Exception as broken:  # noqa: BLE001 - told to the caller
        write_message(pipes[1], (False, broken))
        return
    try:
        write_message(pipes[1], (True, (world.endpoints, world.ca_file)))
        threading.Thread(
            target=_control,
            args=(world, asyncio.get_running_loop(), stop, pipes),
            name="emulator-control",
            daemon=True,
        ).start()
        await _until(stop, parent=os.getppid())
    finally:
        await world.__aexit__()


async def _until(stop: asyncio.Event, *, parent: int) -> None:
    """Return when told to stop, or within two seconds of the parent's death.

    The pipe tells at once, unless a forked child of the parent still holds its other end.
    """
    while os.getppid() == parent and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await stop.wait()


def main() -> None:
    """Serve one parent."""
    # An interrupt at a terminal goes to every process of the group; this one ends with its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever prints must not end up between two messages.
    os.dup2(2, 1)
    try:
        options, loop = read_message(requests)
    except EOFError:
        return
    loop_factory = new_event_loop
    if loop == "uvloop":
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(options, (requests, answers)))
    # The control thread may be waiting in a read for ever; nothing is left to flush.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
