"""Responses, a part of ``OpenAIClient``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.checks import no_options
from voicekit.clients.execute import check_type, fetch_json, open_stream
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.config import ChatSettings
from voicekit.clients.openai.errors import DIALECT, PROVIDER
from voicekit.clients.openai.responses_config import Input, ResponseRequest, ResponseSettings
from voicekit.clients.openai.responses_options import ResponseOptions
from voicekit.clients.openai.responses_protocol import read_response, response_request
from voicekit.clients.openai.responses_stream import ResponseDecoder
from voicekit.clients.openai.results import result_of
from voicekit.clients.openai.stream import NotStreamed
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.streams import TextStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.clients.openai.protocol import Answer
    from voicekit.speech import ChatResult
    from voicekit.streams import Decoder, Opened
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request

STREAM_RESPONSE: Final = Operation(
    provider=PROVIDER,
    name="stream_response",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=10.0, gap=5.0, total=60.0),
)
RESPOND: Final = Operation(
    provider=PROVIDER,
    name="respond",
    kind=OperationClass.COMPUTE,
    # Nothing useful comes before everything: the first output is the last.
    limits=Limits(connect=2.0, first_output=60.0, total=60.0),
)


class Responses(Authorized):
    """Answers in the shape of responses, streamed and whole.

    Of OpenAI's two shapes this is the one that gets new features; most compatible servers
    have chat completions only.
    """

    def response_request(
        self,
        input: Input,  # noqa: A002 - the vendor's word
        /,
        **options: Unpack[ResponseOptions],
    ) -> ResponseRequest:
        """Merge, validate and freeze; no I/O.

        Args:
            input: The text of one user message, or items in the vendor's shape: messages,
                calls of tools and their outputs.
            **options: On top of the constructor's ``responses`` and, where those name none,
                of a chat's that mean the same.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        settings = self._family(ResponseSettings).updated(options)
        return settings.request(input, self._family(ChatSettings))

    def stream_response(
        self,
        input: Input | ResponseRequest,  # noqa: A002 - the vendor's word
        /,
        **options: Unpack[ResponseOptions],
    ) -> TextStream:
        """The answer as it is written: iterate for text, see ``TextStream`` for the rest.

        ``events()`` has the reasoning that the model tells, as ``ReasoningDelta``, and each
        other event as ``ResponseEvent``. ``id`` continues the response, in the next call's
        ``previous_response_id``; ``raw`` is the vendor's own object, with its ``status``.

        Returns a handle without I/O; entering, awaiting or iterating it opens it, until the
        first text, refusal or tool call is in hand: a reasoning model may think for longer
        than the limit allows. Limits: connect 2 s, first output 10 s, gap 5 s, total 60 s.
        Cancelled while it opens, the request is abandoned and its connection closed and
        replaced.

        Args:
            input: What is asked, or a request made before (then no options).
            **options: As for ``response_request``.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            AuthenticationError: The key is wrong or may not do this.
            InvalidRequestError: The vendor refuses the request as it is.
            RateLimitError: Too many requests or tokens per minute; see ``retry_after``.
            QuotaError: The account has no credit.
            UnavailableError: The vendor failed or is overloaded.
            TransportError: The connection failed, or what came is no stream of a response.
            DeadlineError: A limit passed.
            StreamInterruptedError: While iterating: it broke off, or the response failed,
                after its first output.
        """
        return TextStream(partial(self._open_response, self._asked(input, options)))

    async def respond(
        self,
        input: Input | ResponseRequest,  # noqa: A002 - the vendor's word
        /,
        **options: Unpack[ResponseOptions],
    ) -> ChatResult:
        """The whole answer as one document; ``stream_response`` has the first words sooner.

        Limits: connect 2 s, total 60 s. Cancelled, the request is abandoned and its
        connection closed and replaced.

        Args:
            input: What is asked, or a request made before (then no options).
            **options: As for ``response_request``; ``stream_options`` is not sent.

        Returns:
            The answer; its ``finish_reason`` in a chat's words (``"stop"``,
            ``"tool_calls"``, ``"length"``, ``"content_filter"``), or else the ``status``.

        Raises:
            VoicekitError: As for ``stream_response``.
        """
        request = self._asked(input, options)
        call = self._call(RESPOND, request)
        answer, response = await fetch_json(
            self.transport,
            call,
            partial(self._prepare_response, request, stream=False),
            DIALECT,
            _read,
        )
        return result_of(answer, call, response.headers)

    def _asked(self, asked: Input | ResponseRequest, options: Mapping[str, Any]) -> ResponseRequest:
        if not isinstance(asked, ResponseRequest):
            settings = self._family(ResponseSettings).updated(options)
            return settings.request(asked, self._family(ChatSettings))
        no_options(options, allowed="in response_request()")
        return asked

    async def _open_response(self, request: ResponseRequest) -> Opened[Any]:
        return await open_stream(
            self.transport,
            self._call(STREAM_RESPONSE, request),
            partial(self._prepare_response, request, stream=True),
            DIALECT,
            _decoder,
        )

    async def _prepare_response(self, request: ResponseRequest, *, stream: bool) -> Request:
        key = await self._credential.get()
        return response_request(self._account, key, request, stream=stream)


def _decoder(response: Response) -> Decoder[Any]:
    if "json" in response.headers.get("Content-Type", ""):
        return NotStreamed(response.headers)
    check_type(response, ("event-stream",))
    return ResponseDecoder(response.headers)


def _read(value: dict[str, Any], response: Response) -> tuple[Answer, Response]:
    return read_response(value, response.headers), response
