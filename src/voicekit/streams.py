"""The handles that users hold while something flows one way: speech, or a model's words.

A handle is made without I/O. It opens when it is awaited, entered or first
iterated, and opening ends with the first useful output in hand. It may be entered,
iterated and closed from different tasks: nothing task-bound lives between two calls.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

from voicekit.errors import (
    ClosedError,
    GapTimeout,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.speech.clip import clip_of
from voicekit.timing import ConnectionInfo, Timings
from voicekit.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping

    from voicekit.operation import Call
    from voicekit.speech import AgentAnswer, ChatResult, RateLimits, ToolCall, Usage
    from voicekit.transport.interfaces import Response

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """A provider's sans-IO reading of a response body."""

    progress: int
    """Counts useful outputs; a stream commits on the first, and its gap clock restarts on each."""
    done: bool
    """The protocol's own end marker was read."""

    def feed(self, data: bytes, /) -> Iterable[T_co]:
        """Read one piece of the body as it arrived.

        Raises:
            VoicekitError: The provider reports an error, or what it sent is none of its protocol.
        """
        ...

    def eof(self, *, delimited: bool) -> Iterable[T_co]:
        """The body ended; ``delimited`` says that its framing proves the end.

        Raises:
            VoicekitError: It ended too early.
        """
        ...


class Opened(Generic[T]):
    """A stream at its commit point."""

    __slots__ = ("call", "decoder", "items", "response")

    def __init__(
        self, call: Call, response: Response, decoder: Decoder[T], items: deque[T]
    ) -> None:
        self.call = call
        self.response = response
        self.decoder = decoder
        self.items = items

    def abandon(self) -> None:
        """Free it: another attempt of the same call was quicker."""
        self.response.abort()


