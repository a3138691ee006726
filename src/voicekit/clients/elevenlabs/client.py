"""``ElevenLabsClient``: what users hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self, Unpack

from voicekit.clients.base import ApiKey, Credential, by_name
from voicekit.clients.elevenlabs.account import (
    MODELS,
    SUBSCRIPTION,
    USER,
    VOICE,
    VOICE_SETTINGS,
    VOICES,
    Account,
)
from voicekit.clients.elevenlabs.account_options import AccountDefaults, AccountSettings
from voicekit.clients.elevenlabs.config import BASE_URL, REGIONS, SpeechSettings
from voicekit.clients.elevenlabs.errors import PROVIDER
from voicekit.clients.elevenlabs.live import OPEN_SPEECH, STREAM_SPEECH
from voicekit.clients.elevenlabs.options import SpeechDefaults
from voicekit.clients.elevenlabs.places import Places
from voicekit.clients.elevenlabs.speech import SYNTHESIZE, Speech
from voicekit.clients.elevenlabs.transcription import (
    SUBMIT_TRANSCRIPTION,
    TRANSCRIBE,
    FileTranscription,
)
from voicekit.clients.elevenlabs.transcription_config import TranscriptionSettings
from voicekit.clients.elevenlabs.transcription_options import TranscriptionDefaults
from voicekit.clients.settings import Settings, base_url_of
from voicekit.events import Observer
from voicekit.operation import Limits, Operation
from voicekit.resilience.policies import Policies
from voicekit.transport.config import PoolConfig
from voicekit.transport.transport import Transport

if TYPE_CHECKING:
    from voicekit import interfaces

Region = Literal["us", "eu", "in", "sg"]


class ClientOptions(SpeechDefaults, total=False):
    """Defaults for every call: those of speech as they are, the others by family.

    Attributes:
        transcription: Those of recordings to text.
        account: Those of voices, models and the user.
    """

    transcription: TranscriptionDefaults
    account: AccountDefaults


class ElevenLabsClient(Speech, FileTranscription, Account):
    """Text to speech and speech to text by ElevenLabs.

    Whole texts go over HTTP, text that is still being written over sockets that are kept
    open; recordings are uploaded. Constructing does no I/O.

    Args:
        api_key: A key, or an async callable that returns one; ``ELEVENLABS_API_KEY`` by
            default.
        base_url: Where the service is; ``ELEVENLABS_BASE_URL`` by default (a name of
            ours: the vendor's SDK reads none), else the region's.
        region: ``"us"``, ``"eu"``, ``"in"`` or ``"sg"``; the last three are isolated and
            have keys of their own. Not together with ``base_url``.
        transport: Connections to share with other clients.
        pool: Sizes and ages of its own connections.
        ca: PEM file of certificate authorities.
        proxy: ``http://[user:password@]host:port`` to go through.
        limits: Replaces the limits of operations by name: ``"stream_speech"``,
            ``"synthesize"``, ``"open_speech"``, ``"transcribe"``,
            ``"submit_transcription"``, ``"voices"``, ``"voice"``, ``"voice_settings"``,
            ``"models"``, ``"user"``, ``"subscription"``.
        policies: Around every operation (``Policies(retry=…, limit=…, breaker=…)``,
            ``NO_POLICIES``), or around single ones, by the same names.
        observers: See every event.
        **options: Defaults of every call, ``voice`` above all; see ``SpeechDefaults``;
            ``transcription={…}`` for those of ``transcribe``, see ``TranscriptionDefaults``.

    Raises:
        MissingCredentialError: There is no key.
        InvalidArgumentError: An option makes no sense.

    Example:
        >>> async with ElevenLabsClient(voice="21m00Tcm4TlvDq8ikWAM") as tts:
        ...     await tts.warm(2)
        ...     clip = await tts.synthesize("Hello")
    """

    families: ClassVar[Mapping[str, type[Settings]]] = {
        "speech": SpeechSettings,
        "transcription": TranscriptionSettings,
        "account": AccountSettings,
    }
    operations: ClassVar[Mapping[str, Operation]] = by_name(
        STREAM_SPEECH,
        SYNTHESIZE,
        OPEN_SPEECH,
        TRANSCRIBE,
        SUBMIT_TRANSCRIPTION,
        VOICES,
        VOICE,
        VOICE_SETTINGS,
        MODELS,
        USER,
        SUBSCRIPTION,
    )

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
    ) -> None:
        super().__init__(
            credential=Credential(api_key, env="ELEVENLABS_API_KEY", provider=PROVIDER),
            base_url=base_url_of(
                base_url, region, env="ELEVENLABS_BASE_URL", default=BASE_URL, regions=REGIONS
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
        self._places = Places(fixed=pool is not None or transport is not None)
        self._headers = ("", {}, {})

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
            InvalidArgumentError: An option makes no sense.
        """
        return self._view(options, limits, policies, observers)


if TYPE_CHECKING:
    _conforms: type[interfaces.Synthesizer] = ElevenLabsClient
    _opens: type[interfaces.SpeechSessions] = ElevenLabsClient
