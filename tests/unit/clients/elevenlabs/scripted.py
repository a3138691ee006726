"""A speech socket made of nothing, and an utterance on a real pool of them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from voicekit.clients.elevenlabs.config import SpeechSettings
from voicekit.clients.elevenlabs.errors import DIALECT
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.sockets import ContextSocket
from voicekit.clients.speaking import Studio
from voicekit.errors import ConnectionLostError, ProviderError, VoicekitError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.tasks import Background
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolConfig
from voicekit.transport.pool import SocketPool

if TYPE_CHECKING:
    from voicekit.transport.interfaces import FrameReceiver
    from voicekit.transport.lease import DialFacts


async def _key() -> str:
    return "key"


class ScriptedSocket:
    """The network's side is played by the test: ``says``, ``audio``, ``final``, ``loses``."""

    def __init__(self) -> None:
        self.connection = ConnectionInfo(reused=False)
        self.headers: Mapping[str, str] = {}
        self.heard: list[dict[str, Any]] = []
        self.receiver: FrameReceiver | None = None
        self.alive = True
        self.stuck = False
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

    async def aclose(self) -> None:
        self.alive = False

    def abort(self) -> None:
        self.alive = False

    # -- the test's side

    @property
    def context(self) -> str:
        """The id of the context that was opened last."""
        return next(str(m["context_id"]) for m in reversed(self.heard) if m.get("text") == " ")

    @property
    def texts(self) -> list[str]:
        return [m["text"] for m in self.heard if m.get("text", " ").strip()]

    def says(self, frame: Any) -> None:
        assert self.receiver is not None
        self.receiver.frame(frame if isinstance(frame, str) else json.dumps(frame))

    def audio(self, data: bytes, *, context: str | None = None, **fields: Any) -> None:
        encoded = base64.b64encode(data).decode()
        self.says({"audio": encoded, "contextId": context or self.context, **fields})

    def final(self, context: str | None = None) -> None:
        self.says({"isFinal": True, "contextId": context or self.context})

    def loses(self, error: VoicekitError | None = None) -> None:
        self.alive = False
        assert self.receiver is not None
        self.receiver.lost(error or ConnectionLostError("the socket ended without a close frame"))

    def closes(self, code: int, reason: str = "") -> None:
        self.loses(ProviderError(f"closed with code {code}", status=code, detail=reason))


OPERATION = Operation(
    provider="elevenlabs",
    name="open_speech",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=1.0, first_output=5.0, gap=5.0),
)


class Room:
    """A studio with its pool; ``sockets`` are those that were dialled."""

    def __init__(self, *, one_use: bool = False) -> None:
        self.sockets: list[ScriptedSocket] = []
        self.refuse: VoicekitError | None = None
        self.background = Background()
        self.limits: Limits | None = None
        self.pool = SocketPool(
            dial=self._dial,
            config=PoolConfig(max_connections=5),
            background=self.background,
            cutoff=175.0,
            one_use=one_use,
        )
        self.studio = Studio(
            make_call=lambda: Call(OPERATION, limits=self.limits),
            pool=lambda: self.pool,
            key=_key,
            background=lambda: self.background,
            dialect=DIALECT,
        )

    async def _dial(self, facts: DialFacts) -> ContextSocket:
        if self.refuse is not None:
            raise self.refuse
        socket = ScriptedSocket()
        self.sockets.append(socket)
        return ContextSocket(socket)

    def utterance(self, **options: Any) -> Utterance:
        settings = SpeechSettings().updated({"voice": "v", "format": "pcm_8000", **options})
        return Utterance(self.studio, settings.session)


@asynccontextmanager
async def room(*, one_use: bool = False) -> AsyncIterator[Room]:
    made = Room(one_use=one_use)
    try:
        yield made
    finally:
        await made.pool.aclose()
        await made.background.aclose()
