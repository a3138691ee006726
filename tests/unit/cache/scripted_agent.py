"""An agent that answers what a test says, and keeps what was sent to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Self

from voicekit.errors import VoicekitError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.speech import AgentAnswer
from voicekit.streams import AgentReply, Opened
from voicekit.transport.config import WarmReport

SEND = Operation(
    provider="scripted", name="stream_message", kind=OperationClass.EFFECT, limits=Limits()
)


class Turn:
    """What the agent says in a turn.

    Attributes:
        gate: It waits for this before it says anything.
        items: What a stream of it gives, piece by piece; ``str`` are words.
        error: Raised instead, or after the items of a stream.
    """

    def __init__(
        self,
        text: str = "",
        *,
        items: Iterable[Any] | None = None,
        gate: asyncio.Event | None = None,
        error: Exception | None = None,
        **facts: Any,
    ) -> None:
        self.items = list(items if items is not None else [text])
        said = "".join(item for item in self.items if isinstance(item, str))
        self.answer = AgentAnswer(text=text or said, **{"plain": True, "attempts": 1, **facts})
        self.gate = gate
        self.error = error


class _Played:
    """A response and its decoder, which play a turn."""

    status = 200
    delimited = True
    connection = None

    def __init__(self, session: ScriptedSession, turn: Turn) -> None:
        self.headers: dict[str, str] = {"x-turn": "played"}
        self.text: list[str] = []
        self.progress = 0
        self.done = False
        self._aborted = False
        self._items = deque(turn.items)
        self._turn = turn
        self._session = session
        self._cut: VoicekitError | None = None
        self._wake = asyncio.Event()

    async def chunk(self) -> Any:
        await asyncio.sleep(0)
        if self._cut is not None:
            raise self._cut
        if self._items:
            return [self._items.popleft()]
        if self._turn.error is not None:
            raise self._turn.error
        return []

    def interrupt(self, error: VoicekitError) -> None:
        self._cut = error

    def abort(self) -> None:
        if not self.done and not self._aborted:
            self._aborted = True
            self._session.agent.aborted += 1

    def release(self) -> None:
        pass

    def feed(self, data: Any) -> Any:
        for item in data:
            if isinstance(item, str):
                self.text.append(item)
            elif type(item).__name__ == "AgentRetraction":
                self.text.clear()
        self.progress += 1
        return data

    def eof(self, *, delimited: bool) -> Any:
        self.done = True
        return []

    def answer(self, call: Call, headers: Any) -> AgentAnswer:
        return self._turn.answer


class ScriptedSession:
    """A conversation. ``heard`` are the texts of its turns, with their options."""

    def __init__(self, agent: ScriptedAgent, key: str | None, options: dict[str, Any]) -> None:
        self.agent = agent
        self.key = key
        self.options = options
        self.greeting = "Hello, I am scripted."
        self.id = f"session-{len(agent.sessions)}"
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.closed = 0

    async def _turn(self, text: str, options: dict[str, Any]) -> Turn:
        self.heard.append((text, options))
        self.agent.turns.append(text)
        turn = self.agent.next(text)
        self.agent.under_way += 1
        try:
            await asyncio.sleep(0)
            if turn.gate is not None:
                await turn.gate.wait()
        finally:
            self.agent.under_way -= 1
        return turn

    async def send(self, text: str, /, **options: Any) -> AgentAnswer:
        turn = await self._turn(text, options)
        if turn.error is not None:
            raise turn.error
        return turn.answer

    def stream_message(self, text: str, /, **options: Any) -> AgentReply:
        async def open_it() -> Opened[Any]:
            call = Call(SEND)
            call.attempts = 1
            turn = await self._turn(text, options)
            played: Any = _Played(self, turn)
            if turn.error is not None and not turn.items:
                raise turn.error
            items: deque[Any] = deque()
            while not any(isinstance(item, str) for item in items):
                data = await played.chunk()
                if not data:
                    break
                items.extend(played.feed(data))
            call.committed()
            return Opened(call, played, played, items)

        return AgentReply(open_it)

    async def feedback(self, good: bool) -> str:
        return "good" if good else "bad"

    async def aclose(self) -> None:
        self.closed += 1
        await asyncio.sleep(0)
        if self.agent.closing is not None:
            await self.agent.closing.wait()
        if self.agent.close_fails is not None:
            raise self.agent.close_fails


class _Opening:
    def __init__(self, agent: ScriptedAgent, key: str | None, options: dict[str, Any]) -> None:
        self._agent, self._key, self._options = agent, key, options

    def __await__(self) -> Generator[Any, None, ScriptedSession]:
        return self._open().__await__()

    async def _open(self) -> ScriptedSession:
        agent = self._agent
        agent.opening += 1
        try:
            await asyncio.sleep(0)
            if agent.gate is not None:
                await agent.gate.wait()
        finally:
            agent.opening -= 1
        if agent.open_fails:
            raise agent.open_fails.popleft()
        session = ScriptedSession(agent, self._key, self._options)
        agent.sessions.append(session)
        return session

    async def __aenter__(self) -> ScriptedSession:
        self._session = await self._open()
        return self._session

    async def __aexit__(self, *exc: object) -> None:
        await self._session.aclose()


class ScriptedAgent:
    """An ``Agent``. ``script`` says what it answers, by the text or in order.

    Attributes:
        sessions: All that were opened.
        turns: Every text that was sent to it, in order.
        gate: What the opening of a session waits for.
        closing: What the end of a session waits for.
    """

    provider = "scripted"

    def __init__(self, *script: Turn, says: Callable[[str], Turn] | None = None) -> None:
        self.script = deque(script)
        self.says = says or (lambda text: Turn(f"You said {text!r}."))
        self.sessions: list[ScriptedSession] = []
        self.turns: list[str] = []
        self.gate: asyncio.Event | None = None
        self.closing: asyncio.Event | None = None
        self.open_fails: deque[Exception] = deque()
        self.close_fails: Exception | None = None
        self.opening = self.under_way = self.aborted = self.closed = self.entered = 0
        self.warmed: list[int] = []

    def next(self, text: str) -> Turn:
        return self.script.popleft() if self.script else self.says(text)

    def open_session(self, *, key: str | None = None, **options: Any) -> _Opening:
        return _Opening(self, key, options)

    @property
    def open(self) -> int:
        return sum(not session.closed for session in self.sessions)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        self.warmed.append(n)
        return WarmReport(opened=n, reused=0, failures=(), elapsed=0.0)

    async def aclose(self) -> None:
        self.closed += 1

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class Recorder:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event)

    def results(self, kind: str = "CacheAnswered") -> list[tuple[str, str | None]]:
        """What a cache said, in order: result and reason."""
        return [
            (getattr(e, "result", None) or str(e.stored), e.reason)
            for e in self.events
            if type(e).__name__ == kind
        ]


async def turns_of_the_loop(count: int = 20) -> None:
    """Let everything run that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)
