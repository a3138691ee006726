"""From a scripted turn to what is sent and when: messages, events, moments. Decides only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from voicekit.emulator.providers.agentforce_turn import AgentTurn
from voicekit.emulator.scenario import Range, Scenario

# Source: vendor's reference, enumeration of event names; that of validation failures is only in
# the vendor's guide.
EVENT_NAMES: Mapping[str, str] = {
    "ProgressIndicator": "PROGRESS_INDICATOR",
    "TextChunk": "TEXT_CHUNK",
    "ValidationFailureChunk": "VALIDATION_FAILURE_CHUNK",
    "Inform": "INFORM",
    "Inquire": "INQUIRE",
    "Confirm": "CONFIRM",
    "Failure": "FAILURE",
    "Escalate": "ESCALATE",
    "SessionEnded": "SESSION_ENDED",
    "EndOfTurn": "END_OF_TURN",
    "Error": "ERROR",
}

_WORDS = re.compile(r"\s*\S+\s*")


def event_name(kind: str) -> str:
    """Return the name of the event that carries a message of a type."""
    return EVENT_NAMES.get(kind, "UNKNOWN")


def split(text: str, chunks: int) -> tuple[str, ...]:
    """Split a text between words into so many pieces that join to it exactly, or fewer."""
    words = _WORDS.findall(text)
    number = min(chunks, len(words))
    if not number:
        return ()
    ends = [round(index * len(words) / number) for index in range(number + 1)]
    return tuple("".join(words[start:end]) for start, end in pairwise(ends))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of a turn: its message, `due` so many seconds after the request."""

    due: float
    message: Mapping[str, Any]
    offset: int = 0

    @property
    def kind(self) -> str:
        """The message's type."""
        return str(self.message["type"])


class Writer:
    """Writes messages, each type with the fields that it always has; `now` in milliseconds."""

    def __init__(self, new_id: Callable[[], str], now: Callable[[], int]) -> None:
        self._new_id = new_id
        self._now = now

    def message(
        self, given: Mapping[str, Any], *, text: str = "", name: str | None = None
    ) -> dict[str, Any]:
        """Return a message: what is given, and what its type has besides."""
        kind = str(given["type"])
        head = {"type": kind, "id": name or self._new_id()}
        return {**head, **self._usual(kind, text), **given}

    def greeting(self, text: str) -> dict[str, Any]:
        """Return the message that opens a session; its ids are empty, as captured."""
        return self.message({"type": "Inform", "feedbackId": "", "planId": ""}, text=text)

    def _usual(self, kind: str, text: str) -> dict[str, Any]:
        # Source: vendor's reference, response message types; the order is that of its examples.
        if kind in {"Inform", "Inquire", "Confirm"}:
            own: dict[str, Any] = {
                "Inform": {"result": [], "citedReferences": []},
                "Confirm": {"result": [], "citedReferences": [], "confirm": []},
                "Inquire": {"collect": []},
            }[kind]
            return {"metrics": {}, **self._judged(), "message": text, **own}
        if kind == "Failure":
            failed = {"code": "ACTION_FAILED", "message": text, "errors": []}
            return {**self._judged(), **failed}
        if kind == "Escalate":
            return {"feedbackId": self._new_id(), "targets": []}
        if kind == "SessionEnded":
            return {"reason": "Action", "feedbackId": self._new_id()}
        if kind == "Error":
            return {
                "feedbackId": self._new_id(),
                "httpStatus": 500,
                "traceId": self._new_id(),
                "error": "InternalServerError",
                "message": text or "planner failed",
                "timestamp": self._now(),
                "expected": False,
                "botMode": "unknown",
            }
        return {}

    def _judged(self) -> dict[str, Any]:
        return {"feedbackId": self._new_id(), "planId": self._new_id(), "isContentSafe": True}

    def steps(self, turn: AgentTurn, chunks: tuple[str, ...], *, characters: bool) -> Steps:
        """Yield each message of a streamed turn but the last ones, and whether it is progress."""
        answer = self._new_id()
        offset = 0
        for text in turn.progress:
            indicator = {"indicatorType": "ACTION", "message": text, "metrics": {}}
            yield self.message({"type": "ProgressIndicator", **indicator}), 0
        for text in turn.retracted:
            yield self._chunk(answer, offset, text), offset
            offset += len(text) if characters else 1
        if turn.retracted:
            failure = {"offset": offset, "reason": "The answer did not pass its validation"}
            yield self.message({"type": "ValidationFailureChunk", **failure}, name=answer), offset
            offset += 0 if characters else 1
        for text in chunks:
            yield self._chunk(answer, offset, text), offset
            offset += len(text) if characters else 1
        for given in turn.interludes:
            yield self.message(given), 0
        for message in self.answers(turn, name=answer):
            yield message, 0
        yield self.message({"type": "EndOfTurn", "metrics": {}}), 0

    def answers(self, turn: AgentTurn, *, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what the turn answers: one `Inform`, or what is scripted in its place."""
        if turn.messages is None:
            yield self.message({"type": "Inform"}, text=turn.text, name=name)
            return
        for given in turn.messages:
            yield self.message(given, text=turn.text)

    def _chunk(self, answer: str, offset: int, text: str) -> dict[str, Any]:
        chunk = {"offset": offset, "message": text, "formatType": "Text", "metrics": {}}
        return self.message({"type": "TextChunk", **chunk}, name=answer)


Steps = Iterator[tuple[dict[str, Any], int]]
CHUNKS = frozenset({"TextChunk", "ValidationFailureChunk"})


def plan(
    turn: AgentTurn,
    *,
    scenario: Scenario,
    chunked: bool,
    draw: Callable[[Range], float],
    writer: Writer,
) -> tuple[Step, ...]:
    """Return every event of a streamed turn, in order, with its moment.

    A session that takes no chunks gets only the answer; `draw` returns seconds from a range.
    """
    begins = draw(scenario.agent_first_event) if turn.progress else 0.0
    speaks = max(begins, draw(scenario.agent_first_text))
    chunks: tuple[str, ...] = ()
    if chunked:
        said = turn.text if turn.messages is None else _spoken(turn)
        chunks = split(said, scenario.agent_chunks) if turn.chunks is None else turn.chunks
    elif turn.retracted:
        turn = replace(turn, retracted=())
    steps: list[Step] = []
    due, progress, spoke = speaks, 0, False
    characters = scenario.agent_framing.offsets == "characters"
    for message, offset in writer.steps(turn, chunks, characters=characters):
        kind = message["type"]
        if kind == "ProgressIndicator" and progress < len(turn.progress):
            # Spread over the time until the first text.
            moment = begins + (speaks - begins) * progress / len(turn.progress)
            progress += 1
            steps.append(Step(due=moment, message=message, offset=offset))
            continue
        if spoke and kind != "EndOfTurn":
            due += draw(scenario.agent_chunk_gap)
        spoke = spoke or kind in CHUNKS
        steps.append(Step(due=due, message=message, offset=offset))
    return tuple(steps)


def _spoken(turn: AgentTurn) -> str:
    """Return the text of a turn whose messages are scripted; those that carry none are silent."""
    for given in turn.messages or ():
        if given["type"] in {"Inform", "Inquire", "Confirm"}:
            return str(given.get("message", turn.text))
    return ""
