"""``ElevenLabsClient``: what users hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, Unpack, cast, overload

from voicekit.clients.base import ApiKey, Client, Credential
from voicekit.clients.checks import wrong
from voicekit.clients.elevenlabs.config import (
    BASE_URL,
    REGIONS,
    SessionSettings,
    SpeechRequest,
    SpeechSettings,
)
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.fed import FedUtterance
from voicekit.clients.elevenlabs.options import SpeechDefaults, SpeechOptions
from voicekit.clients.elevenlabs.protocol import (
    AudioDecoder,
    http_headers,
    http_request,
    most_bytes,
    socket_url,
    usage_of,
)
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.sockets import ContextSocket
from voicekit.clients.elevenlabs.studio import Studio
from voicekit.clients.execute import open_socket, open_stream
from voicekit.clients.settings import Settings, base_url_of
from voicekit.errors import InvalidArgumentError
from voicekit.events import Observer
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.speech import AudioChunk, AudioClip
from voicekit.streams import Opened, SpeechStream
from voicekit.transport.config import PoolConfig, WarmReport
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.transport.interfaces import Response
    from voicekit.transport.lease import DialFacts
    from voicekit.transport.pool import SocketPool

__all__ = ["ElevenLabsClient"]

_SPEECH: Final = Limits(connect=2.0, first_output=5.0, gap=5.0)

STREAM_SPEECH: Final = Operation(
    provider=PROVIDER, name="stream_speech", kind=OperationClass.COMPUTE, limits=_SPEECH
)
SYNTHESIZE: Final = Operation(
    provider=PROVIDER,
    name="synthesize",
    kind=OperationClass.COMPUTE,
    limits=replace(_SPEECH, total=30.0),
)
OPEN_SPEECH: Final = Operation(
    provider=PROVIDER, name="open_speech", kind=OperationClass.COMPUTE, limits=_SPEECH
)
DIAL: Final = Operation(
    provider=PROVIDER,
    name="dial_speech",
    kind=OperationClass.PURE,
    limits=Limits(connect=2.0, first_output=5.0),
)
"""A socket's own opening, which serves many calls; first output is the handshake's answer."""

PER_CHARACTER_S: Final = 0.015
"""What a character adds to the total limit of a whole synthesis."""

SOCKETS: Final = 5
"""Sockets of one kind at a time, unless a pool or a transport says otherwise: what the small
plans generate at once. Grows when a response says that the account has more; as many
connections stay for HTTP. Source: models page, concurrency, August 2025."""

CUTOFF_MARGIN: Final = 5.0
"""Seconds before the server's inactivity timeout at which a socket is taken for dead."""

Region = Literal["us", "eu", "in", "sg"]


