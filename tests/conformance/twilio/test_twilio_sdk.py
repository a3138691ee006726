"""The vendor's own SDK, unmodified, is the judge of the Twilio twin: blocking and asynchronous."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from voicekit.emulator import Emulator, Fault, voice_note
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.providers.twilio_messages import TEST_ACCOUNT_SID

sys.path.insert(0, str(Path(__file__).parents[1]))

from vendors import sdk_of

sdk_of("twilio")

Client: Any = importlib.import_module("twilio.rest").Client
TwilioRestException: Any = importlib.import_module("twilio.base.exceptions").TwilioRestException
TypingIndicatorList: Any = importlib.import_module(
    "twilio.rest.messaging.v3.typing_indicator"
).TypingIndicatorList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore:.*BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*'auth' parameter is deprecated:DeprecationWarning"),
]

USER, BUSINESS = "whatsapp:+390212345678", "whatsapp:+14155238886"
NOBODY = "http://127.0.0.1:9/nobody"


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    with Emulator.in_thread(providers=("twilio",), scenario="instant") as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(world: Any) -> None:
    """Every test begins with an empty journal."""
    world.clear_journal()
    world.clear_faults()
    world.set_scenario("instant")


@pytest.fixture
def client(world: Any) -> Iterator[Any]:
    arguments = world.sdk("twilio")
    yield Client(**arguments)
    arguments["http_client"].session.close()


@pytest.fixture
async def slow_client(world: Any) -> AsyncIterator[Any]:
    """The asynchronous client."""
    arguments = world.sdk("twilio", asynchronous=True)
    yield Client(**arguments)
    await arguments["http_client"].close()


def send(client: Any, **options: Any) -> Any:
    return client.messages.create(**{"to": USER, "from_": BUSINESS, "body": "Ciao", **options})


def posted(world: Any, operation: str = "messages.create") -> list[tuple[str, str]]:
    (record,) = world.journal.requests_for("twilio", operation)
    return parse_qsl(record.body.decode(), keep_blank_values=True)


def refused(call: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        call()
    return caught.value.status, caught.value.code


def inbound(world: Any, **options: Any) -> Any:
    """A message that a user wrote; that nobody listens to the webhook does not matter."""
    return world.calls_back.message(f"{NOBODY}#rc=0", **options).result(5)


def test_send(world: Any, client: Any) -> None:
    """A created message is shown as the vendor shows it, and reaches its user once."""
    message = send(client)
    assert (message.status, message.direction) == ("queued", "outbound-api")
    assert message.sid.startswith("SM")
    assert (message.num_media, message.num_segments, message.price) == ("0", "1", None)
    assert message.date_created.tzinfo is not None
    assert message.date_sent is None
    assert message.account_sid == ACCOUNT_SID
    assert message.uri == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message.sid}.json"
    assert posted(world) == [("To", USER), ("From", BUSINESS), ("Body", "Ciao")]
    (got,) = world.journal.sent_to(USER)
    assert (got.sid, got.body, got.source) == (message.sid, "Ciao", "rest")


def test_send_by_domain_override(world: Any) -> None:
    """The documented override of a domain's address reaches the twin too."""
    client = Client(ACCOUNT_SID, AUTH_TOKEN)
    client.api.base_url = world.twilio.url
    try:
        assert send(client).status == "queued"
    finally:
        client.http_client.session.close()


def test_headers(client: Any) -> None:
    """The headers by which the vendor tells of load and of its own time are there."""
    answer = client.messages.create_with_http_info(to=USER, from_=BUSINESS, body="Ciao")
    assert answer.status_code == 201
    assert answer.headers["Twilio-Concurrent-Requests"] == "1"
    assert answer.headers["Twilio-Request-Id"].startswith("RQ")
    assert float(answer.headers["Twilio-Request-Duration"]) >= 0
    assert answer.headers["X-Home-Region"] == "us1"


