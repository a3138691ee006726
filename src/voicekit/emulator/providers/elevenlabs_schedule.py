"""When ElevenLabs starts to generate: the chunk schedule, as a state machine without I/O.

Text arrives in pieces of any size. The n-th piece of audio is generated once the n-th count of
characters is buffered (the last count repeats), and it is generated from all that was buffered at
that moment. A flush, `try_trigger_generation` and `auto_mode` generate earlier.

Source: ElevenLabs AsyncAPI description of `stream-input`, `generation_config`, August 2025.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_SCHEDULE = (120, 160, 250, 290)
"""Characters. Source: the vendor's default of `chunk_length_schedule`."""

SCHEDULE_LIMITS = (50, 500)
"""Characters that one entry of a schedule may hold. Source: the same page."""

MINIMUM_TO_TRIGGER = SCHEDULE_LIMITS[0]
"""Characters that `try_trigger_generation` waits for.

The vendor speaks of "a minimum threshold" without a number; the smallest count that a schedule may
hold is this emulator's choice.
"""


class ChunkSchedule:
    """The text buffer of one utterance and the decision when it is spoken.

    Whitespace that arrives while nothing is buffered is dropped: it is how clients open an
    utterance and keep a socket alive, and the vendor speaks none of it.
    """

    def __init__(
        self, counts: Sequence[int] = DEFAULT_SCHEDULE, *, auto_mode: bool = False
    ) -> None:
        if not counts:
            raise ValueError("a schedule needs at least one count")
        self._counts = tuple(counts)
        self._auto_mode = auto_mode
        self._generated = 0
        self._buffer = ""

    @property
    def buffered(self) -> str:
        """Text that has arrived and is not yet being generated."""
        return self._buffer

    @property
    def threshold(self) -> int:
        """Characters after which the next piece is generated."""
        return self._counts[min(self._generated, len(self._counts) - 1)]

    def add(self, text: str, *, trigger: bool = False) -> str | None:
        """Buffer text and return the piece to generate now, if it is time.

        With `try_trigger_generation` it does not wait for the schedule, only for a minimum.
        """
        if not self._buffer and not text.strip():
            return None
        self._buffer += text
        if self._auto_mode:
            return self.flush()
        enough = min(self.threshold, MINIMUM_TO_TRIGGER) if trigger else self.threshold
        return self.flush() if len(self._buffer) >= enough else None

    def flush(self) -> str | None:
        """Return whatever is buffered as a piece to generate now, or None when it says nothing."""
        piece, self._buffer = self._buffer, ""
        if not piece.strip():
            return None
        self._generated += 1
        return piece

    def drop(self) -> None:
        """Forget what is buffered; it will never be spoken."""
        self._buffer = ""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which character sounds when, over one stretch of audio. Times in whole milliseconds.

    The vendor's times count from the start of the message that carries them.
    """

    chars: tuple[str, ...]
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    @classmethod
    def spread(cls, text: str, duration: float) -> Alignment:
        """Spread a text evenly over `duration` seconds of audio."""
        count = len(text)
        edges = (
            [round(index * duration * 1000 / count) for index in range(count + 1)] if text else [0]
        )
        return cls(
            chars=tuple(text),
            starts_ms=tuple(edges[:-1]),
            durations_ms=tuple(after - before for before, after in itertools.pairwise(edges)),
        )

    def between(self, start: float, end: float) -> Alignment:
        """Return the characters that begin in [start, end) seconds, timed from `start`.

        Adjoining stretches share no character and lose none; the last stretch has to reach past
        the end of the audio for characters of no length.
        """
        first, beyond = round(start * 1000), round(end * 1000)
        kept = [
            (char, began - first, length)
            for char, began, length in zip(
                self.chars, self.starts_ms, self.durations_ms, strict=True
            )
            if first <= began < beyond
        ]
        chars, starts, durations = zip(*kept, strict=True) if kept else ((), (), ())
        return Alignment(tuple(chars), tuple(starts), tuple(durations))

    def wire(self) -> dict[str, list[str] | list[int]] | None:
        """Return the vendor's JSON shape, or None where no character begins.

        The field names are those of the 2026 SDK; the 2025 specification spelled one of them
        `charsDurationsMs`.
        """
        if not self.chars:
            return None
        return {
            "chars": list(self.chars),
            "charStartTimesMs": list(self.starts_ms),
            "charDurationsMs": list(self.durations_ms),
        }
