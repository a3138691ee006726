"""One role of a blocking client that has several, with the names of that role's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from voicekit.clients import roles
from voicekit.sync.delegation import Evidence, Part, blocking, directly

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicekit import interfaces
    from voicekit.sync.client import Client
    from voicekit.sync.handles import SpeechStream
    from voicekit.sync.utterances import SpokenSession


class Role(Part):
    """What every role shares with its client: warm sockets, and their end."""

    _kind: ClassVar[type[roles.Role]] = roles.Role

    def __init__(self, client: Client[Any]) -> None:
        self._client: Any = client

    @property
    def _inner(self) -> Any:
        return self._kind(self._client._inner)  # which a forked child makes anew

    provider = Evidence(roles.Role.provider)
    base_url = Evidence(roles.Role.base_url)
    warm = blocking(roles.Role.warm)
    probe = blocking(roles.Role.probe)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class SynthesizerRole(Role):
    """Speech: the client's ``speech_request``, ``stream_speech`` and ``synthesize``."""

    _kind = roles.SynthesizerRole
    request = directly(roles.SynthesizerRole.request)
    synthesize = blocking(roles.SynthesizerRole.synthesize)

    def stream_speech(
        self, text: str | Iterable[str] | interfaces.SpeechRequest, /, **options: Any
    ) -> SpeechStream | SpokenSession:
        """See the client's ``stream_speech``."""
        speech: SpeechStream | SpokenSession = self._client.stream_speech(text, **options)
        return speech


class SpeakingRole(SynthesizerRole):
    """Speech, from text that is still being written, too."""

    _kind = roles.SpeakingRole

    def open_speech(self, **options: Any) -> SpokenSession:
        """See the client's ``open_speech``."""
        session: SpokenSession = self._client.open_speech(**options)
        return session


class TranscriberRole(Role):
    """Recordings to text: the client's ``transcription_request`` and ``transcribe``."""

    _kind = roles.TranscriberRole
    request = directly(roles.TranscriberRole.request)
    transcribe = blocking(roles.TranscriberRole.transcribe)
