"""A streamed response: every kind of event, whatever place it stands at, and every end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from responses_bytes import (
    PIECES,
    RESPONSE,
    SAID,
    USAGE,
    Events,
    answer,
    calling,
    calls,
    ended,
    message,
    refusing,
)

from voicekit.clients.openai.deltas import (
    Finish,
    LogProbs,
    ReasoningDelta,
    RefusalDelta,
    ResponseEvent,
    ToolCallDelta,
)
from voicekit.clients.openai.likeness import NumberedLikeness
from voicekit.clients.openai.responses_stream import MAX_EVENT_BYTES, ResponseDecoder
from voicekit.errors import (
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    UnavailableError,
)
from voicekit.speech import ToolCall, Usage


def read(stream: bytes, decoder: ResponseDecoder | None = None) -> list[Any]:
    decoder = ResponseDecoder({}) if decoder is None else decoder
    return list(decoder.feed(stream))


def collect(decoder: ResponseDecoder, stream: bytes, into: list[Any]) -> None:
    """What was handed out before an error stays."""
    for item in decoder.feed(stream):
        into.append(item)


def told(items: list[Any]) -> list[Any]:
    """What is no event as it came."""
    return [item for item in items if not isinstance(item, ResponseEvent)]


COUNTED = Usage(
    input_tokens=20, output_tokens=7, total_tokens=27, cached_input_tokens=16, reasoning_tokens=4
)


def test_text_reasoning_and_the_end() -> None:
    """Text is plain str though it stands at index 1; the rest has types of its own."""
    decoder = ResponseDecoder({})
    items = read(answer(), decoder)
    assert told(items) == [
        ReasoningDelta(text="The user"),
        ReasoningDelta(text=" asks."),
        *PIECES,
        COUNTED,
        Finish(reason="stop"),
    ]
    assert decoder.done
    assert decoder.progress == len(PIECES)
    assert "".join(decoder.text) == SAID
    assert (decoder.id, decoder.model, decoder.finish_reason) == (
        "resp_1",
        "gpt-x-2026-01-01",
        "stop",
    )
    assert decoder.service_tier == "default"
    assert decoder.usage.raw == USAGE
    assert decoder.raw["status"] == "completed"
    assert list(decoder.eof(delimited=False)) == []


def test_every_event_of_the_vendor_is_visible() -> None:
    """Those that are no delta come as they are, in order."""
    kinds = [item.type for item in read(answer()) if isinstance(item, ResponseEvent)]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-2:] == ["response.output_item.done", "response.completed"]


def test_an_unknown_event_is_passed_on() -> None:
    """With its name and all its fields; one without a name too."""
    events = Events()
    stream = events("response.web_search_call.searching", item_id="ws_1", output_index=0)
    (item,) = read(stream + b'data: {"odd": 1}\n\n')[:1]
    assert item == ResponseEvent(
        type="response.web_search_call.searching",
        raw={
            "type": "response.web_search_call.searching",
            "sequence_number": 0,
            "item_id": "ws_1",
            "output_index": 0,
        },
    )
    assert read(b'data: {"odd": 1}\n\n') == [ResponseEvent(type="", raw={"odd": 1})]


def test_calls_of_tools() -> None:
    """Each piece says which call; ids are those that results are sent back with."""
    decoder = ResponseDecoder({})
    items = told(read(calls(), decoder))
    assert items[:-2] == [
        ToolCallDelta(index=0, id="call_1", name="find"),
        ToolCallDelta(index=0, arguments='{"ci'),
        ToolCallDelta(index=0, arguments='ty":"Rome"}'),
        ToolCallDelta(index=1, id="call_2", name="time"),
        ToolCallDelta(index=1, arguments="{}"),
    ]
    assert items[-1] == Finish(reason="tool_calls")
    assert decoder.calls() == (
        ToolCall(id="call_1", name="find", arguments='{"city":"Rome"}'),
        ToolCall(id="call_2", name="time", arguments="{}"),
    )
    assert decoder.progress == 5


def test_calls_that_come_at_once() -> None:
    """Servers that send no pieces of the arguments: by the done event, or the finished item."""
    for last in ("arguments", "item"):
        events, decoder = Events(), ResponseDecoder({})
        begun = calling("find", "")
        stream = events("response.output_item.added", output_index=3, item=begun)
        if last == "arguments":
            stream += events(
                "response.function_call_arguments.done",
                item_id="other",
                output_index=3,
                arguments="{}",
            )
        stream += events("response.output_item.done", output_index=3, item=calling("find", "{}"))
        assert told(read(stream, decoder)) == [
            ToolCallDelta(index=0, id="call_1", name="find"),
            ToolCallDelta(index=0, arguments="{}"),
        ]
        assert decoder.calls() == (ToolCall(id="call_1", name="find", arguments="{}"),)


def test_a_custom_tool() -> None:
    """Its input is text of any kind."""
    events, decoder = Events(), ResponseDecoder({})
    item = {"id": "ct_1", "type": "custom_tool_call", "call_id": "c", "name": "run", "input": ""}
    stream = events("response.output_item.added", output_index=0, item=item)
    stream += events("response.custom_tool_call_input.delta", output_index=0, delta="ls")
    stream += events("response.custom_tool_call_input.done", output_index=0, input="ls")
    read(stream, decoder)
    assert decoder.calls() == (ToolCall(id="c", name="run", arguments="ls"),)


def test_a_refusal() -> None:
    """Useful output, and never text."""
    events, decoder = Events(), ResponseDecoder({})
    stream = events.opening() + events.refusal(["I can", "not."])
    items = told(read(stream + events.end([refusing("I cannot.")]), decoder))
    assert items[:2] == [RefusalDelta(text="I can"), RefusalDelta(text="not.")]
    assert ("".join(decoder.refusal), decoder.text, decoder.progress) == ("I cannot.", [], 2)


def test_reasoning_is_no_useful_output() -> None:
    """A stream that only thinks has not answered yet."""
    events, decoder = Events(), ResponseDecoder({})
    text = events("response.reasoning_text.delta", output_index=0, content_index=2, delta="hm")
    assert read(events.opening() + events.reasoning(["hm"]) + text, decoder)[-1] == ReasoningDelta(
        text="hm", part=2, summary=False
    )
    assert decoder.progress == 0


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "a_new_one"}, "a_new_one"),
        (None, "incomplete"),
    ],
)
def test_an_incomplete_response_ends_too(details, reason) -> None:
    """It is an answer, whose finish says what is missing."""
    events, decoder = Events(), ResponseDecoder({})
    stream = events.opening() + events.text()
    stream += events.end(status="incomplete", incomplete_details=details)
    read(stream, decoder)
    assert decoder.done
    assert (decoder.finish_reason, decoder.raw["status"]) == (reason, "incomplete")


def test_what_only_the_last_event_says_is_said() -> None:
    """Proxies that swallow deltas: the whole of it comes at the end, as any delta would."""
    for output, expected in (
        ([message("Hello.")], ["Hello."]),
        ([refusing("No.")], [RefusalDelta(text="No.")]),
        (
            [calling("find", "{}")],
            [
                ToolCallDelta(index=0, id="call_1", name="find"),
                ToolCallDelta(index=0, arguments="{}"),
            ],
        ),
    ):
        events, decoder = Events(), ResponseDecoder({})
        items = told(read(events.opening() + events.end(output), decoder))
        assert items[: len(expected)] == expected
        assert decoder.progress == len(expected)
    assert told(read(Events().end([]))) == [COUNTED, Finish(reason="stop")]


def test_probabilities_come_beside_their_text() -> None:
    """Where they were asked for."""
    events = Events()
    probs = [{"token": "a", "logprob": -0.1}]
    stream = events("response.output_text.delta", output_index=0, delta="a", logprobs=probs)
    assert read(stream) == ["a", LogProbs(raw={"content": probs})]


# -- ends that are none ------------------------------------------------------------------------


@pytest.mark.parametrize("delimited", [True, False])
@pytest.mark.parametrize("missing", [1, 2, 5])
def test_without_its_last_event_a_stream_is_truncated(missing, delimited) -> None:
    """However properly the body ends: nothing but the vendor's own end is one."""
    stream = b"".join(part + b"\n\n" for part in answer().split(b"\n\n")[: -1 - missing])
    for end in (b"", b"data: [DONE]\n\n"):
        decoder = ResponseDecoder({})
        read(stream + end, decoder)
        assert not decoder.done
        with pytest.raises(RemoteProtocolError, match="last event"):
            list(decoder.eof(delimited=delimited))


