"""One WebSocket from its first message to its close: who reads, who works, who says goodbye.

Reading is a task of its own, so that closing can take it off the socket: a close frame sent while
somebody still reads would end the connection under the client's feet, before it can answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.providers.base import Received, Socket, Struck

MAX_CLOSE_REASON = 123
"""Bytes that a close frame has room for. Source: RFC 6455 §5.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """How the server ends a socket; a last message goes before the close frame."""

    code: int = 1000
    reason: str = ""
    message: Mapping[str, Any] | None = None
    context: str | None = None


class SocketSession:
    """Serves one socket; a subclass says what messages mean and starts what has to be done.

    Every task of it has ended when `serve` returns or is cancelled.

    Attributes:
        failure: How to close when a task has failed.
    """

    failure = Goodbye(code=1011, reason="Internal server error")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._goodbye: asyncio.Future[Goodbye | None] = self._loop.create_future()

    @property
    def ending(self) -> bool:
        """Whether the server has decided to close; what still comes in is dropped."""
        return self._goodbye.done()

    @property
    def busy(self) -> bool:
        """Whether the client is owed something, so that its leaving is an abort."""
        return False

    def take(self, received: Received) -> None:
        """Act on one message."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> Goodbye:
        """Say how to close when a task has failed."""
        self.note(f"emulator error: {type(error).__name__}")
        return self.failure

    async def serve(self) -> None:
        """Serve until either side closes.

        Raises:
            Struck: An injected fault ended the socket.
        """
        reader = self.start(self._read(), name="reader")
        self.start(self._watch(), name="watchdog")
        try:
            await asyncio.wait({reader, self._goodbye}, return_when=asyncio.FIRST_COMPLETED)
            if self._goodbye.done():
                await self._stop(self._tasks)
                await self._say(self._goodbye.result())
        finally:
            await self._stop(self._tasks)

    def close(self, goodbye: Goodbye) -> None:
        """Stop everything and close; the first reason to close is the one that counts."""
        if not self._goodbye.done():
            self._goodbye.set_result(goodbye)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Own a task: it is ended with the socket, and its failure ends the socket."""
        provider = self.socket.exchange.ctx.provider
        task = asyncio.create_task(work, name=f"voicekit emulator {provider} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def note(self, advice: str) -> None:
        """Journal a piece of advice once."""
        if advice not in self.socket.exchange.record.notes:
            self.socket.exchange.note(advice)

    def patience_left(self) -> float:
        """Return the seconds until `expire` is called, unless there is less patience by then."""
        raise NotImplementedError

    def expire(self) -> None:
        """Act on a client that has tried the vendor's patience."""
        raise NotImplementedError

    async def _watch(self) -> None:
        while True:
            seconds = self.patience_left()
            if seconds > 0:
                await asyncio.sleep(seconds)
            else:
                self.expire()
                await asyncio.sleep(0)

    async def _read(self) -> None:
        while (received := await self.socket.receive()) is not None:
            if not self.ending:
                self.take(received)
        # Said before anything is awaited: losing the connection cancels the handler.
        record = self.socket.exchange.record
        if record.outcome is None and self.socket.client_close_code in {1000, 1001}:
            record.outcome = "aborted" if self.busy else "complete"

    async def _say(self, goodbye: Goodbye | None) -> None:
        if goodbye is None:
            raise Struck
        record = self.socket.exchange.record
        record.outcome = record.outcome or ("complete" if goodbye.code == 1000 else "refused")
        if goodbye.message is not None:
            await self.socket.send_json(goodbye.message, context=goodbye.context)
        reason = goodbye.reason.encode()[:MAX_CLOSE_REASON].decode("utf-8", "ignore")
        await self.socket.close(goodbye.code, reason)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, ConnectionError) or self._goodbye.done():
            return  # a client that has gone is noticed by the reader
        if isinstance(error, Struck):
            self._goodbye.set_result(None)
        else:
            self.close(self.failed(error))

    @staticmethod
    async def _stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
        while owned := list(tasks):
            for task in owned:
                task.cancel()
            await asyncio.wait(owned)
