"""One stream for many: recorded while it plays, from the beginning for whoever joins.

A ``Tape`` has one upstream handle, read by a task of its own, and any number of followers. A
follower is what a handle of ours reads from (``streams.Opened``), so that everything that
holds for a handle holds for one that follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from voicekit.cache.follower import SOME, Follower
from voicekit.errors import (
    ClosedError,
    DeadlineError,
    LocalProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
    WrongLoopError,
)
from voicekit.pipeline import PLAIN

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.streams import Opened
    from voicekit.tasks import Background

__all__ = ["Tape"]

T = TypeVar("T")


class Tape(Generic[T]):
    """One upstream stream, played to its followers while it is being recorded.

    Joining is free of I/O and of waiting, so that between a look for a tape and joining it
    nothing can happen. Whoever joins gets everything from the beginning, each at its own pace.

    - The upstream is opened and read by a task of its own, in an empty context: nobody's
      deadline or cancellation reaches it. Its own limits and policies hold.
    - When the last follower leaves before the end, the upstream is cancelled, and nothing is
      kept.
    - When it fails, everybody who joined gets an error of the same kind, with a traceback of
      his own: who has got nothing yet, the error itself; who has, ``StreamInterruptedError``
      with what *he* was given.
    - Up to ``most``, everything is kept in memory and read as fast as it comes. Beyond, nobody
      joins any more, and it will not be kept; its followers go on. From then on it is read no
      further than half of ``most`` ahead of the quickest of them, as a connection would wait
      for its only reader; one that falls behind what is still held gets
      ``LocalProtocolError``. So memory is bounded, and nobody waits for a follower that
      stands still.

    How it is used, here for the text of a model::

        def start() -> TextStream:  # no I/O; called in the tape's task
            return inner.stream_chat(request)

        tape = Tape(start, background, read=TextStream.take_events, size_of=size_of,
                    most=1_000_000, ended=store)
        follower = TextFollower(tape)        # Follower with what a TextDecoder has
        tape.join(follower)                  # at once, so that nobody can come between
        stream = TextStream(lambda: tape.open(call, follower))

    ``Follower.joined`` tells whether another one had it begun. A follower that has joined must
    come to ``open`` or to ``leave``.

    Args:
        start: Makes the upstream handle, without I/O: something to enter with ``async with``.
        background: Owns the task.
        read: Everything that has arrived at the handle, waiting for some; empty at the end.
        size_of: Bytes of an item, roughly.
        most: Bytes that are kept.
        ended: Awaited in the tape's task when the upstream has come to its own end; the
            followers do not wait for it. Whatever it raises is logged by type.
        done: Called when the task is over, whatever has happened.
        name: Of the task.

    Attributes:
        handle: The upstream handle, once it is open; it stays, as evidence.
        items: What was recorded; all of it unless ``overflowed``.
        size: Bytes of ``items``.
        dropped: How many items before them are held no more.
        overflowed: It is longer than ``most``.
        kept: Its owner has kept it; for the owner to say.
        whole: The upstream has come to its own end.
        error: Why the upstream ended otherwise; ``ClosedError`` when everybody had left.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        background: Background,
        *,
        read: Callable[[Any], Awaitable[Sequence[T]]],
        size_of: Callable[[T], int],
        most: int,
        ended: Callable[[Tape[T]], Awaitable[None]] | None = None,
        done: Callable[[Tape[T]], None] | None = None,
        name: str = "voicekit-tape",
    ) -> None:
        self.handle: Any = None
        self.items: list[T] = []
        self.size = 0
        self.overflowed = False
        self.whole = False
        self.kept = False
        self.error: VoicekitError | None = None
        self.dropped = 0
        self.size_of = size_of
        self._start = start
        self._background = background
        self._read = read
        self._most = most
        self._on_end = ended
        self._on_done = done
        self._name = name
        self._recorded = 0
        self._followers: set[Follower[T]] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._retired = False

    # -- who listens --

    @property
    def over(self) -> bool:
        """Whether the upstream has ended, well or not."""
        return self.whole or self.error is not None

    @property
    def joinable(self) -> bool:
        """Whether one who joins now can still get all of it."""
        return self.error is None and not self.overflowed and not self._retired

    @property
    def followers(self) -> int:
        """How many listen."""
        return len(self._followers)

    def join(self, follower: Follower[T]) -> None:
        """Count ``follower`` among those for whom the upstream goes on; the first begins it.

        Raises:
            WrongLoopError: It belongs to another event loop.
            LocalProtocolError: It is not ``joinable``.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError("what is being made belongs to another event loop")
        if not self.joinable:
            raise LocalProtocolError("it is too late to join")
        self._followers.add(follower)
        follower.joined = self._task is not None
        follower.complete = self.whole
        if self._task is None:
            self._task = self._background.spawn(self._record(), self._name)
            self._task.add_done_callback(self._done)

    def make_room(self) -> None:
        """A follower has got something: the upstream may go on."""
        self._room.set()

    def leave(self, follower: Follower[T]) -> None:
        """``follower`` listens no more. Idempotent."""
        self._followers.discard(follower)
        if not self._followers and not self.over:
            self._stop(ClosedError("nobody listens any more"))
            if self._task is not None:
                self._task.cancel()
        self.make_room()
        self._free()

    def retire(self) -> None:
        """Nobody joins any more: what was recorded is held only as long as somebody listens."""
        self._retired = True
        self._free()

    def _free(self) -> None:
        if self._retired and not self._followers:
            self.dropped += len(self.items)
            self.items.clear()

    async def finished(self) -> None:
        """Wait until nothing of it is under way, ``ended`` included. Cancelling is harmless."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def open(self, call: Call, follower: Follower[T]) -> Opened[T]:
        """What a handle of ours reads from, with the first output in hand.

        Cancelling leaves the tape as it is to the others.

        Raises:
            DeadlineError: The ambient ``deadline()`` of this caller passed.
            VoicekitError: The upstream failed before it had an output.
        """
        try:
            await PLAIN.open(call, follower.first)
        except BaseException as error:
            if isinstance(error, DeadlineError) and not follower.joined:
                error.outcome = "unknown"  # it was asked on this one's behalf
            self.leave(follower)
            raise
        return follower.opened(call, follower.feed(SOME))

    # -- the task --

    async def _record(self) -> None:
        try:
            handle = self._start()
            async with handle:
                self.handle = handle
                while items := await self._read(handle):
                    self._add(items)
                    while self.overflowed and self._ahead() > self._most // 2:
                        self._room.clear()
                        await self._room.wait()
                        self._trim()
        except VoicekitError as error:
            self._stop(_reason(error))
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, its name is told
            failed = UnavailableError(f"the engine failed ({type(error).__name__})")
            failed.__cause__ = error
            self._stop(failed)
        else:
            self._end()
        if self.whole and self._on_end is not None:
            await self._on_end(self)

    def _add(self, items: Sequence[T]) -> None:
        size = sum(map(self.size_of, items))
        self.items.extend(items)
        self.size += size
        self._recorded += size
        if self.size > self._most:
            self.overflowed = True
            self._trim()
        self._wake()

    def _ahead(self) -> int:
        """Bytes that the quickest follower has not got yet; 0 when there is none."""
        quickest = max((each.taken for each in self._followers), default=self._recorded)
        return self._recorded - quickest

    def _trim(self) -> None:
        """Let go of what is beyond ``most``, but of nothing that the quickest has not got."""
        reached = max((each.progress for each in self._followers), default=0) - self.dropped
        gone = 0
        while self.size > self._most and gone < reached:
            self.size -= self.size_of(self.items[gone])
            gone += 1
        del self.items[:gone]
        self.dropped += gone

    def _end(self) -> None:
        if not self.over:
            self.whole = True
            self._wake()

    def _stop(self, error: VoicekitError) -> None:
        if not self.over:
            self.error = error
            self._wake()

    def _done(self, _task: object) -> None:
        # Also when it was cancelled before its first step.
        self._stop(ClosedError("it was closed while it was being made"))
        if self._on_done is not None:
            self._on_done(self)

    def _wake(self) -> None:
        for follower in self._followers:
            follower.wake()


def _reason(error: VoicekitError) -> VoicekitError:
    """Why a stream broke off, without what its own reader was given."""
    cause = error.__cause__
    interrupted = isinstance(error, StreamInterruptedError)
    return cause if interrupted and isinstance(cause, VoicekitError) else error
