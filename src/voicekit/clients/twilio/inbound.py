"""What Twilio's webhooks say, as values: a message that came in, or how one fared. No I/O.

Source: Twilio fact sheet of 2026-11, §4 and §7 ("Messaging webhooks", "WhatsApp webhooks",
"Outbound message status", recorded requests). Fields may be added without notice: all that
came are in ``raw``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voicekit.clients.twilio.errors import delivery_error
from voicekit.clients.twilio.forms import vendors, whole
from voicekit.errors import ProviderError

_CHANNEL: Final = re.compile(r"([a-z][a-z0-9_]{0,31}):(.*)", re.DOTALL)
_SID: Final = re.compile(r"ME[0-9a-zA-Z]+")
_MOST_MEDIA: Final = 32
"""Source: ours; a message holds 10."""

_TEXTS: Final = (
    "profile_name", "wa_id", "messaging_service_sid", "address", "label",
    "button_text", "button_payload", "list_id", "list_title",
)  # fmt: skip
"""Fields that an inbound message takes over as they are."""

# From the first to the last that a message can be. Where two are final, the better one counts:
# a receipt that came is true, and whichever comes first the outcome is the same.
_RANKS: Final[Mapping[str, int]] = {
    status: rank
    for rank, status in enumerate(
        (
            "accepted", "scheduled", "queued", "sending", "receiving", "sent", "received",
            "canceled", "failed", "undelivered", "partially_delivered", "delivered", "read",
        )
    )
}  # fmt: skip
_FINAL: Final = frozenset({"delivered", "read", "undelivered", "failed", "canceled", "received"})
_FAILED: Final = frozenset({"undelivered", "failed"})


def later_status(known: str | None, told: str) -> str:
    """The status to keep when ``told`` arrives: callbacks come late, twice, and out of order.

    Whatever the order, the same one remains: a late ``"sent"`` never overrides
    ``"delivered"``. One that is not known here never overrides one that is.
    """
    if known is None:
        return told
    return told if _RANKS.get(told, -1) > _RANKS.get(known, -1) else known


def channel_of(address: str) -> str:
    """Of an address: what stands before its colon (``"whatsapp"``), else ``"sms"``."""
    match = _CHANNEL.fullmatch(address)
    return match.group(1) if match else "sms"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRef:
    """Where a file of a message is; for ``download_media`` and ``stream_media``.

    Attributes:
        url: At Twilio, and asks for the credential.
        content_type: As Twilio names it, such as ``"audio/ogg"`` for a voice note.
    """

    url: str
    content_type: str | None = None

    @property
    def sid(self) -> str | None:
        """``ME…``: the same file has the same, wherever it is fetched."""
        found = _SID.findall(self.url.rpartition("/")[2])
        return found[0] if found else None

    def __repr__(self) -> str:
        return f"<MediaRef {self.sid or ''} {self.content_type}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InboundMessage:
    """A message that came in. Its text, numbers and names are in no repr.

    Attributes:
        sid: ``SM…`` or ``MM…``.
        account_sid: Of the account whose number it came to.
        from_: Who wrote, with the channel: ``"whatsapp:+39…"``, ``"+39…"``.
        to: Our sender, with the channel.
        body: The text; empty with media alone.
        media: Its files, in order.
        channel: ``"sms"``, ``"whatsapp"``, or another one's name.
        kind: WhatsApp's own word (``"text"``, ``"audio"``, ``"image"``, ``"location"``,
            ``"interactive"``, …); elsewhere ``"media"`` or ``"text"``.
        token: Names the delivery: the same when Twilio delivers again. Of a header that is not
            signed; what may be done only once goes by ``sid``.
        profile_name: How the writer calls themselves (WhatsApp).
        wa_id: The writer's number, digits only (WhatsApp).
        messaging_service_sid: ``MG…``, if one is used.
        num_segments: Of an SMS.
        latitude: Of a shared place.
        longitude: Of a shared place.
        address: Of a shared place, in words.
        label: Of a shared place: its name.
        button_text: What was on the button that was pressed.
        button_payload: What the button stands for.
        list_id: Of the chosen entry of a list. (Unverified name.)
        list_title: Of the chosen entry of a list. (Unverified name.)
        replied_sid: The message that this one quotes.
        replied_sender: Who wrote that.
        forwarded: It was forwarded.
        frequently_forwarded: It was, many times.
        raw: All fields as they came; names that came several times have their last value.
    """

    sid: str
    account_sid: str = ""
    from_: str
    to: str
    body: str = ""
    media: tuple[MediaRef, ...] = ()
    channel: str = "sms"
    kind: str = "text"
    token: str
    profile_name: str | None = None
    wa_id: str | None = None
    messaging_service_sid: str | None = None
    num_segments: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    address: str | None = None
    label: str | None = None
    button_text: str | None = None
    button_payload: str | None = None
    list_id: str | None = None
    list_title: str | None = None
    replied_sid: str | None = None
    replied_sender: str | None = None
    forwarded: bool = False
    frequently_forwarded: bool = False
    raw: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """The conversation: who writes, to which of our senders."""
        return f"{self.from_}>{self.to}"

    @property
    def metadata(self) -> Any:
        """The newer ``ChannelMetadata``, parsed; None where there is none that can be."""
        try:
            return json.loads(self.raw["ChannelMetadata"])
        except (KeyError, ValueError, RecursionError):
            return None

    @classmethod
    def read(cls, fields: Mapping[str, str], token: str | None) -> InboundMessage:
        """The message in a webhook's fields."""
        sid = _sid_of(fields)
        from_ = fields.get("From", "")
        channel = channel_of(from_)
        media = _media_of(fields)
        return cls(
            sid=sid,
            account_sid=fields.get("AccountSid", ""),
            from_=from_,
            to=fields.get("To", ""),
            body=fields.get("Body", ""),
            media=media,
            channel=channel,
            kind=fields.get("MessageType") or ("media" if media else "text"),
            token=token or sid,
            num_segments=whole(fields.get("NumSegments"), 9),
            latitude=_degrees(fields.get("Latitude")),
            longitude=_degrees(fields.get("Longitude")),
            replied_sid=fields.get("OriginalRepliedMessageSid"),
            replied_sender=fields.get("OriginalRepliedMessageSender"),
            forwarded=fields.get("Forwarded") == "true",
            frequently_forwarded=fields.get("FrequentlyForwarded") == "true",
            raw=fields,
            **{name: fields.get(vendors(name)) for name in _TEXTS},
        )

    def __repr__(self) -> str:
        return f"<InboundMessage {self.sid} {self.channel} {self.kind} media={len(self.media)}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MessageStatus:
    """How a message of ours fares. Comes late, twice and out of order: see ``later_status``.

    Attributes:
        sid: Of the message. May come before ``send_message`` has returned it.
        status: ``"sent"``, ``"delivered"``, ``"read"``, ``"failed"``, …, or a newer word.
        account_sid: Of the account that sent it.
        from_: The sender.
        to: The recipient.
        channel: ``"sms"``, ``"whatsapp"``, or another one's name.
        error_code: Why it was not delivered.
        token: Names the delivery of this callback, as far as Twilio does.
        raw: All fields as they came.
    """

    sid: str
    status: str
    account_sid: str = ""
    from_: str = ""
    to: str = ""
    channel: str = "sms"
    error_code: int | None = None
    token: str = ""
    raw: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def final(self) -> bool:
        """Whether nothing else follows, but ``read`` after ``delivered``."""
        return self.status in _FINAL

    @property
    def failed(self) -> bool:
        """Whether the message was not delivered."""
        return self.status in _FAILED

    @property
    def error(self) -> ProviderError | None:
        """Why it failed, as an error to raise or to look at, such as ``TemplateRequiredError``.

        None where nothing says that it failed.
        """
        error = delivery_error(self.error_code)
        if error is None and self.failed:
            error = delivery_error(999_999)
            assert error is not None  # noqa: S101 - any code has its error
            error.args, error.code = (f"not delivered: {self.status}",), None
        return error

    def after(self, known: str | None) -> str:
        """The status to keep of this message; see ``later_status``."""
        return later_status(known, self.status)

    @classmethod
    def read(cls, fields: Mapping[str, str], token: str | None) -> MessageStatus:
        """The status in a callback's fields."""
        sid = _sid_of(fields)
        status = _status_of(fields)
        to = fields.get("To", "")
        return cls(
            sid=sid,
            status=status,
            account_sid=fields.get("AccountSid", ""),
            from_=fields.get("From", ""),
            to=to,
            channel=fields.get("ChannelPrefix") or channel_of(to),
            error_code=whole(fields.get("ErrorCode"), 9),
            token=token or f"{sid}:{status}",
            raw=fields,
        )

    def __repr__(self) -> str:
        code = "" if self.error_code is None else f" {self.error_code}"
        status = self.status if self.status in _RANKS else "other"
        return f"<MessageStatus {self.sid} {status}{code}>"


