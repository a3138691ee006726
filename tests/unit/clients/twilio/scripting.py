"""A Twilio client on a scripted transport: answers as the sheet has them, requests on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from voicekit import Transport
from voicekit.clients.twilio import (
    TwilioClient,
)
from voicekit.testing.transport import Answer, ScriptedTransport

AC = "AC0123456789abcdef0123456789abcdef"
TOKEN = "marked-token-0123456789"
TO, FROM = "whatsapp:+390212345678", "whatsapp:+14155238886"
HEADERS = {
    "Content-Type": "application/json",
    "Twilio-Request-Id": "RQ01",
    "Twilio-Concurrent-Requests": "3",
    "Twilio-Request-Duration": "0.080",
}
API = f"https://api.twilio.com/2010-04-01/Accounts/{AC}"
FILE = f"{API}/Messages/MM01/Media/ME01"
CDN = "https://mms.twiliocdn.com/x?Expires=1&Signature=s"


def message_of(sid: str = "SM01", **fields: Any) -> dict[str, Any]:
    return {
        "sid": sid, "account_sid": AC, "status": "queued", "to": TO, "from": FROM, "body": "Ciao",
        "direction": "outbound-api", "num_media": "0", "num_segments": "1", "error_code": None,
        "price": "-0.00500", "price_unit": "USD", "date_sent": None,
        "date_created": "Mon, 24 Nov 2025 16:00:00 +0000", **fields,
    }  # fmt: skip


def answer(value: Any = None, status: int = 200, **headers: str) -> Answer:
    body = b"" if value is None else json.dumps(value).encode()
    return Answer(status=status, headers={**HEADERS, **headers}, chunks=[body] if body else [])


def accepted(sid: str = "SM01", **fields: Any) -> Answer:
    return answer(message_of(sid, **fields), 201)


def refused(code: int, status: int = 400) -> Answer:
    return answer({"code": code, "message": "Marked", "status": status}, status)


_made: list[Transport] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """The transports of a test are its own."""
    yield
    while _made:
        await _made.pop().aclose()


def client(*answers: Answer | Callable[..., Any], **options: Any) -> Any:
    http = ScriptedTransport(answers[0] if callable(answers[0]) else answers)  # type: ignore[arg-type]
    _made.append(Transport(http=http))
    return http, TwilioClient(AC, TOKEN, transport=_made[-1], **options)


def form(request: Any) -> dict[str, Any]:
    fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: value[0] if len(value) == 1 else value for name, value in fields.items()}
