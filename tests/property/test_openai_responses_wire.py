"""However the network cuts the stream of a response, the answer is the same."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.openai.deltas import (
    Finish,
    ReasoningDelta,
    RefusalDelta,
    ResponseEvent,
    ToolCallDelta,
)
from voicekit.clients.openai.responses_stream import ResponseDecoder
from voicekit.errors import VoicekitError
from voicekit.speech import Usage

# Composed from the sheet: framing, order of the events and of their fields.
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1790000000,
    "status": "in_progress",
    "error": None,
    "model": "gpt-x",
    "output": [],
    "usage": None,
}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 13,
}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}

COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
CUTS = st.lists(st.integers(0, 20_000), max_size=20)
DELTAS = st.one_of(
    st.tuples(st.just("response.output_text.delta"), TEXT),
    st.tuples(st.just("response.output_text.delta"), TEXT),
    st.tuples(st.just("response.output_text.delta"), TEXT),
    st.tuples(st.just("response.refusal.delta"), TEXT),
    st.tuples(st.just("response.reasoning_summary_text.delta"), TEXT),
    st.tuples(st.just("response.function_call_arguments.delta"), TEXT),
    st.tuples(st.just("response.something.new"), TEXT),
)
ITEMS = st.lists(st.tuples(DELTAS, st.integers(0, 2)), max_size=12)
STYLES = st.tuples(
    st.sampled_from([COMPACT, json.dumps]),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.booleans(),  # whether the number stands behind the text
    st.sampled_from([None, None, "x"]),  # padding
)


def event(style, number: int, kind: str, fields: dict) -> bytes:
    dumps, end, number_last, padding = style
    counted = {"sequence_number": number}
    value = {"type": kind, **counted, **fields}
    if number_last:
        value = {**fields, **counted, "type": kind}
    if padding and kind.endswith(".delta"):
        value["obfuscation"] = padding * (number % 3 + 1)
    return f"event: {kind}{end}data: {dumps(value)}{end}{end}".encode()


def stream_of(style, deltas) -> tuple[bytes, list]:
    """A stream, and what the sheet says it means."""
    parts = [("response.created", {"response": RESPONSE})]
    parts.append(("response.output_item.added", {"output_index": 5, "item": CALL}))
    meant: list = [ToolCallDelta(index=0, id="call_1", name="f")]
    for (kind, text), index in deltas:
        where = {"item_id": f"item_{index}", "output_index": index, "content_index": 0}
        if kind == "response.function_call_arguments.delta":
            where = {"item_id": "fc_1", "output_index": 5}
        more = {"logprobs": []} if kind == "response.output_text.delta" else {}
        parts.append((kind, {**where, "delta": text, **more}))
        if kind == "response.something.new":
            meant.append(kind)
        elif text:
            meant.append(
                {
                    "response.output_text.delta": text,
                    "response.refusal.delta": RefusalDelta(text=text),
                    "response.reasoning_summary_text.delta": ReasoningDelta(text=text, index=index),
                    "response.function_call_arguments.delta": ToolCallDelta(
                        index=0, arguments=text
                    ),
                }[kind]
            )
    done = {**RESPONSE, "status": "completed", "usage": USAGE}
    parts.append(("response.completed", {"response": done}))
    counted = Usage(
        input_tokens=10,
        output_tokens=3,
        total_tokens=13,
        cached_input_tokens=0,
        reasoning_tokens=0,
    )
    meant += [counted, Finish(reason="tool_calls")]
    return b"".join(event(style, n, *part) for n, part in enumerate(parts)), meant


def shown(items: list) -> list:
    """Items, with the events that are none of ours by their name."""
    kept = {"response.something.new"}
    return [
        item.type if isinstance(item, ResponseEvent) else item
        for item in items
        if not isinstance(item, ResponseEvent) or item.type in kept
    ]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in pairwise(at)]


@given(STYLES, ITEMS, CUTS)
def test_any_cutting_of_any_stream_gives_its_deltas(style, deltas, cuts) -> None:
    """Text of any kind, in any mix of deltas and items, arrives whole and in order."""
    stream, meant = stream_of(style, deltas)
    decoder = ResponseDecoder({})
    items = [item for piece in cut(stream, cuts) for item in decoder.feed(piece)]
    assert shown(items) == meant
    assert decoder.done
    assert "".join(decoder.text) == "".join(item for item in meant if type(item) is str
                                            and item != "response.something.new")  # fmt: skip


SAID = [
    (("response.output_text.delta", piece), 1)
    for piece in ("We", " open", " „9“", ' "sharp"\n', " \U0001f600")
]
CALLED = [(("response.function_call_arguments.delta", piece), 0) for piece in ('{"a"', ":1}")]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_cut_at_every_position(end) -> None:
    """In two, at each byte of a stream with text, calls and reasoning."""
    thought = [(("response.reasoning_summary_text.delta", "hm"), 0)]
    stream, meant = stream_of((COMPACT, end, False, None), thought + SAID + CALLED)
    for at in range(len(stream) + 1):
        decoder = ResponseDecoder({})
        items = [*decoder.feed(stream[:at]), *decoder.feed(stream[at:])]
        assert shown(items) == meant, at
    decoder = ResponseDecoder({})
    dripped = [item for byte in stream for item in decoder.feed(bytes([byte]))]
    assert shown(dripped) == meant


@given(STYLES, ITEMS, CUTS, st.binary(max_size=40))
def test_any_bytes_end_in_values_or_a_typed_error(style, deltas, cuts, noise) -> None:
    """A broken stream fails as ours or reads as a stream: nothing else escapes."""
    stream, _ = stream_of(style, deltas)
    at = cuts[0] % (len(stream) + 1) if cuts else 0
    broken = stream[:at] + noise + stream[at:]
    decoder = ResponseDecoder({})
    try:
        for piece in cut(broken, cuts):
            list(decoder.feed(piece))
        decoder.eof(delimited=True)
    except VoicekitError:
        return
    assert decoder.done


@given(STYLES, ITEMS, st.integers(0, 20_000))
def test_a_stream_cut_short_is_never_complete(style, deltas, at) -> None:
    """No prefix of a stream passes for the answer, however properly its body ends."""
    stream, _ = stream_of(style, deltas)
    # All but the blank line of the last event is a prefix that says everything.
    most = stream.rindex(b"}")
    decoder = ResponseDecoder({})
    list(decoder.feed(stream[: at % most]))
    with pytest.raises(VoicekitError):
        decoder.eof(delimited=True)
