"""One who listens to a tape, as what a handle of ours reads from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from voicekit.cache.source import HandleSource
from voicekit.errors import LocalProtocolError, VoicekitError, for_one
from voicekit.timing import ConnectionInfo

if TYPE_CHECKING:
    from voicekit.cache.tape import Tape
    from voicekit.operation import Call

T = TypeVar("T")

SOME: Final = b"+"
"""What a follower's ``chunk()`` says when there is something to ``feed``."""


class Follower(HandleSource, Generic[T]):
    """One who listens to a ``Tape``: to a handle of ours it is a response and its decoder.

    Subclasses add what the handle's kind reads from its decoder besides.

    Attributes:
        joined: Another one had it begun. Then nothing was asked for on behalf of this one:
            its ``attempts`` are 0, and it waited for no connection.
        complete: All of it was there when it joined.
        progress: Items that were handed to it.
        taken: Their bytes.
    """

    def __init__(self, tape: Tape[T]) -> None:
        self.joined = False
        self.complete = False
        self.progress = 0
        self.taken = 0
        self.tape = tape
        self._changed = asyncio.Event()
        self._error: VoicekitError | None = None
        self._call: Call | None = None

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def first(self, call: Call) -> None:
        """Wait for the first output, or for an end without any.

        Raises:
            VoicekitError: The upstream failed before.
        """
        self._call = call
        call.attempts = 0
        try:
            await self.chunk()
        except VoicekitError as error:
            if not self.joined:
                call.attempts = error.attempts
            raise
        self._tell(call)
        call.committed()

    def _tell(self, call: Call) -> None:
        """Put on ``call`` what the upstream says of how it came about."""
        if self.complete:
            return
        handle = self.tape.handle
        call.connection = getattr(handle, "connection", None)
        call.request_id = getattr(handle, "request_id", None)
        if self.joined:
            return
        call.attempts = getattr(handle, "attempts", 1)
        call.hedged = getattr(handle, "hedged", False)
        timings = getattr(handle, "timings", None)
        if timings is not None:
            call.queue_s, call.connect_s, call.tls_s = timings.queue, timings.connect, timings.tls

    # -- as a response --

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the upstream; empty where it has none."""
        return getattr(self.tape.handle, "headers", None) or {}

    @property
    def cache(self) -> str | None:
        """What its handle says of it."""
        if self.complete:
            return "hit"
        return "joined" if self.joined else None

    @property
    def connection(self) -> ConnectionInfo | None:
        """That of the upstream."""
        return getattr(self.tape.handle, "connection", None)

    async def chunk(self) -> bytes:
        """Wait until there is something to ``feed``; empty at the end. Cancelling loses nothing.

        Raises:
            LocalProtocolError: It has fallen behind what is held.
            VoicekitError: The upstream failed; an error of its own for each follower.
        """
        tape = self.tape
        while True:
            if self._error is not None:
                raise self._error
            if self.progress < tape.dropped:
                raise LocalProtocolError("fell too far behind others who listen to the same")
            if self.progress < tape.dropped + len(tape.items):
                return SOME
            if tape.error is not None:
                raise for_one(tape.error)
            if tape.whole:
                if self._call is not None:
                    self._tell(self._call)
                return b""
            self._changed.clear()
            await self._changed.wait()

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and leave."""
        self._error = error
        self._changed.set()
        self.tape.leave(self)

    def abort(self) -> None:
        """Leave. Idempotent."""
        self.tape.leave(self)

    def release(self) -> None:
        """Everything was read."""
        self.tape.leave(self)

    # -- as a decoder --

    @property
    def done(self) -> bool:
        """Whether it has got everything."""
        tape = self.tape
        return tape.whole and self.progress == tape.dropped + len(tape.items)

    def feed(self, _data: bytes, /) -> Sequence[T]:
        """Everything that was recorded since the last time."""
        tape = self.tape
        items = tape.items[self.progress - tape.dropped :]
        self.progress += len(items)
        self.taken += sum(map(tape.size_of, items))
        if tape.overflowed:
            tape.make_room()
        return items
