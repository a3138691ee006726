"""Where speech that broke off may go on: what proves that a sentence has ended. No I/O.

A speech is made of *segments*, numbered from 0: the parts of a text that was split, or its
sentences, where the provider tells when each character sounds. A segment has ended

- where the answer to the request that speaks it has ended, as its protocol proves it, or
- where its last character ends, the white space behind it included, by the provider's own
  alignment of the text that was sent, and the audio up to there is in hand.

Nothing else proves it: silence may be a pause, and how long a sentence takes is not known.
The last segment of a request ends with the answer only, for what follows its last character
still belongs to it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from voicekit.errors import (
    InvalidArgumentError,
    RateLimitError,
    RejectedError,
    TotalTimeout,
    VoicekitError,
)
from voicekit.speech import AudioChunk, AudioFormat, Word
from voicekit.speech.character import Character

MOST_RESUMES: Final = 2
"""Of one speech. Source: ours; what breaks a third time is an outage, not a mishap."""

_SAME: Final = 0.001
"""Seconds by which the times of neighbours may overlap. Source: ours; the resolution that
providers tell times in."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """The proven end of a segment.

    Attributes:
        segment: The one after it; all before it have ended.
        at: Bytes of the speech before it.
        time: The same in seconds, as the alignment tells it.
        word: A word that ends here and that no white space has ended yet.
    """

    segment: int
    at: int
    time: float = 0.0
    word: Word | None = None


def check_resume(options: Mapping[str, Any], *proofs: str) -> None:
    """Refuse the option ``resume`` without any that proves where sentences end."""
    if options.get("resume") and not any(options.get(name) for name in proofs):
        raise InvalidArgumentError(
            "needs proof of where a sentence has ended",
            argument="resume",
            allowed=" or ".join(f"{name}=True beside it" for name in proofs),
        )


def may_resume(error: VoicekitError) -> bool:
    """Whether to ask again, at once, may help after this error and is not ruled out.

    It is where time is left, where the provider does not ask for a pause, and where no policy
    has spoken already.
    """
    return (
        error.retryable
        and error.retry_after is None
        and error.retry_stopped is None
        and not isinstance(error, TotalTimeout | RateLimitError | RejectedError)
    )


class Segments:
    """Which segments of a speech have ended, and where, as far as it is proven.

    Each is asked for at most twice, whatever is proven.
    """

    __slots__ = ("_asked_again", "_ended", "_resumes")

    def __init__(self) -> None:
        self._ended = [Boundary(0, 0)]
        self._asked_again = 0  # the segments before this one
        self._resumes = 0

    def ended(self, boundary: Boundary) -> None:
        """The segments before a boundary have ended there; of the same place, the last word."""
        last = self._ended[-1]
        if boundary.at < last.at or boundary.segment < max(last.segment, 1):
            return  # audio does not go back; what was proven first holds
        if (boundary.segment, boundary.at) == (last.segment, last.at):
            self._ended.pop()
        self._ended.append(boundary)

    def account(self, delivered: int) -> tuple[int, bool]:
        """What was delivered.

        Returns:
            The first segment that was not delivered whole for certain, and whether no byte of
            it was delivered.
        """
        last = self._ended[self._before(delivered)]
        return last.segment, last.at == delivered

    def resume_from(self, *, delivered: int, read: int) -> Boundary | None:
        """Where to go on after a break: the end of the last whole segment in hand.

        Returns:
            None where it is not possible: the caller has a byte of what comes after, it was
            asked for twice, or there were too many breaks.
        """
        boundary = self._ended[self._before(read)]
        if boundary.at < delivered or boundary.segment < self._asked_again:
            return None
        return None if self._resumes >= MOST_RESUMES else boundary

    def resumed(self, boundary: Boundary, *, end: int) -> None:
        """The segments from a boundary on are asked for again."""
        self._resumes += 1
        self._asked_again = end
        del self._ended[self._ended.index(boundary) + 1 :]

    def _before(self, size: int) -> int:
        """The last boundary within so many bytes."""
        return bisect_right(self._ended, size, key=lambda each: each.at) - 1


class SegmentEnds:
    """Follows the alignment of one request, and finds where its sentences end.

    It is believed as long as it spells the sentences, white space aside, and its times go
    forward. From then on nothing more is proven.
    """

    __slots__ = (
        "_blank",
        "_blanks",
        "_ends",
        "_first",
        "_format",
        "_lost",
        "_said",
        "_text",
        "_time",
        "_word",
    )

    def __init__(
        self,
        sentences: Sequence[str],
        format: AudioFormat,  # noqa: A002 - the option's name
        *,
        first: int,
    ) -> None:
        plain = ["".join(each.split()) for each in sentences]
        self._text = "".join(plain)
        self._ends = list(accumulate(map(len, plain)))[:-1]
        self._blanks = [len(each) - len(each.rstrip()) for each in sentences]
        self._format = format
        self._first = first
        self._said = 0  # characters of the text
        self._blank = 0  # white space since
        self._time = 0.0
        self._word: list[Character] = []  # since the last white space
        self._lost = False

    def feed(self, characters: Iterable[Character]) -> list[Boundary]:
        """The ends that these characters prove, in order; some are told more than once."""
        found: list[Boundary] = []
        for each in characters:
            if not self._time - _SAME <= each.start <= each.end:
                self._lost = True
            if self._lost:
                break
            found += self._follow(each, "".join(each.text.split()))
        return found

    def _follow(self, character: Character, text: str) -> list[Boundary]:
        if not text:
            self._word = []  # it has ended
            self._blank += len(character.text)
            self._time = character.end
            return self._here(self._time, self._blank)
        found = self._here(character.start)
        beyond = self._said + len(text)
        spelled = self._text.startswith(text, self._said)
        # One sign in two sentences: where would they part?
        if not spelled or bisect_right(self._ends, self._said) != bisect_left(self._ends, beyond):
            self._lost = True
            return []
        if found:
            self._word = []
        self._word.append(character)
        self._said, self._blank, self._time = beyond, 0, character.end
        return found + self._here(self._time, 0)

    def _here(self, time: float, blank: int | None = None) -> list[Boundary]:
        """The end of a sentence, if it is one that ends with what was said.

        Args:
            time: When.
            blank: How much white space was told after it; None when the next one begins,
                however much that was.
        """
        index = bisect_left(self._ends, self._said)
        if index == len(self._ends) or self._ends[index] != self._said:
            return []
        at = self._format.bytes_for(time)
        if at is None or (blank is not None and blank < self._blanks[index]):
            return []
        word = None
        if self._word:
            text = "".join(each.text for each in self._word)
            word = Word(text=text, start=self._word[0].start, end=self._word[-1].end)
        return [Boundary(self._first + index + 1, at, time, word)]


def cut(
    chunks: Iterable[AudioChunk],
    size: int,
    boundary: Boundary,
    format: AudioFormat,  # noqa: A002 - the option's name
) -> list[AudioChunk]:
    """What of the audio that was read is before a boundary, with its words and characters."""
    kept: list[AudioChunk] = []
    late: tuple[list[Word], list[Character]] = ([], [])
    for chunk in chunks:
        # A word may come with audio after it, and a character with audio before it.
        words = [
            each
            for each in chunk.words
            if each.start < boundary.time and each.end <= boundary.time + _SAME
        ]
        characters = [each for each in chunk.characters if each.start < boundary.time]
        if size > 0:
            kept.append(AudioChunk(chunk[:size], format, tuple(words), tuple(characters)))
            size -= len(chunk)
        else:
            late[0].extend(words)
            late[1].extend(characters)
    if boundary.word is not None:
        late[0].append(boundary.word)
    if any(late):
        kept.append(AudioChunk(b"", format, tuple(late[0]), tuple(late[1])))
    return kept
