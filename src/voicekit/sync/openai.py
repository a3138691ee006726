"""``OpenAIClient`` and ``AzureOpenAIClient``, blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from voicekit import interfaces
from voicekit.clients import openai
from voicekit.clients.openai.client import ClientOptions
from voicekit.clients.openai.config import ChatOptions, Messages
from voicekit.clients.openai.responses_config import Input
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioSource
from voicekit.sync.client import Client, Transport, declared, viewing
from voicekit.sync.delegation import Evidence, blocking, directly
from voicekit.sync.handles import DeltaStream, SpeechStream, TextStream
from voicekit.sync.keys import ApiKey, Ask
from voicekit.sync.roles import SynthesizerRole, TranscriberRole
from voicekit.sync.text import pieces_of
from voicekit.transport.config import PoolConfig

__all__ = ["AzureOpenAIClient", "OpenAIClient", "TranscriptStream"]


class TranscriptStream(DeltaStream):
    """See ``voicekit.clients.openai.TranscriptStream``: iterate for text deltas."""

    transcript = Evidence(openai.TranscriptStream.transcript)
    text = Evidence(openai.TranscriptStream.text)
    usage = Evidence(openai.TranscriptStream.usage)
    raw = Evidence(openai.TranscriptStream.raw)
    result = blocking(openai.TranscriptStream.result)


class OpenAIClient(Client[openai.OpenAIClient]):
    """See ``voicekit.OpenAIClient``; here everything blocks."""

    _kind: Any = openai.OpenAIClient

    @declared
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None: ...

    with_options = viewing(openai.OpenAIClient.with_options)

    # -- chat and responses --

    request = directly(openai.OpenAIClient.request)
    chat = blocking(openai.OpenAIClient.chat)
    response_request = directly(openai.OpenAIClient.response_request)
    respond = blocking(openai.OpenAIClient.respond)

    def stream_chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Unpack[ChatOptions]
    ) -> TextStream:
        """See ``voicekit.OpenAIClient.stream_chat``."""
        return TextStream(self, self._inner.stream_chat(messages, **options))

    def stream_response(
        self,
        input: Input | openai.ResponseRequest,  # noqa: A002 - the vendor's name
        /,
        **options: Unpack[openai.ResponseOptions],
    ) -> TextStream:
        """See ``voicekit.OpenAIClient.stream_response``."""
        return TextStream(self, self._inner.stream_response(input, **options))

    # -- speech and transcription --

    speech_request = directly(openai.OpenAIClient.speech_request)
    synthesize = blocking(openai.OpenAIClient.synthesize)
    transcription_request = directly(openai.OpenAIClient.transcription_request)
    transcribe = blocking(openai.OpenAIClient.transcribe)

    def stream_speech(
        self,
        text: str | interfaces.SpeechRequest,
        /,
        **options: Unpack[openai.SpeechOptions],
    ) -> SpeechStream:
        """See ``voicekit.OpenAIClient.stream_speech``."""
        return SpeechStream(self, self._inner.stream_speech(pieces_of(text), **options))

    def stream_transcription(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        /,
        **options: Unpack[openai.TranscriptionOptions],
    ) -> TranscriptStream:
        """See ``voicekit.OpenAIClient.stream_transcription``."""
        return TranscriptStream(self, self._inner.stream_transcription(audio, **options))

    def as_synthesizer(self) -> SynthesizerRole:
        """Speech alone, with the names of every voice; closing that closes this."""
        return SynthesizerRole(self)

    def as_transcriber(self) -> TranscriberRole:
        """Recordings to text alone, with the names of everyone's; closing that closes this."""
        return TranscriberRole(self)

    # -- embeddings and models --

    embedding_request = directly(openai.OpenAIClient.embedding_request)
    embed = blocking(openai.OpenAIClient.embed)
    models = blocking(openai.OpenAIClient.models)
    model = blocking(openai.OpenAIClient.model)


class AzureOpenAIClient(OpenAIClient):
    """See ``voicekit.AzureOpenAIClient``; here everything blocks, token providers too."""

    _kind = openai.AzureOpenAIClient

    @declared
    def __init__(
        self,
        *,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: ApiKey | None = None,
        azure_ad_token: str | None = None,
        azure_ad_token_provider: Ask | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None: ...
