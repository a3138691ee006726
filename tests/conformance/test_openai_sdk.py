"""The `openai` SDK, unmodified, is the judge of the emulated OpenAI: sync and async, TCP and TLS.

Constructor arguments and, under TLS, `SSL_CERT_FILE` are all that it is given.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Reply, Scenario, ToolCall
from voicekit.emulator.providers.base import BAD_KEY
from voicekit.emulator.providers.openai_refusals import UNKNOWN_MODEL

openai = sdk_of("openai")

pytestmark = [pytest.mark.sdk, pytest.mark.emulated]

ASKED = [{"role": "user", "content": "What are your opening hours today?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


class SyncSdk:
    """The blocking client."""

    def __init__(self, world: Any, **options: Any) -> None:
        self.world = world
        self.client = openai.OpenAI(**world.sdk("openai"), **options)

    def run(self, call: Callable[[Any], Any]) -> Any:
        return call(self.client)

    def chat(self, **options: Any) -> Any:
        options = {"model": "gpt-x", "messages": ASKED, **options}
        return self.run(lambda client: client.chat.completions.create(**options))

    def stream(self, into: list[Any] | None = None, **options: Any) -> list[Any]:
        into = [] if into is None else into
        for chunk in self.chat(stream=True, **options):
            into.append(chunk)
        return into

    def parse(self, **options: Any) -> Any:
        return self.client.chat.completions.parse(model="gpt-x", messages=ASKED, **options)

    def events(self) -> list[Any]:
        with self.client.chat.completions.stream(model="gpt-x", messages=ASKED) as stream:
            return [*stream, stream.get_final_completion()]

    def close(self) -> None:
        self.client.close()


class AsyncSdk(SyncSdk):
    """The asynchronous client, on a loop of its own."""

    def __init__(self, world: Any, **options: Any) -> None:
        self.world = world
        self.runner = asyncio.Runner()
        self.client = openai.AsyncOpenAI(**world.sdk("openai"), **options)

    def run(self, call: Callable[[Any], Any]) -> Any:
        async def finish() -> Any:
            return await call(self.client)

        return self.runner.run(finish())

    def stream(self, into: list[Any] | None = None, **options: Any) -> list[Any]:
        into = [] if into is None else into

        async def finish() -> list[Any]:
            made = {"model": "gpt-x", "messages": ASKED, "stream": True, **options}
            async for chunk in await self.client.chat.completions.create(**made):
                into.append(chunk)
            return into

        return self.runner.run(finish())

    def parse(self, **options: Any) -> Any:
        return self.run(
            lambda client: client.chat.completions.parse(model="gpt-x", messages=ASKED, **options)
        )

    def events(self) -> list[Any]:
        async def finish() -> list[Any]:
            completions = self.client.chat.completions
            async with completions.stream(model="gpt-x", messages=ASKED) as stream:
                return [*[event async for event in stream], await stream.get_final_completion()]

        return self.runner.run(finish())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    tls = request.param == "tls"
    with Emulator.in_thread(providers=("openai",), tls=tls, scenario="instant") as emulator:
        yield emulator


@pytest.fixture(scope="module", params=[SyncSdk, AsyncSdk], ids=["sync", "async"])
def client(request: pytest.FixtureRequest, world: Any) -> Iterator[SyncSdk]:
    with pytest.MonkeyPatch.context() as patch:
        trust(world, patch)
        sdk = request.param(world, max_retries=0)
    yield sdk
    sdk.close()


def trust(world: Any, patch: pytest.MonkeyPatch) -> None:
    """The SDK reads the variable whenever it builds a client."""
    if world.ca_file is not None:
        patch.setenv("SSL_CERT_FILE", str(world.ca_file))


@pytest.fixture
def sdk(client: SyncSdk, monkeypatch: pytest.MonkeyPatch) -> SyncSdk:
    trust(client.world, monkeypatch)
    client.world.set_scenario("instant")
    client.world.clear_faults()
    client.world.clear_journal()
    return client


def replying(sdk: SyncSdk, **reply: Any) -> None:
    sdk.world.set_scenario(Scenario(name="scripted", replies=Reply(**reply)))


def text(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


# -- models --------------------------------------------------------------------------------


def test_models_are_listed_and_described(sdk: SyncSdk) -> None:
    """A list, one by name, and the vendor's 404 for another."""
    listed = (
        sdk.run(lambda client: client.models.list()).data
        if isinstance(sdk, AsyncSdk)
        else (sdk.client.models.list().data)
    )
    assert {model.object for model in listed} == {"model"}
    one = sdk.run(lambda client: client.models.retrieve(listed[0].id))
    assert one.id == listed[0].id
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.run(lambda client: client.models.retrieve(UNKNOWN_MODEL))
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")


