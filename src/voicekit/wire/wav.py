"""A WAV file that is still arriving: its samples without its header.

Headers themselves are understood by ``speech.wav``, whose names are given on here.
"""

from __future__ import annotations

from typing import Final

from voicekit.speech.wav import WavError, WavHeaderReader, WavInfo, parse_wav, wav_header

__all__ = ["WavError", "WavInfo", "WavStripper", "parse_wav", "wav_header"]

# Source: ours. Tools write a few hundred bytes before the samples; a server that
# sends more than this is not sending speech.
_MAX_HEADER_BYTES: Final = 1 << 16


class WavStripper:
    """Takes the header off a WAV file that arrives in pieces.

    Attributes:
        info: What the header said, once it is complete. At the end of a stream, None
            means that no sound ever came.
    """

    __slots__ = ("_held", "_left", "_reader", "info")

    def __init__(self) -> None:
        self.info: WavInfo | None = None
        self._reader = WavHeaderReader()
        self._held = bytearray()
        self._left: int | None = None  # bytes of samples still to come, where declared

    def feed(self, data: bytes) -> bytes:
        """The samples among the new bytes; empty while the header lasts.

        What follows the declared samples (tags, lists) is dropped.

        Raises:
            WavError: Not a WAV stream.
        """
        if self.info is None:
            data = self._feed_header(data)
        if self._left is None or not data:
            return data
        data = data[: self._left]
        self._left -= len(data)
        return data

    def _feed_header(self, data: bytes) -> bytes:
        held = self._held
        held += data
        info = self._reader.read(held)
        if (len(held) if info is None else info.data_offset) > _MAX_HEADER_BYTES:
            raise WavError(f"no samples within {_MAX_HEADER_BYTES} bytes")
        if info is None:
            return b""
        self.info = info
        self._left = None if info.streamed else info.data_bytes
        samples = bytes(held[info.data_offset :])
        self._held = bytearray()
        return samples
