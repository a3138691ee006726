"""How audio bytes are to be understood: one value, one short name, in and out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

from voicekit.errors import InvalidArgumentError

Encoding = Literal["pcm", "mulaw", "alaw", "mp3", "ogg_opus", "wav", "flac", "aac"]

_ALLOWED: Final = (
    "pcm_<hz>, mulaw_<hz>, alaw_<hz>, wav_<hz>, mp3_<hz>_<kbit/s>, ogg_opus, opus_<hz>_<kbit/s>, "
    "flac_<hz>, aac_<hz>_<kbit/s>, such as 'pcm_24000'; '_2ch' at the end for stereo"
)
_NAME: Final = re.compile(
    r"(?P<encoding>pcm|mulaw|ulaw|alaw|mp3|ogg_opus|opus|wav|flac|aac)"
    r"(?:_(?P<rate>[0-9]{4,6})(?:_(?P<bit_rate>[0-9]{1,4}))?)?"
    r"(?:_(?P<channels>[1-8])ch)?"
)
_ALIASES: Final[dict[str, Encoding]] = {"ulaw": "mulaw", "opus": "ogg_opus"}

# Bytes of one sample where every sample takes the same. WAV is 16-bit PCM here.
_SAMPLE_BYTES: Final[dict[str, int]] = {"pcm": 2, "wav": 2, "mulaw": 1, "alaw": 1}
_NEEDS_RATE: Final = frozenset({"pcm", "mulaw", "alaw"})
_HAS_BIT_RATE: Final = frozenset({"mp3", "ogg_opus", "aac"})
# Opus aims at its bit rate only in the long run, so bytes do not tell its seconds.
_NOMINAL_RATE: Final = frozenset({"mp3", "aac"})

_MEDIA_TYPES: Final[dict[str, str]] = {
    "mp3": "audio/mpeg",
    "ogg_opus": "audio/ogg;codecs=opus",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "aac": "audio/aac",
}

# Fewer bytes cannot hold a sound. Ogg: head page 28 + 19, tags page 28 + 16, one page of
# 28 with a byte in it (RFC 3533 §6, RFC 7845 §5). FLAC: marker 4, STREAMINFO 38, then a
# frame header of 6 (RFC 9639 §8-9). MP3 and AAC: 10 ms at their lowest usual 8 kbit/s.
_USEFUL_WITHOUT_RATE: Final[dict[str, int]] = {"ogg_opus": 120, "flac": 48, "mp3": 10, "aac": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """Encoding, rate and channels of audio bytes.

    Attributes:
        encoding: ``"pcm"`` is headerless signed 16-bit little-endian; ``"wav"`` the same
            behind a RIFF header; ``"mulaw"`` and ``"alaw"`` are G.711, a byte a sample.
        sample_rate_hz: None only for containers that say it themselves.
        bit_rate_kbps: For MP3, Opus and AAC; None is the provider's choice.
        channels: Interleaved channels.

    Raises:
        InvalidArgumentError: The values do not fit together.
    """

    encoding: Encoding
    sample_rate_hz: int | None = None
    bit_rate_kbps: int | None = None
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise _refused("encoding", self.encoding, ", ".join(get_args(Encoding)))
        rate, bit_rate = self.sample_rate_hz, self.bit_rate_kbps
        if rate is None and (self.encoding in _NEEDS_RATE or bit_rate is not None):
            raise _refused("sample_rate_hz", None, f"a rate in Hz for {self.encoding}")
        if rate is not None and (type(rate) is not int or not 1000 <= rate <= 384_000):
            raise _refused("sample_rate_hz", rate, "whole Hz, 1000 to 384000")
        if bit_rate is not None and self.encoding not in _HAS_BIT_RATE:
            raise _refused("bit_rate_kbps", bit_rate, f"None for {self.encoding}")
        if bit_rate is not None and (type(bit_rate) is not int or not 1 <= bit_rate <= 1024):
            raise _refused("bit_rate_kbps", bit_rate, "whole kbit/s, 1 to 1024")
        if type(self.channels) is not int or not 1 <= self.channels <= 8:
            raise _refused("channels", self.channels, "1 to 8")

    @staticmethod
    def parse(value: str | AudioFormat, /) -> AudioFormat:
        """The format of that short name; a format is returned as it is.

        ``"pcm_24000"``, ``"mulaw_8000"`` (or ``"ulaw_8000"``), ``"alaw_8000"``,
        ``"wav_24000"``, ``"mp3_44100_128"``, ``"ogg_opus"``, ``"opus_48000_64"``,
        ``"flac_48000"``, ``"aac_22050_48"``; stereo ends in ``"_2ch"``.
        Cheap enough for every call: names are parsed once.

        Raises:
            InvalidArgumentError: Unknown; names the argument ``format``.
        """
        if type(value) is str:
            return _parse_name(value)
        if isinstance(value, AudioFormat):
            return value
        if isinstance(value, str):  # an enum of names, say
            return _parse_name(str.__str__(value))
        raise _refused("format", value, f"an AudioFormat or its short name: {_ALLOWED}")

    @property
    def name(self) -> str:
        """The short name; ``parse(name)`` gives an equal format."""
        if self.sample_rate_hz is None:
            name: str = self.encoding
        else:
            prefix = "opus" if self.encoding == "ogg_opus" else self.encoding
            name = f"{prefix}_{self.sample_rate_hz}"
            if self.bit_rate_kbps is not None:
                name = f"{name}_{self.bit_rate_kbps}"
        return name if self.channels == 1 else f"{name}_{self.channels}ch"

    def __str__(self) -> str:
        return self.name

    @property
    def bytes_per_second(self) -> int | None:
        """Bytes in a second of sound, container headers aside.

        Nominal (from the bit rate) for MP3 and AAC; None where bytes do not tell.
        """
        sample = _SAMPLE_BYTES.get(self.encoding)
        if sample is not None:
            rate = self.sample_rate_hz
            return None if rate is None else rate * sample * self.channels
        if self.bit_rate_kbps is not None and self.encoding in _NOMINAL_RATE:
            return self.bit_rate_kbps * 125
        return None

    @property
    def frame_bytes(self) -> int:
        """Bytes that must stay together: one sample of each channel, for PCM and G.711.

        1 for everything else; WAV too, whose header need not be a multiple of its frames.
        """
        if self.encoding not in _NEEDS_RATE:
            return 1
        return _SAMPLE_BYTES[self.encoding] * self.channels

    @property
    def useful_bytes(self) -> int:
        """The least that counts as useful audio: 10 ms of it, container headers aside.

        Where bytes do not tell the time: the least that can hold any sound at all.
        """
        rate = self.bytes_per_second
        if rate is None:
            return _USEFUL_WITHOUT_RATE.get(self.encoding, 1)
        frame = self.frame_bytes
        return max(rate // 100 // frame * frame, frame)

    @property
    def media_type(self) -> str:
        """For a ``Content-Type`` header."""
        known = _MEDIA_TYPES.get(self.encoding)
        if known is not None:
            return known
        channels = "" if self.channels == 1 else f";channels={self.channels}"
        return f"audio/{self.encoding};rate={self.sample_rate_hz}{channels}"

    def duration_s(self, n_bytes: int, /) -> float | None:
        """Seconds of so many bytes, container headers aside; None where bytes do not tell."""
        rate = self.bytes_per_second
        return None if rate is None else n_bytes / rate

    def bytes_for(self, seconds: float, /) -> int | None:
        """Bytes of so many seconds, in whole sample frames; None where bytes do not tell."""
        rate = self.bytes_per_second
        if rate is None:
            return None
        frame = self.frame_bytes
        return round(seconds * rate / frame) * frame


def _refused(argument: str, value: object, allowed: str) -> InvalidArgumentError:
    shown = repr(value)
    if len(shown) > 40:  # whatever was passed by mistake, an error is no place for it
        shown = f"a {type(value).__name__}"
    return InvalidArgumentError(f"got {shown}", argument=argument, allowed=allowed)


@lru_cache(maxsize=256)
def _parse_name(name: str) -> AudioFormat:
    match = _NAME.fullmatch(name)
    if match is None:
        raise _refused("format", name, _ALLOWED)
    encoding, rate, bit_rate, channels = match.group("encoding", "rate", "bit_rate", "channels")
    try:
        return AudioFormat(
            encoding=_ALIASES.get(encoding, encoding),  # type: ignore[arg-type]
            sample_rate_hz=None if rate is None else int(rate),
            bit_rate_kbps=None if bit_rate is None else int(bit_rate),
            channels=1 if channels is None else int(channels),
        )
    except InvalidArgumentError as error:
        raise _refused("format", name, _ALLOWED) from error
