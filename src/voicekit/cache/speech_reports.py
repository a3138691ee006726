"""What a speech cache has done, and what a preload has found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from voicekit.cache.storage import StorageStats
from voicekit.errors import VoicekitError

__all__ = ["PreloadReport", "PreloadedPhrase", "SpeechCacheStats"]

PreloadOutcome = Literal["made", "present", "unstored", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechCacheStats:
    """A look at a ``SpeechCache``.

    Attributes:
        hits: Speeches that were there.
        joined: Speeches that were being made for another caller.
        misses: Speeches that had to be made.
        bypasses: Speeches that are not for a cache: text that is still being written.
        stored: Speeches that were kept.
        unstored: Speeches that were made and not kept, whatever the reason.
        storage_failures: How often the storage failed or was too slow.
        characters_saved: Characters of text that nobody had to be asked for.
        storage: What the storage says of itself.
    """

    hits: int = 0
    joined: int = 0
    misses: int = 0
    bypasses: int = 0
    stored: int = 0
    unstored: int = 0
    storage_failures: int = 0
    characters_saved: int = 0
    storage: StorageStats | None = None

    @property
    def bytes(self) -> int | None:
        """What the storage holds, of all who share it; None where it does not know."""
        return None if self.storage is None else self.storage.size

    @property
    def calls_saved(self) -> int:
        """Calls to the synthesizer that were not made."""
        return self.hits + self.joined


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadedPhrase:
    """What has become of one phrase.

    Attributes:
        index: Of the first of its kind among the phrases that were given.
        outcome: ``"present"``: it was there, and cost nothing. ``"made"``: it is there now.
            ``"unstored"``: it was made, and could not be kept. ``"failed"``: see ``error``.
        characters: Of its text.
        error: Why it failed.
    """

    index: int
    outcome: PreloadOutcome
    characters: int
    error: VoicekitError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadReport:
    """What has become of the phrases of a ``preload``.

    Attributes:
        phrases: Each of the different ones, in the order in which they were given.
        elapsed: Seconds that it took.
    """

    phrases: tuple[PreloadedPhrase, ...]
    elapsed: float = field(compare=False)

    def _count(self, outcome: PreloadOutcome) -> int:
        return Counter(each.outcome for each in self.phrases)[outcome]

    @property
    def made(self) -> int:
        """How many were made and are there now."""
        return self._count("made")

    @property
    def present(self) -> int:
        """How many were there."""
        return self._count("present")

    @property
    def failures(self) -> tuple[PreloadedPhrase, ...]:
        """Those that failed."""
        return tuple(each for each in self.phrases if each.outcome == "failed")

    @property
    def characters_made(self) -> int:
        """Characters of text that were spoken, which is what providers charge for."""
        spoken = ("made", "unstored")
        return sum(each.characters for each in self.phrases if each.outcome in spoken)
