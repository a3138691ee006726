"""Requests that Twilio makes to an application: signed, limited in time, tried again as asked.

Source: fact sheet of 2026-11, §4 (headers), §5 (limits, overrides in the URL's fragment), §6.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlencode

import aiohttp
from yarl import URL

from voicekit.emulator.body import uuid_of
from voicekit.emulator.journal import Journal, WebhookRecord
from voicekit.emulator.providers.twilio_signing import sign
from voicekit.emulator.providers.twilio_twiml import TwimlError, read_messaging

MAX_TOKENS = 10_000
"""Deliveries counted; of older ones an attempt is the first again."""

MAX_ANSWER_BYTES = 64 << 10
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
FORM = "application/x-www-form-urlencoded; charset=utf-8"

# Source: sheet §5. Milliseconds: default, least, most.
_TIMES = {"ct": (5_000, 100, 10_000), "rt": (15_000, 100, 15_000), "tt": (15_000, 100, 15_000)}
_MAX_RETRIES = 5
_POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})

RETRIEVAL_FAILED = 11200
CONNECTION_FAILED = 11205


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a URL's fragment says about calling it; seconds. It is retried after its policy."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, url: str) -> Overrides:
        """Read the fragment of a URL; what is out of its range is ignored."""
        asked = dict(parse_qsl(urldefrag(url).fragment))
        times = {key: default for key, (default, _, _) in _TIMES.items()}
        retries, policy, notes = 1, frozenset({"ct"}), []
        for key, value in asked.items():
            if key in _TIMES and value.isdigit() and _TIMES[key][1] <= int(value) <= _TIMES[key][2]:
                times[key] = int(value)
            elif key == "rc" and value.isdigit() and int(value) <= _MAX_RETRIES:
                retries = int(value)
            elif key == "rp" and set(value.split(",")) <= _POLICIES:
                policy = frozenset(value.split(","))
            elif key not in {"e", "sni"}:
                notes.append(f"override {key}={value} ignored")
        return cls(
            connect=times["ct"] / 1000,
            read=times["rt"] / 1000,
            total=times["tt"] / 1000,
            retries=retries,
            policy=policy,
            notes=tuple(notes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One thing to tell an application.

    Attributes:
        token: The idempotency token; every delivery of it carries the same one.
        signed_for: The address that is signed, where it is not the one that is called.
        secret: Signs, in place of the account's token.
        shared_key: Name of a shared key whose secret that is, or None.
    """

    kind: str
    url: str
    sid: str
    token: str
    method: str = "POST"
    fields: Mapping[str, str] = field(repr=False)
    signed_for: str | None = None
    secret: str | None = field(default=None, repr=False)
    shared_key: str | None = None

    def request(self, secret: str) -> tuple[str, bytes, dict[str, str]]:
        """Return the address, the body and the headers, signed with an auth token."""
        url, body = urldefrag(self.url).url, b""
        seen = urldefrag(self.signed_for or self.url).url
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "I-Twilio-Idempotency-Token": self.token,
            "X-Home-Region": "us1",
        }
        signed: list[tuple[str, str]] = []
        if self.method == "GET":
            if self.fields:
                query = urlencode(self.fields)
                url, seen = (f"{each}{'&' if '?' in each else '?'}{query}" for each in (url, seen))
        else:
            signed = list(self.fields.items())
            body = urlencode(self.fields).encode()
            headers["Content-Type"] = FORM
        algorithm = "sha1"
        if self.shared_key is not None:
            algorithm = "sha256"
            headers[SETTINGS] = f"key={self.shared_key},algorithm=HMAC_SHA256"
        secret = self.secret or secret
        headers["X-Twilio-Signature"] = sign(seen, signed, secret, algorithm=algorithm)
        return url, body, headers


