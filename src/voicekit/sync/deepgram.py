"""``DeepgramClient``, blocking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack, overload

from voicekit import interfaces
from voicekit.clients import deepgram
from voicekit.clients.deepgram.client import ClientOptions
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioSource
from voicekit.sync import utterances
from voicekit.sync.client import Client, Transport, declared, viewing
from voicekit.sync.delegation import Evidence, blocking, directly
from voicekit.sync.handles import Handle, SpeechStream
from voicekit.sync.keys import ApiKey
from voicekit.sync.roles import SpeakingRole
from voicekit.sync.text import pieces_of
from voicekit.transport.config import PoolConfig

__all__ = ["DeepgramClient", "FedUtterance", "TranscriptionSession", "Utterance"]


class TranscriptionSession(Handle[deepgram.ListenEvent]):
    """See ``voicekit.clients.deepgram.TranscriptionSession``.

    One thread may send while another iterates.

    Example:
        >>> with stt.open_transcription(format="pcm_16000") as session:
        ...     threading.Thread(target=microphone, args=(session.send,)).start()
        ...     for result in session:
        ...         print(result.is_final, result.text)
    """

    request = Evidence[deepgram.ListenRequest](doc="What was asked for.")
    send = blocking(deepgram.TranscriptionSession.send)
    finalize = blocking(deepgram.TranscriptionSession.finalize)
    finish = blocking(deepgram.TranscriptionSession.finish)
    configure = blocking(deepgram.TranscriptionSession.configure)
    result = blocking(deepgram.TranscriptionSession.result)
    transcript = Evidence(deepgram.TranscriptionSession.transcript)
    metadata = Evidence(deepgram.TranscriptionSession.metadata)
    headers = Evidence(deepgram.TranscriptionSession.headers)
    reconnects = Evidence(deepgram.TranscriptionSession.reconnects)
    gaps = Evidence(deepgram.TranscriptionSession.gaps)


class Utterance(utterances.SpokenSession):
    """See ``voicekit.clients.deepgram.Utterance``: ``send``, ``finish`` and iterate."""

    send = blocking(deepgram.Utterance.send)
    flush = blocking(deepgram.Utterance.flush)
    finish = blocking(deepgram.Utterance.finish)
    metadata = Evidence(deepgram.Utterance.metadata)


class FedUtterance(utterances.Fed, Utterance):
    """See ``voicekit.clients.deepgram.FedUtterance``: speech from an iterable of text."""

    send = blocking(deepgram.FedUtterance.send)
    flush = blocking(deepgram.FedUtterance.flush)
    finish = blocking(deepgram.FedUtterance.finish)


class DeepgramClient(Client[deepgram.DeepgramClient]):
    """See ``voicekit.DeepgramClient``; here everything blocks."""

    _kind = deepgram.DeepgramClient

    @declared
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        access_token: ApiKey | None = None,
        base_url: str | None = None,
        region: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None: ...

    with_options = viewing(deepgram.DeepgramClient.with_options)

    # -- transcription --

    @overload
    def request(self, /, **options: Unpack[deepgram.ListenOptions]) -> deepgram.ListenRequest: ...

    @overload
    def request(
        self, audio: AudioSource, /, **options: Unpack[deepgram.TranscriptionOptions]
    ) -> deepgram.TranscriptionRequest: ...

    def request(
        self, audio: AudioSource | None = None, /, **options: Any
    ) -> deepgram.TranscriptionRequest | deepgram.ListenRequest:
        """See ``voicekit.DeepgramClient.request``."""
        if audio is None:
            return self._inner.request(**options)
        return self._inner.request(audio, **options)

    live_request = directly(deepgram.DeepgramClient.live_request)
    transcription_request = directly(deepgram.DeepgramClient.transcription_request)
    transcribe = blocking(deepgram.DeepgramClient.transcribe)
    submit_transcription = blocking(deepgram.DeepgramClient.submit_transcription)

    def open_transcription(
        self,
        request: deepgram.ListenRequest | None = None,
        /,
        **options: Unpack[deepgram.ListenOptions],
    ) -> TranscriptionSession:
        """See ``voicekit.DeepgramClient.open_transcription``."""
        return TranscriptionSession(self, self._inner.open_transcription(request, **options))

    # -- speech --

    speech_request = directly(deepgram.DeepgramClient.speech_request)
    synthesize = blocking(deepgram.DeepgramClient.synthesize)
    submit_speech = blocking(deepgram.DeepgramClient.submit_speech)

    @overload
    def stream_speech(  # type: ignore[overload-overlap] # a str is no text in pieces
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[deepgram.SpeechOptions]
    ) -> SpeechStream: ...

    @overload
    def stream_speech(
        self, text: Iterable[str], /, **options: Unpack[deepgram.SpeechOptions]
    ) -> FedUtterance: ...

    @overload
    def stream_speech(
        self,
        text: str | Iterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[deepgram.SpeechOptions],
    ) -> SpeechStream | FedUtterance: ...

    def stream_speech(
        self,
        text: str | Iterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[deepgram.SpeechOptions],
    ) -> SpeechStream | FedUtterance:
        """See ``voicekit.DeepgramClient.stream_speech``.

        A blocking iterable is read in a thread of its own; a blocking stream of a model's
        text never leaves the event loop.
        """
        inner: Any = self._inner.stream_speech(pieces_of(text), **options)
        fed = isinstance(inner, deepgram.FedUtterance)
        return FedUtterance(self, inner) if fed else SpeechStream(self, inner)

    def open_speech(self, **options: Unpack[deepgram.SpeechOptions]) -> Utterance:
        """See ``voicekit.DeepgramClient.open_speech``."""
        return Utterance(self, self._inner.open_speech(**options))

    def as_synthesizer(self) -> SpeakingRole:
        """Speech alone, with the names of every voice; closing that closes this."""
        return SpeakingRole(self)

    # -- the account --

    grant_token = blocking(deepgram.DeepgramClient.grant_token)
