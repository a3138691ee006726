"""Samples stay whole, frames have one size."""

from __future__ import annotations

import pytest

from voicekit.wire.pcm import Aligner, Framer


def test_whole_chunks_pass_untouched():
    """Aligned audio is handed on without a copy."""
    data = b"abcd"
    assert Aligner(2).feed(data) is data


def test_a_sample_cut_in_two_is_put_together():
    """The half waits for its other half, and for nothing else."""
    aligner = Aligner(2)
    assert aligner.feed(b"abc") == b"ab"
    assert aligner.pending == b"c"
    assert aligner.feed(b"") == b""
    assert aligner.feed(b"d") == b"cd"
    assert aligner.pending == b""


def test_stereo_and_single_bytes():
    """Frames of four bytes arrive byte by byte; those of one byte never wait."""
    aligner = Aligner(4)
    assert [aligner.feed(bytes([byte])) for byte in b"abcde"] == [b"", b"", b"", b"abcd", b""]
    assert Aligner(1).feed(b"abc") == b"abc"


def test_frames_of_one_size():
    """Any sizes in, one size out, the rest at the end."""
    framer = Framer(4)
    assert framer.feed(b"abcdefghi") == [b"abcd", b"efgh"]
    assert framer.pending == 1
    assert framer.feed(b"jk") == []
    assert framer.feed(b"l") == [b"ijkl"]
    assert framer.feed(b"") == []
    assert framer.feed(b"mn") == []
    assert framer.flush() == b"mn"
    assert framer.flush() == b""


@pytest.mark.parametrize("kind", [Aligner, Framer])
def test_a_frame_has_bytes(kind):
    """A size of nothing is our own mistake, found at once."""
    with pytest.raises(ValueError, match="frame_bytes is 0"):
        kind(0)
