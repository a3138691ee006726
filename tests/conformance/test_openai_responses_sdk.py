"""The `openai` SDK, unmodified, judges the twin's Responses, embeddings and models.

Sync and async, over TCP and TLS.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Reply, Scenario, ToolCall
from voicekit.emulator.providers.openai_embeddings import vector
from voicekit.emulator.providers.openai_refusals import UNKNOWN_MODEL

openai = sdk_of("openai")
pydantic = pytest.importorskip("pydantic", reason="comes with the vendor's SDK")

pytestmark = [pytest.mark.sdk, pytest.mark.emulated]

ASKED = "What are your opening hours today?"
TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Hours(pydantic.BaseModel):
    """What a parsed answer is parsed to."""

    answer: str


class SyncSdk:
    """The blocking client."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.client = openai.OpenAI(**world.sdk("openai"), max_retries=0)

    def run(self, call: Callable[[Any], Any]) -> Any:
        return call(self.client)

    def respond(self, **options: Any) -> Any:
        made = {"model": "gpt-x", "input": ASKED, **options}
        return self.run(lambda client: client.responses.create(**made))

    def stream(self, **options: Any) -> list[Any]:
        return list(self.respond(stream=True, **options))

    def helper(self, **options: Any) -> list[Any]:
        made = {"model": "gpt-x", "input": ASKED, **options}
        with self.client.responses.stream(**made) as stream:
            return [*stream, stream.get_final_response()]

    def models(self) -> list[Any]:
        return list(self.client.models.list())

    def close(self) -> None:
        self.client.close()


class AsyncSdk(SyncSdk):
    """The asynchronous client, on a loop of its own."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.runner = asyncio.Runner()
        self.client = openai.AsyncOpenAI(**world.sdk("openai"), max_retries=0)

    def run(self, call: Callable[[Any], Any]) -> Any:
        async def finish() -> Any:
            return await call(self.client)

        return self.runner.run(finish())

    def stream(self, **options: Any) -> list[Any]:
        async def finish() -> list[Any]:
            made = {"model": "gpt-x", "input": ASKED, "stream": True, **options}
            return [event async for event in await self.client.responses.create(**made)]

        return self.runner.run(finish())

    def helper(self, **options: Any) -> list[Any]:
        async def finish() -> list[Any]:
            made = {"model": "gpt-x", "input": ASKED, **options}
            async with self.client.responses.stream(**made) as stream:
                return [*[event async for event in stream], await stream.get_final_response()]

        return self.runner.run(finish())

    def models(self) -> list[Any]:
        async def finish() -> list[Any]:
            return [model async for model in self.client.models.list()]

        return self.runner.run(finish())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One emulator for the whole module; each test starts it afresh."""
    with Emulator.in_thread(
        providers=("openai",), scenario="instant", tls=request.param == "tls"
    ) as world:
        yield world


@pytest.fixture(scope="module", params=[SyncSdk, AsyncSdk], ids=["sync", "async"])
def client(request: pytest.FixtureRequest, world: Any) -> Iterator[SyncSdk]:
    with pytest.MonkeyPatch.context() as patch:
        if world.ca_file is not None:
            patch.setenv("SSL_CERT_FILE", str(world.ca_file))
        sdk = request.param(world)
        yield sdk
        sdk.close()


@pytest.fixture
def sdk(client: SyncSdk, monkeypatch: pytest.MonkeyPatch) -> SyncSdk:
    if client.world.ca_file is not None:  # read again by each socket
        monkeypatch.setenv("SSL_CERT_FILE", str(client.world.ca_file))
    client.world.clear_faults()
    client.world.journal.clear()
    client.world.set_scenario("instant")
    return client


def replying(sdk: SyncSdk, **reply: Any) -> None:
    sdk.world.set_scenario(Scenario(name="test", replies=Reply(**reply)))


def kinds(events: list[Any]) -> list[str]:
    """Types in order, repeats of one left out."""
    types = [event.type for event in events if hasattr(event, "type")]
    return [each for at, each in enumerate(types) if at == 0 or each != types[at - 1]]


# -- responses ---------------------------------------------------------------------------------


def test_a_whole_response(sdk: SyncSdk) -> None:
    """Text, usage, status and what was asked come back."""
    replying(sdk, text="Nine to six.")
    answer = sdk.respond(instructions="Be brief.", metadata={"a": "b"}, service_tier="fast")
    assert answer.output_text == "Nine to six."
    assert (answer.status, answer.object, answer.model) == ("completed", "response", "gpt-x")
    assert answer.usage.output_tokens == 3
    assert answer.usage.total_tokens == answer.usage.input_tokens + 3
    assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})
    assert answer.service_tier == "priority"
    assert answer.error is None


