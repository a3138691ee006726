"""What a turn says, message by message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turn_bytes import (
    EXAMPLE,
    chunk,
    end,
    event,
    final,
    inform,
    progress,
    read,
    retraction,
    wrapped,
)

from voicekit.clients.agentforce.errors import SessionLostError, TurnFailedError
from voicekit.clients.agentforce.turn import MAX_TURN_BYTES, TurnDecoder, WholeTurn, unsaid
from voicekit.errors import (
    InvalidRequestError,
    RateLimitError,
    RemoteProtocolError,
    UnavailableError,
)
from voicekit.operation import Call, Operation, OperationClass
from voicekit.speech import AgentAnswer, AgentProgress, AgentRetraction

TURN = Operation(provider="agentforce", name="send", kind=OperationClass.EFFECT)


def texts(items: list[Any]) -> list[str]:
    return [item for item in items if type(item) is str]


def answer(decoder: TurnDecoder) -> AgentAnswer:
    return decoder.answer(Call(TURN), {"X-Request-ID": "r"})


def test_the_example_of_the_sheet() -> None:
    """Progress, two chunks, and nothing of what the final message repeats."""
    items, decoder = read(EXAMPLE)
    assert [type(item) for item in items] == [AgentProgress, str, str]
    assert items[0].text == "Looking that up"
    assert texts(items) == ["It left yesterday. ", "Expect it on Friday."]
    said = answer(decoder)
    assert said.text == "It left yesterday. Expect it on Friday."
    assert (said.plain, said.ended, said.feedback_id) == (True, False, "f-1")
    assert said.session_id == "s-1"
    assert [each["type"] for each in said.raw] == ["ProgressIndicator", "Inform", "EndOfTurn"]
    assert decoder.progress == 2


def test_a_turn_of_one_inform() -> None:
    """Fixed replies have no chunks: the whole text is new."""
    items, decoder = read(inform("We are closed."), end())
    assert items == ["We are closed."]
    assert answer(decoder).plain


def test_both_shapes_of_inform() -> None:
    """Wrapped as in captures, and in a list as in the vendor's guide."""
    listed = event("INFORM", {"messages": [final(message="Yes.")], "_links": {"self": None}})
    items, decoder = read(chunk("Yes"), listed, end())
    assert items == ["Yes", "."]
    assert answer(decoder).plain


@pytest.mark.parametrize(
    ("said", "message", "rest"),
    [
        ("a b", "a b", ""),
        ("a b", "a b c", " c"),
        ("a b ", "a b c", "c"),
        ("a b ", "a b\nc", "c"),
        ("a b.", "a  b. c", " c"),
        ("a\nb", "a b", ""),
        ("a b. ", "a b.", ""),
        ("a b", "a b ", " "),
        ("a b c", "a b", ""),
        ("a x", "a b", ""),
        ("a x", "something else", ""),
        (" ", "a", "a"),
    ],
)
def test_only_what_was_not_said_is_said(said: str, message: str, rest: str) -> None:
    """By common prefix, white space aside; where they differ, nothing is repeated."""
    assert unsaid(said, message) == rest
    items, decoder = read(chunk(said), inform(message), end())
    assert texts(items) == [said, *([rest] if rest else [])]
    assert answer(decoder).text == said + rest


def test_two_messages_do_not_run_into_each_other() -> None:
    """The second is new text, on a line of its own."""
    items, decoder = read(
        chunk("One."), inform("One."), event("INFORM", wrapped(final(message="Two."))), end()
    )
    assert texts(items) == ["One.", "\nTwo."]
    assert not answer(decoder).plain
    more = read(chunk("One."), inform("One."), chunk("Two"), inform("Two."), end())[0]
    assert texts(more) == ["One.", "\nTwo", "."]


def test_a_retraction_voids_what_was_said() -> None:
    """The text holds only what came after; the whole is said again."""
    items, decoder = read(
        chunk("Something "), chunk("bad"), retraction(), chunk("Sorry"), inform("Sorry."), end()
    )
    assert [type(item) for item in items] == [str, str, AgentRetraction, str, str]
    assert answer(decoder).text == "Sorry."
    assert not answer(decoder).plain
    whole = read(chunk("bad"), retraction(), inform("bad no more"), end())[0]
    assert texts(whole)[-1] == "bad no more"


