"""The same chat, response, embedding and list asked for by us and by the vendor's SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit.clients.openai import AzureOpenAIClient, OpenAIClient
from voicekit.emulator import Emulator

openai = sdk_of("openai")

pytestmark = [pytest.mark.anyio, pytest.mark.sdk, pytest.mark.emulated]

Call = Callable[[Any], Awaitable[Any]]

MESSAGES = [
    {"role": "system", "content": "Be brief – “very”."},
    {"role": "user", "content": [{"type": "text", "text": "Grüße 🙂"}]},
]
FUNCTION = {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}

# Ours, so that every stream is cheap to read and says what it cost; None sends none.
CHAT_STREAM = {
    "body.stream_options": ({"include_usage": True, "include_obfuscation": False}, None),
}
RESPONSE_STREAM = {"body.stream_options": ({"include_obfuscation": False}, None)}

EXTRAS: dict[str, Any] = {
    "extra_query": {"a": "1"},
    "extra_headers": {"X-Mine": "yes"},
    "extra_body": {"newer": [1]},
}


async def both(operation: str, ours: Call, theirs: Call, **account: Any) -> dict[str, Any]:
    """What differs between our request and the SDK's."""
    async with Emulator(providers=("openai",), scenario="instant") as world:
        url = world.openai.url
        async with OpenAIClient("test-key", base_url=url, **account) as client:
            await ours(client)
        async with openai.AsyncOpenAI(api_key="test-key", base_url=url, **account) as sdk:
            await theirs(sdk)
        mine, other = world.journal.requests_for("openai", operation)
        assert (mine.status, other.status) == (200, 200)
        return differences(mine, other)


async def read(stream: Any) -> None:
    async for _ in await stream:
        pass


# -- chat --------------------------------------------------------------------------------------

CHATS: list[dict[str, Any]] = [
    {},
    {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 50,
        "stop": ["\n", "###"],
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "seed": 7,
        "user": "u",
        "logit_bias": {"50256": -100},
    },
    {
        "reasoning_effort": "low",
        "verbosity": "low",
        "service_tier": "priority",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "store": False,
        "prediction": {"type": "content", "content": "Hello."},
    },
    {
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "parallel_tool_calls": False,
    },
    {"response_format": {"type": "json_object"}, "n": 2, "logprobs": True, "top_logprobs": 2},
    EXTRAS,
]
NAMES = ["least", "sampling", "service", "tools", "formats", "extras"]


@pytest.mark.parametrize("options", CHATS, ids=NAMES)
async def test_chat(options: dict[str, Any]) -> None:
    """Whole: nothing differs."""
    found = await both(
        "chat",
        lambda c: c.chat(MESSAGES, model="gpt-x", **options),
        lambda c: c.chat.completions.create(messages=MESSAGES, model="gpt-x", **options),
    )
    assert found == {}


@pytest.mark.parametrize("options", CHATS, ids=NAMES)
async def test_chat_streamed(options: dict[str, Any]) -> None:
    """Nothing differs but what we ask of every stream."""
    found = await both(
        "chat",
        lambda c: c.stream_chat(MESSAGES, model="gpt-x", **options).result(),
        lambda c: read(
            c.chat.completions.create(messages=MESSAGES, model="gpt-x", stream=True, **options)
        ),
    )
    assert found == CHAT_STREAM


async def test_chat_streamed_with_options_of_the_stream() -> None:
    """Nothing differs where they are named, or taken back."""
    named = {"include_usage": True}
    found = await both(
        "chat",
        lambda c: c.stream_chat(MESSAGES, model="gpt-x", stream_options=named).result(),
        lambda c: read(
            c.chat.completions.create(
                messages=MESSAGES, model="gpt-x", stream=True, stream_options=named
            )
        ),
    )
    assert found == {}
    found = await both(
        "chat",
        lambda c: c.stream_chat(MESSAGES, model="gpt-x", stream_options=None).result(),
        lambda c: read(c.chat.completions.create(messages=MESSAGES, model="gpt-x", stream=True)),
    )
    assert found == {}


async def test_whose_account_it_is() -> None:
    """Organization and project go in the same headers."""
    found = await both(
        "chat",
        lambda c: c.chat("hi", model="gpt-x"),
        lambda c: c.chat.completions.create(
            messages=[{"role": "user", "content": "hi"}], model="gpt-x"
        ),
        organization="org-1",
        project="proj_1",
    )
    assert found == {}


# -- responses ---------------------------------------------------------------------------------

