"""A recording that tells where in it one is, and the words in it: what was lost can be seen."""

from __future__ import annotations

import random

from voicekit.emulator.spoken import Spoken, SpokenWord

RATE = 16_000
FRAME = 1280
SECONDS = 6.0


def _said() -> Spoken:
    """Words of uneven length with uneven pauses, of which some end an utterance."""
    rng, words, at = random.Random(4), [], 0.2
    while at < SECONDS - 1:
        length = rng.uniform(0.12, 0.6)
        words.append(SpokenWord(f"w{len(words)}", at, at + length))
        at += length + rng.choice((0.02, 0.05, 0.1, 0.4))
    return Spoken(tuple(words))


SPOKEN = _said()
PCM = SPOKEN.pcm(RATE, SECONDS)
WORDS = "".join(f"{word.text} " for word in SPOKEN.words).encode()
