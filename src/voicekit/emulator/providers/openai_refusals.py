"""What OpenAI's chat completions refuse, and in which words.

Only documented refusals refuse. Source: fact sheet of 2026-11, request table of chat completions
(OpenAPI 2.3.0, SDK openai 3.52.0) and error table (recorded traffic); the codes of ranges and
lengths follow the recorded pattern `<type>_below_min_value`, `<type>_above_max_value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One 4xx or 5xx in the vendor's error shape."""

    message: str
    status: int = 400
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the response body; all four keys are always there."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
CHOICES: Mapping[str, frozenset[str]] = {
    "reasoning_effort": frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"}),
    "verbosity": frozenset({"low", "medium", "high"}),
    "service_tier": frozenset({"auto", "default", "flex", "scale", "priority", "fast"}),
    "prompt_cache_retention": frozenset({"in_memory", "24h"}),
}
RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
INTEGERS: Mapping[str, tuple[int, int | None]] = {
    "n": (1, 128),
    "top_logprobs": (0, 20),
    "max_completion_tokens": (1, None),
    "max_tokens": (1, None),
}
BOOLEANS = ("stream", "logprobs", "parallel_tool_calls", "store")
MAX_TOOLS = 128
MAX_STOPS = 4
MAX_METADATA = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
# Source: OpenAPI says 64; the SDK's text says 128. The stricter one is the server's own.
MAX_SAFETY_IDENTIFIER = 64


def check_chat(body: Any) -> Refusal | None:
    """Return the refusal that a chat request earns, or None."""
    if not isinstance(body, dict):
        return Refusal(message="We could not parse the JSON body of your request.")
    for check in CHECKS:
        for refusal in check(body):
            return refusal
    return None


