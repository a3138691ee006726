"""Options and requests: merged once, validated before any I/O, frozen, silent about content."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import get_type_hints

import pytest

from voicekit.clients.openai import ChatDefaults, OpenAIClient
from voicekit.clients.openai.account import Account
from voicekit.clients.openai.options import CHECKS
from voicekit.clients.openai.protocol import answer_request
from voicekit.errors import (
    ClosedError,
    ConfigurationError,
    InvalidArgumentError,
    MissingCredentialError,
)
from voicekit.interfaces import ChatModel
from voicekit.operation import Limits

pytestmark = pytest.mark.anyio

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def client(**options) -> OpenAIClient:
    return OpenAIClient("key", **{"model": "m", **options})


def sent(request, *, stream=True) -> dict:
    return json.loads(answer_request(Account("http://x", {}), "k", request, stream=stream).body)


GOOD = {
    "model": ["gpt-x"],
    "max_completion_tokens": [1, 100_000],
    "max_tokens": [1],
    "temperature": [0, 0.0, 2],
    "top_p": [0, 1],
    "n": [1, 128],
    "stop": ["\n", ["a", "b", "c", "d"], ("a",)],
    "presence_penalty": [-2, 2],
    "frequency_penalty": [-2.0, 2.0],
    "logprobs": [True, False],
    "top_logprobs": [0, 20],
    "logit_bias": [{"50256": -100, "1": 100}],
    "seed": [0, -1, 2**63 - 1],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
    ],
    "tools": [[TOOL], [TOOL] * 128, [{"type": "custom", "custom": {"name": "c"}}]],
    "tool_choice": ["none", "auto", "required", {"type": "function", "function": {"name": "f"}}],
    "parallel_tool_calls": [False],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    "verbosity": ["low", "medium", "high"],
    "service_tier": ["auto", "default", "flex", "scale", "priority", "fast"],
    "prediction": [{"type": "content", "content": "x"}],
    "prompt_cache_key": ["k"],
    "prompt_cache_options": [{"mode": "explicit", "ttl": "30m"}],
    "prompt_cache_retention": ["in_memory", "24h"],
    "modalities": [["text"], ["text", "audio"]],
    "audio": [{"voice": "alloy", "format": "pcm16"}],
    "store": [True],
    "metadata": [{}, {"k" * 64: "v" * 512}, {str(i): "" for i in range(16)}],
    "safety_identifier": ["u" * 128],
    "user": ["u"],
    "moderation": [{"model": "x"}],
    "web_search_options": [{}],
    "functions": [[{"name": "f"}]],
    "function_call": ["auto", {"name": "f"}],
    "stream_options": [{"include_usage": True}],
}
BAD = {
    "model": ["", 5],
    "max_completion_tokens": [0, -1, 1.5, True, "9"],
    "max_tokens": [0],
    "temperature": [-0.1, 2.1, "1", True, float("nan"), float("inf")],
    "top_p": [-0.1, 1.1],
    "n": [0, 129, 1.0, True],
    "stop": ["", ["a"] * 5, [1], 7],
    "presence_penalty": [-2.1, 2.1],
    "frequency_penalty": [-2.1, 2.1],
    "logprobs": [1, "true"],
    "top_logprobs": [-1, 21],
    "logit_bias": [{"1": 101}, {"1": -101}, {"1": "x"}, [1]],
    "seed": [2**63, 1.5],
    "response_format": ["json", {"type": "xml"}, {}, {"type": "json_schema"},
                        {"type": "json_schema", "json_schema": {"schema": {}}}],
    "tools": [[TOOL] * 129, TOOL, ["f"]],
    "tool_choice": ["f", 1],
    "parallel_tool_calls": ["no"],
    "reasoning_effort": ["lots", 3],
    "verbosity": ["chatty"],
    "service_tier": ["gold"],
    "prediction": ["x"],
    "prompt_cache_key": ["", 1],
    "prompt_cache_options": ["implicit"],
    "prompt_cache_retention": ["48h"],
    "modalities": ["text"],
    "audio": ["alloy"],
    "store": ["yes"],
    "metadata": [{str(i): "" for i in range(17)}, {"k" * 65: ""}, {"k": "v" * 513}, {"k": 1}, []],
    "safety_identifier": ["u" * 129],
    "user": [1],
    "moderation": [True],
    "web_search_options": [True],
    "functions": ["f"],
    "function_call": [1],
    "stream_options": [True],
}  # fmt: skip
EXTRAS = {"extra_query", "extra_headers", "extra_body"}


def cases(table):
    return [(name, value) for name, values in table.items() for value in values]


def test_every_documented_option_is_checked_and_tried_here() -> None:
    """The typed options, the checks and these tables name the same fields."""
    typed = set(get_type_hints(ChatDefaults)) - EXTRAS
    assert typed == set(CHECKS) == set(GOOD) == set(BAD)


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_every_option_works_in_the_constructor_and_per_call(name, value) -> None:
    """Both ways give the same body, and the value is in it as it was given."""
    once = sent(client(**{name: value}).request("hi"))
    assert sent(client().request("hi", **{name: value})) == once
    assert once[name] == json.loads(json.dumps(value))


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_value_that_is_not_allowed_is_refused_before_any_io(name, value) -> None:
    """The error is ours and a ValueError, names the argument and what is allowed."""
    for attempt in (
        lambda: client(**{name: value}),
        lambda: client().request("hi", **{name: value}),
        lambda: client().stream_chat("hi", **{name: value}),
    ):
        with pytest.raises(InvalidArgumentError, match="allowed:") as caught:
            attempt()
        assert caught.value.argument.startswith(name)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, ConfigurationError)


async def test_chat_refuses_at_once_too() -> None:
    """The whole answer's method validates before it opens anything."""
    with pytest.raises(InvalidArgumentError):
        await client().chat("hi", n=0)


