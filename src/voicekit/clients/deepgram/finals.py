"""What a live transcription has said for good, over all of its connections. Sans-IO.

A connection that replaces another one hears some audio again, so that no word is lost where
the first one's final results ended. What it says about it again is cut off here, by time:
each word of the transcript is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from voicekit.errors import LocalProtocolError
from voicekit.speech import SpeechStarted, TranscriptionResult, UtteranceEnd, Word

# Source: ours, some 75 hours of speech. A server that says more is not transcribing.
_MOST_TEXT: Final = 4 << 20

# Source: ours. Two hearings of one word give times that differ by some hundredths of a second.
_EDGE_S: Final = 0.030
_SAME: Final = 0.5  # of the shorter of two words: then it is one word
_SAME_TEXT: Final = 0.2  # where they read alike as well
_AGAIN_S: Final = 0.250  # two events closer than this are one

# Source: ours. Of these results a newer one may be the repetition, on as many channels.
_RECENT: Final = 8

# Seconds of final words against which a new connection's are held.
_TAIL_S: Final = 5.0

_Part = tuple[str, tuple[Word, ...], float | None, int, float]
"""Text, words, confidence, channel, end. Not the vendor's message, which is large."""


class Finals:
    """Collects final results, and cuts what is said again.

    Attributes:
        language: As last told.
        speech_at: When speech was last said to begin.
        utterance_end: The last word's end in the last ``UtteranceEnd``.
    """

    __slots__ = (
        "_ended",
        "_offset",
        "_parts",
        "_settled",
        "_tails",
        "_text_size",
        "language",
        "speech_at",
        "utterance_end",
    )

    def __init__(self) -> None:
        self.language: str | None = None
        self.speech_at = self.utterance_end = -1.0
        self._parts: list[_Part] = []
        self._text_size = 0
        self._offset = 0.0
        self._ended: dict[int, bool] = {}  # by channel: the last final one ended an utterance
        self._settled: dict[int, float] = {}
        self._tails: dict[int, list[Word]] = {}

    def add(self, result: TranscriptionResult) -> bool:
        """A final result; False if it came before, word for word and at the same time.

        Raises:
            LocalProtocolError: The transcript is larger than any speech.
        """
        channel = _channel(result)
        self._ended[channel] = result.speech_final
        if not result.text:
            return True
        part = (result.text, result.words, result.confidence, channel, result.end)
        if part in self._parts[-_RECENT:]:
            return False
        self._text_size += len(result.text)
        if self._text_size > _MOST_TEXT:
            raise LocalProtocolError(f"the transcript is longer than {_MOST_TEXT} characters")
        self._parts.append(part)
        return True

    def resume(self, offset: float, settled: Mapping[int, float]) -> float:
        """Another connection begins.

        Args:
            offset: Second of the session at which its audio begins.
            settled: By channel, the second before which nothing new can be said.

        Returns:
            The second after which nothing is to be cut.
        """
        self._offset = offset
        self._settled = dict(settled)
        self._tails = {channel: [] for channel in settled}
        since = min(settled.values(), default=0.0) - _TAIL_S
        for _, words, _, channel, end in reversed(self._parts):
            if end < since:
                break
            self._tails.setdefault(channel, []).extend(words)
        return max(settled.values(), default=0.0)

    def cut(self, result: TranscriptionResult) -> TranscriptionResult | None:
        """``result`` without what was settled before; None if nothing is left of it."""
        channel = _channel(result)
        settled = self._settled.get(channel, 0.0)
        if result.start >= settled:
            return result
        if result.end <= settled + _EDGE_S:
            return None
        tail = self._tails.get(channel, ())
        words = tuple([w for w in result.words if not self._again(w, settled, tail)])
        text = result.text
        if result.words and len(words) < len(result.words):
            text = " ".join([w.punctuated or w.text for w in words])
        elif not result.words and settled - result.start > result.end - settled:
            text = ""  # no times to cut by: whole, to whichever side most of it lies on
        ended = result.speech_final and (bool(text) or not self._ended.get(channel, False))
        return replace(
            result,
            text=text,
            words=words,
            start=settled,
            duration=result.end - settled,
            speech_final=ended,
        )

    def _again(self, word: Word, settled: float, tail: Sequence[Word]) -> bool:
        """Whether a word that another connection heard is one of those that were settled."""
        if word.end <= settled + _EDGE_S / 2:
            return True
        begun = word.start <= self._offset + _EDGE_S  # perhaps before this connection's audio
        length = word.end - word.start
        for said in tail:
            if begun and said.end >= settled - _EDGE_S:
                return True
            shared = min(word.end, said.end) - max(word.start, said.start)
            if shared <= 0:
                continue
            part = shared / max(min(length, said.end - said.start), 1e-6)
            if part >= _SAME or (part >= _SAME_TEXT and word.text.lower() == said.text.lower()):
                return True
        return False

    def tells(self, event: SpeechStarted | UtteranceEnd, until: float) -> bool:
        """Whether an event of a connection is news, or was said before; notes it if so.

        Up to second ``until`` of the session its connection hears things again.
        """
        if isinstance(event, SpeechStarted):
            if until and (event.at < until or event.at <= self.speech_at + _AGAIN_S):
                return False
            self.speech_at = event.at
        elif event.last_word_end is not None:
            if until and event.last_word_end <= self.utterance_end + _AGAIN_S:
                return False
            self.utterance_end = event.last_word_end
        return True

    @property
    def transcript(self) -> str:
        """The final results' texts, joined by spaces."""
        return " ".join([text for text, *_ in self._parts])

    @property
    def words(self) -> tuple[Word, ...]:
        """The final results' words."""
        return tuple([word for _, words, *_ in self._parts for word in words])

    @property
    def confidence(self) -> float | None:
        """The final results' confidence, weighted by their words."""
        known: Sequence[tuple[float, int]] = [
            (confidence, max(1, len(words)))
            for _, words, confidence, *_ in self._parts
            if confidence is not None
        ]
        weight = sum(count for _, count in known)
        return sum(value * count for value, count in known) / weight if weight else None


def _channel(result: TranscriptionResult) -> int:
    return result.channel[0] if result.channel is not None else 0
