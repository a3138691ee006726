"""The blocking handles: what flows one way, and sessions. Each stands for an async one."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from voicekit import sessions, streams
from voicekit.errors import ClosedError
from voicekit.speech import AudioChunk, AudioFormat, RateLimits, ToolCall, Usage
from voicekit.sync.delegation import Evidence, Facade, blocking
from voicekit.timing import ConnectionInfo, Timings

if TYPE_CHECKING:
    from voicekit.sync.portal import Portal

T = TypeVar("T")


class Handle(Facade, Generic[T]):
    """What every blocking handle does.

    A context manager, which opens and closes it; iterating opens it too. Leaving a
    ``for`` early closes one that was not entered with ``with``, since nobody else would.
    Each crossing to the event loop takes everything that is there. To be used from any
    thread, one at a time; ``cancel()`` and ``close()`` also while another waits.
    """

    def __init__(self, client: Facade, inner: streams.Stream[T] | sessions.Session[T]) -> None:
        self._client = client
        self._inner: Any = inner
        self._here: deque[T] = deque()
        self._entered = False

    @property
    def _portal(self) -> Portal:
        return self._client._portal

    def __enter__(self) -> Self:
        self._entered = True
        self._portal.run(self._inner.__aenter__)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                try:
                    item = self.__next__()
                except StopIteration:
                    return
                yield item
        finally:
            if not self._entered:
                self.close()

    def __next__(self) -> T:
        if not self._here:
            self._here.extend(self.take())
            if not self._here:
                raise StopIteration
        return self._here.popleft()

    def take(self) -> list[T]:
        """Everything that is there, waiting for at least one item; empty at the end."""
        items = list(self._here)
        self._here.clear()
        if items or self._inner.ended:
            return items
        return self._portal.run(self._inner.take)

    def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another thread, ends quietly. Idempotent."""
        with contextlib.suppress(ClosedError):  # the client's end was its end
            self._portal.run(self._inner.cancel)
        self._here.clear()

    def close(self) -> None:
        """Free everything. Safe at any time, from any thread, more than once."""
        if not self._inner.ended:
            with contextlib.suppress(ClosedError):  # the client's end was its end
                self._portal.run(self._inner.aclose)
        self._here.clear()

    ended = Evidence[bool]()
    cancelled = Evidence[bool]()
    timings = Evidence[Timings]()
    connection = Evidence[ConnectionInfo | None]()
    request_id = Evidence[str | None]()

    def __repr__(self) -> str:
        return f"<blocking {self._inner!r}>"


class Stream(Handle[T]):
    """See ``voicekit.streams.Stream``."""

    attempts = Evidence[int]()
    headers = Evidence[Mapping[str, str]]()


class SpeechStream(Stream[AudioChunk]):
    """See ``voicekit.streams.SpeechStream``: iterate for ``AudioChunk``, which are bytes."""

    format = Evidence[AudioFormat]()
    delivered_bytes = Evidence[int]()
    delivered_s = Evidence[float | None]()
    usage = Evidence[Usage | None]()
    clip = blocking(streams.SpeechStream.clip)


class TextStream(Stream[str]):
    """See ``voicekit.streams.TextStream``: iterate for text deltas."""

    def events(self) -> Iterator[Any]:
        """Text deltas as ``str`` and every other event as its own value, in order."""
        while items := self._portal.run(self._inner.take_events):
            yield from items

    delivered_characters = Evidence[int]()
    text = Evidence[str]()
    refusal = Evidence[str | None]()
    tool_calls = Evidence[tuple[ToolCall, ...]]()
    finish_reason = Evidence[str | None]()
    usage = Evidence[Usage | None]()
    model = Evidence[str | None]()
    id = Evidence[str | None]()
    service_tier = Evidence[str | None]()
    rate_limits = Evidence[RateLimits | None]()
    raw = Evidence[Any]()
    result = blocking(streams.TextStream.result)


class Session(Handle[T]):
    """See ``voicekit.sessions.Session``."""
