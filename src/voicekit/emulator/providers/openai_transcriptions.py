"""``/v1/audio/transcriptions``: a form in, a transcript out, whole or as events."""

from __future__ import annotations

from aiohttp import web

from voicekit.emulator.faults import Fault
from voicekit.emulator.forms import FormError, read_form
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_pacing import (
    AUDIO_DONE,
    SSE,
    audio_event,
    generate,
    send_events,
    stream_error,
)
from voicekit.emulator.providers.openai_recording import read_recording, spells
from voicekit.emulator.providers.openai_refusals import Refusal
from voicekit.emulator.providers.openai_transcript import events_of, json_of, plain_of
from voicekit.emulator.providers.openai_transcription_request import (
    DIARIZE,
    LONGEST_UNCHUNKED_S,
    MAX_UPLOAD_BYTES,
    read_request,
)
from voicekit.emulator.providers.recording import hear


async def transcribe(exchange: Exchange) -> web.StreamResponse:
    """Answer one request; a deployment in its address stands for the model."""
    if len(exchange.body) > MAX_UPLOAD_BYTES:
        raise Refusal(
            status=413,
            message=f"Maximum content size limit ({MAX_UPLOAD_BYTES}) exceeded "
            f"({len(exchange.body)} bytes read)",
            type="server_error",
        )
    try:
        form = read_form(exchange.request.headers.get("Content-Type", ""), exchange.body)
    except FormError:
        raise Refusal(message="Could not parse multipart form") from None
    asked = read_request(form, model=exchange.request.match_info.get("deployment"))
    exchange.note(*asked.notes)
    ctx = exchange.ctx
    recording = read_recording(asked.file.data, scripted=ctx.ears is None)
    if recording is None:
        raise Refusal(
            message="Audio file might be corrupted or unsupported",
            param="file",
            code="invalid_value",
        )
    duration = recording.duration
    if asked.model == DIARIZE and duration > LONGEST_UNCHUNKED_S and not asked.chunked:
        raise Refusal(
            message="chunking_strategy is required for diarization models",
            param="chunking_strategy",
            code="missing_required_parameter",
        )
    await exchange.pause(ctx.scenario.transcript_final)
    heard = await hear(recording, ctx.ears, ctx.scenario.heard, speakers=2)
    said = spells(heard[0])
    if asked.stream:
        writer = await exchange.stream(content_type=SSE, headers={"Cache-Control": "no-store"})
        events = events_of(said, duration, asked)
        return await send_events(exchange, writer, events, end=AUDIO_DONE, error=_error_event)
    await generate(exchange, 1)
    if exchange.has_fault("in_stream_error"):
        exchange.struck()
        return exchange.answer(stream_error(exchange.fault), status=500)
    if asked.response_format in {"text", "srt", "vtt"}:
        return web.Response(
            text=plain_of(said, asked),
            headers=exchange.headers({"Content-Type": "text/plain; charset=utf-8"}),
        )
    return exchange.answer(json_of(said, duration, asked))


def _error_event(fault: Fault) -> bytes:
    return audio_event(stream_error(fault))
