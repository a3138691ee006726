"""What is in a recording sent to OpenAI: how long it is, and who says what in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicekit.emulator.providers.recording import Recording, Said, decode, unheard

_MPEG2_AAC = b"\xff\xf9"
"""How a kind of compressed audio begins that the other vendors do not read."""


@dataclass(frozen=True, slots=True)
class Spell:
    """What one speaker says at a time; times in seconds."""

    words: Sequence[Said]

    @property
    def text(self) -> str:
        """Spelled as a sentence."""
        said = " ".join(each.word for each in self.words)
        return said[:1].upper() + said[1:] + ("" if said.endswith((".", "?", "!")) else ".")

    @property
    def speaker(self) -> int:
        """Number, from 0."""
        return self.words[0].speaker

    @property
    def start(self) -> float:
        """When it begins."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """When it ends."""
        return self.words[-1].end


def read_recording(data: bytes, *, scripted: bool) -> Recording | None:
    """Decode a file; None when it is no audio, or none that can be heard here."""
    if scripted and data.startswith(_MPEG2_AAC):
        return unheard(body=data)
    recording = decode(data, scripted=scripted)
    return recording if recording is not None and recording.duration else None


def spells(words: Sequence[Said]) -> list[Spell]:
    """Return what was heard, speaker by speaker."""
    found, first = [], 0
    for number, word in enumerate(words, 1):
        if word.last:
            found.append(Spell(words[first:number]))
            first = number
    return found
