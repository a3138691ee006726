"""The client itself: hosts, credentials, what is refused before any I/O, what is on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from voicekit import Limits, Transport
from voicekit.clients.twilio import (
    Media,
    MediaRef,
    Message,
    PartlySentError,
    PhoneCall,
    SentMessage,
    TwilioClient,
    UnsubscribedError,
)
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    MissingCredentialError,
    OutcomeUnknownError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.resilience.waiting import no_waits
from voicekit.testing.transport import Answer, ScriptedTransport

pytestmark = pytest.mark.anyio

AC = "AC0123456789abcdef0123456789abcdef"
TOKEN = "marked-token-0123456789"
TO, FROM = "whatsapp:+390212345678", "whatsapp:+14155238886"
HEADERS = {
    "Content-Type": "application/json",
    "Twilio-Request-Id": "RQ01",
    "Twilio-Concurrent-Requests": "3",
    "Twilio-Request-Duration": "0.080",
}
API = f"https://api.twilio.com/2010-04-01/Accounts/{AC}"
FILE = f"{API}/Messages/MM01/Media/ME01"
CDN = "https://mms.twiliocdn.com/x?Expires=1&Signature=s"


def message_of(sid: str = "SM01", **fields: Any) -> dict[str, Any]:
    return {
        "sid": sid, "account_sid": AC, "status": "queued", "to": TO, "from": FROM, "body": "Ciao",
        "direction": "outbound-api", "num_media": "0", "num_segments": "1", "error_code": None,
        "price": "-0.00500", "price_unit": "USD", "date_sent": None,
        "date_created": "Mon, 24 Nov 2025 16:00:00 +0000", **fields,
    }  # fmt: skip


def answer(value: Any = None, status: int = 200, **headers: str) -> Answer:
    body = b"" if value is None else json.dumps(value).encode()
    return Answer(status=status, headers={**HEADERS, **headers}, chunks=[body] if body else [])


def accepted(sid: str = "SM01", **fields: Any) -> Answer:
    return answer(message_of(sid, **fields), 201)


def refused(code: int, status: int = 400) -> Answer:
    return answer({"code": code, "message": "Marked", "status": status}, status)


_made: list[Transport] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """The transports of a test are its own."""
    yield
    while _made:
        await _made.pop().aclose()


def client(*answers: Answer | Callable[..., Any], **options: Any) -> Any:
    http = ScriptedTransport(answers[0] if callable(answers[0]) else answers)  # type: ignore[arg-type]
    _made.append(Transport(http=http))
    return http, TwilioClient(AC, TOKEN, transport=_made[-1], **options)


def form(request: Any) -> dict[str, Any]:
    fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: value[0] if len(value) == 1 else value for name, value in fields.items()}


# -- hosts and credentials ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "api", "messaging"),
    [
        ({}, "https://api.twilio.com", "https://messaging.twilio.com"),
        ({"region": "us1"}, "https://api.us1.twilio.com", "https://messaging.us1.twilio.com"),
        (
            {"edge": "dublin"},
            "https://api.dublin.us1.twilio.com",
            "https://messaging.dublin.us1.twilio.com",
        ),
        (
            {"edge": "dublin", "region": "ie1"},
            "https://api.dublin.ie1.twilio.com",
            "https://messaging.dublin.ie1.twilio.com",
        ),
        ({"base_url": "http://127.0.0.1:9/"}, "http://127.0.0.1:9", "http://127.0.0.1:9"),
        (
            {"base_url": "http://a", "messaging_base_url": "http://b/"},
            "http://a",
            "http://b",
        ),
    ],
)
async def test_hosts(options: dict[str, Any], api: str, messaging: str) -> None:
    """By edge and region together; one of them alone never makes a host that is off."""
    twilio = TwilioClient(AC, TOKEN, **options)
    assert twilio.base_url == api
    assert twilio._hosts.messaging == messaging


@pytest.mark.parametrize(
    "options",
    [
        {"region": "ie1"},
        {"region": "au1"},
        {"region": "ie1.evil.com/", "edge": "dublin"},
        {"region": "ie1", "edge": "a@b"},
        {"base_url": "http://a", "edge": "dublin"},
        {"base_url": "http://user:pw@a"},
        {"messaging_base_url": "ftp://a"},
        {"media_hosts": "a.com"},
        {"media_hosts": ["https://a.com"]},
        {"media_hosts": 7},
        {"webhook_tokens": "one"},
        {"shared_keys": ["one"]},
        {"from_": "nobody at all"},
        {"validity_period": 0},
        {"calls": {"timeout": 601}},
        {"media": {"max_bytes": 0}},
        {"no_such": 1},
    ],
)
async def test_what_a_client_refuses(options: dict[str, Any]) -> None:
    """A region without its edge above all: its hosts are switched off."""
    with pytest.raises(InvalidArgumentError):
        TwilioClient(AC, TOKEN, **options)


async def test_a_region_of_the_environment_needs_its_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the vendor's SDK reads them; an address given by hand wins over both."""
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    with pytest.raises(InvalidArgumentError, match="edge"):
        TwilioClient(AC, TOKEN)
    assert TwilioClient(AC, TOKEN, base_url="http://a").base_url == "http://a"
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    assert TwilioClient(AC, TOKEN).base_url == "https://api.dublin.ie1.twilio.com"
    monkeypatch.setenv("TWILIO_BASE_URL", "http://twin:1")
    assert TwilioClient(AC, TOKEN).base_url == "http://twin:1"
    assert TwilioClient(AC, TOKEN, edge="dublin").base_url == "https://api.dublin.us1.twilio.com"


