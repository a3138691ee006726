"""What every two-way handle does: one utterance or one transcription over one socket.

The socket's reader task pushes what it decodes into a bounded buffer and never
waits for a slow consumer; the consumer takes it from there. The clocks run only
while the provider owes output and the consumer waits for it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from voicekit.errors import (
    ClosedError,
    FirstOutputTimeout,
    GapTimeout,
    LocalProtocolError,
    StreamInterruptedError,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo, Timings
from voicekit.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from voicekit.operation import Call

T = TypeVar("T")


class Session(Generic[T]):
    """Base of the sessions. A provider's session says what its frames mean.

    Awaitable and an async context manager, both of which open it. Entered, sent to,
    iterated and closed from any tasks; one task iterates at a time. Cancelling a
    task inside ``__anext__`` loses nothing.

    Subclasses implement ``_connect`` (lease or dial, say hello), ``_owes`` (whether the
    provider has something to deliver) and ``_hang_up`` (give the socket back), and call
    ``_push``, ``_end`` and ``_fail``.
    """

    def __init__(self, make_call: Callable[[], Call]) -> None:
        self._make_call = make_call
        self._call: Call | None = None
        self._items: deque[T] = deque()
        self._buffered = 0.0
        self._max_buffered = float("inf")
        self._waiter: asyncio.Future[None] | None = None
        self._watchdog: Watchdog | None = None
        self._opening: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = False
        self._ended = False  # nothing more will come
        self._closed = False  # the socket was given back, the call is over
        self._interrupted = False  # closed while another task was opening it
        self._error: VoicekitError | None = None
        self._cancelled = False
        self._delivered = 0
        self._arrived = 0

    # -- for subclasses --

    async def _connect(self, call: Call) -> None:
        """Open, with the policies of the operation around it."""
        raise NotImplementedError

    def _owes(self) -> bool:
        """Whether output is due from the provider: sent, accepted and not yet answered."""
        raise NotImplementedError

    def _hang_up(self, *, clean: bool) -> None:
        """Give the socket back. ``clean``: this session's protocol came to its own end."""
        raise NotImplementedError

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        """Put on ``error`` what was delivered."""
        return error

    def _weigh(self, _item: T) -> float:
        """What one item takes of ``_max_buffered``."""
        return 1.0

    def _push(self, item: T, *, useful: bool = True) -> None:
        """Something for the consumer arrived."""
        if self._ended:
            return
        if useful:
            self._arrived += 1
            if self._arrived == 1 and self._call is not None:
                self._call.committed()
        self._buffered += self._weigh(item)
        self._items.append(item)
        if self._buffered > self._max_buffered:
            self._fail(LocalProtocolError("the consumer is too far behind: the buffer is full"))
            return
        if self._watchdog is not None:
            self._watchdog.arrived(useful=useful)
        self._wake()

    def _progress(self) -> None:
        """Something changed that decides whether the provider owes output."""
        watchdog = self._watchdog
        if watchdog is None or self._call is None:
            return
        if self._owes():
            limits = self._call.limits
            if watchdog.limit is None:
                watchdog.arrived(useful=True)  # it is due from now on
            watchdog.limit = limits.gap if self._arrived else limits.first_output or limits.gap
        else:
            watchdog.arrived(useful=True)
            watchdog.limit = None  # only the total limit counts
        if self._waiter is not None:
            watchdog.waiting()
        else:
            watchdog.arrived(useful=False)

    def _end(self) -> None:
        """The protocol's own end: what is buffered is the rest."""
        if self._ended:
            return
        self._ended = True
        self._shut(None, clean=True)

    def _fail(self, cause: VoicekitError) -> None:
        """The session broke. What is buffered is still delivered, then the error is raised."""
        if self._ended:
            return
        self._ended = True
        error = cause
        if self._arrived and not isinstance(cause, ClosedError):
            error = StreamInterruptedError(f"broke off: {cause.message}")
            error.__cause__ = cause
            if self._call is not None:
                self._call.describe(cause)
        self._error = error
        self._shut(error, clean=False)

    def _shut(self, error: BaseException | None, *, clean: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._call is not None:
            self._call.end(error)
        self._hang_up(clean=clean)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _ready(self) -> None:
        """Check that the session takes input."""
        if self._error is not None:
            raise self._error
        if not self._open or self._closed:
            raise ClosedError("the session is closed" if self._closed else "open the session first")

    # -- opening --

    def __await__(self) -> Generator[Any, None, Self]:
        return self._opened().__await__()

    async def __aenter__(self) -> Self:
        return await self._opened()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _opened(self) -> Self:
        if self._open:
            return self
        if self._closed:
            raise ClosedError("the session is closed")
        if self._opening is not None:
            raise LocalProtocolError("the session is being opened by another task")
        task = self._opening = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are awaited
        self._loop = loop = task.get_loop()
        cancelling = task.cancelling()
        call = self._call = self._make_call()
        try:
            await self._connect(call)
        except BaseException as error:
            interrupted = self._interrupted and task.uncancel() <= cancelling
            self._ended = self._closed = True
            call.end(error)
            self._hang_up(clean=False)
            if interrupted and isinstance(error, asyncio.CancelledError):  # ours, see aclose
                raise ClosedError("the session was closed while it was being opened") from None
            raise
        finally:
            self._opening = None
        if self._over():
            call.end(self._error or asyncio.CancelledError())
            self._hang_up(clean=False)
            raise self._error or ClosedError("the session was closed while it was being opened")
        left = call.remaining()
        until = None if left is None else loop.time() + left
        self._watchdog = Watchdog(loop, call.limits.first_output, until, self._tripped)
        self._open = True
        return self

    def _over(self) -> bool:
        return self._closed

    # -- iterating --

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._open and not self._closed:
            try:
                await self._opened()
            except ClosedError:
                if self._cancelled:
                    raise StopAsyncIteration from None
                raise
        while not self._items:
            if self._ended:
                error, self._error = self._error, None
                if error is not None and not self._cancelled:
                    if isinstance(error, StreamInterruptedError):
                        self._account(error)
                    raise error
                raise StopAsyncIteration
            if self._waiter is not None:
                raise LocalProtocolError("two tasks iterate one session")
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            self._progress()
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
                    self._progress()
        item = self._items.popleft()
        self._buffered -= self._weigh(item)
        self._delivered += 1
        return item

    async def take(self) -> list[T]:
        """Everything that has arrived, waiting for at least one item; empty at the end.

        For those who pay for each call, such as a blocking facade. Cancelled while it
        waits, it loses nothing.

        Raises:
            VoicekitError: As iterating does, once what arrived before was handed out.
        """
        items: list[T] = []
        try:
            items.append(await self.__anext__())
            while self._items:  # without waiting
                items.append(await self.__anext__())
        except StopAsyncIteration:
            pass
        return items

    def _tripped(self, total: bool) -> None:
        call = self._call
        if call is None:
            return
        if total:
            self._fail(call.total_timeout())
        elif self._arrived:
            gap = call.limits.gap or 0.0
            self._fail(GapTimeout(f"nothing useful for {gap:g} s", limit=gap))
        else:
            first = call.limits.first_output or call.limits.gap or 0.0
            self._fail(FirstOutputTimeout(f"nothing useful within {first:g} s", limit=first))

    # -- ending --

    def _abandon(self) -> None:
        self._ended = True
        self._items.clear()
        self._buffered = 0.0
        self._shut(asyncio.CancelledError(), clean=False)

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once.

        Another task's iteration ends quietly; its opening, with ``ClosedError``.
        """
        if self._closed:
            self._items.clear()
            return
        if self._opening is not None or not self._open:
            self._closed = self._ended = True
            if self._opening is not None:
                self._interrupted = True
                self._opening.cancel()  # taken back in _opened, as asyncio.timeout does it
            return
        self._abandon()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not getattr(self, "_open", False) or self._closed:
            return
        _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            # The collector runs on any thread, in the middle of anything.
            loop.call_soon_threadsafe(self._abandon)

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
        return self._call.timings if self._call is not None else Timings()

    @property
    def connection(self) -> ConnectionInfo | None:
        """Which connection carries it; None before it is open."""
        return self._call.connection if self._call is not None else None

    @property
    def attempts(self) -> int:
        """How many connections were tried, those that replaced one included."""
        return self._call.attempts if self._call is not None else 0

    @property
    def hedged(self) -> bool:
        """False: a session is never opened twice at a time."""
        return self._call.hedged if self._call is not None else False

    @property
    def request_id(self) -> str | None:
        """The provider's id of the session, when it gives one."""
        return self._call.request_id if self._call is not None else None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._open else "new"
        return f"<{type(self).__name__} {state}>"
