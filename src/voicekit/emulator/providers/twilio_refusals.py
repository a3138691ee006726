"""What Twilio refuses at once, with which status and in which words; JSON and XML alike.

Source: fact sheet of 2026-11, §2.6 and §3.3 (error dictionary, recorded traffic). The sheet knows
the meaning of a code, and the exact words of few; the others follow the dictionary's titles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_MORE = "https://www.twilio.com/docs/errors/"

_WORDS: dict[int, str] = {
    20001: "Invalid parameter: {}",
    20009: "Cannot delete this resource before it is completed",
    20403: "Resource not accessible with Test Account Credentials",
    20404: "The requested resource {} was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    21201: "No 'To' number is specified",
    21205: "Url parameter is required.",
    21211: "Invalid 'To' Phone Number: {}",
    21212: "Invalid From Number (caller ID): {}",
    21213: "Caller phone number is required",
    21220: "Call is not in-progress. Cannot redirect.",
    21408: (
        "Permission to send an SMS has not been enabled for the region indicated by the "
        "'To' number: {}"
    ),
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The 'From' phone number {} is not a valid, SMS-capable phone number for your account.",
    21608: "The number {} is unverified. Trial accounts cannot send messages to it.",
    21609: "The 'StatusCallback' URL {} is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21612: "The 'To' phone number {} is not currently reachable from this 'From' number.",
    21614: "'To' number is not a valid mobile number: {}",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21620: "Invalid media URL(s): {}",
    21623: "Number of media files exceeds allowed limit",
    21656: "The ContentVariables Parameter is invalid.",
    21658: "Parameter exceeds its limit: {}",
    21910: "Invalid From and To pair. From and To should be of the same channel",
    63007: "Twilio could not find a Channel with the specified From address",
    30409: "The message cannot be canceled in its current state",
}

# Not in the sheet: 409 for what the resource's state forbids. Unverified for 20009 there, too.
_STATUS = {20003: 401, 20009: 409, 20403: 403, 20404: 404, 20429: 429, 20500: 500, 30409: 409}

# Source: sheet §2.2 ("Test credentials"); 21608 has no number there: this one is ours.
MAGIC_TO: Mapping[str, int] = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550008": 21608,
    "+15005550009": 21614,
}
MAGIC_FROM: Mapping[str, int] = {"+15005550001": 21212, "+15005550007": 21606}


@dataclass(slots=True)
class RefusalError(Exception):
    """One 4xx or 5xx in the vendor's shape, its code of the error dictionary."""

    status: int
    code: int
    message: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the body, in the vendor's order."""
        return {
            "code": self.code,
            **self.extra,
            "message": self.message,
            "more_info": f"{_MORE}{self.code}",
            "status": self.status,
        }


def coded(code: int, subject: str = "") -> RefusalError:
    """Return the refusal of a code, about a number or a parameter."""
    return RefusalError(_STATUS.get(code, 400), code, _WORDS[code].format(subject))


def unauthenticated(detail: str, reason: str) -> RefusalError:
    """Return the answer to missing or wrong credentials. Source: sheet §2.6, recorded."""
    return RefusalError(401, 20003, f"Authentication Error - {reason}", {"detail": detail})


def to_xml(content: Mapping[str, Any]) -> bytes:
    """Return the XML that a path without ``.json`` answers with: members as elements.

    A page of a list has its items inside it and the rest as attributes.
    """
    inner = "".join(_element(name, value) for name, value in content.items())
    text = f"<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse>{inner}</TwilioResponse>"
    return text.encode()


def _page(name: str, page: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> str:
    tag = _tag(name)
    facts = {key.replace("_", ""): value for key, value in page.items() if key != name}
    told = "".join(
        f" {key}={quoteattr('' if value is None else str(value))}" for key, value in facts.items()
    )
    single = name.removesuffix("_list").removesuffix("s")
    return f"<{tag}{told}>{''.join(_element(single, each) for each in items)}</{tag}>"


def _tag(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _element(name: str, value: Any) -> str:
    tag = _tag(name)
    if value is None:
        return f"<{tag}/>"
    if not isinstance(value, dict):
        return f"<{tag}>{escape(str(value))}</{tag}>"
    for key, each in value.items():
        if isinstance(each, list):
            return _page(key, value, each)
    inner = "".join(_element(key, each) for key, each in value.items())
    return f"<{tag}>{inner}</{tag}>"
