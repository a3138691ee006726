"""Answers that a handle of ours reads from a cache, from a tape, or from an agent's own reply."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from voicekit.cache.follower import Follower
from voicekit.speech import AgentAnswer, ChatResult, RateLimits, ToolCall, Usage
from voicekit.streams import Opened

if TYPE_CHECKING:
    from voicekit.cache.answers import Kept
    from voicekit.errors import VoicekitError
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Response

__all__ = ["Replay", "TextFollower", "WholeChat", "result_of", "shared"]


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


class TextFollower(Follower[Any]):
    """One who listens to a model's answer.

    What it cost, its limits and the provider's own objects are of the one who asked for it.
    """

    def __init__(self, tape: Any) -> None:
        super().__init__(tape)
        self.text: list[str] = []
        self._late = tape.whole  # all of it is there: nobody is waited for

    @property
    def cache(self) -> str | None:
        """What its handle says of it."""
        return "hit" if self.joined and self._late else super().cache

    def feed(self, data: bytes, /) -> Sequence[Any]:
        """Everything that was recorded since the last time."""
        items = super().feed(data)
        self.text += [item for item in items if isinstance(item, str)]
        return items

    def _said(self, name: str, otherwise: Any = None) -> Any:
        return getattr(self.tape.handle, name, otherwise)

    def _own(self, name: str) -> Any:
        return None if self.joined else self._said(name)

    @property
    def refusal(self) -> list[str]:
        """What the model said instead of answering."""
        return [self._said("refusal") or ""]

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far."""
        return cast("tuple[ToolCall, ...]", self._said("tool_calls", ()))

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return cast("str | None", self._said("finish_reason"))

    @property
    def model(self) -> str | None:
        """Which model it is."""
        return cast("str | None", self._said("model"))

    @property
    def service_tier(self) -> str | None:
        """Which of the provider's tiers serves it."""
        return cast("str | None", self._said("service_tier"))

    @property
    def member(self) -> str | None:
        """Who answers, of several."""
        return cast("str | None", self._said("member"))

    @property
    def usage(self) -> Usage | None:
        """Tokens: his who asked."""
        return cast("Usage | None", self._own("usage"))

    @property
    def rate_limits(self) -> RateLimits | None:
        """His who asked."""
        return cast("RateLimits | None", self._own("rate_limits"))

    @property
    def id(self) -> str | None:
        """The provider's id of the answer: his who asked."""
        return cast("str | None", self._own("id"))

    @property
    def raw(self) -> Any:
        """The provider's own object: his who asked."""
        return self._own("raw")


class WholeChat:
    """A whole answer, as a tape records it: all of it at once.

    Attributes:
        attempts: How often it was asked for.
        result: The answer, once it is there.
    """

    attempts = 1

    def __init__(self, model: Any, request: Any) -> None:
        self._model = model
        self._request = request
        self._taken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def take(self) -> list[ChatResult]:
        """The answer, and then no more."""
        if self._taken:
            return []
        self._taken = True
        self.result: ChatResult = await self._model.chat(self._request)
        return [self.result]


def result_of(stream: Any) -> ChatResult:
    """What a stream that has ended says, as a whole answer."""
    return ChatResult(
        text=stream.text,
        refusal=stream.refusal,
        tool_calls=stream.tool_calls,
        finish_reason=stream.finish_reason,
        usage=stream.usage,
        model=stream.model,
        request_id=stream.request_id,
        id=stream.id,
        service_tier=stream.service_tier,
        attempts=stream.attempts,
        timings=stream.timings,
        connection=stream.connection,
        raw=stream.raw,
    )


def shared(call: Call, cache: str, kept: Kept) -> ChatResult:
    """A whole answer that was not asked for."""
    return ChatResult(
        text=kept.text,
        finish_reason="stop",
        model=kept.model,
        service_tier=kept.service_tier,
        cache=cache,
        timings=call.timings,
        attempts=0,
    )
