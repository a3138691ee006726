"""A socket made of nothing, a loop whose time jumps, and messages as the vendor words them."""

from __future__ import annotations

import asyncio
import json
import selectors
from typing import TYPE_CHECKING, Any

from voicekit.clients.deepgram import DeepgramClient, TranscriptionSession
from voicekit.errors import ClosedError, VoicekitError
from voicekit.operation import Call, Limits
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo

if TYPE_CHECKING:
    from voicekit.transport.interfaces import FrameReceiver


class _JumpingSelector(selectors.DefaultSelector):
    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("deadlock: the loop waits and no timer is set")
            self.now += max(timeout, 0.0)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop; when it would sleep, its clock jumps instead."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


VIRTUAL = ("asyncio", {"loop_factory": VirtualLoop})


class FakeSocket:
    """What was sent, when, and a way to be the server."""

    def __init__(self) -> None:
        self.connection = ConnectionInfo(reused=True)
        self.headers = {"dg-request-id": "r-1"}
        self.receiver: FrameReceiver | None = None
        self.sent: list[tuple[float, str | bytes]] = []
        self.stuck: asyncio.Future[None] | None = None
        self.aborted = False
        self._lost: VoicekitError | None = None

    @property
    def alive(self) -> bool:
        return self._lost is None

    def attach(self, receiver: FrameReceiver | None) -> None:
        self.receiver = receiver
        if receiver is not None and self._lost is not None:
            receiver.lost(self._lost)

    async def send(self, data: str | bytes) -> None:
        if self._lost is not None:
            raise self._lost
        self.sent.append((asyncio.get_running_loop().time(), data))
        if self.stuck is not None:
            await self.stuck

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self.aborted = True
        self.lose(ClosedError("closed"))

    # -- the server's side

    def say(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            if self.receiver is not None:
                self.receiver.frame(json.dumps(message) if isinstance(message, dict) else message)

    def lose(self, error: VoicekitError) -> None:
        if self._lost is None:
            self._lost = error
            receiver, self.receiver = self.receiver, None
            if receiver is not None:
                receiver.lost(error)

    @property
    def texts(self) -> list[dict[str, Any]]:
        return [json.loads(data) for _, data in self.sent if isinstance(data, str)]

    @property
    def audio(self) -> list[bytes]:
        return [bytes(data) for _, data in self.sent if isinstance(data, bytes)]


class World:
    """A client's session over a fake socket."""

    def __init__(self, *, limits: Limits | None = None, **options: Any) -> None:
        self.client = DeepgramClient("marked-key", **options)
        self.socket = FakeSocket()
        self.background = Background()
        self.calls: list[Call] = []
        self.limits = limits

    def session(self, **options: Any) -> TranscriptionSession:
        asked = self.client.live_request(limits=self.limits)

        def make_call() -> Call:
            self.calls.append(self.client._listen_call(asked))
            self.client._used = False  # it has no connections to close
            return self.calls[-1]

        async def dial(call: Call) -> FakeSocket:
            call.connection = self.socket.connection
            return self.socket

        return TranscriptionSession(
            self.client.live_request(**{"format": "pcm_16000", "reconnect": False, **options}),
            make_call=make_call,
            dial=dial,
            background=lambda: self.background,
        )


def results(
    text: str = "", start: float = 0.0, duration: float = 1.0, **fields: Any
) -> dict[str, Any]:
    """A `Results` message."""
    words = text.split()
    each = duration / len(words) if words else 0.0
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": duration,
        "is_final": False,
        "speech_final": False,
        "channel": {
            "alternatives": [
                {
                    "transcript": text,
                    "confidence": 0.98,
                    "words": [
                        {
                            "word": word,
                            "start": start + i * each,
                            "end": start + (i + 1) * each,
                            "confidence": 0.9,
                        }
                        for i, word in enumerate(words)
                    ],
                }
            ]
        },
        "metadata": {"request_id": "r-1", "model_info": {"name": "general-nova-3"}},
        "from_finalize": False,
        **fields,
    }


METADATA = {
    "type": "Metadata",
    "transaction_key": "deprecated",
    "request_id": "r-1",
    "sha256": "ab12",
    "created": "2026-11-20T10:00:00.000Z",
    "duration": 1.9,
    "channels": 1,
}
