"""A chat model that answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from voicekit.errors import InvalidArgumentError, VoicekitError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.speech import ChatResult, ToolCall, Usage
from voicekit.streams import Opened, TextStream
from voicekit.transport.config import WarmReport

STREAM = Operation(
    provider="scripted", name="stream_chat", kind=OperationClass.COMPUTE, limits=Limits()
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request."""

    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    by: str = "scripted"

    @property
    def identity(self) -> str:
        return json.dumps(
            {"by": self.by, "messages": list(self.messages), **self.options}, sort_keys=True
        )


class Said:
    """One answer.

    Attributes:
        pieces: Of its text.
        gate: It waits for this before each piece.
        error: Raised behind them.
    """

    def __init__(
        self,
        *pieces: str,
        gate: asyncio.Event | None = None,
        error: Exception | None = None,
        finish_reason: str | None = "stop",
        tool_calls: tuple[ToolCall, ...] = (),
        refusal: str | None = None,
    ) -> None:
        self.pieces = pieces
        self.gate = gate
        self.error = error
        self.finish_reason = finish_reason
        self.tool_calls = tool_calls
        self.refusal = refusal


class _Played:
    status = 200
    delimited = True
    connection = None
    model: str | None = "scripted-1"
    id: str | None = "answer-1"
    service_tier = rate_limits = None
    raw: Any = "raw"

    def __init__(self, model: ScriptedChat, said: Said) -> None:
        self.headers: dict[str, str] = {}
        self.text: list[str] = []
        self.refusal = [said.refusal or ""]
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.progress = 0
        self.done = False
        self._left = deque(said.pieces)
        self._said = said
        self._model = model

    def calls(self) -> tuple[ToolCall, ...]:
        return self._said.tool_calls

    async def chunk(self) -> Any:
        await asyncio.sleep(0)
        if self._said.gate is not None:
            await self._said.gate.wait()
        if self._left:
            return [self._left.popleft()]
        if self._said.error is not None:
            raise self._said.error
        return []

    def interrupt(self, error: VoicekitError) -> None:
        pass

    def abort(self) -> None:
        if not self.done:
            self._model.aborted += 1
            self.done = True

    def release(self) -> None:
        self.done = True

    def feed(self, data: Any) -> Any:
        self.text += data
        self.progress += 1
        return data

    def eof(self, *, delimited: bool) -> Any:
        self.finish_reason = self._said.finish_reason
        self.usage = Usage(input_tokens=3, output_tokens=4)
        return []


class ScriptedChat:
    """A ``ChatModel``. Without a script it answers with what it heard.

    Attributes:
        asked: The last message of each call, with how it was asked.
        aborted: Streams that were left before their end.
    """

    def __init__(self, *script: Said, provider: str = "scripted") -> None:
        self.provider = provider
        self.script = deque(script)
        self.asked: list[str] = []
        self.kinds: list[str] = []
        self.closed = self.entered = self.aborted = 0

    def _next(self, request: Asked, kind: str) -> Said:
        text = str(request.messages[-1]["content"])
        self.asked.append(text)
        self.kinds.append(kind)
        return self.script.popleft() if self.script else Said("You ", "said ", text)

    def request(self, messages: Any, /, **options: Any) -> Asked:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if not messages:
            raise InvalidArgumentError("is empty", argument="messages", allowed="messages")
        return Asked(messages=messages, options=options, by=self.provider)

    def _asked(self, messages: Any, options: Any) -> Asked:
        return messages if isinstance(messages, Asked) else self.request(messages, **options)

    def stream_chat(self, messages: Any, /, **options: Any) -> TextStream:
        request = self._asked(messages, options)

        async def open_it() -> Opened[Any]:
            said = self._next(request, "stream")
            call = Call(STREAM)
            call.attempts = 1
            played: Any = _Played(self, said)
            if not said.pieces and said.error is not None:
                raise said.error
            try:
                items = deque(played.feed(await played.chunk()))
            except BaseException:
                self.aborted += 1
                raise
            call.committed()
            return Opened(call, played, played, items)

        return TextStream(open_it)

    async def chat(self, messages: Any, /, **options: Any) -> ChatResult:
        request = self._asked(messages, options)
        said = self._next(request, "whole")
        try:
            await asyncio.sleep(0)
            if said.gate is not None:
                await said.gate.wait()
        except BaseException:
            self.aborted += 1
            raise
        if said.error is not None:
            raise said.error
        return ChatResult(
            text="".join(said.pieces),
            refusal=said.refusal,
            tool_calls=said.tool_calls,
            finish_reason=said.finish_reason,
            model="scripted-1",
            usage=Usage(input_tokens=3, output_tokens=4),
            attempts=1,
        )

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=n, reused=0, failures=(), elapsed=0.0)

    async def aclose(self) -> None:
        self.closed += 1

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
