"""Audio formats as they go over the wire: what the emulator serves really is what it is called.

Speech inside the emulator is PCM: signed 16-bit little-endian, mono. An `Encoder` turns it, chunk
by chunk, into the vendors' output formats; a `PcmReader` turns what a client sends back into it.

Source: format names are ElevenLabs' ``output_format`` (API reference and SDK 2.x enums, 2026) and
Deepgram's ``encoding`` (listen API reference, 2026). Content types of anything but MP3 are not
documented by ElevenLabs: they are our choice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from voicekit.emulator import g711
from voicekit.emulator.samples import mono

_PCM_RATES: Final = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_KBPS: Final = {22050: (32,), 24000: (48,), 44100: (32, 64, 96, 128, 192)}

OUTPUT_FORMATS: Final[tuple[str, ...]] = (
    *(f"pcm_{rate}" for rate in _PCM_RATES),
    *(f"wav_{rate}" for rate in _PCM_RATES),
    "ulaw_8000",
    "alaw_8000",
    *(f"mp3_{rate}_{kbps}" for rate, choices in _MP3_KBPS.items() for kbps in choices),
    *(f"opus_48000_{kbps}" for kbps in (32, 64, 96, 128, 192)),
)
"""Every name the vendor documents. Being listed is not being made: Opus is refused."""

STREAMING_SIZE: Final = 0xFFFFFFFF
"""Written for the RIFF and data sizes of a WAV whose length is not known when it starts."""

MAX_WAV_HEADER_BYTES: Final = 1 << 16
"""A WAV whose samples have not begun by then is taken for garbage."""


class UnsupportedFormat(ValueError):  # noqa: N818 - the name the providers' seam uses
    """A format that the emulator cannot make or read. `known` tells a vendor's format from noise.

    Attributes:
        format: The name as it was asked for.
        known: True when the vendor has this format and only the emulator has not.
    """

    def __init__(self, format: str, why: str, *, known: bool = False) -> None:  # noqa: A002
        super().__init__(f"{format!r}: {why}")
        self.format = format
        self.known = known


class Encoder(Protocol):
    """Turns PCM into one output format, incrementally. One per stream; not shared.

    Attributes:
        content_type: MIME type of the response body.
        sample_rate: Hz that the PCM handed to `encode` must have.
    """

    content_type: str
    sample_rate: int

    def encode(self, pcm: bytes, /) -> bytes:
        """Encode the next piece, cut anywhere. May return nothing until more has come."""
        ...

    def flush(self) -> bytes:
        """Return what is still held back. Call once, after the last `encode`."""
        ...


def encoder(output_format: str, *, pcm_bytes: int | None = None) -> Encoder:
    """Make the encoder for one of the vendor's output formats.

    Args:
        output_format: Such as ``"pcm_24000"``, ``"ulaw_8000"`` or ``"mp3_44100_128"``, which the
            vendor's AsyncAPI also calls ``"mp3_44100"``.
        pcm_bytes: Length of the whole PCM when it is known; only WAV headers use it. Without it
            they carry `STREAMING_SIZE`.

    Raises:
        UnsupportedFormat: The name is not the vendor's, or (``known``) it is Opus, or it is MP3
            and ``lameenc`` of the extra ``voicekit[emulator]`` is not installed.
    """
    if output_format == "mp3_44100":
        output_format = "mp3_44100_128"
    if output_format not in OUTPUT_FORMATS:
        raise UnsupportedFormat(output_format, "not an output format")
    codec, rate, *bit_rate = output_format.split("_")
    match codec:
        case "pcm":
            return _PcmEncoder(int(rate), "audio/pcm")
        case "wav":
            return _PcmEncoder(int(rate), "audio/wav", wav_header(int(rate), pcm_bytes))
        case "ulaw":
            return _G711Encoder("mulaw", "audio/basic")
        case "alaw":
            return _G711Encoder("alaw", "audio/x-alaw-basic")
        case "mp3":
            return _Mp3Encoder(output_format, int(rate), int(bit_rate[0]))
        case _:
            raise UnsupportedFormat(output_format, "the emulator has no Opus encoder", known=True)


def mp3_encoder(sample_rate: int, kilobits: int) -> Encoder:
    """Make an encoder of MP3 at any rate of MPEG-1 and MPEG-2, whichever vendor has it.

    Args:
        sample_rate: Hz.
        kilobits: Per second.

    Raises:
        UnsupportedFormat: ``lameenc`` of the extra ``voicekit[emulator]`` is not installed.
    """
    return _Mp3Encoder(f"mp3_{sample_rate}_{kilobits}", sample_rate, kilobits)


class _PcmEncoder:
    def __init__(self, sample_rate: int, content_type: str, header: bytes = b"") -> None:
        self.sample_rate = sample_rate
        self.content_type = content_type
        self._header = header

    def encode(self, pcm: bytes, /) -> bytes:
        header, self._header = self._header, b""
        return header + pcm if header else pcm

    def flush(self) -> bytes:
        return self.encode(b"")


class _G711Encoder:
    sample_rate = 8000

    def __init__(self, law: g711.Law, content_type: str) -> None:
        self.content_type = content_type
        self._law: g711.Law = law
        self._odd = b""

    def encode(self, pcm: bytes, /) -> bytes:
        whole, self._odd = _whole(self._odd + pcm, 2)
        return g711.encode(self._law, whole)

    def flush(self) -> bytes:
        return b""


class _Mp3Encoder:
    content_type = "audio/mpeg"

    def __init__(self, output_format: str, sample_rate: int, kilobits: int) -> None:
        try:
            import lameenc
        except ImportError as error:
            why = "MP3 needs the emulator extra: pip install 'voicekit[emulator]'"
            raise UnsupportedFormat(output_format, why, known=True) from error
        self.sample_rate = sample_rate
        self._odd = b""
        self._lame: Any = lameenc.Encoder()
        self._lame.silence()
        self._lame.set_channels(1)
        self._lame.set_in_sample_rate(sample_rate)
        # Left alone, LAME lowers the rate of a thin stream: 44.1 kHz at 32 kbit/s is the vendor's.
        self._lame.set_out_sample_rate(sample_rate)
        self._lame.set_bit_rate(kilobits)
        self._lame.set_quality(5)  # 2.5 ms of CPU per second of audio, half of quality 2

    def encode(self, pcm: bytes, /) -> bytes:
        whole, self._odd = _whole(self._odd + pcm, 2)
        return bytes(self._lame.encode(whole)) if whole else b""

    def flush(self) -> bytes:
        # LAME raises when asked to flush before it was given anything.
        self._lame.encode(b"")
        return bytes(self._lame.flush())


def _whole(data: bytes, size: int) -> tuple[bytes, bytes]:
    """Split off what does not fill a whole unit of ``size`` bytes."""
    end = len(data) - len(data) % size
    return data[:end], data[end:]


# -- WAV --


@dataclass(frozen=True, slots=True, kw_only=True)
class WavHeader:
    """What precedes the samples of a WAV.

    Attributes:
        encoding: How the samples are written.
        sample_rate: Hz.
        channels: Interleaved channels.
        size: Bytes of the header: the samples start there.
        data_bytes: Length of the samples, or None when the writer did not know it.
    """

    encoding: Literal["linear16", "mulaw", "alaw"]
    sample_rate: int
    channels: int
    size: int
    data_bytes: int | None


# Source: RFC 2361, WAVE format tags.
_WAV_ENCODINGS: Final[dict[tuple[int, int], Literal["linear16", "mulaw", "alaw"]]] = {
    (1, 16): "linear16",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}


def wav_header(sample_rate: int, size: int | None, *, encoding: str = "linear16") -> bytes:
    """The 44 bytes before mono samples.

    Args:
        sample_rate: Hz.
        size: Bytes of the samples; None writes `STREAMING_SIZE` for both sizes.
        encoding: How the samples are written.
    """
    tag, bits = next(kind for kind, name in _WAV_ENCODINGS.items() if name == encoding)
    width = bits // 8
    riff = STREAMING_SIZE if size is None else 36 + size
    data = STREAMING_SIZE if size is None else size
    fmt = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, tag, 1, sample_rate, width * sample_rate, width, bits
    )
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + fmt + struct.pack("<4sI", b"data", data)


_EXTENSIBLE: Final = 0xFFFE


def read_wav_header(data: bytes) -> WavHeader | None:
    """Read the beginning of a WAV, of which any number of bytes may have come.

    Returns:
        The header, or None while more bytes are needed to tell.

    Raises:
        UnsupportedFormat: It is not a WAV, or one of samples the emulator does not read.
    """
    if data[:4] != b"RIFF"[: len(data)] or data[8:12] != b"WAVE"[: max(0, len(data) - 8)]:
        raise UnsupportedFormat("wav", "no RIFF/WAVE header")
    fmt: tuple[int, ...] | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        body = at + 8
        if name == b"data":
            return _described(fmt, body, size)
        if name == b"fmt " and body + size <= len(data) and size >= 16:
            fmt = struct.unpack_from("<HHIIHH", data, body)
            if fmt[0] == _EXTENSIBLE and size >= 26:  # the real tag leads the sub-format's GUID
                fmt = (*struct.unpack_from("<H", data, body + 24), *fmt[1:])
        at = body + size + size % 2
        if at > MAX_WAV_HEADER_BYTES:
            raise UnsupportedFormat("wav", "no samples where they should begin")
    return None


def _described(fmt: tuple[int, ...] | None, start: int, data_bytes: int) -> WavHeader:
    if fmt is None:
        raise UnsupportedFormat("wav", "samples without a format chunk")
    tag, channels, sample_rate, _, _, bits = fmt
    encoding = _WAV_ENCODINGS.get((tag, bits))
    if encoding is None or not 1 <= channels <= 8 or not 1000 <= sample_rate <= 384_000:
        why = f"format tag {tag}, {bits} bit, {channels} channels, {sample_rate} Hz is not read"
        raise UnsupportedFormat("wav", why)
    return WavHeader(
        encoding=encoding,
        sample_rate=sample_rate,
        channels=channels,
        size=start,
        data_bytes=None if data_bytes in {0, STREAMING_SIZE} else data_bytes,
    )


# -- What clients send --


class PcmReader:
    """Turns what a client sends into mono PCM, frame by frame, cut anywhere.

    Args:
        encoding: ``"linear16"``, ``"mulaw"``, ``"alaw"``; ``"wav"`` for a container, which then
            overrides the other two.
        sample_rate: Hz.
        channels: Interleaved channels, mixed down to one.

    Attributes:
        sample_rate: Hz of what `feed` returns; a container's own once its header has been read.

    Raises:
        UnsupportedFormat: The encoding, or the number of channels, is not read.
    """

    def __init__(self, encoding: str, *, sample_rate: int, channels: int = 1) -> None:
        if encoding not in {"linear16", "mulaw", "alaw", "wav"}:
            raise UnsupportedFormat(encoding, "not an encoding that is read")
        if not 1 <= channels <= 8:
            raise UnsupportedFormat(encoding, f"{channels} channels are not read")
        self.sample_rate = sample_rate
        self._encoding = encoding
        self._channels = channels
        self._rest = b""
        self._left: int | None = None

    def feed(self, data: bytes) -> bytes:
        """Return the PCM of the whole samples that have come by now.

        Raises:
            UnsupportedFormat: A container's header is not what it should be.
        """
        data = self._rest + data
        if self._encoding == "wav":
            header = read_wav_header(data)
            if header is None:
                self._rest = data
                return b""
            self._encoding, self._channels = header.encoding, header.channels
            self.sample_rate, self._left = header.sample_rate, header.data_bytes
            data = data[header.size :]
        width = (2 if self._encoding == "linear16" else 1) * self._channels
        data, self._rest = _whole(data, width)
        if self._left is not None:  # chunks after the samples are not samples
            data = data[: self._left]
            self._left -= len(data)
        match self._encoding:
            case "mulaw":
                data = g711.decode("mulaw", data)
            case "alaw":
                data = g711.decode("alaw", data)
            case _:
                pass
        return mono(data, self._channels)
