"""The Agent API on the wire, sans-IO: requests out, whole answers in.

A turn, streamed or whole, is ``turn.py``'s; the token is ``grant.py``'s.

Source: Agentforce fact sheet of 2026-11, §4 to §10.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voicekit import __version__
from voicekit.clients.agentforce.config import API_PATH, MessageRequest, SessionRequest
from voicekit.clients.urls import segment_of
from voicekit.errors import RemoteProtocolError
from voicekit.transport.messages import Request, merge_headers

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
AGENT: Final = f"voicekit/{__version__}"

END_REASONS: Final = ("UserRequest", "Transfer", "Expiration", "Error", "Other")
RATINGS: Final = ("GOOD", "BAD")
MOST_DETAILS: Final = 10


def api_request(
    api_url: str,
    token: str,
    method: str,
    path: str,
    *,
    accept: str = JSON,
    body: bytes | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
) -> Request:
    """One request of the API; ``path`` is behind the API's own.

    ``query`` is encoded. The caller's ``headers`` go over ours, in any case of their letters;
    ``more`` are ours that this operation needs besides.
    """
    ours = {"Authorization": f"Bearer {token}"}
    if body is not None:
        # Without it the answer is a 500. Source: sheet §4.
        ours["Content-Type"] = JSON
    ours["Accept"] = accept
    ours["Accept-Encoding"] = "identity"  # compressed, a stream may come late (unverified)
    ours["User-Agent"] = AGENT
    if more:
        ours.update(more)
    url = f"{api_url}{API_PATH}{path}"
    return Request(method, f"{url}?{query}" if query else url, merge_headers(ours, headers), body)


def start_request(api_url: str, token: str, request: SessionRequest, key: str) -> Request:
    """Start a session; ``key`` is a UUID that is used once."""
    body = f'{{"externalSessionKey":"{key}",{request.body[1:]}'.encode()
    path = f"/agents/{segment_of('agent_id', request.agent_id)}/sessions"
    return api_request(
        api_url, token, "POST", path, body=body, query=request.query, headers=request.headers
    )


def message_request(
    api_url: str, token: str, session: str, request: MessageRequest, number: int, *, stream: bool
) -> Request:
    """Say something in a session, asking for one document or for a stream."""
    path = f"/sessions/{segment_of('session', session)}/messages"
    return api_request(
        api_url,
        token,
        "POST",
        f"{path}/stream" if stream else path,
        accept=EVENTS if stream else JSON,
        body=request.body(number),
        query=request.query,
        headers=request.headers,
    )


def end_request(api_url: str, token: str, session: str, reason: str) -> Request:
    """End a session."""
    more = {"x-session-end-reason": reason}
    return api_request(
        api_url, token, "DELETE", f"/sessions/{segment_of('session', session)}", more=more
    )


def feedback_body(
    feedback_id: str, rating: str, text: str | None, details: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What feedback says."""
    body: dict[str, Any] = {"feedbackId": feedback_id, "feedback": rating}
    if text is not None:
        body["text"] = text
    if details is not None:
        body["details"] = dict(details)
    return body


def feedback_request(
    api_url: str,
    token: str,
    session: str,
    body: bytes,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> Request:
    """Say whether an answer was good."""
    path = f"/sessions/{segment_of('session', session)}/feedback"
    return api_request(api_url, token, "POST", path, body=body, query=query, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What the start of a session answers; its greeting may be empty."""

    id: str = field(repr=False)
    greeting: str = field(repr=False)
    raw: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def read_start(value: dict[str, Any], headers: Mapping[str, str]) -> Started:
    """Read the answer to a start.

    Raises:
        RemoteProtocolError: It names no session.
    """
    session = value.get("sessionId")
    # It becomes part of addresses: what could not be, is none.
    if not isinstance(session, str) or not 0 < len(session) <= 256 or not session.isprintable():
        raise RemoteProtocolError("the answer names no session")
    messages = value.get("messages")
    said = [
        message["message"]
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, dict)
        and message.get("type") == "Inform"
        and isinstance(message.get("message"), str)
    ]
    return Started(id=session, greeting="\n".join(said), raw=value, headers=headers)


class Numbers:
    """The numbers of a session's messages: each larger than all before it.

    Salesforce's own clients send epoch milliseconds; steps of one are not required. Source:
    sheet §6. A clock that is set back does not lower them.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """A new one, for every request that goes out."""
        self._last = max(self._last + 1, int(time.time() * 1000))
        return self._last
