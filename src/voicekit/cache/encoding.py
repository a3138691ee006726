"""An entry of the speech cache as bytes: a header in JSON, then the audio as it is."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import Any, Final

from voicekit.speech import AudioChunk, AudioFormat, Word
from voicekit.speech.character import Character

_MAGIC: Final = b"vks1"
"""Version of the encoding: what an older or newer one wrote is a miss."""
_HEAD: Final = struct.Struct(">4sI")
_told_of: Final = attrgetter("text", "start", "end", "confidence", "speaker", "punctuated")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpeech:
    """What an entry holds, ready to be played: so many bytes, in so many chunks."""

    format: AudioFormat
    size: int
    chunks: int
    member: str | None
    _data: bytes = field(repr=False)
    _ends: Sequence[int] = field(repr=False)
    _words: Mapping[int, Sequence[Word]] = field(repr=False)
    _signs: Mapping[int, Sequence[Character]] = field(repr=False)

    def play(self, first: int, end: int) -> list[AudioChunk]:
        """The chunks from ``first`` to before ``end``, words and characters included."""
        return [
            AudioChunk(
                self._data[self._ends[number] : self._ends[number + 1]],
                self.format,
                tuple(self._words.get(number, ())),
                tuple(self._signs.get(number, ())),
            )
            for number in range(first, end)
        ]


def encoded(
    chunks: Sequence[bytes],
    format: AudioFormat,  # noqa: A002 - the option's name
    *,
    member: str | None = None,
) -> bytes:
    """``chunks`` as bytes; those without audio go with the one beside them."""
    sizes: list[int] = []
    words: list[list[Any]] = []
    signs: list[list[Any]] = []
    for chunk in chunks:
        if sizes and (not chunk or not sizes[-1]):
            sizes[-1] += len(chunk)
        else:
            sizes.append(len(chunk))
        at = len(sizes) - 1
        if isinstance(chunk, AudioChunk):
            words += [[at, *_told_of(each)] for each in chunk.words]
            signs += [[at, each.text, each.start, each.end] for each in chunk.characters]
    header: dict[str, Any] = {"format": format.name, "chunks": sizes}
    told = {"member": member, "words": words, "signs": signs}
    header.update((name, value) for name, value in told.items() if value)
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(_MAGIC, len(head)), head, *chunks])


def decoded(data: bytes) -> StoredSpeech | None:
    """What ``encoded`` made; None for anything else, whatever it is."""
    try:
        return _decoded(data)
    except (ValueError, TypeError, KeyError, OverflowError, struct.error, RecursionError):
        return None


def _decoded(data: bytes) -> StoredSpeech | None:
    magic, length = _HEAD.unpack_from(data)
    at = _HEAD.size + length
    if magic != _MAGIC or at > len(data):
        return None
    header = json.loads(data[_HEAD.size : at])
    made_of, member = AudioFormat.parse(header["format"]), header.get("member")
    sizes: list[int] = header["chunks"]
    if not sizes or not isinstance(member, str | None):
        return None
    if any(type(size) is not int or size < 1 or size % made_of.frame_bytes for size in sizes):
        return None
    ends = list(accumulate(sizes, initial=at))
    if ends[-1] != len(data):
        return None
    words: dict[int, list[Word]] = {}
    for number, *told in header.get("words", ()):
        words.setdefault(_index(number), []).append(_read_word(*told))
    signs: dict[int, list[Character]] = {}
    for number, text, start, end in header.get("signs", ()):
        sign = Character(text=_text(text), start=_number(start), end=_number(end))
        signs.setdefault(_index(number), []).append(sign)
    return StoredSpeech(
        format=made_of,
        size=len(data) - at,
        chunks=len(sizes),
        member=member,
        _data=data,
        _ends=ends,
        _words=words,
        _signs=signs,
    )


def _read_word(
    text: Any, start: Any, end: Any, confidence: Any, speaker: Any, punctuated: Any
) -> Word:
    if not isinstance(speaker, int | str | None) or not isinstance(punctuated, str | None):
        raise TypeError
    return Word(
        text=_text(text),
        start=_number(start),
        end=_number(end),
        confidence=None if confidence is None else _number(confidence),
        speaker=speaker,
        punctuated=punctuated,
    )


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return value
