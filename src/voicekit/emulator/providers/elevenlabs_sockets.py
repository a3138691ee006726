"""ElevenLabs' two speech sockets: `stream-input` (one utterance) and `multi-stream-input`.

Reading never waits for speaking: each utterance generates in a task of its own, and a watchdog
counts the silence of the client. All of them end before the handler returns.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from voicekit.emulator.providers.base import BAD_KEY, Struck
from voicekit.emulator.providers.elevenlabs_contexts import Utterance
from voicekit.emulator.providers.elevenlabs_messages import (
    ClientMessage,
    PolicyViolationError,
    parse,
)
from voicekit.emulator.providers.elevenlabs_speech import ConcurrencyGate, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from voicekit.emulator.providers.base import Socket
    from voicekit.emulator.providers.elevenlabs_request import SpeechQuery

__all__ = ["MAX_CONTEXTS", "MultiContextSocket", "SpeechSocket"]

MAX_CONTEXTS = 5
"""Live contexts per socket. Source: the vendor's multi-context guide, August 2025."""

DEFAULT_CONTEXT = "default"
"""Id of the context that messages without one belong to; its spelling is this emulator's choice."""

MAX_CLOSE_REASON = 123
"""Bytes that a close frame has room for. Source: RFC 6455 §5.5."""


