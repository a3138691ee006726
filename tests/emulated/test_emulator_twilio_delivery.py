"""What becomes of a message that the Twilio twin has taken: statuses, failures, files, its user."""

from __future__ import annotations

import asyncio
import base64
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from webhooked import Application, listening

from voicekit.emulator import Emulator, Scenario, voice_note
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.providers.twilio_fetching import judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

USER, BUSINESS = "whatsapp:+390212345678", "whatsapp:+14155238886"
ROOT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
BASIC = {
    "Authorization": "Basic " + base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
}
NOTE = voice_note("We are open.")


class Rest:
    """As little of a client as it takes."""

    def __init__(self, world: Emulator, session: aiohttp.ClientSession) -> None:
        self.world, self.session = world, session

    async def send(self, **fields: str) -> dict[str, Any]:
        data = {"To": USER, "From": BUSINESS, "Body": "Ciao", **fields}
        url = f"{self.world.twilio.url}{ROOT}/Messages.json"
        async with self.session.post(url, data=data, headers=BASIC) as response:
            assert response.status == 201
            return dict(await response.json())

    async def ask(self, method: str, path: str, **data: str) -> tuple[int, Any]:
        url = f"{self.world.twilio.url}{ROOT}{path}"
        async with self.session.request(method, url, data=data, headers=BASIC) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def until(self, sid: str, status: str) -> Any:
        """Wait for a status; the record of the delivery."""
        async with asyncio.timeout(10):
            while True:
                for record in self.world.journal.sent_to():
                    if record.sid == sid and record.status == status:
                        return record
                await asyncio.sleep(0.005)


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with listening() as application:
        yield application


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    async with (
        Emulator(providers=("twilio",), scenario="instant") as world,
        aiohttp.ClientSession() as session,
    ):
        yield Rest(world, session)


async def test_statuses_in_order(rest: Rest, app: Application) -> None:
    """Each status is called back once, signed fields and all; none for the first."""
    statuses = (("sending", 0.0), ("sent", 0.0), ("delivered", 0.0), ("read", 0.0))
    rest.world.set_scenario(Scenario(name="all", message_statuses=statuses))
    message = await rest.send(StatusCallback=f"{app.url}/status")
    assert message["status"] == "queued"
    came = await app.until(4)
    assert [each.fields["MessageStatus"] for each in came] == [name for name, _ in statuses]
    assert came[2].fields == {
        "SmsSid": message["sid"],
        "MessageSid": message["sid"],
        "SmsStatus": "delivered",
        "MessageStatus": "delivered",
        "To": USER,
        "From": BUSINESS,
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "ChannelPrefix": "whatsapp",
        "ChannelInstallSid": f"XE{ACCOUNT_SID[2:]}",
        "ChannelToAddress": "+39021234XXXX",
        "StructuredMessage": "false",
        "EventType": "DELIVERED",
    }
    told = rest.world.journal.webhooks_for("twilio", "status")
    for before, after in pairwise(told):  # the next once the one before it was answered
        assert (before.finished_at or 1e9) <= after.started_at
    tokens = {each.headers["I-Twilio-Idempotency-Token"] for each in came}
    assert len(tokens) == 4
    (record,) = rest.world.journal.delivered_to(USER)
    assert (record.status, record.body, record.source) == ("read", "Ciao", "rest")
    assert (await rest.ask("GET", f"/Messages/{message['sid']}.json"))[1]["status"] == "read"


async def test_doubled_and_out_of_order(rest: Rest, app: Application) -> None:
    """Callbacks come as scripted; the message's own status does not go back."""
    statuses = (("delivered", 0.0), ("sent", 0.0), ("sent", 0.0))
    rest.world.set_scenario(Scenario(name="odd", message_statuses=statuses))
    message = await rest.send(StatusCallback=f"{app.url}/status")
    came = await app.until(3)
    assert [each.fields["MessageStatus"] for each in came] == ["delivered", "sent", "sent"]
    assert (await rest.ask("GET", f"/Messages/{message['sid']}.json"))[1]["status"] == "delivered"


async def test_a_callback_before_the_answer(rest: Rest, app: Application) -> None:
    """A delay below zero: the application hears of a SID that it has not got yet."""
    rest.world.set_scenario(Scenario(name="early", message_statuses=(("sent", -1),)))
    message = await rest.send(StatusCallback=f"{app.url}/status")
    (came,) = app.at("/status")
    assert came.fields["MessageSid"] == message["sid"]


async def test_a_slow_application_delays_no_message(rest: Rest, app: Application) -> None:
    """The user gets it while the first callback is still unanswered."""
    app.delays["/status"] = 30.0
    message = await rest.send(StatusCallback=f"{app.url}/status")
    await rest.until(message["sid"], "delivered")


