"""Twilio's calls: placed, watched, changed while they last. No audio.

Source: fact sheet of 2026-11, §9.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voicekit.emulator.providers.twilio_form import Fields, check_number, check_url
from voicekit.emulator.providers.twilio_messages import (
    TEST_ACCOUNT_SID,
    VERSION,
    now,
    page,
    rfc2822,
)
from voicekit.emulator.providers.twilio_refusals import MAGIC_FROM, MAGIC_TO, coded
from voicekit.emulator.scenario import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.emulator.providers.base import Exchange
    from voicekit.emulator.providers.twilio import Twilio
    from voicekit.emulator.providers.twilio_rest import Operation

MAX_TWIML = 4000
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_EVENTS = {"ringing": "ringing", "in-progress": "answered"} | dict.fromkeys(ENDED, "completed")
_METHODS = ("GET", "POST")
_MACHINE_RANGES = {
    "MachineDetectionTimeout": (3, 59),
    "MachineDetectionSpeechThreshold": (1000, 6000),
    "MachineDetectionSpeechEndThreshold": (500, 5000),
    "MachineDetectionSilenceTimeout": (2000, 10_000),
}
_CHOICES = {
    "Method": _METHODS,
    "FallbackMethod": _METHODS,
    "StatusCallbackMethod": _METHODS,
    "AsyncAmdStatusCallbackMethod": _METHODS,
    "RecordingStatusCallbackMethod": _METHODS,
    "MachineDetection": ("Enable", "DetectMessageEnd"),
    "RecordingChannels": ("mono", "dual"),
    "RecordingTrack": ("inbound", "outbound", "both"),
    "Trim": ("trim-silence", "do-not-trim"),
}
_URLS = (
    "Url",
    "FallbackUrl",
    "StatusCallback",
    "AsyncAmdStatusCallback",
    "RecordingStatusCallback",
)
_STATUS_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_SUBRESOURCES = (
    "notifications", "recordings", "payments", "events", "siprec", "streams", "transcriptions",
    "user_defined_message_subscriptions", "user_defined_messages",
)  # fmt: skip


def call_fields(
    sid: str, account: str, *, from_: str, to: str, status: str, direction: str
) -> dict[str, str]:
    """Return the fields that every webhook of a call has. Source: sheet §9.2."""
    return {
        "CallSid": sid,
        "AccountSid": account,
        "From": from_,
        "To": to,
        "CallStatus": status,
        "ApiVersion": VERSION,
        "Direction": direction,
    }


@dataclass(slots=True, kw_only=True)
class Call:
    """One call."""

    sid: str
    account: str
    to: str
    from_: str
    url: str | None = None
    method: str = "POST"
    twiml: str | None = None
    status: str = "queued"
    callback: str | None = None
    callback_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    phone_number: str = ""
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None
    told: int = 0

    @property
    def path(self) -> str:
        """Where the resource is, without ``.json``."""
        return f"/{VERSION}/Accounts/{self.account}/Calls/{self.sid}"

    @property
    def duration(self) -> int | None:
        """Seconds between answer and end; None for a call without either."""
        if self.started is None or self.ended is None:
            return None
        return round((self.ended - self.started).total_seconds())

    def resource(self) -> dict[str, Any]:
        """Return it as the vendor shows it."""
        parts = {}
        for name in _SUBRESOURCES:
            tail = "".join(part.capitalize() for part in name.split("_"))
            parts[name] = f"{self.path}/{tail}.json"
        return {
            "sid": self.sid,
            "account_sid": self.account,
            "api_version": VERSION,
            "to": self.to,
            "to_formatted": self.to,
            "from": self.from_,
            "from_formatted": _formatted(self.from_),
            "direction": "outbound-api",
            "status": self.status,
            "answered_by": None,
            "start_time": rfc2822(self.started),
            "end_time": rfc2822(self.ended),
            "duration": None if self.duration is None else str(self.duration),
            "price": None,
            "price_unit": "USD",
            "date_created": None if self.status == "queued" else rfc2822(self.created),
            "date_updated": None if self.status == "queued" else rfc2822(now()),
            "parent_call_sid": None,
            "phone_number_sid": self.phone_number,
            "forwarded_from": None,
            "caller_name": None,
            "group_sid": None,
            "queue_time": "0",
            "trunk_sid": None,
            "uri": f"{self.path}.json",
            "subresource_uris": parts,
        }


class Phone:
    """The calls of one emulated Twilio."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio
        self._calls: dict[str, Call] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}

    def operations(self, account: str) -> list[Operation]:
        """Return what is served."""
        one = account + "/Calls/{sid:[^/.]+}"
        return [
            ("POST", f"{account}/Calls", "calls.create", self._create),
            ("GET", f"{account}/Calls", "calls.list", self._list),
            ("GET", one, "calls.fetch", self._fetch),
            ("POST", one, "calls.update", self._update),
            ("DELETE", one, "calls.delete", self._delete),
        ]

    async def _create(self, exchange: Exchange) -> Mapping[str, Any]:
        fields = Fields(exchange.body)
        _check(fields)
        account = exchange.request.match_info["account"]
        if fields.text("Url") and fields.text("Twiml"):
            exchange.note("Twiml is ignored beside Url")
        if fields.text("MachineDetection") and not fields.flag("AsyncAmd"):
            exchange.note("MachineDetection without AsyncAmd holds the call's start")
        call = Call(
            sid=self._twilio.sids.new("CA"),
            account=account,
            to=fields.text("To") or "",
            from_=fields.text("From") or "",
            url=fields.text("Url"),
            method=fields.text("Method") or "POST",
            twiml=fields.text("Twiml"),
            callback=fields.text("StatusCallback"),
            callback_method=fields.text("StatusCallbackMethod") or "POST",
            events=frozenset(fields.all("StatusCallbackEvent")) or frozenset({"completed"}),
            phone_number=self._twilio.sids.new("PN"),
        )
        self._calls[call.sid] = call
        shown = call.resource()
        if account != TEST_ACCOUNT_SID:
            life = self._twilio.own(self._live(call), f"call {call.sid}")
            self._lives[call.sid] = life
            life.add_done_callback(lambda _: self._lives.pop(call.sid, None))
        return shown

    async def _list(self, exchange: Exchange) -> Mapping[str, Any]:
        account = exchange.request.match_info["account"]
        query = exchange.query
        found = [each for each in self._calls.values() if each.account == account]
        for name in ("To", "From", "Status"):
            if wanted := query.get(name):
                found = [each for each in found if each.resource()[name.lower()] == wanted[-1]]
        path = f"/{VERSION}/Accounts/{account}/Calls.json"
        return page("calls", path, [each.resource() for each in found[::-1]], query)

    def _call(self, exchange: Exchange) -> Call:
        match = exchange.request.match_info
        found = self._calls.get(match["sid"])
        if found is None or found.account != match["account"]:
            raise coded(20404, exchange.request.path)
        return found

    async def _fetch(self, exchange: Exchange) -> Mapping[str, Any]:
        return self._call(exchange).resource()

    async def _delete(self, exchange: Exchange) -> None:
        call = self._call(exchange)
        if call.status not in ENDED:
            raise coded(20009)
        del self._calls[call.sid]

    async def _update(self, exchange: Exchange) -> Mapping[str, Any]:
        call = self._call(exchange)
        fields = Fields(exchange.body)
        _check_common(fields)
        status = fields.choice("Status", ("completed", "canceled"))
        if call.status in ENDED or (status == "canceled" and call.status == "in-progress"):
            raise coded(21220)
        if callback := fields.text("StatusCallback"):
            call.callback = callback
        if status is not None:
            if life := self._lives.pop(call.sid, None):
                life.cancel()
            self._step(call, status)
            return call.resource()
        url, twiml = fields.text("Url"), fields.text("Twiml")
        if url or twiml:
            call.url, call.twiml = url, twiml
            call.method = fields.text("Method") or "POST"
            if call.status == "in-progress":
                self._twilio.own(self._ask(call), f"twiml {call.sid}")
        return call.resource()

    async def _live(self, call: Call) -> None:
        ctx = self._twilio.ctx
        rng = random.Random(f"{ctx.seed}/{ctx.provider}/call/{call.sid}")
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._tell(call, "initiated")
        steps = [(status, draw(delay, rng)) for status, delay in ctx.scenario.call_statuses]
        for status, delay in sorted(steps, key=lambda step: step[1]):
            await asyncio.sleep(max(0.0, began + delay - loop.time()))
            self._step(call, status)
            if status == "in-progress":
                self._twilio.own(self._ask(call), f"twiml {call.sid}")

    async def _ask(self, call: Call) -> None:
        """Ask the application what to do: the TwiML is kept in the journal, not carried out."""
        if call.url is None:
            return
        await self._deliver(call, "call", call.url, call.method, {})

    def _step(self, call: Call, status: str) -> None:
        call.status = status
        if status == "in-progress":
            call.started = now()
        if status in ENDED:
            call.ended = now()
        self._tell(call, _EVENTS.get(status, status))

    def _tell(self, call: Call, event: str) -> None:
        if call.callback is None or event not in call.events:
            return
        extra = {
            "Timestamp": rfc2822(now()) or "",
            "SequenceNumber": str(call.told),
            "CallbackSource": "call-progress-events",
        }
        if call.duration is not None:
            extra["CallDuration"] = str(call.duration)
        call.told += 1
        status = call.status if event != "initiated" else "initiated"
        self._twilio.own(
            self._deliver(
                call,
                "call-status",
                call.callback,
                call.callback_method,
                {"CallStatus": status, **extra},
            ),
            f"call status {call.sid}",
        )

    async def _deliver(
        self, call: Call, kind: str, url: str, method: str, extra: Mapping[str, str]
    ) -> None:
        told = call_fields(
            call.sid,
            call.account,
            from_=call.from_,
            to=call.to,
            status=call.status,
            direction="outbound-api",
        )
        webhooks = self._twilio.webhooks
        webhook = webhooks.new(
            kind=kind, url=url, sid=call.sid, method=method, fields={**told, **extra}
        )
        await webhooks.deliver(webhook)


