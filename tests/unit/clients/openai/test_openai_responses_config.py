"""Options of a response: every one checked before any I/O, those of a chat beneath them."""

from __future__ import annotations

import json
from typing import get_type_hints

import pytest

from voicekit.clients.openai import OpenAIClient, ResponseDefaults
from voicekit.clients.openai.account import Account
from voicekit.clients.openai.protocol import answer_request
from voicekit.clients.openai.responses_options import CHECKS, SAME_AS_CHAT
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits

pytestmark = pytest.mark.anyio

TOOL = {"type": "function", "name": "f", "parameters": {}, "strict": True}


def client(**responses) -> OpenAIClient:
    return OpenAIClient("key", model="gpt-x", responses=responses)


def sent(request, *, stream=True) -> dict:
    wire = answer_request(Account("http://x", {}), "k", request, stream=stream)
    return json.loads(wire.body)


GOOD = {
    "model": ["gpt-y"],
    "stream_options": [{"include_obfuscation": True}],
    "instructions": ["Be brief."],
    "previous_response_id": ["resp_1"],
    "conversation": ["conv_1", {"id": "conv_1"}],
    "max_output_tokens": [1, 16, 100_000],
    "max_tool_calls": [1],
    "temperature": [0, 2],
    "top_p": [0, 1.0],
    "reasoning": [
        {"effort": "none"},
        {"effort": "max", "summary": "auto", "context": "all_turns", "mode": "pro"},
        {"summary": None},
    ],
    "text": [
        {"verbosity": "low"},
        {"format": {"type": "text"}},
        {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    ],
    "tools": [[TOOL], [{"type": "web_search"}], [TOOL] * 128],
    "tool_choice": ["none", "auto", "required", {"type": "function", "name": "f"}],
    "parallel_tool_calls": [False],
    "service_tier": ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"],
    "prompt_cache_key": ["k"],
    "prompt_cache_options": [{"mode": "implicit", "ttl": "12h", "prewarm": True}],
    "prompt_cache_retention": ["in_memory", "24h"],
    "store": [False],
    "truncation": ["auto", "disabled"],
    "include": [["reasoning.encrypted_content"]],
    "background": [True],
    "metadata": [{"a": "b"}],
    "safety_identifier": ["u" * 128],
    "user": ["u"],
    "top_logprobs": [0, 20],
    "context_management": [[{"type": "compaction"}]],
    "prompt": [{"id": "pmpt_1"}],
    "moderation": [{"model": "x"}],
}
BAD = {
    "model": ["", 5],
    "stream_options": [True],
    "instructions": ["", 5],
    "previous_response_id": ["", 5],
    "conversation": ["", 5],
    "max_output_tokens": [0, 1.5, True],
    "max_tool_calls": [0],
    "temperature": [2.1, "1"],
    "top_p": [-0.1, 1.1],
    "reasoning": ["low", {"effort": "lots"}, {"summary": "long"}, {1: 2}],
    "text": ["low", {"verbosity": "chatty"}, {"format": "json"}, {"format": {"type": "xml"}},
             {"format": {"type": "json_schema", "schema": {}}}],
    "tools": [TOOL, ["f"], [TOOL] * 129],
    "tool_choice": ["f", 1],
    "parallel_tool_calls": ["no"],
    "service_tier": ["gold"],
    "prompt_cache_key": ["", 1],
    "prompt_cache_options": ["implicit"],
    "prompt_cache_retention": ["48h"],
    "store": ["no"],
    "truncation": ["some"],
    "include": ["reasoning.encrypted_content", [1]],
    "background": [1],
    "metadata": [{"k": 1}, {str(i): "" for i in range(17)}],
    "safety_identifier": ["u" * 129],
    "user": [1],
    "top_logprobs": [21],
    "context_management": [{"type": "compaction"}],
    "prompt": ["pmpt_1"],
    "moderation": [True],
}  # fmt: skip
EXTRAS = {"extra_query", "extra_headers", "extra_body"}


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


def test_every_documented_option_is_checked_and_tried_here() -> None:
    """The typed options, the checks and these tables name the same fields."""
    typed = set(get_type_hints(ResponseDefaults)) - EXTRAS
    assert typed == set(CHECKS) == set(GOOD) == set(BAD)
    assert set(SAME_AS_CHAT) <= typed


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_every_option_works_in_the_constructor_and_per_call(name, value) -> None:
    """Both ways give the same body, and the value is in it as it was given."""
    once = sent(client(**{name: value}).response_request("hi"))
    assert sent(client().response_request("hi", **{name: value})) == once
    assert once[name] == json.loads(json.dumps(value))


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_value_that_is_not_allowed_is_refused_before_any_io(name, value) -> None:
    """The error names the argument and what is allowed, and shows no value."""
    for attempt in (
        lambda: client(**{name: value}),
        lambda: client().response_request("hi", **{name: value}),
        lambda: client().stream_response("hi", **{name: value}),
    ):
        with pytest.raises(InvalidArgumentError, match="allowed:") as caught:
            attempt()
        assert caught.value.argument.startswith(name)


async def test_respond_refuses_at_once_too() -> None:
    """The whole answer's method validates before it opens anything."""
    with pytest.raises(InvalidArgumentError):
        await client().respond("hi", truncation="x")
    with pytest.raises(InvalidArgumentError, match="n "):
        await client().respond("hi", n=2)  # a chat's alone


# -- a chat's options beneath ----------------------------------------------------------------


def test_options_of_a_chat_hold_where_none_is_named() -> None:
    """By the same name, or in the words of responses; what has another shape stays behind."""
    llm = OpenAIClient(
        "key",
        model="gpt-x",
        temperature=0.5,
        service_tier="fast",
        prompt_cache_key="k",
        safety_identifier="u",
        metadata={"a": "b"},
        store=False,
        max_completion_tokens=50,
        reasoning_effort="none",
        verbosity="low",
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="required",
        stop="x",
        seed=1,
        n=2,
        stream_options={"include_usage": True},
        extra_body={"only": "chat"},
        extra_headers={"X-Mine": "1"},
    )
    request = llm.response_request("hi")
    assert sent(request, stream=False) == {
        "model": "gpt-x",
        "temperature": 0.5,
        "service_tier": "fast",
        "prompt_cache_key": "k",
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "store": False,
        "max_output_tokens": 50,
        "reasoning": {"effort": "none"},
        "text": {"verbosity": "low"},
        "input": "hi",
    }
    assert request.headers == {"X-Mine": "1"}
    assert sent(request)["stream_options"] == {"include_obfuscation": False}


def test_what_is_named_for_responses_wins() -> None:
    """Of a mapping, what it does not name is still the chat's; None takes all of it back."""
    llm = OpenAIClient(
        "key",
        model="gpt-x",
        temperature=0.5,
        max_completion_tokens=50,
        reasoning_effort="none",
        verbosity="low",
        responses={
            "model": "gpt-y",
            "temperature": 1,
            "max_output_tokens": 20,
            "reasoning": {"summary": "auto"},
            "text": {"verbosity": "high"},
        },
    )
    assert sent(llm.response_request("hi"), stream=False) == {
        "model": "gpt-y",
        "temperature": 1,
        "max_output_tokens": 20,
        "reasoning": {"effort": "none", "summary": "auto"},
        "text": {"verbosity": "high"},
        "input": "hi",
    }
    bare = llm.response_request(
        "hi", temperature=None, max_output_tokens=None, reasoning=None, text=None
    )
    assert sent(bare, stream=False) == {"model": "gpt-y", "input": "hi"}


async def test_a_view_changes_both() -> None:
    """``with_options`` takes the chat's and the family's."""
    async with client(store=False) as llm:
        view = llm.with_options(model="gpt-z", responses={"truncation": "auto"})
        body = sent(view.response_request("hi"), stream=False)
    assert body == {"model": "gpt-z", "store": False, "truncation": "auto", "input": "hi"}


def test_what_came_before_is_one_of_two() -> None:
    """A response or a conversation: a call's replaces the constructor's, both are refused."""
    llm = client(conversation="conv_1")
    body = sent(llm.response_request("hi", previous_response_id="resp_1"))
    assert body["previous_response_id"] == "resp_1"
    assert "conversation" not in body
    with pytest.raises(InvalidArgumentError, match="exclude each other"):
        llm.response_request("hi", previous_response_id="resp_1", conversation="conv_2")


# -- the request -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "",
        " \n",
        [],
        None,
        5,
        b"hi",
        {"role": "user", "content": "hi"},
        ["hi"],
        [{"role": "robot", "content": "hi"}],
        [{"role": "user"}],
        [{"content": "hi"}],
        [{"type": 5}],
        [{"type": "function_call_output", "output": object()}],
        "\ud800",
    ],
)
def test_what_is_no_input_is_refused(given) -> None:
    """Empty, unknown roles, and what JSON cannot hold never reach the wire."""
    with pytest.raises(InvalidArgumentError):
        client().response_request(given)


