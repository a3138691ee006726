"""Timed words on their way to subtitles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Two lines of 42 characters, at most seven seconds.
# Source: Netflix, Timed Text Style Guide: General Requirements and English (2024).
_MAX_CHARACTERS: Final = 84
_MAX_S: Final = 7.0
# A pause that a viewer sees as a new thought. Ours: longer than the gaps inside speech.
_PAUSE_S: Final = 1.0
_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")


def srt(words: Iterable[tuple[str, float, float]]) -> str:
    """SubRip text of words given as (text, start, end), times in seconds.

    A cue ends with a sentence, before a pause, or when it is full. A single word
    longer than a cue keeps a cue to itself.
    """
    cues: list[tuple[float, float, list[str]]] = []
    length = 0
    for text, start, end in words:
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
    return "\n".join(
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{' '.join(texts)}\n"
        for number, (start, end, texts) in enumerate(cues, 1)
    )


def _clock(seconds: float) -> str:
    ms = round(max(seconds, 0.0) * 1000)
    s, ms = divmod(ms, 1000)
    m, s = divmod(s, 60)
    h, m = divmod(m, 60)
    return f"{h:02}:{m:02}:{s:02},{ms:03}"
