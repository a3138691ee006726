"""Every option of a chat, what it may be, and the check that says so before any I/O.

Source: OpenAI fact sheet of 2026-11, request table of chat completions (OpenAPI 2.3.0,
SDK openai 3.52.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.base import CallOptions, Extras

CHAT_PATH: Final = "/chat/completions"

DEFAULT_STREAM_OPTIONS: Mapping[str, Any] = {
    "include_usage": True,  # One more chunk at the end; the cost of a call is evidence.
    # The vendor's default pads every chunk with random characters: bytes and parsing.
    "include_obfuscation": False,
}


class AnswerDefaults(Extras, total=False):
    """Options that a chat and a response have alike.

    Attributes:
        temperature: 0 to 2 (1).
        top_p: 0 to 1 (1).
        top_logprobs: How many alternatives per token, 0 to 20.
        tool_choice: ``"none"``, ``"auto"``, ``"required"`` or one tool.
        prompt_cache_key: One stable key per system prompt routes to the same cache.
        prompt_cache_retention: Before ``prompt_cache_options``: ``"in_memory"`` or ``"24h"``.
        metadata: Up to 16 strings to keep with it.
        safety_identifier: A stable, hashed id of the end user.
        user: Its older name.
        moderation: Asks for a verdict on input and output.
    """

    temperature: float | None
    top_p: float | None
    top_logprobs: int | None
    tool_choice: str | Mapping[str, Any] | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    metadata: Mapping[str, str] | None
    safety_identifier: str | None
    user: str | None
    moderation: Mapping[str, Any] | None


class ChatDefaults(AnswerDefaults, total=False):
    """Options of a chat, beside ``AnswerDefaults``, for the constructor and for each call alike.

    Absent, None and brackets mean what ``Extras`` says.

    Attributes:
        model: Which model answers. Required, here or in the constructor: the vendor's
            models come and go too fast for a default.
        stream_options: For streams only; ``{"include_usage": True, "include_obfuscation":
            False}`` unless given, None for servers that know no such field.
        max_completion_tokens: Bound on generated tokens, reasoning included.
        max_tokens: The older name, for compatible servers that know no other.
        n: How many choices, 1 to 128 (1). Iteration gives the text of the first; the
            others are in ``events()`` and ``raw``.
        stop: Up to 4 strings that end the answer.
        presence_penalty: −2 to 2 (0).
        frequency_penalty: −2 to 2 (0).
        logprobs: Whether to send probabilities, slower (False).
        logit_bias: Token id to a bias of −100 to 100.
        seed: Repeatable sampling at best effort.
        response_format: ``{"type": "text" | "json_object" | "json_schema", …}``.
        tools: Up to 128 functions or custom tools, in the vendor's shape.
        parallel_tool_calls: Whether one answer may hold several calls (True).
        reasoning_effort: ``"none"`` … ``"max"``, by model; the largest latency knob.
        verbosity: ``"low"``, ``"medium"`` or ``"high"`` (medium).
        service_tier: ``"auto"``, ``"default"``, ``"flex"``, ``"scale"``, ``"priority"`` or
            ``"fast"`` (auto); the result's ``service_tier`` is the one that served.
        prediction: What the answer will probably be; rejected tokens are billed.
        prompt_cache_options: ``{"mode": "implicit" | "explicit", "ttl": "30m"}``.
        modalities: ``["text"]`` or ``["text", "audio"]``, by model (text).
        audio: Voice and format of a spoken answer.
        store: Whether the vendor keeps the answer (False).
        web_search_options: For models that search.
        functions: The older form of ``tools``.
        function_call: The older form of ``tool_choice``.
    """

    model: str | None
    stream_options: Mapping[str, Any] | None
    max_completion_tokens: int | None
    max_tokens: int | None
    n: int | None
    stop: str | Sequence[str] | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logprobs: bool | None
    logit_bias: Mapping[str, float] | None
    seed: int | None
    response_format: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    parallel_tool_calls: bool | None
    reasoning_effort: str | None
    verbosity: str | None
    service_tier: str | None
    prediction: Mapping[str, Any] | None
    prompt_cache_options: Mapping[str, Any] | None
    modalities: Sequence[str] | None
    audio: Mapping[str, Any] | None
    store: bool | None
    web_search_options: Mapping[str, Any] | None
    functions: Sequence[Mapping[str, Any]] | None
    function_call: str | Mapping[str, Any] | None


class ChatOptions(ChatDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


def _response_format(name: str, value: Any) -> Mapping[str, Any]:
    wanted = checks.mapping(name, value)
    kinds = ("text", "json_object", "json_schema")
    if wanted.get("type") not in kinds:
        raise wrong(f"{name}.type", wanted.get("type"), ", ".join(kinds))
    if wanted["type"] == "json_schema":
        schema = wanted.get("json_schema")
        if not isinstance(schema, Mapping) or not schema.get("name"):
            raise wrong(f"{name}.json_schema", schema, "a mapping with name and schema")
    return wanted


def _metadata(name: str, value: Any) -> Mapping[str, str]:
    pairs = checks.mapping(name, value)
    allowed = "16 pairs, keys of at most 64 and values (str) of at most 512 characters"
    if len(pairs) > 16:
        raise wrong(name, pairs, allowed)
    for key, text in pairs.items():
        if not isinstance(key, str) or len(key) > 64:
            raise wrong(f"{name} key", key, allowed)
        if not isinstance(text, str) or len(text) > 512:
            raise wrong(f"{name} value", text, allowed)
    return pairs


def _logit_bias(name: str, value: Any) -> Mapping[Any, float]:
    biases = checks.mapping(name, value)
    check = checks.number(-100, 100)
    for bias in biases.values():
        check(f"{name} value", bias)
    return biases


CHECKS: Mapping[str, Check] = {
    "model": checks.text,
    "stream_options": checks.mapping,
    "max_completion_tokens": checks.integer(1),
    "max_tokens": checks.integer(1),
    "temperature": checks.number(0, 2),
    "top_p": checks.number(0, 1),
    "n": checks.integer(1, 128),
    "stop": checks.str_or(checks.text, checks.sequence_of(str, "str", 4)),
    "presence_penalty": checks.number(-2, 2),
    "frequency_penalty": checks.number(-2, 2),
    "logprobs": checks.flag,
    "top_logprobs": checks.integer(0, 20),
    "logit_bias": _logit_bias,
    "seed": checks.integer(-(2**63), 2**63 - 1),
    "response_format": _response_format,
    "tools": checks.sequence_of(Mapping, "mappings", 128),
    "tool_choice": checks.str_or(checks.word("none", "auto", "required"), checks.mapping),
    "parallel_tool_calls": checks.flag,
    "reasoning_effort": checks.word("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": checks.word("low", "medium", "high"),
    "service_tier": checks.word("auto", "default", "flex", "scale", "priority", "fast"),
    "prediction": checks.mapping,
    "prompt_cache_key": checks.text,
    "prompt_cache_options": checks.mapping,
    "prompt_cache_retention": checks.word("in_memory", "24h"),
    "modalities": checks.sequence_of(str, "str"),
    "audio": checks.mapping,
    "store": checks.flag,
    "metadata": _metadata,
    # OpenAPI says 64, the SDK's text 128: the wider bound refuses nothing that may pass.
    "safety_identifier": checks.text_up_to(128),
    "user": checks.text,
    "moderation": checks.mapping,
    "web_search_options": checks.mapping,
    "functions": checks.sequence_of(Mapping, "mappings", 128),
    "function_call": checks.str_or(checks.text, checks.mapping),
}
"""The check of each option that goes into the body; its order there, too."""