def test_a_call_wins_and_none_takes_back() -> None:
    """A call's option replaces the constructor's; None in the call sends none at all."""
    llm = client(temperature=0.2, verbosity="low", extra_body={"a": 1, "b": 1})
    body = sent(llm.request("hi", temperature=None, verbosity="high", extra_body={"b": 2}))
    assert "temperature" not in body
    assert (body["verbosity"], body["a"], body["b"]) == ("high", 1, 2)
    assert sent(llm.request("hi"))["temperature"] == 0.2


def test_streams_ask_for_usage_and_no_padding() -> None:
    """The default stream options are sent with streams only; None sends none."""
    request = client().request("hi")
    assert sent(request)["stream"] is True
    assert sent(request)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert not {"stream", "stream_options"} & sent(request, stream=False).keys()
    bare = client().request("hi", stream_options=None)
    assert "stream_options" not in sent(bare)
    assert sent(bare)["stream"] is True
    assert sent(client(stream_options={"x": 1}).request("hi"))["stream_options"] == {"x": 1}


@pytest.mark.parametrize(
    "messages",
    [
        "",
        "  \n",
        [],
        (),
        None,
        5,
        b"hi",
        {"role": "user", "content": "hi"},
        [None],
        ["hi"],
        [{"content": "hi"}],
        [{"role": "robot", "content": "hi"}],
        [{"role": "user"}],
        [{"role": "user", "content": 5}],
        [{"role": "tool", "content": "hi"}],
        [{"role": "user", "content": object()}],
        [{"role": "user", "content": [{"type": "text", "text": b"bytes"}]}],
        [{"role": "user", "content": "\ud800"}],
        [{"role": "user", "content": "x", "weight": float("nan")}],
    ],
)
def test_what_is_no_conversation_is_refused(messages) -> None:
    """Empty, unknown roles, missing content and what JSON cannot hold never reach the wire."""
    with pytest.raises(InvalidArgumentError):
        client().request(messages)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "x"},
        {"role": "system", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "refusal": "no"},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        MappingProxyType({"role": "user", "content": ("x",)}),
    ],
)
def test_every_shape_of_message_passes(message) -> None:
    """The sheet's message shapes are sent as they are, whatever mapping they come in."""
    request = client().request([message])
    assert sent(request)["messages"] == [json.loads(json.dumps(dict(message)))]


