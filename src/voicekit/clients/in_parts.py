"""Several requests, spoken one after the other, as one stream.

A task of its own reads ahead of the consumer, up to a bound, and asks for the next part as
soon as the last one has come in full: while what was read of it is still being played. So
the consumer hears no seam as long as it plays slower than the provider speaks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from voicekit.clients.resuming import Boundary, Segments
from voicekit.errors import ClosedError, RemoteProtocolError, VoicekitError
from voicekit.streams import Opened

if TYPE_CHECKING:
    from voicekit.operation import Limits
    from voicekit.speech import AudioChunk, AudioFormat
    from voicekit.tasks import Background
    from voicekit.timing import ConnectionInfo

AHEAD_S: Final = 20.0
"""Seconds of audio that may wait for the consumer. Source: ours; enough for any answer to the
next request to come, a megabyte of PCM at 24 kHz."""

_MORE: Final = b"more"
"""Says to the stream that there is something to take, and is not read."""

OpenPart = Callable[[int, "Limits | None"], Awaitable["Opened[AudioChunk]"]]
"""Asks for the part of that number, with its limits where they are not the call's."""


class SpeechInParts:
    """The response and the decoder of a speech that several requests make.

    Opening opens the first part. What is read afterwards is owned by ``background``. It is
    one doing of the operation: the first part's call is that of the stream and ends with it;
    the others have calls of their own, within what is left of its total limit.

    Its ``headers`` and ``connection`` are those of the newest part, ``progress`` and
    ``read_bytes`` of all parts so far.

    Attributes:
        whole_headers: Of the parts that have come in full.
        segments: The parts, for the account of what was delivered.
        resumed: How often a part that broke off was asked for again.
    """

    status: int = 200
    headers: Mapping[str, str]
    connection: ConnectionInfo
    delimited = True  # what proves the end of each part, its own decoder has seen

    def __init__(
        self,
        parts: int,
        open_part: OpenPart,
        format: AudioFormat,  # noqa: A002 - the option's name
        background: Callable[[], Background],
    ) -> None:
        self.progress = 0
        self.done = False
        self.read_bytes = 0
        self.all_headers: list[Mapping[str, str]] = []
        self.whole_headers: list[Mapping[str, str]] = []
        self.segments = Segments()
        self.resumed = 0
        self._parts = parts
        self._open_part = open_part
        self._background = background
        self._ahead = format.bytes_for(AHEAD_S) or 1 << 20
        self._items: deque[AudioChunk] = deque()
        self._held = 0
        self._made = 0  # progress of what was read
        self._finished = False
        self._error: VoicekitError | None = None
        self._changed = asyncio.Event()  # something to take
        self._taken = asyncio.Event()  # room for more
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> Opened[AudioChunk]:
        """Ask for the first part; the others follow by themselves.

        Raises:
            VoicekitError: It failed.
        """
        self._first = opened = await self._open_part(0, None)
        self._begin(opened)
        self._task = self._background().spawn(self._read_all(), "voicekit-speech-parts")
        self._task.add_done_callback(self._over)
        return Opened(opened.call, self, self, self._in_hand())

    def _in_hand(self) -> deque[AudioChunk]:
        """What the stream begins with."""
        return deque(self.feed(_MORE))

    def _begin(self, opened: Opened[AudioChunk]) -> None:
        self._current = opened
        self.headers = opened.response.headers
        self.connection = opened.response.connection
        self.all_headers.append(self.headers)
        self._made += opened.decoder.progress
        self._take(opened.items)

    # -- reading ahead --

    async def _read_all(self) -> None:
        try:
            for number in range(self._parts):
                await self._part(number)
                self.segments.ended(Boundary(self._beyond(number), self.read_bytes))
            self._finished = True
        except VoicekitError as error:
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001 - a decoder that chokes is the server's doing
            name = type(error).__name__
            self._error = RemoteProtocolError(f"a part cannot be read ({name})")

    async def _part(self, number: int) -> None:
        if number:
            await self._next(number)
        await self._read(self._current)

    def _beyond(self, number: int) -> int:
        """The segment after those of a part: as they are counted here, the next part."""
        return number + 1

    def _over(self, _task: asyncio.Task[None]) -> None:
        """The task has ended, or was cancelled before it began."""
        if not self._finished:
            self._current.response.abort()
            if self._current is not self._first:
                self._current.call.end(self._error or asyncio.CancelledError())
            self._error = self._error or ClosedError("the speech was closed")
        self._changed.set()

    async def _next(self, number: int) -> None:
        call = self._first.call
        left = call.remaining()
        # The total is one for all parts; a moment, where it is over, for the error it makes.
        limits = replace(call.limits, total=None if left is None else max(left, 0.001))
        opened = await self._open_part(number, limits)
        call.request_id = opened.call.request_id  # the newest, as the headers are
        self._begin(opened)

    async def _read(self, opened: Opened[AudioChunk]) -> None:
        """Read one part to its end."""
        response, decoder = opened.response, opened.decoder
        while not decoder.done:
            while self._full:
                self._taken.clear()
                await self._taken.wait()
            data = await response.chunk()
            before = decoder.progress
            items = decoder.feed(data) if data else decoder.eof(delimited=response.delimited)
            self._take(items)  # which may read as it goes
            self._made += decoder.progress - before
        response.release()
        self.whole_headers.append(response.headers)
        self._over_with(opened)

    def _over_with(self, opened: Opened[AudioChunk], error: VoicekitError | None = None) -> None:
        """A request is over: its call, too, but the first one's, which is that of the stream."""
        if opened is self._first:
            opened.call.free()  # or the next part would wait for the place that it holds
        else:
            opened.call.end(error)

    @property
    def _full(self) -> bool:
        """Whether enough waits for the consumer."""
        return self._held >= self._ahead

    def _take(self, items: Iterable[AudioChunk]) -> None:
        for item in items:
            self._items.append(item)
            self._held += len(item)
            self.read_bytes += len(item)
            self._changed.set()

    # -- as a response --

    async def chunk(self) -> bytes:
        """Wait until there is something to take; empty at the end. Cancelling loses nothing.

        Raises:
            VoicekitError: A part failed. What came before it was taken.
        """
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._finished:
                return b""
            self._changed.clear()
            await self._changed.wait()
        return _MORE

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and abort."""
        self._items.clear()
        self._error = error
        self.abort()
        self._changed.set()

    def abort(self) -> None:
        """Stop reading and free the connection. Idempotent."""
        if self._task is not None:
            self._task.cancel()
        if self._task is not None and not self._finished:
            self._current.response.abort()  # now, and not at the loop's next turn

    def release(self) -> None:
        """Nobody wants the rest."""
        if not self._finished:
            self.abort()

    # -- as a decoder --

    def feed(self, _more: bytes, /) -> Iterable[AudioChunk]:
        """Everything that was read ahead."""
        items, self._items = self._items, deque()
        self._held = 0
        self._taken.set()
        self.progress = self._made
        self.done = self._finished
        return items

    def eof(self, *, delimited: bool) -> Iterable[AudioChunk]:  # noqa: ARG002 - the seam's
        """The last part has ended."""
        self.done = True
        return ()

    # -- for the account --

    def account(self, delivered: int) -> tuple[int, bool]:
        """The first part not delivered whole for certain, and whether no byte of it was."""
        return self.segments.account(delivered)

    def gather(self) -> None:
        """The consumer wants everything, and nothing before all of it is there."""