class SpeechSocket:
    """`stream-input`: init, text, and an empty text that ends it.

    Args:
        socket: The open WebSocket.
        query: Its checked parameters.
        gate: The plan's concurrency limit.
        voice_id: From the path.
        authorized: Whether the handshake carried a credential; else the first message has to.
        time_scale: Factor on the inactivity timeout, so that tests need not wait for it.
    """

    multi = False

    def __init__(
        self,
        socket: Socket,
        *,
        query: SpeechQuery,
        gate: ConcurrencyGate,
        voice_id: str,
        authorized: bool,
        time_scale: float = 1.0,
    ) -> None:
        self.socket = socket
        self.query = query
        self.live: dict[str, Utterance] = {}
        self._gate = gate
        self._voice_id = voice_id
        self._authorized = authorized
        self._patience = query.inactivity_timeout * time_scale
        self._last_message = asyncio.get_running_loop().time()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False
        self._closing: asyncio.Task[None] | None = None
        self._close_sent = False

    async def serve(self) -> None:
        """Read until either side closes; every task has ended when this returns.

        Cancellation ends them as well.
        """
        self._start(self._watch_inactivity(), name="elevenlabs-inactivity")
        try:
            while (received := await self.socket.receive()) is not None:
                self._last_message = asyncio.get_running_loop().time()
                if self._ending:
                    continue
                try:
                    raw = received.text if received.text is not None else received.binary
                    self._take(parse(raw or "", multi=self.multi))
                except PolicyViolationError as violation:
                    await self._refuse(violation)
            self._settle()
            if self._closing is not None and self._close_sent:
                # Our close frame woke the reader; the client's answer is awaited there.
                await asyncio.wait({self._closing})
        finally:
            await self._stop_tasks()

    def _take(self, message: ClientMessage) -> None:
        """Act on one message of the single-context grammar."""
        self._advise(message)
        utterance = self.live.get(DEFAULT_CONTEXT)
        first = utterance is None
        if utterance is None:
            self._authorize(message)
            if message.text and message.text.strip():
                self._note("the first message should hold a single space")
            utterance = self._open(DEFAULT_CONTEXT, None, message)
        else:
            self._keep_settings(utterance, message)
        if message.text == "":
            utterance.finish()
            self._end()
        else:
            utterance.accept(message, first=first)

    def _open(self, key: str, context: str | None, message: ClientMessage) -> Utterance:
        utterance = Utterance(
            self.socket,
            query=self.query,
            gate=self._gate,
            voice_id=self._voice_id,
            context=context,
            settings=message.settings,
        )
        self.live[key] = utterance
        self._own(utterance.task)
        return utterance

    def _authorize(self, message: ClientMessage) -> None:
        """Check the credential of a first message, which counts when the handshake had none."""
        if message.credential == BAD_KEY:
            raise PolicyViolationError("invalid_api_key", "Invalid API key")
        self._authorized = self._authorized or message.credential is not None
        if not self._authorized:
            raise PolicyViolationError(
                "needs_authorization",
                "Neither an authorization header nor a key in the first message was received.",
            )

    def _keep_settings(self, utterance: Utterance, message: ClientMessage) -> None:
        changed = utterance.settings.changed_by(message.settings)
        if changed is not None:
            raise PolicyViolationError(
                "invalid_input_message",
                f"{changed} field must be provided in the first message",
            )

    def _end(self) -> None:
        """Close normally once every utterance has sent its final message."""
        self._close_with(self._close_when_spoken())

    def _close_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin the one closing of this socket; later reasons to close are dropped."""
        if self._closing is not None:
            work.close()
            return
        self._ending = True
        self._closing = self._start(work, name="elevenlabs-closing")

    async def _close_when_spoken(self) -> None:
        speaking = [utterance.task for utterance in self.live.values()] + self._departing()
        if speaking:
            await asyncio.wait(speaking)
        await self._close(1000, "")

    async def _close(self, code: int, reason: str) -> None:
        self._close_sent = True
        record = self.socket.exchange.record
        record.outcome = record.outcome or ("complete" if code == 1000 else "refused")
        await self.socket.close(code, reason)

    def _settle(self) -> None:
        """Say how the client's leaving ended the request: in mid-speech it is an abort.

        Said before anything else is awaited, since losing the connection cancels the handler.
        """
        record = self.socket.exchange.record
        busy = any(utterance.busy for utterance in self.live.values()) or self._departing()
        if record.outcome is None and self.socket.client_close_code in {1000, 1001} and not busy:
            record.outcome = "complete"

    def _departing(self) -> list[asyncio.Task[None]]:
        """Return the tasks of utterances that no longer take text."""
        return []

    async def _refuse(self, violation: PolicyViolationError, *, context: str | None = None) -> None:
        """Send the error frame and close: one violation ends every utterance of the socket."""
        self._ending = True
        for utterance in self.live.values():
            utterance.task.cancel()
        try:
            await self.socket.send_json(violation.wire(context), context=context)
            reason = violation.message.encode()[:MAX_CLOSE_REASON].decode("utf-8", "ignore")
            await self._close(violation.code, reason)
        except (ConnectionError, Struck):
            pass  # the client has gone, or a fault was quicker

    # -- inactivity ------------------------------------------------------------------------

    async def _watch_inactivity(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ending:
            wait = self._deadline() - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self._expire(loop.time())

    def _deadline(self) -> float:
        return self._last_message + self._patience

    async def _expire(self, now: float) -> None:  # noqa: ARG002 - contexts expire one by one
        self._close_with(self._refuse(self._timeout()))

    def _timeout(self) -> PolicyViolationError:
        return PolicyViolationError(
            "input_timeout_exceeded",
            "Have not received a new text input within the timeout of "
            f"{float(self.query.inactivity_timeout)} seconds. Streaming input terminated.",
        )

    # -- tasks -----------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._own(task)
        return task

    def _own(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, PolicyViolationError):
            self._close_with(self._refuse(error))
        elif isinstance(error, QueueFullError):
            maximum = self._gate.maximum
            too_many = PolicyViolationError(
                "too_many_concurrent_requests",
                "Too many concurrent requests. Your subscription allows a maximum of "
                f"{maximum} concurrent requests.",
            )
            self._close_with(self._refuse(too_many))
        elif error is not None and not isinstance(error, ConnectionError | Struck):
            self._note(f"emulator error: {type(error).__name__}")
            broken = PolicyViolationError("internal_error", "Internal server error", 1011)
            self._close_with(self._refuse(broken))

    async def _stop_tasks(self) -> None:
        self._ending = True
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _advise(self, message: ClientMessage) -> None:
        for note in message.notes:
            self._note(note)

    def _note(self, note: str) -> None:
        if note not in self.socket.exchange.record.notes:
            self.socket.exchange.note(note)


class MultiContextSocket(SpeechSocket):
    """`multi-stream-input`: up to five utterances side by side, each with an id."""

    multi = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closed: set[asyncio.Task[None]] = set()

    def _take(self, message: ClientMessage) -> None:
        self._advise(message)
        if message.close_socket:
            for each in self.live.values():
                each.finish()
            self._end()
            return
        key = message.context if message.context is not None else DEFAULT_CONTEXT
        utterance = self.live.get(key)
        if message.close_context:
            if utterance is None:
                self._note("close_context for a context that is not open")
            else:
                utterance.abandon()
                self._release(key)
            return
        if utterance is None:
            self._begin(key, message)
        else:
            self._keep_settings(utterance, message)
            utterance.accept(message, first=False)

    def _begin(self, key: str, message: ClientMessage) -> None:
        """Open a context with its first message, unless that opens nothing."""
        if not message.text and message.context is None:
            return  # a keep-alive of the socket as a whole
        if message.text is None:
            self._note("a control message for a context that is not open")
            return
        self._authorize(message)
        if len(self.live) >= MAX_CONTEXTS:
            raise PolicyViolationError(
                "max_active_conversations",
                f"Maximum simultaneous contexts per WebSocket connection exceeded ({MAX_CONTEXTS})."
                " Please close an existing context before opening a new one.",
            )
        self._open(key, key, message).accept(message, first=True)

    def _release(self, key: str) -> None:
        """Free a context's place; what it still has to say goes on."""
        task = self.live.pop(key).task
        self._closed.add(task)
        task.add_done_callback(self._closed.discard)

    def _departing(self) -> list[asyncio.Task[None]]:
        return list(self._closed)

    async def _refuse(self, violation: PolicyViolationError, *, context: str | None = None) -> None:
        for task in self._closed:
            task.cancel()
        await super()._refuse(violation, context=context)

    def _deadline(self) -> float:
        return min(
            (each.last_message + self._patience for each in self.live.values()),
            default=self._last_message + self._patience,
        )

    async def _expire(self, now: float) -> None:
        """Close the contexts that had no message for too long, and the socket if nothing came."""
        if now >= self._last_message + self._patience:
            await super()._expire(now)
            return
        for key, utterance in list(self.live.items()):
            if now >= utterance.last_message + self._patience:
                await self.socket.send_json(self._timeout().wire(key), context=key)
                utterance.abandon()
                self._release(key)
