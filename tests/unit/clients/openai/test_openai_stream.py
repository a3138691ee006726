"""The decoder of chat streams: every kind of chunk, every end, and what is none of it."""

from __future__ import annotations

import json

import pytest
from chat_bytes import (
    ANSWER,
    CALLS,
    DONE,
    HEAD,
    REFUSAL,
    USAGE,
    call,
    chunk,
    end,
    event,
    role,
    text,
    usage,
)

from voicekit.clients.openai import (
    AudioDelta,
    Finish,
    LogProbs,
    Moderation,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from voicekit.clients.openai import stream as module
from voicekit.clients.openai.likeness import Likeness
from voicekit.clients.openai.stream import ChatDecoder, NotStreamed
from voicekit.errors import ProviderError, QuotaError, RemoteProtocolError, UnavailableError
from voicekit.speech import ToolCall, Usage

TOKENS = Usage(
    input_tokens=20, output_tokens=7, total_tokens=27, cached_input_tokens=16, reasoning_tokens=4
)


def read(*parts: bytes, choices: int = 1) -> tuple[ChatDecoder, list]:
    decoder = ChatDecoder({}, choices)
    return decoder, [item for part in parts for item in decoder.feed(part)]


def test_a_text_answer() -> None:
    """Text comes as plain str; the rest of the answer is in events and attributes."""
    decoder, items = read(ANSWER + DONE)
    said = ["We", " open", " at", " „9“", ' "sharp"\n', " \U0001f600"]
    assert items == [*said, Finish(reason="stop"), TOKENS]
    assert all(type(item) is str for item in items[:6])
    assert decoder.text == said
    assert decoder.done
    assert decoder.progress == 6
    assert (decoder.finish_reason, decoder.usage, decoder.refusal) == ("stop", TOKENS, [])
    assert (decoder.id, decoder.model, decoder.calls()) == (HEAD["id"], HEAD["model"], ())


def test_tool_calls_are_put_together_by_index() -> None:
    """Later pieces carry only the index; arguments are joined, order is that of opening."""
    decoder, items = read(CALLS + DONE)
    assert items[0] == ToolCallDelta(index=0, id="call_1", name="find")
    assert items[1] == ToolCallDelta(index=0, arguments='{"ci')
    assert items[-2] == Finish(reason="tool_calls")
    assert decoder.calls() == (
        ToolCall(id="call_1", name="find", arguments='{"city":"Rome"}'),
        ToolCall(id="call_2", name="time", arguments="{}"),
    )
    assert decoder.progress == 5
    assert decoder.text == []


def test_a_refusal_is_useful_output() -> None:
    """It can be spoken, so it counts, and is no text."""
    decoder, items = read(REFUSAL + DONE)
    assert items[:2] == [RefusalDelta(text="I can"), RefusalDelta(text="not.")]
    assert (decoder.refusal, decoder.progress, decoder.text) == (["I can", "not."], 2, [])


def test_other_forms_of_a_call() -> None:
    """Custom tools, the older function_call, and calls without an index are calls as well."""
    custom = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sh", "input": "l"}}
    decoder, _ = read(
        chunk({"tool_calls": [custom]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "s"}}]}),
        DONE,
    )
    assert decoder.calls() == (ToolCall(id="c1", name="sh", arguments="ls"),)
    assert decoder.raw["choices"][0]["message"]["tool_calls"][0]["custom"]["input"] == "ls"
    decoder, _ = read(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
    )
    assert decoder.calls() == (ToolCall(id="", name="f", arguments="{}"),)
    decoder, items = read(
        chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}),
        chunk({"tool_calls": [{"function": {"arguments": "}"}}]}),
        chunk({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": ""}}]}),
    )
    assert [item.index for item in items] == [0, 0, 1]
    assert decoder.calls()[0] == ToolCall(id="a", name="f", arguments="{}")


@pytest.mark.parametrize(
    "useless",
    [
        role(),
        role(None),
        text(""),
        chunk({}),
        chunk(None),
        chunk({"refusal": ""}),
        chunk({"tool_calls": []}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
        chunk({"audio": {"id": "audio_1"}}),
        chunk({"something_new": "x"}),
        end(),
        usage(),
        event({"object": "something.new"}),
        event({**HEAD, "choices": None}),
        b": ping\n\n",
        b"data:\n\n",
        b"event: ping\n\n",
    ],
)
def test_what_is_not_useful_is_no_progress(useless) -> None:
    """Roles, pings, empty deltas, ends and counts never feed the watchdog."""
    decoder, _ = read(useless * 5)
    assert decoder.progress == 0
    assert not decoder.done


def test_choices_beside_the_first_come_as_events() -> None:
    """With n above 1 iteration gives the first choice's text; all of them are in raw."""
    parts = [role(), role(index=1), text("a"), text("x", index=1), text("b"), text("y", index=1)]
    decoder, items = read(*parts, end(), end("length", index=1), usage(), DONE, choices=2)
    assert [item for item in items if type(item) is str] == ["a", "b"]
    assert TextDelta(text="y", choice=1) in items
    assert Finish(reason="length", choice=1) in items
    assert decoder.finish_reason == "stop"
    contents = [choice["message"]["content"] for choice in decoder.raw["choices"]]
    assert contents == ["ab", "xy"]


def test_everything_else_that_a_chunk_may_hold() -> None:
    """Log probabilities, moderation and audio are events; audio counts as useful."""
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    logprobs = {"content": [token], "refusal": None}
    spoken = {"id": "audio_1", "data": "AAAA", "transcript": "hi"}
    beside = event(
        {
            **HEAD,
            "choices": [
                {"index": 0, "delta": {"content": "a"}, "logprobs": logprobs, "finish_reason": None}
            ],
        }
    )
    decoder, items = read(
        beside,
        beside,
        chunk({"audio": spoken}),
        event({**HEAD, "choices": [], "moderation": {"input": {}, "output": {}}}),
        DONE,
    )
    assert items == [
        *["a", LogProbs(raw=logprobs)] * 2,
        AudioDelta(data="AAAA", transcript="hi"),
        Moderation(raw={"input": {}, "output": {}}),
    ]
    assert decoder.progress == 3
    assert decoder.raw["choices"][0]["logprobs"] == {"content": [token, token], "refusal": []}
    assert decoder.raw["moderation"] == {"input": {}, "output": {}}


def test_raw_has_the_shape_of_a_whole_answer() -> None:
    """Which tier served, say, is read where a whole answer has it."""
    decoder, _ = read(CALLS + DONE)
    raw = decoder.raw
    assert raw["service_tier"] == "default"
    assert raw["object"] == "chat.completion"
    assert raw["usage"] == USAGE
    message = raw["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][1]["function"] == {"name": "time", "arguments": "{}"}
    assert json.dumps(raw)


# -- ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delimited", [True, False])
@pytest.mark.parametrize(
    "body", [b"", role(), role() + text("a"), role() + call(0, "", id="c", name="f"), usage()]
)
def test_an_end_without_marker_and_reason_is_truncation(body, delimited) -> None:
    """A clean end of the body proves nothing about the answer."""
    decoder, _ = read(body)
    with pytest.raises(RemoteProtocolError, match="end marker"):
        decoder.eof(delimited=delimited)


def test_a_finished_answer_without_marker_counts_only_when_delimited() -> None:
    """Compatible servers omit [DONE]; the framing must then prove the end."""
    decoder, _ = read(role() + text("a") + end())
    assert not decoder.done
    assert decoder.eof(delimited=True) == []
    assert decoder.done
    decoder, _ = read(role() + text("a") + end())
    with pytest.raises(RemoteProtocolError, match="end marker"):
        decoder.eof(delimited=False)


def test_every_choice_must_be_finished_without_marker() -> None:
    """One finished choice of two, or of two that were asked for, is half an answer."""
    for body in (text("a") + text("x", index=1) + end(), text("a") + end()):
        decoder, _ = read(body, choices=2)
        with pytest.raises(RemoteProtocolError, match="end marker"):
            decoder.eof(delimited=True)


@pytest.mark.parametrize("cut", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"])
def test_a_last_event_without_its_blank_line_counts(cut) -> None:
    """Some servers end so; the marker is the marker."""
    decoder, _ = read(text("a"), cut)
    decoder.eof(delimited=False)
    assert decoder.done


def test_a_cut_inside_an_event_is_truncation() -> None:
    """Half a chunk behind a finish reason means that something was lost."""
    decoder, _ = read(text("a") + end(), usage()[:40])
    with pytest.raises(RemoteProtocolError, match="cut inside"):
        decoder.eof(delimited=True)


def test_nothing_counts_behind_the_end_marker() -> None:
    """Whatever follows [DONE] is not the answer's."""
    decoder, items = read(text("a") + DONE + text("b"))
    assert items == ["a"]
    assert decoder.eof(delimited=False) == []
    decoder, _ = read(b"data: [DONE] and more\n\n")
    assert decoder.done


# -- what is no answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        ({"message": "m", "type": "server_error", "code": None}, UnavailableError, True),
        ({"message": "m", "code": "insufficient_quota"}, QuotaError, False),
        ("words", UnavailableError, True),
    ],
)
def test_an_error_in_the_stream_is_the_providers(error, kind, retryable) -> None:
    """It comes with status 200, is read by the table, and is no truncation."""
    decoder, _ = read(role())
    with pytest.raises(kind) as caught:
        list(decoder.feed(event({"error": error})))
    assert (caught.value.status, caught.value.retryable) == (200, retryable)


def test_an_error_in_the_stream_heeds_the_response_headers() -> None:
    """The server's word on repeats was in the headers."""
    refusing = ChatDecoder({"x-should-retry": "false"})
    with pytest.raises(ProviderError) as caught:
        list(refusing.feed(event({"error": {"type": "server_error"}})))
    assert not caught.value.retryable


def test_what_precedes_an_error_in_one_piece_is_read() -> None:
    """It arrived, so it is handed out; only then comes the error."""
    items = iter(ChatDecoder({}).feed(text("a") + text("b") + event({"error": "words"})))
    assert [next(items), next(items)] == ["a", "b"]
    with pytest.raises(UnavailableError):
        next(items)


def test_a_null_error_is_none() -> None:
    """Some servers name the field in every chunk."""
    _, items = read(text("a", error=None))
    assert items == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"data: {\n\n",
        b"data: <html>\n\n",
        b"data: \xff\xfe\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        event([]),
        event("text"),
        event(5),
        event({"choices": {"a": 1}}),
        event({"choices": ["a"]}),
        event({"choices": [{"delta": "a"}]}),
        event({"choices": [{"delta": ["a"]}]}),
        text(5),
        chunk({"content": {"a": 1}}),
        chunk({"refusal": 5}),
        chunk({"tool_calls": {"a": 1}}),
        chunk({"tool_calls": [{"function": {"arguments": 5}}]}),
        chunk({"tool_calls": [{"id": 5}]}),
        chunk({"audio": {"data": 5}}),
        text("a", index=-1),
        text("a", index=128),
        text("a", index="x"),
        text("a", index=[1]),
        b"data: " + b"x" * (1 << 21),
    ],
)
def test_whatever_else_comes_is_a_typed_error(wrong) -> None:
    """Never a crash, never silence, and the message quotes none of it."""
    decoder, _ = read(role() + text("a"))
    with pytest.raises(RemoteProtocolError) as caught:
        list(decoder.feed(wrong))
    assert len(str(caught.value)) < 120
    assert caught.value.__context__ is None  # what cannot be parsed may be quoted there


