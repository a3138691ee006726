"""The journal's entries: a connection, a request, a WebSocket message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

SECRET_HEADERS = frozenset(
    # A browser's socket carries its key as a subprotocol.
    {
        "authorization",
        "api-key",
        "xi-api-key",
        "proxy-authorization",
        "cookie",
        "sec-websocket-protocol",
    }
)
"""Header names whose values are kept as digests only."""

SECRET_FIELDS = frozenset(
    {"xi-api-key", "xi_api_key", "authorization", "token", "api_key", "single_use_token"}
)
"""Names under which queries and first messages carry credentials."""

Outcome = Literal["complete", "aborted", "refused", "fault"]


def digest(secret: str) -> str:
    """Return what the journal keeps of a credential: equal keys stay comparable, unreadable."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(slots=True, kw_only=True)
class ConnectionRecord:
    """One connection that a server accepted.

    Attributes:
        handshake_round_trips: Round trips the client waited for before it could send a request:
            1 for TCP, and 1 (TLS 1.3) or 2 (TLS 1.2) more for TLS.
        charged_by_link: True when a `Link` stood in front. A relay cannot delay a TCP handshake,
            so it charges that round trip on the connection's first flight.
        closed_by: Who ended it first; "reset" means that an RST came from the client's side.
        tls: The negotiated version, such as "TLSv1.3", or None on a plain connection.
        resumed: True when the TLS session was resumed.
        requests: How many requests have begun on it so far.
        line: Equal to that of the pieces which crossed a `Link` for it.
    """

    id: int
    provider: str
    opened_at: float
    closed_at: float | None = None
    closed_by: Literal["client", "server", "reset"] | None = None
    tls: str | None = None
    resumed: bool = False
    handshake_round_trips: int = 1
    charged_by_link: bool = False
    requests: int = 0
    line: int = 0


@dataclass(slots=True, kw_only=True)
class CrossingRecord:
    """One piece of data that crossed a `Link`.

    Attributes:
        direction: "up" is from the client.
        came_at: When it reached the link.
        went_at: When it was handed on: half a round trip later, and the link's own lateness.
        line: Equal to that of the connection which it was carried for.
    """

    provider: str
    direction: Literal["up", "down"]
    came_at: float
    went_at: float
    line: int = 0


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request (or WebSocket handshake) and what became of it.

    Attributes:
        headers: Lower-cased names; credentials only as digests.
        query: Every parameter with all its values; credentials only as digests.
        body: The request body as it came, at most 1 MiB.
        first_byte_at: When the first byte of the body, or the first frame, was written.
        outcome: "aborted" when the client went away first, "refused" for a status of 400 or more,
            "fault" when an injected fault was applied.
        notes: The vendor's advice that the client ignored, and what else is worth saying.
    """

    id: int
    connection: int
    provider: str
    operation: str
    method: str
    path: str
    received_at: float
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_byte_at: float | None = None
    finished_at: float | None = None
    status: int = 0
    outcome: Outcome | None = None
    audio_bytes_sent: int = 0
    audio_sha256: str = ""
    notes: list[str] = field(default_factory=list)

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class FrameRecord:
    """One WebSocket message.

    Attributes:
        direction: "in" is from the client.
        size: Bytes of the payload on the wire.
        data: Parsed JSON of a text message, its base64 audio replaced by `{"bytes": n}`; the text
            itself when it is not JSON; None for a binary message.
        context: The context id on sockets that multiplex several utterances.
    """

    request: int
    direction: Literal["in", "out"]
    at: float
    kind: Literal["text", "binary"]
    size: int
    data: Any = None
    context: str | None = None


@dataclass(slots=True, kw_only=True)
class WebhookRecord:
    """One request of the emulator to an application, and what came back.

    Attributes:
        kind: "message", "status", "call", "call-status" or "fallback".
        sid: What it is about.
        token: Its idempotency token: the same one when it is delivered again.
        attempt: 1 for the first delivery under that token.
        fields: What the form (or the query) says.
        status: HTTP status; 0 when no answer came.
        failure: Empty, or the class of the vendor's retry policy: "ct" (no connection), "rt" (no
            answer in time, or it broke off), "tt" (the whole budget is spent), "4xx", "5xx".
        error: The code that the vendor's debugger would show, or None.
        content_type: Of the answer.
        body: The answer, as text, at most 64 KiB of it.
        messages: What the answer's TwiML says: body, media, to, from_, status_callback of each.
        notes: What in it was ignored.
    """

    id: int
    provider: str
    kind: str
    url: str
    method: str
    sid: str
    token: str
    attempt: int
    started_at: float
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    finished_at: float | None = None
    status: int = 0
    failure: str = ""
    error: int | None = None
    content_type: str = ""
    body: str = field(default="", repr=False)
    messages: list[dict[str, Any]] = field(default_factory=list, repr=False)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """From the beginning to the whole answer, or None while it is under way."""
        return None if self.finished_at is None else self.finished_at - self.started_at


@dataclass(slots=True, kw_only=True)
class DeliveryRecord:
    """One message to a user, and what became of it.

    Attributes:
        source: "rest" or "twiml".
        request: Id of the request that sent it, for REST.
        webhook: Id of the webhook whose answer sent it, for TwiML.
        media: Of each file its `url`; where the emulator fetches media also `status`,
            `content_type`, `size`, `sha256` and `error`.
        accepted_at: When the emulator had the whole of it.
        delivered_at: When the user got it, or None.
        status: The latest one.
        error: Code of a failure, or None.
    """

    id: int
    provider: str
    sid: str
    sender: str | None
    recipient: str
    source: Literal["rest", "twiml"]
    accepted_at: float
    body: str = field(default="", repr=False)
    media: list[dict[str, Any]] = field(default_factory=list)
    content_sid: str | None = None
    content_variables: str | None = field(default=None, repr=False)
    request: int | None = None
    webhook: int | None = None
    status: str = "queued"
    error: int | None = None
    delivered_at: float | None = None


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; None for anything else."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def public_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers lower-cased, those that carry credentials as digests."""
    public: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        public[name] = digest(value) if name in SECRET_HEADERS else value
    return public
