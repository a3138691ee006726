"""A recording that was sent, and the words that ears hear in it: what providers share."""

from __future__ import annotations

from dataclasses import dataclass

from voicekit.emulator.codecs import UnsupportedFormat
from voicekit.emulator.ears import Ears, Script
from voicekit.emulator.stream_decoder import StreamDecoder
from voicekit.emulator.voice_notes import said_in

# How compressed recordings begin, which vendors read and this emulator does not.
_COMPRESSED = (
    b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"fLaC", b"OggS", b"\x1aE\xdf\xa3",
)  # fmt: skip
_COMPRESSED_BYTES_PER_S = 16_000
"""128 kbit/s: what a compressed recording, which only scripted ears get, is taken to have."""

_UNHEARD_RATE = 16_000

_PAUSE = 1.0
"""Seconds between two lines of a script, where the audio is long enough for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Decoded audio.

    Attributes:
        channels: PCM of each channel; empty bytes where only the duration is known.
        sample_rate: Hz.
        duration: Seconds.
        told: What it says it holds, so that all ears hear that; None for any but our voice notes.
    """

    channels: tuple[bytes, ...]
    sample_rate: int
    duration: float
    told: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One word as heard, and by whom; `last` ends a sentence."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: int = 0
    last: bool = False


def is_compressed(body: bytes) -> bool:
    """Whether it begins as compressed audio or video does."""
    return body.startswith(_COMPRESSED) or body[4:8] == b"ftyp"


def decode(
    body: bytes,
    *,
    encoding: str | None = None,
    sample_rate: int = 0,
    channels: int = 1,
    split: bool = False,
    scripted: bool,
) -> Recording | None:
    """Return what a file holds; None for no audio, and 0 seconds for no samples.

    Compressed audio is only for scripted ears, which need but its duration; a voice note of
    `voicekit.emulator.voice_notes` is for any ears. Without an encoding it reads a WAV, else raw
    samples of that rate; `split` keeps the channels apart.
    """
    if encoding is None and is_compressed(body) and (scripted or said_in(body) is not None):
        return unheard(body=body)
    decoder = StreamDecoder(encoding, sample_rate=sample_rate, channels=channels, split=split)
    try:
        found = decoder.feed(body)
    except UnsupportedFormat:
        return None
    if not found:
        return None
    rate = decoder.sample_rate
    return Recording(channels=tuple(found), sample_rate=rate, duration=len(found[0]) / 2 / rate)


def unheard(*, seconds: float | None = None, body: bytes = b"") -> Recording:
    """What stands in for a recording that nobody decodes: that long, or as its size lets guess.

    A voice note of `voicekit.emulator.voice_notes` says itself how long it is, and what it holds.
    """
    note = said_in(body)
    if note is not None:
        return Recording(channels=(b"",), sample_rate=_UNHEARD_RATE, duration=note[1], told=note[0])
    if seconds is None:
        seconds = len(body) / _COMPRESSED_BYTES_PER_S
    return Recording(channels=(b"",), sample_rate=_UNHEARD_RATE, duration=seconds)


async def hear(
    recording: Recording, ears: Ears | None, script: Script, *, speakers: int | None = None
) -> list[list[Said]]:
    """What each channel says.

    Without ears that is the script, of which each line is the next speaker's sentence; so many
    speakers take turns, None for one per line.
    """
    heard = []
    for pcm in recording.channels:
        if ears is None or recording.told is not None:
            told = script if recording.told is None else recording.told
            heard.append(_scripted(told, recording.duration, speakers))
            continue
        hearing = ears.open(sample_rate=recording.sample_rate)
        try:
            hearing.feed(pcm)
            words = (await hearing.final()).words
        finally:
            hearing.close()
        heard.append(
            [
                Said(**word._asdict(), last=number == len(words))
                for number, word in enumerate(words, 1)
            ]
        )
    return heard


def _scripted(script: Script, duration: float, speakers: int | None) -> list[Said]:
    text = script(duration) if callable(script) else script
    lines = [line.split() for line in (text or "").splitlines() if line.split()]
    pause = _PAUSE if _PAUSE * 2 * len(lines) <= duration else 0.0
    count = sum(map(len, lines))
    each = (duration - pause * max(0, len(lines) - 1)) / max(1, count)
    said, at = [], 0.0
    for number, line in enumerate(lines):
        for place, word in enumerate(line, 1):
            said.append(
                Said(
                    word=word,
                    start=at,
                    end=at + each,
                    confidence=1.0,
                    speaker=number % (speakers or len(lines)),
                    last=place == len(line),
                )
            )
            at += each
        at += pause
    return said
