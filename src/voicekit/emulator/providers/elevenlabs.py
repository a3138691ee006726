"""The ElevenLabs twin: speech over HTTP and sockets, transcription, and the small GET endpoints.

Written from the vendor's OpenAPI and AsyncAPI files, its SDK and its error pages; where they are
silent, the comment at the place says that the choice is ours.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from aiohttp import web

from voicekit.emulator.codecs import UnsupportedFormat, encoder
from voicekit.emulator.exchange import sleep_until
from voicekit.emulator.providers.base import Context, Exchange, Provider
from voicekit.emulator.providers.elevenlabs_account import ROUTES as ACCOUNT
from voicekit.emulator.providers.elevenlabs_account import UNKNOWN_VOICE, check_voice
from voicekit.emulator.providers.elevenlabs_models import (
    SOCKET_FORMATS,
    STREAM_FORMATS,
    WHOLE_FORMATS,
)
from voicekit.emulator.providers.elevenlabs_request import (
    HttpRefusalError,
    SpeechQuery,
    SpeechRequest,
    check_body,
    check_query,
    invalid,
)
from voicekit.emulator.providers.elevenlabs_sockets import MultiContextSocket, SpeechSocket
from voicekit.emulator.providers.elevenlabs_speech import ConcurrencyGate, QueueFullError, render
from voicekit.emulator.providers.elevenlabs_timed import TimedSpeech
from voicekit.emulator.providers.elevenlabs_transcription import transcribe
from voicekit.emulator.providers.speech_pacing import first_audio_latency, paced

__all__ = ["UNKNOWN_VOICE", "ElevenLabs"]

# Status of `ElevenLabs.error` to the vendor's code. Source: its error pages, 2026.
ERROR_CODES = {
    400: ("validation_error", "invalid_parameters", "The request is invalid."),
    401: ("authentication_error", "invalid_api_key", "Invalid API key"),
    403: ("authorization_error", "missing_permissions", "The API key lacks a permission."),
    404: ("not_found", "not_found", "Not Found"),
    429: (
        "rate_limit_error",
        "concurrent_limit_exceeded",
        "Too many concurrent requests.",
    ),
    503: ("server_error", "system_busy", "The system is busy."),
}
# What the pages leave out; the first is ours, and as plain as a code can be.
_OTHER_4XX = ("invalid_request_error", "invalid_request", "The request was refused.")
_OTHER_5XX = ("server_error", "internal_error", "Internal server error")


class ElevenLabs(Provider):
    """One port that speaks ElevenLabs.

    Attributes:
        time_scale: Factor on the vendor's own timers (the 20 s of a silent socket).
        maximum_concurrent: Requests in flight per model group before they queue. Every plan has
            its own figures; these are high enough for a benchmark of fifty callers.
        queue_depth: Requests that wait in line before the next gets 429.
    """

    name = "elevenlabs"
    time_scale = 1.0
    maximum_concurrent = 100
    queue_depth = 100

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._gates: dict[str, ConcurrencyGate] = {}

    def routes(self, router: web.UrlDispatcher) -> None:
        """Register speech, both sockets, and the GET endpoints used for health and warm-up."""
        speech = "/v1/text-to-speech/{voice_id}"
        sockets = {"stream-input": SpeechSocket, "multi-stream-input": MultiContextSocket}
        for path, kind in sockets.items():
            serve = partial(self._socket, kind=kind)
            self.add(router, "GET", f"{speech}/{path}", "speech.socket", serve)
        for path, operation, whole in (("", "speech", True), ("/stream", "speech.stream", False)):
            speak = partial(self._speak, whole=whole)
            self.add(router, "POST", speech + path, operation, speak)
            timed = f"{speech}{path}/with-timestamps"
            self.add(router, "POST", timed, f"{operation}.timed", partial(speak, timed=True))
        self.add(router, "POST", "/v1/speech-to-text", "transcription", transcribe)
        for path, operation, handler in ACCOUNT:
            self.add(router, "GET", path, operation, handler)

    # -- what the vendor looks like --

    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return the tracing headers that every answer carries."""
        return {
            "request-id": f"req_{exchange.record.id:012d}",
            "x-trace-id": f"{exchange.record.id:032x}",
            "x-region": "us-central1",
        }

    def credential(self, request: web.Request) -> str | None:
        """Return the key from the headers, or the token from a query parameter."""
        key = request.headers.get("xi-api-key")
        if key:
            return key
        bearer = request.headers.get("Authorization") or request.query.get("authorization")
        if bearer:
            scheme, _, token = bearer.partition(" ")
            return token if scheme.lower() == "bearer" and token else bearer
        return request.query.get("single_use_token") or request.query.get("token")

    def needs_key(self, exchange: Exchange) -> bool:
        """Tell whether the handshake must carry the key; a socket's first message may instead."""
        return exchange.record.operation != "speech.socket"

    def unauthorized(self, exchange: Exchange, key: str | None) -> web.Response:
        """Answer 401; a missing key has a status of its own."""
        if key is None:
            detail = {"status": "needs_authorization", "message": "No xi-api-key was received."}
        else:
            detail = {"status": "invalid_api_key", "message": "Invalid API key"}
        return exchange.answer({"detail": detail}, status=401)

    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Answer in the vendor's 2026 shape; 422 is the list of a schema's failures."""
        if status == 422:
            failure = {"loc": ["body", "text"], "msg": "Field required", "type": "missing"}
            return self.refuse(exchange, HttpRefusalError(422, [failure]))
        other = _OTHER_4XX if status < 500 else _OTHER_5XX
        kind, code, message = ERROR_CODES.get(status, other)
        return self.refuse(exchange, HttpRefusalError.coded(status, code, message, kind=kind))

    def expected_type(self, exchange: Exchange) -> str:
        """Return what a client expects of a good answer."""
        audio = exchange.record.operation in {"speech", "speech.stream"}
        return "audio/mpeg" if audio else "application/json"

    def refuse(self, exchange: Exchange, refused: HttpRefusalError) -> web.Response:
        """Answer with the detail of a refusal; one of the 2026 shape tells the request's id."""
        detail = refused.detail
        if isinstance(detail, dict):
            detail = {**detail, "request_id": f"req_{exchange.record.id:012d}"}
            if detail.get("code") == "concurrent_limit_exceeded":
                detail["status"] = "too_many_concurrent_requests"  # the code's older name
        return exchange.answer({"detail": detail}, status=refused.status)

    def gate(self, group: str) -> ConcurrencyGate:
        """Return the concurrency pool of a model group."""
        if group not in self._gates:
            self._gates[group] = ConcurrencyGate(self.maximum_concurrent, queue=self.queue_depth)
        return self._gates[group]

    # -- speech over HTTP --

    async def _speak(
        self, exchange: Exchange, *, whole: bool, timed: bool = False
    ) -> web.StreamResponse:
        arrived = asyncio.get_running_loop().time()
        query, request = self._check(exchange, WHOLE_FORMATS if whole else STREAM_FORMATS)
        gate = self.gate(request.model.group)
        try:
            async with gate.hold():
                return await self._answer(
                    exchange, query, request, gate, arrived, whole=whole, timed=timed
                )
        except QueueFullError:
            return self.error(exchange, 429)

    def _check(
        self, exchange: Exchange, formats: frozenset[str]
    ) -> tuple[SpeechQuery, SpeechRequest]:
        query = check_query(exchange.query, formats=formats, socket=False)
        try:
            body = exchange.json()
        except ValueError:
            failure = {"loc": ["body", 0], "msg": "JSON decode error", "type": "json_invalid"}
            raise HttpRefusalError(422, [failure]) from None
        request = check_body(body)
        check_voice(exchange.request.match_info["voice_id"])
        _check_made(query.output_format)
        exchange.note(*query.notes, *request.notes)
        return query, request

    async def _answer(
        self,
        exchange: Exchange,
        query: SpeechQuery,
        request: SpeechRequest,
        gate: ConcurrencyGate,
        arrived: float,
        *,
        whole: bool,
        timed: bool,
    ) -> web.StreamResponse:
        start = arrived + first_audio_latency(exchange, first=True)
        slices, duration = await render(
            exchange,
            request.text,
            voice_id=exchange.request.match_info["voice_id"],
            output_format=query.output_format,
        )
        if whole:  # nothing is sent before everything has been generated
            start += duration * self.ctx.scenario.speech_real_time_factor
            slices = [replace(each, start=0.0) for each in slices]
        await sleep_until(start)
        headers = {
            "character-cost": str(len(request.text)),
            "current-concurrent-requests": str(gate.current),
            "maximum-concurrent-requests": str(gate.maximum),
        }
        speech = TimedSpeech(request.text, slices, duration) if timed else None
        if speech is not None and whole:
            return exchange.answer(speech.whole(exchange), headers=headers)
        made = encoder(query.output_format).content_type
        writer = await exchange.stream(
            content_type=made if speech is None else "application/json", headers=headers
        )
        if speech is not None:
            await speech.stream(exchange, writer, start=start)
        else:
            async for each in paced(exchange, slices, start=start):
                await writer.write(each.audio, audio=True)
        return await writer.finish()

    # -- sockets --

    async def _socket(self, exchange: Exchange, *, kind: type[SpeechSocket]) -> web.StreamResponse:
        # Which errors the vendor already raises at the handshake is not documented.
        query = check_query(exchange.query, formats=SOCKET_FORMATS, socket=True)
        check_voice(exchange.request.match_info["voice_id"])
        _check_made(query.output_format)
        exchange.note(*query.notes)
        socket = await exchange.socket()
        await kind(
            socket,
            query=query,
            gate=self.gate(query.model.group),
            voice_id=exchange.request.match_info["voice_id"],
            authorized=self.credential(exchange.request) is not None,
            time_scale=self.time_scale,
        ).serve()
        return socket.ws


def _check_made(output_format: str) -> None:
    """Refuse a documented format that this emulator cannot make, rather than mislabel another.

    400, in the shape that the vendor uses for parameters out of a plan.
    """
    try:
        encoder(output_format)
    except UnsupportedFormat as unsupported:
        raise invalid("output_format", str(unsupported)) from None
