"""What is in a recording sent to ElevenLabs: its channels, and the words that ears hear in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicekit.emulator.codecs import PcmReader, UnsupportedFormat, read_wav_header
from voicekit.emulator.providers.elevenlabs_request import HttpRefusalError

if TYPE_CHECKING:
    from voicekit.emulator.ears import Ears, Script

__all__ = ["Recording", "Said", "hear", "read_recording", "unfetched"]

# How compressed recordings begin, which the vendor reads and this emulator does not.
_COMPRESSED = (
    b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"fLaC", b"OggS", b"\x1aE\xdf\xa3",
)  # fmt: skip
_COMPRESSED_BYTES_PER_S = 16_000
"""128 kbit/s: what a compressed recording, which only scripted ears get, is taken to have."""

PCM_RATE = 16_000
"""Hz of ``file_format=pcm_s16le_16``, which is mono."""

MAX_CHANNELS = 5
"""Source: the vendor's SDK 2.78.0, `use_multi_channel`."""

UNFETCHED_S = 2.0
"""Seconds that a recording at an address is taken to have; the emulator fetches nothing."""

_PAUSE = 1.0
"""Seconds between two lines of a script, where the audio is long enough for both."""


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
    """One word as heard, and by whom; `last` ends a sentence."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: int = 0
    last: bool = False


def unfetched() -> Recording:
    """Return what stands in for a recording at an address."""
    return Recording(channels=(b"",), sample_rate=PCM_RATE, duration=UNFETCHED_S)


def read_recording(body: bytes, *, pcm: bool, split: bool, scripted: bool) -> Recording:
    """Decode a file; compressed audio only for scripted ears, which need but its duration.

    Args:
        body: The file.
        pcm: It is said to be samples without a container.
        split: Keep the channels apart.
        scripted: Nobody listens to it.

    Raises:
        HttpRefusalError: 400, for what is no audio; the vendor's code is unverified.
    """
    if pcm:
        channels, rate = [body[: len(body) // 2 * 2]], PCM_RATE
    elif scripted and (body.startswith(_COMPRESSED) or body[4:8] == b"ftyp"):
        seconds = len(body) / _COMPRESSED_BYTES_PER_S
        return Recording(channels=(b"",), sample_rate=PCM_RATE, duration=seconds)
    else:
        channels, rate = _contained(body, split=split)
    if not channels[0]:
        raise _refused("The uploaded file is empty.")
    if len(channels) > MAX_CHANNELS:
        raise _refused(f"The file has more than {MAX_CHANNELS} channels.")
    return Recording(
        channels=tuple(channels), sample_rate=rate, duration=len(channels[0]) / 2 / rate
    )


def _contained(body: bytes, *, split: bool) -> tuple[list[bytes], int]:
    corrupt = _refused("File upload is corrupted. Please ensure it is playable audio.")
    try:
        header = read_wav_header(body)
    except UnsupportedFormat:
        raise corrupt from None
    if header is None:
        raise corrupt
    samples = body[header.size :]
    if header.data_bytes is not None:  # chunks after the samples are not samples
        samples = samples[: header.data_bytes]
    if not split or header.channels == 1:
        reader = PcmReader(
            header.encoding, sample_rate=header.sample_rate, channels=header.channels
        )
        return [reader.feed(samples)], header.sample_rate
    plain = PcmReader(header.encoding, sample_rate=header.sample_rate).feed(samples)
    count = header.channels
    frames = len(plain) // (2 * count)
    channels = []
    for index in range(count):
        single = bytearray(2 * frames)
        single[0::2] = plain[2 * index :: 2 * count][:frames]
        single[1::2] = plain[2 * index + 1 :: 2 * count][:frames]
        channels.append(bytes(single))
    return channels, header.sample_rate


def _refused(message: str) -> HttpRefusalError:
    return HttpRefusalError.coded(400, "invalid_content", message, param="file")


async def hear(recording: Recording, ears: Ears | None, script: Script) -> list[list[Said]]:
    """What each channel says. Each line of a script is the next speaker's sentence."""
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
            [
                Said(
                    word=word.word,
                    start=word.start,
                    end=word.end,
                    confidence=word.confidence,
                    last=number == len(words),
                )
                for number, word in enumerate(words, 1)
            ]
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
        for place, word in enumerate(line, 1):
            said.append(
                Said(
                    word=word,
                    start=at,
                    end=at + each,
                    confidence=1.0,
                    speaker=number,
                    last=place == len(line),
                )
            )
            at += each
        at += pause
    return said