def test_a_stream_cut_inside_its_last_event() -> None:
    """Is cut; but one that lacks a blank line alone is whole."""
    stream = answer()
    decoder = ResponseDecoder({})
    read(stream[:-10], decoder)
    with pytest.raises(RemoteProtocolError, match="inside an event"):
        decoder.eof(delimited=True)
    for kept in (stream[:-1], stream[:-2]):
        decoder = ResponseDecoder({})
        items = read(kept, decoder)
        items += decoder.eof(delimited=True)
        assert items[-1] == Finish(reason="stop")
        assert decoder.done


def test_what_comes_behind_the_end_is_not_read() -> None:
    """Compatible servers add [DONE]."""
    items = read(answer() + b"data: [DONE]\n\ndata: junk\n\n")
    assert items[-1] == Finish(reason="stop")


# -- errors ------------------------------------------------------------------------------------

ERRORS = [
    # flat, nested or failed: the fields of it; class, retryable, code
    ({"code": "server_error", "message": "m", "param": None}, UnavailableError, True),
    ({"code": "rate_limit_exceeded", "message": "m", "param": None}, RateLimitError, True),
    ({"code": "insufficient_quota", "message": "m", "param": None}, QuotaError, False),
    ({"code": "server_is_overloaded", "message": "m", "param": None}, UnavailableError, True),
    ({"code": "invalid_prompt", "message": "m", "param": None}, InvalidRequestError, False),
    ({"code": "image_too_large", "message": "m", "param": None}, InvalidRequestError, False),
    ({"code": "vector_store_timeout", "message": "m", "param": None}, UnavailableError, True),
    ({"code": "a_new_code", "message": "m", "param": None}, UnavailableError, True),
    ({"code": None, "message": "m", "param": None}, UnavailableError, True),
]


