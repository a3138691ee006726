"""The Twilio twin calls applications: what it says, how long it waits, how often it tries."""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from webhooked import Application, listening, twiml

from voicekit.emulator import Attachment, Emulator, EmulatorError, EmulatorProcess, voice_note
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.providers.twilio_signing import body_url, sign
from voicekit.emulator.providers.twilio_twiml import TwimlError, read_messaging
from voicekit.emulator.providers.twilio_webhooks import Overrides

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

USER = "whatsapp:+390212345678"
BUSINESS = "whatsapp:+14155238886"


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with listening() as application:
        yield application


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(providers=("twilio",), scenario="instant") as served:
        yield served


VECTOR = {
    **dict.fromkeys(
        ("SmsMessageSid", "SmsSid", "MessageSid"), "SM00000000000000000000000000000001"
    ),
    "NumMedia": "0",
    "ProfileName": "Zoë & Co",
    "MessageType": "text",
    "WaId": "15005550006",
    "SmsStatus": "received",
    "Body": "Hi there 👋",
    "To": "whatsapp:+14155238886",
    "NumSegments": "1",
    "ReferralNumMedia": "0",
    "AccountSid": "AC00000000000000000000000000000001",
    "From": "whatsapp:+15005550006",
    "ApiVersion": "2010-04-01",
}
CALL = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}


@pytest.mark.parametrize(
    ("url", "fields", "expected"),
    [
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            CALL.items(),
            "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
        ),
        ("https://a.b/c", [("MediaUrl", each) for each in "bab"], "YQ+iPGjg6ATy6Njt00aSSVXZz3k="),
        (
            "https://voice.example.com/twilio/whatsapp?tenant=7",
            VECTOR.items(),
            "9+cQ1laXXc0GUqWDDkLH46Ssccs=",
        ),
        (
            body_url("https://x.com/hook?x=1", b'{"a": "b"}'),
            (),
            "3n7shJkUKoKG98K1zSySwI/CocM=",
        ),
        ("wss://x.com/ws", (), "W7anN/T947oyriJ3gU7LsaoRm+o="),
        ("wss://x.com/ws#rc=2", (), "W7anN/T947oyriJ3gU7LsaoRm+o="),
    ],
)
async def test_signature_vectors(url: str, fields: Any, expected: str) -> None:
    """The fact sheet's vectors come out of the twin's own signer; a fragment is not signed."""
    assert sign(url, fields, "12345") == expected


async def test_a_voice_note_comes_in(world: Emulator, app: Application) -> None:
    """The fields and headers are the vendor's, and nothing else."""
    told = await world.calls_back.message(f"{app.url}/hook?tenant=7#rc=2", voice="hello")
    (came,) = app.came
    (media,) = told.media
    assert came.fields == {
        **dict.fromkeys(("SmsMessageSid", "SmsSid", "MessageSid"), told.sid),
        "NumMedia": "1",
        "ProfileName": "Zoë & Co",
        "MessageType": "audio",
        "WaId": "390212345678",
        "SmsStatus": "received",
        "Body": "",
        "To": BUSINESS,
        "NumSegments": "1",
        "ReferralNumMedia": "0",
        "AccountSid": ACCOUNT_SID,
        "From": USER,
        "MediaContentType0": "audio/ogg",
        "MediaUrl0": media,
        "ApiVersion": "2010-04-01",
    }
    assert told.sid.startswith("MM")
    assert media.startswith(
        f"{world.twilio.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{told.sid}/Media/ME"
    )
    assert came.headers["User-Agent"] == "TwilioProxy/1.1"
    assert came.headers["I-Twilio-Idempotency-Token"] == told.token
    assert came.headers["X-Home-Region"] == "us1"
    assert came.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"
    assert came.query == {"tenant": "7"}
    (record,) = world.journal.webhooks_for("twilio", "message", sid=told.sid)
    assert (record.status, record.error, record.attempt) == (204, None, 1)
    assert record.seconds is not None
    assert told.webhooks == (record,)