def test_every_parameter(world: Any, client: Any) -> None:
    """Whatever the SDK can send is known."""
    message = send(
        client,
        messaging_service_sid="MG" + "1" * 32,
        media_url=["https://cdn.example.com/a.ogg"],
        content_sid="HX" + "2" * 32,
        content_variables='{"1": "Anna"}',
        status_callback=None,
        application_sid="AP" + "3" * 32,
        max_price=1.5,
        provide_feedback=False,
        attempt=1,
        validity_period=120,
        force_delivery=False,
        content_retention="retain",
        address_retention="obfuscate",
        smart_encoded=True,
        persistent_action=["geo:1,2|here"],
        traffic_type="free",
        shorten_urls=True,
        schedule_type="fixed",
        send_at=dt.datetime(2126, 1, 1, tzinfo=dt.UTC),
        send_as_mms=False,
        risk_check="disable",
        fallback_from="+14155550100",
        message_intent="notifications",
    )
    assert message.status == "scheduled"
    assert message.sid.startswith("MM")
    (record,) = world.journal.requests_for("twilio", "messages.create")
    assert record.notes == ["MaxPrice is obsolete"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"to": "+15005550001", "from_": "+15005550006"}, 21211),
        ({"to": "12", "from_": "+15005550006"}, 21211),
        ({"to": "+15005550002", "from_": "+15005550006"}, 21612),
        ({"to": "+15005550003", "from_": "+15005550006"}, 21408),
        ({"to": "+15005550004", "from_": "+15005550006"}, 21610),
        ({"to": "+15005550009", "from_": "+15005550006"}, 21614),
        ({"to": "+390212345678", "from_": "+15005550001"}, 21212),
        ({"to": "+390212345678", "from_": "+15005550007"}, 21606),
        ({"from_": "+14155550100"}, 21910),
        ({"from_": "whatsapp:+15005550001"}, 63007),
        ({"from_": None}, 21603),
        ({"body": None}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"media_url": ["https://a.example/b"] * 11}, 21623),
        ({"media_url": "ftp://a.example/b"}, 21620),
        ({"status_callback": "https://bad_host.example/"}, 21609),
        ({"validity_period": 0}, 20001),
        ({"validity_period": 36001}, 20001),
        ({"content_sid": "HX12"}, 20001),
        ({"content_variables": "[1]"}, 21656),
        ({"risk_check": "perhaps"}, 20001),
    ],
)
def test_refusals(world: Any, client: Any, options: dict[str, Any], expected: int) -> None:
    """What a documented rule or a magic number forbids is a 400 with its code, and is not sent."""
    assert refused(lambda: send(client, **options)) == (400, expected)
    assert world.journal.sent_to() == []


def test_paging_and_filters(world: Any, client: Any) -> None:
    """A list comes page by page, newest first; filters narrow it."""
    other = "whatsapp:+390299999999"
    sids = [send(client, to=other, body=str(number)).sid for number in range(5)]
    listed = [each.sid for each in client.messages.list(to=other, page_size=2)]
    assert listed == sids[::-1]
    assert len(world.journal.requests_for("twilio", "messages.list")) == 3
    assert [each.sid for each in client.messages.list(to=other, limit=1)] == [sids[-1]]
    assert client.messages.list(to=other, from_="whatsapp:+14155550000") == []
    today = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    assert len(client.messages.list(to=other, date_sent_after=today - day)) == 5
    assert client.messages.list(to=other, date_sent_before=today - day) == []
    assert client.messages.list(to=other, date_sent=(today - day).date()) == []


def test_change_and_delete(client: Any) -> None:
    """A text can be made empty, a waiting message canceled, a finished one deleted; 20009 else."""
    message = send(client)
    assert message.update(body="").body == ""
    waiting = send(
        client,
        messaging_service_sid="MG" + "1" * 32,
        schedule_type="fixed",
        send_at=dt.datetime(2126, 1, 1, tzinfo=dt.UTC),
    )
    assert refused(waiting.delete) == (409, 20009)
    assert waiting.update(status="canceled").status == "canceled"
    assert refused(lambda: message.update(status="canceled"))[1] == 30409
    assert waiting.delete() is True
    assert refused(client.messages(waiting.sid).fetch) == (404, 20404)


def test_files(world: Any, client: Any) -> None:
    """The files of a message: listed, shown, deleted."""
    told = inbound(world, media=[voice_note("hello"), b"\xff\xd8jpeg"])
    message = client.messages(told.sid)
    assert message.fetch().num_media == "2"
    found = message.media.list()
    assert [each.content_type for each in found] == ["audio/ogg", "image/jpeg"]
    assert found[0].fetch().parent_sid == told.sid
    assert found[0].delete() is True
    assert len(message.media.list()) == 1