# -- chat, whole ---------------------------------------------------------------------------


def test_a_whole_answer(sdk: SyncSdk) -> None:
    """Text, finish reason, usage that adds up, ids and the served tier."""
    answer = sdk.chat(service_tier="fast")
    (choice,) = answer.choices
    assert "nine in the morning" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.message.refusal is None
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "gpt-x"
    assert answer.service_tier == "priority"
    used = answer.usage
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    assert used.prompt_tokens_details.cached_tokens == 0
    assert used.completion_tokens_details.reasoning_tokens == 0


def test_headers_are_the_vendors(sdk: SyncSdk) -> None:
    """Request id, version, limits: on the raw response and on the result."""
    raw = sdk.run(
        lambda client: client.chat.completions.with_raw_response.create(
            model="gpt-x", messages=ASKED
        )
    )
    assert raw.headers["openai-version"] == "2020-10-01"
    assert int(raw.headers["openai-processing-ms"]) >= 1
    for kind in ("requests", "tokens"):
        for what in ("limit", "remaining", "reset"):
            assert f"x-ratelimit-{what}-{kind}" in raw.headers
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    assert len(raw.headers["x-request-id"]) == len("req_") + 32


def test_several_choices(sdk: SyncSdk) -> None:
    """N answers, each with its index, whole and streamed."""
    assert [choice.index for choice in sdk.chat(n=3).choices] == [0, 1, 2]
    chunks = sdk.stream(n=2)
    said = {0: "", 1: ""}
    for chunk in chunks:
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said[0] == said[1] != ""
    ends = [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason]
    assert ends == ["stop", "stop"]


def test_a_long_prompt_is_cached_the_second_time(sdk: SyncSdk) -> None:
    """Equal prefixes of 1,024 tokens and more count as cached, in steps of 128."""
    static = {"role": "system", "content": f"{sdk} " + "rule " * 2000}
    first = sdk.chat(messages=[static, *ASKED])
    second = sdk.chat(messages=[static, {"role": "user", "content": "Something else?"}])
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    cached = second.usage.prompt_tokens_details.cached_tokens
    assert cached >= 1024
    assert cached % 128 == 0


# -- chat, streamed ------------------------------------------------------------------------


