"""A whole response: everything it says, and every way in which it says none."""

from __future__ import annotations

import pytest
from responses_bytes import REASONING, SAID, USAGE, calling, ended, message, part, refusing

from voicekit.clients.openai.responses_protocol import read_response, response_usage
from voicekit.errors import (
    InvalidRequestError,
    ProviderError,
    RateLimitError,
    RemoteProtocolError,
    UnavailableError,
)
from voicekit.speech import ToolCall


def test_text_behind_reasoning() -> None:
    """All the text of all messages, counts, ids, the tier that served."""
    value = ended([REASONING, message(), message(content=[part(" And"), part(" more.")])])
    answer = read_response(value, {})
    assert answer.text == SAID + " And more."
    assert (answer.refusal, answer.tool_calls, answer.finish_reason) == (None, (), "stop")
    assert (answer.id, answer.model, answer.service_tier) == (
        "resp_1",
        "gpt-x-2026-01-01",
        "default",
    )
    assert answer.usage.cached_input_tokens == 16
    assert answer.usage.reasoning_tokens == 4
    assert answer.usage.raw == USAGE
    assert answer.raw is value
    assert "sharp" not in repr(answer)


def test_calls_and_refusals() -> None:
    """Each in its field."""
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls"}
    answer = read_response(ended([calling("find", "{}"), custom]), {})
    assert answer.tool_calls == (
        ToolCall(id="call_1", name="find", arguments="{}"),
        ToolCall(id="c", name="run", arguments="ls"),
    )
    assert (answer.text, answer.finish_reason) == ("", "tool_calls")
    assert read_response(ended([refusing("No.")]), {}).refusal == "No."


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("completed", None, "stop"),
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("incomplete", None, "incomplete"),
        ("queued", None, "queued"),
        ("in_progress", None, "in_progress"),
        ("cancelled", None, "cancelled"),
        (None, None, None),
    ],
)
def test_why_it_ended(status, details, reason) -> None:
    """In a chat's words where there is one, else the vendor's."""
    value = ended([message()], status, incomplete_details=details)
    assert read_response(value, {}).finish_reason == reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error", "message": "m"}, UnavailableError),
        ({"code": "rate_limit_exceeded", "message": "m"}, RateLimitError),
        ({"code": "invalid_prompt", "message": "m"}, InvalidRequestError),
        (None, UnavailableError),
    ],
)
def test_a_failed_response_raises(error, kind) -> None:
    """For all its status 200; an error object too."""
    with pytest.raises(ProviderError) as caught:
        read_response(ended([], "failed", error=error), {"retry-after-ms": "250"})
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.retry_after) == (200, 0.25)
    if error is not None:
        with pytest.raises(kind):
            read_response({"error": error}, {})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"output": {}},
        {"output": [{"type": "message", "content": 7}]},
        {"output": [{"type": "message", "content": [{"text": 7}]}]},
        {"output": [{"type": "function_call", "arguments": {}}]},
    ],
)
def test_what_is_no_response(value) -> None:
    """A typed error, never an empty answer."""
    with pytest.raises(RemoteProtocolError):
        read_response(value, {})


def test_items_of_other_kinds_are_passed_over() -> None:
    """They are in raw."""
    odd = [{"type": "web_search_call"}, "what", {"type": "message"}, {}]
    answer = read_response(ended([*odd, message("Hi.")]), {})
    assert answer.text == "Hi."


def test_counts_that_are_none() -> None:
    """Another shape is as good as none."""
    assert response_usage(None) is None
    assert response_usage({"input_tokens": "7", "output_tokens": True}).input_tokens is None
