"""Where Twilio's media lead to: another host, which takes a signed address and no credentials.

Source: fact sheet of 2026-11, §8.1.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from urllib.parse import urlencode

from aiohttp import web
from typing_extensions import override

from voicekit.emulator.bounded import Bounded
from voicekit.emulator.providers.base import Context, Exchange, Provider
from voicekit.emulator.providers.twilio_messages import Media

PROVIDER = "twilio_media"
KEY_PAIR = "APKAEMULATOR"
LIFETIME_S = 14_400
"""How long an address is good; the vendor's own is not documented, only that it ends."""

MAX_FILES = 1_000
"""Addresses that are good at a time; older ones are answered with 404."""

_CHUNK_BYTES = 16 << 10


class TwilioMedia(Provider):
    """The content network behind Twilio's media."""

    name = PROVIDER

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._secret = f"{ctx.seed}/{PROVIDER}".encode()
        self._known: Bounded[str, Media] = Bounded(MAX_FILES)

    @override
    def routes(self, router: web.UrlDispatcher) -> None:
        self.add(router, "GET", "/cdn/{sid}", "media.bytes", self._content)
        self.add(router, "HEAD", "/cdn/{sid}", "media.bytes", self._content)

    @override
    def needs_key(self, exchange: Exchange) -> bool:
        """No credentials here: the address is signed."""
        return False

    @override
    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return what a content network says of itself."""
        return {"Via": "1.1 emulator (CloudFront)", "X-Cache": "Miss from cloudfront"}

    @override
    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Return an error as such stores write it."""
        words = {400: "InvalidArgument", 403: "AccessDenied", 404: "NoSuchKey", 503: "SlowDown"}
        return self._refuse(exchange, status, words.get(status, "InternalError"))

    @override
    def expected_type(self, exchange: Exchange) -> str:
        """Return the type that most of these files have."""
        return "audio/ogg"

    def address(self, media: Media) -> str:
        """Return a signed path and query for a file; it can then be fetched."""
        self._known[media.sid] = media
        expires = int(time.time()) + LIFETIME_S
        query = {"Expires": expires, "Signature": self._sign(media.sid, expires)}
        return f"/cdn/{media.sid}?{urlencode({**query, 'Key-Pair-Id': KEY_PAIR})}"

    def forget(self, media: Media) -> None:
        """Answer a file with 404 from now on."""
        self._known.pop(media.sid, None)

    def _sign(self, sid: str, expires: int) -> str:
        return hmac.new(self._secret, f"{sid}/{expires}".encode(), hashlib.sha256).hexdigest()

    async def _content(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        if "Authorization" in request.headers:
            exchange.note("Authorization leaked to another host")
            return self._refuse(exchange, 400, "InvalidArgument", "Only one auth mechanism allowed")
        sid = request.match_info["sid"]
        expires = request.query.get("Expires", "")
        signature = request.query.get("Signature", "")
        good = expires.isdigit() and hmac.compare_digest(signature, self._sign(sid, int(expires)))
        if not good or int(expires) < time.time():
            return self.error(exchange, 403)
        media = self._known.get(sid)
        if media is None or media.data is None:
            return self.error(exchange, 404)
        # Two thirds of a download; the first was at the redirect.
        await exchange.pause(exchange.draw(self.ctx.scenario.media_download) * 2 / 3)
        return await self._send(exchange, media.data, media.content_type)

    async def _send(self, exchange: Exchange, data: bytes, content_type: str) -> web.StreamResponse:
        headers = exchange.headers({"Content-Type": content_type, "Accept-Ranges": "bytes"})
        headers["ETag"] = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        status = 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.request.headers.get("Range", ""))
        if asked and int(asked[1]) < len(data):
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        if exchange.request.method == "HEAD":
            headers["Content-Length"] = str(len(data))
            return web.Response(status=status, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        writer = await exchange.begin(response, length=len(data))
        for start in range(0, len(data), _CHUNK_BYTES):
            await writer.write(data[start : start + _CHUNK_BYTES], audio=True)
        return await writer.finish()

    def _refuse(
        self, exchange: Exchange, status: int, code: str, message: str = ""
    ) -> web.Response:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message or code}</Message></Error>"
        )
        headers = exchange.headers({"Content-Type": "application/xml"})
        return web.Response(body=text.encode(), status=status, headers=headers)
