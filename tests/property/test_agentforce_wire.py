"""However the network cuts a turn, it says the same; whatever comes, the decoder holds."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.agentforce.turn import TurnDecoder, unsaid
from voicekit.errors import VoicekitError
from voicekit.speech import AgentRetraction

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=20)
DUMPS = st.sampled_from(
    [
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        json.dumps,
    ]
)
MESSAGES = st.one_of(
    TEXT.map(lambda text: {"type": "TextChunk", "message": text}),
    TEXT.map(lambda text: {"type": "TextChunk", "message": text}),
    st.just({"type": "ProgressIndicator", "message": "Working on it"}),
    st.just({"type": "ValidationFailureChunk", "reason": "x"}),
    TEXT.map(lambda text: {"type": "ThoughtTextChunk", "message": text}),
    TEXT.map(lambda text: {"type": "Inquire", "message": text, "collect": []}),
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def stream_of(messages: list[dict[str, Any]], dumps: Any, end: str, listed: bool) -> bytes:
    blocks = []
    for message in messages:
        value = {"timestamp": 1, "originEventId": "1-REQ", "offset": 0, "message": message}
        if listed and message["type"] == "Inform":
            value = {"messages": [message], "_links": {}}
        lines = ["event: X", "id: 1-REQ", f"data: {dumps(value)}", "", ""]
        blocks.append(end.join(lines))
    return "".join(blocks).encode("utf-8", "surrogatepass")


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in pairwise(at)]


def outcome(pieces: list[bytes]) -> tuple[list[Any], Any]:
    decoder = TurnDecoder({}, "s")
    items: list[Any] = []
    try:
        for piece in pieces:
            items.extend(decoder.feed(piece))
        items.extend(decoder.eof(delimited=True))
    except VoicekitError as error:
        return items, (type(error), str(error))
    return items, ("".join(decoder.text), decoder.plain, decoder.ended, decoder.raw)


@given(st.lists(MESSAGES, max_size=8), TEXT, CUTS, DUMPS, LINE_ENDS, st.booleans())
def test_cuts_change_nothing(
    messages: list[dict[str, Any]], last: str, cuts: list[int], dumps: Any, end: str, listed: bool
) -> None:
    """Items, text and verdict are those of the stream in one piece."""
    said = [*messages, {"type": "Inform", "message": last}, {"type": "EndOfTurn"}]
    stream = stream_of(said, dumps, end, listed)
    whole = outcome([stream])
    assert outcome(cut(stream, cuts)) == whole
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(st.lists(MESSAGES, max_size=8), TEXT)
def test_what_was_handed_out_is_the_text(messages: list[dict[str, Any]], last: str) -> None:
    """The deltas after the last retraction, joined; nothing is lost or doubled."""
    said = [*messages, {"type": "Inform", "message": last}, {"type": "EndOfTurn"}]
    items, (text, *_) = outcome([stream_of(said, json.dumps, "\n", False)])
    kept: list[str] = []
    for item in items:
        if type(item) is AgentRetraction:
            kept.clear()
        elif type(item) is str:
            kept.append(item)
    assert "".join(kept) == text


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), CUTS)
def test_an_inform_after_all_its_chunks_says_nothing(text: str, cuts: list[int]) -> None:
    """Cut anywhere; a repeated word would be heard."""
    at = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    chunks = [{"type": "TextChunk", "message": text[a:b]} for a, b in pairwise(at)]
    said = [*chunks, {"type": "Inform", "message": text}, {"type": "EndOfTurn"}]
    items, (whole, plain, *_) = outcome([stream_of(said, json.dumps, "\n", False)])
    assert (whole, plain) == (text, True)
    assert len(items) == len(chunks)


@given(TEXT, st.text(st.characters(codec="utf-8"), max_size=12))
def test_what_is_unsaid_completes_what_was_said(said: str, rest: str) -> None:
    """Of a whole that begins with it."""
    assert said + unsaid(said, said + rest) == said + rest


@given(st.binary(max_size=300), CUTS)
def test_anything_at_all_ends_typed(noise: bytes, cuts: list[int]) -> None:
    """No other exception than ours, however it is cut."""
    outcome(cut(noise, cuts))
    outcome(cut(b"data: " + noise + b"\n\n", cuts))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["message", "messages", "type", "error", "status", "x"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_at_all_ends_typed(value: Any) -> None:
    """As above, for what parses."""
    outcome([f"data: {json.dumps(value)}\n\n".encode()])
    for kind in ("Inform", "TextChunk", "Failure", "Error", "Escalate"):
        message = {"type": kind, "message": value, "result": value, "feedbackId": value}
        outcome([f"data: {json.dumps({'message': message})}\n\n".encode()])
