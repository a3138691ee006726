"""``DeepgramClient``: live transcription."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from voicekit.clients.base import ApiKey, Client, Credential
from voicekit.clients.deepgram.config import (
    BASE_URL,
    LISTEN_PATH,
    REGIONAL,
    ListenDefaults,
    ListenOptions,
    ListenRequest,
    ListenSettings,
)
from voicekit.clients.deepgram.errors import DIALECT, PROVIDER
from voicekit.clients.deepgram.protocol import listen_request
from voicekit.clients.deepgram.sessions import TranscriptionSession
from voicekit.clients.execute import open_socket
from voicekit.clients.settings import Settings, base_url_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit import interfaces
    from voicekit.background import Background
    from voicekit.events import Observer
    from voicekit.operation import Call
    from voicekit.transport.config import PoolConfig, WarmReport
    from voicekit.transport.interfaces import Socket
    from voicekit.transport.transport import Transport

OPEN_TRANSCRIPTION = Operation(
    provider=PROVIDER,
    name="open_transcription",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, gap=10.0),
)
# What the provider owes first is its answer to the handshake.
_LIMITS = replace(OPEN_TRANSCRIPTION.limits, first_output=OPEN_TRANSCRIPTION.limits.gap)

# Source: ours. Calls have few sets of options, most often one.
_MAX_REQUESTS = 64


class DeepgramClient(Client):
    """Live transcription with Deepgram, hosted or self-hosted.

    Constructing does no I/O and needs no event loop. Every option of ``ListenDefaults``
    works here and in each call, and the call's wins.

    Args:
        api_key: A key, or an async callable that returns the key for the next socket; the
            environment's ``DEEPGRAM_API_KEY`` by default.
        access_token: A short-lived token in place of the key, or an async callable that
            returns one. It is read when a socket opens and may expire afterwards.
        base_url: Where the API is; the environment's ``DEEPGRAM_BASE_URL``, else
            ``https://api.deepgram.com`` by default.
        region: One of ``REGIONS``, in place of ``base_url``: where audio is processed.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        proxy: ``http://[user:password@]host:port`` for its own transport.
        limits: Replaces the limits of an operation: ``"open_transcription"``.
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
    """

    provider: ClassVar[str] = PROVIDER
    families: ClassVar[Mapping[str, type[Settings]]] = {"transcription": ListenSettings}

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
        observers: Sequence[Observer] = (),
        **options: Unpack[ListenDefaults],
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
            observers=observers,
            options=options,
        )
        # Source: sheet §1.
        self._scheme = "Token" if access_token is None else "Bearer"
        self._requests: dict[tuple[Any, ...], ListenRequest] = {}
        self._listen_url = f"ws{self.base_url.removeprefix('http')}{LISTEN_PATH}"

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ListenDefaults],
    ) -> Self:
        """This client with other defaults; shares everything else, connections above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option is not allowed.
        """
        view = self._view(options, limits, observers)
        view._requests = {}
        return view

    def request(self, **options: Unpack[ListenOptions]) -> ListenRequest:
        """Merge, validate and freeze; no I/O.

        Args:
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        # By type as well: 0 and False are equal, and not the same.
        key = tuple([(name, type(value), value) for name, value in options.items()])
        try:
            known = self._requests.get(key)
        except TypeError:  # a list or a mapping, which has no hash
            return self._family(ListenSettings).updated(options).request()
        if known is None:
            known = self._family(ListenSettings).updated(options).request()
            if len(self._requests) < _MAX_REQUESTS:
                self._requests[key] = known
        return known

    def open_transcription(
        self, request: ListenRequest | None = None, /, **options: Unpack[ListenOptions]
    ) -> TranscriptionSession:
        """Audio goes in, interim and final results come out: see ``TranscriptionSession``.

        Returns a handle without I/O; entering, awaiting or iterating it opens one socket, on
        a warm connection if there is one (``session.connection.reused``). Limits: connect
        2 s; gap 10 s, for the handshake's answer and for results while audio was sent that
        none of them covers, or after ``finish()``. Cancelled while it opens, nothing is
        left. A session that breaks is not reopened.

        Args:
            request: A request made before (then no options).
            **options: On top of the constructor's; ``format`` above all.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            AuthenticationError: The key is wrong or may not do this.
            InvalidRequestError: The vendor refuses the request, or cannot decode the audio.
            RateLimitError: Too many streams are open on the account.
            QuotaError: The account has no credit.
            UnavailableError: The vendor failed, or closed for want of audio.
            TransportError: The connection failed, or what came is no transcription.
            DeadlineError: A limit passed.
            StreamInterruptedError: While iterating: it broke off after its first result.
        """
        if request is None:
            request = self.request(**options)
        elif not isinstance(request, ListenRequest):
            raise InvalidArgumentError(
                f"got a {type(request).__name__}",
                argument="request",
                allowed="what request() returns; audio is for the session's send()",
            )
        elif options:
            raise InvalidArgumentError(
                "a finished request takes no further options",
                argument=", ".join(options)[:200],
                allowed="in request()",
            )
        return TranscriptionSession(
            request,
            make_call=partial(self._listen_call, request.limits),
            dial=partial(self._dial, request),
            background=self._background,
        )

    async def _warm(self, n: int) -> WarmReport:
        # TLS only: an open stream counts against the account's concurrent streams, and
        # needs audio within 10 s. Source: sheet §3 and §9. A handshake on a warm
        # connection takes one round trip.
        return await super()._warm(n)

    def _background(self) -> Background:
        return self.transport.background

    def _listen_call(self, limits: Limits | None) -> Call:
        call = self._call(OPEN_TRANSCRIPTION, limits)
        if call.limits is OPEN_TRANSCRIPTION.limits:
            call.limits = _LIMITS
        elif call.limits.first_output is None:
            call.limits = replace(call.limits, first_output=call.limits.gap)
        return call

    async def _dial(self, request: ListenRequest, call: Call) -> Socket:
        return await self.pipeline(OPEN_TRANSCRIPTION).open(call, partial(self._attempt, request))

    async def _attempt(self, request: ListenRequest, call: Call) -> Socket:
        key = await self._credential.get()
        handshake = listen_request(self._listen_url, self._scheme, key, request)
        return await open_socket(self.transport, call, handshake, DIALECT)


if TYPE_CHECKING:
    _conforms: type[interfaces.TranscriptionSessions] = DeepgramClient