def test_a_streamed_response(sdk: SyncSdk) -> None:
    """Every event has its place, and the numbers rise by one."""
    replying(sdk, text="Nine to six.")
    events = sdk.stream(stream_options={"include_obfuscation": False})
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [each for each in events if each.type == "response.output_text.delta"]
    assert "".join(each.delta for each in deltas) == "Nine to six."
    assert not any(getattr(each, "obfuscation", None) for each in deltas)
    assert events[-1].response.output_text == "Nine to six."
    assert events[0].response.id == events[-1].response.id


def test_obfuscation_is_on_unless_declined(sdk: SyncSdk) -> None:
    """As the vendor's default is."""
    deltas = [each for each in sdk.stream() if each.type == "response.output_text.delta"]
    assert all(each.obfuscation for each in deltas)


def test_reasoning_comes_first_and_takes_the_first_index(sdk: SyncSdk) -> None:
    """Text is then at index 1; a summary is only told when asked for."""
    replying(sdk, text="Nine.", reasoning="The user asks for hours.")
    events = sdk.stream(reasoning={"summary": "auto"})
    summary = [each for each in events if each.type == "response.reasoning_summary_text.delta"]
    assert "".join(each.delta for each in summary) == "The user asks for hours."
    delta = next(each for each in events if each.type == "response.output_text.delta")
    assert delta.output_index == 1
    assert not any("summary" in each.type for each in sdk.stream())


def test_tool_calls(sdk: SyncSdk) -> None:
    """Streamed in pieces, whole in one; the result can be sent back."""
    replying(sdk, tool_calls=(ToolCall(name="weather", arguments='{"city": "Rome"}', id="call_1"),))
    call = sdk.respond(tools=[TOOL]).output[0]
    assert (call.type, call.name, call.call_id) == ("function_call", "weather", "call_1")
    assert json.loads(call.arguments) == {"city": "Rome"}
    events = sdk.stream(tools=[TOOL])
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == '{"city": "Rome"}'
    done = next(e for e in events if e.type == "response.function_call_arguments.done")
    assert (done.name, done.arguments) == ("weather", '{"city": "Rome"}')
    replying(sdk, text="Sunny.")
    answer = sdk.respond(
        input=[
            {"role": "user", "content": "Weather in Rome?"},
            call.model_dump(),
            {"type": "function_call_output", "call_id": "call_1", "output": "sun"},
        ]
    )
    assert answer.output_text == "Sunny."


def test_a_refusal(sdk: SyncSdk) -> None:
    """A part of its own kind, streamed and whole."""
    replying(sdk, refusal="I would rather not.")
    part = sdk.respond().output[0].content[0]
    assert (part.type, part.refusal) == ("refusal", "I would rather not.")
    events = sdk.stream()
    said = [each.delta for each in events if each.type == "response.refusal.delta"]
    assert "".join(said) == "I would rather not."


