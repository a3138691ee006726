"""Text cut where sentences end, for voices that take only so much of it at once. No I/O.

A sentence ends

- after ``.``, ``!``, ``?``, ``…`` and their likes in other scripts, with the quotes and
  brackets that close after them, where white space follows; in scripts without spaces
  between sentences (``。``, ``！``, ``？``) without any;
- at a line end.

It does not end after a full stop that belongs to a number (``3.14`` has no space, ``No. 5``
and ``1. First`` have), to an abbreviation of a small list, to an initial (``J. Smith``,
``U.S. law``), or before a word in small letters (``approx. half``). What is doubtful is no
end: a sentence too long sounds better than one cut in two.

White space goes with the sentence before it, so that the parts, joined, are the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from voicekit.errors import InvalidArgumentError

# Source: Unicode property Sentence_Terminal, the scripts in wide use; those of the second
# need no space after them.
_SPACED: Final = (
    ".!?\u2026\u0589\u061f\u06d4\u0700-\u0702\u0964\u0965\u104a\u104b\u1362\u1367"
    "\u17d4\u17d5\u203c\u203d\u2047-\u2049"
)
_UNSPACED: Final = "\u3002\uff01\uff0e\uff1f\uff61"
# Quotes and brackets that close after the end are still of the sentence.
_QUOTES: Final = "\"'\u2019\u201d\u00bb\u203a)]}\u300d\u300f\u3011\uff09\uff3d"

_END: Final = re.compile(
    rf"(?:[{_SPACED}]+[{re.escape(_QUOTES)}]*(?=\s)|[{_UNSPACED}][{_SPACED}{_UNSPACED}]*[{re.escape(_QUOTES)}]*)\s*"
    r"|\n\s*"
)

# Words that a full stop follows within a sentence, in lower case. Source: ours; the common
# ones of English, German, French, Spanish, Italian and Portuguese. Those that often end a
# sentence as well ("etc.") are told by the small letter that follows them.
_ABBREVIATIONS: Final = frozenset(
    """
    mr mrs ms mx dr prof st sr sra jr rev hon gen col capt lt sgt messrs mme mlle
    vs cf e.g i.e ca approx fig figs no nos vol pp p par sec ch eq ed eds dept est
    inc ltd corp co jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri
    z.b d.h u.a bzw usw nr hr fr str ggf evtl dipl ing abs bd
    p.ex av bd éd env max min tel tél art núm pág ud uds d dª sig sigg dott ecc
    """.split()  # noqa: SIM905 - a list of a hundred is not to be read one by one
)
_SOMETHING: Final = re.compile(r"\S")
_LAST_WORD: Final = re.compile(r"[^\s\"'(\[{\u201c\u2018\u00ab]+\Z")
_SMALL: Final = re.compile(r"\W{0,4}[a-zß-öø-ÿ\u03ac-\u03ce\u0430-\u045f]")

# Where a sentence that is too long is cut: at a clause, else at a word.
_CLAUSE: Final = re.compile(r".*(?:[,;:\u2014\u2013]\s+|[\u3001\uff0c\uff1b\uff1a])", re.DOTALL)
_WORD: Final = re.compile(r".*\s", re.DOTALL)
# Marks, joiners and selectors belong to the sign before them.
_JOINED: Final = re.compile(r"[\u0300-\u036f\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_LONGEST_SIGN: Final = 16
"""Characters. Source: ours; a family of emoji has seven, with tones eleven."""


def sentences(text: str, *, most: int) -> list[str]:
    """The sentences of a text, one by one; joined, they are the text.

    A sentence of more than ``most`` characters is cut at the end of a clause, else of a
    word, else anywhere but before a combining mark.

    Args:
        text: Any text; an empty one has no sentences.
        most: Characters of the longest part.

    Raises:
        InvalidArgumentError: ``most`` is below 1.
    """
    if most < 1:
        raise InvalidArgumentError(f"got {most!r}", argument="most", allowed="an int ≥ 1")
    parts: list[str] = []
    for sentence in _whole(text):
        parts += _cut(sentence, most)
    return parts


def passages(text: str, *, most: int) -> list[str]:
    """The fewest parts that end with a sentence; joined, they are the text.

    Args:
        text: Any text; an empty one has no parts.
        most: Characters of the longest part.

    Raises:
        InvalidArgumentError: ``most`` is below 1.
    """
    parts: list[str] = []
    held: list[str] = []
    size = 0
    for sentence in sentences(text, most=most):
        if held and size + len(sentence) > most:
            parts.append("".join(held))
            held, size = [], 0
        held.append(sentence)
        size += len(sentence)
    if held:
        parts.append("".join(held))
    return parts


def _whole(text: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if end < len(text) and _ends(text, start, match):
            yield text[start:end]
            start = end
    if start < len(text):
        yield text[start:]


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether what looks like the end of a sentence is one."""
    if not _SOMETHING.search(text, start, match.end()):
        return False  # white space alone is nothing to speak
    mark = match.group()
    stop = mark.rstrip()
    if mark.count("\n") > 1 or stop[:1] in tuple(_UNSPACED):
        return True
    if _SMALL.match(text, match.end()):
        return False  # "Yahoo! is", "Well… and", "approx. half", a line that is merely full
    if stop.strip(_QUOTES) != ".":
        return True
    word = _LAST_WORD.search(text, max(start, match.start() - 24), match.start())
    if word is None or len(stop) > 1:
        return True
    last = word.group()
    if last.lower() in _ABBREVIATIONS:
        return False
    if last.isdecimal() and word.start() == start:
        return False  # "1. First": a number of a list is read with what it counts
    # "J. Smith", "U.S. law", "z. B.": a single letter, alone or behind a full stop.
    return not (last[-1:].isalpha() and (len(last) == 1 or last[-2] == "."))


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        match = _CLAUSE.match(sentence, 0, most) or _WORD.match(sentence, 0, most)
        if match is not None and not match.group().isspace():
            at = match.end()
        else:
            at = _between_signs(sentence, most)
        yield sentence[:at]
        sentence = sentence[at:]
    if sentence:
        yield sentence


def _between_signs(text: str, most: int) -> int:
    """Where a text without words can be cut: not between a sign and what is joined to it."""
    for at in range(most, max(0, most - _LONGEST_SIGN), -1):
        if not _JOINED.match(text, at) and text[at - 1] != "\u200d":
            return at
    return most