def test_a_stream_that_never_ends_is_bounded(monkeypatch) -> None:
    """What it may send in all is limited, so memory is."""
    monkeypatch.setattr(module, "MAX_STREAM_BYTES", 10_000)
    with pytest.raises(RemoteProtocolError, match="longer than"):
        read(*[text("word")] * 100)


# -- a JSON document in place of the stream --------------------------------------------------


def test_a_json_error_in_place_of_the_stream_is_read_by_the_table() -> None:
    """Status 200, content type JSON, an error object in pieces."""
    decoder = NotStreamed({})
    body = json.dumps({"error": {"code": "insufficient_quota", "message": "m"}}).encode()
    assert not [*decoder.feed(body[:9]), *decoder.feed(body[9:])]
    with pytest.raises(QuotaError):
        decoder.eof(delimited=True)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[1]", b'{"choices":[]}', b'{"error":null}'])
def test_any_other_json_in_place_of_the_stream_is_a_fault(body) -> None:
    """A whole answer was not asked for, and nothing is guessed."""
    decoder = NotStreamed({})
    decoder.feed(body)
    with pytest.raises(RemoteProtocolError, match="not a stream"):
        decoder.eof(delimited=True)


def test_a_large_document_in_place_of_the_stream_is_not_kept() -> None:
    """64 KiB are more than any error needs."""
    decoder = NotStreamed({})
    decoder.feed(b" " * 65_536)
    with pytest.raises(RemoteProtocolError, match="not a stream"):
        decoder.feed(b" ")


