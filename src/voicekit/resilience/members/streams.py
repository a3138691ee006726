"""Streams of a member, as the handles that every client returns.

Once a member has opened, its own handle does everything; what is here opens it, says which
member it is, and keeps the member's place until the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from voicekit.errors import ClosedError, LocalProtocolError
from voicekit.interfaces import Identified
from voicekit.resilience.members.evidence import FromMember
from voicekit.resilience.members.opening import Opening
from voicekit.resilience.members.patience import Patience
from voicekit.resilience.members.produced import ProducedChat, ProducedClip
from voicekit.resilience.members.trail import Group, Member, Trail, closed_quietly
from voicekit.speech import AudioClip, AudioFormat, ChatResult, Usage
from voicekit.streams import SpeechStream, Stream, TextStream

if TYPE_CHECKING:
    from voicekit.streams import TextDecoder

__all__ = ["MemberSpeechStream", "MemberTextStream"]


class _MemberStream(FromMember, Stream[Any]):
    """What both kinds of streams do; mixed in before them."""

    def _of_members(
        self,
        group: Group,
        operation: str,
        handle_of: Callable[[Member], Any],
        request_of: Callable[[Member], Identified],
    ) -> None:
        self._trail: Trail[Any] = Trail(group, operation)
        self._patience = Patience(group.timeout)
        self._handle_of = handle_of
        self._request_of = request_of
        self._starting = Opening()

    # -- opening ----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._entered = True
        if self._inner is not None:
            await self._inner.__aenter__()
            return self
        return await self._open()

    async def _open(self) -> Self:
        if self._inner is not None:
            return self
        if self.ended:
            raise ClosedError("the stream is closed")
        if self._starting.running:
            raise LocalProtocolError("the stream is being opened by another task")
        try:
            inner = await self._starting.run(self._begin)
        except BaseException:
            self._ended = True
            raise
        if self._ended:  # closed in the moment between
            self._trail.free()
            await closed_quietly(inner)
            raise ClosedError("the stream was closed while it was being opened")
        self._inner = inner
        self._trail.proved()
        return self

    def _begin(self) -> Awaitable[Any]:
        return self._trail.open(self._ask, self._patience)

    async def _ask(self, member: Member) -> Any:
        self._patience.start()
        handle = self._handle_of(member)
        try:
            if self._entered:
                await handle.__aenter__()
            else:
                await handle
        except BaseException:
            await closed_quietly(handle)
            raise
        return handle

    async def _opened_one(self) -> Any:
        """The member's handle, for whoever iterates."""
        if self._inner is None:
            if self._ended:
                raise StopAsyncIteration
            try:
                await self._open()
            except ClosedError:
                if self._cancelled:
                    raise StopAsyncIteration from None
                raise
        return self._inner

    # -- iterating --------------------------------------------------------------------------

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

    # -- ending -----------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent."""
        await self._part(cancelled=True)

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await self._part(cancelled=False)

    async def _part(self, *, cancelled: bool) -> None:
        self._trail.free()
        if self._inner is not None:
            await (self._inner.cancel() if cancelled else self._inner.aclose())
        else:
            self._cancelled = self._cancelled or (cancelled and not self._ended)
            self._ended = True
            await self._starting.call_off()

    def __del__(self, _warn: object = None) -> None:
        """The member's own handle says that it was never closed, and frees what it holds."""

    # -- evidence ---------------------------------------------------------------------------

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

    def __repr__(self) -> str:
        who = self.member
        state = "ended" if self.ended else "open" if self._inner is not None else "new"
        return f"<{type(self).__name__} {state}{f' at {who}' if who else ''}>"


def _never() -> NoReturn:
    raise LocalProtocolError("a member's handle opens it")


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
        SpeechStream.__init__(self, _never, format=format)
        self._of_members(group, operation, handle_of, request_of)

    async def _open(self) -> Self:
        await super()._open()
        self.format = self._of("format", self.format)
        return self

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges; None before it has said so."""
        return cast("Usage | None", self._of("usage", None))

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the stream."""
        clip = await super().clip()
        return ProducedClip.of(clip, self.member, self.errors, self.request)


class MemberTextStream(_MemberStream, TextStream):
    """An answer of one of several members; everything that a ``TextStream`` is."""

    def __init__(
        self,
        group: Group,
        operation: str,
        handle_of: Callable[[Member], Any],
        request_of: Callable[[Member], Identified],
    ) -> None:
        TextStream.__init__(self, _never)
        self._of_members(group, operation, handle_of, request_of)

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
        return ProducedChat.of(await super().result(), self.member, self.errors, self.request)


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
