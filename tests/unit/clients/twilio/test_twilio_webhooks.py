"""What a webhook says: messages of every kind, statuses in any order, and nothing shown."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from voicekit.clients.twilio import (
    DeliveryError,
    InboundMessage,
    MessageStatus,
    Once,
    TemplateRequiredError,
    TwilioClient,
    later_status,
    signing,
)
from voicekit.errors import (
    InvalidArgumentError,
    RateLimitError,
    SignatureError,
    UnavailableError,
)

AC = "AC0123456789abcdef0123456789abcdef"
MM = "MM0123456789abcdef0123456789abcdef"
URL = "https://hooks.example.com/twilio"
TOKEN = "token-0123456789"
MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{AC}/Messages/{MM}/Media/ME01"
# The example of the sheet, §4.
NOTE = {
    "SmsMessageSid": MM,
    "NumMedia": "1",
    "ProfileName": "Zoë & Co",
    "MessageType": "audio",
    "SmsSid": MM,
    "WaId": "390212345678",
    "SmsStatus": "received",
    "Body": "",
    "To": "whatsapp:+14155238886",
    "NumSegments": "1",
    "ReferralNumMedia": "0",
    "MessageSid": MM,
    "AccountSid": AC,
    "From": "whatsapp:+390212345678",
    "MediaContentType0": "audio/ogg",
    "MediaUrl0": MEDIA,
    "ApiVersion": "2010-04-01",
}


def parsed(fields: dict[str, str], **headers: str) -> InboundMessage | MessageStatus:
    signature = signing.sign(URL, fields, TOKEN)
    with_it = {"X-Twilio-Signature": signature, **headers}
    return TwilioClient(AC, TOKEN).parse_webhook(URL, with_it, fields)


def inbound(fields: dict[str, str], **headers: str) -> InboundMessage:
    message = parsed(fields, **headers)
    assert isinstance(message, InboundMessage)
    return message


def status(**fields: str) -> MessageStatus:
    common = {"MessageSid": "SM1", "To": "whatsapp:+39021", "From": "whatsapp:+1415"}
    told = parsed({**common, "AccountSid": AC, **fields})
    assert isinstance(told, MessageStatus)
    return told


def test_a_voice_note() -> None:
    """Every field under its name; an empty text is kept."""
    message = inbound(NOTE, **{"I-Twilio-Idempotency-Token": "tok-1"})
    assert (message.sid, message.account_sid) == (MM, AC)
    assert (message.from_, message.to) == ("whatsapp:+390212345678", "whatsapp:+14155238886")
    assert (message.body, message.raw["Body"]) == ("", "")
    assert (message.channel, message.kind) == ("whatsapp", "audio")
    assert [(each.url, each.content_type, each.sid) for each in message.media] == [
        (MEDIA, "audio/ogg", "ME01")
    ]
    assert (message.profile_name, message.wa_id) == ("Zoë & Co", "390212345678")
    assert message.key == "whatsapp:+390212345678>whatsapp:+14155238886"
    assert message.token == "tok-1"
    assert message.num_segments == 1
    assert message.raw == NOTE


def test_without_a_token_the_sid_names_the_delivery() -> None:
    """Older requests have no such header."""
    assert inbound(NOTE).token == MM


def test_what_is_done_once_goes_by_what_is_signed() -> None:
    """A request that was recorded and is sent again under another token is the same message."""
    again = [inbound(NOTE, **{"I-Twilio-Idempotency-Token": f"tok-{n}"}) for n in range(2)]
    assert again[0].token != again[1].token
    assert again[0].sid == again[1].sid
    assert "message.sid" in (Once.__call__.__doc__ or "")


def test_an_sms() -> None:
    """No channel in the address, no type of its own; the new field is kept in ``raw``."""
    fields = {
        "MessageSid": "SM1", "From": "+390212345678", "To": "+1415", "Body": "Hi",
        "NumMedia": "0", "FromCity": "Roma", "SmsStatus": "received", "Brand": "new",
    }  # fmt: skip
    message = inbound(fields)
    assert (message.channel, message.kind, message.body) == ("sms", "text", "Hi")
    assert message.raw["Brand"] == "new"
    assert message.raw["FromCity"] == "Roma"
    assert inbound({**fields, "MediaUrl0": MEDIA, "Body": ""}).kind == "media"


def test_places_buttons_lists_and_quotes() -> None:
    """What WhatsApp adds."""
    message = inbound({
        **NOTE, "Latitude": "41.9", "Longitude": "12.5", "Address": "Via 1", "Label": "Bar",
        "ButtonText": "Yes", "ButtonPayload": "y", "ListId": "7", "ListTitle": "Seven",
        "OriginalRepliedMessageSid": "SM9", "OriginalRepliedMessageSender": "whatsapp:+1415",
        "Forwarded": "true", "FrequentlyForwarded": "true", "MessagingServiceSid": "MG1",
        "ChannelMetadata": '{"type":"whatsapp","data":{"context":{}}}',
    })  # fmt: skip
    assert (message.latitude, message.longitude) == (41.9, 12.5)
    assert (message.address, message.label) == ("Via 1", "Bar")
    assert (message.button_text, message.button_payload) == ("Yes", "y")
    assert (message.list_id, message.list_title) == ("7", "Seven")
    assert (message.replied_sid, message.replied_sender) == ("SM9", "whatsapp:+1415")
    assert message.forwarded
    assert message.frequently_forwarded
    assert message.messaging_service_sid == "MG1"
    assert message.metadata["type"] == "whatsapp"


@pytest.mark.parametrize("metadata", ["", "{", "[" * 5000])
def test_values_that_make_no_sense_are_none(metadata: str) -> None:
    """A message is good without them; they stay in ``raw``."""
    message = inbound({
        **NOTE, "Latitude": "north", "Longitude": "nan", "NumSegments": "²",
        "ChannelMetadata": metadata,
    })  # fmt: skip
    assert (message.latitude, message.longitude, message.num_segments) == (None, None, None)
    assert message.metadata is None


def test_several_files_whatever_their_number_says() -> None:
    """What is there counts, in order."""
    more = {f"MediaUrl{index}": f"{MEDIA}{index}" for index in range(3)}
    message = inbound({**NOTE, **more, "NumMedia": "1", "MediaContentType1": "image/jpeg"})
    assert [each.url for each in message.media] == [f"{MEDIA}{index}" for index in range(3)]
    assert [each.content_type for each in message.media] == ["audio/ogg", "image/jpeg", None]


def test_nothing_that_people_wrote_is_shown() -> None:
    """No text, number or name in a repr."""
    for shown in (repr(inbound(NOTE)), repr(inbound(NOTE).media), str(status(MessageStatus="s"))):
        assert all(each not in shown for each in ("39021", "1415", "Zo", "Via"))


def test_a_status() -> None:
    """As the sheet has it, §7."""
    told = status(
        MessageStatus="undelivered", SmsStatus="undelivered", ErrorCode="63016",
        ChannelPrefix="whatsapp", EventType="UNDELIVERED", ChannelToAddress="+39XXXX",
    )  # fmt: skip
    assert (told.sid, told.status, told.error_code) == ("SM1", "undelivered", 63016)
    assert told.channel == "whatsapp"
    assert told.failed
    assert told.final
    assert isinstance(told.error, TemplateRequiredError)
    assert "content_sid" in str(told.error)
    assert told.raw["EventType"] == "UNDELIVERED"
    assert not status(MessageStatus="sent").final
    assert status(MessageStatus="sent").error is None
    assert status(SmsStatus="delivered").status == "delivered"


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("63016", TemplateRequiredError, False),
        ("63012", UnavailableError, True),
        ("63017", RateLimitError, True),
        ("63018", RateLimitError, True),
        *[(code, DeliveryError, False) for code in (
            "30003", "30007", "30034", "30036", "63003", "63005", "63013", "63019", "63020",
            "63021", "63022", "63024", "63025", "63032", "63036", "99999",
        )],
    ],
)  # fmt: skip
def test_why_it_was_not_delivered(code: str, kind: type[Exception], retryable: bool) -> None:
    """Each code of the sheet, §3.3, and one that is new."""
    error = status(MessageStatus="failed", ErrorCode=code).error
    assert type(error) is kind
    assert error is not None
    assert error.retryable is retryable
    assert error.code == code
    assert error.outcome == "not_applied"
    assert code in str(error)


def test_a_failure_without_a_code() -> None:
    """Failed all the same."""
    error = status(MessageStatus="failed").error
    assert type(error) is DeliveryError
    assert error is not None
    assert error.code is None
    assert status(MessageStatus="failed", ErrorCode="x").error_code is None


def test_a_late_status_never_overrides() -> None:
    """``sent`` after ``delivered`` changes nothing; unknown words neither raise nor win."""
    assert later_status("delivered", "sent") == "delivered"
    assert later_status("sent", "delivered") == "delivered"
    assert later_status("delivered", "read") == "read"
    assert later_status(None, "queued") == "queued"
    assert later_status("delivered", "teleported") == "delivered"
    assert later_status("teleported", "sent") == "sent"
    assert status(MessageStatus="sent").after("delivered") == "delivered"
    assert status(MessageStatus="teleported").status == "teleported"


def test_statuses_in_any_order() -> None:
    """Whatever the order and however often, the same one remains."""
    path = ["queued", "sent", "delivered", "read", "sent"]
    for order in itertools.permutations(path):
        known: str | None = None
        for each in order:
            known = later_status(known, each)
        assert known == "read"


def test_an_unknown_sid_is_read_like_any_other() -> None:
    """The first callback may come before ``send_message`` has returned."""
    assert status(MessageStatus="sent", MessageSid="SMnever").sid == "SMnever"
    assert status(MessageStatus="sent").token == "SM1:sent"


def test_what_is_neither() -> None:
    """Signed, so it is no fraud: a voice webhook is for ``verify_webhook``."""
    with pytest.raises(InvalidArgumentError, match="verify_webhook"):
        parsed({"CallSid": "CA1", "CallStatus": "ringing", "From": "+1", "To": "+2"})
    for nameless in ({"MessageStatus": "sent"}, {"From": "+1", "To": "+2", "Body": "x"}):
        with pytest.raises(InvalidArgumentError):
            parsed(nameless)
    with pytest.raises(SignatureError):
        TwilioClient(AC, TOKEN).parse_webhook(URL, {}, {"CallSid": "CA1"})


def test_get_webhooks_are_read_from_the_query() -> None:
    """A number may be configured to GET."""
    url = f"{URL}?MessageSid=SM1&From=%2B39021&To=%2B1415&Body=&NumMedia=0"
    headers: dict[str, Any] = {"X-Twilio-Signature": signing.sign(url, None, TOKEN)}
    message = TwilioClient(AC, TOKEN).parse_webhook(url, headers)
    assert isinstance(message, InboundMessage)
    assert (message.from_, message.body) == ("+39021", "")