class Stream(Generic[T]):
    """What every one-way handle does.

    Awaitable and an async context manager, both of which open it; iterating to the
    end closes it. Leaving ``async with`` early, ``aclose()`` and ``cancel()`` free the
    connection at once. Cancelling a task inside ``__anext__`` loses nothing when the
    stream was entered with ``async with``; a stream that was not releases itself,
    since nobody else would.

    Raises:
        StreamInterruptedError: While iterating: the stream broke after its first
            output. Its cause says why, its attributes what was delivered.
        VoicekitError: While opening: see the client's method.
    """

    def __init__(self, open: Callable[[], Awaitable[Opened[T]]]) -> None:  # noqa: A002
        self._start = open
        self._opening: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: Opened[T] | None = None
        self._items: deque[T] = deque()
        self._watchdog: Watchdog | None = None
        self._entered = False
        self._reading = False
        self._ended = False
        self._error: StreamInterruptedError | None = None
        self._cancelled = False
        self._quiet = False  # ended by its holder, so iteration has nothing to complain of

    # -- opening ------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        self._entered = True
        return await self._open()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _open(self) -> Self:
        if self._opened is not None:
            return self
        if self._ended:
            raise ClosedError("the stream is closed")
        if self._opening is not None:
            raise LocalProtocolError("the stream is being opened by another task")
        task = self._opening = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are awaited
        cancelling = task.cancelling()
        try:
            opened = await self._start()
        except BaseException as error:
            self._ended = True
            interrupted = self._quiet and task.uncancel() <= cancelling
            if interrupted and isinstance(error, asyncio.CancelledError):  # ours, see _interrupt
                raise ClosedError("the stream was closed while it was being opened") from None
            raise
        finally:
            self._opening = None
        self._opened = opened
        self._items = opened.items
        self._loop = loop = task.get_loop()
        call = opened.call
        left = call.remaining()
        if left is not None or call.limits.gap is not None:
            until = None if left is None else loop.time() + left
            self._watchdog = Watchdog(loop, call.limits.gap, until, self._tripped)
        return self

    # -- iterating ----------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        items = self._items
        while not items:
            if self._ended:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise self._account(error)
                raise StopAsyncIteration
            if self._opened is None:
                try:
                    await self._open()
                except ClosedError:
                    if self._cancelled:
                        raise StopAsyncIteration from None
                    raise
                items = self._items
            else:
                await self._more(self._opened)
        if self._cancelled:
            raise StopAsyncIteration
        item = items.popleft()
        self._count(item)
        return item

    async def take(self) -> list[T]:
        """Everything that has arrived, waiting for at least one item; empty at the end.

        For those who pay for each call, such as a blocking facade. Cancelled while it
        waits, it loses nothing.

        Raises:
            VoicekitError: As iterating does, once what arrived before was handed out.
        """
        return await self._take(self.__anext__)

    async def _take(self, following: Callable[[], Awaitable[Any]]) -> list[Any]:
        items: list[Any] = []
        try:
            items.append(await following())
            while self._items:  # without waiting
                items.append(await Stream.__anext__(self))
        except StopAsyncIteration:
            return items
        opened = self._opened
        if opened is not None and opened.decoder.done and not self._items:
            self._finish(opened)  # now, and not when someone asks in vain
        return items

    def _count(self, item: T) -> None:
        """Remember what was handed out, for an exact account."""

    async def _more(self, opened: Opened[T]) -> None:
        """Wait for the next piece of the body, unless the end was read already."""
        decoder, response = opened.decoder, opened.response
        if decoder.done:
            self._finish(opened)
            return
        if self._reading:
            raise LocalProtocolError("two tasks iterate one stream")
        watchdog = self._watchdog
        if watchdog is not None:
            watchdog.waiting()
        self._reading = True
        try:
            data = await response.chunk()
            before = decoder.progress
            if data:
                self._items.extend(decoder.feed(data))
            else:
                self._items.extend(decoder.eof(delimited=response.delimited))
                self._finish(opened)
        except VoicekitError as error:
            self._broken(opened, error)
        except asyncio.CancelledError:
            if watchdog is not None:
                watchdog.arrived(useful=False)
            if not self._entered:
                self._abandon()
            raise
        except Exception as error:  # noqa: BLE001 - a decoder that chokes is the server's doing
            name = type(error).__name__
            self._broken(opened, RemoteProtocolError(f"the stream cannot be read ({name})"))
        else:
            if watchdog is not None:
                watchdog.arrived(useful=decoder.progress != before)
        finally:
            self._reading = False

    def _finish(self, opened: Opened[T]) -> None:
        if self._ended:
            return
        self._ended = True
        if self._watchdog is not None:
            self._watchdog.stop()
        opened.response.release()
        opened.call.end()

    def _tripped(self, total: bool) -> None:
        opened = self._opened
        if opened is None:
            return
        if total:
            opened.response.interrupt(opened.call.total_timeout())
        else:
            gap = opened.call.limits.gap
            opened.response.interrupt(GapTimeout(f"nothing useful for {gap:g} s", limit=gap))

    def _broken(self, opened: Opened[T], cause: VoicekitError) -> None:
        if self._quiet:
            self._abandon()
            return
        self._ended = True
        if self._watchdog is not None:
            self._watchdog.stop()
        opened.response.abort()
        error = StreamInterruptedError(f"broke off: {cause.message}", retryable=False)
        error.__cause__ = opened.call.describe(cause)
        # Raised once iteration has handed out what arrived before it in the same piece.
        self._error = error
        opened.call.end(error)

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        return error

    # -- ending -------------------------------------------------------------------

    def _abandon(self) -> None:
        """Give the stream up: free its connection, end its call as cancelled."""
        self._ended = True
        self._error = None
        self._items.clear()
        if self._opened is not None:
            _give_up(self._opened, self._watchdog)

    def _interrupt(self) -> None:
        """Wake whoever opens or reads it, in another task, and give it up."""
        self._quiet = True
        opening, opened = self._opening, self._opened
        if opening is not None and not self._ended:
            opening.cancel()  # taken back in _open, as asyncio.timeout does it
        elif opened is not None and self._reading:
            opened.response.interrupt(ClosedError("the stream was closed"))
        self._abandon()

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent.

        A task that is just opening it gets ``ClosedError``.
        """
        if not self._ended or self._items:
            self._cancelled = True
            self._interrupt()

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once.

        Another task's iteration ends quietly; its opening, with ``ClosedError``.
        """
        if not self._ended:
            self._interrupt()
        self._items.clear()
        self._error = None

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        opened, loop = getattr(self, "_opened", None), getattr(self, "_loop", None)
        if opened is None or loop is None or self._ended:
            return
        _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
        if not loop.is_closed():
            # The collector runs on any thread, in the middle of anything.
            loop.call_soon_threadsafe(_give_up, opened, self._watchdog)

    # -- evidence -----------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel()`` ended it."""
        return self._cancelled

    @property
    def ended(self) -> bool:
        """Whether everything was handed out, so that iterating would only stop."""
        return self._ended and not self._items and self._error is None

    @property
    def timings(self) -> Timings:
        """Where the time has gone so far."""
        return self._opened.call.timings if self._opened is not None else Timings()

    @property
    def connection(self) -> ConnectionInfo | None:
        """Which connection carries it; None before it is open."""
        return self._opened.call.connection if self._opened is not None else None

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return self._opened.call.request_id if self._opened is not None else None

    @property
    def attempts(self) -> int:
        """How often the request was sent until it gave a first output."""
        return self._opened.call.attempts if self._opened is not None else 0

    @property
    def hedged(self) -> bool:
        """Whether a second attempt was made beside a slow first one."""
        return self._opened.call.hedged if self._opened is not None else False

    @property
    def cache(self) -> str | None:
        """``"hit"``: a cache had it. ``"joined"``: it was being made for another caller."""
        opened = self._opened
        return getattr(opened.response, "cache", None) if opened is not None else None

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers; empty before it is open."""
        return self._opened.response.headers if self._opened is not None else {}

    def __repr__(self) -> str:
        state = "ended" if self._ended else "open" if self._opened is not None else "new"
        return f"<{type(self).__name__} {state}>"


def _give_up(opened: Opened[Any], watchdog: Watchdog | None) -> None:
    if watchdog is not None:
        watchdog.stop()
    opened.response.abort()
    opened.call.end(asyncio.CancelledError())


class SpeechParts(Protocol):
    """What knows of which segments a speech is made, and asks for some of them again."""

    resumed: int

    def account(self, delivered: int, /) -> tuple[int, bool]:
        """The first segment of which so many bytes are not all, and whether they hold none of it.

        Args:
            delivered: Bytes of audio.
        """
        ...

    def gather(self) -> None:
        """Nothing will be taken before all of it is there."""
        ...


class SpeechStream(Stream[AudioChunk]):
    """Speech as it is made: iterate for ``AudioChunk``, which are bytes.

    Attributes:
        format: What the chunks are.
        delivered_bytes: How many bytes iteration has handed out.
    """

    def __init__(
        self,
        open: Callable[[], Awaitable[Opened[AudioChunk]]],  # noqa: A002
        *,
        format: AudioFormat,  # noqa: A002
        usage: Callable[[Mapping[str, str]], Usage | None] = lambda _headers: None,
        parts: SpeechParts | None = None,
    ) -> None:
        super().__init__(open)
        self.format = format
        self.delivered_bytes = 0
        self._usage = usage
        self._parts = parts

    def _count(self, item: AudioChunk) -> None:
        self.delivered_bytes += len(item)

    @property
    def delivered_s(self) -> float | None:
        """Seconds of audio handed out, where the format tells."""
        return self.format.duration_s(self.delivered_bytes)

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges; None before it has said so."""
        return self._usage(self.headers) if self._opened is not None else None

    @property
    def resumed(self) -> int:
        """How often it broke off and went on, which only the option ``resume`` allows."""
        return self._parts.resumed if self._parts is not None else 0

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        delivered = error.delivered_bytes = self.delivered_bytes
        error.delivered_s = self.delivered_s
        if self._parts is not None:
            error.segment, error.resumable = self._parts.account(delivered)
        else:
            error.segment, error.resumable = 0, not delivered
        return error

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the stream."""
        if self._parts is not None:
            self._parts.gather()
        clip = await clip_of(self)
        return replace(clip, resumed=self.resumed) if self.resumed else clip


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


class AgentDecoder(Decoder[Any], Protocol):
    """Reads a turn of an agent; text deltas are plain ``str``, other events values of their own.

    An ``AgentRetraction`` voids the text before it.
    """

    text: list[str]

    def answer(self, call: Call, headers: Mapping[str, str], /) -> AgentAnswer:
        """The turn, as far as it was read."""
        ...


class AgentReply(DeltaStream):
    """An agent's turn as it is said: iterate for text deltas (``str``).

    ``events()`` gives everything in order: ``AgentProgress``, ``AgentRetraction``, and the
    provider's own messages. When the agent takes back what it said, text that was not yet
    handed out is dropped, and iteration goes on with what it says instead.
    """

    @property
    def _read(self) -> AgentDecoder | None:
        opened = self._opened
        return None if opened is None else cast("AgentDecoder", opened.decoder)

    @property
    def text(self) -> str:
        """What holds so far: without what was retracted."""
        return "".join(self._read.text) if self._read is not None else ""

    @property
    def answer(self) -> AgentAnswer | None:
        """The turn so far, whole once iteration has ended; None before it is open."""
        opened, read = self._opened, self._read
        if opened is None or read is None:
            return None
        return read.answer(opened.call, opened.response.headers)

    async def result(self) -> AgentAnswer:
        """Read to the end and return the whole turn; closes the stream."""
        async with self:
            async for _ in self:
                pass
        answer = self.answer
        assert answer is not None  # noqa: S101 - it was opened
        return answer

    async def _open(self) -> Self:
        await super()._open()
        self._retract()
        return self

    async def _more(self, opened: Opened[Any]) -> None:
        await super()._more(opened)
        self._retract()

    def _retract(self) -> None:
        """Drop the text that waits before a retraction, which then says how much was too late."""
        from voicekit.speech import AgentRetraction  # not for those who only speak

        items = self._items
        at = next((i for i in reversed(range(len(items))) if type(items[i]) is AgentRetraction), 0)
        if not at and not (items and type(items[0]) is AgentRetraction):
            return
        before = [items.popleft() for _ in range(at)]
        said = replace(items.popleft(), delivered_characters=self.delivered_characters)
        items.extendleft(reversed([item for item in before if type(item) is not str] + [said]))


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
