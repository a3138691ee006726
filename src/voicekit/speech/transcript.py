"""What was heard: whole transcripts, and the results and events of live ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicekit.errors import InvalidArgumentError
from voicekit.speech.evidence import Evidence
from voicekit.speech.subtitles import Cue, cues_of, spread, srt, vtt
from voicekit.speech.word import Speaker, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from voicekit.speech.usage import Usage
    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What one speaker says without a longer pause; some providers say segment.

    Attributes:
        text: As running text.
        start: Seconds from the start of the audio.
        end: Seconds from the start of the audio.
        speaker: Who says it, when asked for.
        channel: Index of the audio channel, where channels are told apart.
        confidence: 0 to 1.
        words: Each with its time, when the provider gave them.
    """

    text: str = field(repr=False)
    start: float
    end: float
    speaker: Speaker | None = None
    channel: int | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Sentences that belong together.

    Attributes:
        text: As running text.
        start: Seconds from the start of the audio.
        end: Seconds from the start of the audio.
        speaker: Who says it, when asked for.
        channel: Index of the audio channel, where channels are told apart.
    """

    text: str = field(repr=False)
    start: float
    end: float
    speaker: Speaker | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What was heard in one channel of a recording.

    Attributes:
        index: From 0, in the order of the audio.
        text: The words as running text.
        words: Each with its time, when the provider gave them.
        confidence: 0 to 1.
        language: As the provider names it.
    """

    index: int
    text: str = field(repr=False)
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript(Evidence):
    """All that was heard in one recording.

    Attributes:
        text: The words as running text; of several channels one after the other.
        words: Each with its time, when the provider gave them.
        utterances: Who said what when, in the order of time, when asked for.
        paragraphs: The text in paragraphs, when asked for.
        channels: Each on its own, where they are told apart; else empty.
        confidence: 0 to 1.
        duration: Seconds of audio.
        language: As the provider names it.
        usage: What it cost.
    """

    text: str = field(repr=False)
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    paragraphs: tuple[Paragraph, ...] = ()
    channels: tuple[Channel, ...] = ()
    confidence: float | None = None
    duration: float | None = None
    language: str | None = None
    request_id: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    usage: Usage | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)

    def to_srt(self, *, speakers: bool | Mapping[Speaker, str] = False) -> str:
        """The text as SubRip subtitles, timed by its utterances or words.

        A cue holds one speaker. Inside an utterance without words, times are estimated by
        the length of its words. Without utterances and words the text is one cue over the
        whole duration; without text there is none.

        Args:
            speakers: Whether each cue names its speaker, ``Speaker 0: Hello``, or else its
                channel; or the names to use by speaker, ``{0: "Ann"}``.

        Raises:
            InvalidArgumentError: There is text, and nothing tells when it is said: no
                utterances, no words, and no duration.
        """
        return srt(self._cues(speakers))

    def to_vtt(self, *, speakers: bool | Mapping[Speaker, str] = False) -> str:
        """The text as WebVTT subtitles, like ``to_srt``; speakers as voices, ``<v Ann>``.

        Args:
            speakers: Whether each cue names its speaker; or the names to use by speaker.

        Raises:
            InvalidArgumentError: As ``to_srt``.
        """
        return vtt(self._cues(speakers))

    def _cues(self, speakers: bool | Mapping[Speaker, str]) -> Iterator[Cue]:
        for passage in self.utterances or self._passages():
            words = [(w.punctuated or w.text, w.start, w.end) for w in passage.words]
            if not words:
                words = list(spread(passage.text, passage.start, passage.end))
            yield from cues_of(words, _name(passage, speakers))
        if not self.utterances and not self.words and self.text.strip():
            if not (self.duration and self.duration > 0):
                raise InvalidArgumentError(
                    "has no times, and the length of its audio is not known",
                    argument="transcript",
                    allowed='one that was asked for with times, as by timestamps="segment"',
                )
            yield Cue(0.0, self.duration, " ".join(self.text.split()))

    def _passages(self) -> Iterator[Utterance]:
        if not self.channels:
            yield from _passages(self.words, None)
        for channel in self.channels:  # they overlap where people talk at once
            yield from _passages(channel.words, channel.index)


def _passages(words: tuple[Word, ...], channel: int | None) -> Iterator[Utterance]:
    """The words of one speaker after the other."""
    first = 0
    for last, word in enumerate(words, 1):
        if last == len(words) or words[last].speaker != word.speaker:
            said = words[first:last]
            yield Utterance(
                text="",
                start=said[0].start,
                end=word.end,
                speaker=word.speaker,
                channel=channel,
                words=said,
            )
            first = last


def _name(passage: Utterance, speakers: bool | Mapping[Speaker, str]) -> str | None:
    speaker = passage.speaker
    if speakers is False or (speaker is None and passage.channel is None):
        return None
    if speaker is None:
        return f"Channel {passage.channel}"
    name = f"Speaker {speaker}" if isinstance(speaker, int) else speaker
    if speakers is not True:
        name = speakers.get(speaker, name)
    return " ".join(name.split()) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTranscript(Evidence):
    """A transcript that the provider will send elsewhere: to a callback or a webhook.

    Attributes:
        request_id: What the delivery will carry.
        transcription_id: Under which the provider keeps the transcript, where it says so.
    """

    request_id: str | None
    transcription_id: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionGap:
    """Audio of a live transcription that nobody has heard, and nobody will.

    A connection was lost, and this part of what had been sent could not be sent again.

    Attributes:
        start: Seconds from the start of the session.
        end: Seconds from the start of the session; an estimate by the clock where the
            audio's bytes do not tell its time.
    """

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Seconds that are lost."""
        return self.end - self.start
