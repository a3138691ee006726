"""The interfaces that let everything compose.

Caches, fallbacks, plug-ins, test kits and users' own engines see only these. A
``request()`` merges defaults, validates, and does no I/O; its ``identity`` is what
caches hash. Closing a wrapper closes what it wraps unless it was told otherwise.

Options are keywords. ``*args: Any, **options: Any`` together tell a type checker that an
implementation may name its own options; no positional ones exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Mapping, Sequence

    from voicekit.sessions import Session
    from voicekit.speech import (
        AgentAnswer,
        AudioChunk,
        AudioClip,
        AudioFormat,
        AudioSource,
        ChatResult,
        SpeechStarted,
        Transcript,
        TranscriptionGap,
        TranscriptionResult,
        UtteranceEnd,
    )
    from voicekit.streams import AgentReply, SpeechStream, TextStream
    from voicekit.transport.config import WarmReport


class Identified(Protocol):
    """A validated, frozen request."""

    @property
    def identity(self) -> str:
        """Canonical text of everything that can change the result. Holds content: never log it."""
        ...


class SpeechRequest(Identified, Protocol):
    """What is to be spoken, how."""

    @property
    def text(self) -> str:
        """The words to speak."""
        ...

    @property
    def format(self) -> AudioFormat:
        """What the audio will be."""
        ...


class TranscriptionRequest(Identified, Protocol):
    """What is to be transcribed, how. ``identity`` is for audio that is held in memory."""

    @property
    def audio(self) -> AudioSource:
        """The recording."""
        ...


class ChatRequest(Identified, Protocol):
    """What is asked of a model, how."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation, in the field's common shape (role, content)."""
        ...


class _Closable(Protocol):
    async def warm(self, n: int = ..., /, *, strict: bool = ...) -> WarmReport:
        """Have connections ready before the first call; never billed."""
        ...

    async def aclose(self) -> None:
        """Free everything; may be called twice."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


@runtime_checkable
class Synthesizer(_Closable, Protocol):
    """Text to speech."""

    def request(self, text: str, /, *args: Any, **options: Any) -> SpeechRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        ...

    def stream_speech(
        self, text: str | AsyncIterable[str] | SpeechRequest, /, *args: Any, **options: Any
    ) -> SpeechStream | SpeechSession:
        """Speech as it is made; text may be any async iterable of pieces."""
        ...

    async def synthesize(
        self, text: str | SpeechRequest, /, *args: Any, **options: Any
    ) -> AudioClip:
        """The whole speech as one clip."""
        ...


class SpeechSession(Protocol):
    """One utterance: text goes in piece by piece, audio comes out as it is made."""

    async def send(self, text: str, /) -> None:
        """Say this too. Pieces may end anywhere; they go out in whole words."""
        ...

    async def finish(self) -> None:
        """That was all; iteration ends with the last audio."""
        ...

    async def cancel(self) -> None:
        """Barge-in: iteration ends quietly, the connection stays warm."""
        ...

    async def aclose(self) -> None:
        """Free everything."""
        ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> AudioChunk: ...


@runtime_checkable
class SpeechSessions(Protocol):
    """Optional beside ``Synthesizer``: speech from text that is still being written."""

    def open_speech(self, *args: Any, **options: Any) -> Session[AudioChunk]:
        """One session is one utterance."""
        ...


@runtime_checkable
class Transcriber(_Closable, Protocol):
    """Speech to text."""

    def request(self, audio: AudioSource, /, *args: Any, **options: Any) -> TranscriptionRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        ...

    async def transcribe(
        self, audio: AudioSource | TranscriptionRequest, /, *args: Any, **options: Any
    ) -> Transcript:
        """All that is said in a recording."""
        ...


@runtime_checkable
class TranscriptionSessions(Protocol):
    """Optional beside ``Transcriber``: live transcription."""

    def open_transcription(
        self, *args: Any, **options: Any
    ) -> Session[TranscriptionResult | SpeechStarted | UtteranceEnd | TranscriptionGap]:
        """Audio goes in, interim and final results come out."""
        ...


@runtime_checkable
class ChatModel(_Closable, Protocol):
    """A conversation in, an answer out."""

    def request(
        self, messages: Sequence[Mapping[str, Any]], /, *args: Any, **options: Any
    ) -> ChatRequest:
        """Merge, validate, freeze; no I/O."""
        ...

    def stream_chat(
        self, messages: Sequence[Mapping[str, Any]] | ChatRequest, /, *args: Any, **options: Any
    ) -> TextStream:
        """The answer as it is written."""
        ...

    async def chat(
        self, messages: Sequence[Mapping[str, Any]] | ChatRequest, /, *args: Any, **options: Any
    ) -> ChatResult:
        """The whole answer."""
        ...


class AgentSession(Protocol):
    """A conversation with an agent, which remembers it. One turn at a time; the next waits."""

    @property
    def greeting(self) -> str:
        """What the agent said first; may be empty."""
        ...

    async def send(self, text: str, /, *args: Any, **options: Any) -> AgentAnswer:
        """One turn, whole. It may act: it is never repeated on an unknown outcome."""
        ...

    def stream_message(self, text: str, /, *args: Any, **options: Any) -> AgentReply:
        """One turn as it is said. The same rule."""
        ...

    async def aclose(self) -> None:
        """End the conversation at the provider too, politely."""
        ...


class OpeningSession(Protocol):
    """What ``open_session`` returns: awaited or entered, it is the session."""

    def __await__(self) -> Generator[Any, None, AgentSession]: ...

    async def __aenter__(self) -> AgentSession: ...

    async def __aexit__(self, *exc: object) -> None: ...


@runtime_checkable
class Agent(_Closable, Protocol):
    """An agent that answers, and may act."""

    def open_session(self, *args: Any, **options: Any) -> OpeningSession:
        """A conversation. No I/O before it is awaited or entered.

        Args:
            *args: None; see above.
            **options: ``key`` (a str, or None): whose it is. One session is opened for a key at
                a time: a second caller gets the same one. The others are the implementation's
                own.
        """
        ...