# -- chunks alike ------------------------------------------------------------------------------


def learned() -> Likeness:
    alike = Likeness()
    alike.learn(text("seven").removeprefix(b"data: ").removesuffix(b"\n\n"), "seven")
    return alike


def bare(data: bytes) -> bytes:
    return data.removeprefix(b"data: ").removesuffix(b"\n\n")


@pytest.mark.parametrize(
    "piece", ["a", "", " ", '"', "\\", "\n\t", "é„“", "\U0001f600", '"}]', "5"]
)
def test_an_alike_chunk_gives_its_text(piece) -> None:
    """Whatever the text holds, escapes and quotes included."""
    assert learned().text(bare(text(piece))) == piece


@pytest.mark.parametrize(
    "other",
    [
        text("a", finish="stop"),
        text("a", usage=USAGE),
        text("a", usage=1234),
        text("a", index=1),
        text("a", id="other"),
        text("a", error={"code": "x"}),
        chunk({"content": None}),
        chunk({"content": 5}),
        chunk({"content": ["a"]}),
        chunk({"content": "a", "refusal": "no"}),
        chunk({"refusal": "a"}),
        end(),
        usage(),
        DONE,
        b"",
    ],
)
def test_a_chunk_that_differs_elsewhere_is_not_alike(other) -> None:
    """Then it is parsed in full, as the first was."""
    assert learned().text(bare(other)) is None