async def test_an_sms_is_never_read(rest: Rest) -> None:
    """Only chats tell that they were read."""
    statuses = (("read", 0.0), ("sent", 0.0), ("delivered", 0.0))
    rest.world.set_scenario(Scenario(name="all", message_statuses=statuses))
    sms = await rest.send(To="+390212345678", From="+14155550100", Body="à" * 200)
    assert sms["num_segments"] == "2"
    await rest.until(sms["sid"], "delivered")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (63018, 63018, "failed"),
        (30003, 30003, "undelivered"),
        ({USER: 63024}, 63024, "undelivered"),
    ],
)
async def test_scripted_failures(
    rest: Rest, app: Application, error: Any, code: int, status: str
) -> None:
    """Taken with 201, failed afterwards: in the callback, the resource and the journal."""
    rest.world.set_scenario(Scenario(name="fails", message_error=error))
    message = await rest.send(StatusCallback=f"{app.url}/status")
    (came,) = await app.until(1)
    assert came.fields["MessageStatus"] == status
    assert came.fields["ErrorCode"] == str(code)
    shown = (await rest.ask("GET", f"/Messages/{message['sid']}.json"))[1]
    assert (shown["status"], shown["error_code"]) == (status, code)
    assert rest.world.journal.delivered_to() == []
    assert rest.world.journal.sent_to(USER)[0].error == code


async def test_failures_of_some(rest: Rest) -> None:
    """By recipient: the others get theirs."""
    rest.world.set_scenario(Scenario(name="one", message_error={"whatsapp:+390299999999": 63024}))
    message = await rest.send()
    await rest.until(message["sid"], "delivered")


async def test_the_window(rest: Rest, app: Application) -> None:
    """Free text only within the window of the user's last message; templates at any time."""
    rest.world.set_scenario(Scenario(name="window", message_window=3600.0))
    outside = await rest.send()
    assert (await rest.until(outside["sid"], "failed")).error == 63016
    template = await rest.send(ContentSid="HX" + "0" * 32, Body="")
    await rest.until(template["sid"], "delivered")
    await rest.world.calls_back.message(f"{app.url}/", body="Hi")
    inside = await rest.send()
    await rest.until(inside["sid"], "delivered")


async def test_expired(rest: Rest) -> None:
    """What waits longer than it may is dropped."""
    slow = Scenario(name="slow", message_statuses=(("sent", 60.0), ("delivered", 61.0)))
    rest.world.set_scenario(slow)
    message = await rest.send(ValidityPeriod="1")
    assert (await rest.until(message["sid"], "failed")).error == 30036


async def test_canceled_before_it_left(rest: Rest) -> None:
    """A queued message can be called off; it reaches nobody, also later."""
    slow = Scenario(name="slow", message_statuses=(("sent", 0.05), ("delivered", 0.05)))
    rest.world.set_scenario(slow)
    message = await rest.send()
    path = f"/Messages/{message['sid']}.json"
    assert (await rest.ask("DELETE", path))[1]["code"] == 20009
    assert (await rest.ask("POST", path, Status="canceled"))[1]["status"] == "canceled"
    later = await rest.send()
    await rest.until(later["sid"], "delivered")
    assert [each.sid for each in rest.world.journal.delivered_to()] == [later["sid"]]
    assert (await rest.ask("DELETE", path))[0] == 204


async def test_exactly_once_is_seen_at_once(rest: Rest) -> None:
    """A message is in the journal before its sender has the answer."""
    rest.world.set_scenario(Scenario(name="slow", message_statuses=(("sent", 60.0),)))
    for number in range(3):
        await rest.send(Body=f"{number}")
        assert [each.body for each in rest.world.journal.sent_to(USER)] == [
            f"{at}" for at in range(number + 1)
        ]
    assert rest.world.journal.delivered_to() == []


def serve(
    app: Application, data: bytes, content_type: str = "audio/ogg", status: int = 200
) -> None:
    headers = {"Content-Type": content_type}
    app.answers["/a.ogg"] = lambda _: web.Response(body=data, status=status, headers=headers)


async def test_files_are_fetched(rest: Rest, app: Application) -> None:
    """With HEAD and a GET that has a range, as WhatsApp's do; then the user gets them."""
    rest.world.set_scenario(Scenario(name="fetch", message_fetches_media=True))
    serve(app, NOTE)
    message = await rest.send(MediaUrl=f"{app.url}/a.ogg")
    record = await rest.until(message["sid"], "delivered")
    assert [each.method for each in app.at("/a.ogg")] == ["HEAD", "GET"]
    assert app.at("/a.ogg")[1].headers["Range"] == "bytes=0-"
    (found,) = record.media
    assert (found["status"], found["size"], found["error"]) == (200, len(NOTE), None)
    assert found["content_type"] == "audio/ogg"
    listed = (await rest.ask("GET", f"/Messages/{message['sid']}/Media.json"))[1]["media_list"]
    assert [each["content_type"] for each in listed] == ["audio/ogg"]


