"""The emulator in a process of its own, so that its work is not on the caller's core."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import selectors
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from typing import IO, TYPE_CHECKING, Any, Literal, Self, cast

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.journal import Journal
from voicekit.emulator.remote import RemoteEmulator

if TYPE_CHECKING:
    from voicekit.emulator.providers.twilio_inbound import CalledBack

START_SECONDS = 30.0
CALL_SECONDS = 30.0
STOP_SECONDS = 3.0
HEADER = struct.Struct("!I")


def write_message(stream: IO[bytes], message: Any) -> None:
    """Write one message and flush it."""
    content = pickle.dumps(message)
    stream.write(HEADER.pack(len(content)) + content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: The other end has closed, or is gone.
    """
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (size,) = HEADER.unpack(header)
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 - from our own parent or child, over its own pipe


class EmulatorProcess(RemoteEmulator):
    """An emulator in a child process: `with` and `async with` both work.

    The methods are short blocking calls over a pipe (a fraction of a millisecond; a journal takes
    longer, by its size). The child ends with this object, and with this process however it ends.

    Args:
        loop: The child's event loop; "uvloop" needs that package.
        options: As for `Emulator`; they travel as a pickle, so a scenario's function must be
            importable, not a lambda.

    Raises:
        EmulatorError: The options cannot travel, or the child could not start.
    """

    def __init__(self, *, loop: Literal["asyncio", "uvloop"] = "asyncio", **options: Any) -> None:
        super().__init__()
        self._options = options
        self._loop = loop
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    # -- life --

    def __enter__(self) -> Self:
        if self._child is not None:
            raise EmulatorError("this emulator has been started already; make another")
        greeting = _picklable((self._options, self._loop), "options")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "voicekit.emulator.process_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C at a terminal goes to a whole group of processes. This one ends with its
            # parent, and must not die of it, loudly, before it could say that it ignores it.
            process_group=0,
        )
        try:
            self._stdin.write(greeting)
            self._stdin.flush()
            self.endpoints, self.ca_file = self._receive(START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.endpoints = {}
        self._end()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.__exit__))

    @property
    def pid(self) -> int | None:
        """The child's process id, while it runs."""
        return None if self._child is None else self._child.pid

    def _end(self) -> None:
        child = self._child
        if child is None:
            return
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()

    # -- calls --

    @property
    def journal(self) -> Journal:
        """A snapshot of what the server saw so far; each reading fetches a fresh one."""
        return Journal.from_json(self._ask("journal"))

    def _call_back(self, kind: str, arguments: dict[str, Any]) -> Future[CalledBack]:
        number = self._ask("call_back", kind=kind, arguments=arguments)
        future: Future[CalledBack] = Future()
        # Nobody is kept from the pipe while an application thinks: it is asked again and again.
        threading.Thread(
            target=self._await_called, args=(number, future), name="emulator-webhook", daemon=True
        ).start()
        return future

    def _await_called(self, number: int, future: Future[CalledBack]) -> None:
        future.set_running_or_notify_cancel()
        pause = 0.002
        try:
            while (found := self._ask("called_back", number=number)) is None:
                time.sleep(pause)
                pause = min(0.025, pause * 1.5)
        except Exception as broken:  # noqa: BLE001 - for who waits
            future.set_exception(broken)
        else:
            future.set_result(found)

    def _ask(self, call: str, **arguments: Any) -> Any:
        message = _picklable((call, arguments), call)
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                raise EmulatorError("the emulator's process is not running")
            try:
                self._stdin.write(message)
                self._stdin.flush()
            except OSError as broken:
                raise EmulatorError("the emulator's process has gone") from broken
            return self._receive(CALL_SECONDS)

    def _receive(self, seconds: float) -> Any:
        answers = cast("IO[bytes]", cast("subprocess.Popen[bytes]", self._child).stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise EmulatorError(f"the emulator's process did not answer within {seconds} s")
        try:
            good, result = read_message(answers)
        except EOFError:
            raise EmulatorError("the emulator's process ended without an answer") from None
        if not good:
            raise result
        return result

    @property
    def _stdin(self) -> IO[bytes]:
        return cast("IO[bytes]", cast("subprocess.Popen[bytes]", self._child).stdin)


def _picklable(message: Any, what: str) -> bytes:
    buffer = io.BytesIO()
    try:
        write_message(buffer, message)
    except (pickle.PicklingError, AttributeError, TypeError) as broken:
        raise EmulatorError(
            f"{what} cannot travel to the emulator's process: use importable functions, not lambdas"
        ) from broken
    return buffer.getvalue()