def test_calls(world: Any, client: Any) -> None:
    """A call is placed, watched, redirected and ended; an ended one cannot be."""
    call = client.calls.create(
        to="+390212345678",
        from_="+14155550100",
        twiml="<Response><Pause/></Response>",
        timeout=20,
        machine_detection="Enable",
        async_amd="true",
        machine_detection_timeout=5,
        status_callback_event=["answered", "completed"],
        record=False,
    )
    assert (call.status, call.from_formatted, call.queue_time) == ("queued", "(415) 555-0100", "0")
    assert client.calls(call.sid).fetch().status == "in-progress"
    assert call.update(twiml="<Response><Say>Bye</Say></Response>").status == "in-progress"
    assert call.update(status="completed").status == "completed"
    assert refused(lambda: call.update(status="completed")) == (400, 21220)
    assert [each.sid for each in client.calls.list(limit=1)] == [call.sid]
    # Of whole seconds: 1 where one began between answer and end.
    assert client.calls(call.sid).fetch().duration in {"0", "1"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"twiml": None}, 21205),
        ({"to": "+15005550001"}, 21211),
        ({"from_": "+15005550001"}, 21212),
        ({"timeout": 601}, 20001),
        ({"twiml": "x" * 4001}, 20001),
        ({"send_digits": "12x"}, 20001),
        ({"status_callback_event": ["ended"]}, 20001),
        ({"machine_detection": "Yes"}, 20001),
    ],
)
def test_refused_calls(client: Any, options: dict[str, Any], expected: int) -> None:
    """What a documented rule forbids of a call is a 400."""
    options = {"to": "+390212345678", "from_": "+14155550100", "twiml": "<Response/>", **options}
    assert refused(lambda: client.calls.create(**options)) == (400, expected)


def test_rights(world: Any, client: Any) -> None:
    """The account itself is for its token only; test credentials do nothing but create."""
    account = client.api.accounts(ACCOUNT_SID).fetch()
    assert (account.status, account.type, account.auth_token) == ("active", "Full", AUTH_TOKEN)
    arguments = world.sdk("twilio")
    key = {**arguments, "username": "SK" + "1" * 32, "account_sid": ACCOUNT_SID}
    with_key = Client(**key)
    assert send(with_key).status == "queued"
    assert refused(with_key.api.accounts(ACCOUNT_SID).fetch) == (401, 20003)
    wrong = Client(**{**arguments, "password": "bad-key"})
    assert refused(lambda: send(wrong)) == (401, 20003)
    testing = Client(**{**arguments, "username": TEST_ACCOUNT_SID})
    world.clear_journal()
    assert send(testing, status_callback=NOBODY).status == "queued"
    assert refused(testing.messages("SM" + "1" * 32).fetch) == (403, 20403)
    assert world.journal.webhooks == []
    arguments["http_client"].session.close()


def test_typing(world: Any, client: Any) -> None:
    """The indicator is taken in both versions, and wants the SID of a message."""
    told = inbound(world, body="Hello")
    assert client.messaging.v2.typing_indicator.create("whatsapp", told.sid).success is True
    third = client.messaging.v3.typing_indicator
    request = TypingIndicatorList.TypingIndicatorRequest(
        {"channel": "WHATSAPP", "messageId": told.sid}
    )
    assert third.create(request).success is True
    assert refused(lambda: client.messaging.v2.typing_indicator.create("whatsapp", "x"))[0] == 400


@pytest.mark.parametrize(
    ("status", "code"), [(429, 20429), (500, 20500), (503, None), (403, 20403)]
)
def test_faults(world: Any, client: Any, status: int, code: int | None) -> None:
    """Scripted errors look like the vendor's; a gateway's is a page without a code."""
    world.inject("twilio", Fault("status", status=status))
    told = refused(lambda: send(client))
    assert told[0] == status
    assert code in {None, told[1]}
    assert world.journal.sent_to() == []
    assert send(client).status == "queued"


@pytest.mark.anyio
async def test_asynchronous(world: Any, slow_client: Any) -> None:
    """The asynchronous client does all of it as well."""
    client = slow_client
    message = await client.messages.create_async(to=USER, from_=BUSINESS, body="Ciao")
    assert message.status == "queued"
    assert (await message.fetch_async()).status == "delivered"
    assert [each.sid for each in await client.messages.list_async(limit=1)] == [message.sid]
    assert (await message.update_async(body="")).body == ""
    assert await message.delete_async() is True
    told = await world.calls_back.message(f"{NOBODY}#rc=0", voice="hello")
    found = await client.messages(told.sid).media.list_async()
    assert [each.content_type for each in found] == ["audio/ogg"]
    call = await client.calls.create_async(
        to="+390212345678", from_="+14155550100", twiml="<Response/>"
    )
    assert (await call.update_async(status="completed")).status == "completed"
    typing = client.messaging.v2.typing_indicator
    assert (await typing.create_async("whatsapp", told.sid)).success is True
    with pytest.raises(TwilioRestException) as caught:
        await client.messages.create_async(to="+15005550001", from_="+15005550006", body="x")
    assert (caught.value.status, caught.value.code) == (400, 21211)
