"""Chat completions, a part of ``OpenAIClient``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from voicekit.checks import no_options
from voicekit.clients.openai.answers import Answers
from voicekit.clients.openai.config import ChatOptions, ChatRequest, ChatSettings, Messages
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.openai.protocol import read_answer
from voicekit.clients.openai.stream import ChatDecoder
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.streams import TextStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit import interfaces
    from voicekit.speech import ChatResult

STREAM_CHAT: Final = Operation(
    provider=PROVIDER,
    name="stream_chat",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=10.0, gap=5.0, total=60.0),
)
CHAT: Final = Operation(
    provider=PROVIDER,
    name="chat",
    kind=OperationClass.COMPUTE,
    # Nothing useful comes before everything: the first output is the last.
    limits=Limits(connect=2.0, first_output=60.0, total=60.0),
)


class ChatCompletions(Answers):
    """Answers in the shape of chat completions, streamed and whole."""

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
        request = self._request_of(messages, options)
        decoder = partial(ChatDecoder, choices=request.choices)
        return TextStream(partial(self._open_answer, STREAM_CHAT, request, decoder))

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
        return await self._answer(CHAT, self._request_of(messages, options), read_answer)

    def _request_of(
        self, messages: Messages | interfaces.ChatRequest, options: Mapping[str, Any]
    ) -> ChatRequest:
        if not isinstance(messages, ChatRequest):
            # Another provider's request is no conversation, and is refused as such.
            return self._family(ChatSettings).updated(options).request(cast("Messages", messages))
        no_options(options, allowed="in request()")
        return messages
