"""When which word sounds, and what the provider still owes, told by its frames. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from voicekit.speech import Word
from voicekit.speech.character import Character

TEXTS: Final = ("alignment", "normalizedAlignment")
"""The two texts that a frame may align: as it was sent, and as it was read out."""

Alignment = tuple[Sequence[str], Sequence[float], Sequence[float]]
"""Characters, when each starts, how long each lasts; milliseconds from the frame's start."""


def alignment_of(frame: Mapping[str, Any], name: str = TEXTS[0]) -> Alignment | None:
    """The alignment of a frame with one of its texts.

    It may be null. The durations have two spellings: ``charDurationsMs`` in SDK
    2.78.0, ``charsDurationsMs`` in the AsyncAPI of August 2025. One that makes no sense
    is taken for none: the audio is good without it.
    """
    value = frame.get(name)
    if not isinstance(value, dict):
        return None
    chars, starts = value.get("chars"), value.get("charStartTimesMs")
    lengths = value.get("charDurationsMs", value.get("charsDurationsMs"))
    if (
        isinstance(chars, list)
        and isinstance(starts, list)
        and isinstance(lengths, list)
        and len(chars) == len(starts) == len(lengths) > 0
        and all(type(each) is str for each in chars)
        and all(map(_is_time, starts))
        and all(map(_is_time, lengths))
    ):
        return chars, starts, lengths
    return None


def _is_time(value: object) -> bool:
    """Whether it is milliseconds of an utterance; a day is more than any takes."""
    return type(value) in (int, float) and 0 <= value <= 86_400_000  # type: ignore[operator]


def span_of(alignment: Alignment) -> float:
    """Seconds that an alignment covers."""
    _, starts, lengths = alignment
    return (starts[-1] + lengths[-1]) / 1000


class FollowedText:
    """One text of an utterance: the first of the two that a frame aligned, to the end.

    Either text may be missing in some frames, and to mix them would double some words and
    lose others: "5" in one frame, the end of "five" in the next.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: tuple[str, ...] = TEXTS

    def read(self, frame: Mapping[str, Any]) -> tuple[Alignment | None, float | None]:
        """The followed text's alignment, and the seconds that the frame aligns with either."""
        for name in self._names:
            if found := alignment_of(frame, name):
                break
        else:
            return None, None
        if self._names is TEXTS:
            self._names = (name, *(other for other in TEXTS if other != name))
        return (found if name == self._names[0] else None), span_of(found)


class WordTimes:
    """Joins characters to words, also where a word begins in one frame and ends in another."""

    __slots__ = ("_chars", "_end", "_start")

    def __init__(self) -> None:
        self._chars: list[str] = []
        self._start = self._end = 0.0

    def feed(self, alignment: Alignment, offset: float) -> tuple[Word, ...]:
        """The words that end in a frame's alignment, ``offset`` seconds into the utterance."""
        words: list[Word] = []
        for char, start, length in zip(*alignment, strict=True):
            words += self._add(char, offset + start / 1000, offset + (start + length) / 1000)
        return tuple(words)

    def join(self, characters: Iterable[Character]) -> tuple[Word, ...]:
        """The words that end in these characters."""
        words: list[Word] = []
        for each in characters:
            words += self._add(each.text, each.start, each.end)
        return tuple(words)

    def _add(self, char: str, start: float, end: float) -> tuple[Word, ...]:
        if char.isspace():
            return self.flush()
        if not self._chars:
            self._start = start
        self._chars.append(char)
        self._end = end
        return ()

    def flush(self) -> tuple[Word, ...]:
        """The word under way, now that it is over."""
        if not self._chars:
            return ()
        word = Word(text="".join(self._chars), start=self._start, end=self._end)
        self._chars = []
        return (word,)


class Debt:
    """Whether the provider has something to speak that it has not spoken.

    Only then do the clocks run: a model that pauses between two sentences is no fault of
    the voice. What is doubtful counts as not owed, for a limit that trips on a healthy
    stream is worse than one that trips at the end of the text, when everything is due.

    Text becomes due when it is flushed, or when more is waiting than the schedule holds
    back. It counts as answered by the first audio after that which does not still belong
    to what was spoken before: an alignment says how long that takes.
    """

    __slots__ = ("_aligned", "_due", "_finished", "_heard", "_pieces", "_schedule", "_waiting")

    def __init__(self, schedule: Sequence[int] | None) -> None:
        self._schedule = schedule
        self._waiting = 0
        self._pieces = 0
        self._due = False
        self._finished = False
        self._heard = 0.0
        self._aligned = 0.0

    @property
    def owed(self) -> bool:
        """Whether output is due."""
        return self._finished or self._due or self._heard + self._slack < self._aligned

    def said(self, text: str, *, flush: bool = False) -> None:
        """Text went out."""
        if self._waiting or not text.isspace():
            self._waiting += len(text)
        if flush or self._schedule is None:
            self.flushed()
            return
        count = self._schedule[min(self._pieces, len(self._schedule) - 1)]
        if self._waiting > count + _UNSURE:
            self.flushed()

    def flushed(self) -> None:
        """What was said is to be spoken now."""
        if self._waiting:
            self._due = True
            self._pieces += 1
            self._waiting = 0

    def finished(self) -> None:
        """All text is said: what is due now is the end."""
        self._finished = True

    def heard(self, seconds: float | None, span: float | None, *, useful: bool = True) -> None:
        """Audio came, and an alignment that covers so long a ``span``.

        Only where it is ``useful``, enough of it has come to be an output; a drip answers nothing.
        """
        if useful and (span is not None or self._heard + _SAME >= self._aligned):
            self._due = False
        if seconds is None:
            return
        if span is not None:
            self._aligned = self._heard + span
        self._heard += seconds

    def settled(self) -> None:
        """The provider says that everything so far was spoken."""
        self._due = False
        self._aligned = self._heard

    @property
    def _slack(self) -> float:
        return _SAME + 0.1 * self._heard


# Source: ours, all three. Characters by which the server's count may differ from ours
# (what it strips is not documented), and seconds by which alignment and audio may.
_UNSURE: Final = 8
_SAME: Final = 0.5
