"""Every option of a session and of a message, and its check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.agentforce.variables import changeable, variables
from voicekit.clients.base import CallOptions, Extras


class SessionDefaults(Extras, total=False):
    """Options of every session, in the constructor.

    Attributes:
        agent_id: Record id of the agent, 15 or 18 characters that begin with ``0Xx``.
        variables: Values by name, fixed into the session at its start. str, bool, numbers,
            dates, sequences and mappings become the type of that kind; ``Variable`` names one.
        tz: The caller's time zone, such as ``"Europe/Rome"``.
        bypass_user: True runs as the user that is assigned to the agent (service agents);
            employee agents need False. (True)
    """

    agent_id: str | None
    variables: Mapping[str, Any] | None
    tz: str | None
    bypass_user: bool | None


class SessionOptions(SessionDefaults, CallOptions, total=False):
    """The same for one session, its limits and its policies."""


class MessageDefaults(Extras, total=False):
    """Options of every message, in the constructor (under ``message``).

    Attributes:
        variables: Values by name, applied before the message. Those of ``$Context`` are
            read-only by then, but for ``$Context.EndUserLanguage``.
        in_reply_to: Id of the agent's message that this one answers.
    """

    variables: Mapping[str, Any] | None
    in_reply_to: str | None


class MessageOptions(MessageDefaults, CallOptions, total=False):
    """The same for one message, its limits and its policies."""


# Source: sheet §5. The prefix of BotDefinition; ids are letters and digits.
_AGENT_ID: Final = re.compile(r"0Xx[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")


def _shaped(shape: re.Pattern[str], allowed: str) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise wrong(name, value, allowed)
        return value

    return check


# The shape only: which names there are depends on the machine, and so on both of them.
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


SESSION_CHECKS: Final[Mapping[str, Check]] = {
    "agent_id": _shaped(_AGENT_ID, "0Xx and 12 or 15 more letters and digits"),
    "variables": variables,
    "tz": _shaped(_ZONE, 'an IANA time zone, such as "Europe/Rome"'),
    "bypass_user": checks.flag,
}
MESSAGE_CHECKS: Final[Mapping[str, Check]] = {
    "variables": changeable,
    "in_reply_to": checks.text_up_to(128),
}
MESSAGE_TAKEN: Final = {"message": "the text, and the option in_reply_to"}
"""Fields of a message's body that are not for ``extra_body``."""