@pytest.mark.parametrize(
    "message",
    [
        final("Inquire", message="Which one?", collect=[{"targetProperty": "order"}]),
        final("Confirm", message="Sure?", confirm=[{"property": "x"}]),
        final(message="x", result=[{"type": "t", "property": "p", "value": "v"}]),
        final(message="x", citedReferences=[{"type": "link", "value": "https://x"}]),
        final(message="x", isContentSafe=False),
    ],
    ids=["inquire", "confirm", "result", "cited", "unsafe"],
)
def test_what_is_not_plain_is_said_as_well(message: dict[str, Any]) -> None:
    """A question back, a record, a source: spoken, and never given to somebody else."""
    items, decoder = read(event("X", wrapped(message)), end())
    assert texts(items) == [message["message"]]
    assert not answer(decoder).plain
    assert not answer(decoder).ended


@pytest.mark.parametrize("kind", ["Escalate", "SessionEnded"])
def test_the_agent_may_end_it(kind: str) -> None:
    """By a person who takes over, or for good: then the session is gone."""
    message = {"type": kind, "id": "x", "feedbackId": "f", "reason": "Action", "targets": []}
    items, decoder = read(inform("Bye."), event(kind.upper(), wrapped(message)), end())
    assert items == ["Bye.", message]
    assert answer(decoder).ended
    assert not answer(decoder).plain
    assert decoder.gone is (kind == "SessionEnded")


def test_nothing_said_is_an_answer_too() -> None:
    """A turn that only hands over."""
    items, decoder = read(event("ESCALATE", wrapped({"type": "Escalate", "id": "x"})), end())
    assert texts(items) == []
    assert (answer(decoder).text, answer(decoder).ended) == ("", True)


def test_unknown_messages_and_events_pass() -> None:
    """Of a type nobody knows, of no type, an event without a message: seen, not spoken."""
    thought = {"type": "ThoughtTextChunk", "message": "hm"}
    items, decoder = read(
        b": heartbeat\n\nretry: 3000\n\n",
        event("UNKNOWN", wrapped(thought)),
        event("UNKNOWN", {"traceId": "x"}),
        event("X", wrapped({"message": "no type"})),
        inform("Yes."),
        end(),
    )
    assert items == [thought, {"message": "no type"}, "Yes."]
    assert not answer(decoder).plain


@pytest.mark.parametrize("whole", ["It left today.", "It", ""])
def test_a_whole_that_says_otherwise_than_its_chunks_is_for_nobody_else(whole: str) -> None:
    """What was said stays said, and is not repeated; but it is no answer to keep."""
    items, decoder = read(chunk("It left yester"), inform(whole), end())
    assert items == ["It left yester"]
    assert not answer(decoder).plain


LOST = {
    "status": 404,
    "error": "NotFoundException",
    "message": "V6Session not found for sessionId: s-1",
}


def test_a_lost_session_may_be_all_that_a_turn_says() -> None:
    """Nothing of a turn before it: nothing was done. Other 404s are what an action ran into."""
    with pytest.raises(SessionLostError) as caught:
        read(event("ERROR", LOST))
    assert caught.value.outcome == "not_applied"
    with pytest.raises(SessionLostError):
        read(event("ERROR", {"status": 500, "error": "PLANNER_SESSION_NOT_FOUND"}))
    for words in ("no such order", "checkout session not found", f"{LOST['message']}8"):
        with pytest.raises(UnavailableError) as other:
            read(event("ERROR", {**LOST, "message": words}))
        assert other.value.outcome == "unknown"


