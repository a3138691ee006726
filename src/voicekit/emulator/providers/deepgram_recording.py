"""What is in a recording sent to Deepgram: its channels, and the words that ears hear in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicekit.emulator.providers.deepgram_audio import StreamDecoder, UnsupportedFormat
from voicekit.emulator.providers.deepgram_query import QueryRefusalError

if TYPE_CHECKING:
    from voicekit.emulator.ears import Ears, Script
    from voicekit.emulator.providers.deepgram_query import ListenOptions

__all__ = ["Recording", "Said", "hear", "read_recording"]

# How the containers begin that the vendor reads and this emulator does not.
_CONTAINERS = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"fLaC", b"OggS",
               b"\x1aE\xdf\xa3")  # fmt: skip
_COMPRESSED_BYTES_PER_S = 16_000
"""128 kbit/s: what a compressed recording, which only scripted ears get, is taken to have."""

_PAUSE = 1.0
"""Seconds between two lines of a script, where the audio is long enough for both."""

CORRUPT = "Bad Request: failed to process audio: corrupt or unsupported data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Decoded audio.

    Attributes:
        channels: PCM of each channel; empty bytes where only the duration is known.
        sample_rate: Hz.
        duration: Seconds.
    """

    channels: tuple[bytes, ...]
    sample_rate: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One word as heard, and by whom."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: int = 0


def read_recording(body: bytes, options: ListenOptions, *, scripted: bool) -> Recording:
    """Decode a body; compressed audio only for scripted ears, which need but its duration.

    Raises:
        QueryRefusalError: It is empty, or no audio.
    """
    decoder = StreamDecoder(
        options.encoding,
        sample_rate=options.sample_rate,
        channels=options.channels,
        split=options.multichannel,
    )
    compressed = body.startswith(_CONTAINERS) or body[4:8] == b"ftyp"
    if scripted and options.encoding is None and compressed:
        return Recording(
            channels=(b"",), sample_rate=16_000, duration=len(body) / _COMPRESSED_BYTES_PER_S
        )
    try:
        channels = decoder.feed(body)
    except UnsupportedFormat:
        channels = []
    if not channels or not channels[0]:
        raise QueryRefusalError(CORRUPT, code="Bad Request")
    return Recording(
        channels=tuple(channels),
        sample_rate=decoder.sample_rate,
        duration=len(channels[0]) / 2 / decoder.sample_rate,
    )


async def hear(recording: Recording, ears: Ears | None, script: Script) -> list[list[Said]]:
    """What each channel says. Each line of a script is the next speaker's, two taking turns."""
    heard = []
    for pcm in recording.channels:
        if ears is None:
            heard.append(_scripted(script, recording.duration))
            continue
        hearing = ears.open(sample_rate=recording.sample_rate)
        try:
            hearing.feed(pcm)
            words = (await hearing.final()).words
        finally:
            hearing.close()
        heard.append(
            [Said(word=w.word, start=w.start, end=w.end, confidence=w.confidence) for w in words]
        )
    return heard


def _scripted(script: Script, duration: float) -> list[Said]:
    text = script(duration) if callable(script) else script
    lines = [line.split() for line in (text or "").splitlines() if line.split()]
    pause = _PAUSE if _PAUSE * 2 * len(lines) <= duration else 0.0
    count = sum(map(len, lines))
    each = (duration - pause * max(0, len(lines) - 1)) / max(1, count)
    said, at = [], 0.0
    for number, line in enumerate(lines):
        for word in line:
            said.append(
                Said(word=word, start=at, end=at + each, confidence=1.0, speaker=number % 2)
            )
            at += each
        at += pause
    return said
