"""The interfaces: what conforms, and code that knows only them.

Never run: mypy --strict reads it, and every wrong line must be one.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import Any, Self, assert_type

from voicekit import (
    AudioChunk,
    AudioClip,
    ChatModel,
    ChatResult,
    DeepgramClient,
    ElevenLabsClient,
    Event,
    InvalidArgumentError,
    Observer,
    OpenAIClient,
    ProviderError,
    SpeechSessions,
    StreamInterruptedError,
    Synthesizer,
    Transcriber,
    TranscriptionSessions,
    VoicekitError,
    WarmReport,
    deadline,
)
from voicekit.interfaces import SpeechRequest, SpeechSession
from voicekit.streams import SpeechStream

tts: Synthesizer = ElevenLabsClient(voice="v")
sessions: SpeechSessions = ElevenLabsClient(voice="v")
stt: TranscriptionSessions = DeepgramClient()
recordings: Transcriber = DeepgramClient()
llm: ChatModel = OpenAIClient(model="m")

not_one: ChatModel = DeepgramClient()  # type: ignore[assignment]


class Watcher:
    """A user's observer: no base class needed."""

    def on_event(self, event: Event, /) -> None:
        print(event.provider, event.operation, event.at)


observer: Observer = Watcher()
observed = OpenAIClient(model="m", observers=[Watcher()])


class Polite:
    """A user's wrapper around any synthesizer is a synthesizer."""

    def __init__(self, inner: Synthesizer) -> None:
        self._inner = inner

    def request(self, text: str, /, *args: Any, **options: Any) -> SpeechRequest:
        return self._inner.request(f"Please: {text}", *args, **options)

    def stream_speech(
        self, text: str | AsyncIterable[str] | SpeechRequest, /, *args: Any, **options: Any
    ) -> SpeechStream | SpeechSession:
        return self._inner.stream_speech(text, *args, **options)

    async def synthesize(
        self, text: str | SpeechRequest, /, *args: Any, **options: Any
    ) -> AudioClip:
        return await self._inner.synthesize(text, *args, **options)

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return await self._inner.warm(n, strict=strict)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


wrapped: Synthesizer = Polite(tts)


async def answer(model: ChatModel, voice: Synthesizer, question: str) -> AudioClip:
    """Code that works with every model and every voice."""
    with deadline(5.0):
        answered = await model.chat([{"role": "user", "content": question}])
        assert_type(answered, ChatResult)
        return await voice.synthesize(answered.text, format="pcm_16000")


async def by_pieces(voice: SpeechSessions, pieces: Sequence[str]) -> list[AudioChunk]:
    async with voice.open_speech(model="m") as session:
        return [chunk async for chunk in session]


async def failing() -> None:
    """What an error tells."""
    try:
        await answer(llm, tts, "Hello")
    except StreamInterruptedError as error:
        assert_type(error.delivered_bytes, int)
    except InvalidArgumentError as error:
        assert_type(error.argument, str)
    except ProviderError as error:
        assert_type(error.status, int | None)
        assert_type(error.detail, str | None)
    except VoicekitError as error:
        assert_type(error.retryable, bool)
        assert_type(error.retry_after, float | None)
