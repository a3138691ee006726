"""The emulator's end of a speech worker: start it, ask it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.speech_messages import Message, Splitter, pack

Role = Literal["voice", "ears"]

_NEEDS: Final[dict[Role, str]] = {"voice": "espeakng_loader", "ears": "pocketsphinx"}
_START_S: Final = 30.0
_READ_BYTES: Final = 1 << 18
_EXIT_S: Final = 0.5


class SpeechProcess:
    """One worker process, for one event loop. Any number of requests may wait at once.

    The worker runs on POSIX systems; it ends with its parent, however that ends.
    """

    def __init__(self, role: Role) -> None:
        self._role: Role = role
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._ids = count(1)
        self._ended: str | None = None

    def __repr__(self) -> str:
        state = "not started" if self._process is None else self._ended or "running"
        return f"<SpeechProcess {self._role} {state}>"

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None before it was started."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the worker and wait until its models are loaded. Cancelled, it leaves nothing.

        Raises:
            EmulatorError: The extra ``voicekit[demo]`` is not installed, or the worker does not
                come up within 30 s.
        """
        if self._process is not None:
            raise EmulatorError(f"the {self._role} worker was started before")
        if importlib.util.find_spec(_NEEDS[self._role]) is None:
            raise EmulatorError(
                f"speech='real' needs {_NEEDS[self._role]}: pip install 'voicekit[demo]'"
            )
        try:
            async with asyncio.timeout(_START_S):
                await self._launch()
        except TimeoutError:
            await self.aclose()
            raise EmulatorError(f"the {self._role} worker did not start in {_START_S} s") from None
        except BaseException:
            await self.aclose()
            raise

    async def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(self._role, theirs.fileno())
                ours.setblocking(False)
                reader, self._writer = await asyncio.open_connection(sock=ours)
            except BaseException:
                ours.close()
                raise
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        name = f"emulator {self._role} worker"
        self._reading = loop.create_task(self._read(reader), name=name)
        await self._ready

    def post(self, kind: str, payload: bytes = b"", **header: Any) -> None:
        """Send what has no answer. After the worker's end it goes nowhere."""
        if self._writer is not None and self._ended is None:
            self._writer.write(pack({"kind": kind, **header}, payload))

    async def ask(self, kind: str, payload: bytes = b"", **header: Any) -> Message:
        """Send a request and wait for its answer.

        Cancelled, the worker drops it unless it is already at work on it.

        Raises:
            EmulatorError: The worker cannot do it, is not running, or ended meanwhile.
        """
        if self._writer is None or self._ended is not None:
            raise EmulatorError(self._ended or f"the {self._role} worker is not running")
        number = next(self._ids)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.post(kind, payload, id=number, **header)
            head, data = await answer
        except asyncio.CancelledError:
            self.post("cancel", id=number)
            raise
        finally:
            self._waiting.pop(number, None)
        if "error" in head:
            raise EmulatorError(head["error"])
        return head, data

    async def aclose(self) -> None:
        """End the worker, at once whatever it is doing. May be called twice."""
        self._end(f"the {self._role} worker is closed")
        process, reading, writer = self._process, self._reading, self._writer
        if process is not None:
            process.kill()  # it holds nothing that is worth a farewell
        try:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        finally:
            if process is not None:
                process.wait(_EXIT_S)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        splitter = Splitter()
        last_words = "it ended"
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_READ_BYTES):
                for header, payload in splitter.feed(data):
                    if "fatal" in header:
                        last_words = header["fatal"]
                    elif "ready" in header and self._ready is not None:
                        self._ready.set_result(None)
                    elif (answer := self._waiting.get(header.get("id", 0))) and not answer.done():
                        answer.set_result((header, payload))
        self._end(f"the {self._role} worker failed: {last_words}")

    def _end(self, why: str) -> None:
        """Fail whoever waits. The first reason stays."""
        if self._ended is None:
            self._ended = why
        waiting: list[asyncio.Future[Any]] = list(self._waiting.values())
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(EmulatorError(self._ended))
                future.exception()  # seen, should nobody be left to await it


def _spawn(role: Role, stdin: int) -> subprocess.Popen[bytes]:
    # The worker must find this very package, whatever put it on our path, and never a file of
    # the working directory that happens to be called like a module.
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    module = "voicekit.emulator.speech_worker"
    return subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-P", "-W", "ignore", "-m", module, role, str(os.getpid())],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