class ElevenLabsClient(Client):
    """Text to speech by ElevenLabs.

    Whole texts go over HTTP, text that is still being written over sockets that are kept
    open. Constructing does no I/O.

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
            ``"synthesize"``, ``"open_speech"``.
        observers: See every event.
        **options: Defaults of every call, ``voice`` above all; see ``SpeechDefaults``.

    Raises:
        MissingCredentialError: There is no key.
        InvalidArgumentError: An option makes no sense.

    Example:
        >>> async with ElevenLabsClient(voice="21m00Tcm4TlvDq8ikWAM") as tts:
        ...     await tts.warm(2)
        ...     clip = await tts.synthesize("Hello")
    """

    provider: ClassVar[str] = PROVIDER
    families: ClassVar[Mapping[str, type[Settings]]] = {"speech": SpeechSettings}

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
        observers: Sequence[Observer] = (),
        **options: Unpack[SpeechDefaults],
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
            observers=observers,
            options=options,
        )
        self._places = None if pool is not None or transport is not None else SOCKETS
        self._pools: list[SocketPool] = []  # that grow with it
        self._maximum: str | None = None
        self._headers: tuple[str, Mapping[str, str], Mapping[str, str]] = ("", {}, {})

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[SpeechDefaults],
    ) -> Self:
        """This client with other defaults; shares everything else, connections above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option makes no sense.
        """
        return self._view(options, limits, observers)

    # -- whole texts ----------------------------------------------------------------------

    def request(self, text: str, /, **options: Unpack[SpeechOptions]) -> SpeechRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        return self._family(SpeechSettings).updated(options, where="text").request(text)

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> AudioClip:
        """The whole speech as one clip, by way of the streaming endpoint.

        Limited to 30 s and 15 ms per character in all, beside the limits of a stream.
        Cancelling frees the connection at once.

        Raises:
            InvalidArgumentError: Before any I/O.
            StreamInterruptedError: It broke after its first audio.
            VoicekitError: It failed before; see ``errors``.
        """
        request = self._request_of(text, options)
        limits = request.limits or self._limits.get(SYNTHESIZE.name)
        if limits is None:
            total = 30.0 + PER_CHARACTER_S * len(request.text)
            limits = replace(SYNTHESIZE.limits, total=total)
        return await self._stream(request, SYNTHESIZE, limits).clip()

    @overload
    def stream_speech(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> SpeechStream: ...

    @overload
    def stream_speech(
        self, text: AsyncIterable[str], /, **options: Unpack[SpeechOptions]
    ) -> FedUtterance: ...

    @overload
    def stream_speech(
        self,
        text: str | AsyncIterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream | FedUtterance: ...

    def stream_speech(
        self,
        text: str | AsyncIterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream | FedUtterance:
        """Speech as it is made. No I/O before the handle is awaited, entered or iterated.

        A ``str`` or a request goes over HTTP; opening ends with the first audio. Text from
        an async iterable, such as a model's stream, goes over a pooled socket as it is
        written; opening ends with the socket.

        Raises:
            InvalidArgumentError: An option or the text makes no sense.
        """
        if isinstance(text, str | SpeechRequest):
            request = self._request_of(text, options)
            return self._stream(request, STREAM_SPEECH, request.limits)
        if not isinstance(text, AsyncIterable):
            raise wrong("text", text, "a str, an async iterable of str, or a request")
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return FedUtterance(self._studio(settings, STREAM_SPEECH), settings, text)

    def _request_of(
        self, text: str | interfaces.SpeechRequest, options: Mapping[str, Any]
    ) -> SpeechRequest:
        if isinstance(text, SpeechRequest):
            if options:
                raise InvalidArgumentError(
                    "a request has its options already",
                    argument=next(iter(options)),
                    allowed="options in request(), or a text with options",
                )
            return text
        # Another provider's request is no text, and is refused as such.
        return (
            self._family(SpeechSettings).updated(options, where="text").request(cast("str", text))
        )

    def _stream(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> SpeechStream:
        return SpeechStream(
            partial(self._open_stream, request, operation, limits),
            format=request.format,
            usage=usage_of,
        )

    async def _open_stream(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> Opened[AudioChunk]:
        def decode(response: Response) -> AudioDecoder:
            most = most_bytes(request.format, len(request.text))
            return AudioDecoder(request.format, response.headers, most=most)

        opened = await open_stream(
            self.transport,
            self.pipeline(operation),
            self._call(operation, limits),
            partial(self._prepare, request),
            DIALECT,
            decode,
        )
        if self._places is not None:
            self._learn(opened.response.headers.get("maximum-concurrent-requests"))
        return opened

    def _learn(self, maximum: str | None) -> None:
        """Let the pools grow to what the account may do at once."""
        if maximum == self._maximum or maximum is None:
            return
        self._maximum = maximum
        if maximum.isascii() and maximum.isdigit() and len(maximum) < 6:
            most = max(SOCKETS, self.transport.config.max_connections - SOCKETS)
            self._places = min(max(SOCKETS, int(maximum)), most)
            for pool in self._pools:
                pool.resize(self._places)

    async def _prepare(self, request: SpeechRequest) -> Request:
        key = await self._credential.get()
        known, extra, headers = self._headers
        if key != known or request.headers is not extra:
            headers = http_headers(key, request.headers)
            self._headers = (key, request.headers, headers)
        return http_request(self.base_url, request, headers)

    # -- text in pieces --------------------------------------------------------------------

    def open_speech(self, **options: Unpack[SpeechOptions]) -> Utterance:
        """One session is one utterance: ``send``, ``finish``, iterate; or ``cancel``.

        No I/O before the handle is awaited, entered or iterated.

        Raises:
            InvalidArgumentError: An option makes no sense, or the model or the format is
                not for sockets.
        """
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return Utterance(self._studio(settings, OPEN_SPEECH), settings)

    def _studio(self, settings: SessionSettings, operation: Operation) -> Studio:
        return Studio(
            make_call=partial(self._call, operation, settings.limits),
            pipeline=self.pipeline(operation),
            pool=partial(self._socket_pool, settings),
            background=lambda: self.transport.background,
        )

    def _socket_pool(self, settings: SessionSettings) -> SocketPool:
        """The sockets that are alike in everything a handshake fixes."""
        url = socket_url(self.base_url, settings.target)
        key = (url, self._credential.fingerprint, frozenset(settings.headers.items()))
        return self.transport.socket_pool(key, partial(self._make_pool, url, settings))

    def _make_pool(self, url: str, settings: SessionSettings) -> SocketPool:
        from voicekit.transport.pool import SocketPool

        config = self.transport.config
        if self._places is not None:
            config = replace(config, max_connections=self._places)
        pool = SocketPool(
            dial=partial(_dial, self.transport, self._credential, url, settings.headers),
            config=config,
            background=self.transport.background,
            cutoff=max(1.0, settings.inactivity_timeout - CUTOFF_MARGIN),
        )
        if self._places is not None:
            self._pools.append(pool)
        return pool

    async def _warm(self, n: int) -> WarmReport:
        """``n`` HTTP connections, and as many sockets of the constructor's settings.

        Neither is billed: no request is sent, and an idle socket counts against no limit,
        since only generation does. Source: models page, concurrency, August 2025.
        """
        pool = (
            self._socket_pool(self._family(SpeechSettings).session)
            if self._speaks_on_sockets
            else None
        )
        if pool is None:
            return await super()._warm(n)
        # Sockets first to ask, so that they do not take over what was dialled for HTTP.
        async with asyncio.TaskGroup() as group:
            sockets = group.create_task(pool.warm(n))
            http = group.create_task(super()._warm(n))
        return _sum(sockets.result(), http.result())

    @property
    def _speaks_on_sockets(self) -> bool:
        """Whether the constructor's settings make a socket: a voice, and a model that has one."""
        try:
            return bool(self._family(SpeechSettings).session)
        except InvalidArgumentError:
            return False


async def _dial(
    transport: Transport,
    credential: Credential,
    url: str,
    extra: Mapping[str, str],
    _facts: DialFacts,
) -> ContextSocket:
    """Open one socket. It has limits of its own; cancelled, it leaves nothing open."""
    call = Call(DIAL)

    async def step(call: Call) -> ContextSocket:
        headers = {"xi-api-key": await credential.get(), **extra}
        request = Request("GET", url, headers)
        socket = await open_socket(transport, call, request, DIALECT)
        return ContextSocket(socket, tls_s=call.tls_s)

    try:
        socket = await call.attempt(step)
    except BaseException as error:
        call.end(error)
        raise
    call.end()
    return socket


def _sum(one: WarmReport, other: WarmReport) -> WarmReport:
    return WarmReport(
        opened=one.opened + other.opened,
        reused=one.reused + other.reused,
        failures=tuple(sorted(one.failures + other.failures)),
        elapsed=max(one.elapsed, other.elapsed),
    )


if TYPE_CHECKING:
    _conforms: type[interfaces.Synthesizer] = ElevenLabsClient
    _opens: type[interfaces.SpeechSessions] = ElevenLabsClient