def test_a_streamed_answer(sdk: SyncSdk) -> None:
    """Role first, then text in pieces, then the finish reason; no usage unless asked."""
    chunks = sdk.stream()
    first, last = chunks[0].choices[0], chunks[-1].choices[0]
    assert (first.delta.role, first.delta.content) == ("assistant", "")
    assert "nine in the morning" in text(chunks)
    assert len(chunks) > 20
    assert last.finish_reason == "stop"
    assert last.delta.content is None
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_usage_comes_last_when_asked(sdk: SyncSdk) -> None:
    """One more chunk without choices; every other says null."""
    chunks = sdk.stream(stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 20
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_obfuscation_is_on_unless_declined(sdk: SyncSdk) -> None:
    """Padding of changing length on every chunk; none with `include_obfuscation: false`."""
    padded = [chunk.obfuscation for chunk in sdk.stream()]
    assert all(padded)
    assert len({len(padding) for padding in padded}) > 3
    bare = sdk.stream(stream_options={"include_obfuscation": False})
    assert all("obfuscation" not in chunk.to_dict() for chunk in bare)
    notes = [record.notes for record in sdk.world.journal.requests_for("openai", "chat")]
    assert any("include_obfuscation" in note for note in notes[0])
    assert notes[1] == []


def test_the_sdks_own_event_stream(sdk: SyncSdk) -> None:
    """The SDK's accumulating helper reads the whole stream and agrees with the deltas."""
    *events, final = sdk.events()
    deltas = "".join(event.delta for event in events if event.type == "content.delta")
    assert final.choices[0].message.content == deltas != ""


def test_a_finished_stream_leaves_its_connection(sdk: SyncSdk) -> None:
    """Streams and whole answers travel on one connection; after `[DONE]` nothing is left to read.

    The blocking SDK does not read to the end of a stream's body, and so gives up its connection.
    """
    one = sdk.stream if isinstance(sdk, AsyncSdk) else sdk.chat
    one()
    since = sdk.world.journal.now()
    one()
    sdk.chat()
    assert sdk.world.journal.new_connections("openai", since=since) == []
    assert len({record.connection for record in sdk.world.journal.requests}) == 1


# -- tool calls, refusals, endings ---------------------------------------------------------


def test_tool_calls(sdk: SyncSdk) -> None:
    """Whole, and in fragments that join to the same arguments; the content is null."""
    calls = (
        ToolCall(name="weather", arguments='{"city": "Köln", "days": 2}'),
        ToolCall(name="weather", arguments='{"city": "Bonn", "days": 1}', id="call_own"),
    )
    replying(sdk, tool_calls=calls)
    (choice,) = sdk.chat(tools=TOOLS).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    got = [call.function.arguments for call in choice.message.tool_calls]
    assert got == [call.arguments for call in calls]
    assert choice.message.tool_calls[0].id.startswith("call_")
    assert choice.message.tool_calls[1].id == "call_own"

    chunks = sdk.stream(tools=TOOLS)
    assert chunks[0].choices[0].delta.content is None
    names, arguments = {}, {0: "", 1: ""}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            if call.id:
                names[call.index] = (call.id, call.type, call.function.name)
            else:
                assert call.function.name is None
            arguments[call.index] += call.function.arguments
    assert list(arguments.values()) == got
    assert names[1] == ("call_own", "function", "weather")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_one_tool_call_when_parallel_ones_are_declined(sdk: SyncSdk) -> None:
    """`parallel_tool_calls: false` is honoured."""
    replying(sdk, tool_calls=(ToolCall(name="weather"), ToolCall(name="weather")))
    (choice,) = sdk.chat(tools=TOOLS, parallel_tool_calls=False).choices
    assert len(choice.message.tool_calls) == 1


@pytest.mark.parametrize(
    "tool_choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_tool_call_that_is_insisted_on(sdk: SyncSdk, tool_choice: Any) -> None:
    """A forced call is made, with arguments that fit the tool's schema."""
    (choice,) = sdk.chat(tools=TOOLS, tool_choice=tool_choice).choices
    arguments = json.loads(choice.message.tool_calls[0].function.arguments)
    assert isinstance(arguments["city"], str)
    assert arguments["days"] == 0
    assert sdk.chat(tools=TOOLS, tool_choice="none").choices[0].message.tool_calls is None


def test_a_refusal(sdk: SyncSdk) -> None:
    """In its own field, whole and in deltas; the content stays empty."""
    replying(sdk, refusal="I cannot help with that.")
    (choice,) = sdk.chat().choices
    assert choice.message.refusal == "I cannot help with that."
    assert choice.message.content is None
    chunks = sdk.stream()
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.refusal or "" for delta in deltas) == "I cannot help with that."
    assert not "".join(delta.content or "" for delta in deltas)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("reason", ["length", "content_filter", "function_call"])
def test_scripted_finish_reasons(sdk: SyncSdk, reason: str) -> None:
    """Whatever the script says ends the answer."""
    replying(sdk, text="So far", finish_reason=reason)
    assert sdk.chat().choices[0].finish_reason == reason
    assert sdk.stream()[-1].choices[0].finish_reason == reason


def test_limits_and_stops_end_an_answer(sdk: SyncSdk) -> None:
    """`max_completion_tokens` cuts with "length", a stop sequence with "stop"."""
    replying(sdk, text="one two three four five")
    (cut,) = sdk.chat(max_completion_tokens=2).choices
    assert (cut.message.content, cut.finish_reason) == ("one two", "length")
    (stopped,) = sdk.chat(stop=[" four", "zzz"]).choices
    assert (stopped.message.content, stopped.finish_reason) == ("one two three", "stop")
    assert text(sdk.stream(stop="hree")) == "one two t"


def test_logprobs(sdk: SyncSdk) -> None:
    """One per token, on the chunk that brings it."""
    replying(sdk, text="one two")
    (choice,) = sdk.chat(logprobs=True, top_logprobs=0).choices
    assert [each.token for each in choice.logprobs.content] == ["one", " two"]
    chunks = sdk.stream(logprobs=True)
    tokens = [c.choices[0].logprobs.content[0].token for c in chunks if c.choices[0].logprobs]
    assert tokens == ["one", " two"]


def test_structured_answers(sdk: SyncSdk) -> None:
    """A JSON object where asked for one; a schema's shape, which the SDK parses."""
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        text: str
        count: int

    loose = sdk.chat(response_format={"type": "json_object"}).choices[0].message.content
    assert isinstance(json.loads(loose), dict)
    parsed = sdk.parse(response_format=Answer).choices[0].message.parsed
    assert "nine in the morning" in parsed.text
    assert parsed.count == 0


# -- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"top_p": -1}, "top_p", "decimal_below_min_value"),
        ({"temperature": "warm"}, "temperature", "invalid_type"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        ({"reasoning_effort": "lots"}, "reasoning_effort", "invalid_value"),
        ({"verbosity": "loud"}, "verbosity", "invalid_value"),
        ({"service_tier": "gold"}, "service_tier", "invalid_value"),
        ({"stop": list("abcde")}, "stop", "array_above_max_length"),
        ({"top_logprobs": 3}, "top_logprobs", None),
        ({"tools": TOOLS * 129}, "tools", "array_above_max_length"),
        ({"tool_choice": "required"}, "tool_choice", None),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            None,
        ),
        ({"tools": [{"type": "magic"}]}, "tools[0].type", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "string_above_max_length"),
        (
            {"metadata": {str(n): "v" for n in range(17)}},
            "metadata",
            "object_above_max_properties",
        ),
        ({"safety_identifier": "x" * 65}, "safety_identifier", "string_above_max_length"),
        ({"modalities": ["text", "audio"]}, "modalities", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"model": ""}, None, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_documented_refusals(sdk: SyncSdk, options: Any, param: Any, code: Any) -> None:
    """A 400 in the vendor's shape, naming the parameter."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat(**options)
    error = refused.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, code)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.request_id.startswith("req_")
    assert sdk.world.journal.requests[-1].outcome == "refused"


def test_an_unknown_model(sdk: SyncSdk) -> None:
    """404 with `param` null, as recorded for chat."""
    with pytest.raises(openai.NotFoundError) as refused:
        sdk.chat(model=UNKNOWN_MODEL)
    assert (refused.value.code, refused.value.param) == ("model_not_found", None)


def test_a_wrong_key(sdk: SyncSdk) -> None:
    """401, `invalid_api_key`, and neither limits nor account in the headers."""
    other = type(sdk)(sdk.world)
    try:
        other.client.api_key = BAD_KEY
        with pytest.raises(openai.AuthenticationError) as refused:
            other.chat()
    finally:
        other.close()
    assert refused.value.code == "invalid_api_key"
    headers = refused.value.response.headers
    assert headers["x-request-id"].startswith("req_")
    assert not [name for name in headers if name.startswith(("openai-", "x-ratelimit"))]
    assert BAD_KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "raised", "kind", "code"),
    [
        (400, "BadRequestError", "invalid_request_error", None),
        (403, "PermissionDeniedError", "invalid_request_error", None),
        (404, "NotFoundError", "invalid_request_error", "model_not_found"),
        (409, "ConflictError", "invalid_request_error", None),
        (422, "UnprocessableEntityError", "invalid_request_error", None),
        (429, "RateLimitError", "requests", "rate_limit_exceeded"),
        (500, "InternalServerError", "server_error", None),
        (503, "InternalServerError", "service_unavailable_error", "server_is_overloaded"),
    ],
)
def test_injected_statuses(sdk: SyncSdk, status: int, raised: str, kind: str, code: Any) -> None:
    """Each status comes in the vendor's own shape, which the SDK maps."""
    sdk.world.inject("openai", Fault("status", status=status))
    with pytest.raises(getattr(openai, raised)) as refused:
        sdk.chat()
    assert refused.value.status_code == status
    assert (refused.value.type, refused.value.code) == (kind, code)


def test_the_sdk_retries_as_told(sdk: SyncSdk) -> None:
    """`retry-after-ms` and `x-should-retry` reach it, and the journal counts its attempts."""
    other = type(sdk)(sdk.world, max_retries=2)
    try:
        soon = (("retry-after-ms", "5"),)
        sdk.world.inject("openai", Fault("status", status=429, headers=soon, times=2))
        assert other.chat().choices
        never = (("x-should-retry", "false"),)
        sdk.world.inject("openai", Fault("status", status=500, headers=never))
        with pytest.raises(openai.InternalServerError):
            other.chat()
    finally:
        other.close()
    outcomes = [record.outcome for record in sdk.world.journal.requests]
    assert outcomes == ["fault", "fault", "complete", "fault"]
    (group,) = sdk.world.journal.duplicates()
    assert len(group) == 4


def test_an_error_inside_a_stream(sdk: SyncSdk) -> None:
    """The SDK raises it after the deltas that came before."""
    sdk.world.inject("openai", Fault("in_stream_error", after_events=4))
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="had an error") as failed:
        sdk.stream(seen)
    assert not isinstance(failed.value, openai.APIConnectionError)
    assert len(seen) == 4