async def test_an_sms_and_further_fields(world: Emulator, app: Application) -> None:
    """An SMS has places and no profile; a test's own fields are added, and signed."""
    await world.calls_back.message(
        f"{app.url}/", body="Hi", from_="+390212345678", fields={"ButtonText": "Yes"}
    )
    (came,) = app.came
    assert came.fields["From"] == "+390212345678"
    assert came.fields["To"] == "+14155550100"
    assert came.fields["ButtonText"] == "Yes"
    assert "FromCity" in came.fields
    assert not {"ProfileName", "WaId", "MessageType"} & set(came.fields)


async def test_several_files(world: Emulator, app: Application, tmp_path: Any) -> None:
    """Files come as bytes, with a type, or from a disk."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    told = await world.calls_back.message(
        f"{app.url}/", media=[b"\x89PNG", Attachment("video/mp4", b"...."), tmp_path / "a.pdf"]
    )
    (came,) = app.came
    assert [came.fields[f"MediaContentType{at}"] for at in range(3)] == [
        "image/png",
        "video/mp4",
        "application/pdf",
    ]
    assert [came.fields[f"MediaUrl{at}"] for at in range(3)] == list(told.media)


async def test_a_get(world: Emulator, app: Application) -> None:
    """Configured as GET, everything is in the query."""
    await world.calls_back.message(f"{app.url}/hook?a=1", body="Hi", method="GET")
    (came,) = app.came
    assert (came.method, came.query["a"], came.query["Body"]) == ("GET", "1", "Hi")
    assert came.fields == {}


async def test_replies_reach_the_user_in_order(world: Emulator, app: Application) -> None:
    """TwiML messages go to who wrote, in order; other verbs are ignored, and noted."""
    app.answers["/"] = lambda _: twiml(
        "<Redirect>http://a.example</Redirect><Message>plain</Message>"
        "<Message><Body>one &amp; two</Body><Media>https://a.example/b.ogg</Media></Message>"
        f"<Message to='+15005550006' from='+14155550100' action='{app.url}/status'>x</Message>"
    )
    told = await world.calls_back.message(f"{app.url}/", body="Hi")
    assert told.messages == ["plain", "one & two", "x"]
    assert told.last.notes == ["<Redirect> ignored"]
    first, second = world.journal.sent_to(USER)
    assert (first.body, first.source, first.sender) == ("plain", "twiml", BUSINESS)
    assert first.webhook == told.last.id
    assert second.media == [{"url": "https://a.example/b.ogg"}]
    (third,) = world.journal.sent_to("+15005550006")
    assert third.sender == "+14155550100"
    statuses = await app.until(2)
    assert [each.fields["MessageStatus"] for each in statuses] == ["sent", "delivered"]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/xml", b"<Response><Mess", 12100),
        ("text/xml", b'<!DOCTYPE r [<!ENTITY a "a">]><Response/>', 12100),
        ("application/xml", b"<Answer/>", 12200),
        ("application/json", b"{}", 12300),
        ("", b"hello", 12300),
    ],
)
async def test_what_is_no_twiml(kind: str, body: bytes, expected: int) -> None:
    """It is refused with the code of the vendor's debugger."""
    with pytest.raises(TwimlError) as caught:
        read_messaging(kind, body)
    assert caught.value.code == expected


async def test_empty_and_plain_answers() -> None:
    """Nothing is no message; plain text is one."""
    assert read_messaging("", b"") == ([], [])
    assert read_messaging("text/xml", b"<Response/>") == ([], [])
    (message,), _ = read_messaging("text/plain; charset=utf-8", "Grüezi".encode())
    assert message.body == "Grüezi"


async def test_a_broken_answer_sends_nothing(world: Emulator, app: Application) -> None:
    """The debugger's code is in the journal; the user gets nothing."""
    app.answers["/"] = lambda _: web.Response(text="<Response><Message>", content_type="text/xml")
    told = await world.calls_back.message(f"{app.url}/", body="Hi")
    assert (told.status, told.error) == (200, 12100)
    assert world.journal.sent_to() == []


