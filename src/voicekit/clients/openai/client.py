"""``OpenAIClient``: every family of OpenAI's operations, with one account."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, Unpack

from voicekit.clients.base import ApiKey, Credential, by_name
from voicekit.clients.openai.account import Account
from voicekit.clients.openai.chat import CHAT, STREAM_CHAT, ChatCompletions
from voicekit.clients.openai.config import (
    BASE_URL,
    REGIONS,
    ChatDefaults,
    ChatSettings,
    account_headers,
)
from voicekit.clients.openai.embedding import EMBED, Embedding
from voicekit.clients.openai.embedding_options import EmbeddingDefaults, EmbeddingSettings
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.openai.models import MODEL, MODELS, ModelDefaults, Models, ModelSettings
from voicekit.clients.openai.responses import RESPOND, STREAM_RESPONSE, Responses
from voicekit.clients.openai.responses_config import ResponseSettings
from voicekit.clients.openai.responses_options import ResponseDefaults
from voicekit.clients.openai.speech import STREAM_SPEECH, SYNTHESIZE, Speech
from voicekit.clients.openai.speech_options import SpeechDefaults, SpeechSettings
from voicekit.clients.openai.transcription import STREAM_TRANSCRIPTION, TRANSCRIBE, Transcription
from voicekit.clients.openai.transcription_options import TranscriptionDefaults
from voicekit.clients.openai.transcription_request import TranscriptionSettings
from voicekit.clients.settings import Settings, base_url_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit import interfaces
    from voicekit.events import Observer
    from voicekit.operation import Limits, Operation
    from voicekit.resilience.policies import Policies
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.transport import Transport


class ClientOptions(ChatDefaults, total=False):
    """Defaults for every call: those of a chat as they are, the others by family.

    Attributes:
        responses: Of responses, over those of a chat that mean the same.
        embedding: Of embeddings.
        models: Of the list of models.
        speech: Of speech.
        transcription: Of transcriptions.
    """

    responses: ResponseDefaults
    embedding: EmbeddingDefaults
    models: ModelDefaults
    speech: SpeechDefaults
    transcription: TranscriptionDefaults


class OpenAIClient(ChatCompletions, Responses, Embedding, Speech, Transcription, Models):
    """Chat, speak and listen with OpenAI's models, or with any server of the same protocol.

    Constructing does no I/O and needs no event loop. Every option of ``ChatDefaults``
    works here and in each call, and the call's wins.

    Args:
        api_key: A key, or an async callable that returns the key for the next request;
            the environment's ``OPENAI_API_KEY`` by default.
        base_url: Where the API is, its ``/v1`` included; the environment's
            ``OPENAI_BASE_URL``, else ``https://api.openai.com/v1`` by default.
        region: One of ``REGIONS``, in place of ``base_url``: where data stays.
        organization: Whose account pays; ``OPENAI_ORG_ID`` by default.
        project: Which project of it; ``OPENAI_PROJECT_ID`` by default.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        proxy: ``http://[user:password@]host:port`` for its own transport.
        limits: Replaces the limits of an operation: ``"stream_chat"``, ``"chat"``,
            ``"stream_response"``, ``"respond"``, ``"embed"``, ``"stream_speech"``,
            ``"synthesize"``, ``"transcribe"``, ``"stream_transcription"``, ``"models"``,
            ``"model"``.
        policies: Around every operation (``Policies(retry=…, limit=…, breaker=…)``,
            ``NO_POLICIES``), or around single ones, by the same names.
        observers: See every event of this client.
        **options: Defaults for every call; ``model``, unless each call names one. Those of
            the other families are mappings: ``speech={"model": …, "voice": …}``.

    Raises:
        MissingCredentialError: No key was given and the environment holds none.
        InvalidArgumentError: An argument or option is not allowed.

    Example:
        >>> async with OpenAIClient(model="gpt-5.5", reasoning_effort="none") as llm:
        ...     async with llm.stream_chat("When are you open?") as reply:
        ...         async for text in reply:
        ...             print(text, end="")
        ...     print(reply.usage, reply.timings)
    """

    families: ClassVar[Mapping[str, type[Settings]]] = {
        "chat": ChatSettings,
        "responses": ResponseSettings,
        "embedding": EmbeddingSettings,
        "models": ModelSettings,
        "speech": SpeechSettings,
        "transcription": TranscriptionSettings,
    }
    operations: ClassVar[Mapping[str, Operation]] = by_name(
        STREAM_CHAT,
        CHAT,
        STREAM_RESPONSE,
        RESPOND,
        EMBED,
        STREAM_SPEECH,
        SYNTHESIZE,
        TRANSCRIBE,
        STREAM_TRANSCRIPTION,
        MODELS,
        MODEL,
    )

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
    ) -> None:
        super().__init__(
            credential=Credential(api_key, env="OPENAI_API_KEY", provider=PROVIDER),
            base_url=base_url_of(
                base_url, region, env="OPENAI_BASE_URL", default=BASE_URL, regions=REGIONS
            ),
            transport=transport,
            pool=pool,
            ca=ca,
            proxy=proxy,
            limits=limits,
            policies=policies,
            observers=observers,
            options=options,
        )
        self._account = Account(self.base_url, account_headers(organization, project))

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """This client with other defaults; shares everything else, connections above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option is not allowed.
        """
        return self._view(options, limits, policies, observers)


if TYPE_CHECKING:
    _conforms: type[interfaces.ChatModel] = OpenAIClient
