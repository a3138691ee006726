"""What a channel plays, and the error that says so before anything is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from voicekit import checks
from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from voicekit.speech.clip import AudioClip

__all__ = ["CHANNELS", "Channel"]

CONTENT_TYPES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # Source: Twilio's page on WhatsApp media: outbound Opus is served as plain audio/ogg.
        "ogg_opus": ("ogg", "audio/ogg"),
        "mp3": ("mp3", "audio/mpeg"),
        "aac": ("aac", "audio/aac"),
        "wav": ("wav", "audio/wav"),
        "flac": ("flac", "audio/flac"),
    }
)
"""By encoding: the suffix of a file, and the ``Content-Type`` that fits its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What may be sent over a channel.

    Attributes:
        name: For people.
        encodings: Of `AudioFormat`, those that it plays; of ``CONTENT_TYPES``.
        most_bytes: The largest file.
        mono: Those of the encodings that it plays with one channel only.
    """

    name: str
    encodings: tuple[str, ...]
    most_bytes: int
    mono: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.encodings:
            raise checks.wrong("encodings", self.encodings, "at least one encoding")
        for encoding in self.encodings:
            checks.word(*CONTENT_TYPES)("encodings", encoding)
        checks.integer(1)("most_bytes", self.most_bytes)

    def check(self, clip: AudioClip) -> None:
        """Whether it plays the clip, by its format, its first bytes and its size.

        Raises:
            InvalidArgumentError: It does not; names what it plays.
        """
        held = clip.format
        if held.encoding not in self.encodings:
            raise self._refused(f"{held.name} audio is not played there")
        if held.encoding in self.mono and held.channels != 1:
            raise self._refused(f"{held.name} has {held.channels} channels")
        if len(clip.data) < held.useful_bytes:
            raise self._refused(f"{len(clip.data)} bytes hold no sound")
        if not _begins_as(held.encoding, clip.data):
            # The provider would fetch it and refuse it minutes later, when nobody listens.
            raise self._refused(f"the bytes are not {held.name}")
        if len(clip.data) > self.most_bytes:
            raise self._refused(f"{len(clip.data)} bytes are too many")

    def _refused(self, why: str) -> InvalidArgumentError:
        played = ", ".join(
            f"{encoding} (mono)" if encoding in self.mono else encoding
            for encoding in self.encodings
        )
        allowed = f"{played}, at most {self.most_bytes} bytes, for {self.name}"
        return InvalidArgumentError(why, argument="clip", allowed=allowed)


CHANNELS: Final[Mapping[str, Channel]] = MappingProxyType(
    {
        # Source: Twilio, "WhatsApp media": OGG with Opus, AMR, 3GP, AAC, MPEG (mp3); 16 MB in
        # all. AMR and 3GP are no formats of ours. Opus is played in mono only (Meta's page on
        # audio messages); the look of a voice note needs it, and at most 512 KB.
        "whatsapp": Channel(
            name="WhatsApp",
            encodings=("ogg_opus", "mp3", "aac"),
            most_bytes=16 << 20,
            mono=frozenset({"ogg_opus"}),
        ),
    }
)
"""The channels known by name."""


def _begins_as(encoding: str, data: bytes) -> bool:
    if encoding == "ogg_opus":
        # Source: RFC 3533 §6, RFC 7845 §5: the first page holds the identification header alone.
        return data[:4] == b"OggS" and b"OpusHead" in data[27:300]
    if encoding == "mp3":
        # Source: ID3v2 §3.1; ISO/IEC 11172-3 §2.4.2.3: eleven bits of sync, then not layer 0.
        return data[:3] == b"ID3" or (
            data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06 != 0
        )
    if encoding == "aac":
        # Source: ISO/IEC 13818-7 §6.2: twelve bits of sync, then layer 0.
        return data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    if encoding == "wav":
        return data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    return data[:4] == b"fLaC"
