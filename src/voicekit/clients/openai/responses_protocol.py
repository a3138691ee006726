"""Responses on the wire, sans-IO: the whole answer.

The streamed answer is ``responses_stream.py``'s.

Source: OpenAI fact sheet of 2026-11, §4 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.protocol import field_of, text_of, token_of, usage_of
from voicekit.errors import RemoteProtocolError
from voicekit.speech import ChatResult, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from voicekit.speech import Usage

CALLS: Final[Mapping[str, str]] = {"function_call": "arguments", "custom_tool_call": "input"}
"""Kinds of items that call a tool of ours, each with the field of what it is called with."""

_REASONS: Final[Mapping[str, str]] = {"max_output_tokens": "length"}
"""Why a response is incomplete, in a chat's words where there is one."""


def read_response(value: dict[str, Any], headers: Mapping[str, str]) -> ChatResult:
    """Read a ``response`` object that came with status 200, without the call's evidence.

    Raises:
        ProviderError: It failed, or is an error object, for all its status.
        RemoteProtocolError: It is neither.
    """
    if value.get("error") or value.get("status") == "failed":
        raise error_of({"error": value.get("error") or {}}, 200, headers)
    text: list[str] = []
    refusal: list[str] = []
    calls: list[ToolCall] = []
    for kind, said in contents(value):
        if kind == "text":
            text.append(said)
        elif kind == "refusal":
            refusal.append(said)
        else:
            calls.append(call_of(said))
    return ChatResult(
        text="".join(text),
        refusal="".join(refusal) or None,
        tool_calls=tuple(calls),
        finish_reason=finish_of(value, called=bool(calls)),
        usage=response_usage(value.get("usage")),
        model=token_of(value, "model"),
        id=token_of(value, "id"),
        service_tier=token_of(value, "service_tier"),
        raw=value,
    )


def contents(response: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a response says, in order: ``"text"``, ``"refusal"`` or ``"call"``, and it.

    Items and parts of other kinds (reasoning, the vendor's own tools) are passed over: they
    are in ``raw``.

    Raises:
        RemoteProtocolError: It has no list of items.
    """
    items = response.get("output")
    if not isinstance(items, list):
        raise RemoteProtocolError("the response holds no list of output items")
    for item in items:
        kind = field_of(item, "type")
        if kind in CALLS:
            yield "call", item
        if kind != "message":
            continue
        parts = field_of(item, "content") or ()
        if not isinstance(parts, list | tuple):
            raise RemoteProtocolError("the content of a message is no list")
        for part in parts:
            if text := text_of(part, "text"):
                yield "text", text
            if refusal := text_of(part, "refusal"):
                yield "refusal", refusal


def call_of(item: Mapping[str, Any]) -> ToolCall:
    """A call of a tool, from its item."""
    return ToolCall(
        id=text_of(item, "call_id") or "",
        name=text_of(item, "name") or "",
        arguments=text_of(item, CALLS[item["type"]]) or "",
    )


def finish_of(response: Mapping[str, Any], *, called: bool) -> str | None:
    """Why the model stopped, in a chat's words: the status, or why it is incomplete."""
    match token_of(response, "status"):
        case "completed":
            return "tool_calls" if called else "stop"
        case "incomplete":
            reason = token_of(response.get("incomplete_details"), "reason")
            return "incomplete" if reason is None else _REASONS.get(reason, reason)
        case status:
            return status


def response_usage(value: object) -> Usage | None:
    """As ``usage_of``, by the names that a response has for it."""
    return usage_of(value, "input_tokens", "output_tokens")
