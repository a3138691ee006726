"""Every option of a response, what it may be, and the check that says so before any I/O.

Source: OpenAI fact sheet of 2026-11, request table of responses (OpenAPI 2.3.0, SDK openai
3.52.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.base import CallOptions
from voicekit.clients.openai.options import CHECKS as CHAT_CHECKS
from voicekit.clients.openai.options import AnswerDefaults

RESPONSES_PATH: Final = "/responses"

# The vendor's default pads every event with random characters: bytes and parsing.
DEFAULT_STREAM_OPTIONS: Final[Mapping[str, Any]] = {"include_obfuscation": False}


class ResponseDefaults(AnswerDefaults, total=False):
    """Options of a response, beside ``AnswerDefaults``; the constructor's under ``responses``.

    Absent, None and brackets mean what ``Extras`` says. Those that a chat has
    too, by the same name or as said here, are the chat's unless they are named for responses.

    Attributes:
        model: Which model answers. Required, here or in the constructor.
        stream_options: For streams only; ``{"include_obfuscation": False}`` unless given,
            None for servers that know no such field.
        instructions: What the developer tells the model; not inherited through
            ``previous_response_id``.
        previous_response_id: Continue from that response (the ``id`` of its result), so that
            the input is only what is new. It must have been stored.
        conversation: Continue, and add to, a conversation; excludes ``previous_response_id``.
        max_output_tokens: Bound on generated tokens, reasoning included; users report a
            floor of 16. A chat's ``max_completion_tokens``.
        max_tool_calls: Bound on calls of the vendor's own tools.
        reasoning: ``{"effort": …, "summary": …, "context": …, "mode": …}``; the effort is a
            chat's ``reasoning_effort``, the largest latency knob. A summary comes as
            ``ReasoningDelta`` in ``events()``.
        text: ``{"format": {…}, "verbosity": …}``; the verbosity is a chat's ``verbosity``.
        tools: In the vendor's flat shape: ``{"type": "function", "name": …, "parameters": …}``.
        parallel_tool_calls: Whether one response may hold several calls (True).
        service_tier: As a chat's, and ``"ultrafast"`` (auto).
        prompt_cache_options: ``{"mode": …, "ttl": …, "prewarm": …}``; ``prewarm`` fills the
            prompt cache and generates nothing.
        store: Whether the vendor keeps the response, for 30 days (**True**). Say False unless
            you continue it by ``previous_response_id``.
        truncation: ``"auto"`` drops what is too long, ``"disabled"`` refuses it (disabled).
        include: What else the response should hold, such as
            ``["reasoning.encrypted_content"]``.
        background: Whether to answer at once and go on working (False).
        context_management: When to compact what is long.
        prompt: A prompt that the vendor keeps, and its variables.
    """

    model: str | None
    stream_options: Mapping[str, Any] | None
    instructions: str | None
    previous_response_id: str | None
    conversation: str | Mapping[str, Any] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    reasoning: Mapping[str, Any] | None
    text: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    parallel_tool_calls: bool | None
    service_tier: str | None
    prompt_cache_options: Mapping[str, Any] | None
    store: bool | None
    truncation: str | None
    include: Sequence[str] | None
    background: bool | None
    context_management: Sequence[Mapping[str, Any]] | None
    prompt: Mapping[str, Any] | None


class ResponseOptions(ResponseDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


_effort = CHAT_CHECKS["reasoning_effort"]
_verbosity = CHAT_CHECKS["verbosity"]
_summary = checks.word("auto", "concise", "detailed")


def _reasoning(name: str, value: Any) -> Mapping[str, Any]:
    wanted = checks.fields(name, value)
    for field, check in (("effort", _effort), ("summary", _summary)):
        if wanted.get(field) is not None:
            check(f"{name}.{field}", wanted[field])
    return wanted


def _text(name: str, value: Any) -> Mapping[str, Any]:
    wanted = checks.fields(name, value)
    if wanted.get("verbosity") is not None:
        _verbosity(f"{name}.verbosity", wanted["verbosity"])
    if (form := wanted.get("format")) is None:
        return wanted
    kinds = ("text", "json_object", "json_schema")
    kind = checks.fields(f"{name}.format", form).get("type")
    if kind not in kinds:
        raise wrong(f"{name}.format.type", kind, ", ".join(kinds))
    if kind == "json_schema" and not form.get("name"):
        raise wrong(f"{name}.format.name", form.get("name"), "a name, beside the schema")
    return wanted


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "stream_options": checks.mapping,
    "instructions": checks.text,
    "previous_response_id": checks.text,
    "conversation": checks.str_or(checks.text, checks.mapping),
    "max_output_tokens": checks.integer(1),
    "max_tool_calls": checks.integer(1),
    "temperature": CHAT_CHECKS["temperature"],
    "top_p": CHAT_CHECKS["top_p"],
    "reasoning": _reasoning,
    "text": _text,
    "tools": checks.sequence_of(Mapping, "mappings", 128),
    "tool_choice": CHAT_CHECKS["tool_choice"],
    "parallel_tool_calls": checks.flag,
    "service_tier": checks.word(
        "auto", "default", "flex", "scale", "priority", "fast", "ultrafast"
    ),
    "prompt_cache_key": checks.text,
    "prompt_cache_options": checks.mapping,
    "prompt_cache_retention": CHAT_CHECKS["prompt_cache_retention"],
    "store": checks.flag,
    "truncation": checks.word("auto", "disabled"),
    "include": checks.sequence_of(str, "str"),
    "background": checks.flag,
    "metadata": CHAT_CHECKS["metadata"],
    "safety_identifier": CHAT_CHECKS["safety_identifier"],
    "user": checks.text,
    "top_logprobs": CHAT_CHECKS["top_logprobs"],
    "context_management": checks.sequence_of(Mapping, "mappings"),
    "prompt": checks.mapping,
    "moderation": checks.mapping,
}
"""The check of each option that goes into the body."""

SAME_AS_CHAT: Final = (
    "model",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
    "metadata",
    "safety_identifier",
    "user",
    "moderation",
)
"""Options that mean the same for a chat. Tools and their choice have another shape there."""
