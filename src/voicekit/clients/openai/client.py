"""``OpenAIClient``: chat completions, streamed and whole."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, cast

from voicekit.clients.base import ApiKey, Client, Credential
from voicekit.clients.execute import check_type, fetch_json, open_stream
from voicekit.clients.openai.config import (
    BASE_URL,
    CHAT_PATH,
    REGIONS,
    ChatDefaults,
    ChatOptions,
    ChatRequest,
    ChatSettings,
    Messages,
    account_headers,
)
from voicekit.clients.openai.errors import DIALECT, PROVIDER
from voicekit.clients.openai.protocol import Answer, chat_request, read_answer
from voicekit.clients.openai.stream import ChatDecoder, NotStreamed
from voicekit.clients.settings import Settings, base_url_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech import ChatResult
from voicekit.streams import TextStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit import interfaces
    from voicekit.events import Observer
    from voicekit.streams import Decoder, Opened
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request
    from voicekit.transport.transport import Transport

STREAM_CHAT = Operation(
    provider=PROVIDER,
    name="stream_chat",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=10.0, gap=5.0, total=60.0),
)
CHAT = Operation(
    provider=PROVIDER,
    name="chat",
    kind=OperationClass.COMPUTE,
    # Nothing useful comes before everything: the first output is the last.
    limits=Limits(connect=2.0, first_output=60.0, total=60.0),
)


class OpenAIClient(Client):
    """Chat with OpenAI's models, or with any server that speaks the same protocol.

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
        limits: Replaces the limits of an operation: ``"stream_chat"``, ``"chat"``.
        observers: See every event of this client.
        **options: Defaults for every call; ``model``, unless each call names one.

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

    provider: ClassVar[str] = PROVIDER
    families: ClassVar[Mapping[str, type[Settings]]] = {"chat": ChatSettings}

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
        observers: Sequence[Observer] = (),
        **options: Unpack[ChatDefaults],
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
            observers=observers,
            options=options,
        )
        self._url = self.base_url + CHAT_PATH
        self._account = account_headers(organization, project)

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ChatDefaults],
    ) -> Self:
        """This client with other defaults; shares everything else, connections above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option is not allowed.
        """
        return self._view(options, limits, observers)

    def request(self, messages: Messages, /, **options: Unpack[ChatOptions]) -> ChatRequest:
        """Merge, validate and freeze; no I/O.

        Args:
            messages: The conversation in the vendor's shape, or the text of one user message.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        return self._family(ChatSettings).updated(options).request(messages)

    def stream_chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Unpack[ChatOptions]
    ) -> TextStream:
        """The answer as it is written: iterate for text, see ``TextStream`` for the rest.

        Returns a handle without I/O; entering, awaiting or iterating it opens it, until the
        first text, refusal or tool call is in hand. Limits: connect 2 s, first output 10 s,
        gap 5 s, total 60 s. Cancelled while it opens, the request is abandoned and its
        connection closed and replaced.

        Args:
            messages: The conversation, its text, or a request made before (then no options).
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            AuthenticationError: The key is wrong or may not do this.
            InvalidRequestError: The vendor refuses the request as it is.
            RateLimitError: Too many requests or tokens per minute; see ``retry_after``.
            QuotaError: The account has no credit.
            UnavailableError: The vendor failed or is overloaded.
            TransportError: The connection failed, or what came is no chat stream.
            DeadlineError: A limit passed.
            StreamInterruptedError: While iterating: it broke off after its first output.
        """
        return TextStream(partial(self._open_chat, self._request_of(messages, options)))

    async def chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Unpack[ChatOptions]
    ) -> ChatResult:
        """The whole answer as one JSON document; ``stream_chat`` has the first words sooner.

        Limits: connect 2 s, total 60 s. Cancelled, the request is abandoned and its
        connection closed and replaced.

        Args:
            messages: The conversation, its text, or a request made before (then no options).
            **options: On top of the constructor's; ``stream_options`` is not sent.

        Raises:
            VoicekitError: As for ``stream_chat``.
        """
        request = self._request_of(messages, options)
        call = self._call(CHAT, request.limits)
        answer, response = await fetch_json(
            self.transport,
            self.pipeline(CHAT),
            call,
            partial(self._prepare, request, stream=False),
            DIALECT,
            _read,
        )
        return ChatResult(
            text=answer.text,
            refusal=answer.refusal,
            tool_calls=answer.tool_calls,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            model=answer.model,
            request_id=call.request_id,
            id=answer.id,
            timings=call.timings,
            connection=call.connection,
            headers=response.headers,
            raw=answer.raw,
        )

    def _request_of(
        self, messages: Messages | interfaces.ChatRequest, options: Mapping[str, Any]
    ) -> ChatRequest:
        if not isinstance(messages, ChatRequest):
            # Another provider's request is no conversation, and is refused as such.
            return self._family(ChatSettings).updated(options).request(cast("Messages", messages))
        if options:
            raise InvalidArgumentError(
                "a finished request takes no further options",
                argument=", ".join(options)[:200],
                allowed="in request()",
            )
        return messages

    async def _open_chat(self, request: ChatRequest) -> Opened[Any]:
        return await open_stream(
            self.transport,
            self.pipeline(STREAM_CHAT),
            self._call(STREAM_CHAT, request.limits),
            partial(self._prepare, request, stream=True),
            DIALECT,
            partial(_decoder, request.choices),
        )

    async def _prepare(self, request: ChatRequest, *, stream: bool) -> Request:
        return chat_request(
            self._url, await self._credential.get(), self._account, request, stream=stream
        )


def _decoder(choices: int, response: Response) -> Decoder[Any]:
    if "json" in response.headers.get("Content-Type", ""):
        return NotStreamed(response.headers)
    check_type(response, ("event-stream",))
    return ChatDecoder(response.headers, choices)


def _read(value: dict[str, Any], response: Response) -> tuple[Answer, Response]:
    return read_answer(value, response.headers), response


if TYPE_CHECKING:
    _conforms: type[interfaces.ChatModel] = OpenAIClient