ITEMS = [
    {"role": "developer", "content": "Be brief – “very”."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Grüße 🙂"}]},
    {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
]
RESPONSES: list[dict[str, Any]] = [
    {},
    {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 50,
        "max_tool_calls": 3,
        "truncation": "auto",
        "store": False,
        "background": False,
        "user": "u",
    },
    {
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "text"}},
        "service_tier": "priority",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"],
        "top_logprobs": 2,
    },
    {
        "tools": [{"type": "function", **FUNCTION, "strict": False}],
        "tool_choice": {"type": "function", "name": "find"},
        "parallel_tool_calls": False,
        "context_management": [{"type": "compaction"}],
    },
    {"conversation": "conv_1", "moderation": {"model": "m"}, "prompt": {"id": "pmpt_1"}},
    EXTRAS,
]
RESPONSE_NAMES = ["least", "sampling", "service", "tools", "context", "extras"]


@pytest.mark.parametrize("options", RESPONSES, ids=RESPONSE_NAMES)
async def test_responses(options: dict[str, Any]) -> None:
    """Whole: nothing differs."""
    found = await both(
        "responses",
        lambda c: c.respond(ITEMS, model="gpt-x", **options),
        lambda c: c.responses.create(input=ITEMS, model="gpt-x", **options),
    )
    assert found == {}


@pytest.mark.parametrize("options", RESPONSES, ids=RESPONSE_NAMES)
async def test_responses_streamed(options: dict[str, Any]) -> None:
    """Nothing differs but what we ask of every stream."""
    found = await both(
        "responses",
        lambda c: c.stream_response(ITEMS, model="gpt-x", **options).result(),
        lambda c: read(c.responses.create(input=ITEMS, model="gpt-x", stream=True, **options)),
    )
    assert found == RESPONSE_STREAM


async def test_responses_streamed_with_options_of_the_stream() -> None:
    """Nothing differs where they are named, or taken back."""
    found = await both(
        "responses",
        lambda c: c.stream_response("hi", model="gpt-x", stream_options=None).result(),
        lambda c: read(c.responses.create(input="hi", model="gpt-x", stream=True)),
    )
    assert found == {}


# -- embeddings --------------------------------------------------------------------------------

MODEL = "text-embedding-3-small"


@pytest.mark.parametrize(
    "options",
    [{}, {"dimensions": 8, "user": "u"}, {"encoding_format": "float"}, EXTRAS],
    ids=["least", "every", "float", "extras"],
)
@pytest.mark.parametrize("texts", ["hi", ["a", "ü"], [1, 2], [[1], [2]]], ids=str)
async def test_embeddings(texts: Any, options: dict[str, Any]) -> None:
    """Nothing differs: base64 is the default of both."""
    found = await both(
        "embeddings",
        lambda c: c.embed(texts, model=MODEL, **options),
        lambda c: c.embeddings.create(input=texts, model=MODEL, **options),
    )
    assert found == {}


# -- models ------------------------------------------------------------------------------------


async def test_models() -> None:
    """Listed and by name: nothing differs."""
    extras = {name: value for name, value in EXTRAS.items() if name != "extra_body"}
    found = await both(
        "models", lambda c: c.models(**extras), lambda c: read_page(c.models.list(**extras))
    )
    assert found == {}
    found = await both(
        "models.get", lambda c: c.model("gpt-4o"), lambda c: c.models.retrieve("gpt-4o")
    )
    assert found == {}


async def read_page(pages: Any) -> None:
    async for _ in pages:
        pass


# -- Azure -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "ours", "theirs", "expected"),
    [
        (
            "chat",
            lambda c: c.stream_chat("hi", model="gpt-x").result(),
            lambda c: read(
                c.chat.completions.create(
                    messages=[{"role": "user", "content": "hi"}], model="gpt-x", stream=True
                )
            ),
            CHAT_STREAM,
        ),
        (
            "responses",
            lambda c: c.respond("hi", model="gpt-x"),
            lambda c: c.responses.create(input="hi", model="gpt-x"),
            {},
        ),
        (
            "embeddings",
            lambda c: c.embed("hi", model=MODEL),
            lambda c: c.embeddings.create(input="hi", model=MODEL),
            {},
        ),
    ],
    ids=["chat", "responses", "embeddings"],
)
async def test_at_azure(operation: str, ours: Call, theirs: Call, expected: Any) -> None:
    """The same addresses, versions and credentials."""
    async with Emulator(providers=("openai",), scenario="instant") as world:
        given = {
            "azure_endpoint": world.openai.url.removesuffix("/v1"),
            "api_version": "2025-04-01-preview",
            "api_key": "test-key",
        }
        async with AzureOpenAIClient(**given) as client:
            await ours(client)
        async with openai.AsyncAzureOpenAI(**given) as sdk:
            await theirs(sdk)
        mine, other = world.journal.requests_for("openai", operation)
        assert (mine.status, other.status) == (200, 200)
        assert differences(mine, other) == expected
