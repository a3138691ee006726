"""One channel of a live transcription: its ears, and the words that they give."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from voicekit.emulator.ears import Hearing
from voicekit.emulator.providers.deepgram_listen import Listener
from voicekit.emulator.providers.deepgram_results import Word
from voicekit.emulator.spoken import SpokenEar


@dataclass(slots=True)
class Script:
    """Lets scripted ears say their script once per utterance.

    An utterance is the first one of a stream, whatever its audio, and afterwards any that holds
    energy: so neither the silence after the words nor a span frozen within them repeats anything.
    """

    said: bool = False
    within: bool = False

    def silent(self, *, voiced: bool) -> bool:
        """Tell whether a span of this utterance adds no words."""
        return self.within or (self.said and not voiced)

    def spoken(self, *, speech_final: bool) -> None:
        """Note that a span has been answered."""
        self.said = True
        self.within = not speech_final


@dataclass(slots=True)
class Channel:
    """One channel of a stream that is transcribed, and what is heard in it.

    `hearing` is of the span under way, as are the decodings in `interims`; `script` is for scripted
    ears, and `spoken` in its place for a recording that tells its places.
    """

    index: int
    listener: Listener
    hearing: Hearing | None = None
    last_word_end: float | None = None
    interims: list[asyncio.Task[str]] = field(default_factory=list)
    script: Script | None = None
    spoken: SpokenEar | None = None


async def interim_text(hearing: Hearing, *, silent: bool) -> str:
    """What has been heard so far; nothing, where the script has been said."""
    return "" if silent else await hearing.interim()


async def final_words(hearing: Hearing | None, *, silent: bool) -> Sequence[Word]:
    """What was heard in a span, whose hearing ends."""
    if hearing is None:
        return ()
    try:
        return () if silent else (await hearing.final()).words
    finally:
        hearing.close()
