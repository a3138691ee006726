"""The handle of a transcript that is being written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from voicekit.errors import StreamInterruptedError
from voicekit.speech import Transcript, Usage, Utterance
from voicekit.streams import Decoder, Opened, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class _TranscriptDecoder(Decoder[Any], Protocol):
    usage: Usage | None

    def transcript(self) -> Transcript: ...


class TranscriptStream(Stream[Any]):
    """A transcript as it is written, of a recording that was uploaded whole.

    Iterate for text deltas (``str``); ``events()`` gives everything in order. Speakers'
    passages are in ``transcript.utterances``.
    """

    def __init__(self, open: Callable[[], Awaitable[Opened[Any]]]) -> None:  # noqa: A002
        super().__init__(open)
        self.delivered_characters = 0

    async def __anext__(self) -> str:
        while True:
            item = await super().__anext__()
            if type(item) is str:
                return item

    async def events(self) -> AsyncIterator[str | Utterance | Any]:
        """Text deltas as ``str``, passages as ``Utterance``, and every other event, in order."""
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

    @property
    def transcript(self) -> Transcript:
        """What was heard so far; complete once iteration has ended."""
        if self._opened is None:
            return Transcript(text="")
        decoder = cast("_TranscriptDecoder", self._opened.decoder)
        return replace(
            decoder.transcript(),
            request_id=self.request_id,
            timings=self.timings,
            connection=self.connection,
            headers=self.headers,
        )

    @property
    def text(self) -> str:
        """The text so far."""
        return self.transcript.text

    @property
    def usage(self) -> Usage | None:
        """What it cost, once reported."""
        if self._opened is None:
            return None
        return cast("_TranscriptDecoder", self._opened.decoder).usage

    async def result(self) -> Transcript:
        """Read to the end and return the whole transcript; closes the stream."""
        async with self:
            async for _ in self.events():
                pass
            return self.transcript
