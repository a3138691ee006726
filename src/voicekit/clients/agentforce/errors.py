"""Agentforce's refusals as our errors: one table, for statuses and for errors inside a turn.

Source: Agentforce fact sheet of 2026-11, §3.5, §6.3 and §11. Where it says *unverified*, the
words are looked for in any case and at any place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

from voicekit.clients.refusals import Dialect, body_of, build
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    Outcome,
    ProviderError,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience.credential_circuit import CREDENTIAL_REFUSED

PROVIDER: Final = "agentforce"

Asked = Literal["token", "start", "turn", "other"]
"""What was asked for: a plain 500 says more of some operations than of others."""

NOT_ATTACHED: Final = "not_attached"
"""``retry_stopped`` of a refusal that no other token cures."""


class SessionLostError(InvalidRequestError):
    """The provider does not know the session (any more); nothing was done.

    Attributes:
        outcome: Proven: what knows no session acts in none.
    """

    outcome: Outcome = "not_applied"


class SessionBusyError(ProviderError):
    """Another request of the session is running; this one was not looked at."""

    outcome: Outcome = "not_applied"
    retryable = True


class TurnFailedError(UnavailableError):
    """The agent worked on the turn and says that it failed: time for a fallback phrase.

    What it did before stays done; ``code`` is ``ACTION_FAILED`` or ``ESCALATE``.
    """

    outcome: Outcome = "applied"
    retryable = False


# -- what the words of an error say --

_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}")
_LOST: Final = ("notfound", "not found for sessionid", "session not found")
"""Of a 404, which is about the address, and so about the session in it."""
_LOST_BY_NAME: Final = re.compile(r"(?i)(?:v\d+)?session not found for sessionid:?\s*(\S+?)\.?")
_PLANNER_LOST: Final = "PLANNER_SESSION_NOT_FOUND"
_UNATTACHED: Final = "not attached to agent"
_UNAVAILABLE_SETUP: Final = (
    # 500 that no repeat cures: the endpoint or the agent is set up wrongly, or we sent no JSON.
    "engineconfiglookup",
    "bad force-config endpoint",
    "inactiveconfig",
    "unsupported media type",
)
_TOO_MANY_LOGINS: Final = ("login rate exceeded", "maximum logins exceeded")
_PLANNER: Final[Mapping[str, type[ProviderError]]] = {
    # Source: sheet §11; unverified that any is sent.
    _PLANNER_LOST: SessionLostError,
    "PLANNER_REQUEST_VALIDATION_ERROR": InvalidRequestError,
    "PLANNER_LLM_GATEWAY_RATE_LIMIT": RateLimitError,
    "RATE_LIMIT_EXCEEDED": RateLimitError,
}
_BY_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    423: SessionBusyError,
    429: RateLimitError,
    **dict.fromkeys((408, 425, 502, 503, 504), UnavailableError),
}
_OURS: Final = frozenset({AuthenticationError, SessionBusyError, SessionLostError})
"""What is cured by asking again: with another token, later, in another session."""
_LEAST_WAIT: Final[Mapping[str, float]] = {
    "PLANNER_LLM_GATEWAY_RATE_LIMIT": 5.0,
    "RATE_LIMIT_EXCEEDED": 10.0,
}

_NO_OBJECT: Final = (
    "status 404 without an error object: wrong API host (My Domain is none, a government org has "
    "its own), wrong agent_id, or a token that is no JWT"
)


def read_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    asked: Asked,
    session: Callable[[], str] = str,
) -> ProviderError:
    """Our error for an HTTP refusal, whatever its body is."""
    value = body_of(body)
    if asked == "token":
        return token_error(value, status, headers)
    return error_of(value, status, headers, asked=asked, session=session())


def error_of(
    value: Any,
    status: int,
    headers: Mapping[str, str],
    *,
    asked: Asked,
    session: str = "",
    inside: bool = False,
    begun: bool = False,
) -> ProviderError:
    """Our error for a parsed Error object; None is a proxy's page.

    ``inside`` a turn it came with status 200: the agent was at work already, and the status that
    the object names is used. ``begun``: it is not the first that came of the turn.
    """
    fields = _fields(value)
    if inside:
        status = _status_of(fields, status)
    code = fields.get("error") or fields.get("errorCode") or fields.get("code")
    message = fields.get("message")
    said = f"{code} {message}".lower() if fields else ""
    named = _names_lost(message, session)
    kind, facts = _judge(status, said, code, asked=asked, known=bool(fields), named=named)
    proven = not begun and (named or code == _PLANNER_LOST)
    if inside and not (kind is SessionLostError and proven):
        # What was refused at the door did nothing; who answers 200 has let us in. What the
        # status speaks of is then what an action ran into: no lock, loss or token of ours.
        if kind in _OURS:
            kind, facts = UnavailableError, {}
        facts["outcome"] = "unknown"
    error = build(
        kind,
        status,
        headers,
        code=code,
        detail=_without_tokens(message),
        request_id=fields.get("requestId"),
        **facts,
    )
    if error.retry_after is None and isinstance(code, str):
        error.retry_after = _LEAST_WAIT.get(code)
    if status == 404 and not fields and not inside:
        error.args = (_NO_OBJECT,)
    return error


def _judge(
    status: int, said: str, code: object, *, asked: Asked, known: bool, named: bool
) -> tuple[type[ProviderError], dict[str, Any]]:
    """The class of an error, and what of it differs from its class."""
    if isinstance(code, str) and (found := _PLANNER.get(code)):
        # A planner asks its model several times in a turn: behind an action, too.
        begun = found is RateLimitError and asked == "turn" and status >= 500
        return found, {"outcome": "unknown"} if begun else {}
    if known and asked != "start" and (named or _is_lost(status, said, code)):
        return SessionLostError, {}
    if found := _BY_STATUS.get(status):
        stopped = status == 401 and _UNATTACHED in said
        return found, {"retry_stopped": NOT_ATTACHED} if stopped else {}
    if status < 500 or any(words in said for words in _UNAVAILABLE_SETUP):
        return InvalidRequestError, {}
    # "HttpServerErrorException" is what a wrong agent id earns; none is repeated.
    # Of a turn: the server gives up after 120 s, and what it did by then is done.
    return UnavailableError, {"retryable": False} if asked == "start" else {}


def _is_lost(status: int, said: str, code: object) -> bool:
    """Whether the refusal of a session's address says that there is no session.

    Any other status may quote what an action of the agent ran into, when it had acted.
    """
    if status == 410:
        return code == "NotAvailableError"
    return status == 404 and any(words in said for words in _LOST)


def _names_lost(message: object, session: str) -> bool:
    """Whether the message is that this session is not there, and nothing else."""
    found = _LOST_BY_NAME.fullmatch(message.strip()) if isinstance(message, str) else None
    return found is not None and found[1] == session


def _status_of(fields: Mapping[str, Any], otherwise: int) -> int:
    for name in ("httpStatus", "status"):
        value = fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return 500 if otherwise < 400 else otherwise


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def token_error(value: Any, status: int, headers: Mapping[str, str]) -> ProviderError:
    """Our error for a refusal of the token endpoint.

    All of its 400s are about the credential or the org's setup; a loop of them would lock the
    user out.
    """
    fields = _fields(value)
    code, words = fields.get("error"), fields.get("error_description")
    said = f"{code} {words}".lower()
    kind: type[ProviderError]
    facts: dict[str, Any] = {}
    if status == 429 or any(limit in said for limit in _TOO_MANY_LOGINS):
        kind, facts = RateLimitError, {"retryable": False}
    elif status >= 500 or status in {408, 425}:
        kind = UnavailableError
    elif status in {400, 401, 403}:
        kind = AuthenticationError if fields.get("error") else InvalidRequestError
        if kind is AuthenticationError and status != 401:  # which another secret may cure
            facts = {"retry_stopped": CREDENTIAL_REFUSED}
    else:
        kind = InvalidRequestError
    return build(kind, status, headers, code=code, detail=_without_tokens(words), **facts)


def _without_tokens(words: object) -> object:
    """What was said, without any token: also one that is not in force any more."""
    return _JWT.sub("[redacted]", words) if isinstance(words, str) else words


def _dialect(asked: Asked, session: Callable[[], str] = str) -> Dialect:
    return Dialect(
        provider=PROVIDER,
        request_id_headers=("x-request-id",),
        read_error=partial(read_error, asked=asked, session=session),
    )


turn_dialect: Final = partial(_dialect, "turn")
"""For the turns of the session with this id, whichever it is by then."""
TOKEN_DIALECT: Final = _dialect("token")
START_DIALECT: Final = _dialect("start")
DIALECT: Final = _dialect("other")