def test_a_request_is_frozen_even_against_its_own_messages() -> None:
    """What the caller changes afterwards changes neither body nor identity."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    request = client().request(messages)
    identity = request.identity
    messages[0]["content"][0]["text"] = "b"
    messages.append({"role": "user", "content": "c"})
    request.messages[0]["content"] = "d"
    assert request.identity == identity
    assert request.messages == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    with pytest.raises(AttributeError):
        request.model = "other"


def test_text_is_one_user_message() -> None:
    """A plain str is a convenience for the shortest conversation."""
    assert sent(client().request("hé"))["messages"] == [{"role": "user", "content": "hé"}]


def test_identity_holds_all_that_can_change_the_answer() -> None:
    """Any option, extra or message makes another identity; order and delivery do not."""
    llm = client()
    base = llm.request("hi")
    others = [
        llm.request("hi!"),
        llm.request("hi", model="other"),
        llm.request("hi", seed=1),
        llm.request("hi", extra_body={"x": 1}),
        llm.request("hi", extra_query={"x": 1}),
        llm.request("hi", extra_headers={"x": "1"}),
    ]
    assert len({base.identity, *(other.identity for other in others)}) == 7
    assert llm.request("hi", stream_options=None, limits=Limits(total=1)).identity == base.identity
    assert (
        llm.request("hi", seed=1, n=2).identity
        == OpenAIClient("other key", base_url="http://other", n=2, seed=1, model="m")
        .request("hi", extra_headers={})
        .identity
    )
    assert json.loads(base.identity)["provider"] == "openai"


def test_nothing_shows_content_or_secrets() -> None:
    """No repr of client, settings or request, and no error, quotes text, key or headers."""
    llm = OpenAIClient("SECRETKEY", model="m", extra_headers={"x-secret": "SECRETHEADER"})
    request = llm.request("SECRETTEXT", metadata={"a": "SECRETTEXT"}, extra_body={"b": "SECRETB"})
    shown = repr(llm) + repr(request) + repr(llm._settings.values()) + repr(llm._credential)
    shown += repr(llm.stream_chat(request))
    for bad in (
        lambda: llm.request("x", stop=["SECRETTEXT"] * 5),
        lambda: llm.request("x", metadata={"SECRETTEXT": 1}),
        lambda: llm.request("x", reasoning_effort="SECRETTEXT"),
        lambda: llm.request([{"role": "SECRETTEXT"}]),
        lambda: llm.request("x", extra_headers={"x": "SECRET\nHEADER"}),
        lambda: llm.request([{"role": "user", "content": {"SECRETTEXT"}}]),
        lambda: llm.request("SECRETTEXT\ud800"),
        lambda: OpenAIClient("SECRET\nKEY"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            bad()
        shown += str(caught.value) + repr(caught.value) + repr(caught.value.__context__)
    assert "SECRET" not in shown


def test_extras_go_over_ours() -> None:
    """Headers replace ours whatever their case; query and body are added."""
    llm = client(extra_query={"a": 1}, extra_headers={"AUTHORIZATION": "Bearer other"})
    request = llm.request("hi", extra_query={"b": ["x y", 2]}, extra_headers={"X-Mine": "1"})
    account = Account("http://x", {"OpenAI-Project": "p"})
    wire = answer_request(account, "k", request, stream=True)
    assert wire.url == "http://x/chat/completions?a=1&b=x+y&b=2"
    lowered = [name.lower() for name in wire.headers]
    assert lowered.count("authorization") == 1
    assert wire.headers["AUTHORIZATION"] == "Bearer other"
    assert wire.headers["X-Mine"] == "1"
    assert wire.headers["OpenAI-Project"] == "p"
    assert wire.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"bad name": "x"}},
        {"extra_headers": {"x": "line\nbreak"}},
        {"extra_headers": {"x": "é"}},
        {"extra_headers": {"x": 1}},
        {"extra_headers": [("x", "y")]},
        {"extra_query": "a=b"},
        {"extra_body": {1: 2}},
        {"extra_body": {"x": object()}},
        {"extra_body": {"stream": False}},
        {"extra_body": {"stream_options": {}}},
        {"limits": 5},
        {"temprature": 1},
    ],
)
def test_bad_extras_and_unknown_options_are_refused(options) -> None:
    """What would break the request, or is a misspelt option, never reaches the wire."""
    with pytest.raises(InvalidArgumentError):
        client().request("hi", **options)


def test_a_model_is_required_somewhere() -> None:
    """No default model is guessed; naming one in the call is enough, in extra_body too."""
    llm = OpenAIClient("key")
    with pytest.raises(InvalidArgumentError, match="model"):
        llm.stream_chat("hi")
    assert llm.request("hi", model="a").model == "a"
    assert llm.request("hi", extra_body={"model": "b"}).model == "b"


def test_a_finished_request_takes_no_more_options() -> None:
    """Options beside a request would be ignored or guessed: they are refused."""
    llm = client()
    request = llm.request("hi")
    with pytest.raises(InvalidArgumentError, match="temperature"):
        llm.stream_chat(request, temperature=1)


def test_key_and_address_come_from_the_vendors_variables(monkeypatch) -> None:
    """They are read at construction only; arguments win."""
    with pytest.raises(MissingCredentialError, match="OPENAI_API_KEY"):
        OpenAIClient()
    monkeypatch.setenv("OPENAI_API_KEY", "env-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://env:1/v1/")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj")
    llm = OpenAIClient(project="mine")
    assert llm.base_url == "http://env:1/v1"
    assert llm._account.chosen == {"OpenAI-Organization": "org", "OpenAI-Project": "mine"}
    assert OpenAIClient(base_url="http://arg/v1").base_url == "http://arg/v1"
    assert OpenAIClient(region="eu").base_url == "https://eu.api.openai.com/v1"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert OpenAIClient().base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "arguments",
    [
        {"region": "mars"},
        {"region": "eu", "base_url": "http://x"},
        {"base_url": "ftp://x"},
        {"organization": "a\nb"},
    ],
)
def test_bad_constructor_arguments_are_refused(arguments) -> None:
    """Before any I/O, as everything else."""
    with pytest.raises(InvalidArgumentError):
        OpenAIClient("key", **arguments)


async def test_a_closed_client_says_so() -> None:
    """Neither method opens anything after aclose(), which may be called twice."""
    llm = client()
    await llm.aclose()
    await llm.aclose()
    with pytest.raises(ClosedError):
        await llm.stream_chat("hi")
    with pytest.raises(ClosedError):
        await llm.chat("hi")
    with pytest.raises(ClosedError):
        await llm.warm()


def test_it_is_a_chat_model() -> None:
    """What composes with clients sees only the interface."""
    assert isinstance(client(), ChatModel)
