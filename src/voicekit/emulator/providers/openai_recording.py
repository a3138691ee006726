"""What is in a recording sent to OpenAI: how long it is, and who says what in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from voicekit.emulator.codecs import PcmReader, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicekit.emulator.ears import Ears, Script

# How the containers begin that the vendor reads and this emulator does not.
_COMPRESSED: Final = (
    b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"fLaC", b"OggS",
    b"\x1aE\xdf\xa3",
)  # fmt: skip
_COMPRESSED_BYTES_PER_S: Final = 16_000
"""128 kbit/s: what a compressed recording, which only scripted ears get, is taken to have."""

_PAUSE: Final = 1.0
"""Seconds between two lines of a script, where the audio is long enough for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one speaker says at a time.

    Attributes:
        words: Each with its start and end in seconds.
        speaker: Number, from 0.
    """

    words: Sequence[tuple[str, float, float]]
    speaker: int = 0

    @property
    def text(self) -> str:
        """Spelled as a sentence."""
        said = " ".join(word for word, _, _ in self.words)
        return said[:1].upper() + said[1:] + ("" if said.endswith((".", "?", "!")) else ".")

    @property
    def start(self) -> float:
        """Seconds."""
        return self.words[0][1]

    @property
    def end(self) -> float:
        """Seconds."""
        return self.words[-1][2]


def read_recording(data: bytes, *, scripted: bool) -> tuple[bytes, int, float] | None:
    """PCM, its rate and its seconds; None when it is no audio, or none that can be heard here.

    Scripted ears need but the duration, so that they get compressed audio as well.
    """
    if data.startswith(_COMPRESSED) or data[4:8] == b"ftyp":
        return (b"", 16_000, len(data) / _COMPRESSED_BYTES_PER_S) if scripted else None
    reader = PcmReader("wav", sample_rate=16_000)
    try:
        pcm = reader.feed(data)
    except UnsupportedFormat:
        return None
    return (pcm, reader.sample_rate, len(pcm) / 2 / reader.sample_rate) if pcm else None


async def hear(
    pcm: bytes, sample_rate: int, duration: float, *, ears: Ears | None, script: Script
) -> list[Said]:
    """What is said; each line of a script is the next speaker's, two taking turns."""
    if ears is None:
        return _scripted(script, duration)
    hearing = ears.open(sample_rate=sample_rate)
    try:
        hearing.feed(pcm)
        words = (await hearing.final()).words
    finally:
        hearing.close()
    return [Said(words=[(each.word, each.start, each.end) for each in words])] if words else []


def _scripted(script: Script, duration: float) -> list[Said]:
    text = script(duration) if callable(script) else script
    lines = [line.split() for line in (text or "").splitlines() if line.split()]
    pause = _PAUSE if _PAUSE * 2 * len(lines) <= duration else 0.0
    count = sum(map(len, lines))
    each = (duration - pause * max(0, len(lines) - 1)) / max(1, count)
    said, at = [], 0.0
    for number, line in enumerate(lines):
        words = [
            (word, at + index * each, at + (index + 1) * each) for index, word in enumerate(line)
        ]
        said.append(Said(words=words, speaker=number % 2))
        at += len(line) * each + pause
    return said
