"""However the network cuts a stream of events, the events are the same."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from voicekit.errors import RemoteProtocolError
from voicekit.wire.sse import SseDecoder, SseEvent

LINES = st.one_of(
    st.just(b""),
    st.sampled_from([b"data: a", b"data:b", b"data", b"data:  c", b": ping", b"event: x", b"event",
                     b"event:y", b"id: 1", b"data: [DONE]", b"dat", b"data: \xc3\xa9"]),
    st.binary(max_size=12).filter(lambda line: not re.search(rb"[\r\n]", line)),
)  # fmt: skip
STREAMS = st.one_of(
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\n", b"\r", b"\r\n"])), max_size=20).map(
        lambda pairs: b"".join(line + end for line, end in pairs)
    ),
    st.lists(
        st.sampled_from([b"data: a\n\n", b"data: bb\n\n", b"data: \n\n", b"\n", b"data: "]),
        max_size=12,
    ).map(b"".join),
    st.lists(
        st.sampled_from(
            [
                b"event: x\ndata: a\n\n",
                b"event: y\ndata: \n\n",
                b"event: z\n\n",
                b"data: b\n\n",
                b"data: c\nevent: x\n\n",
                b"event: a\ndata: b\ndata: c\n\n",
                b"event: x\n",
                b"\n",
            ]
        ),
        max_size=12,
    ).map(b"".join),
    st.lists(st.sampled_from(list(b"dat: \r\n\xef\xbb\xbfx")), max_size=40).map(bytes),
)
MARK = st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb"])
CUTS = st.lists(st.integers(0, 400), max_size=12)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in pairwise(at)]


def reference(stream: bytes) -> list[SseEvent]:
    """The standard's algorithm, written down with nothing else in mind."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events, name, data = [], "", []
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append(SseEvent(name, b"\n".join(data)))
            name, data = "", []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return events


@given(MARK, STREAMS, CUTS)
@example(b"", b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10, 11, 12])
@example(b"", b"event: x\ndata: a\n\ndata: b\ndata: c\n\n", [])
@example(b"", b"event: x\ndata: a\n\nevent: y\ndata: b\n\nevent: z\ndata: c\n\n", [3, 20, 37])
@example(b"", b"data: a\n\ndata: b\n\ndata: c\n\n", [3, 20])
def test_any_cutting_gives_the_standards_events(mark, stream, cuts):
    """Named or not, in any chunks, mixed at will: the reference's events in its order."""
    stream = mark + stream
    expected = reference(stream)
    plain, named, mixed = SseDecoder(), SseDecoder(), SseDecoder()
    pieces = cut(stream, cuts)
    assert [e for piece in pieces for e in plain.feed(piece)] == [e.data for e in expected]
    assert [e for piece in pieces for e in named.feed_named(piece)] == expected
    got = []
    for index, piece in enumerate(pieces):
        if index % 2:
            got += [event.data for event in mixed.feed_named(piece)]
        else:
            got += mixed.feed(piece)
    assert got == [event.data for event in expected]


@given(STREAMS, CUTS)
def test_the_bound_does_not_depend_on_the_cutting(stream, cuts):
    """A stream is too large, or is not, whatever its chunks; memory never exceeds the bound."""

    def outcome(pieces):
        decoder, events = SseDecoder(max_event_bytes=8), []
        try:
            for piece in pieces:
                events += decoder.feed(piece)
                held = len(decoder._tail) + sum(len(d) + 1 for d in decoder._data)
                assert held <= 2 * 8 + 1
        except RemoteProtocolError:
            return None
        return events

    assert outcome(cut(stream, cuts)) == outcome([stream])


@given(STREAMS, CUTS)
def test_an_event_is_never_held_back(stream, cuts):
    """After each chunk, all that the standard would have told by then has been told."""
    decoder, got, seen = SseDecoder(), [], b""
    for piece in cut(stream, cuts):
        got += decoder.feed(piece)
        seen += piece
        assert got == [event.data for event in reference(seen)]
