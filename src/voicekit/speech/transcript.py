"""What was heard: whole transcripts, and the results and events of live ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicekit.speech.subtitles import srt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word and when it sounds.

    Attributes:
        text: The word as it was recognised or spoken.
        start: Seconds from the start of the audio.
        end: Seconds from the start of the audio.
        confidence: 0 to 1.
        speaker: Index of the speaker, when asked for.
        punctuated: The word with its punctuation and capitals, when asked for.
    """

    text: str = field(repr=False)
    start: float
    end: float
    confidence: float | None = None
    speaker: int | str | None = None
    punctuated: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """All that was heard in one recording.

    Attributes:
        text: The words as running text.
        words: Each with its time, when the provider gave them.
        confidence: 0 to 1.
        duration: Seconds of audio.
        language: As the provider names it.
        request_id: For the provider's support.
        timings: Where the time went.
        connection: Which connection carried it.
        headers: Response headers.
        raw: The provider's own object.
    """

    text: str = field(repr=False)
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    duration: float | None = None
    language: str | None = None
    request_id: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)

    def to_srt(self) -> str:
        """The text as SubRip subtitles, timed by its words.

        Without words it is one cue over the whole duration; without text, nothing.
        """
        words = self.words
        if not words and self.text.strip():
            words = (Word(text=self.text.strip(), start=0.0, end=self.duration or 0.0),)
        return srt((w.punctuated or w.text, w.start, w.end) for w in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionResult:
    """One result of a live transcription: a span of the audio and its text so far.

    An interim result (``is_final`` false) is replaced by the next one of the same
    ``start``; a final one stands. An empty ``text`` is normal: nothing was said.

    Attributes:
        text: What was heard in the span.
        words: Each with its time.
        start: Seconds from the start of the session to the start of the span.
        duration: Seconds that the span covers.
        confidence: 0 to 1.
        is_final: Whether the span's text will change no more.
        speech_final: Whether the speaker has paused: the end of an utterance.
        from_finalize: Whether it answers ``finalize()``.
        channel: Index of the audio channel and the number of channels.
        language: As the provider names it, when it tells.
        raw: The provider's own message.
    """

    text: str = field(repr=False)
    words: tuple[Word, ...] = ()
    start: float = 0.0
    duration: float = 0.0
    confidence: float | None = None
    is_final: bool = False
    speech_final: bool = False
    from_finalize: bool = False
    channel: tuple[int, int] | None = None
    language: str | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def end(self) -> float:
        """Seconds from the start of the session to the end of the span."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """Someone began to speak.

    Attributes:
        at: Seconds from the start of the session.
    """

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEnd:
    """No further word has come for the time that was asked for.

    Attributes:
        last_word_end: Seconds from the start of the session to the end of the last
            word; None when the provider does not say.
    """

    last_word_end: float | None