@pytest.mark.parametrize(
    ("value", "kind", "outcome"),
    [
        (wrapped(final("Failure", code="ACTION_FAILED", errors=[])), TurnFailedError, "applied"),
        (wrapped(final("Failure", code="ESCALATE")), TurnFailedError, "applied"),
        (wrapped({"type": "Error", "httpStatus": 500, "error": "X"}), UnavailableError, "unknown"),
        (wrapped({"type": "Error", "httpStatus": 429, "error": "X"}), RateLimitError, "unknown"),
        (wrapped({"type": "Error", "httpStatus": 400}), InvalidRequestError, "unknown"),
        ({"status": 500, "error": "InternalServerError", "message": "planner failed"},
         UnavailableError, "unknown"),
        (LOST, UnavailableError, "unknown"),
        ({"messages": [final("Failure", code="ACTION_FAILED")]}, TurnFailedError, "applied"),
    ],
)  # fmt: skip
def test_a_failure_inside_a_200(value: Any, kind: type[Exception], outcome: str) -> None:
    """A typed error that says what is known; what came before is handed out first."""
    decoder = TurnDecoder({"X-Request-ID": "r"}, "s-1")
    assert list(decoder.feed(chunk("Well"))) == ["Well"]
    with pytest.raises(kind) as caught:
        list(decoder.feed(event("ERROR", value)))
    assert type(caught.value) is kind
    assert caught.value.outcome == outcome  # type: ignore[attr-defined]
    assert decoder.failed


@pytest.mark.parametrize(
    "stream",
    [b"", chunk("x"), inform("x"), EXAMPLE[:-1][:-200], b"data: {", b"<html>nothing</html>"],
)
def test_an_end_without_the_end_marker(stream: bytes) -> None:
    """A broken turn, whatever came."""
    with pytest.raises(RemoteProtocolError):
        read(stream)


def test_the_blank_line_behind_the_last_event_may_be_missing() -> None:
    """The end marker was whole."""
    assert answer(read(EXAMPLE.rstrip(b"\n"))[1]).plain


@pytest.mark.parametrize(
    "data",
    [
        b"data: []\n\n",
        b"data: no\n\n",
        b'data: {"messages":[7]}\n\n',
        event("X", wrapped({"type": "TextChunk", "message": 7})),
        event("X", wrapped({"type": "Inform", "message": []})),
    ],
)
def test_what_is_no_turn(data: bytes) -> None:
    """Typed, and content is not shown."""
    with pytest.raises(RemoteProtocolError):
        read(data)


def test_an_endless_turn_is_a_fault() -> None:
    """Bounded, whatever it consists of."""
    decoder = TurnDecoder({}, "s")
    piece = b":" + b"x" * 65_000 + b"\n\n"
    for _ in range(MAX_TURN_BYTES // len(piece)):
        assert list(decoder.feed(piece)) == []
    with pytest.raises(RemoteProtocolError, match="longer than"):
        list(decoder.feed(piece * 2))


def test_a_whole_turn() -> None:
    """The document of a turn that is not streamed adds up in the same way."""
    whole = WholeTurn({}, "s")
    whole.read(
        {"messages": [final(message="One."), final("Inquire", message="Two?")], "_links": {}}
    )
    said = whole.answer(Call(TURN), {})
    assert (said.text, said.plain) == ("One.\nTwo?", False)
    plain = WholeTurn({}, "s")
    plain.read({"messages": [final(message="One.")]})
    assert plain.answer(Call(TURN), {}).plain


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, RemoteProtocolError),
        ({"messages": None}, RemoteProtocolError),
        ({"messages": ["x"]}, RemoteProtocolError),
        ({"error": "X", "status": 500}, UnavailableError),
        ({"messages": [final("Failure", code="ACTION_FAILED")]}, TurnFailedError),
        ({"messages": [{"type": "Error", "httpStatus": 503}]}, UnavailableError),
    ],
)
def test_a_whole_turn_that_failed(value: Any, kind: type[Exception]) -> None:
    """For all its status 200."""
    with pytest.raises(kind):
        WholeTurn({}, "s").read(value)


def test_nothing_of_it_is_shown() -> None:
    """A repr holds no text."""
    items, decoder = read(progress("marked"), chunk("marked"), inform("marked"), end())
    shown = repr([item for item in items if type(item) is not str]) + repr(answer(decoder))
    assert "marked" not in shown
    assert json.dumps(items[0].raw)  # which is there for who asks
