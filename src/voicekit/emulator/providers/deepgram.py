"""The Deepgram twin: live transcription, and the small GET endpoints used for health.

Written from the vendor's AsyncAPI and OpenAPI files, its SDK and its error pages; where they are
silent, the comment at the place says that the choice is ours.
"""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

from voicekit.emulator.providers.base import Provider
from voicekit.emulator.providers.deepgram_query import (
    MODEL_FAMILIES,
    QueryRefusalError,
    check_listen,
)
from voicekit.emulator.providers.deepgram_session import ListenSession

if TYPE_CHECKING:
    from aiohttp import web

    from voicekit.emulator.providers.base import Context, Exchange

__all__ = ["Deepgram"]

SCHEMES = frozenset({"token", "bearer"})

# Status of `Deepgram.error` to the vendor's code and message. Source: its error pages, 2025-26.
ERRORS = {
    400: ("Bad Request", "Bad Request"),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("ASR_PAYMENT_REQUIRED", "The project has no credit left."),
    403: ("INSUFFICIENT_PERMISSIONS", "The project does not have access to the model."),
    408: ("Request Timeout", "The request took too long to arrive."),
    413: ("Payload Too Large", "The payload is too large."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
    503: ("Service Unavailable", "The service is unavailable."),
    504: ("Gateway Timeout", "The request was not processed in time."),
}


class Deepgram(Provider):
    """One port that speaks Deepgram.

    Attributes:
        time_scale: Factor on the vendor's own timers (the 10 s of NET-0001).
        max_streams: Open streams before a handshake gets 429, which the vendor sends at once.
            The figure is the pay-as-you-go limit of one vendor page.
    """

    name = "deepgram"
    time_scale = 1.0
    max_streams = 50

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._streams = 0

    def routes(self, router: web.UrlDispatcher) -> None:
        """Register live transcription and the GET endpoints."""
        self.add(router, "GET", "/v1/listen", "listen.socket", self._listen)
        self.add(router, "GET", "/v1/auth/token", "auth", self._auth)
        self.add(router, "GET", "/v1/models", "models", self._models)

    # -- what the vendor looks like --------------------------------------------------------

    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return the request id, which every answer and every handshake carries."""
        return {"dg-request-id": self._request_id(exchange)}

    def credential(self, request: web.Request) -> str | None:
        """Return the key from the header, or from a browser's subprotocol; schemes in any case."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in SCHEMES and key.strip():
            return key.strip()
        offered = _subprotocols(request)
        if len(offered) == 2 and offered[0].lower() in SCHEMES:
            return offered[1]
        return None

    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Answer in the vendor's legacy shape, or with the bare line of its 404."""
        if status == 404:
            response = exchange.answer(None, status=404, headers={"dg-error": "Not Found"})
            response.text = "Not Found"
            response.content_type = "text/plain"
            return response
        code, message = ERRORS.get(status, ("INTERNAL_SERVER_ERROR", "Internal server error."))
        return self._refusal(exchange, QueryRefusalError(message, status=status, code=code))

    def _refusal(self, exchange: Exchange, refusal: QueryRefusalError) -> web.Response:
        return exchange.answer(
            {
                "err_code": refusal.code,
                "err_msg": refusal.message,
                "request_id": self._request_id(exchange),
            },
            status=refusal.status,
            headers={"dg-error": refusal.message},
        )

    def _request_id(self, exchange: Exchange) -> str:
        bits = random.Random(f"{self.ctx.seed}/{exchange.record.id}").getrandbits(128)
        return str(uuid.UUID(int=bits, version=4))

    # -- operations ------------------------------------------------------------------------

    async def _listen(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return self.error(exchange, 400)
        query = request.query
        try:
            options = check_listen({name: query.getall(name) for name in query})
        except QueryRefusalError as refusal:
            return self._refusal(exchange, refusal)
        if self._streams >= self.max_streams:
            return self.error(exchange, 429)
        for note in options.notes:
            exchange.note(note)
        self._streams += 1
        try:
            # A browser expects the scheme it offered back, and never its key.
            socket = await exchange.socket(protocols=_subprotocols(request)[:1])
            await ListenSession(
                socket,
                options=options,
                request_id=self._request_id(exchange),
                ears=self.ctx.ears,
                time_scale=self.time_scale,
            ).serve()
            return socket.ws
        finally:
            self._streams -= 1

    async def _auth(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.answer(
            {
                "api_key_id": "00000000-0000-4000-8000-000000000001",
                "scopes": ["usage:write"],
                "created": "2026-01-01T00:00:00.000Z",
            }
        )

    async def _models(self, exchange: Exchange) -> web.StreamResponse:
        stt: list[dict[str, Any]] = [
            {
                "name": variant,
                "canonical_name": f"{family}-{variant}",
                "architecture": family,
                "languages": ["en"],
                "version": "2026-01-01.0",
                "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{family}-{variant}")),
                "batch": True,
                "streaming": True,
                "formatted_output": True,
            }
            for family, variants in MODEL_FAMILIES.items()
            for variant in sorted(variants)
        ]
        return exchange.answer({"stt": stt, "tts": []})


def _subprotocols(request: web.Request) -> list[str]:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return [each.strip() for each in offered.split(",") if each.strip()]