def _check(fields: Fields) -> None:
    """Check a request to call. The codes are the dictionary's; the sheet has none for calls."""
    to, sender = fields.text("To"), fields.text("From")
    if to is None:
        raise coded(21201)
    if sender is None:
        raise coded(21213)
    if not to.startswith(("sip:", "client:")):
        check_number(to, code=21211)
    if to in MAGIC_TO:
        raise coded(MAGIC_TO[to], to)
    if not sender.startswith("client:"):
        check_number(sender, code=21212)
    if sender in MAGIC_FROM:
        raise coded(MAGIC_FROM[sender], sender)
    if not (fields.text("Url") or fields.text("Twiml") or fields.sid("ApplicationSid", "AP")):
        raise coded(21205)
    fields.number("Timeout", 1, 600)
    fields.number("TimeLimit", 1)
    if not re.fullmatch(r"[0-9A-D#*wW]{0,32}", fields.text("SendDigits") or ""):
        raise coded(20001, "SendDigits")
    for name, (low, high) in _MACHINE_RANGES.items():
        fields.number(name, low, high)
    for name in ("AsyncAmd", "Record"):
        fields.flag(name)
    if not set(fields.all("StatusCallbackEvent")) <= _STATUS_EVENTS:
        raise coded(20001, "StatusCallbackEvent")
    _check_common(fields)


def _check_common(fields: Fields) -> None:
    for name, allowed in _CHOICES.items():
        fields.choice(name, allowed)
    for name in _URLS:
        if url := fields.text(name):
            check_url(url, code=21205 if name == "Url" else 21609)
    if len(fields.text("Twiml") or "") > MAX_TWIML:
        raise coded(20001, f"Twiml has more than {MAX_TWIML} characters")


def _formatted(number: str) -> str:
    """Return a North American number as people there write it."""
    found = re.fullmatch(r"\+1(\d{3})(\d{3})(\d{4})", number)
    return f"({found[1]}) {found[2]}-{found[3]}" if found else number
