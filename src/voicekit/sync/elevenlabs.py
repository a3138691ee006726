"""``ElevenLabsClient``, blocking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack, overload

from voicekit import interfaces
from voicekit.clients import elevenlabs
from voicekit.clients.elevenlabs.client import ClientOptions, Region
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.sync import utterances
from voicekit.sync.client import Client, Transport, declared, viewing
from voicekit.sync.delegation import blocking, directly
from voicekit.sync.handles import SpeechStream
from voicekit.sync.keys import ApiKey
from voicekit.sync.pages import Pages
from voicekit.sync.roles import TranscriberRole
from voicekit.sync.text import pieces_of
from voicekit.transport.config import PoolConfig

__all__ = ["ElevenLabsClient", "FedUtterance", "Utterance"]


class Utterance(utterances.SpokenSession):
    """See ``voicekit.clients.elevenlabs.Utterance``: ``send``, ``finish`` and iterate."""

    send = blocking(elevenlabs.Utterance.send)
    flush = blocking(elevenlabs.Utterance.flush)
    finish = blocking(elevenlabs.Utterance.finish)


class FedUtterance(utterances.Fed, Utterance):
    """See ``voicekit.clients.elevenlabs.FedUtterance``: speech from an iterable of text."""

    send = blocking(elevenlabs.FedUtterance.send)
    flush = blocking(elevenlabs.FedUtterance.flush)
    finish = blocking(elevenlabs.FedUtterance.finish)


class ElevenLabsClient(Client[elevenlabs.ElevenLabsClient]):
    """See ``voicekit.ElevenLabsClient``; here everything blocks."""

    _kind = elevenlabs.ElevenLabsClient

    @declared
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: Region | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None: ...

    with_options = viewing(elevenlabs.ElevenLabsClient.with_options)

    # -- speech --

    request = directly(elevenlabs.ElevenLabsClient.request)
    synthesize = blocking(elevenlabs.ElevenLabsClient.synthesize)

    @overload
    def stream_speech(  # type: ignore[overload-overlap] # a str is no text in pieces
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[elevenlabs.SpeechOptions]
    ) -> SpeechStream: ...

    @overload
    def stream_speech(
        self, text: Iterable[str], /, **options: Unpack[elevenlabs.SpeechOptions]
    ) -> FedUtterance: ...

    @overload
    def stream_speech(
        self,
        text: str | Iterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[elevenlabs.SpeechOptions],
    ) -> SpeechStream | FedUtterance: ...

    def stream_speech(
        self,
        text: str | Iterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[elevenlabs.SpeechOptions],
    ) -> SpeechStream | FedUtterance:
        """See ``voicekit.ElevenLabsClient.stream_speech``.

        A blocking iterable is read in a thread of its own; a blocking stream of a model's
        text never leaves the event loop.
        """
        inner: Any = self._inner.stream_speech(pieces_of(text), **options)
        fed = isinstance(inner, elevenlabs.FedUtterance)
        return FedUtterance(self, inner) if fed else SpeechStream(self, inner)

    def open_speech(self, **options: Unpack[elevenlabs.SpeechOptions]) -> Utterance:
        """See ``voicekit.ElevenLabsClient.open_speech``."""
        return Utterance(self, self._inner.open_speech(**options))

    # -- recordings to text --

    transcription_request = directly(elevenlabs.ElevenLabsClient.transcription_request)
    transcribe = blocking(elevenlabs.ElevenLabsClient.transcribe)
    submit_transcription = blocking(elevenlabs.ElevenLabsClient.submit_transcription)

    def as_transcriber(self) -> TranscriberRole:
        """Recordings to text alone, with the names of everyone's; closing that closes this."""
        return TranscriberRole(self)

    # -- the account --

    def voices(self, **filters: Unpack[elevenlabs.VoiceFilters]) -> Pages[elevenlabs.Voice]:
        """See ``voicekit.ElevenLabsClient.voices``: ``page()`` for the first, or iterate."""
        return Pages(self, self._inner.voices(**filters))

    voice = blocking(elevenlabs.ElevenLabsClient.voice)
    voice_settings = blocking(elevenlabs.ElevenLabsClient.voice_settings)
    models = blocking(elevenlabs.ElevenLabsClient.models)
    user = blocking(elevenlabs.ElevenLabsClient.user)
    subscription = blocking(elevenlabs.ElevenLabsClient.subscription)
