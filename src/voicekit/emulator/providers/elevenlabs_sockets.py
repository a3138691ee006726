"""ElevenLabs' two speech sockets: `stream-input` (one utterance) and `multi-stream-input`.

Reading never waits for speaking: each utterance generates in a task of its own, and a watchdog
counts the silence of the client.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from typing_extensions import override

from voicekit.emulator.providers.base import BAD_KEY, Received, Socket
from voicekit.emulator.providers.elevenlabs_contexts import Utterance
from voicekit.emulator.providers.elevenlabs_messages import (
    ClientMessage,
    PolicyViolationError,
    parse,
)
from voicekit.emulator.providers.elevenlabs_request import SpeechQuery
from voicekit.emulator.providers.elevenlabs_speech import ConcurrencyGate, QueueFullError
from voicekit.emulator.providers.session import Goodbye, SocketSession

MAX_CONTEXTS = 5
"""Live contexts per socket. Source: the vendor's multi-context guide, August 2025."""

DEFAULT_CONTEXT = "default"
"""Id of the context that messages without one belong to; its spelling is this emulator's choice."""


class SpeechSocket(SocketSession):
    """`stream-input`: init, text, and an empty text that ends it.

    Unless the handshake carried a credential (`authorized`), the first message has to; `time_scale`
    is a factor on the inactivity timeout.
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
        super().__init__(socket)
        self.query = query
        self.live: dict[str, Utterance] = {}
        self._gate = gate
        self._utterance = partial(Utterance, socket, query=query, gate=gate, voice_id=voice_id)
        self._authorized = authorized
        self._patience = query.inactivity_timeout * time_scale
        self._last_message = self._loop.time()
        self._finishing = False

    @property
    @override
    def busy(self) -> bool:
        return any(utterance.busy for utterance in self._utterances())

    @override
    def take(self, received: Received) -> None:
        self._last_message = self._loop.time()
        if self._finishing:
            return
        raw = received.text if received.text is not None else received.binary
        try:
            message = parse(raw or "", multi=self.multi)
            for note in message.notes:
                self.note(note)
            self._act(message)
        except PolicyViolationError as violation:
            self._refuse(violation)

    @override
    def failed(self, error: BaseException) -> Goodbye:
        """Close as the vendor does on a full queue, a scripted error, or an internal one."""
        if isinstance(error, QueueFullError):
            error = PolicyViolationError(
                "too_many_concurrent_requests",
                "Too many concurrent requests. Your subscription allows a maximum of "
                f"{self._gate.maximum} concurrent requests.",
            )
        if not isinstance(error, PolicyViolationError):
            super().failed(error)
            error = PolicyViolationError("internal_error", "Internal server error", 1011)
        return _goodbye(error)

    def _act(self, message: ClientMessage) -> None:
        """Act on one message of the single-context grammar."""
        utterance = self.live.get(DEFAULT_CONTEXT)
        first = utterance is None
        if utterance is None:
            self._authorize(message)
            if message.text and message.text.strip():
                self.note("the first message should hold a single space")
            utterance = self._open(DEFAULT_CONTEXT, None, message)
        else:
            _keep_settings(utterance, message)
        if message.text == "":
            utterance.finish()
            self._finish()
        else:
            utterance.accept(message, first=first)

    def _open(self, key: str, context: str | None, message: ClientMessage) -> Utterance:
        utterance = self._utterance(context=context, settings=message.settings)
        utterance.task = self.start(utterance.speak_all(), name=f"utterance {key}")
        self.live[key] = utterance
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

    def _utterances(self) -> list[Utterance]:
        """Return every utterance that may still speak."""
        return list(self.live.values())

    def _finish(self) -> None:
        """Take no more messages, and close normally once all has been spoken."""
        self._finishing = True
        self.start(self._close_when_spoken(), name="finish")

    async def _close_when_spoken(self) -> None:
        tasks = {utterance.task for utterance in self._utterances() if utterance.task is not None}
        if tasks:
            await asyncio.wait(tasks)
        self.close(Goodbye())

    def _refuse(self, violation: PolicyViolationError) -> None:
        """One violation ends the socket and every utterance on it."""
        self.close(_goodbye(violation))

    # -- inactivity --

    @override
    def patience_left(self) -> float:
        """Return the seconds until the next timeout; a socket that is finishing has none."""
        if self._finishing:
            return self._patience
        return self._oldest_message() + self._patience - self._loop.time()

    def _oldest_message(self) -> float:
        return self._last_message

    @override
    def expire(self) -> None:
        self._refuse(self._timeout())

    def _timeout(self) -> PolicyViolationError:
        return PolicyViolationError(
            "input_timeout_exceeded",
            "Have not received a new text input within the timeout of "
            f"{float(self.query.inactivity_timeout)} seconds. Streaming input terminated.",
        )


class MultiContextSocket(SpeechSocket):
    """`multi-stream-input`: up to five utterances side by side, each with an id."""

    multi = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._departing: list[Utterance] = []

    def _act(self, message: ClientMessage) -> None:
        if message.close_socket:
            for each in self.live.values():
                each.finish()
            self._finish()
            return
        key = message.context if message.context is not None else DEFAULT_CONTEXT
        utterance = self.live.get(key)
        if message.close_context:
            if utterance is None:
                self.note("close_context for a context that is not open")
            else:
                self._release(key)
        elif utterance is None:
            self._begin(key, message)
        else:
            _keep_settings(utterance, message)
            utterance.accept(message, first=False)

    def _begin(self, key: str, message: ClientMessage) -> None:
        """Open a context with its first message, unless that opens nothing."""
        if not message.text and message.context is None:
            return  # a keep-alive of the socket as a whole
        if message.text is None:
            self.note("a control message for a context that is not open")
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
        utterance = self.live.pop(key)
        utterance.abandon()
        self._departing = [each for each in self._departing if not each.ended]
        self._departing.append(utterance)

    def _utterances(self) -> list[Utterance]:
        return [*self._departing, *self.live.values()]

    def _oldest_message(self) -> float:
        return min((each.last_message for each in self.live.values()), default=self._last_message)

    @override
    def expire(self) -> None:
        """Close the contexts that had no message for too long, and the socket if nothing came."""
        latest = self._loop.time() - self._patience
        if self._last_message <= latest:
            super().expire()
            return
        for key, utterance in list(self.live.items()):
            if utterance.last_message <= latest:
                frame = self._timeout().wire(key)
                self.start(self.socket.send_json(frame, context=key), name="context-timeout")
                self._release(key)


def _keep_settings(utterance: Utterance, message: ClientMessage) -> None:
    changed = utterance.settings.changed_by(message.settings)
    if changed is not None:
        raise PolicyViolationError(
            "invalid_input_message", f"{changed} field must be provided in the first message"
        )


def _goodbye(violation: PolicyViolationError) -> Goodbye:
    return Goodbye(code=violation.code, reason=violation.message, message=violation.wire())
