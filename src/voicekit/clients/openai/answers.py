"""What chat completions and responses share: an answer as one document, or as it is written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voicekit.clients.execute import check_type, fetch_json, open_stream
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.errors import DIALECT
from voicekit.clients.openai.protocol import answer_request
from voicekit.clients.openai.rate_limits import rate_limits_of
from voicekit.clients.openai.stream import NotStreamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicekit.clients.openai.config import ChatRequest
    from voicekit.clients.openai.responses_config import ResponseRequest
    from voicekit.operation import Operation
    from voicekit.speech import ChatResult
    from voicekit.streams import Decoder, Opened
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request


class Answers(Authorized):
    """A model's answers, in either of the vendor's two shapes."""

    async def _answer(
        self,
        operation: Operation,
        request: ChatRequest | ResponseRequest,
        read: Callable[[dict[str, Any], Mapping[str, str]], ChatResult],
    ) -> ChatResult:
        """The whole answer; ``read`` knows its shape."""
        call = self._call(operation, request)

        def parse(
            value: dict[str, Any], response: Response
        ) -> tuple[ChatResult, Mapping[str, str]]:
            return read(value, response.headers), response.headers

        prepare = partial(self._prepare_answer, request, stream=False)
        answer, headers = await fetch_json(self.transport, call, prepare, DIALECT, parse)
        return replace(
            answer,
            request_id=call.request_id,
            rate_limits=rate_limits_of(headers),
            headers=headers,
            **call.evidence(),
        )

    async def _open_answer(
        self,
        operation: Operation,
        request: ChatRequest | ResponseRequest,
        decoder: Callable[[Mapping[str, str]], Decoder[Any]],
    ) -> Opened[Any]:
        """The answer as a stream; ``decoder`` makes the reader of its shape."""

        def decode(response: Response) -> Decoder[Any]:
            if "json" in response.headers.get("Content-Type", ""):
                return NotStreamed(response.headers)
            check_type(response, ("event-stream",))
            return decoder(response.headers)

        prepare = partial(self._prepare_answer, request, stream=True)
        call = self._call(operation, request)
        return await open_stream(self.transport, call, prepare, DIALECT, decode)

    async def _prepare_answer(
        self, request: ChatRequest | ResponseRequest, *, stream: bool
    ) -> Request:
        return answer_request(self._account, await self._credential.get(), request, stream=stream)
