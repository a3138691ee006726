"""Chat streams as the vendor sends them, byte for byte in framing and field order."""

from __future__ import annotations

import json
from typing import Any

HEAD = {
    "id": "chatcmpl-A1",
    "object": "chat.completion.chunk",
    "created": 1790000000,
    "model": "gpt-x-2026-01-01",
    "service_tier": "default",
    "system_fingerprint": "fp_abc",
}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 4,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def chunk(delta: Any, *, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({**HEAD, "choices": [choice], "usage": None, **more})


def role(content: str | None = "", index: int = 0) -> bytes:
    return chunk({"role": "assistant", "content": content, "refusal": None}, index=index)


def text(piece: str, **more: Any) -> bytes:
    return chunk({"content": piece}, **more)


def call(index: int, arguments: str, **opening: Any) -> bytes:
    """A piece of a tool call; with ``id`` and ``name`` the one that opens it."""
    function: dict[str, Any] = {"arguments": arguments}
    piece: dict[str, Any] = {"index": index, "function": function}
    if opening:
        function = {"name": opening["name"], "arguments": arguments}
        piece = {"index": index, "id": opening["id"], "type": "function", "function": function}
    return chunk({"tool_calls": [piece]})


def end(reason: str = "stop", index: int = 0) -> bytes:
    return chunk({}, finish=reason, index=index)


def usage() -> bytes:
    return event({**HEAD, "choices": [], "usage": USAGE})


ANSWER = b"".join(
    [
        role(),
        *map(text, ["We", " open", " at", " „9“", ' "sharp"\n', " \U0001f600"]),
        end(),
        usage(),
    ]
)
CALLS = b"".join(
    [
        role(None),
        call(0, "", id="call_1", name="find"),
        call(0, '{"ci'),
        call(0, 'ty":"Rome"}'),
        call(1, "", id="call_2", name="time"),
        call(1, "{}"),
        end("tool_calls"),
        usage(),
    ]
)
REFUSAL = b"".join(
    [role(), chunk({"refusal": "I can"}), chunk({"refusal": "not."}), end(), usage()]
)
