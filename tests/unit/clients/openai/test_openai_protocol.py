"""The whole answer: every field of it, and what is no answer."""

from __future__ import annotations

import pytest
from chat_bytes import USAGE

from voicekit.clients.openai.protocol import read_answer, usage_of
from voicekit.errors import QuotaError, RemoteProtocolError
from voicekit.speech import ToolCall, Usage


def answer(message=None, *, finish="stop", **more):
    message = {"role": "assistant", "content": "Sure.", "refusal": None, **(message or {})}
    return {
        "id": "chatcmpl-A1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-x-2026-01-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": USAGE,
        **more,
    }


def test_a_text_answer() -> None:
    """Text, reason, tokens, model and id are where the sheet has them."""
    value = answer()
    read = read_answer(value, {})
    assert (read.text, read.refusal, read.tool_calls) == ("Sure.", None, ())
    assert (read.finish_reason, read.model, read.id) == ("stop", "gpt-x-2026-01-01", "chatcmpl-A1")
    assert read.usage == Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        cached_input_tokens=16,
        reasoning_tokens=4,
    )
    assert read.usage.raw == USAGE
    assert read.raw is value


def test_calls_and_refusals() -> None:
    """Functions, custom tools and the older form are calls; a refusal is no text."""
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
    ]
    read = read_answer(answer({"content": None, "tool_calls": calls}, finish="tool_calls"), {})
    assert read.text == ""
    assert read.tool_calls == (
        ToolCall(id="call_1", name="f", arguments='{"a":1}'),
        ToolCall(id="call_2", name="sh", arguments="ls"),
    )
    older = answer({"content": None, "function_call": {"name": "f", "arguments": "{}"}})
    assert read_answer(older, {}).tool_calls == (ToolCall(id="", name="f", arguments="{}"),)
    assert read_answer(answer({"content": None, "refusal": "No."}), {}).refusal == "No."


def test_the_first_choice_is_found_by_its_index() -> None:
    """Nothing promises an order."""
    value = answer()
    second = {"index": 1, "message": {"content": "Other."}, "finish_reason": "stop"}
    value["choices"].insert(0, second)
    assert read_answer(value, {}).text == "Sure."


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        answer({"content": 5}),
        answer({"content": [{"text": "x"}]}),
        answer({"refusal": 5}),
        answer({"tool_calls": "x"}),
        answer({"tool_calls": ["x"]}),
        answer({"tool_calls": [{"id": "x"}]}),
        answer({"tool_calls": [{"id": 5, "function": {"name": "f", "arguments": ""}}]}),
        answer({"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": {}}}]}),
    ],
)
def test_what_is_no_answer_is_a_typed_error(value) -> None:
    """A wrong type anywhere in the answer itself is never taken for success."""
    with pytest.raises(RemoteProtocolError):
        read_answer(value, {})


def test_an_error_with_status_200_is_an_error() -> None:
    """Proxies and compatible servers answer so."""
    with pytest.raises(QuotaError):
        read_answer({"error": {"code": "insufficient_quota"}}, {})


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_no_usage_is_none(value) -> None:
    """Absent, null or of a wrong type: not known."""
    assert usage_of(value) is None


def test_odd_usage_is_read_as_far_as_it_goes() -> None:
    """Accounting never fails an answer."""
    assert usage_of(
        {"prompt_tokens": "5", "completion_tokens": True, "total_tokens": 3,
         "prompt_tokens_details": [], "completion_tokens_details": None}
    ) == Usage(total_tokens=3)  # fmt: skip
