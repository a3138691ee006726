"""The rows of Twilio."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Any
from urllib.parse import urlencode

from row import KEY, WORDS, Row, Taken, asks
from servers import Reply, Seen

from voicekit import TwilioClient
from voicekit.clients.twilio.inbound import MediaRef
from voicekit.clients.twilio.signing import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
CALL = "CA" + "0123456789abcdef" * 2
MESSAGE = "SM" + "0123456789abcdef" * 2
FILE = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/MM{'0' * 32}/Media/ME{'0' * 32}"
TO, FROM = "+390212345678", "+14155238886"
BODY = f"The {WORDS} writes once."
_AUDIO = b"OggS" + bytes(range(256)) * 150


def _twilio(api_key: Any, **common: Any) -> TwilioClient:
    return TwilioClient(ACCOUNT, api_key, **common)


def _resource(sid: str, status: str = "200 OK") -> Reply:
    value = {
        "sid": sid, "account_sid": ACCOUNT, "to": TO, "from": FROM, "status": "queued",
        "direction": "outbound-api", "date_created": "Mon, 24 Nov 2025 16:00:00 +0000",
    }  # fmt: skip
    headers = (("Content-Type", "application/json;charset=utf-8"), ("Twilio-Request-Id", "RQ1"))
    return Reply(status, headers, json.dumps(value).encode(), chunked=False)


def file_of(client: Any) -> MediaRef:
    """A voice note, as a webhook tells of it."""
    return MediaRef(url=client.base_url + FILE, content_type="audio/ogg")


async def _download(client: Any, got: Taken) -> None:
    media = await client.download_media(file_of(client))
    got += media.data


async def _stream(client: Any, got: Taken) -> None:
    async with client.stream_media(file_of(client)) as media:
        async for piece in media:
            await got.took(piece)


def _basic(seen: Seen) -> bytes:
    """The password of Basic authentication."""
    pair = base64.b64decode(seen.header("authorization").partition(" ")[2])
    return pair.partition(b":")[2]


def webhook(url: str, sid: str) -> tuple[dict[str, str], bytes]:
    """A message that came in, as Twilio delivers it: headers and body."""
    form = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": TO, "To": FROM, "Body": WORDS}
    return {"X-Twilio-Signature": sign(url, form, KEY)}, urlencode(form).encode()


FILE_REPLY = Reply("200 OK", (("Content-Type", "audio/ogg"),), _AUDIO, chunked=False)

_TWILIO = partial(Row, provider="twilio", make=_twilio, secret=_basic)

ROWS: tuple[Row, ...] = (
    _TWILIO(
        name="send_message", kind="E", answer=_resource(MESSAGE, "201 Created"),
        ask=asks("send_message", lambda sent: sent.sid, to=TO, from_=FROM, body=BODY),
    ),
    _TWILIO(
        name="place_call", like="twilio.send_message", kind="E",
        answer=_resource(CALL, "201 Created"),
        ask=asks(
            "place_call", lambda call: call.sid, to=TO, from_=FROM,
            twiml=f"<Response><Say>{BODY}</Say></Response>",
        ),
    ),
    _TWILIO(
        name="update_call", kind="I", answer=_resource(CALL),
        ask=asks("update_call", lambda call: call.sid, CALL, twiml="<Response/>"),
    ),
    _TWILIO(
        name="hang_up", like="twilio.update_call", kind="I", answer=_resource(CALL),
        ask=asks("hang_up", lambda call: call.sid, CALL),
    ),
    _TWILIO(
        name="fetch_message", like="twilio.update_call", kind="P", answer=_resource(MESSAGE),
        method="GET",
        ask=asks("fetch_message", lambda message: message.sid, MESSAGE),
    ),
    _TWILIO(
        name="download_media", kind="P", ask=_download, answer=FILE_REPLY, method="GET", repeats=3,
        follows=True, opaque=True,
    ),
    _TWILIO(
        name="stream_media", like="twilio.download_media", kind="P", ask=_stream,
        answer=FILE_REPLY, method="GET", repeats=3, streams=True, follows=True, opaque=True,
    ),
)  # fmt: skip
