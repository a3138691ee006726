"""One role of a blocking client that has several, with the names of that role's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voicekit import interfaces
    from voicekit.speech import AudioClip, AudioSource, Transcript
    from voicekit.sync.client import Client
    from voicekit.sync.handles import SpeechStream
    from voicekit.sync.utterances import SpokenSession
    from voicekit.transport.config import WarmReport


class Role:
    """What every role shares with its client: warm sockets, and their end."""

    def __init__(self, client: Client[Any]) -> None:
        self._client: Any = client

    @property
    def provider(self) -> str:
        """Whose service it is."""
        return str(self._client.provider)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return str(self._client.base_url)

    def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """See the client's ``warm``."""
        report: WarmReport = self._client.warm(n, strict=strict)
        return report

    def probe(self) -> None:
        """See the client's ``probe``."""
        self._client.probe()

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class SynthesizerRole(Role):
    """Speech: the client's ``speech_request``, ``stream_speech`` and ``synthesize``."""

    def request(self, text: str, /, **options: Any) -> interfaces.SpeechRequest:
        """See the client's ``speech_request``."""
        request: interfaces.SpeechRequest = self._client.speech_request(text, **options)
        return request

    def stream_speech(
        self, text: str | Iterable[str] | interfaces.SpeechRequest, /, **options: Any
    ) -> SpeechStream | SpokenSession:
        """See the client's ``stream_speech``."""
        speech: SpeechStream | SpokenSession = self._client.stream_speech(text, **options)
        return speech

    def synthesize(self, text: str | interfaces.SpeechRequest, /, **options: Any) -> AudioClip:
        """See the client's ``synthesize``."""
        clip: AudioClip = self._client.synthesize(text, **options)
        return clip


class SpeakingRole(SynthesizerRole):
    """Speech, from text that is still being written, too."""

    def open_speech(self, **options: Any) -> SpokenSession:
        """See the client's ``open_speech``."""
        session: SpokenSession = self._client.open_speech(**options)
        return session


class TranscriberRole(Role):
    """Recordings to text: the client's ``transcription_request`` and ``transcribe``."""

    def request(self, audio: AudioSource, /, **options: Any) -> interfaces.TranscriptionRequest:
        """See the client's ``transcription_request``."""
        make: Callable[..., interfaces.TranscriptionRequest] = self._client.transcription_request
        return make(audio, **options)

    def transcribe(
        self, audio: AudioSource | interfaces.TranscriptionRequest, /, **options: Any
    ) -> Transcript:
        """See the client's ``transcribe``."""
        transcript: Transcript = self._client.transcribe(audio, **options)
        return transcript
