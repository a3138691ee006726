"""``DeepgramClient``: what users hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

from voicekit.clients.base import ApiKey, Credential, by_name
from voicekit.clients.deepgram.config import (
    BASE_URL,
    REGIONAL,
    ListenDefaults,
    ListenOptions,
    ListenRequest,
    ListenSettings,
)
from voicekit.clients.deepgram.errors import PROVIDER
from voicekit.clients.deepgram.file_config import TranscriptionRequest
from voicekit.clients.deepgram.file_options import TranscriptionDefaults, TranscriptionOptions
from voicekit.clients.deepgram.files import SUBMIT, TRANSCRIBE, FileTranscription
from voicekit.clients.deepgram.live import OPEN_TRANSCRIPTION, LiveTranscription
from voicekit.clients.deepgram.speech import Speech, SpeechDefaults, SpeechSettings
from voicekit.clients.deepgram.speech.family import SUBMIT_SPEECH, SYNTHESIZE
from voicekit.clients.deepgram.speech.live import OPEN_SPEECH, STREAM_SPEECH
from voicekit.clients.deepgram.tokens import GRANT_TOKEN, TokenGrants
from voicekit.clients.settings import Settings, base_url_of
from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit import interfaces
    from voicekit.events import Observer
    from voicekit.operation import Limits, Operation
    from voicekit.resilience.policies import Policies
    from voicekit.speech import AudioSource
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.transport import Transport


class ClientOptions(ListenDefaults, TranscriptionDefaults, total=False):
    """Defaults for every call: those of transcription as they are, the others by family.

    Attributes:
        speech: Those of speech.
    """

    speech: SpeechDefaults


class DeepgramClient(FileTranscription, LiveTranscription, Speech, TokenGrants):
    """Transcription and speech with Deepgram, hosted or self-hosted, whole and live.

    Constructing does no I/O and needs no event loop. Every option of ``ListenDefaults`` and
    ``TranscriptionDefaults`` works here and in each call that it is for, and the call's wins;
    those of ``SpeechDefaults`` are given here as ``speech={…}``. As a ``Synthesizer`` it is
    ``as_synthesizer()``.

    Args:
        api_key: A key, or an async callable that returns the key for the next request or
            socket; the environment's ``DEEPGRAM_API_KEY`` by default.
        access_token: A short-lived token in place of the key, or an async callable that
            returns one: see ``grant_token``. It is read when a socket opens or a request
            goes out, and may expire afterwards.
        base_url: Where the API is; the environment's ``DEEPGRAM_BASE_URL``, else
            ``https://api.deepgram.com`` by default.
        region: One of ``REGIONS``, in place of ``base_url``: where audio is processed.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        proxy: ``http://[user:password@]host:port`` for its own transport.
        limits: Replaces the limits of operations by name: ``"open_transcription"``,
            ``"transcribe"``, ``"submit_transcription"``, ``"grant_token"``, ``"stream_speech"``,
            ``"synthesize"``, ``"open_speech"``, ``"submit_speech"``.
        policies: Around every operation (``Policies(retry=…, limit=…, breaker=…)``,
            ``NO_POLICIES``), or around single ones, by the same names.
        observers: See every event of this client.
        **options: Defaults for every call.

    Raises:
        MissingCredentialError: No key was given and the environment holds none.
        InvalidArgumentError: An argument or option is not allowed.

    Example:
        >>> async with DeepgramClient(language="en") as stt:
        ...     await stt.warm(1)
        ...     async with stt.open_transcription(format="pcm_16000") as session:
        ...         await session.send(pcm)
        ...         await session.finish()
        ...         async for result in session:
        ...             print(result.is_final, result.text)
        ...     heard = await stt.transcribe(Path("call.wav"), utterances=True)
        ...     print(heard.text)
    """

    families: ClassVar[Mapping[str, type[Settings]]] = {
        "transcription": ListenSettings,
        "speech": SpeechSettings,
    }
    operations: ClassVar[Mapping[str, Operation]] = by_name(
        OPEN_TRANSCRIPTION,
        TRANSCRIBE,
        SUBMIT,
        GRANT_TOKEN,
        STREAM_SPEECH,
        SYNTHESIZE,
        OPEN_SPEECH,
        SUBMIT_SPEECH,
    )

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
    ) -> None:
        if access_token is not None and api_key is not None:
            raise InvalidArgumentError(
                "stands in place of api_key", argument="access_token", allowed="one of both"
            )
        super().__init__(
            credential=Credential(
                api_key if access_token is None else access_token,
                env="DEEPGRAM_API_KEY",
                provider=PROVIDER,
            ),
            base_url=base_url_of(
                base_url, region, env="DEEPGRAM_BASE_URL", default=BASE_URL, regions=REGIONAL
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
        # Source: sheet §1.
        self._scheme = "Token" if access_token is None else "Bearer"
        self._live_requests = {}
        self._own_places = pool is None and transport is None

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
        view = self._view(options, limits, policies, observers)
        view._live_requests = {}
        return view

    @overload
    def request(self, /, **options: Unpack[ListenOptions]) -> ListenRequest: ...

    @overload
    def request(
        self, audio: AudioSource, /, **options: Unpack[TranscriptionOptions]
    ) -> TranscriptionRequest: ...

    def request(
        self, audio: AudioSource | None = None, /, **options: Any
    ) -> TranscriptionRequest | ListenRequest:
        """Merge, validate and freeze; no I/O but a look at a path or an open file.

        Args:
            audio: A recording, for ``transcribe``; without one it is a request for
                ``open_transcription``.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        if audio is None:
            return self.live_request(**options)
        return self.transcription_request(audio, **options)


if TYPE_CHECKING:
    _hears: type[interfaces.Transcriber] = DeepgramClient
    _listens: type[interfaces.TranscriptionSessions] = DeepgramClient
    _speaks: type[interfaces.SpeechSessions] = DeepgramClient
