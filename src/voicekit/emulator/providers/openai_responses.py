"""Responses on the wire: one JSON document, or a stream of server-sent events with names.

Framing of the stream, from recordings: `event: <type>` LF `data: <json>` LF LF, no `[DONE]`; each
event has its type and a rising number, and the last one holds the whole response.

What a request earns is decided as for a chat: the script is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from voicekit.emulator.body import as_json
from voicekit.emulator.bounded import Bounded
from voicekit.emulator.faults import Fault
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_pacing import (
    ARGUMENT_CHARACTERS,
    SSE,
    Kind,
    generate,
    send_empty_deltas,
    send_events,
)
from voicekit.emulator.providers.openai_refusals import Refusal, body_of
from voicekit.emulator.providers.openai_reply import (
    Outcome,
    PromptCache,
    decide,
    last_user_text,
    usage,
)
from voicekit.emulator.providers.openai_response_object import ERROR_EVENT, ResponseObject
from voicekit.emulator.providers.openai_responses_refusals import (
    as_chat,
    check_response,
    response_advice,
)

PADDING = ("aZ3kQ9x", "pLm2", "Tr7VbN0wYcE", "u", "Hs81JdKqXo5ZfGt")
"""What obfuscation adds; its length varies by event."""


async def answer_response(
    exchange: Exchange, prompts: PromptCache, stored: Bounded[str, dict[str, Any]]
) -> web.StreamResponse:
    """Answer one request."""
    body = body_of(exchange)
    check_response(body)
    before = body.get("previous_response_id")
    if before is not None and stored.get(before) is None:
        raise Refusal(
            message=f"Previous response with id '{before}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    exchange.note(*response_advice(body))
    chat = as_chat(body)
    reply = exchange.ctx.scenario.reply_to(last_user_text(chat["messages"]))
    outcome = decide(chat, reply)
    suffix = f"{exchange.ctx.rng.getrandbits(192):048x}"
    used = usage(chat, [outcome], prompts)
    made = ResponseObject(body, outcome, used, reply.reasoning, suffix)
    if body.get("store", True):
        stored[made.ended["id"]] = made.ended
    response = _Response(exchange, body, outcome, made)
    return await (response.stream() if body.get("stream") else response.whole())


class _Response:
    """One response being sent."""

    def __init__(
        self,
        exchange: Exchange,
        body: Mapping[str, Any],
        outcome: Outcome,
        response: ResponseObject,
    ) -> None:
        self._exchange = exchange
        self._outcome = outcome
        self._response = response
        self._sequence = 0
        stream_options = body.get("stream_options") or {}
        self._padded = stream_options.get("include_obfuscation", True)

    async def whole(self) -> web.StreamResponse:
        """Send the response as one document, after the time that generating it takes."""
        exchange = self._exchange
        await generate(exchange, len(self._outcome.pieces))
        if exchange.has_fault("in_stream_error"):
            exchange.struck()
            body = exchange.fault.body if exchange.fault is not None else None
            error = body.get("error") if isinstance(body, Mapping) else None
            return exchange.answer(self._response.failed(error))
        return exchange.answer(self._response.ended)

    async def stream(self) -> web.StreamResponse:
        """Send the response as events."""
        exchange = self._exchange
        writer = await exchange.stream(content_type=SSE)
        if exchange.has_fault("empty_deltas"):
            started = functools.partial(self._event, response=self._response.opened)
            opening = started("response.created")
            empty = functools.partial(started, "response.in_progress")
            await send_empty_deltas(exchange, writer, opening, empty)
        return await send_events(exchange, writer, self._events(), end=b"", error=self._error)

    def _error(self, fault: Fault) -> bytes:
        """The error in the form that the fault's body has, flat without one.

        With an `error` inside: the nested form, and then the failed response, as was seen
        live. With the type `response.failed`: that alone.
        """
        body = fault.body if isinstance(fault.body, Mapping) else {}
        failed = self._event("response.failed", response=self._response.failed(body.get("error")))
        if body.get("type") == "response.failed":
            return failed
        if "error" in body:
            return self._event("error", error=body["error"]) + failed
        return self._event("error", **{**ERROR_EVENT, **body, "type": "error"})

    # -- events --

    def _events(self) -> Iterator[tuple[Kind, bytes]]:
        event = self._event
        opened = self._response.opened
        yield Kind.OPENING, event("response.created", response=opened)
        yield Kind.OPENING, event("response.in_progress", response=opened)
        for index, item in enumerate(self._response.output):
            kind = item["type"]
            if kind == "reasoning":
                yield from self._reasoning_events(index, item)
            elif kind == "message":
                yield from self._message_events(index, item)
            else:
                yield from self._call_events(index, item)
        yield (
            Kind.END,
            event(f"response.{self._response.ended['status']}", response=self._response.ended),
        )

    def _reasoning_events(self, index: int, item: dict[str, Any]) -> Iterator[tuple[Kind, bytes]]:
        event, where = self._event, {"item_id": item["id"], "output_index": index}
        yield (
            Kind.OPENING,
            event("response.output_item.added", output_index=index, item={**item, "summary": []}),
        )
        for number, part in enumerate(item["summary"]):
            at = {**where, "summary_index": number}
            name = "response.reasoning_summary"
            empty = {**part, "text": ""}
            yield Kind.OPENING, event(f"{name}_part.added", **at, part=empty)
            yield Kind.OPENING, event(f"{name}_text.delta", **at, delta=part["text"])
            yield Kind.OPENING, event(f"{name}_text.done", **at, text=part["text"])
            yield Kind.OPENING, event(f"{name}_part.done", **at, part=part)
        yield Kind.OPENING, event("response.output_item.done", output_index=index, item=item)

    def _message_events(self, index: int, item: dict[str, Any]) -> Iterator[tuple[Kind, bytes]]:
        event, part = self._event, item["content"][0]
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        begun = {**item, "status": "in_progress", "content": []}
        refused = part["type"] == "refusal"
        kind, key = ("refusal", "refusal") if refused else ("output_text", "text")
        yield Kind.OPENING, event("response.output_item.added", output_index=index, item=begun)
        yield (
            Kind.OPENING,
            event("response.content_part.added", **where, part={**part, key: ""}),
        )
        logprobs: dict[str, Any] = {} if refused else {"logprobs": []}
        delta = self._delta(f"response.{kind}.delta", where, logprobs)
        for piece in self._outcome.pieces:
            yield Kind.TOKEN, delta(piece)
        yield Kind.BEHIND, event(f"response.{kind}.done", **where, **{key: part[key]}, **logprobs)
        yield Kind.BEHIND, event("response.content_part.done", **where, part=part)
        yield Kind.BEHIND, event("response.output_item.done", output_index=index, item=item)

    def _call_events(self, index: int, item: dict[str, Any]) -> Iterator[tuple[Kind, bytes]]:
        event, arguments = self._event, item["arguments"]
        where = {"item_id": item["id"], "output_index": index}
        begun = {**item, "status": "in_progress", "arguments": ""}
        name = "response.function_call_arguments"
        yield Kind.TOKEN, event("response.output_item.added", output_index=index, item=begun)
        delta = self._delta(f"{name}.delta", where, {})
        for start in range(0, len(arguments), ARGUMENT_CHARACTERS):
            yield Kind.TOKEN, delta(arguments[start : start + ARGUMENT_CHARACTERS])
        yield (
            Kind.BEHIND,
            event(f"{name}.done", **where, name=item["name"], arguments=arguments),
        )
        yield Kind.BEHIND, event("response.output_item.done", output_index=index, item=item)

    def _event(self, type_: str, /, **fields: Any) -> bytes:
        fields.pop("type", None)
        data = as_json({"type": type_, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (type_.encode(), data)

    def _delta(
        self, type_: str, where: Mapping[str, Any], more: Mapping[str, Any]
    ) -> functools.partial[bytes]:
        head = f'event: {type_}\ndata: {{"type":"{type_}","sequence_number":'.encode()
        middle = b"," + as_json(where)[1:-1] + b',"delta":'
        tail = b"," + as_json(more)[1:-1] if more else b""
        return functools.partial(self._delta_event, head, middle, tail)

    def _delta_event(self, head: bytes, middle: bytes, tail: bytes, piece: str) -> bytes:
        number = self._sequence
        self._sequence += 1
        padding = b""
        if self._padded:
            padding = b',"obfuscation":"%b"' % PADDING[number % len(PADDING)].encode()
        return b"%b%d%b%b%b%b}\n\n" % (head, number, middle, _text(piece), tail, padding)


@functools.lru_cache(maxsize=4096)
def _text(piece: str) -> bytes:
    return as_json(piece)
