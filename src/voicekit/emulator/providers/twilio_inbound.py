"""What Twilio tells an application of a user's message, field by field.

Source: fact sheet of 2026-11, §4 ("Messaging webhooks", "WhatsApp inbound", recorded traffic).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from voicekit.emulator.journal import WebhookRecord
    from voicekit.emulator.providers.twilio_messages import Message

_BEGINNINGS = (
    (b"OggS", "audio/ogg"),
    (b"\xff\xd8", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"RIFF", "audio/wav"),
)
_KINDS = frozenset({"audio", "image", "video"})


class Attachment(NamedTuple):
    """One file of a user's message."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledBack:
    """What became of a webhook.

    Attributes:
        url: As configured.
        sid: Of the message or call.
        token: The idempotency token of every delivery.
        fields: What was told.
        media: URLs of the message's files.
        webhooks: A record per try and delivery, in the order of their beginnings.
    """

    url: str
    sid: str
    token: str
    fields: Mapping[str, str] = field(repr=False)
    media: tuple[str, ...] = ()
    webhooks: tuple[WebhookRecord, ...] = ()

    @property
    def last(self) -> WebhookRecord:
        """How it ended."""
        return self.webhooks[-1]

    @property
    def status(self) -> int:
        """The last answer's HTTP status; 0 for none."""
        return self.last.status

    @property
    def error(self) -> int | None:
        """The code that the debugger shows, or None for a good end."""
        return self.last.error

    @property
    def messages(self) -> list[str]:
        """The texts of every TwiML answer, in order."""
        return [each["body"] for record in self.webhooks for each in record.messages]


def attachments(
    media: Attachment | bytes | str | Path | Sequence[Attachment | bytes | str | Path],
) -> list[Attachment]:
    """Return files as a message carries them; a type that is not said is looked for in the bytes.

    Args:
        media: One, or several: an `Attachment`, bytes, or the path of a file.

    Raises:
        OSError: A file cannot be read.
    """
    several = [media] if isinstance(media, Attachment | bytes | str | Path) else list(media)
    made = []
    for each in several:
        if isinstance(each, str | Path):
            each = Path(each).read_bytes()
        if isinstance(each, Attachment):
            made.append(each)
        else:
            found = (kind for begin, kind in _BEGINNINGS if each.startswith(begin))
            made.append(Attachment(next(found, "application/octet-stream"), each))
    return made


def inbound_fields(
    message: Message, *, origin: str, profile: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return the fields of a user's message; media are asked for at `origin`."""
    fields = {
        "SmsMessageSid": message.sid,
        "NumMedia": str(len(message.media)),
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "To": message.to,
        "NumSegments": "1",
        "MessageSid": message.sid,
        "AccountSid": message.account,
        "From": message.from_ or "",
        "ApiVersion": "2010-04-01",
    }
    if message.whatsapp:
        kind = "text"
        if message.media:
            top = message.media[0].content_type.partition("/")[0]
            kind = top if top in _KINDS else "document"
        fields["ProfileName"] = profile
        fields["WaId"] = (message.from_ or "").removeprefix("whatsapp:").lstrip("+")
        fields["MessageType"] = kind
        fields["ReferralNumMedia"] = "0"
    else:
        for side in ("From", "To"):
            fields |= {f"{side}{part}": "" for part in ("City", "State", "Zip", "Country")}
        fields["FromCountry"] = fields["ToCountry"] = "US"
    if message.service is not None:
        fields["MessagingServiceSid"] = message.service
    for at, media in enumerate(message.media):
        fields[f"MediaContentType{at}"] = media.content_type
        fields[f"MediaUrl{at}"] = f"{origin}{media.path}"
    return {**fields, **extra}