def test_bytes_that_only_look_alike_are_not() -> None:
    """Two values between the known bytes, an open string, or less than they are."""
    whole = bare(text("seven"))
    head, tail = whole.split(b'"seven"')
    alike = learned()
    for between in (b'"a","b":"c"', b'"a" ', b' "a"', b'"a', b"a", b"", b'"a"}],"x":[{"y":"b"'):
        assert alike.text(head + between + tail) is None
    assert alike.text(head + tail[1:]) is None
    assert alike.text(head) is None
    assert alike.text(head[:-1] + tail) is None


def test_where_content_is_named_twice_nothing_is_learned() -> None:
    """It could be the wrong one."""
    twice = bare(event({"content": "x", "choices": [{"delta": {"content": "x"}}]}))
    alike = Likeness()
    alike.learn(twice, "x")
    assert alike.text(twice) is None


def test_bytes_that_are_not_quite_utf8_are_read_all_the_same() -> None:
    """The JSON reader lets lone surrogates pass; nothing is learned from them."""
    odd = text("a", model="?").replace(b"?", b"\xed\xa0\x80")
    _, items = read(odd * 3)
    assert items == ["a"] * 3


def test_padded_chunks_are_not_learned_from_for_ever() -> None:
    """With obfuscation on no chunk is like another; after a few tries learning stops."""
    alike = Likeness()
    for number in range(20):
        alike.learn(bare(text("a", obfuscation="x" * number)), "a")
    assert alike.text(bare(text("b", obfuscation="x" * 19))) is None
    decoder, items = read(*(text("a", obfuscation="x" * n) for n in range(20)), DONE)
    assert items == ["a"] * 20
    assert decoder.done


def test_most_chunks_are_not_parsed_in_full(monkeypatch) -> None:
    """The promise that the cost of a stream rests on."""
    parsed = []
    parse = module.body_of
    monkeypatch.setattr(module, "body_of", lambda data: parsed.append(1) or parse(data))
    _, items = read(role() + b"".join(text(f" {n}") for n in range(50)) + end() + usage() + DONE)
    assert items[:50] == [f" {n}" for n in range(50)]
    assert len(parsed) == 4  # role, first text, end, usage