@pytest.mark.parametrize(
    ("fragment", "status", "tries"),
    [
        ("", 500, 1),
        ("#rp=5xx", 500, 2),
        ("#rc=3&rp=5xx", 500, 4),
        ("#rc=2&rp=4xx,5xx", 404, 3),
        ("#rc=2&rp=5xx", 404, 1),
        ("#rc=0&rp=all", 500, 1),
        ("#rc=2&rp=all", 200, 1),
    ],
)
async def test_tries_again_as_configured(
    world: Emulator, app: Application, fragment: str, status: int, tries: int
) -> None:
    """The fragment's count and policy; one token for all of them; 11200 in the end."""
    app.answers["/"] = lambda _: twiml("", status=status)
    told = await world.calls_back.message(f"{app.url}/{fragment}", body="Hi")
    assert len(app.came) == tries
    assert {each.headers["I-Twilio-Idempotency-Token"] for each in app.came} == {told.token}
    assert [each.attempt for each in told.webhooks] == list(range(1, tries + 1))
    assert told.error == (None if status == 200 else 11200)
    assert told.last.failure == ("" if status == 200 else f"{status // 100}xx")


async def test_overrides() -> None:
    """Times are read in milliseconds within their ranges; what does not fit is ignored, noted."""
    asked = Overrides.of("https://a.example/#ct=2000&rt=500&tt=900&rc=9&rp=often&e=dublin&x=1")
    assert (asked.connect, asked.read, asked.total) == (2.0, 0.5, 0.9)
    assert (asked.retries, asked.policy) == (1, {"ct"})
    assert len(asked.notes) == 3
    default = Overrides.of("https://a.example/")
    assert (default.connect, default.read, default.total) == (5.0, 15.0, 15.0)


async def test_nobody_listens(world: Emulator) -> None:
    """A refused connection is tried once more, and is 11205; the fallback gets to know why."""
    async with listening() as app:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/"
            app.answers["/else"] = lambda _: twiml("<Message>Later</Message>")
            told = await world.calls_back.message(url, body="Hi", fallback=f"{app.url}/else")
        first, second, third = told.webhooks
        assert [(each.failure, each.error) for each in (first, second)] == [("ct", 11205)] * 2
        assert (third.kind, third.status, third.token) == ("fallback", 200, first.token)
        assert app.came[0].fields["ErrorCode"] == "11205"
        assert app.came[0].fields["ErrorUrl"] == url
    assert [each.body for each in world.journal.sent_to(USER)] == ["Later"]


@pytest.mark.parametrize(("fragment", "failure"), [("#rt=100", "rt"), ("#tt=100", "tt")])
async def test_slow_applications(
    world: Emulator, app: Application, fragment: str, failure: str
) -> None:
    """The time is limited; an answer that comes later is nobody's."""
    app.delays["/"] = 5.0
    told = await world.calls_back.message(f"{app.url}/{fragment}", body="Hi")
    assert (told.status, told.error, told.last.failure) == (0, 11200, failure)


async def test_a_redirect_loses_the_fields(world: Emulator, app: Application) -> None:
    """It is followed as GET without them, as documented."""

    def away(_: Any) -> web.Response:
        return web.Response(status=302, headers={"Location": "/there"})

    app.answers["/"] = away
    told = await world.calls_back.message(f"{app.url}/", body="Hi")
    (there,) = app.at("/there")
    assert (there.method, there.fields, there.query) == ("GET", {}, {})
    assert told.last.notes == ["redirected: 302"]


async def test_delivered_again(world: Emulator, app: Application) -> None:
    """On demand, after the answer: the same fields and token; each answer's messages are sent."""
    app.answers["/"] = lambda _: twiml("<Message>Hi</Message>")
    told = await world.calls_back.message(f"{app.url}/", body="Hi", redeliver=2)
    assert len(app.came) == 3
    assert len({each.headers["I-Twilio-Idempotency-Token"] for each in app.came}) == 1
    assert app.came[0].fields == app.came[1].fields == app.came[2].fields
    assert len(world.journal.sent_to(USER)) == 3
    again = await world.calls_back.again(told)
    assert (again.token, again.last.attempt) == (told.token, 4)


async def test_delivered_concurrently(world: Emulator, app: Application) -> None:
    """Again without waiting for the answer: all are under way at once."""
    app.gates["/"] = asyncio.Barrier(3)
    told = await world.calls_back.message(
        f"{app.url}/", body="Hi", redeliver=2, redelivery="concurrent"
    )
    assert [record.status for record in told.webhooks] == [204] * 3
    assert sorted(record.attempt for record in told.webhooks) == [1, 2, 3]


async def test_delivered_late(world: Emulator, app: Application) -> None:
    """Again, some time after the answer."""
    told = await world.calls_back.message(
        f"{app.url}/", body="Hi", redeliver=1, redeliver_after=0.05
    )
    first, second = told.webhooks
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= 0.05


