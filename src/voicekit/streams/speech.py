"""Speech as it is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.speech.clip import clip_of
from voicekit.streams.base import Opened, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from voicekit.errors import StreamInterruptedError
    from voicekit.speech import Usage


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
