"""RIFF WAVE headers, read and written (``wire.wav`` strips them from a stream).

Tolerant of what servers and tools really send: sizes of 0xFFFFFFFF or 0 where the length
was not known yet (OpenAI, ffmpeg to a pipe), sizes beyond the end of a cut file, chunks
before and after the samples, and WAVE_FORMAT_EXTENSIBLE.

Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (1991),
and "Multiple Channel Audio Data and WAVE Files" (2007) for the extensible form.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from voicekit.speech.audio_format import AudioFormat

WavEncoding = Literal["pcm", "mulaw", "alaw", "float", "other"]

_TAGS: Final[dict[int, WavEncoding]] = {1: "pcm", 3: "float", 6: "alaw", 7: "mulaw"}
_TAG_OF: Final = {"pcm": 1, "wav": 1, "alaw": 6, "mulaw": 7}
_EXTENSIBLE: Final = 0xFFFE
# The last 14 bytes of a sub-format that wraps an ordinary tag.
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZE: Final = 0xFFFFFFFF


class WavError(ValueError):
    """These bytes are not a WAV file, or not one that can be read or written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WavInfo:
    """What the header says.

    Attributes:
        encoding: How samples are encoded.
        sample_rate_hz: Samples per second and channel.
        channels: Interleaved channels.
        bits_per_sample: Bits of one sample of one channel.
        data_offset: Where the samples start.
        data_bytes: How many bytes of samples there are: as declared, but never more
            than ``parse_wav`` was given; 0 from a reader that was not told.
        streamed: Whether the header leaves the length open.
    """

    encoding: WavEncoding
    sample_rate_hz: int
    channels: int
    bits_per_sample: int
    data_offset: int
    data_bytes: int
    streamed: bool

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return self.data_bytes * 8 / (self.sample_rate_hz * self.channels * self.bits_per_sample)


def parse_wav(data: bytes) -> WavInfo:
    """Read the header of a whole file.

    Raises:
        WavError: Not a WAV file, or cut before its samples start.
    """
    info = WavHeaderReader().read(data)
    if info is None:
        raise WavError("it ends before its samples start")
    held = len(data) - info.data_offset
    if not info.streamed and info.data_bytes <= held:
        return info
    return replace(info, data_bytes=held)


def wav_header(audio_format: AudioFormat | WavInfo, data_bytes: int | None) -> bytes:
    """The header that goes before so many bytes of samples.

    Args:
        audio_format: 16-bit PCM (or ``wav``, meaning the same), µ-law or A-law.
        data_bytes: Without the padding byte that an odd number needs at the end of
            the file; None while it is not known: sizes are then 0xFFFFFFFF.

    Raises:
        WavError: Other encodings, no rate, or 4 GiB and more.
    """
    tag = _TAG_OF.get(audio_format.encoding)
    rate, channels = audio_format.sample_rate_hz, audio_format.channels
    if tag is None or rate is None:
        raise WavError(f"no WAV header for {audio_format.encoding} at {rate} Hz")
    frame = channels * (2 if tag == 1 else 1)
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, 8 * frame // channels)
    if tag != 1:
        fmt += b"\0\0"  # no extension; other tags than PCM must say so
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    if tag != 1:
        samples = _UNKNOWN_SIZE if data_bytes is None else data_bytes // frame
        head += b"fact" + struct.pack("<II", 4, samples)
    if data_bytes is None:
        size = riff_size = _UNKNOWN_SIZE
    else:
        size = data_bytes
        riff_size = len(head) + 8 + size + (size & 1)
        if size < 0 or riff_size >= _UNKNOWN_SIZE:
            raise WavError(f"{data_bytes} bytes do not fit into a WAV file")
    return b"RIFF" + struct.pack("<I", riff_size) + head + b"data" + struct.pack("<I", size)


class WavHeaderReader:
    """Walks the chunks of a header; remembers how far it came, so dripped bytes cost no more."""

    __slots__ = ("_at", "_fmt", "_riff_size")

    def __init__(self) -> None:
        self._at = 0
        self._riff_size = 0
        self._fmt: tuple[WavEncoding, int, int, int] | None = None

    def read(self, data: bytes | bytearray) -> WavInfo | None:
        """What the header says, or None while it is incomplete. Give it all bytes so far."""
        if self._at == 0 and not self._read_riff(data):
            return None
        while len(data) >= self._at + 8:
            name = bytes(data[self._at : self._at + 4])
            size = int.from_bytes(data[self._at + 4 : self._at + 8], "little")
            start = self._at + 8
            if name == b"data":
                return self._info(start, size)
            if len(data) < start + size:
                return None
            if name == b"fmt ":
                self._fmt = _parse_fmt(bytes(data[start : start + min(size, 40)]))
            self._at = start + size + (size & 1)
        return None

    def _read_riff(self, data: bytes | bytearray) -> bool:
        if data[:4] != b"RIFF"[: len(data)] or data[8:12] != b"WAVE"[: max(len(data) - 8, 0)]:
            raise WavError("it does not begin as a WAV file does")
        if len(data) < 12:
            return False
        self._riff_size = int.from_bytes(data[4:8], "little")
        self._at = 12
        return True

    def _info(self, start: int, size: int) -> WavInfo:
        if self._fmt is None:
            raise WavError("its samples come before their format")
        encoding, rate, channels, bits = self._fmt
        streamed = size == _UNKNOWN_SIZE or (size == 0 and self._riff_size in (0, _UNKNOWN_SIZE))
        return WavInfo(
            encoding=encoding,
            sample_rate_hz=rate,
            channels=channels,
            bits_per_sample=bits,
            data_offset=start,
            data_bytes=0 if streamed else size,
            streamed=streamed,
        )


def _parse_fmt(fmt: bytes) -> tuple[WavEncoding, int, int, int]:
    if len(fmt) < 16:
        raise WavError("its format chunk is too short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _EXTENSIBLE:
        if len(fmt) < 40:
            raise WavError("its format chunk is too short")
        tag = int.from_bytes(fmt[24:26], "little") if fmt[26:40] == _GUID_TAIL else 0
    if not (channels and rate and bits):
        raise WavError("its format chunk holds a zero")
    return _TAGS.get(tag, "other"), rate, channels, bits
