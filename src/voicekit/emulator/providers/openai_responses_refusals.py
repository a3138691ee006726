"""What OpenAI's Responses refuse, and a response's request as a chat's.

Only documented refusals refuse. Source: fact sheet of 2026-11, request table of responses (OpenAPI
2.3.0, SDK openai 3.52.0) and error table (recorded traffic).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voicekit.emulator.providers.openai_refusals import (
    UNKNOWN_MODEL,
    Refusal,
    check_booleans,
    check_choice,
    check_choices,
    check_lengths,
    check_numbers,
    missing,
    not_among,
    wrong_type,
)

CHOICES: Mapping[str, frozenset[str]] = {
    "service_tier": frozenset(
        {"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"}
    ),
    "truncation": frozenset({"auto", "disabled"}),
    "prompt_cache_retention": frozenset({"in_memory", "24h"}),
}
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
SUMMARIES = frozenset({"auto", "concise", "detailed"})
VERBOSITIES = frozenset({"low", "medium", "high"})
BOOLEANS = ("stream", "background", "parallel_tool_calls", "store")
# Source: users' reports in public threads; the vendor documents none.
LEAST_OUTPUT_TOKENS = 16


def check_response(body: Mapping[str, Any]) -> None:
    """Check a request; the first refusal that it earns is raised."""
    _check_required(body)
    check_numbers(body)
    _check_choices(body)
    check_lengths(body)
    _check_tools(body)
    if body["model"] == UNKNOWN_MODEL:
        # Source: a recorded 400, where chat completions answer 404.
        raise Refusal(
            message=f"The requested model '{UNKNOWN_MODEL}' does not exist.",
            param="model",
            code="model_not_found",
        )


def response_advice(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the vendor's advice that a valid request ignores, for the journal."""
    if "user" in body:
        yield "user is replaced by safety_identifier and prompt_cache_key"
    options = body.get("stream_options") or {}
    if body.get("stream") and options.get("include_obfuscation", True):
        yield "include_obfuscation: false saves bytes and parsing on every event"


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request in the shape of a chat's, as far as the script reads one."""
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    chat: dict[str, Any] = {
        "messages": items,
        "tools": [
            {"type": "function", "function": tool}
            for tool in body.get("tools") or ()
            if tool.get("type") == "function"
        ],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "max_completion_tokens": body.get("max_output_tokens"),
    }
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"type": "function", "function": choice} if "name" in choice else None
    chat["tool_choice"] = choice
    wanted = (body.get("text") or {}).get("format")
    if wanted:
        chat["response_format"] = {"type": wanted.get("type"), "json_schema": wanted}
    return chat


def _check_required(body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if model is None:
        raise missing("model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string")
    given = body.get("input")
    if given is None:
        if not any(body.get(name) for name in ("prompt", "previous_response_id", "conversation")):
            raise missing("input")
        return
    if not isinstance(given, str | list):
        raise wrong_type("input", "a string or an array of input items")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise wrong_type(f"input[{index}]", "an object")
        if item.get("type", "message") == "message":
            roles = frozenset({"user", "assistant", "system", "developer"})
            if item.get("role") not in roles:
                raise not_among(f"input[{index}].role", item.get("role"), roles)
            if not isinstance(item.get("content"), str | list):
                raise missing(f"input[{index}].content")
        elif item["type"] in {"function_call", "function_call_output"} and not item.get("call_id"):
            raise missing(f"input[{index}].call_id")


def _check_choices(body: Mapping[str, Any]) -> None:
    check_choices(body, CHOICES)
    check_booleans(body, BOOLEANS)
    for name in ("stream_options", "reasoning", "text", "prompt_cache_options"):
        value = body.get(name)
        if value is not None and not isinstance(value, dict):
            raise wrong_type(name, "an object")
    for outer, inner, allowed in (
        ("reasoning", "effort", EFFORTS),
        ("reasoning", "summary", SUMMARIES),
        ("text", "verbosity", VERBOSITIES),
    ):
        check_choice(f"{outer}.{inner}", (body.get(outer) or {}).get(inner), allowed)
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    kinds = frozenset({"text", "json_object", "json_schema"})
    if wanted.get("type") not in kinds:
        raise not_among("text.format.type", wanted.get("type"), kinds)
    if wanted["type"] == "json_schema" and not wanted.get("name"):
        raise missing("text.format.name")
    if body.get("previous_response_id") and body.get("conversation"):
        raise Refusal(
            message="Mutually exclusive parameters: 'previous_response_id' and 'conversation'.",
            code="mutually_exclusive_parameters",
        )
    most = body.get("max_output_tokens")
    if isinstance(most, int) and most < LEAST_OUTPUT_TOKENS:
        raise Refusal(
            message="Invalid 'max_output_tokens': integer below minimum value. Expected a value "
            f">= {LEAST_OUTPUT_TOKENS}, but got {most} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        return
    if not isinstance(tools, list):
        raise wrong_type("tools", "an array of objects")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or not tool.get("type"):
            raise missing(f"tools[{index}].type")
        if tool["type"] in {"function", "custom"} and not tool.get("name"):
            raise missing(f"tools[{index}].name")
