"""One role of a client that has several, behind the interface of that role.

A client's ``request`` is of its main role; the others have names of their own. Wrappers,
caches and plug-ins ask for an interface, and get one here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from voicekit import interfaces
    from voicekit.clients.base import Client
    from voicekit.clients.utterance import SpokenSession
    from voicekit.speech import AudioClip, AudioSource, Transcript
    from voicekit.streams import SpeechStream
    from voicekit.transport.config import WarmReport


class Role:
    """What every role shares with its client: warm sockets, and their end."""

    def __init__(self, client: Client) -> None:
        self._client: Any = client

    @property
    def provider(self) -> str:
        """Whose service it is."""
        return str(self._client.provider)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return str(self._client.base_url)

    async def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """See the client's ``warm``."""
        report: WarmReport = await self._client.warm(n, strict=strict)
        return report

    async def probe(self) -> None:
        """See the client's ``probe``."""
        await self._client.probe()

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class SynthesizerRole(Role):
    """A ``Synthesizer``: the client's ``speech_request``, ``stream_speech``, ``synthesize``."""

    def request(self, text: str, /, **options: Any) -> interfaces.SpeechRequest:
        """See the client's ``speech_request``."""
        request: interfaces.SpeechRequest = self._client.speech_request(text, **options)
        return request

    def stream_speech(
        self, text: str | AsyncIterable[str] | interfaces.SpeechRequest, /, **options: Any
    ) -> SpeechStream | interfaces.SpeechSession:
        """See the client's ``stream_speech``."""
        speech: SpeechStream | interfaces.SpeechSession = self._client.stream_speech(
            text, **options
        )
        return speech

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Any
    ) -> AudioClip:
        """See the client's ``synthesize``."""
        clip: AudioClip = await self._client.synthesize(text, **options)
        return clip


class SpeakingRole(SynthesizerRole):
    """A ``Synthesizer`` that has ``SpeechSessions``, too."""

    def open_speech(self, **options: Any) -> SpokenSession:
        """See the client's ``open_speech``."""
        session: SpokenSession = self._client.open_speech(**options)
        return session


class TranscriberRole(Role):
    """A ``Transcriber``: the client's ``transcription_request`` and ``transcribe``."""

    def request(self, audio: AudioSource, /, **options: Any) -> interfaces.TranscriptionRequest:
        """See the client's ``transcription_request``."""
        make: Callable[..., interfaces.TranscriptionRequest] = self._client.transcription_request
        return make(audio, **options)

    async def transcribe(
        self, audio: AudioSource | interfaces.TranscriptionRequest, /, **options: Any
    ) -> Transcript:
        """See the client's ``transcribe``."""
        transcript: Transcript = await self._client.transcribe(audio, **options)
        return transcript


if TYPE_CHECKING:
    _speaks: type[interfaces.Synthesizer] = SynthesizerRole
    _converses: type[interfaces.SpeechSessions] = SpeakingRole
    _hears: type[interfaces.Transcriber] = TranscriberRole
