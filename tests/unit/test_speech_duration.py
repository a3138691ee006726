"""The length of encoded audio, without decoding it."""

from __future__ import annotations

import struct

import pytest

from voicekit.speech.duration import mp3_duration_s, ogg_opus_duration_s


def frame(header: str, size: int, mark: bytes = b"") -> bytes:
    return (bytes.fromhex(header) + bytes(32) + mark).ljust(size, b"\0")


MPEG1_128 = frame("fffb9000", 417)  # 44.1 kHz, 128 kbit/s, 1152 samples
MPEG2_48 = frame("fff36400", 144)  # 24 kHz, 48 kbit/s, 576 samples


def page(position: int, content: bytes) -> bytes:
    return (
        b"OggS\0\0" + struct.pack("<qIIIB", position, 1, 0, 0, 1) + bytes([len(content)]) + content
    )


HEAD = b"OpusHead\1\1" + struct.pack("<HIhB", 312, 48_000, 0, 0)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (MPEG1_128 * 100, 100 * 1152 / 44_100),
        (MPEG2_48 * 10, 10 * 576 / 24_000),
        (frame("fffb9200", 418) + MPEG1_128, 2 * 1152 / 44_100),
        (frame("fffb9000", 417, b"Info") + MPEG1_128 * 3, 3 * 1152 / 44_100),
        (b"ID3\4\0\0\0\0\1\0" + bytes(128) + MPEG1_128, 1152 / 44_100),
        (b"junk\xff\xff\xff" + MPEG1_128, 1152 / 44_100),
        (MPEG1_128 + MPEG1_128[:100], 2 * 1152 / 44_100),
    ],
)
def test_mp3_lasts_as_many_frames(data, seconds):
    """Tags, index frames and junk are no sound; the rest is counted frame by frame."""
    assert mp3_duration_s(data) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "data", [b"", b"ID3", b"<html>", bytes(1000), b"\xff" * 1000, b"\xff\xfb\xf0\0"]
)
def test_what_has_no_frames_has_no_length(data):
    """None, never a guess."""
    assert mp3_duration_s(data) is None


def test_ogg_opus_lasts_to_its_last_page():
    """The position of the last page, less what the decoder is told to skip."""
    stream = page(0, HEAD) + page(0, b"OpusTags" + bytes(8)) + page(24_000 + 312, b"xyz")
    assert ogg_opus_duration_s(stream) == 0.5


@pytest.mark.parametrize("data", [b"", b"OggS", page(0, b"vorbis"), page(0, HEAD), page(-1, HEAD)])
def test_ogg_without_sound_has_no_length(data):
    """Headers alone, other codecs and unknown positions are None."""
    assert ogg_opus_duration_s(data) is None
