"""What OpenAI's chat completions refuse, and in which words.

Only documented refusals refuse. Source: fact sheet of 2026-11, request table of chat completions
(OpenAPI 2.3.0, SDK openai 3.52.0) and error table (recorded traffic); the codes of ranges and
lengths follow the recorded pattern `<type>_below_min_value`, `<type>_above_max_value`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicekit.emulator.providers.base import Exchange, RefusedError
from voicekit.emulator.records import json_object

UNKNOWN_MODEL = "no-such-model"
"""The one model that does not exist, here; a client may name any other."""


@dataclass(slots=True, kw_only=True, eq=False)
class Refusal(RefusedError):  # noqa: N818 - an answer on its way out
    """One 4xx or 5xx in the vendor's error shape; `more` stands beside the error object."""

    message: str
    status: int = 400
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the response body; all four keys are always there."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            },
            **self.more,
        }


SERVER_ERROR = Refusal(
    status=500,
    message="The server had an error while processing your request. Sorry about that!",
    type="server_error",
)

ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
CHOICES: Mapping[str, frozenset[str]] = {
    "reasoning_effort": frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"}),
    "verbosity": frozenset({"low", "medium", "high"}),
    "service_tier": frozenset({"auto", "default", "flex", "scale", "priority", "fast"}),
    "prompt_cache_retention": frozenset({"in_memory", "24h"}),
}
NUMBERS: Mapping[str, tuple[str, int, float]] = {
    "temperature": ("decimal", 0, 2),
    "top_p": ("decimal", 0, 1),
    "presence_penalty": ("decimal", -2, 2),
    "frequency_penalty": ("decimal", -2, 2),
    "n": ("integer", 1, 128),
    "top_logprobs": ("integer", 0, 20),
    "max_completion_tokens": ("integer", 1, math.inf),
    "max_tokens": ("integer", 1, math.inf),
}
BOOLEANS = ("stream", "logprobs", "parallel_tool_calls", "store")
MAX_TOOLS = 128
MAX_STOPS = 4
MAX_METADATA = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
# Source: OpenAPI says 64; the SDK's text says 128. The stricter one is the server's own.
MAX_SAFETY_IDENTIFIER = 64


def body_of(exchange: Exchange) -> dict[str, Any]:
    """Return a request's JSON object."""
    body = json_object(exchange.body)
    if body is None:
        raise Refusal(message="We could not parse the JSON body of your request.")
    return body


def check_model(model: str) -> None:
    """Refuse the one model that does not exist."""
    if model == UNKNOWN_MODEL:
        raise Refusal(
            status=404,
            message=f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
        )


def check_chat(body: Mapping[str, Any]) -> None:
    """Check a chat request; the first refusal that it earns is raised."""
    _check_required(body)
    _check_messages(body)
    check_numbers(body)
    _check_choices(body)
    check_lengths(body)
    _check_tools(body)
    _check_response_format(body)
    check_model(body["model"])


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


