"""What listens in the emulator: the interface, real ears, and scripted ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, Protocol

from voicekit.emulator.codecs import PcmReader
from voicekit.emulator.speech_process import SpeechProcess


class HeardWord(NamedTuple):
    """One word, and when it was said.

    Attributes:
        word: In lower case, without punctuation.
        start: Seconds from the hearing's first sample.
        end: Seconds from the hearing's first sample.
        confidence: From 0 to 1.
    """

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardUtterance:
    """What was heard in the whole of an utterance.

    Attributes:
        words: In order; none for silence.
    """

    words: tuple[HeardWord, ...] = ()

    @property
    def text(self) -> str:
        """The words, one space apart."""
        return " ".join(word.word for word in self.words)

    @property
    def confidence(self) -> float:
        """The mean over the words; 0 for silence."""
        return sum(word.confidence for word in self.words) / max(1, len(self.words))


class Hearing(Protocol):
    """One utterance being listened to."""

    def feed(self, pcm: bytes) -> None:
        """Take what the client sent next, in the encoding of `Ears.open`, cut anywhere.

        Returns at once. Ignored after `close`.
        """
        ...

    async def interim(self) -> str:
        """Return what has been heard so far, from the frames as they came."""
        ...

    async def final(self) -> HeardUtterance:
        """Hear everything fed so far again, as a whole."""
        ...

    def close(self) -> None:
        """Forget the audio. May be called twice."""
        ...


class Ears(Protocol):
    """Opens hearings; any number may be open at once."""

    def open(self, *, sample_rate: int, channels: int = 1, encoding: str = "linear16") -> Hearing:
        """Begin to listen.

        Args:
            sample_rate: Hz.
            channels: Interleaved channels, mixed down to one.
            encoding: ``"linear16"``, ``"mulaw"`` or ``"alaw"``; ``"wav"`` for a container, whose
                header then says the rest.

        Raises:
            UnsupportedFormat: Another encoding.
        """
        ...


class SphinxEars:
    """PocketSphinx in a worker process, which hears what is in the audio and nothing else.

    Measured: `Hearing.final` takes a tenth of the utterance's duration (0.25 s for 2.4 s).

    Args:
        worker: A `SpeechProcess` in the role ``"ears"``, started and closed by its owner.
    """

    def __init__(self, worker: SpeechProcess) -> None:
        self._worker = worker
        self._numbers = count(1)

    def open(self, *, sample_rate: int, channels: int = 1, encoding: str = "linear16") -> Hearing:
        """Begin to listen; see `Ears.open`."""
        PcmReader(encoding, sample_rate=sample_rate, channels=channels)  # refuses, here and now
        number = next(self._numbers)
        self._worker.post(
            "open", hearing=number, sample_rate=sample_rate, channels=channels, encoding=encoding
        )
        return _SphinxHearing(self._worker, number)


class _SphinxHearing:
    def __init__(self, worker: SpeechProcess, number: int) -> None:
        self._worker = worker
        self._number = number

    def feed(self, pcm: bytes) -> None:
        self._worker.post("feed", pcm, hearing=self._number)

    async def interim(self) -> str:
        header, _ = await self._worker.ask("interim", hearing=self._number)
        return str(header["text"])

    async def final(self) -> HeardUtterance:
        header, _ = await self._worker.ask("final", hearing=self._number)
        return HeardUtterance(words=tuple(HeardWord(*word) for word in header["words"]))

    def close(self) -> None:
        self._worker.post("close", hearing=self._number)


def spread(words: Sequence[str], start: float, end: float, *, confidence: float) -> list[HeardWord]:
    """Give words times of their own: spread evenly."""
    each = (end - start) / max(1, len(words))
    return [
        HeardWord(word, start + index * each, start + (index + 1) * each, confidence)
        for index, word in enumerate(words)
    ]


Script = str | Callable[[float], str] | None
"""What is to be heard: always this, or by the seconds of audio fed, or nothing."""

_SECONDS_PER_WORD = 0.3


class ScriptedEars:
    """Ears for `speech="tones"`: they hear what the scenario says, as the audio goes by.

    Interims hold the words that 200 words per minute leave room for; the final holds all of
    them, spread evenly over the audio fed. Where nothing was fed, nothing is heard.

    Args:
        heard: What is heard in every utterance.
    """

    def __init__(self, heard: Script) -> None:
        self._heard = heard

    def open(self, *, sample_rate: int, channels: int = 1, encoding: str = "linear16") -> Hearing:
        """Begin to listen; see `Ears.open`."""
        reader = PcmReader(encoding, sample_rate=sample_rate, channels=channels)
        return _ScriptedHearing(self._heard, reader)


class _ScriptedHearing:
    def __init__(self, heard: Script, reader: PcmReader) -> None:
        self._heard = heard
        self._reader = reader
        self._seconds = 0.0

    def feed(self, pcm: bytes) -> None:
        samples = len(self._reader.feed(pcm)) // 2
        self._seconds += samples / self._reader.sample_rate

    async def interim(self) -> str:
        return " ".join(self._words()[: int(self._seconds / _SECONDS_PER_WORD)])

    async def final(self) -> HeardUtterance:
        words = self._words()
        return HeardUtterance(words=tuple(spread(words, 0.0, self._seconds, confidence=1.0)))

    def close(self) -> None:
        self._heard = None

    def _words(self) -> list[str]:
        if self._seconds == 0:
            return []
        heard = self._heard(self._seconds) if callable(self._heard) else self._heard
        return (heard or "").split()
