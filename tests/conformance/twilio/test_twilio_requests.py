"""The same asked for by us and by the vendor's SDK: what differs, and why."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from voicekit import sync
from voicekit.emulator import Emulator
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN

sys.path.insert(0, str(Path(__file__).parents[1]))

from requests_alike import differences
from vendors import sdk_of

sdk_of("twilio")

Client: Any = importlib.import_module("twilio.rest").Client

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore:.*'auth' parameter is deprecated:DeprecationWarning"),
]

USER, BUSINESS = "whatsapp:+390212345678", "whatsapp:+14155238886"
NUMBER, CALLER = "+390212345678", "+14155550100"
SERVICE, TEMPLATE = "MG" + "0" * 32, "HX" + "0" * 32
HOOK = "https://hooks.example.com/tw"
NOON = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)

# What names the library, and nothing else.
THEIRS = ("header.x-twilio-client", "header.accept-charset")


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    with Emulator.in_thread(providers=("twilio",), scenario="instant") as served:
        yield served


def alike(
    world: Any, operation: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any]
) -> dict[str, Any]:
    """What differs between the two last requests of an operation, forms field by field."""
    world.clear_journal()
    arguments = world.sdk("twilio")
    try:
        theirs(Client(**arguments))
    finally:
        arguments["http_client"].session.close()
    client = sync.TwilioClient(ACCOUNT_SID, AUTH_TOKEN, base_url=world.twilio.url)
    with client as twilio:
        ours(twilio)
    records = world.journal.requests_for("twilio", operation)
    other, mine = records[0], records[-1]
    found: dict[str, Any] = differences(mine, replace(other, body=mine.body))
    if sorted(fields(mine)) != sorted(fields(other)):
        found["body"] = (fields(mine), fields(other))
    return {name: pair for name, pair in found.items() if name not in THEIRS}


def fields(record: Any) -> list[tuple[str, str]]:
    return parse_qsl(record.body.decode(), keep_blank_values=True)


def test_a_message(world: Any) -> None:
    """Every field of both; the same form."""
    shared: dict[str, Any] = {
        "to": USER, "from_": BUSINESS, "body": "Ciao & ça va 👋", "status_callback": HOOK,
        "validity_period": 120, "provide_feedback": True, "attempt": 2,
        "content_retention": "retain", "address_retention": "obfuscate", "smart_encoded": True,
        "persistent_action": ["geo:41.9,12.5|Here"], "application_sid": "AP" + "0" * 32,
        "risk_check": "disable", "send_as_mms": False, "message_intent": "x",
    }  # fmt: skip
    assert not alike(
        world,
        "messages.create",
        lambda twilio: twilio.send_message(**shared, media=["https://a.example.com/1.ogg"]),
        lambda client: client.messages.create(**shared, media_url=["https://a.example.com/1.ogg"]),
    )


def test_templates_and_schedules(world: Any) -> None:
    """A template by its variables; later, by a service."""
    assert not alike(
        world,
        "messages.create",
        lambda twilio: twilio.send_message(
            to=USER, from_=BUSINESS, content_sid=TEMPLATE, content_variables={"1": "Anna"}
        ),
        lambda client: client.messages.create(
            to=USER, from_=BUSINESS, content_sid=TEMPLATE, content_variables='{"1": "Anna"}'
        ),
    )
    assert not alike(
        world,
        "messages.create",
        lambda twilio: twilio.send_message(
            to=NUMBER, messaging_service_sid=SERVICE, body="a", send_at=NOON, shorten_urls=True
        ),
        lambda client: client.messages.create(
            to=NUMBER, messaging_service_sid=SERVICE, body="a", send_at=NOON,
            schedule_type="fixed", shorten_urls=True,
        ),
    )  # fmt: skip


def test_reading_and_changing(world: Any) -> None:
    """List, fetch, cancel, redact, delete."""
    client = sync.TwilioClient(ACCOUNT_SID, AUTH_TOKEN, base_url=world.twilio.url)
    with client as twilio:
        sid = twilio.send_message(to=USER, from_=BUSINESS, body="a").sid
    day = dt.date(2025, 11, 24)
    pairs: list[tuple[str, Any, Any]] = [
        (
            "messages.list",
            lambda twilio: twilio.messages(
                to=USER, from_=BUSINESS, sent_on=day, page_size=2
            ).page(),
            lambda client: client.messages.page(
                to=USER,
                from_=BUSINESS,
                date_sent=dt.datetime(2025, 11, 24, tzinfo=dt.UTC),
                page_size=2,
            ),
        ),
        (
            "messages.fetch",
            lambda twilio: twilio.fetch_message(sid),
            lambda client: client.messages(sid).fetch(),
        ),
        (
            "messages.update",
            lambda twilio: twilio.redact_message(sid),
            lambda client: client.messages(sid).update(body=""),
        ),
        (
            "media.list",
            lambda twilio: twilio.message_media(sid),
            lambda client: client.messages(sid).media.list(),
        ),
    ]
    for operation, ours, theirs in pairs:
        found = alike(world, operation, ours, theirs)
        # The SDK's list asks for 50, which is the vendor's default.
        found.pop("query.PageSize", None) if operation == "media.list" else None
        # It gives a day as a moment of it, where the vendor wants either.
        sent = found.pop("query.DateSent", None)
        assert sent is None or sent[0] == "2025-11-24" == sent[1][:10]
        # A GET of ours has no body, and so no type of one.
        found.pop("header.content-type", None)
        assert not found, operation


def test_typing(world: Any) -> None:
    """The form of version 2."""
    sid = "SM" + "0" * 32
    assert not alike(
        world,
        "typing",
        lambda twilio: twilio.typing(sid),
        lambda client: client.messaging.v2.typing_indicator.create(
            channel="whatsapp", message_id=sid
        ),
    )


def test_calls(world: Any) -> None:
    """Placed with every field, and told something else."""
    shared: dict[str, Any] = {
        "to": NUMBER, "from_": CALLER, "twiml": "<Response/>", "status_callback": HOOK,
        "status_callback_method": "POST", "status_callback_event": ["answered", "completed"],
        "fallback_url": HOOK, "fallback_method": "GET", "timeout": 20, "record": True,
        "recording_channels": "dual", "recording_track": "both", "trim": "do-not-trim",
        "recording_status_callback": HOOK, "recording_status_callback_method": "POST",
        "recording_status_callback_event": ["completed"], "machine_detection": "Enable",
        "machine_detection_timeout": 20, "machine_detection_speech_threshold": 2000,
        "machine_detection_speech_end_threshold": 1000,
        "machine_detection_silence_timeout": 4000, "async_amd_status_callback": HOOK,
        "async_amd_status_callback_method": "POST", "time_limit": 600, "caller_id": CALLER,
        "call_reason": "x", "call_token": "x", "sip_auth_username": "x",
        "sip_auth_password": "y", "client_notification_url": HOOK, "byoc": "BY" + "0" * 32,
    }  # fmt: skip
    assert not alike(
        world,
        "calls.create",
        lambda twilio: twilio.place_call(**shared, async_amd=True),
        # The vendor's type of this one is a text.
        lambda client: client.calls.create(**shared, async_amd="true"),
    )
    client = sync.TwilioClient(ACCOUNT_SID, AUTH_TOKEN, base_url=world.twilio.url)
    with client as twilio:
        sid = twilio.place_call(to=NUMBER, from_=CALLER, twiml="<Response/>").sid
    for ours, theirs in (
        (lambda twilio: twilio.update_call(sid, url=HOOK, method="GET"),
         lambda client: client.calls(sid).update(url=HOOK, method="GET")),
        (lambda twilio: twilio.hang_up(sid),
         lambda client: client.calls(sid).update(status="completed")),
    ):  # fmt: skip
        assert not alike(world, "calls.update", ours, theirs)
