"""Server-sent events, by example. The properties are in tests/property."""

from __future__ import annotations

import pytest

from voicekit.errors import RemoteProtocolError
from voicekit.wire.sse import SseDecoder, SseEvent


def decoded(*pieces: bytes, **options: int) -> list[bytes]:
    decoder = SseDecoder(**options)
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [b"a"], id="one"),
        pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="two"),
        pytest.param(b"data: [DONE]\n\n", [b"[DONE]"], id="done is data"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR"),
        pytest.param(b"data: a\rdata: b\n\n", [b"a\nb"], id="CR inside"),
        pytest.param(b"data:a\n\n", [b"a"], id="no space"),
        pytest.param(b"data:  a\n\n", [b" a"], id="one space goes"),
        pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="two lines"),
        pytest.param(b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"], id="two lines, CRLF"),
        pytest.param(b"data\n\ndata: \n\n", [b"", b""], id="empty data is an event"),
        pytest.param(b"data\ndata\n\n", [b"\n"], id="two empty lines"),
        pytest.param(b": ping\n\n:\n\n", [], id="comments"),
        pytest.param(b": ping\n\ndata: a\n\n", [b"a"], id="comment first"),
        pytest.param(b"data: a\n\n\n\n", [b"a"], id="blank lines"),
        pytest.param(b"data: a\n\n\ndata: b\n\n", [b"a", b"b"], id="blank line between"),
        pytest.param(b"id: 1\nretry: 5\nfoo: x\ndata: a\n\n", [b"a"], id="other fields"),
        pytest.param(b"dataset: a\nda: b\n\n", [], id="similar names"),
        pytest.param(b"event: x\n\n", [], id="no data, no event"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="byte order mark"),
        pytest.param(b"\n\xef\xbb\xbfdata: a\n\n", [], id="mark not at the start"),
        pytest.param(b"data: a\n\ndata: b\n", [b"a"], id="incomplete last event"),
        pytest.param(b"data: \xff\x00\x0b\x0c\x85\n\n", [b"\xff\x00\x0b\x0c\x85"], id="any bytes"),
        pytest.param(b"<html>no stream</html>", [], id="something else"),
    ],
)
def test_the_grammar(stream, events):
    """Each rule of the standard that servers use, whole and byte by byte."""
    assert decoded(stream) == events
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == events


def test_a_byte_order_mark_belongs_at_the_start():
    """Later it is the beginning of a field that does not exist."""
    assert decoded(b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n") == [b"a"]
    assert decoded(b"data: a\n\ndata: b\n\n", b"\xef\xbb\xbfdata: c\n\n") == [b"a", b"b"]


def test_events_come_as_soon_as_they_are_complete():
    """Nothing waits for the next chunk: not after LF, and not after a CR that LF may follow."""
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\ndata: b") == [b"a"]
    assert decoder.pending
    assert decoder.feed(b"\n\n") == [b"b"]
    assert decoder.feed(b"data: c\r\r") == [b"c"]
    assert decoder.feed(b"\ndata: d\r\n\r") == [b"d"]
    assert not decoder.pending


def test_names_for_servers_that_use_them():
    """An event has the last name it was given; the next one starts without."""
    stream = b"event: a\nevent:b\ndata: 1\n\ndata: 2\n\nevent: c\n\ndata: 3\n\nevent\ndata: 4\n\n"
    assert SseDecoder().feed_named(stream) == [
        SseEvent("b", b"1"),
        SseEvent("", b"2"),
        SseEvent("", b"3"),
        SseEvent("", b"4"),
    ]


def test_a_name_that_is_no_text_breaks_nothing():
    """Bytes that are not UTF-8 are replaced."""
    assert SseDecoder().feed_named(b"event: \xff\ndata: 1\n\n") == [SseEvent("�", b"1")]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 100 + b"\n\n",
        b"data: aaaaaaaa\n" * 10 + b"\n",
        b"data\n" * 66 + b"\n",
        b": " + b"x" * 100,
        b"x" * 100,
        b"event: " + b"x" * 100,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_memory_is_bounded(stream, step):
    """An event or a line that never ends is the server's fault, in pieces of any size."""
    pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
    with pytest.raises(RemoteProtocolError, match="larger than 64 bytes"):
        decoded(*pieces, max_event_bytes=64)


def test_many_small_events_are_no_large_one():
    """The bound is on an event, not on what arrives at once."""
    assert decoded(b"data: abcdefgh\n\n" * 1000, max_event_bytes=64) == [b"abcdefgh"] * 1000


def test_the_error_shows_nothing_of_the_stream():
    """Speech may be in it."""
    with pytest.raises(RemoteProtocolError) as caught:
        decoded(b"data: marked" * 10, max_event_bytes=64)
    assert "marked" not in repr(caught.value)