@pytest.mark.parametrize("form", ["flat", "nested", "failed", "whole"])
@pytest.mark.parametrize(("fields", "kind", "retryable"), ERRORS)
def test_every_form_of_an_error(form, fields, kind, retryable) -> None:
    """What came before it is handed out; then it raises, and its code tells what it is."""
    events, decoder = Events(), ResponseDecoder({"retry-after": "3", "x-request-id": "r"})
    stream = events.opening() + events.text()
    if form == "flat":
        stream += events("error", **fields)
    elif form == "nested":
        nested = {"type": "service_unavailable_error", **fields}
        stream += events("error", error=nested) + events.end([], "failed", error=fields)
    elif form == "failed":
        stream += events.end([], "failed", error=fields)
    else:
        stream += b"data: " + json.dumps({"error": fields}).encode() + b"\n\n"
    items: list[Any] = []
    with pytest.raises(ProviderError) as caught:
        collect(decoder, stream, items)
    assert [item for item in items if type(item) is str] == PIECES
    error = caught.value
    assert (type(error), error.retryable, error.code) == (kind, retryable, fields["code"])
    assert (error.detail, error.retry_after) == ("m", 3.0)
    assert "".join(decoder.text) == SAID
    assert not decoder.done


def test_a_failure_without_a_word() -> None:
    """Still an error, and the vendor's."""
    with pytest.raises(UnavailableError):
        read(Events().end([], "failed"))


@pytest.mark.parametrize(
    "stream",
    [
        b"data: nonsense\n\n",
        b"data: []\n\n",
        Events()("response.output_text.delta", output_index=0, delta=7),
        Events()("response.function_call_arguments.delta", output_index=0, delta="{"),
        Events()("response.output_item.added", output_index="x", item=calling("f", "")),
        Events()("response.completed", response=ended([message(content=7)])),
    ],
)
def test_nonsense_is_a_typed_error(stream) -> None:
    """And none of it is taken for text."""
    with pytest.raises(RemoteProtocolError):
        read(stream)


def test_a_line_without_end_is_refused() -> None:
    """Memory is bounded, though the last event may be long."""
    decoder = ResponseDecoder({})
    pieces = [b"x" * (1 << 20)] * (2 + MAX_EVENT_BYTES // (1 << 20))
    with pytest.raises(RemoteProtocolError):
        collect(decoder, b"", [item for piece in pieces for item in decoder.feed(piece)])


# -- the fast way ------------------------------------------------------------------------------


@pytest.mark.parametrize("number_last", [False, True])
def test_deltas_alike_are_read_without_parsing(number_last, monkeypatch) -> None:
    """All but the first of an item; whichever comes first, number or text."""
    from voicekit.clients.openai import stream

    parsed = []
    parse = stream.body_of
    monkeypatch.setattr(stream, "body_of", lambda event: (parsed.append(event), parse(event))[1])
    items = read(answer(number_last=number_last))
    assert [item for item in items if type(item) is str] == PIECES
    assert sum(b'"response.output_text.delta"' in event for event in parsed) == 1


@pytest.mark.parametrize(
    "event",
    [
        b'{"type":"response.output_text.delta","sequence_number":x,"delta":"b"}',
        b'{"type":"response.output_text.delta","sequence_number":,"delta":"b"}',
        b'{"type":"response.output_text.delta","sequence_number":1,"delta":"b","delta":"c"}',
        b'{"type":"response.output_text.delta","sequence_number":1,"delta":7}',
        b'{"type":"response.output_text.delta","sequence_number":1,"delta":"\xff"}',
        b'{"type":"response.output_text.delta","sequence_number":1,"delta":"b"',
        b'{"type":"response.refusal.delta","sequence_number":1,"delta":"b"}',
    ],
)
def test_what_is_not_alike_is_not_read_so(event) -> None:
    """Only one number and one string may differ."""
    alike = NumberedLikeness()
    first = b'{"type":"response.output_text.delta","sequence_number":0,"delta":"a"}'
    alike.learn(first, "a")
    assert alike.text(first.replace(b":0,", b":12,").replace(b'"a"', b'"\\u00e9"')) == "é"
    assert alike.text(event) is None


def test_padding_ends_the_learning() -> None:
    """Padded events differ each time; the text is right all the same."""
    events = Events()
    stream = b""
    for number in range(30):
        events.padding = "x" * (number + 1)
        stream += events("response.output_text.delta", output_index=0, delta=f"{number} ")
    assert read(stream) == [f"{number} " for number in range(30)]


def test_no_repr_shows_what_was_said() -> None:
    """Of any item."""
    items = [item for item in read(answer()) + read(calls()) if type(item) is not str]
    shown = repr(items)
    for word in ("sharp", "Rome", "asks", "open"):
        assert word not in shown
    assert RESPONSE["id"] not in shown
