"""Messages and calls as they are listed, read, changed and placed."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from scripting import (
    AC,
    API,
    FROM,
    TO,
    answer,
    client,
    closed,
    form,
    message_of,
    refused,
)

from voicekit.clients.twilio import (
    MediaRef,
    Message,
    PhoneCall,
)
from voicekit.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    RemoteProtocolError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.resilience.waiting import no_waits
from voicekit.testing.transport import Answer

__all__ = ["closed"]

pytestmark = pytest.mark.anyio


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
