"""Streams of responses as the vendor sends them, byte for byte in framing and field order."""

from __future__ import annotations

import json
from typing import Any

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 27,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1790000000,
    "status": "in_progress",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "gpt-x-2026-01-01",
    "output": [],
    "service_tier": "default",
    "store": True,
    "usage": None,
    "metadata": {},
}
PIECES = ["We", " open", " at", " „9“", ' "sharp"\n', " \U0001f600"]
SAID = "".join(PIECES)


def part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(text: str = SAID, **more: Any) -> dict[str, Any]:
    fields = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
    return {**fields, "phase": "final_answer", "content": [part(text)], **more}


def refusing(text: str) -> dict[str, Any]:
    return message(content=[{"type": "refusal", "refusal": text}])


def calling(name: str, arguments: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{number}",
        "name": name,
        "arguments": arguments,
        **more,
    }


REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}


def ended(output: list[Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {**RESPONSE, "status": status, "output": output, "usage": USAGE, **more}


class Events:
    """Writes events with rising numbers."""

    def __init__(self, *, number_last: bool = False, padding: str = "") -> None:
        self.number = 0
        self.number_last = number_last
        self.padding = padding

    def __call__(self, kind: str, **fields: Any) -> bytes:
        number = {"sequence_number": self.number}
        self.number += 1
        value = {"type": kind, **number, **fields}
        if self.number_last:
            value = {**fields, **number, "type": kind}
        if self.padding and kind.endswith(".delta"):
            value["obfuscation"] = self.padding
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n".encode()

    def opening(self) -> bytes:
        return self("response.created", response=RESPONSE) + self(
            "response.in_progress", response=RESPONSE
        )

    def text(self, pieces: list[str] = PIECES, index: int = 0) -> bytes:
        said = "".join(pieces)
        item = message(said)
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        begun = {**item, "status": "in_progress", "content": []}
        return b"".join(
            [
                self("response.output_item.added", output_index=index, item=begun),
                self("response.content_part.added", **where, part=part("")),
                *(
                    self("response.output_text.delta", **where, delta=piece, logprobs=[])
                    for piece in pieces
                ),
                self("response.output_text.done", **where, text=said, logprobs=[]),
                self("response.content_part.done", **where, part=part(said)),
                self("response.output_item.done", output_index=index, item=item),
            ]
        )

    def refusal(self, pieces: list[str]) -> bytes:
        said = "".join(pieces)
        item = refusing(said)
        where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        begun = {**item, "status": "in_progress", "content": []}
        return b"".join(
            [
                self("response.output_item.added", output_index=0, item=begun),
                *(self("response.refusal.delta", **where, delta=piece) for piece in pieces),
                self("response.refusal.done", **where, refusal=said),
                self("response.output_item.done", output_index=0, item=item),
            ]
        )

    def call(self, name: str, pieces: list[str], index: int, number: int = 1) -> bytes:
        item = calling(name, "".join(pieces), number)
        where = {"item_id": item["id"], "output_index": index}
        kind = "response.function_call_arguments"
        begun = {**item, "status": "in_progress", "arguments": ""}
        return b"".join(
            [
                self("response.output_item.added", output_index=index, item=begun),
                *(self(f"{kind}.delta", **where, delta=piece) for piece in pieces),
                self(f"{kind}.done", **where, name=name, arguments=item["arguments"]),
                self("response.output_item.done", output_index=index, item=item),
            ]
        )

    def reasoning(self, pieces: list[str]) -> bytes:
        said = {"type": "summary_text", "text": "".join(pieces)}
        where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
        kind = "response.reasoning_summary"
        return b"".join(
            [
                self("response.output_item.added", output_index=0, item=REASONING),
                self(f"{kind}_part.added", **where, part={**said, "text": ""}),
                *(self(f"{kind}_text.delta", **where, delta=piece) for piece in pieces),
                self(f"{kind}_text.done", **where, text=said["text"]),
                self(f"{kind}_part.done", **where, part=said),
                self(
                    "response.output_item.done",
                    output_index=0,
                    item={**REASONING, "summary": [said]},
                ),
            ]
        )

    def end(self, output: list[Any] | None = None, status: str = "completed", **more: Any) -> bytes:
        output = [message()] if output is None else output
        return self(f"response.{status}", response=ended(output, status, **more))


def answer(**options: Any) -> bytes:
    """A whole stream of text behind some reasoning."""
    events = Events(**options)
    return (
        events.opening()
        + events.reasoning(["The user", " asks."])
        + events.text(index=1)
        + events.end([REASONING, message()])
    )


def calls() -> bytes:
    """A whole stream of two calls."""
    events = Events()
    return (
        events.opening()
        + events.call("find", ['{"ci', 'ty":"Rome"}'], 0, 1)
        + events.call("time", ["{}"], 1, 2)
        + events.end([calling("find", '{"city":"Rome"}', 1), calling("time", "{}", 2)])
    )
