"""What Twilio tells applications when something happens: a message comes in, a call, a status.

And what it does with the answer: TwiML messages go to the user, as the application's reply.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicekit.emulator.endpoints import ACCOUNT_SID
from voicekit.emulator.providers.twilio_delivery import status_fields
from voicekit.emulator.providers.twilio_inbound import Attachment, CalledBack, inbound_fields
from voicekit.emulator.providers.twilio_messages import Media, Message
from voicekit.emulator.providers.twilio_phone import call_fields
from voicekit.emulator.providers.twilio_webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from voicekit.emulator.journal import WebhookRecord
    from voicekit.emulator.providers.twilio import Twilio


class Telling:
    """Tells applications, for one emulated Twilio."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio

    async def tell(self, kind: str, **arguments: Any) -> CalledBack:
        """Tell something of a kind; the arguments are those that `CallsBack` passes."""
        tellers: dict[str, Callable[..., Awaitable[CalledBack]]] = {
            "message": self._message,
            "again": self._again,
            "status": self._status,
            "call": self._call,
        }
        return await tellers[kind](**arguments)

    async def _message(
        self,
        *,
        url: str,
        body: str,
        files: list[Attachment],
        from_: str,
        to: str,
        profile: str,
        fields: Mapping[str, str],
        method: str,
        fallback: str | None,
        redeliver: int,
        concurrent: bool,
        pause: float,
        signing: Mapping[str, str | None],
    ) -> CalledBack:
        twilio = self._twilio
        message = Message(
            sid=twilio.sids.new("MM" if files else "SM"),
            account=ACCOUNT_SID,
            to=to,
            from_=from_,
            body=body,
            direction="inbound",
            status="received",
        )
        message.media = [
            Media(
                sid=twilio.sids.new("ME"),
                account=ACCOUNT_SID,
                parent=message.sid,
                content_type=each.content_type,
                data=each.data,
            )
            for each in files
        ]
        message.sent = message.created
        twilio.messages.add(message)
        webhook = twilio.webhooks.new(
            kind="message",
            url=url,
            sid=message.sid,
            method=method,
            fields=inbound_fields(message, origin=twilio.origin, profile=profile, extra=fields),
            **signing,
        )
        records = await self._deliveries(
            webhook, message, fallback, times=1 + redeliver, concurrent=concurrent, pause=pause
        )
        media = tuple(f"{twilio.origin}{each.path}" for each in message.media)
        return _called_back(webhook, records, media)

    async def _deliveries(
        self,
        webhook: Webhook,
        message: Message,
        fallback: str | None,
        *,
        times: int,
        concurrent: bool,
        pause: float,
    ) -> list[WebhookRecord]:
        async def once(number: int) -> list[WebhookRecord]:
            if concurrent and number and pause:
                await asyncio.sleep(number * pause)
            return await self._deliver(webhook, message, fallback)

        if concurrent:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(once(number)) for number in range(times)]
            found = [record for task in tasks for record in task.result()]
            return sorted(found, key=lambda record: record.id)
        records: list[WebhookRecord] = []
        for number in range(times):
            if number and pause:
                await asyncio.sleep(pause)
            records += await once(number)
        return records

    async def _deliver(
        self, webhook: Webhook, message: Message, fallback: str | None
    ) -> list[WebhookRecord]:
        records = await self._twilio.webhooks.deliver(webhook)
        if records[-1].error is not None and fallback is not None:
            failed = {"ErrorCode": str(records[-1].error), "ErrorUrl": webhook.url}
            records += await self._twilio.webhooks.deliver(
                Webhook(
                    kind="fallback",
                    url=fallback,
                    sid=webhook.sid,
                    token=webhook.token,
                    fields={**webhook.fields, **failed},
                )
            )
        await self._reply(message, records[-1])
        return records

    async def _reply(self, message: Message, record: WebhookRecord) -> None:
        """Send what the answer's TwiML says to who wrote."""
        twilio = self._twilio
        for reply in record.messages:
            urls = tuple(reply["media"])
            answer = Message(
                sid=twilio.sids.new("MM" if urls else "SM"),
                account=message.account,
                to=reply["to"] or message.from_ or "",
                from_=reply["from_"] or message.to,
                body=reply["body"],
                direction="outbound-reply",
                status="queued",
                status_callback=reply["status_callback"],
            )
            answer.media = [twilio.outbound_media(answer) for _ in urls]
            twilio.messages.add(answer)
            await twilio.deliveries.accept(answer, source="twiml", urls=urls, webhook=record.id)

    async def _again(self, *, told: CalledBack, url: str) -> CalledBack:
        message = self._twilio.messages.find(ACCOUNT_SID, told.sid)
        first = told.webhooks[0]
        webhook = Webhook(
            kind=first.kind,
            url=url,
            sid=told.sid,
            token=told.token,
            method=first.method,
            fields=told.fields,
        )
        if message is None or first.kind != "message":
            records = await self._twilio.webhooks.deliver(webhook)
        else:
            records = await self._deliver(webhook, message, None)
        return _called_back(webhook, records, told.media)

    async def _status(
        self, *, url: str, sid: str, status: str, fields: Mapping[str, str]
    ) -> CalledBack:
        message = self._twilio.messages.find(ACCOUNT_SID, sid) or Message(
            sid=sid,
            account=ACCOUNT_SID,
            to="whatsapp:+390212345678",
            from_="whatsapp:+14155238886",
            body="",
            direction="outbound-api",
            status=status,
        )
        told = status_fields(message, status, install=f"XE{ACCOUNT_SID[2:]}")
        return await self._plain("status", url, sid, {**told, **fields})

    async def _call(
        self, *, url: str, from_: str, to: str, fields: Mapping[str, str], method: str
    ) -> CalledBack:
        sid = self._twilio.sids.new("CA")
        told = call_fields(
            sid, ACCOUNT_SID, from_=from_, to=to, status="ringing", direction="inbound"
        )
        return await self._plain("call", url, sid, {**told, **fields}, method)

    async def _plain(
        self, kind: str, url: str, sid: str, fields: Mapping[str, str], method: str = "POST"
    ) -> CalledBack:
        webhooks = self._twilio.webhooks
        webhook = webhooks.new(kind=kind, url=url, sid=sid, method=method, fields=fields)
        return _called_back(webhook, await webhooks.deliver(webhook))


def _called_back(
    webhook: Webhook, records: Sequence[WebhookRecord], media: tuple[str, ...] = ()
) -> CalledBack:
    return CalledBack(
        url=webhook.url,
        sid=webhook.sid,
        token=webhook.token,
        fields=dict(webhook.fields),
        media=media,
        webhooks=tuple(records),
    )