@pytest.mark.parametrize("kind", ["close", "reset"])
def test_a_stream_that_is_cut(sdk: SyncSdk, kind: Any) -> None:
    """A connection that ends mid-stream is an error of the connection."""
    sdk.world.inject("openai", Fault(kind, after_events=5))
    seen: list[Any] = []
    with pytest.raises(openai.APIConnectionError):
        sdk.stream(seen)
    assert len(seen) <= 5


def test_a_stream_without_its_end_marker_ends_in_silence(sdk: SyncSdk) -> None:
    """What the sheet says of the SDK: no error, no finish reason. Ours must do better."""
    sdk.world.inject("openai", Fault("no_end_marker"))
    chunks = sdk.stream()
    assert "nine in the morning" in text(chunks)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_a_silent_server_times_out(sdk: SyncSdk) -> None:
    """Reads and never answers: only the caller's timeout ends it."""
    sdk.world.inject("openai", Fault("silence"))
    with pytest.raises(openai.APITimeoutError):
        sdk.chat(timeout=0.2)


def test_the_scenarios_time_is_spent(sdk: SyncSdk) -> None:
    """First token and gaps take what the scenario says, on the server's own clock."""
    sdk.world.set_scenario(
        Scenario(name="slow", replies="one two three", chat_first_token=0.1, chat_token_gap=0.05)
    )
    sdk.stream()
    (record,) = sdk.world.journal.requests_for("openai", "chat")
    while record.finished_at is None:  # the server's end comes a little after the client's
        time.sleep(0.001)
    assert 0.1 <= record.first_byte_at - record.received_at < 1.0
    assert 0.2 <= record.finished_at - record.received_at < 2.0
