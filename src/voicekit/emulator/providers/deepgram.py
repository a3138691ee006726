"""The Deepgram twin: transcription of files and live, speech, tokens, the small GET endpoints.

Written from the vendor's AsyncAPI and OpenAPI files, its SDK and its error pages; where they are
silent, the comment at the place says that the choice is ours.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from voicekit.emulator.body import uuid_of
from voicekit.emulator.codecs import wav_header
from voicekit.emulator.exchange import sleep_until
from voicekit.emulator.providers.base import Context, Exchange, Provider, Socket, always
from voicekit.emulator.providers.deepgram_query import (
    MODEL_FAMILIES,
    QueryRefusalError,
    check_listen,
)
from voicekit.emulator.providers.deepgram_recording import read_recording
from voicekit.emulator.providers.deepgram_recording_query import check_recording
from voicekit.emulator.providers.deepgram_session import ListenSession
from voicekit.emulator.providers.deepgram_speak import render, speech_headers, text_of
from voicekit.emulator.providers.deepgram_speak_query import check_speak, check_speak_socket
from voicekit.emulator.providers.deepgram_speak_session import SpeakSession
from voicekit.emulator.providers.deepgram_tokens import Tokens
from voicekit.emulator.providers.deepgram_transcript import answer_of
from voicekit.emulator.providers.recording import hear
from voicekit.emulator.providers.speech_pacing import first_audio_latency, paced

SCHEMES = frozenset({"token", "bearer"})

# Status of `Deepgram.error` to the vendor's code and message. Source: its error pages, 2025-26.
ERRORS = {
    400: ("Bad Request", "Bad Request"),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("ASR_PAYMENT_REQUIRED", "The project has no credit left."),
    403: ("INSUFFICIENT_PERMISSIONS", "The project does not have access to the model."),
    408: ("Request Timeout", "The request took too long to arrive."),
    411: ("Length Required", "The request says no length."),
    413: ("Payload Too Large", "The payload is too large."),
    414: ("URI Too Long", "The query is too long."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The content type is not supported."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
    503: ("Service Unavailable", "The service is unavailable."),
    504: ("Gateway Timeout", "The request was not processed in time."),
}

TOO_MUCH_SPEECH = "Too Many Requests"
"""Of speech, the code is the phrase. Source: the same pages."""

_STAND_IN = wav_header(8000, 160_000) + bytes(160_000)


class Deepgram(Provider):
    """One port that speaks Deepgram.

    Attributes:
        time_scale: Factor on the vendor's own timers (the 10 s of NET-0001, a token's life).
        max_streams: Open streams before a handshake gets 429, which the vendor sends at once.
            The figure is the pay-as-you-go limit of one vendor page.
        max_files: The same for files.
        max_speeches: The same for speech over HTTP, and for speech sockets.
        speech_idle_limit: Seconds before a silent speech socket gets NET-0001, or None for never:
            the vendor documents the label and no number.
    """

    name = "deepgram"
    time_scale = 1.0
    max_streams = 50
    max_files = 100
    max_speeches = 15
    speech_idle_limit: float | None = None

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._under_way: Counter[str] = Counter()
        self._tokens = Tokens(random.Random(f"{ctx.seed}/tokens"))

    def routes(self, router: web.UrlDispatcher) -> None:
        """Register transcription, live and of files, speech, tokens and the GET endpoints."""
        self.add(router, "GET", "/v1/listen", "listen.socket", self._listen)
        self.add(router, "POST", "/v1/listen", "listen", self._transcribe)
        self.add(router, "GET", "/v1/speak", "speech.socket", self._speak_socket)
        self.add(router, "POST", "/v1/speak", "speech", self._speak)
        self.add(router, "POST", "/v1/auth/grant", "grant", self._grant)
        self.add(router, "GET", "/v1/auth/token", "auth", always(ACCOUNT))
        self.add(router, "GET", "/v1/models", "models", always(MODELS))

    # -- what the vendor looks like --

    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return the request id, which every answer and every handshake carries."""
        return {"dg-request-id": self._request_id(exchange)}

    def credential(self, request: web.Request) -> str | None:
        """Return the key from the header, or from a browser's subprotocol; schemes in any case."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in SCHEMES and self._tokens.good(key.strip()):
            return key.strip() or None
        offered = _subprotocols(request)
        if len(offered) == 2 and offered[0].lower() in SCHEMES:
            return offered[1]
        return None

    def expected_type(self, exchange: Exchange) -> str:
        """Return the content type that the client expects of a good answer."""
        if exchange.record.operation != "speech":
            return super().expected_type(exchange)
        try:
            return check_speak(exchange.query).content_type
        except QueryRefusalError:
            return "audio/mpeg"

    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Answer in the vendor's legacy shape, or with the bare line of its 404."""
        if status == 404:
            response = exchange.answer(None, status=404, headers={"dg-error": "Not Found"})
            response.text = "Not Found"
            response.content_type = "text/plain"
            return response
        internal = ("INTERNAL_SERVER_ERROR", "Internal server error.")
        code, message = ERRORS.get(status, ERRORS[400] if status < 499 else internal)
        return self.refuse(exchange, QueryRefusalError(message, status=status, code=code))

    def refuse(self, exchange: Exchange, refused: QueryRefusalError) -> web.Response:
        """Answer in the vendor's legacy shape, or with details in its modern one."""
        code, message, details = refused.code, refused.message, refused.details
        told = {"err_code": code, "err_msg": message}
        if details is not None:
            told = {"category": code, "message": message, "details": details}
        return exchange.answer(
            {**told, "request_id": self._request_id(exchange)},
            status=refused.status,
            headers={"dg-error": message},
        )

    def _request_id(self, exchange: Exchange) -> str:
        return uuid_of(random.Random(f"{self.ctx.seed}/{exchange.record.id}"))

    # -- operations --

    @contextmanager
    def _place(self, exchange: Exchange, most: int, code: str) -> Iterator[None]:
        """Occupy a place of an operation that is under way so often at most, or refuse."""
        operation = exchange.record.operation
        if self._under_way[operation] >= most:
            raise QueryRefusalError(ERRORS[429][1], status=429, code=code)
        self._under_way[operation] += 1
        try:
            yield
        finally:
            self._under_way[operation] -= 1

    async def _listen(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.upgrades:
            return self.error(exchange, 400)
        options = check_listen(exchange.query)
        with self._place(exchange, self.max_streams, ERRORS[429][0]):
            exchange.note(*options.notes)
            socket = await self._socket(exchange)
            await ListenSession(
                socket,
                options=options,
                request_id=self._request_id(exchange),
                time_scale=self.time_scale,
            ).serve()
            return socket.ws

    @staticmethod
    async def _socket(exchange: Exchange) -> Socket:
        # A browser expects the scheme it offered back, and never its key.
        return await exchange.socket(protocols=_subprotocols(exchange.request)[:1])

    async def _transcribe(self, exchange: Exchange) -> web.StreamResponse:
        with self._place(exchange, self.max_files, ERRORS[429][0]):
            return await self._heard(exchange)

    async def _heard(self, exchange: Exchange) -> web.StreamResponse:
        ears = self.ctx.ears
        options = check_recording(exchange.query)
        exchange.note(*options.notes)
        body = exchange.body
        if exchange.request.content_type == "application/json":
            body = self._remote(exchange)
        recording = read_recording(body, options.listen, scripted=ears is None)
        request_id = self._request_id(exchange)
        if options.callback is not None:
            return self._never_called(exchange)
        scenario = self.ctx.scenario
        heard = await hear(recording, ears, scenario.heard, speakers=2)
        await exchange.pause(scenario.transcript_final)
        return exchange.answer(answer_of(body, recording, heard, options, request_id=request_id))

    def _never_called(self, exchange: Exchange) -> web.StreamResponse:
        exchange.note("the callback is never called")
        return exchange.answer({"request_id": self._request_id(exchange)})

    def _remote(self, exchange: Exchange) -> bytes:
        """Stand in for a recording at an address: scripted ears need no more than its duration."""
        try:
            fields = exchange.json()
        except ValueError as broken:
            raise QueryRefusalError(
                "Invalid JSON submitted.", code="INVALID_JSON", details=f"{broken}"
            ) from None
        url = fields.get("url") if isinstance(fields, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise QueryRefusalError("The url is missing or invalid.", code="PAYLOAD_ERROR")
        host = urlsplit(url).hostname or ""
        if self.ctx.ears is not None or host.endswith(".invalid"):
            raise QueryRefusalError(
                "Could not fetch the media at the given url.", code="REMOTE_CONTENT_ERROR"
            )
        exchange.note("the url is not fetched: ten seconds of scripted speech stand in for it")
        return _STAND_IN

    async def _speak(self, exchange: Exchange) -> web.StreamResponse:
        with self._place(exchange, self.max_speeches, TOO_MUCH_SPEECH):
            return await self._spoken(exchange)

    async def _spoken(self, exchange: Exchange) -> web.StreamResponse:
        options = check_speak(exchange.query)
        exchange.note(*options.notes)
        text = text_of(exchange)
        if options.callback is not None:
            return self._never_called(exchange)
        start = asyncio.get_running_loop().time() + first_audio_latency(exchange, first=True)
        slices = await render(exchange, text, options)
        # The headers come with the first audio: the vendor's time to first byte is that of speech.
        await sleep_until(start)
        writer = await exchange.stream(
            content_type=options.content_type, headers=speech_headers(options, text)
        )
        async for piece in paced(exchange, slices, start=start):
            await writer.write(piece.audio, audio=True)
        return await writer.finish()

    async def _speak_socket(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.upgrades:
            return self.error(exchange, 400)
        with self._place(exchange, self.max_speeches, TOO_MUCH_SPEECH):
            options = check_speak_socket(exchange.query)
            exchange.note(*options.notes)
            socket = await self._socket(exchange)
            await SpeakSession(
                socket,
                options=options,
                request_id=self._request_id(exchange),
                time_scale=self.time_scale,
                idle_limit=self.speech_idle_limit,
            ).serve()
            return socket.ws

    async def _grant(self, exchange: Exchange) -> web.StreamResponse:
        scheme = exchange.request.headers.get("Authorization", "").partition(" ")[0]
        if scheme.lower() != "token":
            raise QueryRefusalError("Insufficient permissions.", status=403, code="FORBIDDEN")
        return exchange.answer(self._tokens.grant(exchange.body, time_scale=self.time_scale))


ACCOUNT = {
    "api_key_id": "00000000-0000-4000-8000-000000000001",
    "scopes": ["usage:write"],
    "created": "2026-01-01T00:00:00.000Z",
}
MODELS: dict[str, list[dict[str, Any]]] = {
    "stt": [
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
    ],
    "tts": [],
}


def _subprotocols(request: web.Request) -> list[str]:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return [each.strip() for each in offered.split(",") if each.strip()]
