"""The blocking handles: what flows one way, and what every session has in common."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar

from voicekit import sessions, streams
from voicekit.errors import ClosedError
from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.sync.delegation import Evidence, Facade, Part, blocking

T = TypeVar("T")


class Handle(Part, Generic[T]):
    """What every blocking handle does.

    A context manager, which opens and closes it; iterating opens it too. Leaving a
    ``for`` early closes one that was not entered with ``with``, since nobody else would.
    Each crossing to the event loop takes everything that is there. To be used from any
    thread, one at a time; ``close()``, ``cancel()`` and what sends also while another waits.
    """

    def __init__(self, client: Facade, inner: streams.Stream[Any] | sessions.Session[T]) -> None:
        super().__init__(client, inner)
        self._here: deque[Any] = deque()
        self._entered = False
        self._gone = False  # cancelled or closed: what is here is not handed out any more
        self._over = False  # the asynchronous handle was asked, and had no more
        self._cancelled = False
        self._dropped = 0  # of what it counts as delivered, what was not handed out

    def __enter__(self) -> Self:
        self._entered = True
        self._portal.run(self._inner.__aenter__)
        return self

    def __iter__(self) -> Iterator[T]:
        return self._closing(self.__next__)

    def __next__(self) -> T:
        item: T = self._pop()
        return item

    def take(self) -> list[T]:
        """Everything that is there, waiting for at least one item; empty at the end."""
        if not self._here:
            self._refill()
        return self._taken()

    def close(self) -> None:
        """Free everything. Safe at any time, from any thread, more than once.

        Another thread's iteration ends quietly; its opening, with ``ClosedError``.
        """
        self._end("aclose")

    @property
    def ended(self) -> bool:
        """Whether everything was handed out, so that iterating would only stop."""
        return self._inner.ended and not self._here

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel()`` ended it."""
        return self._cancelled or self._inner.cancelled

    timings = Evidence(streams.Stream.timings)
    attempts = Evidence(streams.Stream.attempts)
    hedged = Evidence(streams.Stream.hedged)
    connection = Evidence(streams.Stream.connection)
    request_id = Evidence(streams.Stream.request_id)

    # -- for subclasses --

    def _weigh(self, _item: Any) -> int:
        """What an item adds to the account of what was delivered."""
        return 0

    def _ask(self) -> list[Any]:
        """Cross over for all that is there."""
        return self._portal.run(self._inner.take)

    def _spent(self) -> bool:
        """Whether there is nothing to cross over for any more."""
        return bool(self._inner.ended)

    # -- what is here --

    def _closing(self, following: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    item = following()
                except StopIteration:
                    return
                yield item
        finally:
            if not self._entered:
                self.close()

    def _pop(self) -> Any:
        if not self._here:
            self._refill()
        if self._gone:
            self._drop()
            raise StopIteration
        try:
            return self._here.popleft()
        except IndexError:
            raise StopIteration from None

    def _refill(self) -> None:
        if self._gone or self._spent():
            return
        self._over = True
        items = self._ask()
        self._over = not items
        self._here.extend(items)

    def _taken(self) -> list[Any]:
        items = list(self._here)
        self._here.clear()
        return items

    def _drop(self) -> None:
        self._dropped += sum(map(self._weigh, self._taken()))

    def _withheld(self) -> int:
        return self._dropped + sum(map(self._weigh, list(self._here)))

    def _end(self, how: str) -> None:
        self._gone = True
        if not self._spent():
            with contextlib.suppress(ClosedError):  # the client's end was its end
                self._portal.run(getattr(self._inner, how))
        self._over = True
        self._drop()


class Cancellable(Handle[T]):
    """A handle that can be told to stop."""

    def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another thread, ends quietly. Idempotent.

        A thread that is just opening it gets ``ClosedError``.
        """
        if not self.ended:
            self._cancelled = True
            self._end("cancel")


class Stream(Cancellable[T]):
    """See ``voicekit.streams.Stream``."""

    headers = Evidence(streams.Stream.headers)

    cache = Evidence(streams.Stream.cache)


class Audible(Handle[AudioChunk]):
    """What all handles of speech have: chunks, which are bytes, and an account of them."""

    format = Evidence[AudioFormat](doc="What the chunks are.")

    @property
    def delivered_bytes(self) -> int:
        """How many bytes iteration has handed out."""
        return int(self._inner.delivered_bytes) - self._withheld()

    @property
    def delivered_s(self) -> float | None:
        """Seconds of audio handed out, where the format tells."""
        return self.format.duration_s(self.delivered_bytes)

    def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes it."""
        here = self._taken()
        clip: AudioClip = self._portal.run(self._inner.clip)
        if not here:
            return clip
        return replace(
            clip,
            data=b"".join([*here, clip.data]),
            words=(*(word for chunk in here for word in chunk.words), *clip.words),
            characters=(*(each for chunk in here for each in chunk.characters), *clip.characters),
        )

    def _weigh(self, item: AudioChunk) -> int:
        return len(item)


class SpeechStream(Audible, Stream[AudioChunk]):
    """See ``voicekit.streams.SpeechStream``: iterate for ``AudioChunk``, which are bytes."""

    usage = Evidence(streams.SpeechStream.usage)
    resumed = Evidence(streams.SpeechStream.resumed)


class DeltaStream(Stream[str]):
    """What all handles of text have: deltas among other events, in one order."""

    def __next__(self) -> str:
        while True:
            item = self._pop()
            if type(item) is str:
                return item

    def events(self) -> Iterator[Any]:
        """Text deltas as ``str`` and every other event as its own value, in order."""
        return self._closing(self._pop)

    def take(self) -> list[str]:
        """All the text that has arrived, waiting for some; empty at the end."""
        while items := self.take_events():
            if text := [item for item in items if type(item) is str]:
                return text
        return []

    def take_events(self) -> list[Any]:
        """As ``take``, with every other event as its own value."""
        return super().take()

    @property
    def delivered_characters(self) -> int:
        """How many characters iteration has handed out."""
        return int(self._inner.delivered_characters) - self._withheld()

    def _ask(self) -> list[Any]:
        return self._portal.run(self._inner.take_events)

    def _weigh(self, item: Any) -> int:
        return len(item) if type(item) is str else 0


class TextStream(DeltaStream):
    """See ``voicekit.streams.TextStream``: iterate for text deltas."""

    text = Evidence(streams.TextStream.text)
    refusal = Evidence(streams.TextStream.refusal)
    tool_calls = Evidence(streams.TextStream.tool_calls)
    finish_reason = Evidence(streams.TextStream.finish_reason)
    usage = Evidence(streams.TextStream.usage)
    model = Evidence(streams.TextStream.model)
    id = Evidence(streams.TextStream.id)
    service_tier = Evidence(streams.TextStream.service_tier)
    rate_limits = Evidence(streams.TextStream.rate_limits)
    raw = Evidence(streams.TextStream.raw)
    result = blocking(streams.TextStream.result)


class AgentReply(DeltaStream):
    """See ``voicekit.streams.AgentReply``: iterate for text deltas."""

    text = Evidence(streams.AgentReply.text)
    answer = Evidence(streams.AgentReply.answer)
    result = blocking(streams.AgentReply.result)
