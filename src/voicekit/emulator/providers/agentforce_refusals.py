"""What the Agent API refuses, and in which words.

Source: fact sheet of 2026-11, error table (vendor's reference and troubleshooting page; messages
from community logs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.providers.base import RefusedError

UNKNOWN_AGENT = "0Xx000000000404"
"""The one agent that does not exist, here."""

INACTIVE_AGENT = "0Xx000000000422"
"""The one agent that has no active version, here; a client may name any other."""


@dataclass(slots=True, kw_only=True, eq=False)
class Refusal(RefusedError):  # noqa: N818 - an answer on its way out
    """One answer in the vendor's Error shape."""

    status: int
    error: str
    message: str


ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequestException", "The request is not valid"),
    401: ("UnauthorizedException", "Access token is invalid or expired"),
    403: ("ForbiddenException", "Forbidden"),
    404: ("NotFoundException", "Not found"),
    410: ("NotAvailableError", "The session is no longer available"),
    412: ("PreconditionFailedException", "No access to Einstein Copilot"),
    422: ("UnprocessableEntityException", "Cannot determine the active version for the agent"),
    423: ("ServerBusyError", "Session Already Locked Exception"),
    429: ("TooManyRequestsError", "Too many requests"),
    500: ("HttpServerErrorException", "Internal server error"),
    503: ("ServiceUnavailableException", "Service unavailable"),
}
"""Status to error and message."""

AGENT_ID = re.compile(r"0Xx[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?\Z")
ENDPOINT = re.compile(r"https?://[^\s/]+/?\Z")
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
VARIABLE_TYPES = frozenset(
    {"Object", "Json", "Boolean", "Date", "DateTime", "Money", "Number", "Text", "Ref", "List"}
)
MOST_DETAILS = 10

# Source: vendor's reference, request message types: what each needs beside number and type.
MESSAGE_FIELDS: Mapping[str, tuple[tuple[str, type], ...]] = {
    "Text": (("text", str),),
    "Reply": (("reply", list),),
    "Cancel": (),
    "TransferSucceeded": (),
    "TransferFailed": (("reason", str),),
    "PlanTemplate": (("details", dict),),
}


def of_status(status: int, message: str | None = None) -> Refusal:
    """Return the refusal of a status, in its usual words unless others are given."""
    error, usual = ERRORS.get(status) or ERRORS[500 if status >= 500 else 400]
    return Refusal(status=status, error=error, message=message or usual)


def lost(session: str) -> Refusal:
    """Return the refusal of a session that is not there (any more)."""
    return of_status(404, f"V6Session not found for sessionId: {session}")


def check_start(agent: str, body: Mapping[str, Any]) -> None:
    """Refuse a session's start that is not as documented."""
    if not AGENT_ID.match(agent):
        raise _bad(f"{agent[:64]} is not a valid agent ID")
    if not isinstance(body.get("externalSessionKey"), str) or not body["externalSessionKey"]:
        raise _missing("externalSessionKey")
    config = body.get("instanceConfig")
    endpoint = config.get("endpoint") if isinstance(config, dict) else None
    if not isinstance(endpoint, str):
        raise _missing("instanceConfig.endpoint")
    if not ENDPOINT.match(endpoint):
        raise Refusal(
            status=500, error="EngineConfigLookupException", message="Bad force-config endpoint"
        )
    if not isinstance(body.get("bypassUser", False), bool | None):
        raise _bad("Invalid value for 'bypassUser'")
    if not isinstance(body.get("tz"), str | None):
        raise _bad("Invalid value for 'tz'")
    if body.get("featureSupport") not in (None, "Sync", "Streaming"):
        raise _bad("Invalid value for 'featureSupport'")
    streaming = body.get("streamingCapabilities")
    if streaming is not None:
        kinds = streaming.get("chunkTypes", []) if isinstance(streaming, dict) else None
        if not isinstance(kinds, list) or any(kind != "Text" for kind in kinds):
            raise _bad("Invalid value for 'streamingCapabilities.chunkTypes'")
    _check_variables(body)
    if agent == UNKNOWN_AGENT:
        raise of_status(500)
    if agent == INACTIVE_AGENT:
        raise of_status(422)


def start_advice(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the vendor's advice that a valid start ignores, for the journal."""
    if not UUID.match(body["externalSessionKey"]):
        yield "externalSessionKey is documented as a UUID"
    if not body["instanceConfig"]["endpoint"].startswith("https://"):
        yield "instanceConfig.endpoint is documented as https"
    if "featureSupport" in body:
        yield "featureSupport is deprecated in favour of streamingCapabilities"
    if not body.get("bypassUser"):
        yield "bypassUser: true is for client credentials with service agents"


def check_message(body: Mapping[str, Any]) -> None:
    """Refuse a message that is not as documented."""
    message = body.get("message")
    if not isinstance(message, dict):
        raise _missing("message")
    sequence = message.get("sequenceId")
    if sequence is None:
        raise _missing("sequenceId")
    if isinstance(sequence, bool) or not isinstance(sequence, int):
        raise _bad("Invalid value for 'sequenceId'")
    kind = message.get("type")
    if kind is None:
        raise _missing("type")
    if not isinstance(kind, str) or kind not in MESSAGE_FIELDS:
        raise _bad("Invalid value for 'message.type'")
    for name, expected in MESSAGE_FIELDS[kind]:
        if not isinstance(message.get(name), expected):
            raise _missing(name)
    _check_variables(body)


def _check_variables(body: Mapping[str, Any]) -> None:
    variables = body.get("variables")
    if variables is None:
        return
    if not isinstance(variables, list):
        raise _bad("Invalid value for 'variables'")
    for each in variables:
        if not isinstance(each, dict):
            raise _bad("Invalid value for 'variables'")
        for name in ("name", "type", "value"):
            if name not in each:
                raise _missing(name)
        if str(each.get("type")) not in VARIABLE_TYPES:
            raise _bad("Invalid value for 'variables.type'")


def check_feedback(body: Mapping[str, Any]) -> None:
    """Refuse a feedback that is not as documented."""
    if not isinstance(body.get("feedbackId"), str) or not body["feedbackId"]:
        raise _missing("feedbackId")
    if body.get("feedback") not in ("GOOD", "BAD"):
        raise _bad("Invalid value for 'feedback'")
    if not isinstance(body.get("text"), str | None):
        raise _bad("Invalid value for 'text'")
    details = body.get("details")
    if details is not None and not (isinstance(details, dict) and len(details) <= MOST_DETAILS):
        raise _bad(f"'details' has at most {MOST_DETAILS} properties")


def _bad(message: str) -> Refusal:
    return of_status(400, message)


def _missing(name: str) -> Refusal:
    # Source: fact sheet: the words of the JSON library behind the API, seen for sequenceId.
    return _bad(f"Missing required creator property '{name}'")
