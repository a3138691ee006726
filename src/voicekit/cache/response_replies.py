"""An answer from the storage, as what a handle of ours reads from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voicekit.cache.source import HandleSource
from voicekit.speech import AgentAnswer, ToolCall

if TYPE_CHECKING:
    from voicekit.cache.answers import Kept
    from voicekit.operation import Call
    from voicekit.streams import Opened


class Replay(HandleSource):
    """An answer that is there."""

    done = True
    progress = 1
    connection = None
    usage = rate_limits = id = None
    finish_reason = "stop"

    def __init__(self, kept: Kept, cache: str) -> None:
        self.cache = cache
        self.headers: Mapping[str, str] = {}
        self.text = [kept.text]
        self.refusal: list[str] = []
        self.model = kept.model
        self.service_tier = kept.service_tier
        self.member = kept.member
        self.raw = None

    @classmethod
    def of(cls, call: Call, kept: Kept, cache: str = "hit") -> Opened[Any]:
        """What a handle reads it from, all of it in hand."""
        call.attempts = 0
        call.committed()
        return cls(kept, cache).opened(call, (kept.text,))

    async def chunk(self) -> bytes:
        """There is no more."""
        return b""

    def feed(self, _data: bytes, /) -> Sequence[Any]:
        """There is no more."""
        return ()

    def calls(self) -> tuple[ToolCall, ...]:
        """None: such an answer is not kept."""
        return ()

    def answer(self, call: Call, _headers: Mapping[str, str], /) -> AgentAnswer:
        """As an agent's."""
        return AgentAnswer(
            text=self.text[0], plain=True, cache=self.cache, timings=call.timings, attempts=0
        )
