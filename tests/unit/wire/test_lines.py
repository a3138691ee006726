"""Bodies of lines, however they arrive."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.errors import RemoteProtocolError
from voicekit.wire.lines import LineDecoder


def lines_of(pieces: list[bytes]) -> list[bytes]:
    decoder = LineDecoder()
    lines = [line for piece in pieces for line in decoder.feed(piece)]
    rest = decoder.flush()
    assert not decoder.pending
    return [*lines, rest] if rest else lines


def test_lines_without_their_ends() -> None:
    """LF or CRLF ends a line, blank ones are nothing, the last needs no end."""
    assert lines_of([b'{"a":1}\n\n  \r\n{"b":2}\r\n{"c"', b":3}"]) == [
        b'{"a":1}',
        b'{"b":2}',
        b'{"c":3}',
    ]


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"{}"]), max_size=40),
    st.lists(st.integers(0, 60), max_size=10),
)
def test_any_cutting_gives_the_same(parts: list[bytes], at: list[int]) -> None:
    """A line is a line wherever the network cuts it."""
    body = b"".join(parts)
    edges = sorted({0, len(body), *(each % (len(body) + 1) for each in at)})
    pieces = [body[low:high] for low, high in pairwise(edges)]
    expected = [line.strip() for line in body.split(b"\n") if line.strip()]
    assert lines_of(pieces) == lines_of([body]) == expected


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x"] * 11, [b"ok\n" + b"x" * 11 + b"\nok\n"]])
def test_a_line_is_bounded(pieces: list[bytes]) -> None:
    """In one piece, in many, or between two others."""
    decoder = LineDecoder(10)
    with pytest.raises(RemoteProtocolError, match="longer than 10"):
        [decoder.feed(piece) for piece in pieces]


def test_a_drip_costs_no_more_than_its_bytes() -> None:
    """A line of a hundred thousand single bytes is read in a moment."""
    decoder = LineDecoder()
    started = time.process_time()
    for _ in range(100_000):
        decoder.feed(b"x")
    assert len(decoder.feed(b"\n")[0]) == 100_000
    assert time.process_time() - started < 2.0
