"""However the network cuts a chat stream, the answer is the same."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.openai.deltas import Finish, RefusalDelta, TextDelta, ToolCallDelta
from voicekit.clients.openai.stream import ChatDecoder
from voicekit.errors import VoicekitError

HEAD = {
    "id": "chatcmpl-A1",
    "object": "chat.completion.chunk",
    "created": 1790000000,
    "model": "gpt-x-2026-01-01",
    "service_tier": "default",
    "system_fingerprint": "fp_abc",
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=20)
DELTAS = st.one_of(
    TEXT.map(lambda text: {"content": text}),
    TEXT.map(lambda text: {"content": text}),
    TEXT.map(lambda text: {"refusal": text}),
    TEXT.map(lambda text: {"role": "assistant", "content": text, "refusal": None}),
    st.tuples(st.integers(0, 2), TEXT).map(
        lambda call: {"tool_calls": [{"index": call[0], "function": {"arguments": call[1]}}]}
    ),
    st.just({}),
)
CHUNKS = st.lists(
    st.tuples(DELTAS, st.sampled_from([0, 0, 0, 1]), st.sampled_from([None] * 5 + ["stop"])),
    max_size=12,
)
DUMPS = st.sampled_from(
    [
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        json.dumps,
    ]
)
PADDING = st.sampled_from([None, None, "x", "xyz"])


def event(dumps, delta, index, finish, padding) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    value = {**HEAD, "choices": [choice], "usage": None}
    if padding:
        value["obfuscation"] = padding
    return f"data: {dumps(value)}\n\n".encode()


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in pairwise(at)]


def expected(chunks) -> list:
    """The sheet's table of chunks, written down with nothing else in mind."""
    items = []
    for delta, index, finish in chunks:
        if delta.get("content"):
            text = delta["content"]
            items.append(text if index == 0 else TextDelta(text=text, choice=index))
        if delta.get("refusal"):
            items.append(RefusalDelta(text=delta["refusal"], choice=index))
        for call in delta.get("tool_calls", ()):
            if call["function"]["arguments"]:
                items.append(
                    ToolCallDelta(
                        index=call["index"], arguments=call["function"]["arguments"], choice=index
                    )
                )
        if finish:
            items.append(Finish(reason=finish, choice=index))
    return items


@given(CHUNKS, DUMPS, PADDING, CUTS)
def test_any_cutting_of_any_stream_gives_its_deltas(chunks, dumps, padding, cuts) -> None:
    """Text of any kind, in any mix of deltas and choices, arrives whole and in order."""
    stream = b"".join(event(dumps, *chunk, padding) for chunk in chunks) + b"data: [DONE]\n\n"
    decoder = ChatDecoder({})
    items = [item for piece in cut(stream, cuts) for item in decoder.feed(piece)]
    assert items == expected(chunks)
    assert decoder.done
    assert decoder.progress == sum(not isinstance(item, Finish) for item in items)
    assert "".join(decoder.text) == "".join(item for item in items if type(item) is str)


@given(CHUNKS, DUMPS, CUTS, st.binary(max_size=40))
def test_any_bytes_end_in_values_or_a_typed_error(chunks, dumps, cuts, noise) -> None:
    """A broken stream fails as ours or reads as a stream: nothing else escapes."""
    stream = b"".join(event(dumps, *chunk, None) for chunk in chunks)
    at = cuts[0] % (len(stream) + 1) if cuts else 0
    broken = stream[:at] + noise + stream[at:]
    decoder = ChatDecoder({})
    try:
        for piece in cut(broken, cuts):
            list(decoder.feed(piece))
        decoder.eof(delimited=True)
    except VoicekitError:
        return
    assert decoder.done


@given(CHUNKS, DUMPS, st.integers(0, 10_000))
def test_a_stream_cut_short_is_never_complete(chunks, dumps, at) -> None:
    """Without reason and marker no prefix of a stream passes for the answer."""
    unfinished = [(delta, index, None) for delta, index, _ in chunks]
    stream = b"".join(event(dumps, *chunk, None) for chunk in unfinished)
    decoder = ChatDecoder({})
    list(decoder.feed(stream[: at % (len(stream) + 1)]))
    try:
        decoder.eof(delimited=True)
    except VoicekitError:
        return
    raise AssertionError("a truncated stream passed")
