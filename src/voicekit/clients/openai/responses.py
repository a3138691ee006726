"""Responses, a part of ``OpenAIClient``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.checks import no_options
from voicekit.clients.openai.answers import Answers
from voicekit.clients.openai.chat import CHAT, STREAM_CHAT
from voicekit.clients.openai.config import ChatSettings
from voicekit.clients.openai.responses_config import Input, ResponseRequest, ResponseSettings
from voicekit.clients.openai.responses_options import ResponseOptions
from voicekit.clients.openai.responses_protocol import read_response
from voicekit.clients.openai.responses_stream import ResponseDecoder
from voicekit.streams import TextStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.speech import ChatResult

STREAM_RESPONSE: Final = replace(STREAM_CHAT, name="stream_response")
RESPOND: Final = replace(CHAT, name="respond")


class Responses(Answers):
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
        return self._frozen(input, options)

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
            StreamInterruptedError: While iterating: it broke off, or the response failed,
                after its first output.
            VoicekitError: As for ``stream_chat``.
        """
        request = self._asked(input, options)
        return TextStream(partial(self._open_answer, STREAM_RESPONSE, request, ResponseDecoder))

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
        return await self._answer(RESPOND, self._asked(input, options), read_response)

    def _frozen(self, asked: Input, options: Mapping[str, Any]) -> ResponseRequest:
        settings = self._family(ResponseSettings).updated(options)
        return settings.request(asked, self._family(ChatSettings))

    def _asked(self, asked: Input | ResponseRequest, options: Mapping[str, Any]) -> ResponseRequest:
        if not isinstance(asked, ResponseRequest):
            return self._frozen(asked, options)
        no_options(options, allowed="in response_request()")
        return asked
