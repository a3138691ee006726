"""Members that do what a test says, call by call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Self

from voicekit.errors import ClosedError, InvalidArgumentError, VoicekitError
from voicekit.own_engine import EngineSpeech
from voicekit.speech import AudioChunk, AudioFormat, ChatResult, Transcript
from voicekit.transport.config import WarmReport

PCM = AudioFormat.parse("pcm_16000")
SOUND = bytes(320)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request."""

    text: str
    format: AudioFormat
    voice: str = "plain"
    by: str = ""

    @property
    def identity(self) -> str:
        return f"{self.by}|{self.format.name}|{self.voice}|{self.text}"

    @property
    def audio(self) -> Any:
        return self.text

    @property
    def messages(self) -> Any:
        return [{"role": "user", "content": self.text}]


@dataclass(frozen=True, kw_only=True)
class Does:
    """What one call does: waits, fails before or after its first audio, or speaks.

    Attributes:
        wait: Seconds to the first audio.
        before: Raised in its place.
        after: Raised after it.
        pieces: Chunks of audio.
    """

    wait: float = 0.0
    before: Exception | None = None
    after: Exception | None = None
    pieces: int = 2


class Voice:
    """A ``Synthesizer`` that opens sessions; each call takes the next of its script, or speaks.

    Attributes:
        heard: The text that each call was asked to say, as far as it came.
        ended: How many calls have ended, in whatever way.
    """

    def __init__(self, name: str, *script: Does | Exception, made_of: str = "pcm_16000") -> None:
        self.provider = name
        self.script = deque(_as_does(script))
        self.made_of = made_of
        self.heard: list[str] = []
        self.given: list[dict[str, Any]] = []
        self.ended = 0
        self.entered = self.closed = 0
        self.warmed: list[int] = []
        self.warm_fails: Exception | None = None
        self.sessions: list[Utterance] = []

    def then(self, *script: Does | Exception) -> None:
        self.script.extend(_as_does(script))

    def next(self) -> Does:
        return self.script.popleft() if self.script else Does()

    def request(
        self,
        text: str,
        /,
        *,
        format: str | None = None,  # noqa: A002 - the option's name
        voice: str = "plain",
    ) -> Asked:
        if not text:
            raise InvalidArgumentError("is empty", argument="text", allowed="words")
        return Asked(
            text=text,
            format=AudioFormat.parse(format or self.made_of),
            voice=voice,
            by=self.provider,
        )

    def stream_speech(self, text: Any, /, **options: Any) -> EngineSpeech:
        if self.closed:
            raise ClosedError("the engine is closed")
        request = text if isinstance(text, Asked) else None
        if request is None and not hasattr(text, "__aiter__"):
            request = self.request(text, **options)
        pieces = _once(request.text) if request is not None else text
        made_of = PCM if request is None else request.format
        self.given.append(options)
        return EngineSpeech(self._speak(pieces), format=made_of, provider=self.provider)

    async def _speak(self, pieces: Any) -> AsyncIterator[bytes]:
        number = len(self.heard)
        self.heard.append("")
        does = self.next()
        try:
            async for piece in pieces:
                self.heard[number] += piece
                if does.before is not None and not does.wait:
                    raise does.before
            await asyncio.sleep(does.wait)
            if does.before is not None:
                raise does.before
            for index in range(does.pieces):
                yield SOUND
                if index == 0 and does.after is not None:
                    raise does.after
        finally:
            self.ended += 1

    async def synthesize(self, text: Any, /, **options: Any) -> Any:
        return await self.stream_speech(text, **options).clip()

    def open_speech(self, **options: Any) -> Any:
        self.given.append(options)
        return Utterance(self)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        self.warmed.append(n)
        await asyncio.sleep(0.1)
        if self.warm_fails is not None:
            raise self.warm_fails
        return WarmReport(opened=n, reused=0)

    async def aclose(self) -> None:
        self.closed += 1

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class Utterance:
    """A session; ``accepts``, ``sends`` and ``speaks`` say what it does."""

    format = PCM

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.does = Does()
        self.said: list[str] = []
        self.finished = asyncio.Event()
        self.spoken = 0
        self.closed = self.was_cancelled = False

    def __await__(self) -> Any:
        return self._open().__await__()

    async def _open(self) -> Self:
        self.voice.sessions.append(self)
        self.does = self.voice.next()
        if self.does.before is not None and self.does.pieces == 0:  # not accepted
            await asyncio.sleep(self.does.wait)
            raise self.does.before
        return self

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def send(self, text: str, /) -> None:
        await asyncio.sleep(0)
        self.said.append(text)
        if text == "hangs" and self.does.before is not None:
            await asyncio.sleep(1)
            raise self.does.before
        if text == "fails" and self.does.before is not None:
            raise self.does.before

    async def flush(self) -> None:
        self.said.append("<flush>")

    async def finish(self) -> None:
        self.said.append("<finish>")
        self.finished.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        if self.closed:
            raise StopAsyncIteration
        if not self.spoken:
            if self.does.before is not None:
                await asyncio.sleep(self.does.wait or 0.01)
                raise self.does.before
            await self.finished.wait()
            await asyncio.sleep(self.does.wait)
        elif self.does.after is not None:
            raise self.does.after
        if self.spoken == self.does.pieces:
            raise StopAsyncIteration
        self.spoken += 1
        return AudioChunk(SOUND, PCM)

    async def take(self) -> list[AudioChunk]:
        try:
            return [await self.__anext__()]
        except StopAsyncIteration:
            return []

    async def cancel(self) -> None:
        self.closed = self.was_cancelled = True

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.voice.ended += 1


