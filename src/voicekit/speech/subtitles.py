"""Timed words on their way to subtitles: cues, SubRip, WebVTT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Two lines of 42 characters, at most seven seconds.
# Source: Netflix, Timed Text Style Guide: General Requirements and English (2024).
_MAX_CHARACTERS: Final = 84
_MAX_S: Final = 7.0
# A pause that a viewer sees as a new thought. Ours: longer than the gaps inside speech.
_PAUSE_S: Final = 1.0
_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")

TimedText = tuple[str, float, float]
"""Some text, and when it starts and ends, in seconds."""


class Cue(NamedTuple):
    """What is shown at once.

    Attributes:
        start: Seconds.
        end: Seconds.
        text: One line, without markup.
        speaker: Who says it, to be shown; None to show nobody.
    """

    start: float
    end: float
    text: str
    speaker: str | None = None


def cues_of(words: Iterable[TimedText], speaker: str | None = None) -> list[Cue]:
    """The cues of what one speaker says without a break.

    A cue ends with a sentence, before a pause, or when it is full. A single word
    longer than a cue keeps a cue to itself.
    """
    cues: list[tuple[float, float, list[str]]] = []
    length = 0
    for said, start, end in words:
        text = " ".join(said.split())  # a line break would end the cue
        if not text:
            continue
        if cues:
            first, last, texts = cues[-1]
            fits = length + 1 + len(text) <= _MAX_CHARACTERS and end - first <= _MAX_S
            if fits and start - last < _PAUSE_S and not texts[-1].endswith(_SENTENCE_ENDS):
                texts.append(text)
                cues[-1] = (first, max(end, last), texts)
                length += 1 + len(text)
                continue
        cues.append((start, end, [text]))
        length = len(text)
    return [Cue(start, end, " ".join(texts), speaker) for start, end, texts in cues]


def spread(text: str, start: float, end: float) -> Iterator[TimedText]:
    """The words of a passage that is timed as a whole, each with its share by its length."""
    words = text.split()
    letters = sum(len(word) for word in words)
    at = start
    for word in words:
        ends = at + (end - start) * len(word) / letters
        yield word, at, ends
        at = ends


def srt(cues: Iterable[Cue]) -> str:
    """SubRip text, in the order of time."""
    return "\n".join(
        f"{number}\n{_clock(_ms(start), ',')} --> {_clock(_ms(end), ',')}\n"
        f"{text if speaker is None else f'{speaker}: {text}'}\n"
        for number, (start, end, text, speaker) in enumerate(_in_order(cues), 1)
    )


def vtt(cues: Iterable[Cue]) -> str:
    """WebVTT text, in the order of time; speakers as voices, ``<v Ann>``.

    Source: W3C, WebVTT: The Web Video Text Tracks Format, §4 (2019).
    """
    blocks = ["WEBVTT\n"]
    for start, end, text, speaker in _in_order(cues):
        starts = _ms(start)
        ends = max(_ms(end), starts + 1)  # an end must come after its start
        times = f"{_clock(starts, '.')} --> {_clock(ends, '.')}"
        voice = "" if speaker is None else f"<v {_escaped(speaker)}>"
        blocks.append(f"{times}\n{voice}{_escaped(text)}\n")
    return "\n".join(blocks)


def _in_order(cues: Iterable[Cue]) -> list[Cue]:
    return sorted(cues, key=lambda cue: cue.start)


def _escaped(text: str) -> str:
    """Text that is no markup and, without its >, no arrow between two times."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _ms(seconds: float) -> int:
    return round(max(seconds, 0.0) * 1000)


def _clock(ms: int, point: str) -> str:
    s, ms = divmod(ms, 1000)
    m, s = divmod(s, 60)
    h, m = divmod(m, 60)
    return f"{h:02}:{m:02}:{s:02}{point}{ms:03}"
