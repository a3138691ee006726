"""A model's answer as it is written, and what else flows as text among other events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from voicekit.streams.base import Decoder, Opened, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from voicekit.errors import StreamInterruptedError
    from voicekit.speech import ChatResult, RateLimits, ToolCall, Usage


class DeltaStream(Stream[Any]):
    """Text as it is written, among other events: iterate for text deltas (``str``).

    ``events()`` gives everything in order.
    """

    def __init__(self, open: Callable[[], Awaitable[Opened[Any]]]) -> None:  # noqa: A002
        super().__init__(open)
        self.delivered_characters = 0

    async def __anext__(self) -> str:
        while True:
            item = await super().__anext__()
            if type(item) is str:
                return item

    async def events(self) -> AsyncIterator[Any]:
        """Text deltas as ``str`` and every other event as its own value, in order."""
        while True:
            try:
                yield await super().__anext__()
            except StopAsyncIteration:
                return

    async def take(self) -> list[str]:
        """All the text that has arrived, waiting for some; empty at the end."""
        return [item for item in await super().take() if type(item) is str]

    async def take_events(self) -> list[Any]:
        """As ``take``, with every other event as its own value."""
        return await self._take(super().__anext__)

    def _count(self, item: Any) -> None:
        if type(item) is str:
            self.delivered_characters += len(item)

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_characters = self.delivered_characters
        return error


class TextDecoder(Decoder[Any], Protocol):
    """Reads a chat answer; text deltas are plain ``str``, other events are values of their own."""

    text: list[str]
    refusal: list[str]
    finish_reason: str | None
    usage: Usage | None
    model: str | None
    id: str | None
    service_tier: str | None
    rate_limits: RateLimits | None
    raw: Any

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far, in order."""
        ...


class TextStream(DeltaStream):
    """A model's answer as it is written: iterate for text deltas (``str``).

    What else the model said is in the attributes, complete once iteration has ended;
    ``events()`` gives everything in order.
    """

    @property
    def _read(self) -> TextDecoder | None:
        opened = self._opened
        return None if opened is None else cast("TextDecoder", opened.decoder)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._read.text) if self._read is not None else ""

    @property
    def refusal(self) -> str | None:
        """What the model said instead of answering, or None."""
        return "".join(self._read.refusal) or None if self._read is not None else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far; complete at the end."""
        return self._read.calls() if self._read is not None else ()

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return self._read.finish_reason if self._read is not None else None

    @property
    def usage(self) -> Usage | None:
        """Tokens, once reported."""
        return self._read.usage if self._read is not None else None

    @property
    def model(self) -> str | None:
        """The model that answers, as the provider names it."""
        return self._read.model if self._read is not None else None

    @property
    def id(self) -> str | None:
        """The provider's id of the answer itself."""
        return self._read.id if self._read is not None else None

    @property
    def service_tier(self) -> str | None:
        """Which of the provider's tiers serves it, when it says so."""
        return self._read.service_tier if self._read is not None else None

    @property
    def rate_limits(self) -> RateLimits | None:
        """What is left of the account's limits, when the provider says so."""
        return self._read.rate_limits if self._read is not None else None

    @property
    def raw(self) -> Any:
        """The provider's own object, as far as it has come."""
        return self._read.raw if self._read is not None else None

    async def result(self) -> ChatResult:
        """Read to the end and return the whole answer; closes the stream."""
        from voicekit.speech import ChatResult  # not for those who only speak

        async with self:
            async for _ in self.events():
                pass
            read = self._read
            assert read is not None  # noqa: S101 - entered above
            return ChatResult(
                text=self.text,
                refusal=self.refusal,
                tool_calls=self.tool_calls,
                finish_reason=read.finish_reason,
                usage=read.usage,
                model=read.model,
                request_id=self.request_id,
                id=read.id,
                service_tier=read.service_tier,
                rate_limits=read.rate_limits,
                cache=self.cache,
                timings=self.timings,
                connection=self.connection,
                attempts=self.attempts,
                hedged=self.hedged,
                headers=self.headers,
                raw=read.raw,
            )
