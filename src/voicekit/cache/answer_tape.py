"""A model's answer under way: recorded for all who ask meanwhile, and judged once it is whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from voicekit.cache.answers import Kept
from voicekit.cache.follower import Follower
from voicekit.cache.tape import Tape
from voicekit.speech import ChatResult, ToolCall

if TYPE_CHECKING:
    from voicekit.operation import Call


class Decision(NamedTuple):
    """What becomes of an answer: why it is not kept; else under which key, what, how long (s)."""

    reason: str | None
    key: str = ""
    kept: Kept | None = None
    ttl: float = 0.0


class AnswerTape(Tape[Any]):
    """A tape that nobody joins any more once it is whole and turned out not to be kept.

    What becomes of it is ``decide``d once, when it is whole, and told to ``keep``.
    """

    def __init__(
        self,
        *args: Any,
        decide: Callable[[AnswerTape], Decision],
        keep: Callable[[Decision], Awaitable[None]],
        **options: Any,
    ) -> None:
        async def ended(_: Tape[Any]) -> None:
            await keep(self.decision)

        super().__init__(*args, ended=ended, **options)
        self._decide = decide
        self._decided: Decision | None = None

    @property
    def decision(self) -> Decision:
        """What becomes of it; it must be whole."""
        if self._decided is None:
            self._decided = self._decide(self)
        return self._decided

    @property
    def joinable(self) -> bool:
        """Whether one who joins now can still get all of it, and may."""
        return super().joinable and (not self.whole or self.decision.reason is None)


def _upstreams(name: str, doc: str, *, own: bool = False) -> Any:
    """A property: what the upstream says; what is ``own``, only to the one who asked for it."""

    def said(follower: TextFollower) -> Any:
        return None if own and follower.joined else follower._said(name)

    return property(said, doc=doc)


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
        if self.joined:
            return "hit" if self._late else "joined"
        return cast("str | None", self._said("cache"))  # the model may be a cache itself

    def feed(self, data: bytes, /) -> Sequence[Any]:
        """Everything that was recorded since the last time."""
        items = super().feed(data)
        self.text += [item for item in items if isinstance(item, str)]
        return items

    def _said(self, name: str, otherwise: Any = None) -> Any:
        return getattr(self.tape.handle, name, otherwise)

    @property
    def refusal(self) -> list[str]:
        """What the model said instead of answering."""
        return [self._said("refusal") or ""]

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far."""
        return cast("tuple[ToolCall, ...]", self._said("tool_calls", ()))

    finish_reason = _upstreams("finish_reason", "Why the model stopped.")
    model = _upstreams("model", "Which model it is.")
    service_tier = _upstreams("service_tier", "Which of the provider's tiers serves it.")
    member = _upstreams("member", "Who answers, of several.")
    usage = _upstreams("usage", "Tokens: his who asked.", own=True)
    rate_limits = _upstreams("rate_limits", "His who asked.", own=True)
    id = _upstreams("id", "The provider's id of the answer: his who asked.", own=True)
    raw = _upstreams("raw", "The provider's own object: his who asked.", own=True)


class WholeChat:
    """A whole answer, as a tape records it: all of it at once."""

    attempts = 1

    def __init__(self, model: Any, request: Any) -> None:
        self._model = model
        self._request = request
        self._taken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def take_events(self) -> list[ChatResult]:
        """The answer, and then no more."""
        if self._taken:
            return []
        self._taken = True
        self.result: ChatResult = await self._model.chat(self._request)
        return [self.result]


_TOLD: Final = (
    "text", "refusal", "tool_calls", "finish_reason", "usage", "model", "request_id", "id",
    "service_tier", "cache", "attempts", "timings", "connection", "raw",
)  # fmt: skip


def result_of(stream: Any) -> ChatResult:
    """What a stream that has ended says, as a whole answer."""
    return ChatResult(**{name: getattr(stream, name) for name in _TOLD})


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


def kept_of(result: ChatResult, told: object) -> Kept:
    """What of an answer is for everybody; ``told`` says who gave it."""
    return Kept(
        text=result.text,
        model=result.model,
        service_tier=result.service_tier,
        member=getattr(told, "member", None),
    )