async def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Account and token; a key in their place; what is missing is named."""
    with pytest.raises(MissingCredentialError, match="TWILIO_ACCOUNT_SID"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", AC)
    with pytest.raises(MissingCredentialError, match="TWILIO_AUTH_TOKEN"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    assert TwilioClient()._user == AC
    monkeypatch.setenv("TWILIO_API_KEY", "SK01")
    with pytest.raises(MissingCredentialError, match="TWILIO_API_SECRET"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_API_SECRET", "marked-secret-0123")
    assert TwilioClient()._user == "SK01"
    assert TwilioClient(auth_token=TOKEN)._user == AC  # given by hand
    with pytest.raises(InvalidArgumentError, match="account_sid"):
        TwilioClient("SK01", TOKEN)
    with pytest.raises(InvalidArgumentError, match="api_key"):
        TwilioClient(AC, api_key="AC01", api_key_secret="x")
    with pytest.raises(InvalidArgumentError, match="account_sid"):
        TwilioClient("AC/../..", TOKEN)


async def test_who_asks() -> None:
    """The account by its token, or a key by its secret, which may be asked for; the account
    stays in the path.
    """

    async def secret() -> str:
        return "marked-secret-0123"

    for options, user in (
        ({"auth_token": TOKEN}, f"{AC}:{TOKEN}"),
        ({"auth_token": secret}, f"{AC}:marked-secret-0123"),
        ({"api_key": "SK01", "api_key_secret": secret}, "SK01:marked-secret-0123"),
    ):
        http = ScriptedTransport([accepted()])
        _made.append(Transport(http=http))
        twilio = TwilioClient(AC, transport=_made[-1], **options)  # type: ignore[arg-type]
        await twilio.send_message(to=TO, from_=FROM, body="Ciao")
        assert "marked" not in repr(twilio)
        [request] = http.requests
        pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
        assert pair.decode() == user
        assert request.url == f"{API}/Messages.json"


# -- send -----------------------------------------------------------------------------------


async def test_a_message_on_the_wire() -> None:
    """The request and the answer of the sheet, §3."""
    http, twilio = client(accepted())
    sent = await twilio.send_message(
        to=TO, from_=FROM, body="Ciao & ça va 👋",
        status_callback="https://hooks.example.com/tw/status", validity_period=120,
    )  # fmt: skip
    [request] = http.requests
    assert (request.method, request.url) == ("POST", f"{API}/Messages.json")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form(request) == {
        "To": TO, "From": FROM, "Body": "Ciao & ça va 👋",
        "StatusCallback": "https://hooks.example.com/tw/status", "ValidityPeriod": "120",
    }  # fmt: skip
    assert isinstance(sent, SentMessage)
    assert (sent.sid, sent.status, sent.channel, sent.parts) == ("SM01", "queued", "whatsapp", ())
    assert (sent.price, sent.price_unit, sent.num_segments) == (-0.005, "USD", 1)
    assert sent.created_at == datetime(2025, 11, 24, 16, tzinfo=UTC)
    assert sent.sent_at is None
    assert (sent.request_id, sent.concurrent_requests, sent.server_s) == ("RQ01", 3, 0.08)
    assert sent.timings.total is not None
    assert sent.attempts == 1
    assert sent.raw["direction"] == "outbound-api"
    assert all(each not in repr(sent) for each in ("Ciao", "3902", "1415"))


async def test_every_option_has_its_name() -> None:
    """All of the sheet's parameters, in the vendor's spelling."""
    http, twilio = client(accepted(), accepted())
    await twilio.send_message(
        to="+390212345678", messaging_service_sid="MG01", media=["https://a/1", "https://a/2"],
        application_sid="AP01", provide_feedback=True, attempt=2, max_price=0.5,
        force_delivery=False, content_retention="discard", address_retention="obfuscate",
        smart_encoded=True, persistent_action=["geo:1,2"], traffic_type="free",
        shorten_urls=True, send_at=datetime(2030, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        send_as_mms=True, risk_check="disable", fallback_from="+14155550100",
        message_intent="x", extra_body={"New": "1"}, extra_query={"q": "1"},
        extra_headers={"X-Mine": "1"},
    )  # fmt: skip
    assert form(http.requests[0]) == {
        "To": "+390212345678", "MessagingServiceSid": "MG01",
        "MediaUrl": ["https://a/1", "https://a/2"], "ApplicationSid": "AP01",
        "ProvideFeedback": "true", "Attempt": "2", "MaxPrice": "0.5", "ForceDelivery": "false",
        "ContentRetention": "discard", "AddressRetention": "obfuscate", "SmartEncoded": "true",
        "PersistentAction": "geo:1,2", "TrafficType": "free", "ShortenUrls": "true",
        "SendAt": "2030-01-01T12:00:00Z", "ScheduleType": "fixed", "SendAsMms": "true",
        "RiskCheck": "disable", "FallbackFrom": "+14155550100", "MessageIntent": "x", "New": "1",
    }  # fmt: skip
    assert http.requests[0].url.endswith("/Messages.json?q=1")
    assert http.requests[0].headers["x-mine"] == "1"
    await twilio.send_message(
        to=TO, from_=FROM, content_sid="HX01", content_variables={"1": "Anna", "2": 3}
    )
    said = form(http.requests[1])
    assert (said["ContentSid"], json.loads(said["ContentVariables"])) == (
        "HX01", {"1": "Anna", "2": "3"},
    )  # fmt: skip
    assert "Body" not in said


async def test_a_constructor_s_sender_gives_way() -> None:
    """One of sender and service; the call's wins over the constructor's."""
    http, twilio = client(accepted(), accepted(), from_=FROM, validity_period=60)
    await twilio.send_message(to=TO, body="a", messaging_service_sid="MG01")
    await twilio.with_options(from_="whatsapp:+15550000001").send_message(to=TO, body="a")
    first, second = map(form, http.requests)
    assert "From" not in first
    assert (first["MessagingServiceSid"], first["ValidityPeriod"]) == ("MG01", "60")
    assert second["From"] == "whatsapp:+15550000001"


GOOD: dict[str, Any] = {"to": TO, "from_": FROM, "body": "Marked"}


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"to": "390212345678"}, "to"),
        ({"to": "whatsapp:39021"}, "to"),
        ({"to": "+39 02"}, "to"),
        ({"to": None}, "to"),
        ({"from_": None}, "from_"),
        ({"from_": "+14155550100"}, "from_"),
        ({"to": "+390212345678"}, "from_"),
        ({"from_": "far too long a name"}, "from_"),
        ({"messaging_service_sid": "SM01"}, "messaging_service_sid"),
        ({"body": None}, "body"),
        ({"body": ""}, "body"),
        ({"body": " \n"}, "body"),
        ({"body": 7}, "body"),
        ({"body": "Marked \ud800"}, "body"),
        ({"body": "Marked" * 300, "split": False}, "body"),
        ({"media": ["https://a/1", "https://a/2"]}, "media"),
        ({"media": "file.ogg"}, "media"),
        ({"media": []}, "media"),
        ({"media": [f"https://a/{n}" for n in range(11)]}, "media"),
        ({"media": "https://a_b.com/1"}, "media"),
        ({"content_sid": "HX01"}, "content_sid"),
        ({"content_sid": "SM01", "body": None}, "content_sid"),
        ({"content_variables": {"1": "a"}}, "content_variables"),
        ({"content_variables": "[1]"}, "content_variables"),
        ({"validity_period": 0}, "validity_period"),
        ({"validity_period": 36_001}, "validity_period"),
        ({"validity_period": True}, "validity_period"),
        ({"status_callback": "https://my_host/x"}, "status_callback"),
        ({"status_callback": "x"}, "status_callback"),
        ({"send_at": datetime(2030, 1, 1, tzinfo=UTC)}, "send_at"),
        ({"send_at": datetime(2030, 1, 1), "messaging_service_sid": "MG01"}, "send_at"),  # noqa: DTZ001
        ({"shorten_urls": True}, "shorten_urls"),
        ({"content_retention": "x"}, "content_retention"),
        ({"extra_headers": {"a": "b\r\nc"}}, "extra_headers value"),
        ({"no_such": 1}, "no_such"),
    ],
)
async def test_what_a_message_refuses(changes: dict[str, Any], argument: str) -> None:
    """Before any I/O, naming the argument, without its content."""
    http, twilio = client(accepted())
    with pytest.raises(InvalidArgumentError) as caught:
        await twilio.send_message(**{**GOOD, **changes})
    assert caught.value.argument == argument
    assert "Marked" not in f"{caught.value} {caught.value!r}"
    assert "3902" not in str(caught.value)
    assert http.requests == []


# -- effects --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        Answer(status=0, error=ConnectionLostError("reset")),
        answer({"code": 20500}, 500),
        Answer(status=502, chunks=[b"<html>"]),
        Answer(status=201, headers={"Content-Type": "text/html"}, chunks=[b"<html>"]),
        answer(None, 201),
        answer([], 201),
        answer({"status": "queued"}, 201),
        answer(message_of(), 302, Location="https://evil.example.com/"),
        Answer(status=201, headers=HEADERS, chunks=[b'{"sid"'], error=ConnectionLostError("x")),
    ],
)
@pytest.mark.parametrize("policies", [None, NO_POLICIES])
async def test_an_unknown_outcome_is_never_repeated(lost: Answer, policies: Any) -> None:
    """Whatever the policies: one POST, and an error that says how to find out."""
    http, twilio = client(lost, accepted(), policies=policies)
    with no_waits(), pytest.raises(OutcomeUnknownError) as caught:
        await twilio.send_message(**GOOD)
    assert len(http.requests) == 1
    assert "To and DateSent" in caught.value.hint
    assert caught.value.outcome == "unknown"
    http, twilio = client(lost, accepted(), policies=policies)
    with no_waits(), pytest.raises(OutcomeUnknownError):
        await twilio.place_call(to="+390212345678", from_="+14155550100", twiml="<Response/>")
    assert len(http.requests) == 1


async def test_what_was_proven_not_taken_is_repeated() -> None:
    """429 and a connection that never came about."""
    never = Answer(status=0, error=ConnectError("refused"))
    http, twilio = client(refused(20429, 429), never, accepted())
    with no_waits():
        sent = await twilio.send_message(**GOOD)
    assert (sent.attempts, len(http.requests)) == (3, 3)
    http, twilio = client(*[refused(20429, 429)] * 3)
    with no_waits(), pytest.raises(RateLimitError):
        await twilio.send_message(**GOOD)


async def test_refusals_are_final() -> None:
    """A wrong number stays wrong; one that said STOP has a class of its own."""
    for answers, kind in (
        (refused(21211), InvalidRequestError),
        (refused(21610), UnsubscribedError),
        (refused(20003, 401), AuthenticationError),
    ):
        http, twilio = client(answers, accepted())
        with pytest.raises(kind) as caught:
            await twilio.send_message(**GOOD)
        assert len(http.requests) == 1
        assert caught.value.detail == "Marked"
        assert "Marked" not in str(caught.value)
        assert TOKEN not in f"{caught.value!r} {caught.value.__dict__}"


# -- long texts -------------------------------------------------------------------------------

SENTENCE = "This sentence has about fifty characters of text. "
LONG = SENTENCE * 80


async def test_a_long_text_goes_out_in_order() -> None:
    """Cut at sentences; all of it, nothing twice; files with the first part."""
    http, twilio = client(accepted("SM01"), accepted("SM02"), accepted("SM03"))
    sent = await twilio.send_message(to=TO, from_=FROM, body=LONG, media="https://a/1.ogg")
    forms = [form(request) for request in http.requests]
    texts = [each["Body"] for each in forms]
    assert len(texts) == 3
    assert all(len(text) <= 1600 and text.endswith(".") for text in texts)
    assert " ".join(texts) == LONG.strip()
    assert [each.get("MediaUrl") for each in forms] == ["https://a/1.ogg", None, None]
    assert sent.sid == "SM01"
    assert [each.sid for each in sent.parts] == ["SM01", "SM02", "SM03"]


@pytest.mark.parametrize("text", ["word " * 700, "x" * 5000, "👋" * 1601, "a\n" * 1700, "é" * 1600])
async def test_texts_without_sentences(text: str) -> None:
    """At words, else anywhere; signs beyond 16 bits may count twice, so they are counted so."""
    http, twilio = client(lambda _request: accepted())
    await twilio.send_message(to=TO, from_=FROM, body=text)
    texts = [form(request)["Body"] for request in http.requests]
    assert all(0 < len(each.encode("utf-16-le")) // 2 <= 1600 for each in texts)
    assert "".join("".join(texts).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("failure", "maybe"),
    [
        (refused(21610), False),
        (Answer(status=0, error=ConnectionLostError("reset")), True),
        (answer({"code": 20500}, 500), True),
    ],
)
async def test_a_failure_in_the_middle_says_what_went_out(failure: Answer, maybe: bool) -> None:
    """Which parts were accepted, which one was not (or may have been), and what is left."""
    http, twilio = client(accepted("SM01"), failure, accepted("SM03"))
    with no_waits(), pytest.raises(PartlySentError) as caught:
        await twilio.send_message(to=TO, from_=FROM, body=LONG)
    error = caught.value
    assert len(http.requests) == 2
    assert [each.sid for each in error.sent] == ["SM01"]
    assert (error.failed, error.maybe_sent, error.outcome) == (1, maybe, "partial")
    assert " ".join([form(http.requests[0])["Body"], *error.unsent]) == LONG.strip()
    assert isinstance(error.__cause__, OutcomeUnknownError) is maybe
    assert "sentence" not in f"{error} {error!r}"
    assert not error.retryable


async def test_a_failure_at_the_first_part_is_itself() -> None:
    """Nothing went out."""
    _http, twilio = client(refused(21211))
    with pytest.raises(InvalidRequestError):
        await twilio.send_message(to=TO, from_=FROM, body=LONG)


# -- reading and changing -------------------------------------------------------------------


async def test_lists_go_on_to_the_end() -> None:
    """Page after page by the address that each names, on our own host only."""
    following = f"/2010-04-01/Accounts/{AC}/Messages.json?PageSize=2&Page=1&PageToken=PA1"
    pages = [
        answer({"messages": [message_of("SM1"), message_of("SM2")], "next_page_uri": following}),
        answer({"messages": [message_of("SM3", direction="inbound")], "next_page_uri": None}),
    ]
    http, twilio = client(*pages)
    filters: dict[str, Any] = {
        "to": TO, "from_": FROM, "sent_on": date(2025, 11, 24), "page_size": 2,
        "sent_after": datetime(2025, 11, 24, 23, 30, tzinfo=timezone(timedelta(hours=-2))),
        "sent_before": date(2025, 11, 30),
    }  # fmt: skip
    found = [each async for each in twilio.messages(**filters)]
    assert [each.sid for each in found] == ["SM1", "SM2", "SM3"]
    assert type(found[0]) is Message
    assert dict(parse_qsl(urlsplit(http.requests[0].url).query)) == {
        "To": TO, "From": FROM, "DateSent": "2025-11-24", "DateSent>": "2025-11-25",
        "DateSent<": "2025-11-30", "PageSize": "2",
    }  # fmt: skip
    assert http.requests[1].url == f"https://api.twilio.com{following}"
    for evil in ("https://evil.example.com/x", "/2010-04-01/Accounts/AC99/Messages.json?a", 7, ""):
        _http, twilio = client(
            lambda _request, evil=evil: answer({"messages": [], "next_page_uri": evil})
        )
        with no_waits():
            if evil == "":
                assert (await twilio.messages(policies=NO_POLICIES)).next is None
                continue
            with pytest.raises(RemoteProtocolError):
                await twilio.messages(policies=NO_POLICIES)


async def test_messages_one_by_one() -> None:
    """Fetched, cancelled, redacted, deleted, and its files."""
    http, twilio = client(
        answer(message_of(error_code=63016, status="undelivered")),
        answer(message_of(status="canceled")),
        answer(message_of(body="")),
        answer(None, 204),
        refused(20404, 404),
        answer(
            {
                "media_list": [
                    {
                        "sid": "ME01",
                        "content_type": "audio/ogg",
                        "uri": f"/2010-04-01/Accounts/{AC}/Messages/SM01/Media/ME01.json",
                    }
                ]
            }
        ),
    )
    fetched = await twilio.fetch_message("SM01")
    assert fetched.error is not None
    assert "24-hour" in str(fetched.error)
    assert (await twilio.cancel_message("SM01")).status == "canceled"
    assert (await twilio.redact_message("SM01")).body == ""
    assert await twilio.delete_message("SM01") is True
    assert await twilio.delete_message("SM01") is False
    page = await twilio.message_media("SM01")
    assert page[0] == MediaRef(url=f"{API}/Messages/SM01/Media/ME01", content_type="audio/ogg")
    assert [(each.method, each.url.removeprefix(API), each.body) for each in http.requests] == [
        ("GET", "/Messages/SM01.json", b""),
        ("POST", "/Messages/SM01.json", b"Status=canceled"),
        ("POST", "/Messages/SM01.json", b"Body="),
        ("DELETE", "/Messages/SM01.json", b""),
        ("DELETE", "/Messages/SM01.json", b""),
        ("GET", "/Messages/SM01/Media.json", b""),
    ]
    for wrong in ("", "CA01", "SM/../x", 7):
        with pytest.raises(InvalidArgumentError):
            await twilio.fetch_message(wrong)


async def test_typing_breaks_no_conversation() -> None:
    """On the messaging host; a failure is False, unless it is wanted."""
    http, twilio = client(answer({"success": True}))
    assert await twilio.typing("SM01") is True
    [request] = http.requests
    assert request.url == "https://messaging.twilio.com/v2/Indicators/Typing.json"
    assert form(request) == {"channel": "whatsapp", "messageId": "SM01"}
    for failure in (
        refused(20429, 429),
        answer({"code": 1}, 500),
        Answer(status=0, error=ConnectionLostError("reset")),
        refused(20003, 401),
    ):
        http, twilio = client(failure, answer({"success": True}))
        with no_waits():
            assert await twilio.typing("SM01") is False
        assert len(http.requests) == 1
    never = Answer(status=0, error=ConnectError("refused"))
    http, twilio = client(never, answer({"success": True}))
    with no_waits():
        assert await twilio.typing("SM01") is True
    http, twilio = client(never, never, answer({"success": True}))
    with no_waits(), pytest.raises(ConnectError):
        await twilio.typing("SM01", strict=True)
    assert len(http.requests) == 2
    with pytest.raises(InvalidArgumentError):
        await twilio.typing("CA01")
    await twilio.aclose()
    with pytest.raises(ClosedError):
        await twilio.typing("SM01")


# -- calls ------------------------------------------------------------------------------------


def call_of(**fields: Any) -> dict[str, Any]:
    return {
        "sid": "CA01", "account_sid": AC, "to": "+39021", "from": "+1415", "status": "queued",
        "queue_time": "0", "duration": None, "price": None, "direction": "outbound-api", **fields,
    }  # fmt: skip


async def test_calls_on_the_wire() -> None:
    """Placed, fetched, told something else, ended."""
    http, twilio = client(
        answer(call_of(), 201),
        answer(call_of(status="completed", duration="42", answered_by="human")),
        answer(call_of(status="in-progress")),
        answer(call_of(status="completed")),
        refused(20404, 404),
        refused(21220),
        calls={"from_": "+14155550100", "timeout": 20},
    )
    placed = await twilio.place_call(
        to="+390212345678", twiml="<Response/>", async_amd=True, machine_detection="Enable",
        status_callback_event=["answered", "completed"], record=False,
    )  # fmt: skip
    assert isinstance(placed, PhoneCall)
    assert (placed.status, placed.queue_time_ms) == ("queued", 0)
    assert "3902" not in repr(placed)
    assert form(http.requests[0]) == {
        "To": "+390212345678", "From": "+14155550100", "Timeout": "20", "Twiml": "<Response/>",
        "AsyncAmd": "true", "MachineDetection": "Enable", "Record": "false",
        "StatusCallbackEvent": ["answered", "completed"],
    }  # fmt: skip
    fetched = await twilio.fetch_call("CA01")
    assert (fetched.duration_s, fetched.answered_by) == (42, "human")
    assert (await twilio.update_call("CA01", twiml="<Response/>")).status == "in-progress"
    ended = await twilio.hang_up("CA01")
    assert ended.status == "completed"
    assert form(http.requests[3]) == {"Status": "completed"}
    assert await twilio.hang_up("CA01") is None
    assert await twilio.hang_up("CA01") is None


async def test_an_update_is_repeated() -> None:
    """It may be done twice."""
    http, twilio = client(answer({"code": 1}, 500), answer(call_of(status="completed")))
    with no_waits():
        await twilio.hang_up("CA01")
    assert len(http.requests) == 2


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"to": "39021"}, "to"),
        ({"from_": None}, "from_"),
        ({"from_": "Acme"}, "from_"),
        ({"twiml": None}, "twiml"),
        ({"url": "https://a/b"}, "url"),
        ({"twiml": "x" * 4001}, "twiml"),
        ({"timeout": 601}, "timeout"),
        ({"send_digits": "1x"}, "send_digits"),
        ({"send_digits": "1", "machine_detection": "Enable"}, "machine_detection"),
        ({"machine_detection": "yes"}, "machine_detection"),
        ({"machine_detection_speech_threshold": 999}, "machine_detection_speech_threshold"),
        ({"status_callback_event": ["never"]}, "status_callback_event"),
        ({"status_callback_event": "answered"}, "status_callback_event"),
        ({"method": "PUT"}, "method"),
    ],
)
async def test_what_a_call_refuses(options: dict[str, Any], argument: str) -> None:
    """Before any I/O; Twilio would ignore a second answer to what is to be done."""
    http, twilio = client(answer(call_of(), 201))
    good: dict[str, Any] = {"to": "+390212345678", "from_": "+1415", "twiml": "<Response/>"}
    with pytest.raises(InvalidArgumentError) as caught:
        await twilio.place_call(**{**good, **options})
    assert caught.value.argument == argument
    for changes in ({}, {"twiml": "<R/>", "status": "completed"}, {"status": "queued"}):
        with pytest.raises(InvalidArgumentError):
            await twilio.update_call("CA01", **changes)
    assert http.requests == []


# -- files ------------------------------------------------------------------------------------


async def read(stream: Any) -> bytes:
    async with stream:
        return b"".join([each async for each in stream])


def redirect(to: str = CDN, status: int = 307) -> Answer:
    return answer(None, status, Location=to)


def file(data: bytes = b"OggS-data", **headers: str) -> Answer:
    said = {"Content-Type": "audio/ogg", "Content-Length": str(len(data)), **headers}
    return Answer(headers=said, chunks=[data[:4], data[4:]] if data else [])


async def test_a_file_is_fetched_where_it_lies() -> None:
    """The credential goes to Twilio and no further; the type comes through."""
    for code in (307, 302):
        http, twilio = client(redirect(status=code), file())
        media = await twilio.download_media(MediaRef(url=FILE, content_type="audio/ogg"))
        assert isinstance(media, Media)
        assert media == media.data == b"OggS-data"
        assert media.content_type == "audio/ogg"
        assert (media.request_id, media.attempts) == ("RQ01", 1)
        assert media.timings is not None
        assert "OggS" not in f"{media} {media!r}"
        asked, fetched = http.requests
        assert "Authorization" in asked.headers
        assert (fetched.url, "Authorization" in fetched.headers) == (CDN, False)


async def test_extra_headers_stay_at_the_api() -> None:
    """They are meant for Twilio; a store could refuse what it does not know."""
    http, twilio = client(redirect(), file())
    await twilio.download_media(FILE, extra_headers={"X-Mine": "1"})
    assert ["x-mine" in each.headers for each in http.requests] == [True, False]


async def test_a_file_that_is_not_there_yet() -> None:
    """Asked for again, three times, without spending a repeat or counting as a failure."""
    missing = refused(20404, 404)
    http, twilio = client(missing, missing, redirect(), Answer(status=403), redirect(), file())
    before = twilio.health
    with no_waits():
        media = await twilio.download_media(FILE)
    assert media == b"OggS-data"
    assert media.attempts == 4
    assert [each.url for each in http.requests] == [FILE, FILE, FILE, CDN, FILE, CDN]
    seen = before().operations["download_media"]
    assert (seen.breaker.calls, seen.breaker.failure_rate) == (1, 0.0)
    assert seen.retry.spent == 0 if hasattr(seen.retry, "spent") else True
    http, twilio = client(*[missing] * 5)
    with no_waits(), pytest.raises(InvalidRequestError) as caught:
        await twilio.download_media(FILE)
    assert (caught.value.status, caught.value.attempts, len(http.requests)) == (404, 4, 4)
    http, twilio = client(*[missing] * 5)
    with pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE, fresh=False)
    assert len(http.requests) == 1


async def test_no_wait_beyond_the_limit() -> None:
    """What would not fit any more is not waited for."""
    http, twilio = client(*[refused(20404, 404)] * 5)
    with pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE, limits=Limits(total=0.4))
    assert len(http.requests) == 1


async def test_waits_are_no_silence_of_the_server() -> None:
    """A first-output limit that is shorter than a wait does not count in it."""
    _http, twilio = client(refused(20404, 404), file(), policies=NO_POLICIES)
    media = await twilio.download_media(FILE, limits=Limits(first_output=0.3, total=5.0))
    assert media.attempts == 2


@pytest.mark.parametrize(
    "failure",
    [
        answer({"code": 1}, 500),
        refused(20429, 429),
        Answer(status=0, error=ConnectionLostError("reset")),
    ],
)
async def test_a_download_is_repeated(failure: Answer) -> None:
    """Reading is free."""
    for answers in ((failure, redirect(), file()), (redirect(), failure, redirect(), file())):
        http, twilio = client(*answers)
        with no_waits():
            assert await twilio.download_media(FILE) == b"OggS-data"
        assert len(http.requests) == len(answers)


async def test_a_store_s_refusal_is_not_the_account_s() -> None:
    """403 there says nothing of our credential: no circuit opens for it."""
    _http, twilio = client(
        lambda request: redirect() if request.url == FILE else Answer(status=403)
    )
    with no_waits(), pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE)
    assert twilio.health().credential.state == "closed"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/x",
        "https://twiliocdn.com.evil.example.com/x",
        "https://eviltwiliocdn.com/x",
        "http://mms.twiliocdn.com/x",
        "https://mms.twiliocdn.com:8443/x",
        "https://user@mms.twiliocdn.com/x",
        "https://s3-external-1.amazonaws.com/evil/x",
        "https://169.254.169.254/latest",
        "http://localhost/x",
        "file:///etc/passwd",
        "//evil.example.com/x",
        "https://[::1/x",
        "https://evil.example.com\\.twiliocdn.com/x",
        "https://mms.twiliocdn.com/a b",
        "https://mms.twiliocdn.com:port/x",
    ],
)
async def test_no_file_from_elsewhere(target: str) -> None:
    """Whoever sends us there: nothing is asked for, and no repeat helps."""
    http, twilio = client(redirect(target), file())
    with pytest.raises(RemoteProtocolError) as caught:
        await twilio.download_media(FILE)
    assert len(http.requests) == 1
    assert "evil" not in str(caught.value)
    http, twilio = client(file())
    with pytest.raises(InvalidArgumentError):
        await twilio.download_media(target)
    with pytest.raises(InvalidArgumentError):
        twilio.stream_media(MediaRef(url=target))
    assert http.requests == []


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("https://media.twiliocdn.com/x", []),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC/x?a", []),
        ("https://cdn.example.com/x", ["cdn.example.com"]),
        ("https://a.example.com/x", ["*.example.com"]),
        ("https://a.example.com:8443/x", ["a.example.com:8443"]),
    ],
)
async def test_files_from_allowed_hosts(target: str, hosts: list[str]) -> None:
    """Twilio's own, and those that were allowed; none of them sees the credential."""
    http, twilio = client(redirect(target), file(), file(), media_hosts=hosts)
    assert await twilio.download_media(FILE) == b"OggS-data"
    assert "Authorization" not in http.requests[1].headers
    assert await twilio.download_media(target) == b"OggS-data"
    assert "Authorization" not in http.requests[2].headers