class Ears:
    """A ``Transcriber``."""

    def __init__(self, name: str, *script: Does | Exception) -> None:
        self.provider = name
        self.script = deque(_as_does(script))
        self.asked = 0

    def request(self, audio: Any, /, **options: Any) -> Any:
        return _Recording(audio)

    async def transcribe(self, audio: Any, /, **options: Any) -> Transcript:
        self.asked += 1
        does = self.script.popleft() if self.script else Does()
        await asyncio.sleep(does.wait)
        if does.before is not None:
            raise does.before
        return Transcript(text=self.provider)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=n, reused=0)

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...


@dataclass(frozen=True)
class _Recording:
    audio: Any
    identity: str = "recording"


class Mind:
    """A ``ChatModel`` that only gives whole answers."""

    def __init__(self, name: str, *script: Does | Exception) -> None:
        self.provider = name
        self.script = deque(_as_does(script))

    def request(self, messages: Any, /, **options: Any) -> Asked:
        return Asked(text=str(messages), format=PCM, by=self.provider)

    def stream_chat(self, messages: Any, /, **options: Any) -> Any:
        raise NotImplementedError

    async def chat(self, messages: Any, /, **options: Any) -> ChatResult:
        does = self.script.popleft() if self.script else Does()
        await asyncio.sleep(does.wait)
        if does.before is not None:
            raise does.before
        return ChatResult(text=self.provider)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=n, reused=0)

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...


def _as_does(script: Iterable[Does | Exception]) -> list[Does]:
    return [each if isinstance(each, Does) else Does(before=each) for each in script]


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def pieces_of(*texts: str, ended: list[str] | None = None) -> AsyncIterator[str]:
    """A model's stream; says in ``ended`` that it was closed."""
    try:
        for text in texts:
            await asyncio.sleep(0.01)
            yield text
    finally:
        if ended is not None:
            ended.append("closed")


async def heard(handle: Any) -> int:
    """Bytes of everything that it gives."""
    return sum([len(chunk) async for chunk in handle])


def failing(error: type[VoicekitError], **facts: Any) -> VoicekitError:
    """An error of that type."""
    return error("scripted", **facts)
