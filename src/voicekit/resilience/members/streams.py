"""Streams of a member, as the handles that every client returns.

Once a member has opened, its own handle does everything; what is here opens it, says which
member it is, and keeps the member's place until the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from voicekit.interfaces import Identified
from voicekit.resilience.members.handle import MemberHandle, never
from voicekit.resilience.members.produced import ProducedChat, ProducedClip, produced
from voicekit.resilience.members.trail import Group, Member
from voicekit.speech import AudioClip, AudioFormat, ChatResult, Usage
from voicekit.streams import SpeechStream, Stream, TextStream

if TYPE_CHECKING:
    from voicekit.streams import TextDecoder


class _MemberStream(MemberHandle, Stream[Any]):
    """What both kinds of streams do; mixed in before them."""

    _kind = "stream"
    _request_of: Callable[[Member], Identified]

    async def _take_member(self) -> None:
        await super()._take_member()
        self._trail.proved()

    async def __anext__(self) -> Any:
        inner = await self._opened_one() if self._inner is None else self._inner
        try:
            item = await inner.__anext__()
        except BaseException as error:
            self._left(error)
            raise
        self._count(item)
        return item

    async def _taken(self, take: str) -> list[Any]:
        try:
            inner = await self._opened_one() if self._inner is None else self._inner
        except StopAsyncIteration:
            return []
        try:
            items: list[Any] = await getattr(inner, take)()
        except BaseException as error:
            self._left(error)
            raise
        for item in items:
            self._count(item)
        if not items or inner.ended:
            self._trail.free()
        return items

    async def take(self) -> list[Any]:
        """Everything that has arrived; see ``Stream.take``."""
        return await self._taken("take")

    def _left(self, error: BaseException) -> None:
        """Iteration ended; one that was cancelled goes on, unless nobody else would end it."""
        if self._entered and isinstance(error, asyncio.CancelledError):
            return
        self._trail.free()

    @property
    def request(self) -> Identified | None:
        """The member's own request, which produced it."""
        if self._inner is None or self._trail.member is None:
            return None
        below = getattr(self._inner, "request", None)  # of a wrapper's stream
        return below or self._request_of(self._trail.member)

    @property
    def identity(self) -> str | None:
        """That of the request which produced it. Holds content: never log it."""
        request = self.request
        return None if request is None else request.identity

    def _end_state(self) -> str:
        return "ended" if self.ended else ""


class MemberSpeechStream(_MemberStream, SpeechStream):
    """Speech of one of several members; everything that a ``SpeechStream`` is."""

    def __init__(
        self,
        group: Group,
        operation: str,
        handle_of: Callable[[Member], Any],
        request_of: Callable[[Member], Identified],
        *,
        format: AudioFormat,  # noqa: A002 - the option's name
    ) -> None:
        SpeechStream.__init__(self, never, format=format)
        self._of_members(group, operation, handle_of)
        self._request_of = request_of

    async def _take_member(self) -> None:
        await super()._take_member()
        self.format = self._of("format", self.format)

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges; None before it has said so."""
        return cast("Usage | None", self._of("usage", None))

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the stream."""
        clip = await super().clip()
        return produced(ProducedClip, clip, self.member, self.errors, request=self.request)


class MemberTextStream(_MemberStream, TextStream):
    """An answer of one of several members; everything that a ``TextStream`` is."""

    def __init__(
        self,
        group: Group,
        operation: str,
        handle_of: Callable[[Member], Any],
        request_of: Callable[[Member], Identified],
    ) -> None:
        TextStream.__init__(self, never)
        self._of_members(group, operation, handle_of)
        self._request_of = request_of

    @property
    def _read(self) -> TextDecoder | None:
        return None if self._inner is None else cast("TextDecoder", _Read(self._inner))

    async def events(self) -> AsyncIterator[Any]:
        """Text deltas as ``str`` and every other event as its own value, in order."""
        try:
            inner = await self._opened_one() if self._inner is None else self._inner
        except StopAsyncIteration:
            return
        try:
            async with aclosing(inner.events()) as events:
                async for event in events:
                    self._count(event)
                    yield event
        except GeneratorExit:
            raise
        except BaseException as error:
            self._left(error)
            raise
        self._trail.free()

    async def take_events(self) -> list[Any]:
        """As ``take``, with every other event as its own value."""
        return await self._taken("take_events")

    async def result(self) -> ChatResult:
        """Read to the end and return the whole answer; closes the stream."""
        result = await super().result()
        return produced(ProducedChat, result, self.member, self.errors, request=self.request)


class _Read:
    """A member's stream, as what its own decoder has read."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def text(self) -> list[str]:
        return [self._stream.text]

    @property
    def refusal(self) -> list[str]:
        return [self._stream.refusal or ""]

    def calls(self) -> Any:
        return self._stream.tool_calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
