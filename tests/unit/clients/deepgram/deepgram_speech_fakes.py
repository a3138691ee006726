"""A speech socket made of nothing, and a room with a real pool of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from voicekit.clients.deepgram.errors import DIALECT
from voicekit.clients.deepgram.speech.config import SpeechSettings
from voicekit.clients.deepgram.speech.flushes import FlushBudget
from voicekit.clients.deepgram.speech.sockets import SpeakSocket
from voicekit.clients.deepgram.speech.utterance import Utterance
from voicekit.clients.speaking import Studio
from voicekit.errors import ConnectionLostError, VoicekitError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolConfig
from voicekit.transport.pool import SocketPool
from voicekit.transport.ws_aiohttp import SocketClosed

if TYPE_CHECKING:
    from voicekit.transport.interfaces import FrameReceiver
    from voicekit.transport.lease import DialFacts


async def _key() -> str:
    return "key"


class ScriptedSocket:
    """The network's side is played by the test: ``says``, ``audio``, ``loses``."""

    def __init__(self) -> None:
        self.connection = ConnectionInfo(reused=False)
        self.headers: dict[str, str] = {"dg-request-id": "r1"}
        self.heard: list[dict[str, Any]] = []
        self.receiver: FrameReceiver | None = None
        self.alive = True
        self.stuck = False
        self.ended: list[str] = []
        self.polite = True
        self.fail_send: VoicekitError | None = None

    def attach(self, receiver: FrameReceiver | None) -> None:
        self.receiver = receiver

    async def send(self, data: str | bytes) -> None:
        if self.fail_send is not None:
            raise self.fail_send
        if not self.alive:
            raise ConnectionLostError("gone")
        self.heard.append(json.loads(data))
        if self.stuck:
            await asyncio.Event().wait()
        if self.heard[-1]["type"] == "Close" and self.polite:
            self.closes(1000)

    async def aclose(self) -> None:
        self.ended.append("aclose")
        self.alive = False

    def abort(self) -> None:
        self.ended.append("abort")
        self.alive = False

    # -- the test's side

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.heard]

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.heard if message["type"] == "Speak"]

    def says(self, message: Any) -> None:
        assert self.receiver is not None
        self.receiver.frame(message if isinstance(message, str) else json.dumps(message))

    def audio(self, data: bytes) -> None:
        assert self.receiver is not None
        self.receiver.frame(data)

    def flushed(self) -> None:
        self.says({"type": "Flushed", "sequence_id": 0})

    def cleared(self) -> None:
        self.says({"type": "Cleared", "sequence_id": 0})

    def loses(self, error: VoicekitError | None = None) -> None:
        self.alive = False
        assert self.receiver is not None
        self.receiver.lost(error or ConnectionLostError("the socket ended without a close frame"))

    def closes(self, code: int, reason: str = "") -> None:
        self.loses(SocketClosed(f"closed with code {code}", status=code, detail=reason))


OPERATION = Operation(
    provider="deepgram",
    name="open_speech",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=1.0, first_output=5.0, gap=5.0),
)


class Room:
    """A studio with its pool; ``sockets`` are those that were dialled."""

    def __init__(self, **pool: Any) -> None:
        self.sockets: list[ScriptedSocket] = []
        self.refuse: VoicekitError | None = None
        self.background = Background()
        self.most = 20
        self.window = 61.0
        self.pool = SocketPool(
            dial=self._dial,
            config=PoolConfig(**{"max_connections": 5, **pool}),
            background=self.background,
            cutoff=300.0,
        )
        self.studio = Studio(
            make_call=lambda: Call(OPERATION),
            pool=lambda: self.pool,
            key=_key,
            background=lambda: self.background,
            dialect=DIALECT,
        )

    async def _dial(self, _facts: DialFacts) -> SpeakSocket:
        if self.refuse is not None:
            raise self.refuse
        socket = ScriptedSocket()
        self.sockets.append(socket)
        return SpeakSocket(socket, flushes=FlushBudget(self.most, self.window))

    def utterance(self, **options: Any) -> Utterance:
        settings = SpeechSettings().updated({"format": "pcm_8000", **options})
        return Utterance(self.studio, settings.session)


@asynccontextmanager
async def room(**pool: Any) -> AsyncIterator[Room]:
    made = Room(**pool)
    try:
        yield made
    finally:
        await made.pool.aclose()
        await made.background.aclose()


async def steps(count: int = 20) -> None:
    """Let everything that is due run."""
    for _ in range(count):
        await asyncio.sleep(0)
