"""16-bit PCM, little-endian on every wire, as integers of this machine; and its channels."""

from __future__ import annotations

import sys
from array import array


def samples_of(pcm: bytes | bytearray) -> array[int]:
    """Return the samples of PCM."""
    return _swapped(array("h", pcm))


def pcm_of(samples: array[int]) -> bytes:
    """Return the PCM of samples; on some machines it changes them."""
    return _swapped(samples).tobytes()


def _swapped(samples: array[int]) -> array[int]:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def mono(pcm: bytes, channels: int) -> bytes:
    """Mix interleaved channels down to their mean."""
    if channels == 1:
        return pcm
    samples = samples_of(pcm)
    by_channel = [samples[channel::channels] for channel in range(channels)]
    return pcm_of(array("h", [sum(each) // channels for each in zip(*by_channel, strict=True)]))


def channel_of(pcm: bytes, index: int, channels: int) -> bytes:
    """Return one of interleaved channels."""
    if channels == 1:
        return pcm
    single = bytearray(len(pcm) // channels)
    single[0::2] = pcm[2 * index :: 2 * channels]
    single[1::2] = pcm[2 * index + 1 :: 2 * channels]
    return bytes(single)
