"""Server-sent events: bytes in, complete events out.

Takes LF, CR and CRLF, a byte order mark, comments, data in several lines, and events
cut at any byte; ignores ``id`` and ``retry``. Whether ``[DONE]`` ends a stream is for
the provider to say: here it is data like any other.

Rules of the state: ``_tail`` is a line without its end, ``_data`` and ``_name`` are the
event that is being read. Nothing held is ever searched twice, so bytes that drip in one
by one cost no more than their number. An event that arrives whole, alone or with
others, which is how token streams come, never touches that state.

Source: WHATWG HTML Living Standard §9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from voicekit.errors import RemoteProtocolError

__all__ = ["SseDecoder", "SseEvent"]

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 0x0D  # as a number: looked for in bytes, a byte string costs six times as much


class SseEvent(NamedTuple):
    """One event with its name; the name is empty where the server gave none."""

    name: str
    data: bytes


class SseDecoder:
    r"""Turns the body of one ``text/event-stream`` response into events.

    An event counts once its blank line has come: what is incomplete at the end of the
    stream is not an event (``pending`` tells).

    Args:
        max_event_bytes: Bound on one line, and on the data of one event; what a
            decoder holds stays below twice that.
    """

    __slots__ = ("_begun", "_clean", "_data", "_max", "_name", "_size", "_skip_lf", "_tail")

    def __init__(self, max_event_bytes: int = 1 << 20) -> None:
        self._max = max_event_bytes
        self._begun = False  # whether a byte order mark is behind us
        self._clean = True  # whether nothing is held: the next byte starts an event
        self._skip_lf = False  # whether the last byte was a CR that an LF may complete
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._size = 0  # bytes of _data, with the line feeds that will join it
        self._name = b""

    @property
    def pending(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._tail or self._data or self._name)

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that the new bytes complete, lines joined by LF.

        Raises:
            RemoteProtocolError: A line or an event is larger than the bound; the
                decoder is of no use afterwards.
        """
        if self._clean and data[:6] == b"data: " and _CR not in data and len(data) <= self._max:
            if data[-2:] == b"\n\n":
                if data.find(b"\n") == len(data) - 2:
                    self._begun = True
                    return [data[6:-2]]
                events = data[6:-2].split(b"\n\ndata: ")
                # Two line feeds per event: no other lines, none of several lines.
                if data.count(b"\n") == 2 * len(events):
                    self._begun = True
                    return events
            else:
                # Whole events and the beginning of another: the whole ones go fast.
                cut = data.rfind(b"\n\n") + 2
                if cut > 1:
                    return [*self.feed(data[:cut]), *self.feed(data[cut:])]
        elif self._clean and data[:7] == b"event: " and _CR not in data and len(data) <= self._max:
            if data[-2:] == b"\n\n":
                named = _named(data)
                if named is not None:
                    self._begun = True
                    return named
            else:
                cut = data.rfind(b"\n\n") + 2
                if cut > 1:
                    return [*self.feed(data[:cut]), *self.feed(data[cut:])]
        elif not self._clean:
            # The end of an event that was cut, then whole ones: a blank line leaves us clean.
            cut = data.find(b"\n\n") + 2
            if 1 < cut < len(data):
                return [*self.feed(data[:cut]), *self.feed(data[cut:])]
        return [event.data for event in self._read(data)]

    def feed_named(self, data: bytes) -> list[SseEvent]:
        """The same with each event's name, for servers that use names.

        Raises:
            RemoteProtocolError: As for ``feed``.
        """
        return self._read(data)

    def _read(self, data: bytes) -> list[SseEvent]:
        if not self._begun:
            data = self._without_bom(data)
        if not data:
            return []
        if self._skip_lf:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
            if not data:
                self._clean = not self.pending
                return []
        # Of bytes, unlike of text, splitlines() knows just the ends that the standard has.
        lines = data.splitlines()
        last = data[-1]
        tail = self._tail
        if last == _CR:
            self._skip_lf = True
        rest = b"" if last in b"\r\n" else lines.pop()
        if tail and lines:
            tail += lines[0]
            lines[0] = bytes(tail)
            tail.clear()
        events: list[SseEvent] = []
        for line in lines:
            self._take_line(line, events)
        tail += rest
        if len(tail) > self._max:
            raise self._too_large()
        self._clean = not self.pending
        return events

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        if not line:
            data = self._data
            if data:
                joined = data[0] if len(data) == 1 else b"\n".join(data)
                events.append(SseEvent(self._name.decode("utf-8", "replace"), joined))
                self._data = []
                self._size = 0
            self._name = b""
            return
        if len(line) > self._max:
            raise self._too_large()
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
        elif line == b"data":
            value = b""
        elif line.startswith(b"event:"):
            self._name = line[7:] if line[6:7] == b" " else line[6:]
            return
        elif line == b"event":
            self._name = b""
            return
        else:
            return  # comment, id, retry, or a field that does not exist
        self._size += len(value) + 1
        if self._size > self._max + 1:
            raise self._too_large()
        self._data.append(value)

    def _without_bom(self, data: bytes) -> bytes:
        data = bytes(self._tail) + data
        self._tail.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._tail += data
            self._clean = not data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _too_large(self) -> RemoteProtocolError:
        self._tail.clear()
        self._data = []
        return RemoteProtocolError(f"a server-sent event is larger than {self._max} bytes")


def _named(data: bytes) -> list[bytes] | None:
    """The data of whole events of two lines each, a name and data; None for any other."""
    count = data.count(b"\n")
    if count == 3:
        at = data.find(b"\ndata: ")
        return None if at < 0 else [data[at + 7 : -2]]
    events = data[:-2].split(b"\n\n")
    if count != 3 * len(events):
        return None
    for number, event in enumerate(events):
        at = event.find(b"\ndata: ")
        if at < 0 or not event.startswith(b"event: "):
            return None
        events[number] = event[at + 7 :]
    return events
