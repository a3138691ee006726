"""Voices that count what they are asked, and storages that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

from voicekit import AudioChunk, AudioFormat, EngineSpeech, InvalidArgumentError, Word
from voicekit.cache import MemoryStorage, StorageStats
from voicekit.speech import AudioClip
from voicekit.transport.config import WarmReport

PCM = AudioFormat.parse("pcm_24000")
PIECE = 480


@dataclass(frozen=True, kw_only=True)
class Line:
    """A request."""

    text: str = field(repr=False)
    format: AudioFormat
    voice: str = "plain"
    by: str = ""

    @property
    def identity(self) -> str:
        return f"{self.by}|{self.voice}|{self.text}"


class Reader:
    """A ``Synthesizer`` that reads letter by letter, 0.1 s apart.

    Its script answers the calls in order: an exception is raised after so many letters as its
    ``after`` says (0), a number is waited before the first letter.
    """

    def __init__(
        self, provider: str = "reader", *script: Any, wait: float = 0.1, whole: bool = False
    ) -> None:
        self.provider = provider
        self.script = list(script)
        self.wait = wait
        self.whole = whole
        self.asked: list[str] = []
        self.running = 0
        self.closed = self.entered = 0
        self.resumed = 0
        self.timed = False

    def request(self, text: str, /, *, format: str = "pcm_24000", voice: str = "plain") -> Line:  # noqa: A002
        if not isinstance(text, str) or not text:
            raise InvalidArgumentError("is empty", argument="text", allowed="words")
        return Line(text=text, format=AudioFormat.parse(format), voice=voice, by=self.provider)

    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        if self.whole:
            raise InvalidArgumentError("is given whole", argument="format", allowed="pcm")
        if hasattr(text, "__aiter__"):
            return EngineSpeech(self._written(text), format=PCM, provider=self.provider)
        line = self.request(text, **options) if isinstance(text, str) else text
        return Reading(self._read(line), format=line.format, provider=self.provider, reader=self)

    async def synthesize(self, text: Any, /, **options: Any) -> AudioClip:
        line = self.request(text, **options) if isinstance(text, str) else text
        return await Reading(
            self._read(line), format=line.format, provider=self.provider, reader=self
        ).clip()

    async def _read(self, line: Line) -> AsyncIterator[bytes]:
        self.asked.append(line.text)
        does = self.script.pop(0) if self.script else None
        self.running += 1
        try:
            if isinstance(does, float):
                await asyncio.sleep(does)
            for number, letter in enumerate(line.text):
                if isinstance(does, Exception) and number == getattr(does, "after", 0):
                    raise does
                if number:
                    await asyncio.sleep(self.wait)
                word = Word(text=letter, start=float(number), end=number + 1.0)
                yield AudioChunk(sound(letter), line.format, (word,) if self.timed else ())
            if isinstance(does, Exception):
                raise does
        finally:
            self.running -= 1

    async def _written(self, text: Any) -> AsyncIterator[bytes]:
        async for piece in text:
            self.asked.append(piece)
            for letter in piece:
                yield sound(letter)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=n, reused=0)

    async def aclose(self) -> None:
        self.closed += 1

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class Talker(Reader):
    """The same with sessions."""

    def open_speech(self, **options: Any) -> Any:
        return "a session"


class Reading(EngineSpeech):
    def __init__(self, chunks: Any, *, reader: Reader, **options: Any) -> None:
        super().__init__(chunks, **options)
        self._reader = reader

    @property
    def resumed(self) -> int:
        return self._reader.resumed


def sound(letter: str) -> bytes:
    return letter.encode() * PIECE


def spelled(data: bytes) -> str:
    return bytes(data).decode()[::PIECE]


def failing_after(letters: int, error: Exception) -> Exception:
    error.after = letters  # type: ignore[attr-defined]
    return error


async def listened(speech: Any, into: list[str] | None = None) -> str:
    """All that it says, or said before it broke."""
    said: list[str] = [] if into is None else into
    async with speech:
        async for chunk in speech:
            said.append(spelled(chunk))
    return "".join(said)


class Broken(MemoryStorage):
    """A storage that fails, hangs or lies as it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.error: Exception | None = None
        self.reading = self.writing = 0.0
        self.says: bytes | None = None
        self.reads = self.writes = 0

    async def get(self, key: str, /) -> bytes | None:
        self.reads += 1
        if self.error is not None:
            raise self.error
        value = self.says if self.says is not None else await super().get(key)
        await asyncio.sleep(self.reading)  # the answer is on its way, and may be old
        return value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        self.writes += 1
        await asyncio.sleep(self.writing)
        if self.error is not None:
            raise self.error
        await super().put(key, value, ttl=ttl)

    def stats(self) -> StorageStats:
        if self.error is not None:
            raise self.error
        return super().stats()
