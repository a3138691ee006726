"""The handle of a transcript that is being written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from voicekit.speech import Transcript, Usage
from voicekit.streams import DeltaStream

if TYPE_CHECKING:
    from voicekit.clients.openai.transcript import NotStreamed, TranscriptDecoder


class TranscriptStream(DeltaStream):
    """A transcript as it is written, of a recording that was uploaded whole.

    Iterate for text deltas (``str``); ``events()`` gives everything in order, passages as
    ``Utterance``. Speakers' passages are in ``transcript.utterances`` as well.
    """

    @property
    def transcript(self) -> Transcript:
        """What was heard so far; complete once iteration has ended."""
        if self._opened is None:
            return Transcript(text="")
        decoder = cast("TranscriptDecoder | NotStreamed", self._opened.decoder)
        return replace(
            decoder.transcript(),
            request_id=self.request_id,
            timings=self.timings,
            connection=self.connection,
            attempts=self.attempts,
            hedged=self.hedged,
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
        return cast("TranscriptDecoder | NotStreamed", self._opened.decoder).usage

    @property
    def raw(self) -> Any:
        """The vendor's own object of the whole; None before its end."""
        return self.transcript.raw

    async def result(self) -> Transcript:
        """Read to the end and return the whole transcript; closes the stream."""
        async with self:
            async for _ in self.events():
                pass
            return self.transcript
