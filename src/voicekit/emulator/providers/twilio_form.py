"""The forms that Twilio's REST takes, checked as far as its documentation says. No I/O.

Source: fact sheet of 2026-11, §3 (message), §2.2 (magic numbers), §3.3 (codes). Codes of what the
sheet gives a range for and no code are 20001, bad parameter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from voicekit.emulator.providers.twilio_refusals import MAGIC_FROM, MAGIC_TO, coded

MAX_BODY = 1600
MAX_MEDIA = 10
VALIDITY_S = (1, 36_000)
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SHORT_CODE = re.compile(r"\d{3,8}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")
_CHANNELS = ("whatsapp:", "rcs:", "messenger:")

KNOWN = frozenset(
    {
        "To", "From", "MessagingServiceSid", "Body", "MediaUrl", "ContentSid", "ContentVariables",
        "StatusCallback", "ApplicationSid", "ProvideFeedback", "Attempt", "ValidityPeriod",
        "MaxPrice", "ForceDelivery", "ContentRetention", "AddressRetention", "SmartEncoded",
        "PersistentAction", "TrafficType", "ShortenUrls", "ScheduleType", "SendAt", "SendAsMms",
        "RiskCheck", "FallbackFrom", "MessageIntent",
    }
)  # fmt: skip
_FLAGS = ("ProvideFeedback", "ForceDelivery", "SmartEncoded", "ShortenUrls", "SendAsMms")
_CHOICES = {
    "ContentRetention": ("retain", "discard"),
    "AddressRetention": ("retain", "obfuscate"),
    "TrafficType": ("free",),
    "ScheduleType": ("fixed",),
    "RiskCheck": ("enable", "disable"),
}
_SIDS = {"MessagingServiceSid": "MG", "ContentSid": "HX", "ApplicationSid": "AP"}


class Fields:
    """A form's fields by name; empty ones count as given."""

    def __init__(self, body: bytes) -> None:
        self.pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self.pairs)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for each, value in self.pairs if each == name]

    def text(self, name: str) -> str | None:
        """The last value of a field; None where there is none, or an empty one."""
        found = self.all(name)
        return found[-1] or None if found else None

    def number(self, name: str, low: int, high: int | None = None) -> int | None:
        """A whole number within a range."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d+", value):
            raise coded(20001, f"{name} must be an integer")
        if int(value) < low or (high is not None and int(value) > high):
            raise coded(20001, f"{name} must be from {low}" + (f" to {high}" if high else ""))
        return int(value)

    def flag(self, name: str) -> bool | None:
        """A truth value."""
        value = self.text(name)
        if value is None:
            return None
        if value.lower() not in {"true", "false"}:
            raise coded(20001, f"{name} must be true or false")
        return value.lower() == "true"

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of a few words."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise coded(20001, f"{name} must be one of {', '.join(allowed)}")
        return value

    def sid(self, name: str, prefix: str) -> str | None:
        """An identifier of a kind."""
        value = self.text(name)
        if value is not None and not re.fullmatch(prefix + r"[0-9a-fA-F]{32}", value):
            raise coded(20001, f"{name} is no {prefix} SID")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageForm:
    """A checked request to send.

    Numbers have their channel's prefix; without a sender a messaging service picks one; `validity`
    is how many seconds it may wait in the queue.
    """

    to: str
    from_: str | None
    service: str | None
    body: str
    media: tuple[str, ...]
    content_sid: str | None
    content_variables: str | None
    status_callback: str | None
    validity: int
    send_at: datetime | None
    notes: tuple[str, ...]


def check_message(fields: Fields) -> MessageForm:
    """Check a request to send a message; magic numbers are refused as documented."""
    notes = [f"unknown parameter {name!r} ignored" for name, _ in fields.pairs if name not in KNOWN]
    for name, prefix in _SIDS.items():
        fields.sid(name, prefix)
    to, sender = fields.text("To"), fields.text("From")
    service = fields.text("MessagingServiceSid")
    if to is None:
        raise coded(21604)
    if sender is None and service is None:
        raise coded(21603)
    media = tuple(url for url in fields.all("MediaUrl") if url)
    body = fields.text("Body") or ""
    if not body and not media and fields.text("ContentSid") is None:
        raise coded(21602)
    _check_pair(to, sender)
    if len(body) > MAX_BODY:
        raise coded(21617)
    _check_media(media)
    for name in _FLAGS:
        fields.flag(name)
    for name, allowed in _CHOICES.items():
        fields.choice(name, allowed)
    fields.number("Attempt", 1)
    validity = fields.number("ValidityPeriod", *VALIDITY_S)
    callback = fields.text("StatusCallback")
    if callback is not None:
        check_url(callback, code=21609, underscore=False)
    if validity is not None and validity <= 5:
        notes.append("a ValidityPeriod of more than 5 seconds is advised")
    if to.startswith("whatsapp:") and len(media) > 1:
        notes.append("WhatsApp takes one media file per message")
    if "MaxPrice" in fields:
        notes.append("MaxPrice is obsolete")
    return MessageForm(
        to=to,
        from_=sender,
        service=service,
        body=body,
        media=media,
        content_sid=fields.text("ContentSid"),
        content_variables=_variables(fields),
        status_callback=callback,
        validity=validity or VALIDITY_S[1],
        send_at=_send_at(fields, service),
        notes=tuple(notes),
    )


def check_number(number: str, *, code: int) -> None:
    """Refuse what is no number, with that code."""
    if not _E164.fullmatch(number):
        raise coded(code, number)


def check_url(url: str, *, code: int, underscore: bool = True) -> None:
    """Refuse what is no absolute URL of the web, with that code."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or (not underscore and "_" in (parts.hostname or "")):
        raise coded(code, url)


def _check_pair(to: str, sender: str | None) -> None:
    channel, number = _split(to)
    check_number(number, code=21211)
    if number in MAGIC_TO:
        raise coded(MAGIC_TO[number], to)
    if sender is None:
        return
    theirs, own = _split(sender)
    if theirs != channel:
        raise coded(21910)
    # As the magic numbers: a convention of this emulator for what an account has.
    if channel == "whatsapp:":
        if not _E164.fullmatch(own) or own in MAGIC_FROM:
            raise coded(63007)
        return
    if own in MAGIC_FROM:
        raise coded(MAGIC_FROM[own], sender)
    if not any(kind.fullmatch(own) for kind in (_E164, _SHORT_CODE, _NAME)):
        raise coded(21212, sender)


def _split(address: str) -> tuple[str, str]:
    for channel in _CHANNELS:
        if address.startswith(channel):
            return channel, address.removeprefix(channel)
    return "", address


def _check_media(media: Sequence[str]) -> None:
    if len(media) > MAX_MEDIA:
        raise coded(21623)
    for url in media:
        check_url(url, code=21620)


def _variables(fields: Fields) -> str | None:
    value = fields.text("ContentVariables")
    if value is None:
        return None
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise coded(21656)
    return value


def _send_at(fields: Fields, service: str | None) -> datetime | None:
    kind, when = fields.text("ScheduleType"), fields.text("SendAt")
    if kind is None and when is None:
        return None
    if kind is None or when is None or service is None:
        raise coded(20001, "ScheduleType, SendAt and MessagingServiceSid come together")
    try:
        at = datetime.fromisoformat(when)
    except ValueError:
        raise coded(20001, "SendAt must be an ISO 8601 date") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
