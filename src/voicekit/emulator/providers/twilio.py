"""Twilio: its REST for messages, media and calls, and the webhooks with which it calls back.

Source: this project's fact sheet of 2026-11 (SDK twilio 9.13.0, OpenAPI, recorded traffic).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web
from typing_extensions import override

from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.providers import twilio_media
from voicekit.emulator.providers.base import Context, Exchange, Provider
from voicekit.emulator.providers.twilio_delivery import Deliveries
from voicekit.emulator.providers.twilio_form import Fields
from voicekit.emulator.providers.twilio_inbound import CalledBack
from voicekit.emulator.providers.twilio_messages import (
    TEST_ACCOUNT_SID,
    VERSION,
    Media,
    Message,
    Messages,
    Sids,
    now,
    rfc2822,
)
from voicekit.emulator.providers.twilio_phone import Phone
from voicekit.emulator.providers.twilio_refusals import RefusalError, coded, to_xml, unauthenticated
from voicekit.emulator.providers.twilio_rest import Rest
from voicekit.emulator.providers.twilio_telling import Telling
from voicekit.emulator.providers.twilio_webhooks import Webhooks

_ACCOUNT = f"/{VERSION}/Accounts/{{account}}"
WRONG = "Your AccountSid or AuthToken was incorrect."
_TEST_OPERATIONS = frozenset({"messages.create", "calls.create"})


class Twilio(Provider):
    """The parts of `api.twilio.com` and `messaging.twilio.com` that voicekit uses."""

    name = "twilio"

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.sids = Sids(ctx.seed)
        self.messages = Messages()
        self.webhooks = Webhooks(
            ctx.journal,
            provider=self.name,
            secret=AUTH_TOKEN,
            rng=random.Random(f"{ctx.seed}/twilio/tokens"),
            trust=self._trust,
        )
        self.deliveries = Deliveries(
            ctx, messages=self.messages, webhooks=self.webhooks, own=self.own
        )
        self.telling = Telling(self)
        self.rest = Rest(self)
        self.phone = Phone(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._under_way = 0
        self._requests = random.Random(f"{ctx.seed}/twilio/requests")

    # -- life --

    def own(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task that ends with the emulator."""
        task = asyncio.create_task(work, name=f"voicekit emulator twilio {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call_back(self, kind: str, arguments: dict[str, Any]) -> asyncio.Task[CalledBack]:
        """Begin to tell an application of something; see `CallsBack`."""
        return self.own(self.telling.tell(kind, **arguments), f"webhook {kind}")

    @override
    async def stop(self) -> None:
        """End what is under way, and the connections to applications."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.webhooks.aclose()

    @property
    def origin(self) -> str:
        """This host, as clients see it."""
        url: str = self.ctx.world.endpoint(self.name).url
        return url

    @property
    def content(self) -> twilio_media.TwilioMedia:
        """The host of the files."""
        found: twilio_media.TwilioMedia = self.ctx.world.provider(twilio_media.PROVIDER)
        return found

    def outbound_media(self, message: Message) -> Media:
        """Return a file of an outbound message; its type is known once it was fetched."""
        return Media(
            sid=self.sids.new("ME"),
            account=message.account,
            parent=message.sid,
            content_type="application/octet-stream",
        )

    def _trust(self) -> ssl.SSLContext | bool:
        if self.ctx.world.ca_file is None:
            return True
        context = ssl.create_default_context()
        context.load_verify_locations(self.ctx.world.ca_file)
        return context

    # -- what the vendor looks like --

    @override
    def routes(self, router: web.UrlDispatcher) -> None:
        """Register the operations served, as JSON and, without ``.json``, as XML."""
        operations = [
            ("GET", _ACCOUNT, "account.fetch", self._account),
            *self.rest.operations(_ACCOUNT),
            *self.phone.operations(_ACCOUNT),
        ]
        for method, path, operation, handler in operations:
            for suffix in (".json", ""):
                self._add(router, method, path + suffix, operation, handler)
        for exact in self.rest.files(_ACCOUNT):
            self._add(router, *exact)
        for version in ("v2", "v3"):
            self._add(router, "POST", f"/{version}/Indicators/Typing.json", "typing", self._typing)

    def _add(
        self,
        router: web.UrlDispatcher,
        method: str,
        path: str,
        operation: str,
        handler: Callable[[Exchange], Awaitable[Any]],
    ) -> None:
        async def serve(exchange: Exchange) -> web.StreamResponse:
            self._under_way += 1
            try:
                self._check_rights(exchange)
                answered = await handler(exchange)
                if isinstance(answered, web.StreamResponse):
                    return answered
                status = 201 if operation.endswith(".create") else 200
                return self._shown(exchange, answered, status=status)
            except RefusalError as refusal:
                return self._refused(exchange, refusal)
            finally:
                self._under_way -= 1

        self.add(router, method, path, operation, serve)

    @override
    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return what every answer carries. Source: sheet §2.5."""
        spent = self.ctx.journal.now() - exchange.record.received_at
        return {
            "Twilio-Concurrent-Requests": str(max(1, self._under_way)),
            "Twilio-Request-Id": f"RQ{self._requests.getrandbits(128):032x}",
            "Twilio-Request-Duration": f"{spent:.3f}",
            "X-Home-Region": "us1",
            "X-Api-Domain": "api.twilio.com",
            "X-Powered-By": "AT-5000",
            "X-Shenanigans": "none",
            "Strict-Transport-Security": "max-age=31536000",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": (
                "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, "
                "If-Unmodified-Since, Idempotency-Key"
            ),
            "Access-Control-Expose-Headers": "ETag",
            "Access-Control-Allow-Credentials": "true",
        }

    @override
    def credential(self, request: web.Request) -> str | None:
        """Return the password of Basic authentication; None for anything else."""
        found = _basic(request)
        return found[1] if found and found[0][:2] in {"AC", "SK"} else None

    @override
    def unauthorized(self, exchange: Exchange, key: str | None) -> web.Response:
        """Refuse as recorded."""
        if _basic(exchange.request) is None:
            refusal = unauthenticated("No credentials provided", "No credentials provided")
            response = self._refused(exchange, refusal)
            response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
            return response
        reason = "invalid username" if key is None else "invalid username or password"
        return self._refused(exchange, unauthenticated(WRONG, reason))

    @override
    def error(self, exchange: Exchange, status: int) -> web.Response:
        if status == 401:
            return self.unauthorized(exchange, "")
        if status in {502, 503, 504}:  # not the API's own words. Source: sheet §2.6
            page = f"<html><head><title>{status}</title></head><body>{status}</body></html>"
            headers = exchange.headers({"Content-Type": "text/html"})
            return web.Response(text=page, status=status, headers=headers)
        code = {403: 20403, 404: 20404, 429: 20429}.get(status, 20001 if status < 500 else 20500)
        subject = exchange.request.path if code == 20404 else ""
        refusal = coded(code, subject)
        refusal.status = status
        return self._refused(exchange, refusal)

    def _refused(self, exchange: Exchange, refusal: RefusalError) -> web.Response:
        return self._shown(exchange, refusal.body(), status=refusal.status, error=True)

    def _shown(
        self,
        exchange: Exchange,
        content: Mapping[str, Any] | None,
        *,
        status: int,
        error: bool = False,
    ) -> web.Response:
        if content is None:
            return web.Response(status=204, headers=exchange.headers())
        path = exchange.request.path
        if path.endswith(".json") or not path.startswith(f"/{VERSION}/"):
            return exchange.answer(content, status=status)
        name = "rest_exception" if error else exchange.record.operation.partition(".")[0]
        single = name.removesuffix("s") if "sid" in content else name
        body = to_xml({single: dict(content)})
        headers = exchange.headers({"Content-Type": "application/xml"})
        return web.Response(body=body, status=status, headers=headers)

    def _check_rights(self, exchange: Exchange) -> None:
        """Check who may do what. Source: sheet §2.2."""
        username = (_basic(exchange.request) or ("", ""))[0]
        account = exchange.request.match_info.get("account")
        operation = exchange.record.operation
        if account is None:
            return
        if username.startswith("AC") and username != account:
            raise unauthenticated(WRONG, "invalid username")
        if username.startswith("SK") and operation == "account.fetch":
            raise unauthenticated("This API key is not allowed to do that.", "key not allowed")
        if account == TEST_ACCOUNT_SID and operation not in _TEST_OPERATIONS:
            raise coded(20403)

    # -- account, typing --

    async def _account(self, exchange: Exchange) -> Mapping[str, Any]:
        """Show the account, its token in clear, as the vendor does. Source: sheet §2.4."""
        account = exchange.request.match_info["account"]
        path = f"/{VERSION}/Accounts/{account}"
        return {
            "auth_token": AUTH_TOKEN,
            "date_created": rfc2822(now()),
            "date_updated": rfc2822(now()),
            "friendly_name": "Emulator",
            "owner_account_sid": account,
            "sid": account,
            "status": "active",
            "subresource_uris": {
                "messages": f"{path}/Messages.json",
                "calls": f"{path}/Calls.json",
            },
            "type": "Full",
            "uri": f"{path}.json",
        }

    async def _typing(self, exchange: Exchange) -> Mapping[str, Any]:
        """Take a typing indicator: a form in v2, JSON in v3. Source: sheet §3.2."""
        if exchange.request.path.startswith("/v3"):
            try:
                body = json.loads(exchange.body)
            except ValueError:
                body = None
            if not isinstance(body, dict):
                raise coded(20001, "the body must be a JSON object")
            channel, sid = str(body.get("channel") or ""), str(body.get("messageId") or "")
        else:
            fields = Fields(exchange.body)
            channel, sid = fields.text("channel") or "", fields.text("messageId") or ""
        if channel.lower() not in {"whatsapp", "rcs"}:
            raise coded(20001, "channel")
        if sid[:2] not in {"SM", "MM"}:
            raise coded(20001, "messageId")
        if self.messages.find(ACCOUNT_SID, sid) is None:
            exchange.note("no such inbound message")
        return {"success": True}


def _basic(request: web.Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