class Webhooks:
    """Calls applications, and keeps what came back in the journal.

    `secret` is the auth token that signs; `trust` makes the TLS settings, once.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        provider: str,
        secret: str,
        rng: random.Random,
        trust: Callable[[], ssl.SSLContext | bool],
    ) -> None:
        self._journal = journal
        self._provider = provider
        self._secret = secret
        self._rng = rng
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        self._attempts: dict[str, int] = {}

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections to applications; made with the first request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._trust(), limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def new(self, **facts: Any) -> Webhook:
        """Return a webhook with an idempotency token of its own."""
        return Webhook(token=uuid_of(self._rng), **facts)

    async def deliver(self, webhook: Webhook) -> list[WebhookRecord]:
        """Call once, and again as the URL's overrides say; never raises for what the other does.

        The last of the records, one per try, tells how it ended.
        """
        rules = Overrides.of(webhook.url)
        deadline = asyncio.get_running_loop().time() + rules.total
        records: list[WebhookRecord] = []
        for _ in range(1 + rules.retries):
            record = await self._try(webhook, rules, deadline)
            records.append(record)
            if not record.failure or not rules.policy & {record.failure, "all"}:
                break
            if asyncio.get_running_loop().time() >= deadline:
                break
        return records

    async def _try(self, webhook: Webhook, rules: Overrides, deadline: float) -> WebhookRecord:
        if len(self._attempts) > MAX_TOKENS:
            del self._attempts[next(iter(self._attempts))]
        attempt = self._attempts[webhook.token] = self._attempts.get(webhook.token, 0) + 1
        record = self._journal.open_webhook(
            self._provider,
            kind=webhook.kind,
            url=webhook.url,
            method=webhook.method,
            sid=webhook.sid,
            token=webhook.token,
            attempt=attempt,
            fields=dict(webhook.fields),
            notes=list(rules.notes),
        )
        try:
            await self._exchange(webhook, record, rules, deadline)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            record.failure, record.error = "ct", CONNECTION_FAILED
        except TimeoutError as late:
            spent = asyncio.get_running_loop().time() >= deadline
            whole = not isinstance(late, aiohttp.ServerTimeoutError) or spent
            record.failure, record.error = "tt" if whole else "rt", RETRIEVAL_FAILED
        except (aiohttp.ClientError, ValueError, OSError) as broken:
            record.notes.append(type(broken).__name__)
            record.failure, record.error = "rt", RETRIEVAL_FAILED
        finally:
            record.finished_at = self._journal.now()
        return record

    async def _exchange(
        self, webhook: Webhook, record: WebhookRecord, rules: Overrides, deadline: float
    ) -> None:
        url, body, headers = webhook.request(self._secret)
        left = max(0.001, deadline - asyncio.get_running_loop().time())
        limits = aiohttp.ClientTimeout(total=left, sock_connect=rules.connect, sock_read=rules.read)
        method = webhook.method
        for _ in range(2):
            async with self.session.request(
                method,
                URL(url, encoded=True),
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=limits,
            ) as response:
                content = await response.content.read(MAX_ANSWER_BYTES)
                while (more := await response.content.readany()) and len(
                    content
                ) < MAX_ANSWER_BYTES:
                    content += more
                record.status = response.status
                record.content_type = response.headers.get("Content-Type", "")
                location = response.headers.get("Location")
            if record.status not in {301, 302} or location is None:
                break
            # Source: sheet §5: followed as GET without the parameters.
            record.notes.append(f"redirected: {record.status}")
            url = str(URL(url, encoded=True).join(URL(location)))
            method, body = "GET", b""
            headers = {key: each for key, each in headers.items() if key != "Content-Type"}
            headers["X-Twilio-Signature"] = sign(url, (), self._secret)
        record.body = content[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
        if record.status >= 400:
            record.failure = f"{record.status // 100}xx"
        if not 200 <= record.status < 300:
            record.error = RETRIEVAL_FAILED
        elif webhook.kind in {"message", "fallback"}:
            self._read(record, content)

    @staticmethod
    def _read(record: WebhookRecord, content: bytes) -> None:
        try:
            messages, ignored = read_messaging(record.content_type, content)
        except TwimlError as wrong:
            record.error = wrong.code
            record.notes.append(str(wrong))
            return
        record.messages = [_plain(asdict(message)) for message in messages]
        record.notes += ignored


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "media": list(values["media"])}
