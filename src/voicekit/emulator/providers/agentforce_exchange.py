"""What a request to Agentforce says, and what every answer carries."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from voicekit.emulator.body import uuid_of
from voicekit.emulator.providers.agentforce_plan import Writer
from voicekit.emulator.providers.agentforce_refusals import Refusal
from voicekit.emulator.providers.agentforce_sessions import Session
from voicekit.emulator.providers.agentforce_stream import epoch_ms
from voicekit.emulator.providers.base import Exchange

API = "/einstein/ai-agent/v1"


def request_id(exchange: Exchange) -> str:
    """Return the request's id: the same each time it is asked for, and nobody else's."""
    return uuid_of(random.Random(f"{exchange.ctx.seed}/request/{exchange.record.id}"))


def message_writer(exchange: Exchange) -> Writer:
    """Return what writes this request's messages."""
    return Writer(lambda: uuid_of(exchange.rng), epoch_ms)


def error_object(exchange: Exchange, refusal: Refusal) -> dict[str, Any]:
    """Return the Error object of the Agent API; its request id is the header's."""
    # As captured: a path behind the gateway, where streams have none of their own.
    path = exchange.record.path.removeprefix(API).removesuffix("/stream")
    return {
        "status": refusal.status,
        "path": f"v6.0.0{path}",
        "requestId": request_id(exchange),
        "error": refusal.error,
        "message": refusal.message,
        "timestamp": epoch_ms(),
    }


def token_error(status: int) -> dict[str, Any]:
    """Return the token route's error for a status that nothing explains."""
    error = "invalid_grant" if status < 500 else "server_error"
    return {"error": error, "error_description": "request not supported"}


def core_error(status: int) -> list[dict[str, Any]]:
    """Return the core REST API's errors, a list, for a status."""
    if status == 401:
        return [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    return [{"message": "The request failed", "errorCode": "UNKNOWN_EXCEPTION"}]


def origin(request: web.Request) -> str:
    """Return the scheme and host that the client used: this server's, or its link's."""
    return f"{request.scheme}://{request.host}"


def links(exchange: Exchange, session: Session) -> dict[str, Any]:
    """Return a session's `_links`."""
    base = f"{origin(exchange.request)}{API}"
    own = f"{base}/sessions/{session.id}"
    return {
        "self": None,
        "messages": {"href": f"{own}/messages"},
        "messagesStream": {"href": f"{own}/messages/stream"},
        "session": {"href": f"{base}/agents/{session.agent}/sessions"},
        "end": {"href": own},
    }


def takes_chunks(body: Mapping[str, Any]) -> bool:
    """Tell whether a session's start asks for text in chunks."""
    return "Text" in ((body.get("streamingCapabilities") or {}).get("chunkTypes") or ())


def words_of(message: Mapping[str, Any]) -> str:
    """Return what a message says, for the script: its text, its values, or its type."""
    if message["type"] == "Text":
        return str(message["text"])
    if message["type"] == "Reply":
        given = [each.get("value", "") for each in message["reply"] if isinstance(each, dict)]
        return " ".join(map(str, given))
    return str(message["type"])
