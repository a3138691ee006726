"""Speech that checks itself: a lost, doubled or reordered byte shows, and shows where.

`TonesVoice` sings instead of speaking: 60 ms per character, each character a note, so that a
listener hears a tune as long as speech would be. The high byte of every sample belongs to the
note; the low byte comes from an extendable digest of the text and the voice, so no two stretches
of any two texts are alike, and `check_tones` can tell what happened to them on their way.

Both are deterministic in (text, voice, sample rate), and made of whole-buffer operations only:
nothing here loops over samples while a stream is served.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from voicekit.emulator.pcm_cache import PcmCache

MS_PER_CHARACTER = 60
"""Milliseconds of tone per character of text: about what English takes, read aloud.

Measured: espeak-ng 1.52 at its default 175 words per minute, 55-70 ms per character.
"""

_NOTES_HZ = (262, 294, 330, 392, 440, 523, 587, 659)
_LEVEL = 40
"""Amplitude of a note in its high byte, of 127: quiet enough for headphones."""


class TonesVoice:
    """A `Voice` that needs nothing installed and takes no time.

    Args:
        ms_per_character: Milliseconds of audio per character of text.
    """

    def __init__(self, *, ms_per_character: int = MS_PER_CHARACTER) -> None:
        self.ms_per_character = ms_per_character
        self._said = PcmCache()

    async def speak(self, text: str, *, voice_id: str, sample_rate: int) -> bytes:
        """Return the tones of ``text``; see `Voice.speak`."""
        key = (text, voice_id, sample_rate)
        pcm = self._said.get(key)
        if pcm is None:
            pcm = tones(
                text,
                voice_id=voice_id,
                sample_rate=sample_rate,
                ms_per_character=self.ms_per_character,
            )
            self._said.put(key, pcm)
        return pcm


def tones(
    text: str, *, voice_id: str, sample_rate: int, ms_per_character: int = MS_PER_CHARACTER
) -> bytes:
    """The self-checking audio of one text.

    Args:
        text: What to sing; each of its characters takes ``ms_per_character``.
        voice_id: Another voice gives other bytes.
        sample_rate: Hz.
        ms_per_character: Milliseconds per character.

    Returns:
        PCM, signed 16-bit little-endian, mono.
    """
    samples = sample_rate * ms_per_character // 1000
    pcm = bytearray(2 * samples * len(text))
    name = f"{voice_id}\0{sample_rate}\0{text}".encode("utf-8", "surrogatepass")
    pcm[0::2] = hashlib.shake_128(name).digest(len(pcm) // 2)
    notes = [_note(ord(character) % len(_NOTES_HZ), sample_rate, samples) for character in text]
    pcm[1::2] = b"".join(notes)
    return bytes(pcm)


@lru_cache(maxsize=256)
def _note(pitch: int, sample_rate: int, samples: int) -> bytes:
    """High bytes of one character: a sine that fades in and out, so that notes do not click."""
    step = 2 * math.pi * _NOTES_HZ[pitch] / sample_rate
    envelope = math.pi / max(1, samples)
    values = (_LEVEL * math.sin(i * step) * math.sin(i * envelope) for i in range(samples))
    return bytes(round(value) & 0xFF for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneFault:
    """Where received tones first differ from those of the texts.

    Attributes:
        offset: First wrong byte, from the beginning of what was received.
        text_index: Which of the texts it falls into (their number, when it lies after the last).
        what: What it looks like: ``"lost"``, ``"doubled"``, ``"cut short"``, ``"too long"``,
            or ``"altered"``.
        size: How many bytes were lost, doubled, are missing or too many; 0 when altered.
    """

    offset: int
    text_index: int
    what: str
    size: int

    def __str__(self) -> str:
        return f"byte {self.offset}, in text {self.text_index}: {self.what} ({self.size} bytes)"


def check_tones(
    pcm: bytes,
    texts: Iterable[str],
    *,
    voice_id: str,
    sample_rate: int,
    ms_per_character: int = MS_PER_CHARACTER,
) -> ToneFault | None:
    """Compare received audio with the tones of the texts, one after the other.

    Args:
        pcm: What was received, decoded to signed 16-bit little-endian mono.
        texts: The texts as the voice was given them, in order.
        voice_id: As given to the voice.
        sample_rate: Hz.
        ms_per_character: As given to the voice.

    Returns:
        The first difference, or None when every byte is right.
    """
    parts = [
        tones(text, voice_id=voice_id, sample_rate=sample_rate, ms_per_character=ms_per_character)
        for text in texts
    ]
    expected = b"".join(parts)
    if pcm == expected:
        return None
    offset = _first_difference(pcm, expected)
    what, size = _what_happened(pcm, expected, offset)
    end = 0
    for index, part in enumerate(parts):
        end += len(part)
        if offset < end:
            return ToneFault(offset=offset, text_index=index, what=what, size=size)
    return ToneFault(offset=offset, text_index=len(parts), what=what, size=size)


def _first_difference(left: bytes, right: bytes) -> int:
    """Bisect for the length of the common beginning."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


_PROBE = 32
"""Bytes by which a stretch is recognised; 16 of them are of the digest."""


def _what_happened(pcm: bytes, expected: bytes, offset: int) -> tuple[str, int]:
    if offset == len(pcm):
        return "cut short", len(expected) - offset
    if offset == len(expected):
        return "too long", len(pcm) - offset
    probe = pcm[offset : offset + _PROBE]
    ahead = expected.find(probe, offset)
    if len(probe) == _PROBE and ahead > offset:
        return "lost", ahead - offset
    # The first wrong byte of a doubled stretch may chance to be right: look a little further.
    for skip in range(4):
        behind = expected.rfind(pcm[offset + skip : offset + skip + _PROBE], 0, offset + _PROBE)
        if behind >= 0 and behind < offset + skip:
            return "doubled", offset + skip - behind
    return "altered", 0