def is_status(fields: Mapping[str, str]) -> bool:
    """Whether it is a status callback; a message that came in has ``received`` as well."""
    told = "MessageStatus" in fields or (
        "Body" not in fields and fields.get("SmsStatus", "received") != "received"
    )
    return told and bool(_sid_of(fields))


def is_inbound(fields: Mapping[str, str]) -> bool:
    """Whether it is a message that came in."""
    return bool(_sid_of(fields)) and "From" in fields and "To" in fields


def _sid_of(fields: Mapping[str, str]) -> str:
    return fields.get("MessageSid") or fields.get("SmsMessageSid") or fields.get("SmsSid") or ""


def _status_of(fields: Mapping[str, str]) -> str:
    return fields.get("MessageStatus") or fields.get("SmsStatus") or ""


def _media_of(fields: Mapping[str, str]) -> tuple[MediaRef, ...]:
    # By what is there, and not by NumMedia: a number that is wrong would lose a file.
    found = []
    for index in range(_MOST_MEDIA):
        url = fields.get(f"MediaUrl{index}")
        if not url:
            break
        kind = fields.get(f"MediaContentType{index}")
        found.append(MediaRef(url=url, content_type=kind or None))
    return tuple(found)


def _degrees(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and -360.0 <= value <= 360.0 else None
