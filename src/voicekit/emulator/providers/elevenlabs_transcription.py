"""ElevenLabs' transcription of files: a form goes in, one JSON object comes out."""

from __future__ import annotations

from aiohttp import web

from voicekit.emulator.forms import FormError, read_form
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.elevenlabs_form import check_form
from voicekit.emulator.providers.elevenlabs_recording import UNFETCHED_S, read_recording
from voicekit.emulator.providers.elevenlabs_request import HttpRefusalError
from voicekit.emulator.providers.elevenlabs_transcript import answer_of
from voicekit.emulator.providers.recording import hear, unheard


async def transcribe(exchange: Exchange) -> web.StreamResponse:
    """Answer one transcription."""
    try:
        form = read_form(exchange.request.headers.get("Content-Type", ""), exchange.body)
    except FormError as unreadable:
        raise HttpRefusalError(400, str(unreadable)) from None
    for name in exchange.request.query:
        if name not in {"enable_logging", "token"}:
            exchange.note(f"unknown query parameter {name!r} ignored")
    options = check_form(form)
    exchange.note(*options.notes)
    ctx = exchange.ctx
    number = f"{exchange.record.id:012d}"
    if options.webhook:
        # Delivered to nobody: webhooks are set up at the vendor, not in the request.
        answer = {
            "message": "Request received. The transcription will be sent to the webhook.",
            "request_id": f"req_{number}",
            "transcription_id": f"tr_{number}",
        }
        return exchange.answer(answer, status=202)
    if options.file is None:
        recording = unheard(seconds=UNFETCHED_S)
        exchange.note("the address is not fetched: two seconds of scripted speech stand in for it")
    else:
        recording = read_recording(
            options.file.data,
            pcm=options.pcm,
            split=options.multichannel,
            scripted=ctx.ears is None,
        )
    ears = ctx.ears if recording.channels[0] else None
    heard = await hear(recording, ears, ctx.scenario.heard)
    await exchange.pause(ctx.scenario.transcript_final)
    return exchange.answer(answer_of(recording, heard, options, transcription_id=f"tr_{number}"))
