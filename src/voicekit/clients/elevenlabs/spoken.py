"""The audio of one utterance as its frames bring it: whole samples, words, an account. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.clients.elevenlabs.alignment import FollowedText, WordTimes
from voicekit.speech import AudioChunk, AudioFormat, Word
from voicekit.wire.pcm import Aligner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from voicekit.clients.elevenlabs.alignment import Debt


class SpokenAudio:
    """What was heard of an utterance so far.

    Attributes:
        heard_bytes: Bytes of audio in all frames.
    """

    __slots__ = (
        "_aligned_s",
        "_aligner",
        "_format",
        "_text",
        "_uncounted",
        "_useful",
        "_words",
        "heard_bytes",
    )

    def __init__(self, format: AudioFormat) -> None:  # noqa: A002 - the option's name
        self.heard_bytes = 0
        self._format = format
        self._useful = format.useful_bytes
        self._aligner = Aligner(format.frame_bytes)
        self._text = FollowedText()
        self._words = WordTimes()
        self._uncounted = 0
        self._aligned_s = 0.0

    def hear(
        self, audio: bytes, frame: Mapping[str, Any], debt: Debt
    ) -> tuple[AudioChunk | None, bool]:
        """One frame's audio, and its alignments.

        Returns:
            What the consumer gets, if anything is whole; and whether enough has come since
            the last time to count as an output (10 ms), which a drip of bytes never does.
        """
        whole = self._aligner.feed(audio)
        self._uncounted += len(whole)
        useful = self._uncounted >= self._useful
        if useful:
            self._uncounted = 0
        words: tuple[Word, ...] = ()
        alignment, span = self._text.read(frame)
        if alignment is not None:
            # Times count from the frame. Where bytes do not tell, earlier alignments do.
            offset = self._format.duration_s(self.heard_bytes)
            words = self._words.feed(alignment, self._aligned_s if offset is None else offset)
        self._aligned_s += span or 0.0
        self.heard_bytes += len(audio)
        debt.heard(self._format.duration_s(len(audio)), span, useful=useful)
        return (AudioChunk(whole, self._format, words) if whole or words else None), useful

    def last_words(self) -> tuple[Word, ...]:
        """The word under way, now that the utterance is over."""
        return self._words.flush()

    @property
    def cut(self) -> bool:
        """Whether the last sample lacks its other half."""
        return bool(self._aligner.pending)