async def test_other_signatures(world: Emulator, app: Application) -> None:
    """As a proxy's application sees it, a forger's, and with a shared key."""
    public = "https://bot.example.com/hook?tenant=7"
    call = functools.partial(world.calls_back.message, f"{app.url}/hook?tenant=7", body="Hi")
    await call(signed_for=public)
    await call(secret="a forger's")
    await call(secret="shared", shared_key="webhooks_sharedkey_1")
    proxied, forged, shared = app.came
    url = f"{app.url}/hook?tenant=7"
    header, settings = "X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings"
    assert proxied.headers[header] == sign(public, proxied.fields.items(), AUTH_TOKEN)
    assert forged.headers[header] == sign(url, forged.fields.items(), "a forger's")
    assert settings not in forged.headers
    assert shared.headers[settings] == "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    assert shared.headers[header] == sign(url, shared.fields.items(), "shared", algorithm="sha256")


async def test_calls_and_statuses(world: Emulator, app: Application) -> None:
    """A call that comes in, and a status on demand, of a message nobody knows."""
    told = await world.calls_back.call(f"{app.url}/call", fields={"ForwardedFrom": "+15005550006"})
    (came,) = app.at("/call")
    assert came.fields["CallSid"] == told.sid
    assert (came.fields["CallStatus"], came.fields["Direction"]) == ("ringing", "inbound")
    assert came.fields["ForwardedFrom"] == "+15005550006"
    unknown = "SM" + "0" * 32
    await world.calls_back.status(
        f"{app.url}/status", unknown, "undelivered", fields={"ErrorCode": "63016"}
    )
    (status,) = app.at("/status")
    assert status.fields["MessageSid"] == unknown
    assert status.fields["MessageStatus"] == "undelivered"
    assert status.fields["EventType"] == "UNDELIVERED"
    assert status.fields["ErrorCode"] == "63016"


@pytest.mark.parametrize("how", ["thread", "process"])
async def test_from_elsewhere(app: Application, how: str) -> None:
    """Whoever runs the emulator elsewhere can await it, or block a thread of their own for it."""
    app.answers["/"] = lambda came: twiml(f"<Message>{came.fields['Body']}</Message>")
    runs = Emulator.in_thread if how == "thread" else EmulatorProcess
    entered = runs(providers=("twilio",), scenario="instant")
    world: Any = await asyncio.to_thread(entered.__enter__)
    try:
        note = Attachment("audio/ogg", voice_note("hi"))
        calling = world.calls_back.message(f"{app.url}/", body="one", media=note)
        assert (await calling).messages == ["one"]
        assert calling.done
        second = world.calls_back.message(f"{app.url}/", body="two")
        told = await asyncio.to_thread(functools.partial(second.result, 5))
        assert told.messages == ["two"]
        again = await world.calls_back.again(told)
        assert again.token == told.token
        journal = world.journal
        assert [each.body for each in journal.sent_to(USER)] == ["one", "two", "two"]
        assert len(journal.webhooks_for("twilio")) == 3
        assert journal.webhooks[0].body.startswith("<?xml")
    finally:
        await asyncio.to_thread(entered.__exit__, None, None, None)


async def test_no_blocking_in_the_loop(world: Emulator, app: Application) -> None:
    """Blocking the emulator's own loop is refused with what to do instead."""
    app.delays["/"] = 0.02
    calling = world.calls_back.message(f"{app.url}/", body="Hi")
    with pytest.raises(EmulatorError, match="await it"):
        calling.result()
    await calling
    assert calling.result().status == 204


async def test_leaving_ends_what_is_under_way(app: Application) -> None:
    """A webhook nobody waits for does not outlive the emulator."""
    app.delays["/"] = 30.0
    async with Emulator(providers=("twilio",), scenario="instant") as world:
        calling = world.calls_back.message(f"{app.url}/", body="Hi")
        await app.until(1, "/")
    assert calling.done
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_only_with_twilio() -> None:
    """Nobody calls back where Twilio is not served."""
    async with Emulator(providers=("openai",)) as world:
        with pytest.raises(EmulatorError, match="twilio is not served"):
            world.calls_back.message("http://127.0.0.1:9/", body="Hi")
