"""What speaks in the emulator: the interface, and a real voice behind it."""

from __future__ import annotations

import asyncio
from typing import Protocol, Self

from voicekit.emulator.ears import SphinxEars
from voicekit.emulator.pcm_cache import PcmCache
from voicekit.emulator.speech_process import SpeechProcess


class Voice(Protocol):
    """Turns text into speech; `TonesVoice` in `material` is the other one."""

    async def speak(self, text: str, *, voice_id: str, sample_rate: int) -> bytes:
        """Return the speech: PCM, signed 16-bit little-endian, mono.

        Deterministic in its arguments. Cancelled, it leaves nothing behind.

        Args:
            text: Plain text.
            voice_id: The vendor's name of a voice.
            sample_rate: Hz.
        """
        ...


class EspeakVoice:
    """espeak-ng in a worker process: one clear English voice, pitched by its id.

    The parts of a text, cut at any word, together take about as long as the whole.

    Measured: 0.1 s for a text of 120 characters (8 s of speech) at 24 kHz; nothing the next time.

    Args:
        worker: A `SpeechProcess` in the role ``"voice"``, started and closed by its owner.
        cache: Keeps what was said lately; 32 MB by default.
    """

    def __init__(self, worker: SpeechProcess, *, cache: PcmCache | None = None) -> None:
        self._worker = worker
        self._said = PcmCache() if cache is None else cache

    async def speak(self, text: str, *, voice_id: str, sample_rate: int) -> bytes:
        """Return the speech; see `Voice.speak`. EmulatorError when the worker is not running."""
        key = (text, voice_id, sample_rate)
        pcm = self._said.get(key)
        if pcm is None:
            spoken = text.encode("utf-8", "replace")
            _, pcm = await self._worker.ask(
                "speak", spoken, voice_id=voice_id, sample_rate=sample_rate
            )
            self._said.put(key, pcm)
        return pcm


class RealSpeech:
    """A voice and ears, each in a worker process of its own, so that neither waits for the other.

    ``async with RealSpeech() as speech:`` starts both at once and returns when their models are
    loaded and warm; leaving ends them at once, whatever they are doing.

    Attributes:
        voice: Speaks.
        ears: Listens.

    Raises:
        EmulatorError: On entering: the extra ``voicekit[demo]`` is not installed, or a worker
            does not come up.
    """

    def __init__(self) -> None:
        self._speaking, self._listening = SpeechProcess("voice"), SpeechProcess("ears")
        self.voice = EspeakVoice(self._speaking)
        self.ears = SphinxEars(self._listening)

    async def __aenter__(self) -> Self:
        starts = [
            asyncio.create_task(worker.start(), name=f"start {worker!r}")
            for worker in (self._speaking, self._listening)
        ]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End both workers, within a second. May be called twice."""
        try:
            await self._speaking.aclose()
        finally:
            await self._listening.aclose()
