"""How long encoded audio lasts, told without decoding it."""

from __future__ import annotations

from typing import Final

# Layer III bit rates (kbit/s) and sampling rates (Hz) by their header index.
# Source: ISO/IEC 11172-3 §2.4.2.3 (MPEG-1), ISO/IEC 13818-3 §2.4.2.3 (MPEG-2); 2.5 is
# Fraunhofer's extension: half the rates of MPEG-2.
_BIT_RATES_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BIT_RATES_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_duration_s(data: bytes) -> float | None:
    """Seconds of an MP3 stream by counting its frames, or None when there are none.

    Skips ID3 tags and anything that is not a frame. A first frame that only holds an
    encoder's index (Xing, Info) is not counted. A cut last frame counts as whole.
    """
    at = _after_id3(data)
    seconds = 0.0
    first = True
    while at + 4 <= len(data):
        frame = _mp3_frame(data, at)
        if frame is None:
            at = data.find(b"\xff", at + 1)
            if at < 0:
                break
            continue
        size, length = frame
        is_index = first and _is_index(data[at : at + 48])
        if not is_index:
            seconds += length
        first = False
        at += size
    return seconds or None


def ogg_opus_duration_s(data: bytes) -> float | None:
    """Seconds of an Ogg Opus stream by the position of its last page, or None.

    Source: RFC 7845 §4 (positions count 48 kHz samples), §5.1 (pre-skip).
    """
    head = data.find(b"OpusHead")
    page = data.rfind(b"OggS")
    if head < 0 or page < head or page + 14 > len(data):
        return None
    skip = int.from_bytes(data[head + 10 : head + 12], "little")
    position = int.from_bytes(data[page + 6 : page + 14], "little", signed=True)
    return (position - skip) / 48_000 if position > skip else None


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:  # seven bits in each
        size = size << 7 | byte & 0x7F
    return 10 + size


def _mp3_frame(data: bytes, at: int) -> tuple[int, float] | None:
    """Bytes and seconds of the Layer III frame that starts there, if one does."""
    if data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version = data[at + 1] >> 3 & 3
    bits, rate_index = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate_index == 3:
        return None
    rate = _RATES[version][rate_index]
    padding = data[at + 2] >> 1 & 1
    if version == 3:
        return 144_000 * _BIT_RATES_1[bits] // rate + padding, 1152 / rate
    return 72_000 * _BIT_RATES_2[bits] // rate + padding, 576 / rate


def _is_index(frame: bytes) -> bool:
    return b"Xing" in frame or b"Info" in frame
