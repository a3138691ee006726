"""``/v1/audio/speech``: what it refuses, and speech as a body of audio or as events.

Source: fact sheet of 2026-11, §5 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic). Refusals
carry, as text, the list that the vendor's validation makes (openai-node issue 1284).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web

from voicekit.emulator.codecs import UnsupportedFormat, encoder
from voicekit.emulator.exchange import sleep_until
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_pacing import AUDIO_DONE, SSE, audio_event
from voicekit.emulator.providers.openai_refusals import Refusal, body_of, check_model
from voicekit.emulator.providers.speech_pacing import (
    AudioSlice,
    cut,
    encoded,
    first_audio_latency,
    paced,
)

VOICES: Final = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse",
    "marin", "cedar",
)  # fmt: skip

SAMPLE_RATE: Final = 24_000
MAX_CHARACTERS: Final = 4096
SSE_PIECE_BYTES: Final = 4096
"""Raw bytes in one event, as recorded."""

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

# What the emulator's codecs make of it; the vendor's bit rate of MP3 is not documented.
_CODECS: Final[Mapping[str, str]] = {
    "mp3": "mp3_24000_48",
    "wav": "wav_24000",
    "pcm": "pcm_24000",
}
_OLDER: Final = ("tts-1", "tts-1-hd")
_FIELDS: Final = (
    "model", "input", "voice", "instructions", "response_format", "speed", "stream_format",
)  # fmt: skip


def _check(body: Mapping[str, Any]) -> None:
    if problems := list(_problems(body)):
        raise Refusal(message=str(problems))
    check_model(body["model"])
    if body.get("stream_format") == "sse" and body["model"] in _OLDER:
        # The vendor's words are not recorded.
        raise Refusal(
            message=f"stream_format 'sse' is not supported by {body['model']}.",
            param="stream_format",
            code="unsupported_value",
        )
    wanted = body.get("response_format") or "mp3"
    try:
        encoder(_CODECS.get(wanted, wanted))
    except UnsupportedFormat:
        # Ours, rather than a mislabelled other format.
        raise Refusal(
            message=f"the emulator has no {wanted} encoder", param="response_format"
        ) from None


def _problems(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("model", "input", "voice"):
        if name not in body:
            yield _problem("missing", name, "Field required")
    for name, most in (("model", None), ("input", MAX_CHARACTERS), ("instructions", 4096)):
        value = body.get(name, "-")
        if not isinstance(value, str):
            yield _problem("string_type", name, "Input should be a valid string")
        elif name != "instructions" and not value:
            yield _problem("string_too_short", name, "String should have at least 1 character")
        elif most is not None and len(value) > most:
            message = f"String should have at most {most} characters"
            yield _problem("string_too_long", name, message)
    voice = body.get("voice", VOICES[0])
    custom = isinstance(voice, dict) and isinstance(voice.get("id"), str)
    if not custom and voice not in VOICES:
        yield _problem("enum", "voice", _one_of(VOICES))
    for name, choices in (
        ("response_format", tuple(CONTENT_TYPES)),
        ("stream_format", ("sse", "audio")),
    ):
        if body.get(name, choices[0]) not in choices:
            yield _problem("enum", name, _one_of(choices))
    yield from _speed_problems(body.get("speed", 1.0))
    for name in body:
        if name not in _FIELDS:
            yield _problem("extra_forbidden", name, "Extra inputs are not permitted")


def _speed_problems(speed: object) -> Iterator[dict[str, Any]]:
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        yield _problem("float_type", "speed", "Input should be a valid number")
    elif speed < 0.25:
        message = "Input should be greater than or equal to 0.25"
        yield _problem("greater_than_equal", "speed", message)
    elif speed > 4:
        yield _problem("less_than_equal", "speed", "Input should be less than or equal to 4")


def _problem(kind: str, name: str, message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("body", name), "msg": message}


def _one_of(choices: tuple[str, ...]) -> str:
    *some, last = (f"'{choice}'" for choice in choices)
    return f"Input should be {', '.join(some)} or {last}"


async def speak(exchange: Exchange) -> web.StreamResponse:
    """Answer one request. The voice hears neither ``speed`` nor ``instructions``."""
    body = body_of(exchange)
    _check(body)
    arrived = asyncio.get_running_loop().time()
    wanted = body.get("response_format") or "mp3"
    events = body.get("stream_format") == "sse"
    voice = body["voice"]["id"] if isinstance(body["voice"], dict) else body["voice"]
    start = arrived + first_audio_latency(exchange, first=True)
    scenario = exchange.ctx.scenario
    size = SSE_PIECE_BYTES if events else scenario.speech_chunk_bytes
    slices = await _slices(exchange, body["input"], voice, _CODECS[wanted], size)
    await sleep_until(start)
    if not events:
        writer = await exchange.stream(content_type=CONTENT_TYPES[wanted])
        async for each in paced(exchange, slices, start=start):
            await writer.write(each.audio, audio=True)
        return await writer.finish()
    writer = await exchange.stream(content_type=SSE, headers={"Cache-Control": "no-store"})
    async for each in paced(exchange, slices, start=start):
        audio = base64.b64encode(each.audio).decode()
        await writer.write(audio_event({"type": "speech.audio.delta", "audio": audio}))
        exchange.journal.sent_audio(exchange.record, each.audio)
    # Source: a recording: 93 tokens for less than 5 s of audio; counting is ours.
    spoken = round(20 * (slices[-1].end if slices else 0.0))
    heard = max(1, len(body["input"]) // 4)
    usage = {"input_tokens": heard, "output_tokens": spoken, "total_tokens": heard + spoken}
    await writer.write(audio_event({"type": "speech.audio.done", "usage": usage}))
    return await writer.finish(AUDIO_DONE)


async def _slices(
    exchange: Exchange, text: str, voice: str, codec: str, size: int
) -> list[AudioSlice]:
    """Speak a text and cut the encoded audio; its length is never in a header."""
    pcm = await exchange.ctx.voice.speak(text, voice_id=voice, sample_rate=SAMPLE_RATE)
    return cut(await encoded(encoder(codec), pcm), len(pcm) / (2 * SAMPLE_RATE), size)
