"""What a message may be told, and the checks before any I/O.

Source: Twilio fact sheet of 2026-11, §3 (OpenAPI twilio_api_v2010 @d50069b, SDK 9.13.0) and
§3.1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Final

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.settings import Settings
from voicekit.clients.twilio import addresses

MOST_MEDIA: Final = 10


class MessageDefaults(Extras, total=False):
    """Options of messages. Absent is the vendor's default, in brackets.

    Attributes:
        from_: The sender, on the recipient's channel: E.164, a short code, a name,
            ``whatsapp:+…``.
        messaging_service_sid: ``MG…``, which picks the sender.
        status_callback: Where Twilio tells how the message fares.
        validity_period: Seconds after which it is dropped, 1 to 36,000 (36,000). An answer
            in a conversation is of no use later: 60 to 300.
        split: Whether a text of more than 1,600 characters goes out as several messages, cut
            at sentences (True, ours); else it is refused.
        application_sid: ``AP…``, which is told how the message fares.
        provide_feedback: You will confirm that it was of use (False).
        attempt: How often you have tried it before.
        max_price: The most that it may cost. Obsolete, says the vendor.
        force_delivery: Reserved.
        content_retention: ``"retain"`` or ``"discard"``.
        address_retention: ``"retain"`` or ``"obfuscate"``.
        smart_encoded: Replace signs that would make an SMS longer.
        persistent_action: Of WhatsApp: ``"geo:41.9,12.5|A place"``, and others.
        traffic_type: ``"free"``.
        shorten_urls: With a messaging service (False).
        send_as_mms: Even if it would fit into an SMS (False).
        risk_check: ``"enable"`` or ``"disable"``.
        fallback_from: Sender of the SMS that replaces an RCS message.
        message_intent: A word of the vendor's; unverified.
    """

    from_: str | None
    messaging_service_sid: str | None
    status_callback: str | None
    validity_period: int | None
    split: bool | None
    application_sid: str | None
    provide_feedback: bool | None
    attempt: int | None
    max_price: float | None
    force_delivery: bool | None
    content_retention: str | None
    address_retention: str | None
    smart_encoded: bool | None
    persistent_action: Sequence[str] | None
    traffic_type: str | None
    shorten_urls: bool | None
    send_as_mms: bool | None
    risk_check: str | None
    fallback_from: str | None
    message_intent: str | None


class MessageOptions(MessageDefaults, CallOptions, total=False):
    """The same for one call, and what only one message has.

    Attributes:
        content_sid: ``HX…``, a template; needed on WhatsApp when the recipient's last message
            is older than 24 hours. In place of text and media.
        content_variables: The template's blanks: a mapping, or its JSON.
        send_at: When to send it; with a messaging service, between 15 minutes and 35 days
            from now, says the vendor.
    """

    content_sid: str | None
    content_variables: Mapping[str, str] | str | None
    send_at: datetime | str | None


class MessageFilters(CallOptions, total=False):
    """Which messages, newest first.

    Attributes:
        to: To this address.
        from_: From this address.
        sent_on: Sent on this day (UTC).
        sent_after: Sent on this day or later.
        sent_before: Sent on this day or earlier.
        page_size: Messages of a page, 1 to 1,000 (50).
    """

    to: str | None
    from_: str | None
    sent_on: date | None
    sent_after: date | None
    sent_before: date | None
    page_size: int | None


def _urls(name: str, value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    if not checks.is_sequence(given) or not 0 < len(given) <= MOST_MEDIA:
        raise wrong(name, value, f"a URL, or 1 to {MOST_MEDIA} of them")
    return [addresses.url(name, each) for each in given]


def _variables(name: str, value: Any) -> str:
    """As JSON text. What is no text becomes it: a template knows nothing else."""
    if isinstance(value, str):
        try:
            fine = isinstance(json.loads(value), dict)
        except (ValueError, RecursionError):
            fine = False
        if not fine:
            raise wrong(name, value, "a mapping, or a JSON object as text")
        return value
    given = checks.fields(name, value)
    return json.dumps({key: str(each) for key, each in given.items()}, ensure_ascii=False)


def _moment(name: str, value: Any) -> str:
    """ISO 8601 in UTC."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise wrong(name, value, "a datetime with its zone, or ISO 8601")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(name: str, value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    if not isinstance(value, date):
        raise wrong(name, value, "a date, or a datetime")
    return value.strftime("%Y-%m-%d")


def _price(name: str, value: Any) -> float:
    if not checks.is_number(value) or not 0 < value < math.inf:
        raise wrong(name, value, "a number > 0")
    return value


_DEFAULT_CHECKS: Final[Mapping[str, Check]] = {
    "from_": addresses.sender,
    "messaging_service_sid": addresses.sid("MG"),
    "status_callback": addresses.url,
    "validity_period": checks.integer(1, 36_000),
    "split": checks.flag,
    "application_sid": addresses.sid("AP"),
    "provide_feedback": checks.flag,
    "attempt": checks.integer(1),
    "max_price": _price,
    "force_delivery": checks.flag,
    "content_retention": checks.word("retain", "discard"),
    "address_retention": checks.word("retain", "obfuscate"),
    "smart_encoded": checks.flag,
    "persistent_action": checks.sequence_of(str, "str"),
    "traffic_type": checks.word("free"),
    "shorten_urls": checks.flag,
    "send_as_mms": checks.flag,
    "risk_check": checks.word("enable", "disable"),
    "fallback_from": addresses.sender,
    "message_intent": checks.text,
}


class MessageSettings(Settings):
    """Checked options of messages."""

    purpose: ClassVar[str] = "messages"
    option_checks: ClassVar[Mapping[str, Check]] = _DEFAULT_CHECKS

    def _displaced(self, given: Mapping[str, Any]) -> Sequence[str]:
        # The sender is one of both: the call's wins over the constructor's.
        if given.get("from_") is not None and "messaging_service_sid" not in given:
            return ("messaging_service_sid",)
        if given.get("messaging_service_sid") is not None and "from_" not in given:
            return ("from_",)
        return ()


class OneMessageSettings(MessageSettings):
    """The same with what one message has."""

    purpose = "send_message()"
    option_checks: ClassVar[Mapping[str, Check]] = {
        **_DEFAULT_CHECKS,
        "to": addresses.recipient,
        "body": checks.text,
        "media": _urls,
        "content_sid": addresses.sid("HX"),
        "content_variables": _variables,
        "send_at": _moment,
    }


class MessageListSettings(Settings):
    """Checked filters of the messages."""

    purpose = "messages()"
    option_checks: ClassVar[Mapping[str, Check]] = {
        "to": addresses.recipient,
        "from_": addresses.sender,
        "sent_on": _day,
        "sent_after": _day,
        "sent_before": _day,
        "page_size": checks.integer(1, 1000),
    }