def test_an_incomplete_response(sdk: SyncSdk) -> None:
    """It says so, and why."""
    replying(sdk, text=" ".join(["word"] * 40))
    answer = sdk.respond(max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert sdk.stream(max_output_tokens=16)[-1].type == "response.incomplete"


def test_the_sdks_own_stream_and_parsing(sdk: SyncSdk) -> None:
    """`responses.stream` accumulates, `responses.parse` reads a structured answer."""
    replying(sdk, text="Nine to six.")
    *events, final = sdk.helper()
    assert events[-1].type == "response.completed"
    assert final.output_text == "Nine to six."
    parsed = sdk.run(
        lambda client: client.responses.parse(model="gpt-x", input=ASKED, text_format=Hours)
    )
    assert parsed.output_parsed == Hours(answer="Nine to six.")


def test_a_response_is_continued_kept_and_dropped(sdk: SyncSdk) -> None:
    """By its id, while it is stored."""
    first = sdk.respond()
    second = sdk.respond(previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert sdk.run(lambda client: client.responses.retrieve(first.id)).id == first.id
    sdk.run(lambda client: client.responses.delete(first.id))
    with pytest.raises(openai.NotFoundError):
        sdk.run(lambda client: client.responses.retrieve(first.id))
    unstored = sdk.respond(store=False)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.respond(previous_response_id=unstored.id)
    assert refused.value.code == "previous_response_not_found"


def test_a_prompt_that_is_only_cached_generates_nothing(sdk: SyncSdk) -> None:
    """`prewarm` fills the prompt cache."""
    answer = sdk.respond(prompt_cache_options={"prewarm": True})
    assert (answer.status, answer.output) == ("completed", [])


def test_a_long_prompt_is_cached_the_second_time(sdk: SyncSdk) -> None:
    """As for chat: from 1024 tokens."""
    prompt = "remember this " * 600
    sdk.respond(instructions=prompt, input=prompt)
    again = sdk.respond(instructions=prompt, input=prompt)
    assert again.usage.input_tokens_details.cached_tokens >= 1024


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"model": UNKNOWN_MODEL}, "model", "model_not_found"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value"),
        ({"text": {"verbosity": "huge"}}, "text.verbosity", "invalid_value"),
        ({"truncation": "some"}, "truncation", "invalid_value"),
        ({"max_output_tokens": 1}, "max_output_tokens", "integer_below_min_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role", "invalid_value"),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            None,
            "mutually_exclusive_parameters",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_documented_refusals(sdk: SyncSdk, options: Any, param: Any, code: Any) -> None:
    """400, in the vendor's shape."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.respond(**options)
    assert (refused.value.param, refused.value.code) == (param, code)


def test_errors_inside_a_stream(sdk: SyncSdk) -> None:
    """Flat is an event, nested raises, failed is an event: as the SDK takes them."""
    sdk.world.inject("openai", Fault("in_stream_error", after_events=5))
    assert sdk.stream()[-1].type == "error"
    error = {"type": "service_unavailable_error", "code": "server_is_overloaded", "message": "No."}
    sdk.world.inject("openai", Fault("in_stream_error", body={"error": error}, after_events=5))
    with pytest.raises(openai.APIError, match="No"):
        sdk.stream()
    failed = {"type": "response.failed", "error": {"code": "rate_limit_exceeded", "message": "x"}}
    sdk.world.inject("openai", Fault("in_stream_error", body=failed, after_events=5))
    last = sdk.stream()[-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert last.response.error.code == "rate_limit_exceeded"


def test_a_whole_response_that_failed(sdk: SyncSdk) -> None:
    """Status 200, and the failure inside."""
    sdk.world.inject("openai", Fault("in_stream_error"))
    answer = sdk.respond()
    assert (answer.status, answer.error.code) == ("failed", "server_error")


def test_the_headers_are_the_vendors(sdk: SyncSdk) -> None:
    """The six limits and the request's id, on responses and embeddings; models have no limits."""
    raw = sdk.run(
        lambda client: client.responses.with_raw_response.create(model="gpt-x", input=ASKED)
    )
    assert raw.headers["x-request-id"].startswith("req_")
    assert sum(name.startswith("x-ratelimit-") for name in raw.headers) == 6
    raw = sdk.run(lambda client: client.models.with_raw_response.retrieve("gpt-5.5"))
    assert not any(name.startswith("x-ratelimit-") for name in raw.headers)


def test_a_socket_is_refused_in_words(sdk: SyncSdk) -> None:
    """The twin says that it has none, instead of a riddle."""
    pytest.importorskip("websockets", reason="the SDK's sockets need it")

    def dial(client: Any) -> Any:
        return client.responses.connect().enter()

    with pytest.raises(Exception, match="501"):
        sdk.run(dial)


# -- embeddings --------------------------------------------------------------------------------


def test_embeddings(sdk: SyncSdk) -> None:
    """The same numbers as floats and as base64, which the SDK decodes."""
    texts = ["one", "two"]
    made = sdk.run(
        lambda client: client.embeddings.create(
            model="text-embedding-3-small", input=texts, dimensions=8
        )
    )
    floats = sdk.run(
        lambda client: client.embeddings.create(
            model="text-embedding-3-small", input=texts, dimensions=8, encoding_format="float"
        )
    )
    assert [each.index for each in made.data] == [0, 1]
    for text, packed, plain in zip(texts, made.data, floats.data, strict=True):
        assert packed.embedding == plain.embedding == list(vector(text, 8))
    assert made.usage.prompt_tokens == made.usage.total_tokens == 2
    whole = sdk.run(
        lambda client: client.embeddings.create(model="text-embedding-3-large", input="one")
    )
    assert len(whole.data[0].embedding) == 3072


@pytest.mark.parametrize(
    "options",
    [
        {"input": ""},
        {"input": [""]},
        {"input": ["x"] * 2049},
        {"input": "x" * 40_000},
        {"dimensions": 0},
        {"encoding_format": "hex"},
    ],
    ids=["empty", "empty-in-list", "many", "long", "dimensions", "format"],
)
def test_embeddings_are_refused_as_documented(sdk: SyncSdk, options: Any) -> None:
    """400 for what the vendor's limits exclude."""
    made = {"model": "text-embedding-3-small", "input": "x", **options}
    with pytest.raises(openai.BadRequestError):
        sdk.run(lambda client: client.embeddings.create(**made))


# -- models ------------------------------------------------------------------------------------


def test_models_and_their_ends(sdk: SyncSdk) -> None:
    """Listed and by name; a model that ends says when."""
    listed = {model.id: model for model in sdk.models()}
    assert listed["gpt-4o"].shutdown_date == "2027-01-14"
    assert listed["gpt-5.5"].shutdown_date is None
    assert sdk.run(lambda client: client.models.retrieve("gpt-4o")) == listed["gpt-4o"]
