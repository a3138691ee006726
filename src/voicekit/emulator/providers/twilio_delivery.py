"""The life of an outbound message: what is fetched for it, what it goes through, who is told.

Source: fact sheet of 2026-11, §3 (statuses), §3.3 (failures after acceptance), §7 (callbacks).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from voicekit.emulator.exchange import Context
from voicekit.emulator.journal import DeliveryRecord
from voicekit.emulator.providers.twilio_fetching import DOWNLOAD_FAILED, fetch
from voicekit.emulator.providers.twilio_messages import FINAL, Message, Messages, now
from voicekit.emulator.providers.twilio_webhooks import Webhook, Webhooks
from voicekit.emulator.scenario import draw

OUTSIDE_WINDOW = 63016
EXPIRED = 30036

_RANK = {"accepted": 0, "scheduled": 0, "queued": 0, "sending": 1, "sent": 2, "delivered": 3}
_RANK |= {"read": 4}
_REFUSED = frozenset({30036, 63018, 63019, 63021, 63016})
"""Codes with which a message never leaves: it is `failed`; with others it is `undelivered`."""

_EVENTS = {"delivered": "DELIVERED", "read": "READ", "undelivered": "UNDELIVERED"}


class Deliveries:
    """Takes messages from their acceptance to their users; `own` starts a task of the provider."""

    def __init__(
        self,
        ctx: Context,
        *,
        messages: Messages,
        webhooks: Webhooks,
        own: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._ctx = ctx
        self._messages = messages
        self._webhooks = webhooks
        self._own = own
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._count = 0

    async def accept(
        self,
        message: Message,
        *,
        source: Literal["rest", "twiml"],
        urls: tuple[str, ...],
        request: int | None = None,
        webhook: int | None = None,
        deliver: bool = True,
    ) -> DeliveryRecord:
        """Take a message, stored already; returns once it may be said that it was taken.

        It was sent by a request or by a webhook's answer; without `deliver`, for test credentials,
        nothing more happens to it.
        """
        ctx = self._ctx
        self._count += 1
        rng = random.Random(f"{ctx.seed}/{ctx.provider}/message/{self._count}")
        accepted = asyncio.get_running_loop().time()
        record = ctx.journal.open_delivery(
            ctx.provider,
            sid=message.sid,
            sender=message.from_,
            recipient=message.to,
            source=source,
            body=message.body,
            media=[{"url": url} for url in urls],
            content_sid=message.content_sid,
            content_variables=message.content_variables,
            request=request,
            webhook=webhook,
            status=message.status,
        )
        if not deliver:
            return record
        failure = self._failure(message)
        steps = [(status, draw(delay, rng)) for status, delay in ctx.scenario.message_statuses]
        early = [status for status, delay in steps if delay < 0 and failure is None]
        for status in early:
            if told := self._step(message, record, status):
                await asyncio.wait([told])
        later = sorted(((s, d) for s, d in steps if d >= 0), key=lambda step: step[1])
        life = self._own(
            self._live(message, record, later, accepted, failure), f"message {message.sid}"
        )
        self._lives[message.sid] = life
        life.add_done_callback(lambda _: self._lives.pop(message.sid, None))
        return record

    def cancel(self, message: Message) -> bool:
        """Stop a message that has not left yet, and return whether that was possible."""
        if message.status not in {"accepted", "scheduled", "queued"}:
            return False
        if life := self._lives.pop(message.sid, None):
            life.cancel()
        message.status, message.updated = "canceled", now()
        for record in self._ctx.journal.sent_to(message.to):
            if record.sid == message.sid:
                record.status = "canceled"
        return True

    def _failure(self, message: Message) -> int | None:
        scenario = self._ctx.scenario
        scripted = scenario.message_error
        if isinstance(scripted, int):
            return scripted
        if scripted is not None and (code := scripted.get(message.to, scripted.get(""))):
            return code
        window = scenario.message_window
        if window is None or not message.whatsapp or message.content_sid is not None:
            return None
        last = self._messages.last_from(message.to, message.from_)
        inside = last is not None and (now() - last).total_seconds() <= window
        return None if inside else OUTSIDE_WINDOW

    async def _live(
        self,
        message: Message,
        record: DeliveryRecord,
        steps: list[tuple[str, float]],
        accepted: float,
        failure: int | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        if message.send_at is not None:
            await asyncio.sleep(max(0.0, (message.send_at - now()).total_seconds()))
            message.status, accepted = "queued", loop.time()
        if failure is None and self._ctx.scenario.message_fetches_media and record.media:
            failure = await self._fetch(message, record)
        if failure is not None:
            delay = steps[0][1] if steps else 0.0
            await asyncio.sleep(max(0.0, accepted + delay - loop.time()))
            self._fail(message, record, failure)
            return
        for status, delay in steps:
            if status == "sent" and delay > message.validity:
                await asyncio.sleep(max(0.0, accepted + message.validity - loop.time()))
                self._fail(message, record, EXPIRED)
                return
            if status == "read" and not message.whatsapp:
                continue  # only chats tell
            await asyncio.sleep(max(0.0, accepted + delay - loop.time()))
            self._step(message, record, status)

    def _step(
        self, message: Message, record: DeliveryRecord, status: str
    ) -> asyncio.Task[None] | None:
        if _RANK.get(status, 9) > _RANK.get(message.status, 0) or status in FINAL - _RANK.keys():
            message.status = record.status = status
        message.updated = now()
        if status not in {"queued", "accepted"} and message.sent is None:
            message.sent = now()
        if status in {"delivered", "read"} and record.delivered_at is None:
            record.delivered_at = self._ctx.journal.now()
        return self._tell(message, status)

    def _fail(self, message: Message, record: DeliveryRecord, code: int) -> None:
        message.status = record.status = "failed" if code in _REFUSED else "undelivered"
        message.error = record.error = code
        message.updated = now()
        self._tell(message, message.status)

    async def _fetch(self, message: Message, record: DeliveryRecord) -> int | None:
        for at, (media, shown) in enumerate(zip(message.media, record.media, strict=True)):
            found, data = await fetch(
                self._webhooks.session, shown["url"], whatsapp=message.whatsapp
            )
            record.media[at] = found
            if data is None:
                code: int = found["error"] or DOWNLOAD_FAILED
                return code
            media.data = data
            media.content_type = found["content_type"].partition(";")[0]
        return None

    def _tell(self, message: Message, status: str) -> asyncio.Task[None] | None:
        """Call the status callback in the background, after those of this message before it.

        A slow application delays no message; and the order in which it hears is the scenario's.
        """
        if message.status_callback is None:
            return None
        webhook = self._webhooks.new(
            kind="status",
            url=message.status_callback,
            sid=message.sid,
            fields=status_fields(message, status, install=f"XE{message.account[2:]}"),
        )
        before = self._telling.get(message.sid)
        telling = self._own(self._deliver(webhook, before), f"status {message.sid}")
        self._telling[message.sid] = telling
        telling.add_done_callback(lambda task: self._told(message.sid, task))
        return telling

    def _told(self, sid: str, task: asyncio.Task[None]) -> None:
        if self._telling.get(sid) is task:
            del self._telling[sid]

    async def _deliver(self, webhook: Webhook, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await self._webhooks.deliver(webhook)


def status_fields(message: Message, status: str, *, install: str) -> dict[str, str]:
    """Return the fields of a status callback. Source: sheet §7."""
    fields = {
        "SmsSid": message.sid,
        "SmsStatus": status,
        "MessageStatus": status,
        "To": message.to,
        "MessageSid": message.sid,
        "AccountSid": message.account,
        "From": message.from_ or "",
        "ApiVersion": "2010-04-01",
    }
    if message.whatsapp:
        fields["ChannelPrefix"] = "whatsapp"
        fields["ChannelInstallSid"] = install
        fields["ChannelToAddress"] = f"{message.to.removeprefix('whatsapp:')[:-4]}XXXX"
        fields["StructuredMessage"] = "false"
        if status in _EVENTS:
            fields["EventType"] = _EVENTS[status]
    if message.error is not None and status in {"failed", "undelivered"}:
        fields["ErrorCode"] = str(message.error)
        fields["ErrorMessage"] = f"Error {message.error}"
        if message.whatsapp:
            fields["ChannelStatusMessage"] = f"Error {message.error}"
    return fields
