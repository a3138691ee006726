"""``/v1/audio/transcriptions``: a form in, a transcript out, whole or as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from voicekit.emulator.forms import FormError, read_form
from voicekit.emulator.providers.openai_pacing import SSE, generate, send_events
from voicekit.emulator.providers.openai_recording import hear, read_recording
from voicekit.emulator.providers.openai_refusals import Refusal
from voicekit.emulator.providers.openai_transcript import (
    DONE,
    event,
    events_of,
    json_of,
    plain_of,
)
from voicekit.emulator.providers.openai_transcription_request import (
    DIARIZE,
    LONGEST_UNCHUNKED_S,
    MAX_UPLOAD_BYTES,
    BadForm,
    read_request,
)
from voicekit.emulator.voice_notes import said_in

if TYPE_CHECKING:
    from voicekit.emulator.faults import Fault
    from voicekit.emulator.providers.base import Exchange

STREAM_ERROR: Mapping[str, Any] = {
    "error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


async def transcribe(
    exchange: Exchange, *, unknown_model: str, deployment: str | None = None
) -> web.StreamResponse | Refusal:
    """Answer one request, or return why not.

    Args:
        exchange: The request.
        unknown_model: The model that does not exist.
        deployment: What stands for the model in the address of a variant.
    """
    if len(exchange.body) > MAX_UPLOAD_BYTES:
        return Refusal(
            status=413,
            message=f"Maximum content size limit ({MAX_UPLOAD_BYTES}) exceeded "
            f"({len(exchange.body)} bytes read)",
            type="server_error",
        )
    try:
        form = read_form(exchange.request.headers.get("Content-Type", ""), exchange.body)
        asked = read_request(form, unknown_model=unknown_model, model=deployment)
    except FormError:
        return Refusal(message="Could not parse multipart form")
    except BadForm as bad:
        if bad.usage is None:
            return bad.refusal
        return exchange.answer({**bad.refusal.body(), "usage": bad.usage}, status=400)
    for note in asked.notes:
        exchange.note(note)
    ctx = exchange.ctx
    told = said_in(asked.file.data)
    recording = read_recording(asked.file.data, scripted=ctx.ears is None or told is not None)
    if recording is None:
        return Refusal(
            message="Audio file might be corrupted or unsupported",
            param="file",
            code="invalid_value",
        )
    pcm, rate, duration = recording
    ears, script = ctx.ears, ctx.scenario.heard
    if told is not None:  # it says itself how long it is, and what it holds
        ears, (script, duration) = None, told
    if asked.model == DIARIZE and duration > LONGEST_UNCHUNKED_S and not asked.chunked:
        return Refusal(
            message="chunking_strategy is required for diarization models",
            param="chunking_strategy",
            code="missing_required_parameter",
        )
    await exchange.pause(ctx.scenario.transcript_final)
    said = await hear(pcm, rate, duration, ears=ears, script=script)
    if asked.stream:
        writer = await exchange.stream(content_type=SSE, headers={"Cache-Control": "no-store"})
        events = events_of(said, duration, asked)
        return await send_events(exchange, writer, events, end=DONE, error=_error_event)
    await generate(exchange, 1)
    if exchange.has_fault("in_stream_error"):
        exchange.struck()
        return exchange.answer(_error_of(exchange.fault), status=500)
    if asked.response_format in {"text", "srt", "vtt"}:
        return web.Response(
            text=plain_of(said, asked),
            headers=exchange.headers({"Content-Type": "text/plain; charset=utf-8"}),
        )
    return exchange.answer(json_of(said, duration, asked))


def _error_of(fault: Fault | None) -> Mapping[str, Any]:
    body = fault.body if fault is not None else None
    if body is None or isinstance(body, Mapping):
        return STREAM_ERROR if body is None else body
    text = body if isinstance(body, str) else body.decode()
    return {"error": {**STREAM_ERROR["error"], "message": text}}


def _error_event(fault: Fault) -> bytes:
    return event(_error_of(fault))