@pytest.mark.parametrize(
    ("data", "content_type", "status", "expected"),
    [
        (NOTE, "audio/ogg", 404, 63019),
        (b"", "audio/ogg", 200, 63019),
        (b"RIFFxxxxWAVE", "audio/wav", 200, 63021),
        (b"<html>", "audio/ogg", 200, 63021),
        (b"OggS but Vorbis", "audio/ogg", 200, 63021),
    ],
)
async def test_files_that_cannot_be_sent(
    rest: Rest, app: Application, data: bytes, content_type: str, status: int, expected: int
) -> None:
    """What is not there, or not what WhatsApp takes, fails the message after it was accepted."""
    rest.world.set_scenario(Scenario(name="fetch", message_fetches_media=True))
    serve(app, data, content_type, status)
    message = await rest.send(MediaUrl=f"{app.url}/a.ogg")
    record = await rest.until(message["sid"], "failed")
    assert (record.error, record.media[0]["error"]) == (expected, expected)


async def test_files_that_nobody_serves(rest: Rest) -> None:
    """A host that is not there is a failed download."""
    rest.world.set_scenario(Scenario(name="fetch", message_fetches_media=True))
    message = await rest.send(MediaUrl="http://127.0.0.1:9/a.ogg")
    assert (await rest.until(message["sid"], "failed")).error == 63019


@pytest.mark.parametrize(
    ("content_type", "data", "whatsapp", "expected"),
    [
        ("audio/ogg; codecs=opus", NOTE, True, None),
        ("audio/mpeg", b"ID3\x04", True, None),
        ("image/png", b"\x89PNG" + bytes(6 << 20), True, 63019),
        ("video/mp4", b"....ftyp" + bytes(17 << 20), True, 63019),
        ("application/x-tar", b"x", True, 63021),
        ("application/x-tar", b"x", False, None),
        ("text/vcard", b"BEGIN", True, None),
    ],
)
async def test_judging_files(
    content_type: str, data: bytes, whatsapp: bool, expected: int | None
) -> None:
    """Sizes and types, as documented for the channel."""
    assert judge(content_type, data, whatsapp=whatsapp) == expected


async def test_nothing_is_fetched_unless_asked(rest: Rest) -> None:
    """By default an address is only kept."""
    message = await rest.send(MediaUrl="https://cdn.example.com/a.ogg")
    record = await rest.until(message["sid"], "delivered")
    assert record.media == [{"url": "https://cdn.example.com/a.ogg"}]


async def test_calls_tell_how_they_go(rest: Rest, app: Application) -> None:
    """The events that were asked for; the application is asked for TwiML once it is answered."""
    status, call = await rest.ask(
        "POST",
        "/Calls.json",
        To="+390212345678",
        From="+14155550100",
        Url=f"{app.url}/voice",
        StatusCallback=f"{app.url}/status",
    )
    assert status == 201
    (asked,) = await app.until(1, "/voice")
    assert (asked.fields["CallSid"], asked.fields["CallStatus"]) == (call["sid"], "in-progress")
    path = f"/Calls/{call['sid']}.json"
    assert (await rest.ask("POST", path, Status="canceled"))[1]["code"] == 21220
    assert (await rest.ask("POST", path, Status="completed"))[1]["status"] == "completed"
    (ended,) = await app.until(1)
    assert ended.fields["CallStatus"] == "completed"
    # Of whole seconds: 1 where one began between answer and end.
    assert ended.fields["CallDuration"] == (await rest.ask("GET", path))[1]["duration"]
    assert ended.fields["CallDuration"] in {"0", "1"}
    assert (await rest.ask("DELETE", path))[0] == 204


async def test_calls_as_scripted(rest: Rest, app: Application) -> None:
    """A call that nobody answers, all its events asked for."""
    statuses = (("ringing", 0.0), ("no-answer", 0.0))
    rest.world.set_scenario(Scenario(name="nobody", call_statuses=statuses))
    data = aiohttp.FormData(
        [
            ("To", "+390212345678"),
            ("From", "+14155550100"),
            ("Twiml", "<Response/>"),
            ("StatusCallback", f"{app.url}/status"),
            *(("StatusCallbackEvent", each) for each in ("initiated", "ringing", "completed")),
        ]
    )
    url = f"{rest.world.twilio.url}{ROOT}/Calls.json"
    async with rest.session.post(url, data=data, headers=BASIC) as response:
        assert response.status == 201
    came = await app.until(3)
    assert {each.fields["CallStatus"] for each in came} == {"initiated", "ringing", "no-answer"}
    assert sorted(each.fields["SequenceNumber"] for each in came) == ["0", "1", "2"]
