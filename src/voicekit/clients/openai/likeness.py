"""Reading the text of a chunk that is like the last one, without parsing the rest again.

The chunks of one answer repeat id, model, time and fingerprint byte for byte, some 250
bytes around a few of text, and parsing them is what a stream costs. So the bytes before
and behind the text of one chunk are kept, and a chunk with the same ones is parsed
between them only.

Why that is sound: the kept bytes are those of a document that was parsed in full, around
one JSON string. With any other JSON string between them the document is as valid, and
differs in that string alone.
"""

from __future__ import annotations

import json

_KEY = b'"content":'
_TRIES = 8
"""Chunks padded with random characters are never alike; learning from each would cost."""

_string = json.JSONDecoder().raw_decode


class Likeness:
    """The surroundings of a text delta, once learned."""

    __slots__ = ("_head", "_size", "_start", "_tail", "_tries")

    def __init__(self) -> None:
        self._head = b"\n"  # no event begins so
        self._tail = b""
        self._start = self._size = 0
        self._tries = _TRIES

    def text(self, event: bytes) -> str | None:
        """The text of an event that is like the learned one but for it; else None."""
        if not (event.startswith(self._head) and event.endswith(self._tail)):
            return None
        try:
            # What is between begins behind the head and must be one string, and no more.
            between = event[self._start : len(event) - self._size].decode()
            value, end = _string(between)
        except ValueError:
            return None
        return value if type(value) is str and end == len(between) else None

    def learn(self, event: bytes, text: str) -> None:
        """Keep the surroundings of ``text``, which is all that this event says."""
        if not self._tries or event.count(_KEY) != 1:
            return
        self._tries -= 1
        start = event.index(_KEY) + len(_KEY)
        try:
            rest = event[start:].decode()
            value, end = _string(rest)
        except ValueError:  # a blank before the text, or bytes that json is laxer about
            return
        if value == text:
            self._head, self._tail = event[:start], rest[end:].encode()
            self._start, self._size = start, len(self._tail)


_DELTA = b'"delta":'
_NUMBER = b'"sequence_number":'


class NumberedLikeness:
    """The surroundings of a text delta of a response, whose events also have a number each.

    What is kept is then in three parts, with the number and the text between them, in
    whichever order the server writes the two.
    """

    __slots__ = ("_first", "_last", "_middle", "_number_first", "_size", "_start", "_tries")

    def __init__(self) -> None:
        self._first = b"\n"  # no event begins so
        self._middle = self._last = b""
        self._start = self._size = 0
        self._number_first = True
        self._tries = _TRIES

    def text(self, event: bytes) -> str | None:
        """The text of an event that is like the learned one but for it and its number."""
        if not (event.startswith(self._first) and event.endswith(self._last)):
            return None
        start, end = self._start, len(event) - self._size
        if self._number_first:
            at = event.find(self._middle, start, end)
            number, start = event[start:at], at + len(self._middle)
        else:
            at = event.rfind(self._middle, start, end)
            number, end = event[at + len(self._middle) : end], at
        if at < 0 or not number.isdigit():
            return None
        try:
            between = event[start:end].decode()
            value, size = _string(between)
        except ValueError:
            return None
        return value if type(value) is str and size == len(between) else None

    def learn(self, event: bytes, text: str) -> None:
        """Keep the surroundings of ``text``, which is all that this event says."""
        if not self._tries or event.count(_DELTA) != 1 or event.count(_NUMBER) != 1:
            return
        self._tries -= 1
        start = event.index(_DELTA) + len(_DELTA)
        try:
            rest = event[start:].decode()
            value, size = _string(rest)
        except ValueError:
            return
        if value != text:
            return
        end = len(event) - len(rest[size:].encode())
        number = event.index(_NUMBER) + len(_NUMBER)
        behind = number
        while event[behind : behind + 1].isdigit():
            behind += 1
        if behind == number or start <= number < end:
            return
        self._number_first = number < start
        if self._number_first:
            self._first, self._middle = event[:number], event[behind:start]
            self._last = event[end:]
        else:
            self._first, self._middle = event[:start], event[end:number]
            self._last = event[behind:]
        self._start, self._size = len(self._first), len(self._last)
