"""An answer from the storage, as what a handle of ours reads from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from voicekit.speech import AgentAnswer, ToolCall
from voicekit.streams import Opened

if TYPE_CHECKING:
    from voicekit.cache.answers import Kept
    from voicekit.errors import VoicekitError
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Response

__all__ = ["Replay"]


class Replay:
    """An answer that is there: to a handle of ours, a response and its decoder at once.

    Attributes:
        cache: ``"hit"`` or ``"joined"``.
        text: The answer.
        member: Who gave it, of several.
    """

    status = 200
    delimited = True
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
    def opened(cls, call: Call, kept: Kept, cache: str = "hit") -> Opened[Any]:
        """What a handle reads it from, all of it in hand."""
        replay = cls(kept, cache)
        call.attempts = 0
        call.committed()
        return Opened(call, cast("Response", replay), cast("Any", replay), deque(replay.text))

    async def chunk(self) -> bytes:
        """There is no more."""
        return b""

    def interrupt(self, error: VoicekitError) -> None:
        """Nobody waits for it."""

    def abort(self) -> None:
        """It holds nothing."""

    def release(self) -> None:
        """It holds nothing."""

    def feed(self, _data: bytes, /) -> Sequence[Any]:
        """There is no more."""
        return ()

    def eof(self, *, delimited: bool) -> Sequence[Any]:  # noqa: ARG002 - a decoder's
        """The end."""
        return ()

    def calls(self) -> tuple[ToolCall, ...]:
        """None: such an answer is not kept."""
        return ()

    def answer(self, call: Call, _headers: Mapping[str, str], /) -> AgentAnswer:
        """As an agent's."""
        return AgentAnswer(
            text=self.text[0], plain=True, cache=self.cache, timings=call.timings, attempts=0
        )
