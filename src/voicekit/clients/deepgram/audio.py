"""What the bytes on a listening socket are, in the vendor's words and in numbers.

Source: Deepgram fact sheet of 2026-11, §3 (AsyncAPI of /v1/listen, July 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat

ENCODINGS: Final = (
    "linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus",
    "speex", "g729",
)  # fmt: skip

# Streams that say themselves what they are; all other encodings need a sample rate.
_CONTAINERS: Final = frozenset({"flac", "ogg-opus"})
_SAMPLE_BYTES: Final = {"linear16": 2, "linear32": 4, "mulaw": 1, "alaw": 1}
_SILENCE: Final = {"linear16": b"\0", "linear32": b"\0", "mulaw": b"\xff", "alaw": b"\xd5"}

# Our formats in the vendor's words. What is missing (WAV, MP3, AAC) goes out without
# encoding parameters, and the vendor sniffs the container.
# Unverified: that it takes these two names without a sample rate, which their streams hold.
_NAMES: Final = {
    "pcm": "linear16",
    "mulaw": "mulaw",
    "alaw": "alaw",
    "ogg_opus": "ogg-opus",
    "flac": "flac",
}

# Source: sheet §3: 20 to 250 ms of audio per binary frame.
_MAX_FRAME_S: Final = 0.250
_SILENCE_S: Final = 0.020

# Source: ours. Where bytes do not tell the time; two seconds of Opus at 64 kbit/s.
_MAX_FRAME_BYTES: Final = 16_384


Rejoin = Literal["exact", "header", "pieces", "never"]
"""What can be done with audio when its connection is lost.

``"exact"``: bytes tell the time, and it may begin at any sample. ``"header"``: the same, once
a header has been said again (WAV). ``"pieces"``: it may begin anywhere, but nobody knows when
that is (packets, MP3, AAC). ``"never"``: it makes no sense without its beginning, and later
parts cannot be told apart (Ogg, FLAC).
"""

# Unverified: that the vendor finds its way into these in their middle.
_REJOINS: Final[dict[str, Rejoin]] = {"wav": "header", "mp3": "pieces", "aac": "pieces"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAudio:
    """The audio of one stream.

    Attributes:
        encoding: The vendor's word; None lets it sniff the container.
        sample_rate: In Hz; None where the stream says it itself.
        channels: Interleaved channels.
        byte_rate: Bytes of a second; None where bytes do not tell.
        sample_bytes: Bytes that must stay together: one sample of each channel.
        max_frame_bytes: Most bytes in one binary frame; None where each chunk that the
            caller sends is a packet and must stay whole.
        rejoin: How it can be continued on another connection.
    """

    encoding: str | None
    sample_rate: int | None = None
    channels: int = 1
    byte_rate: int | None = None
    sample_bytes: int = 1
    max_frame_bytes: int | None = _MAX_FRAME_BYTES
    rejoin: Rejoin = "never"

    @classmethod
    def of(cls, format: AudioFormat) -> WireAudio:  # noqa: A002
        """The audio of a format that we have a name for."""
        encoding = _NAMES.get(format.encoding)
        if encoding in _SAMPLE_BYTES:
            assert format.sample_rate_hz is not None  # noqa: S101 - such a format has one
            return cls.raw(encoding, format.sample_rate_hz, format.channels)
        if encoding is None:
            rate = format.bytes_per_second
            frame = _MAX_FRAME_BYTES if rate is None else max(1, int(rate * _MAX_FRAME_S))
            rejoin = _REJOINS.get(format.encoding, "never")
            return cls(encoding=None, byte_rate=rate, max_frame_bytes=frame, rejoin=rejoin)
        return cls(encoding=encoding, sample_rate=format.sample_rate_hz, channels=format.channels)

    @classmethod
    def raw(cls, encoding: str, sample_rate: int | None, channels: int) -> WireAudio:
        """The audio of an encoding in the vendor's words.

        Raises:
            InvalidArgumentError: A headerless encoding without its sample rate.
        """
        if sample_rate is None and encoding not in _CONTAINERS:
            raise InvalidArgumentError(
                f"is required for {encoding}", argument="sample_rate", allowed="a rate in Hz"
            )
        size = _SAMPLE_BYTES.get(encoding)
        if size is None or sample_rate is None:
            most = _MAX_FRAME_BYTES if encoding in _CONTAINERS else None
            return cls(
                encoding=encoding,
                sample_rate=sample_rate,
                channels=channels,
                max_frame_bytes=most,
                rejoin="never" if most is not None else "pieces",
            )
        frame = size * channels
        return cls(
            encoding=encoding,
            sample_rate=sample_rate,
            channels=channels,
            byte_rate=sample_rate * frame,
            sample_bytes=frame,
            max_frame_bytes=max(1, int(sample_rate * _MAX_FRAME_S)) * frame,
            rejoin="exact",
        )

    def query(self) -> dict[str, str | int]:
        """The parameters that say it; none where the vendor sniffs the container."""
        if self.encoding is None:
            return {}
        query: dict[str, str | int] = {"encoding": self.encoding}
        if self.sample_rate is not None:
            query["sample_rate"] = self.sample_rate
        if self.channels > 1:
            query["channels"] = self.channels
        return query

    @property
    def silence(self) -> bytes | None:
        """20 ms without a sound; None where silence cannot be put between others' bytes."""
        level = _SILENCE.get(self.encoding or "")
        if level is None or self.byte_rate is None:
            return None
        samples = max(1, int(self.byte_rate // self.sample_bytes * _SILENCE_S))
        return level * (samples * self.sample_bytes)


class FrameCutter:
    """Cuts what a caller sends, in chunks of any size, into frames for the socket.

    Nothing is gathered: a frame never waits for more audio, but for the end of its sample.

    Attributes:
        rest: The beginning of a sample whose end has not come.
    """

    __slots__ = ("_most", "_sample", "rest")

    def __init__(self, audio: WireAudio) -> None:
        self._sample = audio.sample_bytes
        self._most = audio.max_frame_bytes
        self.rest = b""

    def align(self, sample_bytes: int) -> None:
        """From here on so many bytes must stay together."""
        self._sample = sample_bytes

    def cut(self, audio: bytes | bytearray | memoryview) -> Sequence[bytes]:
        """The frames of one chunk; none where it holds no whole sample.

        Raises:
            InvalidArgumentError: It is not bytes.
        """
        data = audio if type(audio) is bytes else bytes_of(audio)
        size = len(data)
        if self.rest or size % self._sample:
            data = self.rest + data
            size = len(data) - len(data) % self._sample
            data, self.rest = data[:size], data[size:]
        most = self._most
        if most is None or size <= most:
            return (data,) if size else ()
        return [data[start : start + most] for start in range(0, size, most)]


def bytes_of(audio: object) -> bytes:
    """The bytes of a chunk.

    Raises:
        InvalidArgumentError: It is not bytes.
    """
    if isinstance(audio, bytes | bytearray | memoryview):
        return bytes(audio)
    raise InvalidArgumentError(
        f"got a {type(audio).__name__}", argument="audio", allowed="bytes, bytearray or memoryview"
    )