async def test_other_hosts_of_twilio_are_not_asked_with_the_credential_by_redirect() -> None:
    """It stays where it was sent to first."""
    http, twilio = client(redirect("https://api.dublin.ie1.twilio.com/x"), file())
    await twilio.download_media(FILE)
    assert "Authorization" not in http.requests[1].headers
    http, twilio = client(redirect(f"{FILE}2"), redirect(), file())
    await twilio.download_media(FILE)
    assert ["Authorization" in each.headers for each in http.requests] == [True, True, False]


async def test_redirects_end() -> None:
    """Round in a circle, or ever onwards: refused, not followed."""
    http, twilio = client(lambda request: redirect(FILE))
    with pytest.raises(RemoteProtocolError, match="round"):
        await twilio.download_media(FILE)
    assert len(http.requests) == 1
    http, twilio = client(lambda request: redirect(f"{request.url}x"))
    with pytest.raises(RemoteProtocolError, match="round"):
        await twilio.download_media(FILE)
    assert len(http.requests) <= 4


@pytest.mark.parametrize("told", [True, False])
async def test_a_file_that_is_too_large(told: bool) -> None:
    """Refused before it is read where its size is told, else at the bound; never repeated."""
    headers = {"Content-Type": "audio/ogg", **({"Content-Length": "40"} if told else {})}
    large = Answer(headers=headers, chunks=[b"x" * 10] * 4)
    http, twilio = client(*[large] * 4, media={"max_bytes": 25})
    with pytest.raises(LocalProtocolError, match="max_bytes=25"):
        await twilio.download_media(FILE)
    if told:
        with pytest.raises(LocalProtocolError):
            await twilio.stream_media(FILE)
    else:
        stream = twilio.stream_media(FILE)
        with pytest.raises(StreamInterruptedError):
            await read(stream)
        assert stream.delivered_bytes == 20
    assert len(http.requests) == 2


