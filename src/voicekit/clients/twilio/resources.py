"""Messages and calls as Twilio's REST answers give them. No I/O.

Fields that the vendor adds are in ``raw``; those that it leaves out, or fills with something
else than documented, are None or empty.

Source: Twilio fact sheet of 2026-11, §3 and §9 (OpenAPI twilio_api_v2010 @d50069b).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicekit.clients.record import Record
from voicekit.clients.twilio.errors import delivery_error
from voicekit.clients.twilio.forms import whole
from voicekit.clients.twilio.inbound import MediaRef, channel_of
from voicekit.errors import ProviderError, RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resource(Record):
    """What every value has besides its own fields. Texts and numbers are in no repr.

    Attributes:
        sid: Twilio's name of it.
        account_sid: Whose it is.
        request_id: ``RQ…``, for Twilio's support; None inside a page.
    """

    sid: str
    account_sid: str = ""

    @property
    def concurrent_requests(self) -> int | None:
        """How many requests of the account were under way: an early sign of too many."""
        return whole(self.headers.get("Twilio-Concurrent-Requests"), 12)

    @property
    def server_s(self) -> float | None:
        """Seconds that Twilio itself took; the rest of the time is the network's."""
        try:
            return float(self.headers["Twilio-Request-Duration"])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Message(Resource):
    """A message, as it stands now.

    Attributes:
        status: ``"queued"``, ``"sent"``, ``"delivered"``, …, or a newer word.
        from_: The sender; None as long as a messaging service has not picked one.
        to: The recipient.
        body: The text.
        direction: ``"inbound"``, ``"outbound-api"``, ``"outbound-call"``, ``"outbound-reply"``.
        channel: ``"sms"``, ``"whatsapp"``, or another one's name.
        num_media: How many files it has.
        num_segments: Of an SMS.
        error_code: Why it was not delivered.
        price: In ``price_unit``; None until it is known.
        price_unit: ISO 4217.
        messaging_service_sid: ``MG…``, if one is used.
        created_at: When Twilio took it.
        sent_at: When it was sent.
        updated_at: When anything about it changed.
    """

    status: str = ""
    from_: str | None = None
    to: str = ""
    body: str = ""
    direction: str = ""
    channel: str = "sms"
    num_media: int = 0
    num_segments: int = 0
    error_code: int | None = None
    price: float | None = None
    price_unit: str | None = None
    messaging_service_sid: str | None = None
    created_at: datetime | None = None
    sent_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def error(self) -> ProviderError | None:
        """Why it was not delivered, as an error; None where nothing says so."""
        return delivery_error(self.error_code)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sid} {self.channel} {self.status}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SentMessage(Message):
    """A message that Twilio has accepted, which is not yet delivered.

    Attributes:
        parts: Of a text that was split: all messages that it became, in order, the first of
            them as this one; empty otherwise.
    """

    parts: tuple[SentMessage, ...] = ()

    __repr__ = Message.__repr__


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PhoneCall(Resource):
    """A call, as it stands now.

    Attributes:
        status: ``"queued"``, ``"ringing"``, ``"in-progress"``, ``"completed"``, ``"busy"``,
            ``"failed"``, ``"no-answer"`` or ``"canceled"``.
        from_: Who calls.
        to: Who is called.
        direction: ``"inbound"``, ``"outbound-api"``, ``"outbound-dial"``.
        answered_by: With machine detection: ``"human"``, ``"machine_start"``, ``"fax"``, …
        parent_call_sid: Of the call that made this one.
        queue_time_ms: How long it waited for its turn to be placed.
        duration_s: How long it was, once it is over.
        price: In ``price_unit``; None until it is known.
        price_unit: ISO 4217.
        created_at: When it was asked for.
        started_at: When it was answered.
        ended_at: When it was over.
    """

    status: str = ""
    from_: str = ""
    to: str = ""
    direction: str = ""
    answered_by: str | None = None
    parent_call_sid: str | None = None
    queue_time_ms: int | None = None
    duration_s: int | None = None
    price: float | None = None
    price_unit: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<PhoneCall {self.sid} {self.status}>"


def read_message(value: Any, **evidence: Any) -> Message:
    """The message in a JSON object."""
    return Message(**_message(value), **evidence)


def read_sent(value: Any, **evidence: Any) -> SentMessage:
    """The same of a message that was just sent."""
    return SentMessage(**_message(value), **evidence)


def _message(value: Any) -> dict[str, Any]:
    common = _common(value)
    fields, from_ = common["raw"], _text(common["raw"], "from")
    return {
        **common,
        "from_": from_,
        "body": _text(fields, "body") or "",
        "channel": channel_of(common["to"] or from_ or ""),
        "num_media": whole(fields.get("num_media"), 12) or 0,
        "num_segments": whole(fields.get("num_segments"), 12) or 0,
        "error_code": whole(fields.get("error_code"), 12),
        "messaging_service_sid": _text(fields, "messaging_service_sid"),
        "sent_at": _date(fields.get("date_sent")),
        "updated_at": _date(fields.get("date_updated")),
    }


def read_call(value: Any, **evidence: Any) -> PhoneCall:
    """The call in a JSON object."""
    common = _common(value)
    fields = common["raw"]
    return PhoneCall(
        **common,
        from_=_text(fields, "from") or "",
        answered_by=_text(fields, "answered_by"),
        parent_call_sid=_text(fields, "parent_call_sid"),
        queue_time_ms=whole(fields.get("queue_time"), 12),
        duration_s=whole(fields.get("duration"), 12),
        started_at=_date(fields.get("start_time")),
        ended_at=_date(fields.get("end_time")),
        **evidence,
    )


def read_media(value: Any, base_url: str) -> MediaRef:
    """The file in a JSON object of a message's list."""
    fields = _object(value)
    uri = _text(fields, "uri") or ""
    if not uri.startswith("/2010-04-01/Accounts/"):
        raise RemoteProtocolError("a file has no address")
    kind = _text(fields, "content_type")
    return MediaRef(url=base_url + uri.removesuffix(".json"), content_type=kind)


def _common(value: Any) -> dict[str, Any]:
    """What messages and calls have both; the object itself is their ``raw``."""
    fields = _object(value)
    texts = ("account_sid", "status", "to", "direction")
    return {
        **{name: _text(fields, name) or "" for name in texts},
        "sid": fields["sid"],
        "price": _money(fields.get("price")),
        "price_unit": _text(fields, "price_unit"),
        "created_at": _date(fields.get("date_created")),
        "raw": fields,
    }


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("sid"), str) or not value["sid"]:
        raise RemoteProtocolError("the answer holds no resource with a sid")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _money(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None


def _date(value: object) -> datetime | None:
    """An RFC 2822 date."""
    if not isinstance(value, str):
        return None
    from email.utils import parsedate_to_datetime  # only answers need it

    try:
        return parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