def _check_required(body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if model is None or model == "":
        raise Refusal(message="you must provide a model parameter")
    if not isinstance(model, str):
        raise wrong_type("model", "a string")
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects")
    if not messages:
        raise Refusal(
            message="Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
            code="empty_array",
        )


def _check_messages(body: Mapping[str, Any]) -> None:
    for index, message in enumerate(body["messages"]):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise wrong_type(where, "an object")
        role = message.get("role")
        if role not in ROLES:
            raise not_among(f"{where}.role", role, ROLES)
        content = message.get("content")
        calls = message.get("tool_calls")
        if content is None and role == "assistant" and (calls or message.get("refusal")):
            continue
        if content is None and role == "assistant" and "function_call" in message:
            continue
        if not isinstance(content, str | list):
            raise wrong_type(f"{where}.content", "a string or an array of content parts")
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise missing(f"{where}.tool_call_id")


def check_numbers(body: Mapping[str, Any]) -> None:
    """Refuse numbers that are none, or out of their range."""
    for name, (kind, low, high) in NUMBERS.items():
        value = body.get(name)
        if value is None:
            continue
        whole = kind == "integer"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise wrong_type(name, f"an {kind}" if whole else f"a {kind}")
        if not low <= value <= high:
            raise _out_of_range(name, kind, value, low, high)


def check_choice(name: str, value: object, allowed: frozenset[str]) -> None:
    """Refuse a value that is none of the words allowed."""
    if value is not None and value not in allowed:
        raise not_among(name, value, allowed)


def check_choices(body: Mapping[str, Any], choices: Mapping[str, frozenset[str]]) -> None:
    """Refuse fields that are none of the words allowed for them."""
    for name, allowed in choices.items():
        check_choice(name, body.get(name), allowed)


def check_booleans(body: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse fields that are no truth values."""
    for name in names:
        if not isinstance(body.get(name), bool | None):
            raise wrong_type(name, "a boolean")


def _check_choices(body: Mapping[str, Any]) -> None:
    check_choices(body, CHOICES)
    check_booleans(body, BOOLEANS)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refusal(message="'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong_type("stream_options", "an object")
    modalities = body.get("modalities") or []
    if "audio" in modalities or body.get("audio") is not None:
        raise Refusal(
            message="This model does not support the requested modality: audio.",
            param="modalities",
            code="invalid_value",
        )


def check_lengths(body: Mapping[str, Any]) -> None:
    """Refuse what is too long or too much."""
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > MAX_STOPS:
        raise too_long("stop", len(stop), MAX_STOPS)
    if stop is not None and not isinstance(stop, str | list):
        raise wrong_type("stop", "a string or an array of strings")
    identifier = body.get("safety_identifier")
    if isinstance(identifier, str) and len(identifier) > MAX_SAFETY_IDENTIFIER:
        raise Refusal(
            message=f"Invalid 'safety_identifier': string too long. Expected a maximum length of "
            f"{MAX_SAFETY_IDENTIFIER}, but got {len(identifier)}.",
            param="safety_identifier",
            code="string_above_max_length",
        )
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise wrong_type("metadata", "an object")
    if len(metadata) > MAX_METADATA:
        raise Refusal(
            message=f"Invalid 'metadata': too many properties. Expected at most {MAX_METADATA}.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY or not (
            isinstance(value, str) and len(value) <= MAX_METADATA_VALUE
        ):
            raise Refusal(
                message=f"Invalid 'metadata.{key[:MAX_METADATA_KEY]}': keys are at most "
                f"{MAX_METADATA_KEY} characters, values strings of at most {MAX_METADATA_VALUE}.",
                param="metadata",
                code="string_above_max_length",
            )


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    choice = body.get("tool_choice")
    if choice is not None and choice not in ("none", "auto") and not tools:
        raise Refusal(
            message="'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str) and choice not in {"none", "auto", "required"}:
        raise not_among("tool_choice", choice, frozenset({"none", "auto", "required"}))
    if tools is None:
        return
    if not isinstance(tools, list):
        raise wrong_type("tools", "an array of objects")
    if len(tools) > MAX_TOOLS:
        raise too_long("tools", len(tools), MAX_TOOLS)
    names = set()
    for index, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in ("function", "custom"):
            raise not_among(f"tools[{index}].type", kind, frozenset({"function", "custom"}))
        name = (tool.get(kind) or {}).get("name")
        if not isinstance(name, str) or not name:
            raise missing(f"tools[{index}].{kind}.name")
        names.add(name)
    if isinstance(choice, dict):
        wanted = (choice.get(choice.get("type", "")) or {}).get("name")
        if wanted not in names:
            raise Refusal(
                message=f"Tool choice '{wanted}' not found in 'tools' parameter.",
                param="tool_choice",
            )


def _check_response_format(body: Mapping[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    kinds = frozenset({"text", "json_object", "json_schema"})
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind not in kinds:
        raise not_among("response_format.type", kind, kinds)
    if kind == "json_schema" and not (wanted.get("json_schema") or {}).get("name"):
        raise missing("response_format.json_schema.name")


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


def _out_of_range(name: str, kind: str, value: float, low: float, high: float) -> Refusal:
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


def too_long(name: str, length: int, most: int) -> Refusal:
    """Return the refusal of a list of more items than there may be."""
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