@pytest.mark.parametrize(
    "answers",
    [
        file(b""),
        file(**{"Content-Type": "text/html"}),
        file(**{"Content-Encoding": "gzip"}),
        Answer(headers={"Content-Type": "audio/ogg"}, chunks=[b"Ogg"], delimited=False),
        Answer(status=204),
    ],
)
async def test_what_is_no_file(answers: Answer) -> None:
    """A page, nothing, an end that proves nothing: a typed error, never a short file."""
    _http, twilio = client(*[answers] * 8)
    ref = MediaRef(url=FILE, content_type="audio/ogg")
    with no_waits(), pytest.raises((RemoteProtocolError, ConnectionLostError)):
        await twilio.download_media(ref)


async def test_types_come_through() -> None:
    """With parameters; the message's word where the store has none."""
    for said, expected in (
        ("audio/ogg; codecs=opus",) * 2,
        ("binary/octet-stream",) * 2,
        ("application/octet-stream", "audio/amr"),
        ("", "audio/amr"),
    ):
        headers = {"Content-Type": said} if said else {}
        _http, twilio = client(Answer(headers=headers, chunks=[b"a"]))
        media = await twilio.download_media(MediaRef(url=FILE, content_type="audio/amr"))
        assert media.content_type == expected


async def test_a_stream_of_a_file() -> None:
    """No request before it is opened; bytes as they come; the same rules."""
    http, twilio = client(refused(20404, 404), redirect(), file())
    stream = twilio.stream_media(MediaRef(url=FILE, content_type="audio/amr"))
    assert http.requests == []
    assert (stream.content_type, stream.size) == ("audio/amr", None)
    with no_waits():
        async with stream:
            assert (stream.content_type, stream.size) == ("audio/ogg", 9)
            assert [bytes(each) async for each in stream] == [b"OggS", b"-data"]
    assert (stream.delivered_bytes, stream.request_id, stream.attempts) == (9, "RQ01", 2)
    assert stream.ended
    for broken in (UnavailableError, InvalidRequestError):
        _http, twilio = client(lambda _request: answer({"code": 1}, 500))
        if broken is UnavailableError:
            with no_waits(), pytest.raises(broken):
                await twilio.stream_media(FILE)