def advice(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the vendor's advice that a valid request ignores, for the journal."""
    if "max_tokens" in body:
        yield "max_tokens is deprecated in favour of max_completion_tokens"
    if "user" in body:
        yield "user is replaced by safety_identifier and prompt_cache_key"
    if "functions" in body or "function_call" in body:
        yield "functions and function_call are deprecated in favour of tools"
    if body.get("stream_options") is not None and not body.get("stream"):
        yield "stream_options is only for stream: true"
    options = body.get("stream_options") or {}
    if body.get("stream") and options.get("include_obfuscation", True):
        yield "include_obfuscation: false saves bytes and parsing on every chunk"


def _required(body: Mapping[str, Any]) -> Iterator[Refusal]:
    model = body.get("model")
    if model is None or model == "":
        yield Refusal(message="you must provide a model parameter")
    elif not isinstance(model, str):
        yield wrong_type("model", "a string")
    messages = body.get("messages")
    if messages is None:
        yield missing("messages")
    elif not isinstance(messages, list):
        yield wrong_type("messages", "an array of objects")
    elif not messages:
        yield Refusal(
            message="Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
            code="empty_array",
        )


def _messages(body: Mapping[str, Any]) -> Iterator[Refusal]:
    for index, message in enumerate(body["messages"]):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            yield wrong_type(where, "an object")
            return
        role = message.get("role")
        if role not in ROLES:
            yield not_among(f"{where}.role", role, ROLES)
        content = message.get("content")
        calls = message.get("tool_calls")
        if content is None and role == "assistant" and (calls or message.get("refusal")):
            continue
        if content is None and role == "assistant" and "function_call" in message:
            continue
        if not isinstance(content, str | list):
            yield wrong_type(f"{where}.content", "a string or an array of content parts")
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            yield missing(f"{where}.tool_call_id")


def numbers(body: Mapping[str, Any]) -> Iterator[Refusal]:
    """Yield refusals of numbers that are none, or out of their range."""
    for name, (low, high) in RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield wrong_type(name, "a decimal")
        elif not low <= value <= high:
            yield _out_of_range(name, "decimal", value, low, high)
    for name, (least, most) in INTEGERS.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            yield wrong_type(name, "an integer")
        elif value < least or (most is not None and value > most):
            yield _out_of_range(name, "integer", value, least, most)


def _choices(body: Mapping[str, Any]) -> Iterator[Refusal]:
    for name, allowed in CHOICES.items():
        value = body.get(name)
        if value is not None and value not in allowed:
            yield not_among(name, value, allowed)
    for name in BOOLEANS:
        value = body.get(name)
        if value is not None and not isinstance(value, bool):
            yield wrong_type(name, "a boolean")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield Refusal(message="'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        yield wrong_type("stream_options", "an object")
    modalities = body.get("modalities") or []
    if "audio" in modalities or body.get("audio") is not None:
        yield Refusal(
            message="This model does not support the requested modality: audio.",
            param="modalities",
            code="invalid_value",
        )


def lengths(body: Mapping[str, Any]) -> Iterator[Refusal]:
    """Yield refusals of what is too long or too much."""
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > MAX_STOPS:
        yield _too_long("stop", len(stop), MAX_STOPS)
    elif stop is not None and not isinstance(stop, str | list):
        yield wrong_type("stop", "a string or an array of strings")
    identifier = body.get("safety_identifier")
    if isinstance(identifier, str) and len(identifier) > MAX_SAFETY_IDENTIFIER:
        yield Refusal(
            message=f"Invalid 'safety_identifier': string too long. Expected a maximum length of "
            f"{MAX_SAFETY_IDENTIFIER}, but got {len(identifier)}.",
            param="safety_identifier",
            code="string_above_max_length",
        )
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield wrong_type("metadata", "an object")
        return
    if len(metadata) > MAX_METADATA:
        yield Refusal(
            message=f"Invalid 'metadata': too many properties. Expected at most {MAX_METADATA}.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY or not (
            isinstance(value, str) and len(value) <= MAX_METADATA_VALUE
        ):
            yield Refusal(
                message=f"Invalid 'metadata.{key[:MAX_METADATA_KEY]}': keys are at most "
                f"{MAX_METADATA_KEY} characters, values strings of at most {MAX_METADATA_VALUE}.",
                param="metadata",
                code="string_above_max_length",
            )


def _tools(body: Mapping[str, Any]) -> Iterator[Refusal]:
    tools = body.get("tools")
    choice = body.get("tool_choice")
    if choice is not None and choice not in ("none", "auto") and not tools:
        yield Refusal(
            message="'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str) and choice not in {"none", "auto", "required"}:
        yield not_among("tool_choice", choice, frozenset({"none", "auto", "required"}))
    if tools is None:
        return
    if not isinstance(tools, list):
        yield wrong_type("tools", "an array of objects")
        return
    if len(tools) > MAX_TOOLS:
        yield _too_long("tools", len(tools), MAX_TOOLS)
    names = set()
    for index, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in ("function", "custom"):
            yield not_among(f"tools[{index}].type", kind, frozenset({"function", "custom"}))
            return
        name = (tool.get(kind) or {}).get("name")
        if not isinstance(name, str) or not name:
            yield missing(f"tools[{index}].{kind}.name")
        names.add(name)
    if isinstance(choice, dict):
        wanted = (choice.get(choice.get("type", "")) or {}).get("name")
        if wanted not in names:
            yield Refusal(
                message=f"Tool choice '{wanted}' not found in 'tools' parameter.",
                param="tool_choice",
            )


def _response_format(body: Mapping[str, Any]) -> Iterator[Refusal]:
    wanted = body.get("response_format")
    if wanted is None:
        return
    kinds = frozenset({"text", "json_object", "json_schema"})
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind not in kinds:
        yield not_among("response_format.type", kind, kinds)
    elif kind == "json_schema" and not (wanted.get("json_schema") or {}).get("name"):
        yield missing("response_format.json_schema.name")


CHECKS: tuple[Callable[[Mapping[str, Any]], Iterator[Refusal]], ...] = (
    _required,
    _messages,
    numbers,
    _choices,
    lengths,
    _tools,
    _response_format,
)


def wrong_type(name: str, expected: str) -> Refusal:
    """Return the refusal of another type than the expected one."""
    return Refusal(
        message=f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type"
    )


def not_among(name: str, value: object, allowed: frozenset[str]) -> Refusal:
    """Return the refusal of a word that is none of those allowed."""
    listed = ", ".join(f"'{each}'" for each in sorted(allowed))
    return Refusal(
        message=f"Invalid value: '{str(value)[:64]}'. Supported values are: {listed}.",
        param=name,
        code="invalid_value",
    )


def _out_of_range(name: str, kind: str, value: float, low: float, high: float | None) -> Refusal:
    if value < low:
        side, bound, code = "below the minimum", f">= {low}", f"{kind}_below_min_value"
    else:
        side, bound, code = "above the maximum", f"<= {high}", f"{kind}_above_max_value"
    return Refusal(
        message=f"Invalid '{name}': {kind} {side} value. Expected a value {bound}, "
        f"but got {value} instead.",
        param=name,
        code=code,
    )


def _too_long(name: str, length: int, most: int) -> Refusal:
    return Refusal(
        message=f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead.",
        param=name,
        code="array_above_max_length",
    )


def missing(name: str) -> Refusal:
    """Return the refusal of a request without a required field."""
    return Refusal(
        message=f"Missing required parameter: '{name}'.",
        param=name,
        code="missing_required_parameter",
    )
