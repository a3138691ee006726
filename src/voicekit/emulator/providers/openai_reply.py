"""From a chat request and a scripted reply to what the model "said": tokens, calls, usage.

Decides only; `openai_chat` sends it.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from voicekit.emulator.scenario import Reply, ToolCall

# Source: prompt caching guide: from 1024 tokens, in steps of 128.
CACHE_FLOOR = 1024
CACHE_STEP = 128
CACHED_PROMPTS = 32

_PIECES = re.compile(r"\s*\S+|\s+\Z")


def tokens(text: str) -> tuple[str, ...]:
    """Split a text into word-sized tokens that join to it exactly."""
    return tuple(_PIECES.findall(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One choice, decided; the pieces are the tokens of the text, or of the refusal."""

    pieces: tuple[str, ...]
    refused: bool
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Mapping[str, Any] | None = None

    @property
    def completion_tokens(self) -> int:
        """Tokens that the answer costs."""
        calls = sum(len(tokens(call.arguments)) + 8 for call in self.tool_calls)
        return len(self.pieces) + calls


def decide(body: Mapping[str, Any], reply: Reply) -> Outcome:
    """Apply what the request asks of an answer to the scripted one."""
    reply = _forced_call(body, reply)
    if not reply.tool_calls and reply.refusal is None:
        reply = _formatted(body, reply)
    refused = reply.refusal is not None
    text = reply.refusal if reply.refusal is not None else reply.text
    pieces = reply.pieces if reply.pieces is not None and not refused else tokens(text)
    calls = reply.tool_calls
    if body.get("parallel_tool_calls") is False:
        calls = calls[:1]
    reason = reply.finish_reason or ("tool_calls" if calls else "stop")
    stops = body.get("stop") or ()
    pieces, stopped = _until_stop(pieces, (stops,) if isinstance(stops, str) else tuple(stops))
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None and len(pieces) > limit:
        pieces, reason = pieces[:limit], "length"
    elif stopped:
        reason = "stop"
    return Outcome(
        pieces=pieces, refused=refused, tool_calls=calls, finish_reason=reason, usage=reply.usage
    )


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """Return the text of the last user message, its parts joined."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return _text(message.get("content"))
    return ""


def usage(body: Mapping[str, Any], outcomes: list[Outcome], cache: PromptCache) -> dict[str, Any]:
    """Return the usage block; a scripted one is laid over the counted one."""
    prompt = json.dumps([body.get("tools"), body["messages"]], ensure_ascii=False)
    # Source: the usual rule of thumb, four characters to a token; no vendor promises more.
    counted = max(1, len(prompt) // 4)
    completed = sum(outcome.completion_tokens for outcome in outcomes)
    block: dict[str, Any] = {
        "prompt_tokens": counted,
        "completion_tokens": completed,
        "total_tokens": counted + completed,
        "prompt_tokens_details": {"cached_tokens": cache.hit(prompt), "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    block.update(outcomes[0].usage or {})
    return block


class PromptCache:
    """Remembers recent prompts, so that a repeated long prefix counts as cached."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=CACHED_PROMPTS)

    def hit(self, prompt: str) -> int:
        """Return how many tokens of a prompt were cached, and remember it."""
        if len(prompt) < CACHE_FLOOR * 4:
            return 0
        shared = max((_shared_prefix(prompt, old) for old in self._recent), default=0)
        if prompt not in self._recent:
            self._recent.append(prompt)
        cached = shared // 4
        return cached - cached % CACHE_STEP if cached >= CACHE_FLOOR else 0


def _shared_prefix(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(part for part in parts if isinstance(part, str))


def _forced_call(body: Mapping[str, Any], reply: Reply) -> Reply:
    """Drop calls the request forbids, and make the one that it insists on."""
    choice = body.get("tool_choice")
    if choice == "none":
        return replace(reply, tool_calls=())
    if choice in (None, "auto") or reply.tool_calls:
        return reply
    wanted = (
        choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else None
    )
    functions = [tool["function"] for tool in body["tools"] if tool["type"] == "function"]
    found = next((each for each in functions if wanted in {None, each["name"]}), None)
    if found is None:
        return reply
    arguments = json.dumps(_instance(found.get("parameters") or {}, reply.text))
    return replace(
        reply, text="", pieces=None, tool_calls=(ToolCall(name=found["name"], arguments=arguments),)
    )


def _formatted(body: Mapping[str, Any], reply: Reply) -> Reply:
    """Give a structured answer where the request asks for one and the script has only prose."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") not in {"json_object", "json_schema"}:
        return reply
    try:
        json.loads(reply.text)
    except ValueError:
        schema = (wanted.get("json_schema") or {}).get("schema")
        value = {"answer": reply.text} if schema is None else _instance(schema, reply.text)
        return replace(reply, text=json.dumps(value, ensure_ascii=False), pieces=None)
    return reply


def _instance(schema: Mapping[str, Any], text: str) -> Any:
    """Return the smallest value that fits the usual JSON schemas, its strings being `text`."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        return {name: _instance(properties.get(name) or {}, text) for name in required}
    plain: dict[Any, Any] = {
        "array": [],
        "integer": 0,
        "number": 0,
        "boolean": False,
        "null": None,
    }
    return plain.get(kind, text)


def _until_stop(pieces: tuple[str, ...], stops: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    text = "".join(pieces)
    ends = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    if not ends:
        return pieces, False
    left = min(ends)
    kept: list[str] = []
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return tuple(kept), True
