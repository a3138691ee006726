"""Text that is written in pieces goes out in whole words.

A language model's pieces end anywhere, and a voice that is given "unbeliev" and then
"able" may speak two words. So the last, perhaps unfinished word waits for its end.

Where a word ends:

- after white space of any kind;
- in scripts without spaces between words that are written sign by sign (Chinese
  characters, kana, their punctuation): after each sign;
- in those written in clusters (Thai, Lao, Khmer, Burmese): before the sign that starts
  the next cluster, so no vowel or tone mark is torn from its consonant.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["WholeWords"]

# Source: ours. A "word" beyond it is data, or a script we do not know: let it go.
_MAX_HELD: Final = 512

# Source: Unicode 15 blocks: CJK symbols and kana (without the marks that combine with
# the sign before them, 302A-302F and 3099-309A), ideographs, full-width forms.
_SIGNS: Final = (
    "\u2e80-\u2fdf\u2ff0-\u3029\u3030-\u3098\u309b-\u30ff\u3100-\u312f\u3190-\u31ff"
    "\u3200-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff01-\uff65\uff66-\uff9d"
    "\U00020000-\U000323af"
)
# Consonants, independent and leading vowels, digits and punctuation of the four scripts:
# what a cluster can start with.
_CLUSTER_STARTS: Final = (
    "\u0e01-\u0e30\u0e32\u0e3f-\u0e46\u0e4f-\u0e5b"
    "\u0e81-\u0eb0\u0eb2\u0ebd-\u0ec6\u0ed0-\u0edf"
    "\u1000-\u102a\u103f-\u1055\u105a-\u105d\u1061\u1065-\u1066\u106e-\u1070\u1075-\u1081"
    "\u1090-\u1099\u1780-\u17b3\u17d4-\u17dc\u17e0-\u17e9"
)
# Vowels written before their consonant, and signs that join the next consonant below.
_JOIN_NEXT: Final = "\u0e40-\u0e44\u0ec0-\u0ec4\u1039\u17d2"

_LAST_END: Final = re.compile(
    rf".*(?:[\s{_SIGNS}]|(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
    rf"(?<![{_JOIN_NEXT}])(?=[{_CLUSTER_STARTS}]))",
    re.DOTALL,
)


class WholeWords:
    """Holds back the word that is still being written.

    What goes out is, joined, exactly what came in. At most 512 characters are held.

    Attributes:
        pending: The word that waits for its end.
    """

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending = ""

    def feed(self, piece: str) -> str:
        """What may be sent now: everything up to the end of the last whole word."""
        text = self.pending + piece
        # What was pending has no end in it, so only the new text is searched.
        match = _LAST_END.match(text, len(self.pending))
        end = match.end() if match else 0
        if len(text) - end > _MAX_HELD:
            end = len(text)
        self.pending = text[end:]
        return text[:end]

    def flush(self) -> str:
        """The rest, when no more text will come."""
        rest, self.pending = self.pending, ""
        return rest
