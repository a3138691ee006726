"""What every handle of a one-way flow does.

A handle is made without I/O. It opens when it is awaited, entered or first
iterated, and opening ends with the first useful output in hand. It may be entered,
iterated and closed from different tasks: nothing task-bound lives between two calls.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from voicekit.errors import (
    ClosedError,
    GapTimeout,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo, Timings
from voicekit.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping

    from voicekit.operation import Call
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

    # -- opening --

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

    # -- iterating --

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

    # -- ending --

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

    # -- evidence --

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
