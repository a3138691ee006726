"""Messages, webhooks and calls against the twin: the journal says what really happened."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from messaging import BUSINESS, INSTANT, USER, application, messaging, posted, received

from settling import eventually
from voicekit import sync
from voicekit.clients.twilio import (
    InboundMessage,
    MessageStatus,
    Once,
    TemplateRequiredError,
    UnsubscribedError,
    twiml,
)
from voicekit.emulator import Emulator, Fault
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidRequestError,
    OutcomeUnknownError,
    RateLimitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES
from voicekit.resilience.waiting import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

STATUSES = (("delivered", 0.0), ("sent", 0.0), ("sent", 0.0), ("read", 0.0))


async def test_a_conversation() -> None:
    """In by webhook, out by REST, and statuses that come in any order."""
    async with messaging(replace(INSTANT, message_statuses=STATUSES)) as (world, twilio):
        told: list[InboundMessage] = []
        kept: dict[str, str] = {}

        async def handle(came: InboundMessage | MessageStatus) -> None:
            if isinstance(came, MessageStatus):
                kept[came.sid] = came.after(kept.get(came.sid))
                return
            told.append(came)
            await twilio.typing(came.sid)
            sent = await twilio.send_message(
                to=came.from_, from_=came.to, body=f"You said: {came.body}",
                status_callback=f"{url}/status", validity_period=120,
            )  # fmt: skip
            kept.setdefault(sent.sid, sent.status)

        async with application(twilio, handle) as url:
            back = await world.calls_back.message(f"{url}/in?tenant=7", body="Hi there 👋")
            assert back.status == 204
            assert await eventually(lambda: "read" in kept.values())
        [message] = told
        assert (message.sid, message.token) == (back.sid, back.token)
        assert (message.body, message.profile_name) == ("Hi there 👋", "Zoë & Co")
        [delivery] = world.journal.sent_to(USER)
        assert delivery.body == "You said: Hi there 👋"
        assert posted(world) == posted(world, "typing") == 1
        assert len(world.connections("twilio")) == 1


@pytest.mark.parametrize("redelivery", ["after", "concurrent"])
@pytest.mark.parametrize("how", ["fine", "reply lost", "fails"])
async def test_a_webhook_delivered_again(redelivery: Any, how: str) -> None:
    """Answered once: while the first runs, after it ended, after its reply was lost."""
    async with messaging() as (world, twilio):
        once = Once(Kept())

        async def handle(came: Any) -> None:
            async with once(came.token) as first:
                if not first:
                    return
                await asyncio.sleep(0.02)
                await twilio.send_message(to=came.from_, body="Once.")
                if how == "fails":
                    raise RuntimeError

        if how == "reply lost":
            world.inject("twilio", Fault("reset", operation="messages.create", after_bytes=20))
        async with application(twilio, handle) as url:
            await world.calls_back.message(
                f"{url}/in", body="Hi", redeliver=5, redelivery=redelivery
            )
        assert posted(world) == len(world.journal.sent_to(USER)) == 1


class Kept(dict[str, bytes]):
    """As little of a storage as it takes."""

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        await asyncio.sleep(0)
        return self.setdefault(key, value) is value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        self[key] = value

    async def get(self, key: str, /) -> bytes | None:  # type: ignore[override]
        return dict.get(self, key)

    async def delete(self, key: str, /) -> bool:
        return self.pop(key, None) is not None

    def stats(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


LOST = [
    Fault("reset", operation="messages.create"),
    Fault("close", operation="messages.create"),
    Fault("html", operation="messages.create"),
    Fault("half_json", operation="messages.create"),
    Fault("wrong_type", operation="messages.create"),
    Fault("empty", operation="messages.create"),
    Fault("status", status=500, operation="messages.create"),
    Fault("status", status=503, body="<html>", operation="messages.create"),
    Fault("silence", operation="messages.create"),
]


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.kind}-{fault.status}")
@pytest.mark.parametrize("warm", [False, True])
async def test_never_a_duplicate_message(fault: Fault, warm: bool) -> None:
    """Under every fault one POST, whose outcome is told as unknown; the next one is fine."""
    limits = {"send_message": Limits(connect=1.0, first_output=0.3, total=5.0)}
    async with messaging(limits=limits) as (world, twilio):
        if warm:
            await twilio.send_message(to=USER, body="Before")
        world.inject("twilio", fault)
        with no_waits(), pytest.raises(OutcomeUnknownError) as caught:
            await twilio.send_message(to=USER, body="Marked text")
        assert posted(world) == 1 + warm
        assert "To and DateSent" in caught.value.hint
        assert "Marked" not in f"{caught.value!r} {caught.value}"
        assert AUTH_TOKEN not in f"{caught.value!r} {caught.value.__cause__!r}"
        sent = await twilio.send_message(to=USER, body="After", limits=Limits())
        assert sent.sid
        assert await eventually(lambda: twilio.stats().leased == 0)


async def test_429_is_repeated_and_a_refusal_is_not() -> None:
    """What was proven not taken, and what stays wrong."""
    async with messaging() as (world, twilio):
        world.inject("twilio", Fault("status", status=429, times=2))
        with no_waits():
            sent = await twilio.send_message(to=USER, body="Hi")
        assert (sent.attempts, posted(world), len(world.journal.sent_to())) == (3, 3, 1)
        assert sent.request_id is not None
        assert sent.request_id.startswith("RQ")
        assert sent.concurrent_requests == 1
        for number, kind in (
            ("+15005550001", InvalidRequestError),
            ("+15005550004", UnsubscribedError),
        ):
            with pytest.raises(kind) as caught:
                await twilio.send_message(to=number, from_="+14155550100", body="Hi")
            assert caught.value.code in {"21211", "21610"}
        assert posted(world) == 5
        world.inject("twilio", Fault("status", status=429, times=3))
        with no_waits(), pytest.raises(RateLimitError):
            await twilio.send_message(to=USER, body="Hi")


async def test_a_wrong_token() -> None:
    """Typed; the next call is not even made; with the right one all is well again."""
    async with messaging() as (world, twilio):
        twilio.rotate_key("wrong-token-0123456789")
        world.inject("twilio", Fault("status", status=401))
        with pytest.raises(AuthenticationError) as caught:
            await twilio.send_message(to=USER, body="Hi")
        assert caught.value.code == "20003"
        with pytest.raises(CircuitOpenError):
            await twilio.send_message(to=USER, body="Hi")
        assert posted(world) == 1
        twilio.rotate_key(AUTH_TOKEN)
        assert (await twilio.send_message(to=USER, body="Hi")).sid
        assert len(world.journal.sent_to()) == 1


async def test_a_long_text_arrives_in_order() -> None:
    """Its parts, one after the other."""
    async with messaging() as (world, twilio):
        text = "This sentence has about fifty characters of text. " * 80
        sent = await twilio.send_message(to=USER, body=text)
        bodies = [each.body for each in world.journal.sent_to(USER)]
        assert " ".join(bodies) == text.strip()
        assert [each.sid for each in sent.parts] == [
            each.sid for each in world.journal.sent_to(USER)
        ]


async def test_the_window() -> None:
    """The code that comes later is typed, in the callback and on the message."""
    async with messaging(replace(INSTANT, message_error=63016)) as (_world, twilio):
        came: list[Any] = []

        async def handle(told: Any) -> None:
            came.append(told)

        async with application(twilio, handle) as url:
            sent = await twilio.send_message(to=USER, body="Hi", status_callback=f"{url}/s")
            assert await eventually(lambda: any(each.failed for each in came))
        failed = next(each for each in came if each.failed)
        assert isinstance(failed.error, TemplateRequiredError)
        assert failed.sid == sent.sid
        fetched = await twilio.fetch_message(sent.sid)
        assert isinstance(fetched.error, TemplateRequiredError)


async def test_messages_and_calls() -> None:
    """Everything that there is, against the twin's own rules."""
    async with messaging(calls={"from_": "+14155550100"}) as (world, twilio):
        for number in range(5):
            await twilio.send_message(to=USER, body=f"Message {number}")
        found = [each.body async for each in twilio.messages(to=USER, page_size=2)]
        assert sorted(found) == [f"Message {number}" for number in range(5)]
        page = await twilio.messages(from_=BUSINESS, page_size=2)
        assert len(page) == 2
        assert page.next is not None
        sid = page[0].sid
        assert await eventually(lambda: len(world.journal.delivered_to()) == 5)
        assert (await twilio.fetch_message(sid)).body == "Message 4"
        assert (await twilio.redact_message(sid)).body == ""
        assert await twilio.delete_message(sid) is True
        assert await twilio.delete_message(sid) is False
        with pytest.raises(InvalidRequestError):
            await twilio.fetch_message(sid)
        note = await received(world, twilio, media=b"OggS-not-really")
        files = await twilio.message_media(note.sid)
        assert [each.url for each in files] == [each.url for each in note.media]
        call = await twilio.place_call(
            to="+390212345678", twiml=twiml.voice(twiml.say("Hi"), twiml.pause(60))
        )
        assert (await twilio.fetch_call(call.sid)).sid == call.sid
        await twilio.hang_up(call.sid)
        assert await twilio.hang_up("CA" + "0" * 32) is None
        assert posted(world, "calls.create") == 1


