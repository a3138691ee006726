"""One spelling for the many in which people ask the same thing. Pure, and of no language.

Folded are: case (Unicode's, full folding), full and half width and other forms of the same
character, runs of white space, marks that cannot be seen, and sentence punctuation and
quotation marks at both ends. Kept is whatever can change what is meant: digits with their
signs and points, raised and circled figures, fractions, accents, and all punctuation between
words. Where in doubt a spelling is kept: that costs a miss, the other way costs a wrong answer.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["normalized"]

_UNSEEN: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202c\u2060\u2066-\u2069\ufe0e\ufe0f\ufeff]"
)
"""Soft hyphens, marks of direction, of where a line may break, of how an emoji looks. Joiners are
not among them: they change words of Persian and of Indic scripts, and what an emoji shows."""

_SPACE: Final = re.compile(r"\s+")

_STOPS: Final = frozenset(
    ".,;:!?…·‥‼⁇⁈⁉‽¿¡"  # Latin, Greek
    "。、・｡､"  # Chinese, Japanese
    "،؛؟۔"  # Arabic, Urdu
    "।॥"  # Indic
    "။၊"  # Burmese
    "៕។"  # Khmer
    "։՞՜"  # Armenian
    "፡።፣፤፥፧"  # Ethiopic
    "๏๚๛"  # Thai
)
_QUOTES: Final = frozenset("\"'`“”„‟‘’‚‛«»‹›「」『』《》〈〉″′")
_DASHES: Final = frozenset("-‐‑‒–—―~〜")
_EDGES: Final = _STOPS | _QUOTES | _DASHES

_ABOUT: Final = "~〜"
_NUMBER: Final = re.compile(rf"[{_ABOUT}]?[-‐‑‒–—]?[.,]?\d")
"""How a number may begin: what says "about", its sign and its point are no punctuation."""

_FORMS_OF_THEIR_OWN: Final = ("<super>", "<sub>", "<fraction>", "<circle>")


def normalized(text: str) -> str:
    """The one spelling that stands for ``text``; idempotent.

    A text that has a letter or a digit keeps all of them; one of punctuation alone stays.
    """
    while (folded := _folded(text)) != text:
        text = folded
    return text


def _folded(text: str) -> str:
    if not text.isascii():
        text = _compatible(_UNSEEN.sub("", text))
        text = _compatible(text.casefold())
    else:
        text = text.lower()
    text = _SPACE.sub(" ", text).strip()
    return _without_edges(text) or text


def _compatible(text: str) -> str:
    """NFKC, but for characters that it would make another meaning of: 5² is not 52."""
    if unicodedata.is_normalized("NFKC", text):
        return text
    pieces, begun = [], 0
    for at, character in enumerate(text):
        if _of_its_own(character):
            pieces += [unicodedata.normalize("NFKC", text[begun:at]), character]
            begun = at + 1
    pieces.append(unicodedata.normalize("NFKC", text[begun:]))
    return unicodedata.normalize("NFC", "".join(pieces))


def _of_its_own(character: str) -> bool:
    form = unicodedata.decomposition(character)
    if not form.startswith("<"):
        return False
    if form.startswith(_FORMS_OF_THEIR_OWN):
        return True
    if character.isdecimal():  # a full-width digit is the digit
        return False
    # Others that hold a digit, such as ⒈ or ㏠, would run into the digits beside them.
    return any(each.isdecimal() for each in unicodedata.normalize("NFKC", character))


def _without_edges(text: str) -> str:
    begin, end = 0, len(text)
    while begin < end and (text[begin] in _EDGES or text[begin] == " "):
        if _NUMBER.match(text, begin) and (
            begin == 0 or text[begin] in _ABOUT or text[begin - 1] not in "-–—.,"
        ):
            break
        begin += 1
    while begin < end:
        last, at = text[end - 1], end - 1
        mark = last in _QUOTES or last == "!"
        while mark and at > begin and text[at - 1] == last:
            at -= 1  # all or none: inches, which are two primes, are no feet
        before = text[at - 1 : at] if at > begin else ""
        if last in _DASHES:
            kept = before.isalnum()  # a grade: A-
        elif mark:
            kept = before.isnumeric()  # feet, inches, minutes; a factorial
        else:
            kept = last not in _STOPS and last != " "
        if kept:
            break
        end = at
    return text[begin:end]
