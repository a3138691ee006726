"""Twilio's messages and their files over REST.

Source: fact sheet of 2026-11, §3 (send), §3.1 (other operations), §8.1 (files).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from voicekit.emulator.providers import twilio_media
from voicekit.emulator.providers.twilio_form import Fields, check_message
from voicekit.emulator.providers.twilio_messages import (
    TEST_ACCOUNT_SID,
    VERSION,
    Media,
    Message,
    now,
    page,
)
from voicekit.emulator.providers.twilio_refusals import coded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.emulator.providers.base import Exchange
    from voicekit.emulator.providers.twilio import Twilio

Operation = tuple[str, str, str, Callable[["Exchange"], Awaitable[Any]]]
"""Method, path, operation and handler."""

_UNSENT = frozenset({"accepted", "scheduled", "queued", "sending", "receiving"})


class Rest:
    """The messages of one emulated Twilio."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio

    def operations(self, account: str) -> list[Operation]:
        """Return what is served, as JSON and as XML."""
        one = account + "/Messages/{sid:[^/.]+}"
        return [
            ("POST", f"{account}/Messages", "messages.create", self._create),
            ("GET", f"{account}/Messages", "messages.list", self._list),
            ("GET", one, "messages.fetch", self._fetch),
            ("POST", one, "messages.update", self._update),
            ("DELETE", one, "messages.delete", self._delete),
            ("GET", f"{one}/Media", "media.list", self._media_list),
            ("DELETE", one + "/Media/{media:[^/.]+}", "media.delete", self._media_delete),
        ]

    def files(self, account: str) -> list[Operation]:
        """Return what is served at exactly its path: there ``.json`` makes another operation."""
        file = account + "/Messages/{sid:[^/.]+}/Media/{media:[^/.]+}"
        return [
            ("GET", f"{file}.json", "media.fetch", self._media),
            ("GET", file, "media.content", self._media_content),
        ]

    async def _create(self, exchange: Exchange) -> Mapping[str, Any]:
        form = check_message(Fields(exchange.body))
        exchange.note(*form.notes)
        account = exchange.request.match_info["account"]
        status = "queued" if form.service is None else "accepted"
        message = Message(
            sid=self._twilio.sids.new("MM" if form.media else "SM"),
            account=account,
            to=form.to,
            from_=form.from_,
            body=form.body,
            direction="outbound-api",
            status="scheduled" if form.send_at else status,
            service=form.service,
            status_callback=form.status_callback,
            validity=form.validity,
            send_at=form.send_at,
            content_sid=form.content_sid,
            content_variables=form.content_variables,
        )
        message.media = [self._twilio.outbound_media(message) for _ in form.media]
        self._twilio.messages.add(message)
        shown = message.resource()
        await self._twilio.deliveries.accept(
            message,
            source="rest",
            urls=form.media,
            request=exchange.record.id,
            deliver=account != TEST_ACCOUNT_SID,
        )
        await exchange.pause(self._twilio.ctx.scenario.message_accept)
        return shown

    async def _list(self, exchange: Exchange) -> Mapping[str, Any]:
        account = exchange.request.match_info["account"]
        query = exchange.query
        found = [each.resource() for each in self._twilio.messages.listed(account, query)]
        return page("messages", f"/{VERSION}/Accounts/{account}/Messages.json", found, query)

    def _message(self, exchange: Exchange) -> Message:
        match = exchange.request.match_info
        found = self._twilio.messages.find(match["account"], match["sid"])
        if found is None:
            raise coded(20404, exchange.request.path)
        return found

    async def _fetch(self, exchange: Exchange) -> Mapping[str, Any]:
        return self._message(exchange).resource()

    async def _update(self, exchange: Exchange) -> Mapping[str, Any]:
        message = self._message(exchange)
        fields = Fields(exchange.body)
        if fields.choice("Status", ("canceled",)) and not self._twilio.deliveries.cancel(message):
            raise coded(30409)
        if "Body" in fields:
            if fields.text("Body"):
                raise coded(20001, "Body can only be made empty")
            message.body, message.updated = "", now()
        return message.resource()

    async def _delete(self, exchange: Exchange) -> None:
        message = self._message(exchange)
        if message.status in _UNSENT:
            raise coded(20009)
        self._twilio.messages.drop(message)
        for media in message.media:
            self._twilio.content.forget(media)

    def _file(self, exchange: Exchange) -> Media:
        match = exchange.request.match_info
        found = self._twilio.messages.media(match["account"], match["sid"], match["media"])
        if found is None:
            raise coded(20404, exchange.request.path)
        return found

    async def _media_list(self, exchange: Exchange) -> Mapping[str, Any]:
        message = self._message(exchange)
        query = exchange.query
        found = [each.resource() for each in message.media]
        return page("media_list", f"{message.path}/Media.json", found, query)

    async def _media(self, exchange: Exchange) -> Mapping[str, Any]:
        return self._file(exchange).resource()

    async def _media_content(self, exchange: Exchange) -> web.Response:
        media = self._file(exchange)
        if media.missing is None:
            media.missing = self._twilio.ctx.scenario.media_not_ready
        if media.missing > 0 or media.data is None:
            media.missing -= 1
            exchange.note("not there yet")
            raise coded(20404, exchange.request.path)
        await exchange.pause(exchange.draw(self._twilio.ctx.scenario.media_download) / 3)
        host = self._twilio.ctx.world.endpoint(twilio_media.PROVIDER).url
        location = host + self._twilio.content.address(media)
        return web.Response(status=307, headers=exchange.headers({"Location": location}))

    async def _media_delete(self, exchange: Exchange) -> None:
        media = self._file(exchange)
        self._message(exchange).media.remove(media)
        self._twilio.content.forget(media)
