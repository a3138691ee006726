"""G.711 µ-law and A-law in table lookups: one byte per sample, as telephones speak.

Pure values, no state. The standard library lost its own (``audioop``) in Python 3.13.
Linear samples are signed 16-bit little-endian throughout.

Source: ITU-T G.711 (1988), tables 1a-2b: eight segments of sixteen steps to each sign;
µ-law adds a bias of 132 (16-bit scale) and inverts all bits, A-law inverts every other bit.
"""

from __future__ import annotations

import sys
from array import array
from functools import cache
from typing import Literal

Law = Literal["mulaw", "alaw"]

_MULAW_BIAS = 132
_SEGMENTS = range(8)
_STEPS = range(16)


def encode(law: Law, pcm: bytes) -> bytes:
    """Compress samples to one byte each.

    Args:
        law: ``"mulaw"`` or ``"alaw"``.
        pcm: Whole 16-bit samples.

    Raises:
        ValueError: ``pcm`` ends inside a sample.
    """
    samples = array("H", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(_code_of_sample(law).__getitem__, samples))


def decode(law: Law, data: bytes) -> bytes:
    """Expand one byte per sample to 16-bit samples."""
    low, high = _sample_of_code(law)
    pcm = bytearray(2 * len(data))
    pcm[0::2] = data.translate(low)
    pcm[1::2] = data.translate(high)
    return bytes(pcm)


def _segment_start(law: Law, segment: int, step: int) -> tuple[int, int]:
    """The smallest magnitude that a code stands for (µ-law: with its bias), and its width."""
    if law == "mulaw":
        return (16 + step) << (segment + 3), 1 << (segment + 3)
    if segment == 0:
        return step << 4, 16
    return (16 + step) << (segment + 3), 1 << (segment + 3)


@cache
def _code_of_sample(law: Law) -> bytes:
    """Codes by unsigned 16-bit sample: 0..32767 positive, 32768..65535 negative upward."""
    positive, negative = bytearray(), bytearray()
    for segment in _SEGMENTS:
        for step in _STEPS:
            start, width = _segment_start(law, segment, step)
            if law == "mulaw" and segment == step == 0:
                width -= _MULAW_BIAS - start  # the first step begins below zero
            code = segment << 4 | step
            positive += bytes([code ^ (0xFF if law == "mulaw" else 0xD5)]) * width
            negative += bytes([code ^ (0x7F if law == "mulaw" else 0x55)]) * width
    # µ-law's bias shifts its range down: louder samples clip to the last code.
    positive += positive[-1:] * (32768 - len(positive))
    negative += negative[-1:] * (32768 - len(negative))
    if law == "mulaw":  # its magnitudes are symmetric: -1 shares the magnitude of 1
        negative = negative[1:] + negative[-1:]
    return bytes(positive[:32768] + negative[:32768][::-1])


@cache
def _sample_of_code(law: Law) -> tuple[bytes, bytes]:
    """Low and high bytes of the sample that each code stands for: the middle of its step."""
    low, high = bytearray(256), bytearray(256)
    for code in range(256):
        plain = code ^ (0xFF if law == "mulaw" else 0xD5)
        start, width = _segment_start(law, (plain >> 4) & 7, plain & 15)
        magnitude = start + width // 2 - (_MULAW_BIAS if law == "mulaw" else 0)
        sample = -magnitude if plain & 0x80 else magnitude
        low[code], high[code] = sample.to_bytes(2, "little", signed=True)
    return bytes(low), bytes(high)
