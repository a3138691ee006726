"""Chat completions on the wire: one JSON document, or a stream of server-sent events.

Framing of the stream, from recordings: no `event:` lines, `data: <json>` and LF LF, the last event
`data: [DONE]`; every chunk repeats id, model and the like; headers leave before the first token.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from voicekit.emulator.body import as_json
from voicekit.emulator.faults import Fault
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_pacing import (
    ARGUMENT_CHARACTERS,
    SERVED_TIERS,
    SSE,
    Kind,
    generate,
    send_empty_deltas,
    send_events,
    stream_error,
)
from voicekit.emulator.providers.openai_refusals import advice, body_of, check_chat
from voicekit.emulator.providers.openai_reply import (
    Outcome,
    PromptCache,
    decide,
    last_user_text,
    usage,
)
from voicekit.emulator.scenario import ToolCall

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_emulator"

NOISE = b"9mXqT2vLr7KpZ0sWbN4cYhJ6eFgD1uRaQoV8iE5tMxHlCzPnBkSwAyGdUjIf3OqTzLw7vKxR2mNpXy"
"""What obfuscation padding is cut from; its length varies by chunk."""


async def answer_chat(exchange: Exchange, prompts: PromptCache) -> web.StreamResponse:
    """Answer one chat request."""
    body = body_of(exchange)
    check_chat(body)
    exchange.note(*advice(body))
    reply = exchange.ctx.scenario.reply_to(last_user_text(body["messages"]))
    outcomes = [decide(body, reply)] * (body.get("n") or 1)
    chat = _Chat(exchange, body, outcomes, usage(body, outcomes, prompts))
    return await (chat.stream() if body.get("stream") else chat.whole())


class _Chat:
    """One completion being sent."""

    def __init__(
        self,
        exchange: Exchange,
        body: Mapping[str, Any],
        outcomes: list[Outcome],
        used: dict[str, Any],
    ) -> None:
        self._exchange = exchange
        self._body = body
        self._outcomes = outcomes
        self._usage = used
        self._id = f"chatcmpl-{exchange.ctx.rng.getrandbits(116):029x}"
        self._created = int(time.time())
        tier = body.get("service_tier")
        self._tier = SERVED_TIERS.get(tier, tier)
        self._chunks = 0

    async def whole(self) -> web.StreamResponse:
        """Send the completion as one document, after the time that generating it takes."""
        exchange = self._exchange
        await generate(exchange, max(len(outcome.pieces) for outcome in self._outcomes))
        if exchange.has_fault("in_stream_error"):
            exchange.struck()
            return exchange.answer(stream_error(exchange.fault), status=500)
        return exchange.answer(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._body["model"],
                "choices": [
                    self._choice(index, outcome) for index, outcome in enumerate(self._outcomes)
                ],
                "usage": self._usage,
                "service_tier": self._tier,
                "system_fingerprint": FINGERPRINT,
            }
        )

    def _choice(self, index: int, outcome: Outcome) -> dict[str, Any]:
        said = "".join(outcome.pieces)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if outcome.refused or (outcome.tool_calls and not said) else said,
            "refusal": said if outcome.refused else None,
            "annotations": [],
        }
        if outcome.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id or self._call_id(number),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for number, call in enumerate(outcome.tool_calls)
            ]
        logprobs = None
        if self._body.get("logprobs"):
            listed = [_logprob(piece) for piece in outcome.pieces]
            key = "refusal" if outcome.refused else "content"
            logprobs = {"content": None, "refusal": None, key: listed}
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": outcome.finish_reason,
        }

    def _call_id(self, number: int) -> str:
        return f"call_{self._id[-20:]}{number:04d}"

    # -- streamed --

    async def stream(self) -> web.StreamResponse:
        """Send the completion as events."""
        exchange = self._exchange
        writer = await exchange.stream(content_type=SSE)
        if exchange.has_fault("empty_deltas"):
            opening = self._chunk(0, _role_delta(silent=False))
            empty = self._chunk(0, b'{"content":""}')
            await send_empty_deltas(exchange, writer, opening, lambda: empty)
        return await send_events(exchange, writer, self._events(), end=DONE, error=_error_event)

    def _events(self) -> Iterator[tuple[Kind, bytes]]:
        """Yield every event but `[DONE]`; the choices take turns, token by token."""
        chunk = self._chunk
        with_logprobs = bool(self._body.get("logprobs"))
        for index, outcome in enumerate(self._outcomes):
            yield Kind.OPENING, chunk(index, _role_delta(silent=not outcome.pieces))
        for index, piece, refused in self._turns():
            delta = _refusal_delta(piece) if refused else _content_delta(piece)
            logprobs = _chunk_logprobs(piece, refused=refused) if with_logprobs else b"null"
            yield Kind.TOKEN, chunk(index, delta, logprobs=logprobs)
        for index, outcome in enumerate(self._outcomes):
            for number, call in enumerate(outcome.tool_calls):
                for delta in self._call_deltas(number, call):
                    yield Kind.TOKEN, chunk(index, delta)
        for index, outcome in enumerate(self._outcomes):
            yield Kind.END, chunk(index, b"{}", finish=outcome.finish_reason)
        if self._with_usage:
            yield Kind.BEHIND, self._usage_chunk()

    def _turns(self) -> Iterator[tuple[int, str, bool]]:
        longest = max(len(outcome.pieces) for outcome in self._outcomes)
        for turn in range(longest):
            for index, outcome in enumerate(self._outcomes):
                if turn < len(outcome.pieces):
                    yield index, outcome.pieces[turn], outcome.refused

    def _call_deltas(self, number: int, call: ToolCall) -> Iterator[bytes]:
        yield as_json(
            {
                "tool_calls": [
                    {
                        "index": number,
                        "id": call.id or self._call_id(number),
                        "type": "function",
                        "function": {"name": call.name, "arguments": ""},
                    }
                ]
            }
        )
        for start in range(0, len(call.arguments), ARGUMENT_CHARACTERS):
            piece = call.arguments[start : start + ARGUMENT_CHARACTERS]
            yield as_json({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})

    # -- chunks --

    @functools.cached_property
    def _with_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))

    @functools.cached_property
    def _head(self) -> bytes:
        fields = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._body["model"],
            "service_tier": self._tier,
            "system_fingerprint": FINGERPRINT,
        }
        return b"data: " + as_json(fields)[:-1]

    @functools.cached_property
    def _tails(self) -> tuple[bytes, ...]:
        """Ends of a chunk: the null usage if usage was asked for, and the obfuscation's padding."""
        usage_null = b',"usage":null' if self._with_usage else b""
        if not (self._body.get("stream_options") or {}).get("include_obfuscation", True):
            return (usage_null + b"}\n\n",)
        return tuple(
            b'%b,"obfuscation":"%b"}\n\n' % (usage_null, NOISE[at : at + at % 17 + 1])
            for at in range(0, 64, 7)
        )

    def _chunk(
        self, index: int, delta: bytes, *, finish: str | None = None, logprobs: bytes = b"null"
    ) -> bytes:
        self._chunks += 1
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._head,
            index,
            delta,
            logprobs,
            b"null" if finish is None else b'"%b"' % finish.encode(),
            self._tails[self._chunks % len(self._tails)],
        )

    def _usage_chunk(self) -> bytes:
        tail = self._tails[0].replace(b',"usage":null', b"", 1)
        return b'%b,"choices":[],"usage":%b%b' % (self._head, as_json(self._usage), tail)


def _error_event(fault: Fault) -> bytes:
    return b"data: " + as_json(stream_error(fault)) + b"\n\n"


def _role_delta(*, silent: bool) -> bytes:
    """Return the first delta; its content is null when the turn starts with a tool call."""
    return as_json({"role": "assistant", "content": None if silent else "", "refusal": None})


@functools.lru_cache(maxsize=4096)
def _content_delta(piece: str) -> bytes:
    return as_json({"content": piece})


@functools.lru_cache(maxsize=512)
def _refusal_delta(piece: str) -> bytes:
    return as_json({"refusal": piece})


def _logprob(piece: str) -> dict[str, Any]:
    return {
        "token": piece,
        "logprob": -0.01,
        "bytes": list(piece.encode()),
        "top_logprobs": [],
    }


def _chunk_logprobs(piece: str, *, refused: bool) -> bytes:
    listed = [_logprob(piece)]
    return as_json({"content": None if refused else listed, "refusal": listed if refused else None})
