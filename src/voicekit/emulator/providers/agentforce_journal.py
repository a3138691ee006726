"""The journal read as conversations: which session each message belonged to, what it carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicekit.emulator.journal import Journal
from voicekit.emulator.records import RequestRecord, json_object

OPENED = "session "
"""What a note begins with that names the session which a request has opened."""

MESSAGES = frozenset({"messages", "messages.stream"})


@dataclass(slots=True, kw_only=True)
class AgentMessageRecord:
    """One message to an agent, accepted or not.

    Attributes:
        session: The id of the session it was sent to.
        text: What it says; empty for what is no `Text`.
        type: Its type, such as "Text".
        sequence: Its number.
        variables: The variables sent with it, by name.
        streamed: Whether its answer was a stream.
        request: Its record in the journal: times, status, outcome.
    """

    session: str
    text: str
    type: str
    sequence: int | None
    variables: Mapping[str, Any]
    streamed: bool
    request: RequestRecord


@dataclass(slots=True, kw_only=True)
class AgentSessionRecord:
    """One session that was opened.

    Attributes:
        id: Its id.
        key: The caller's `externalSessionKey`.
        variables: The variables that it was started with, by name.
        messages: Sent to it, in order.
        end_reason: Of the request that ended it, or None.
        request: The record of its start; None when the journal has forgotten it.
    """

    id: str
    key: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    messages: list[AgentMessageRecord] = field(default_factory=list)
    end_reason: str | None = None
    request: RequestRecord | None = None


def agent_sessions(journal: Journal) -> list[AgentSessionRecord]:
    """Return the sessions of the Agent API in order of first appearance."""
    sessions: dict[str, AgentSessionRecord] = {}
    for record in list(journal.requests):
        if record.provider != "agentforce":
            continue
        if record.operation == "session.start":
            for name in _opened(record):
                body = json_object(record.body) or {}
                sessions[name] = AgentSessionRecord(
                    id=name,
                    key=body.get("externalSessionKey"),
                    variables=_variables(body),
                    request=record,
                )
            continue
        if record.operation not in MESSAGES | {"session.end"}:
            continue
        name = record.path.split("/sessions/", 1)[1].split("/", 1)[0]
        session = sessions.setdefault(name, AgentSessionRecord(id=name))
        if record.operation in MESSAGES:
            session.messages.append(_message(name, record))
        elif record.status < 400:
            session.end_reason = record.headers.get("x-session-end-reason")
    return list(sessions.values())


def agent_messages(journal: Journal) -> list[AgentMessageRecord]:
    """Return the messages to agents, of all sessions, in order."""
    found = [message for session in agent_sessions(journal) for message in session.messages]
    return sorted(found, key=lambda message: message.request.id)


def _opened(record: RequestRecord) -> list[str]:
    return [note.removeprefix(OPENED) for note in record.notes if note.startswith(OPENED)]


def _message(session: str, record: RequestRecord) -> AgentMessageRecord:
    body = json_object(record.body) or {}
    message = body.get("message")
    said = message if isinstance(message, dict) else {}
    return AgentMessageRecord(
        session=session,
        text=str(said.get("text", "")),
        type=str(said.get("type", "")),
        sequence=said.get("sequenceId"),
        variables=_variables(body),
        streamed=record.operation == "messages.stream",
        request=record,
    )


def _variables(body: Mapping[str, Any]) -> dict[str, Any]:
    listed = body.get("variables")
    if not isinstance(listed, list):
        return {}
    return {str(each.get("name")): each.get("value") for each in listed if isinstance(each, dict)}