def test_every_kind_of_item_passes() -> None:
    """Messages with and without a type, calls, outputs, and items that came from a result."""
    items = [
        {"role": "developer", "content": "x"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]
    request = client().response_request(items)
    assert request.input == items
    assert sent(request)["input"] == items


def test_a_model_is_required() -> None:
    """Here or in the constructor, as for a chat."""
    with pytest.raises(InvalidArgumentError, match="model"):
        OpenAIClient("key").response_request("hi")


def test_how_the_answer_comes_is_no_option() -> None:
    """The method called decides it; ``stream_options`` go with streams only."""
    for field in ("stream", "stream_options"):
        with pytest.raises(InvalidArgumentError):
            client().response_request("hi", extra_body={field: True})
    request = client().response_request("hi")
    assert sent(request)["stream"] is True
    assert not {"stream", "stream_options"} & sent(request, stream=False).keys()
    bare = client().response_request("hi", stream_options=None)
    assert "stream_options" not in sent(bare)


def test_a_finished_request_takes_no_options() -> None:
    """They would be ignored or guessed."""
    llm = client()
    with pytest.raises(InvalidArgumentError, match="temperature"):
        llm.stream_response(llm.response_request("hi"), temperature=1)


def test_identity_holds_all_that_can_change_the_answer() -> None:
    """Options, a chat's beneath them, extras, input; not how it is delivered."""
    llm = client()
    base = llm.response_request("hi")
    others = [
        llm.response_request("hi!"),
        llm.response_request("hi", model="other"),
        OpenAIClient("key", model="gpt-x", temperature=1).response_request("hi"),
        llm.response_request("hi", extra_body={"x": 1}),
        llm.response_request("hi", extra_query={"x": 1}),
        llm.response_request("hi", extra_headers={"x": "1"}),
    ]
    assert len({base.identity, *(other.identity for other in others)}) == 7
    same = llm.response_request("hi", stream_options=None, limits=Limits(total=1))
    assert same.identity == base.identity
    assert llm.request("hi").identity != base.identity


def test_nothing_shows_content_or_secrets() -> None:
    """No repr of request or settings, and no error, quotes text or headers."""
    llm = client(instructions="SECRETTEXT", extra_headers={"x": "SECRETHEADER"})
    request = llm.response_request("SECRETTEXT")
    shown = repr(request) + repr(llm._settings.values()) + repr(llm.stream_response(request))
    for bad in (
        lambda: llm.response_request("x", reasoning={"effort": "SECRETTEXT"}),
        lambda: llm.response_request([{"role": "SECRETTEXT"}]),
        lambda: llm.response_request("SECRETTEXT\ud800"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            bad()
        shown += str(caught.value) + repr(caught.value.__context__)
    assert "SECRET" not in shown


def test_where_it_is_sent() -> None:
    """Path, query and headers, for either way of delivery."""
    request = client(extra_query={"a": 1}).response_request("hi", extra_headers={"ACCEPT": "x"})
    account = Account("http://x/v1", {"OpenAI-Project": "p"})
    wire = answer_request(account, "k", request, stream=True)
    assert (wire.method, wire.url) == ("POST", "http://x/v1/responses?a=1")
    assert wire.headers["Authorization"] == "Bearer k"
    assert wire.headers["OpenAI-Project"] == "p"
    assert [v for n, v in wire.headers.items() if n.lower() == "accept"] == ["x"]
    plain = client().response_request("hi")
    for stream, accept in ((True, "text/event-stream"), (False, "application/json")):
        assert answer_request(account, "k", plain, stream=stream).headers["Accept"] == accept
