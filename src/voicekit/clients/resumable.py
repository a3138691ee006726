"""Speech that goes on after a break, where it is proven which sentence ended.

The caller is handed what was read ahead piece by piece and not all at once, so that it is known
to the byte what is theirs. What is not theirs yet may be taken back to the end of the last whole
sentence, and the rest is asked for again. So a stream can be resumed as long as it is read
faster than it is played; a clip, of which nobody has anything before all of it is there, always.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from voicekit import events
from voicekit.clients.in_parts import OpenPart, SpeechInParts
from voicekit.clients.resuming import Boundary, SegmentEnds, cut, may_resume
from voicekit.errors import GapTimeout, RemoteProtocolError, VoicekitError

if TYPE_CHECKING:
    from voicekit.operation import Call, Limits
    from voicekit.speech import AudioChunk, AudioFormat
    from voicekit.streams import Opened
    from voicekit.tasks import Background

OpenRest = Callable[[int, int, "Limits | None"], Awaitable["Opened[AudioChunk]"]]
"""Asks for the part of that number without so many of its first segments, with these limits."""


class ResumableSpeech(SpeechInParts):
    """A speech of one or several parts that asks again for what broke off.

    A part's opening is repeated by the policies of its call. What they let through, and what
    breaks later, is asked for once more from the first segment that has not come whole, if the
    caller has no byte of it, by a call of its own under the same policies. ``parts`` are the
    segments of each part; where those are the parts, there is no alignment to ``follow``.
    """

    def __init__(
        self,
        parts: Sequence[int],
        open_rest: OpenRest,
        format: AudioFormat,  # noqa: A002 - the option's name
        background: Callable[[], Background],
        *,
        follow: Callable[[int, int], SegmentEnds] | None = None,
    ) -> None:
        super().__init__(len(parts), self._open, format, background)
        self._firsts = [0, *accumulate(parts)]
        self._open_rest = open_rest
        self._format = format
        self._follow = follow
        self._ends: SegmentEnds | None = None
        self._number = self._skipped = 0  # of the request under way
        self._older = 0  # of the items, how many are of earlier requests
        self._given = 0  # bytes
        self._gathering = False
        self._listening = False

    def gather(self) -> None:
        """Keep everything until all of it is there: until then it can be taken back."""
        self._gathering = True
        self._taken.set()

    # -- asking --

    def _open(self, number: int, limits: Limits | None) -> Awaitable[Opened[AudioChunk]]:
        return self._open_rest(number, self._skipped, limits)

    def _begin(self, opened: Opened[AudioChunk]) -> None:
        self._older = len(self._items)
        if self._follow is not None:
            self._ends = self._follow(self._number, self._skipped)
        super()._begin(opened)

    def _beyond(self, number: int) -> int:
        return self._firsts[number + 1]

    async def _part(self, number: int) -> None:
        if number:
            self._number, self._skipped = number, 0
            self._older = len(self._items)  # all of them, should it not even open
        try:
            if number:
                await self._next(number)
            await self._listen()
            return
        except VoicekitError as error:
            broken = error
        boundary = self.segments.resume_from(delivered=self._given, read=self.read_bytes)
        if boundary is None or not may_resume(broken):
            raise broken
        if not _paid(self._first.call):
            broken.retry_stopped = "budget"
            raise broken
        self.segments.resumed(boundary, end=self._beyond(number))
        self._take_back(boundary)
        await self._again(boundary, broken)

    async def _again(self, boundary: Boundary, broken: VoicekitError) -> None:
        self._skipped = boundary.segment - self._firsts[self._number]
        call = self._first.call
        try:
            await self._next(self._number)
        except VoicekitError as error:
            call.attempts += error.attempts
            raise
        call.attempts += self._current.call.attempts
        self.resumed += 1
        call.emit(
            events.SpeechResumed,
            sentence=boundary.segment,
            delivered_bytes=self._given,
            error=type(broken).__name__,
        )
        await self._listen()

    # -- reading --

    async def _listen(self) -> None:
        """Read the request under way to its end.

        Raises:
            VoicekitError: It broke, and was freed.
        """
        opened, self._listening = self._current, True
        try:
            await self._read(opened)
        except VoicekitError as error:
            broken = error
        except Exception as error:  # noqa: BLE001 - a decoder that chokes is the server's doing
            broken = RemoteProtocolError(f"a part cannot be read ({type(error).__name__})")
        else:
            return
        finally:
            self._listening = False
        opened.response.abort()
        self._over_with(opened, broken)
        raise broken

    def _take(self, items: Iterable[AudioChunk]) -> None:
        for item in items:
            super()._take((item,))
            if self._ends is not None:
                for boundary in self._ends.feed(item.characters):
                    self.segments.ended(boundary)

    def _take_back(self, boundary: Boundary) -> None:
        """Forget what was read after a boundary. The caller has none of it."""
        older = list(islice(self._items, self._older))
        newer = list(islice(self._items, self._older, None))
        if boundary.segment > self._firsts[self._number] + self._skipped:
            size = boundary.at - (self.read_bytes - sum(map(len, newer)))
            older += cut(newer, size, boundary, self._format)
        self._items = deque(older)
        self._held = sum(map(len, older))
        self.read_bytes = boundary.at

    @property
    def _full(self) -> bool:
        return not self._gathering and super()._full

    # -- as a response and its decoder --

    def _in_hand(self) -> deque[AudioChunk]:
        return deque()  # nothing is the caller's before it is asked for

    async def chunk(self) -> bytes:
        """As the base's; while everything is gathered, each piece that comes is progress."""
        while self._gathering and not self._finished and self._error is None:
            if self._made != self.progress:
                return b"more"
            self._changed.clear()
            await self._changed.wait()
        if self._gathering and self._error is not None:
            raise self._error
        return await super().chunk()

    def feed(self, _more: bytes, /) -> Iterable[AudioChunk]:
        """The next piece; while everything is gathered, none."""
        self.progress = self._made
        if self._gathering and not self._finished:
            return ()
        item = self._items.popleft()
        self._older = max(0, self._older - 1)
        self._held -= len(item)
        self._given += len(item)
        self._taken.set()
        self.done = self._finished and not self._items
        return (item,)

    def interrupt(self, error: VoicekitError) -> None:
        """As the base's; but that the audio stops may be only one request's doing."""
        if self._listening and isinstance(error, GapTimeout):
            self._current.response.interrupt(error)
        else:
            super().interrupt(error)


def speech_in_parts(
    parts: int,
    open_part: OpenPart,
    format: AudioFormat,  # noqa: A002 - the option's name
    background: Callable[[], Background],
    *,
    resume: bool,
) -> SpeechInParts:
    """A speech of so many parts, each of which is one segment; ``resume`` as the option."""
    if not resume:
        return SpeechInParts(parts, open_part, format, background)

    def open_rest(
        number: int, _skipped: int, limits: Limits | None
    ) -> Awaitable[Opened[AudioChunk]]:
        return open_part(number, limits)

    return ResumableSpeech([1] * parts, open_rest, format, background)


def _paid(call: Call) -> bool:
    """Whether the budget of the call's retries or hedges, if any, pays for another request."""
    from voicekit.resilience.hedge import Hedge
    from voicekit.resilience.retry import Retry

    policies = call.pipeline.policies if call.pipeline is not None else ()
    budgets = [each.budget for each in policies if isinstance(each, Retry | Hedge)]
    return all(budget is None or budget.take() for budget in budgets)