async def test_never_a_duplicate_call() -> None:
    """As messages."""
    async with messaging() as (world, twilio):
        world.inject("twilio", Fault("reset", operation="calls.create"))
        with pytest.raises(OutcomeUnknownError):
            await twilio.place_call(to="+390212345678", from_="+14155550100", twiml=twiml.EMPTY)
        assert posted(world, "calls.create") == 1


async def test_reading_and_changing_are_repeated() -> None:
    """May be done twice, so a lost answer is asked for again."""
    async with messaging() as (world, twilio):
        sent = await twilio.send_message(to=USER, body="Hi")
        for fault in (Fault("reset"), Fault("status", status=500), Fault("half_json")):
            world.inject("twilio", fault)
            with no_waits():
                assert (await twilio.fetch_message(sent.sid)).sid == sent.sid
            world.inject("twilio", fault)
            with no_waits():
                assert (await twilio.redact_message(sent.sid)).body == ""


async def test_warming_asks_for_nothing() -> None:
    """TLS alone, and the first message has no handshake."""
    async with messaging(emulator={"tls": True}) as (world, twilio):
        report = await twilio.warm(2)
        assert (report.opened, report.failures) == (2, ())
        assert world.journal.requests == []
        sent = await twilio.send_message(to=USER, body="Hi")
        assert sent.connection is not None
        assert sent.connection.reused
        assert len(world.connections("twilio")) == 2


async def test_typing_never_breaks_a_turn() -> None:
    """A silent server is False after its limit; asked strictly, an error."""
    async with messaging(policies=NO_POLICIES) as (world, twilio):
        limits = Limits(first_output=0.1, total=0.5)
        world.inject("twilio", Fault("silence", operation="typing", times=2))
        assert await twilio.typing("SM" + "0" * 32, limits=limits) is False
        with pytest.raises(OutcomeUnknownError) as caught:
            await twilio.typing("SM" + "0" * 32, limits=limits, strict=True)
        assert isinstance(caught.value.__cause__, FirstOutputTimeout | ConnectionLostError)
        assert posted(world, "typing") == 2


def test_blocking() -> None:
    """The same, from a thread."""
    with Emulator.in_thread(providers=("twilio",), scenario=INSTANT) as world:
        client = sync.TwilioClient(
            ACCOUNT_SID, AUTH_TOKEN, base_url=world.twilio.url, from_=BUSINESS
        )
        with client as twilio:
            sent = twilio.send_message(to=USER, body="Hi")
            assert [each.sid for each in twilio.messages(to=USER)] == [sent.sid]
            assert twilio.account_sid == ACCOUNT_SID
