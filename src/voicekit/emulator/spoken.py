"""A recording that says where in it each sample is, and the words at their places in it.

For those who test what happens to live audio on its way: a listener that is given any part of
it, once or twice, knows which words it has heard, and which only in part. Linear 16-bit PCM,
mono: every four samples carry, in their low bytes, a mark and the number of their group.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

_GROUP = 4
_MARK = 0xA5
_LOUD = bytes([0x20] * 8 + [0xE0] * 8)  # high bytes of a tone of a thousand Hz at 16 kHz


class SpokenWord(NamedTuple):
    """One word and its place in the recording, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said in a recording, and when. A scenario's `heard`.

    Attributes:
        words: In order of time, not overlapping.
        recognised: The part of a word that must be heard for it to be understood.
    """

    words: tuple[SpokenWord, ...]
    recognised: float = 0.5

    @classmethod
    def evenly(
        cls, texts: Iterable[str], *, start: float = 0.1, length: float = 0.3, pause: float = 0.1
    ) -> Spoken:
        """Words of one length with pauses of one length between them."""
        each = length + pause
        return cls(
            tuple(
                SpokenWord(text, start + index * each, start + index * each + length)
                for index, text in enumerate(texts)
            )
        )

    def pcm(self, sample_rate: int, seconds: float) -> bytes:
        """The recording: a tone where a word is."""
        groups = round(seconds * sample_rate / _GROUP)
        numbers = array("I", (_MARK << 24 | number for number in range(groups)))
        if sys.byteorder == "little":
            numbers.byteswap()
        samples = groups * _GROUP
        high = bytearray(samples)
        for word in self.words:
            first = min(samples, round(word.start * sample_rate))
            last = min(samples, round(word.end * sample_rate))
            high[first:last] = (_LOUD * ((last - first) // len(_LOUD) + 1))[: last - first]
        pcm = bytearray(2 * samples)
        pcm[0::2], pcm[1::2] = numbers.tobytes(), high
        return bytes(pcm)

    def __call__(self, seconds: float) -> str:
        """The words within so many seconds, for listeners that only count."""
        return " ".join(word.text for word in self.words if word.end <= seconds)


class SpokenEar:
    """Hears one stream of any parts of a recording.

    Args:
        spoken: What is said in the recording.
        sample_rate: Hz.
    """

    def __init__(self, spoken: Spoken, sample_rate: int) -> None:
        self._spoken = spoken
        self._rate = sample_rate
        self._heard = 0  # samples of the stream
        self._runs: list[tuple[int, int, int]] = []  # in the recording: from, to; in the stream
        self._said: set[int] = set()

    def feed(self, pcm: bytes) -> None:
        """Hear what comes next."""
        for offset, place, count in _places(pcm):
            at = self._heard + offset
            if self._runs and self._runs[-1][1] == place:
                first, _, since = self._runs[-1]
                self._runs[-1] = (first, place + count, since)
            else:
                self._runs.append((place, place + count, at))
        self._heard += len(pcm) // 2

    def words(self, *, final: bool) -> list[tuple[str, float, float, float]]:
        """What was understood and not said for good yet: word, start, end, confidence.

        Times are seconds of this stream.

        Args:
            final: Whether it is said for good.
        """
        found = []
        for index, word in enumerate(self._spoken.words):
            if index in self._said:
                continue
            first, last = round(word.start * self._rate), round(word.end * self._rate)
            heard, start, end = 0, 0, 0
            for begin, stop, at in self._runs:
                low, high = max(first, begin), min(last, stop)
                if low < high:
                    start = start if heard else at + low - begin
                    heard += high - low
                    end = at + high - begin
            if heard and heard >= self._spoken.recognised * (last - first) - 1:
                found.append((word.text, start / self._rate, end / self._rate, 1.0))
                if final:
                    self._said.add(index)
        return found


def _places(pcm: bytes) -> list[tuple[int, int, int]]:
    """Runs of marked samples: offset in the piece, place in the recording, how many."""
    low = pcm[0::2]
    runs: list[tuple[int, int, int]] = []
    offset = 0
    while offset < len(low):
        # A mark may chance to be a number's byte; a second one, four samples on, tells.
        while offset < len(low) and not _is_group(low, offset):
            offset += 1
        if offset >= len(low):
            break
        number = int.from_bytes(low[offset + 1 : offset + _GROUP], "big")
        count = 1
        while (
            _is_group(low, offset + count * _GROUP)
            and int.from_bytes(
                low[offset + count * _GROUP + 1 : offset + (count + 1) * _GROUP], "big"
            )
            == number + count
        ):
            count += 1
        # The samples before the first whole group, and after the last, are its neighbours'.
        before = min(offset - (runs[-1][0] + runs[-1][2] if runs else 0), _GROUP - 1)
        last = offset + count * _GROUP
        after = min(len(low) - last, _GROUP - 1)
        after = after if last + after == len(low) else 0
        runs.append((offset - before, number * _GROUP - before, before + count * _GROUP + after))
        offset = last + after
    return runs


def _is_group(low: bytes, offset: int) -> bool:
    if offset + _GROUP > len(low) or low[offset] != _MARK:
        return False
    following = offset + _GROUP
    return following >= len(low) or low[following] == _MARK
