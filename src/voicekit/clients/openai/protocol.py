"""Chat completions on the wire, sans-IO: the request's body, and the whole answer.

The streamed answer is ``stream.py``'s.

Source: OpenAI fact sheet of 2026-11, §3 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicekit.checks import is_integer
from voicekit.clients.openai.account import EVENTS, JSON
from voicekit.clients.openai.errors import error_of
from voicekit.errors import RemoteProtocolError
from voicekit.speech import ChatResult, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.clients.openai.account import Account
    from voicekit.clients.openai.config import ChatRequest
    from voicekit.clients.openai.responses_config import ResponseRequest
    from voicekit.transport.messages import Request


def answer_request(
    account: Account, key: str, request: ChatRequest | ResponseRequest, *, stream: bool
) -> Request:
    """One HTTP request, asking for one document or for a stream."""
    return account.request(
        key,
        request.path,
        model=request.model,
        accept=EVENTS if stream else JSON,
        body=body_for(request, stream=stream),
        query=request.query,
        headers=request.headers,
    )


def body_for(request: ChatRequest | ResponseRequest, *, stream: bool) -> bytes:
    """The frozen body with what says how the answer comes."""
    if not stream:
        return request.body.encode()
    options = request.stream_options
    asked = ',"stream":true' if options is None else f',"stream":true,"stream_options":{options}'
    return f"{request.body[:-1]}{asked}}}".encode()


def read_answer(value: dict[str, Any], headers: Mapping[str, str]) -> ChatResult:
    """Read a ``chat.completion`` object that came with status 200, without the call's evidence.

    Raises:
        ProviderError: It is an error object, for all its status.
        RemoteProtocolError: It is neither.
    """
    if value.get("error"):
        raise error_of(value, 200, headers)
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        raise RemoteProtocolError("the answer holds no choice")
    # In order of index in all recordings; nothing promises it.
    choice = next((c for c in choices if field_of(c, "index") == 0), choices[0])
    message = field_of(choice, "message")
    if not isinstance(message, dict):
        raise RemoteProtocolError("the answer's choice holds no message")
    return ChatResult(
        text=text_of(message, "content") or "",
        refusal=text_of(message, "refusal") or None,
        tool_calls=_tool_calls(message),
        finish_reason=token_of(choice, "finish_reason"),
        usage=usage_of(value.get("usage")),
        model=token_of(value, "model"),
        id=token_of(value, "id"),
        service_tier=token_of(value, "service_tier"),
        raw=value,
    )


def _tool_calls(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise RemoteProtocolError("the answer's tool calls are no list")
    read = [_tool_call(call) for call in calls]
    # The older form: one call, without an id, in place of the list.
    if isinstance(legacy := message.get("function_call"), dict):
        read.append(_tool_call({"function": legacy}))
    return tuple(read)


def _tool_call(call: object) -> ToolCall:
    name, arguments = called(call)
    return ToolCall(id=text_of(call, "id") or "", name=name or "", arguments=arguments)


def called(call: object) -> tuple[str | None, str]:
    """Name and arguments of a function's call, or name and input of a custom tool's.

    Raises:
        RemoteProtocolError: It is neither.
    """
    if isinstance(function := field_of(call, "function"), dict):
        return text_of(function, "name"), text_of(function, "arguments") or ""
    if isinstance(custom := field_of(call, "custom"), dict):
        return text_of(custom, "name"), text_of(custom, "input") or ""
    raise RemoteProtocolError("a tool call names no tool")


def usage_of(
    value: object, asked: str = "prompt_tokens", answered: str = "completion_tokens"
) -> Usage | None:
    """Tokens as the provider counted them, under these two names; None where it did not."""
    if not isinstance(value, dict):
        return None
    return Usage(
        input_tokens=count_of(value, asked),
        output_tokens=count_of(value, answered),
        total_tokens=count_of(value, "total_tokens"),
        cached_input_tokens=count_of(value.get(f"{asked}_details"), "cached_tokens"),
        reasoning_tokens=count_of(value.get(f"{answered}_details"), "reasoning_tokens"),
        raw=value,
    )


def count_of(value: object, name: str) -> int | None:
    """A field that counts; None where it does not."""
    count = field_of(value, name)
    return count if is_integer(count) else None


def field_of(value: object, name: str) -> Any:
    """A field of what should be an object; None where it is none."""
    return value.get(name) if isinstance(value, dict) else None


def token_of(value: object, name: str) -> str | None:
    """A field that is only reported, so that another type is as good as none."""
    found = field_of(value, name)
    return found if isinstance(found, str) else None


def text_of(value: object, name: str) -> str | None:
    """A field that is part of the answer.

    Raises:
        RemoteProtocolError: It is neither text nor null nor absent.
    """
    found = field_of(value, name)
    if found is None or isinstance(found, str):
        return found
    raise RemoteProtocolError(f"the answer's {name} is no text")
