"""Sending: what is refused before any I/O, what is on the wire, what is never done twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from scripting import (
    API,
    FROM,
    HEADERS,
    TO,
    TOKEN,
    accepted,
    answer,
    client,
    closed,
    form,
    message_of,
    refused,
)

from voicekit.clients.twilio import (
    PartlySentError,
    SentMessage,
    UnsubscribedError,
)
from voicekit.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    OutcomeUnknownError,
    RateLimitError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.resilience.waiting import no_waits
from voicekit.testing.transport import Answer

__all__ = ["closed"]

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    "text", ["word " * 700, "x" * 5000, "👋" * 1601, "👋" * 801, "a\n" * 1700, "é" * 1600]
)
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
