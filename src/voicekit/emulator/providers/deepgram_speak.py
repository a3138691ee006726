"""Deepgram's `POST /v1/speak`: the text that it takes, and the audio that it makes of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Final, cast

from voicekit.emulator import g711
from voicekit.emulator.codecs import mp3_encoder, wav_header
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.deepgram_query import QueryRefusalError
from voicekit.emulator.providers.deepgram_speak_query import MAX_CHARACTERS, SpeakOptions
from voicekit.emulator.providers.speech_pacing import AudioSlice, cut

MAX_BODY_BYTES: Final = 2_000_000
"""Source: the vendor's error page, PAYLOAD_TOO_LARGE: 2 MB."""

_STAND_IN: Final = "The script is not fetched. This sentence stands in for it."


def text_of(exchange: Exchange) -> str:
    """Return the text to speak, or refuse: there is none, there are two, or it is too long."""
    body, kind = exchange.body, exchange.request.content_type
    if len(body) > MAX_BODY_BYTES:
        raise QueryRefusalError(
            "The payload is larger than 2 MB.", status=413, code="PAYLOAD_TOO_LARGE"
        )
    try:
        decoded = body.decode()
    except UnicodeDecodeError:
        raise QueryRefusalError("The payload is not UTF-8.", code="PAYLOAD_ERROR") from None
    match kind:
        case "application/json":
            text = _json_text(exchange, decoded)
        case "text/plain":
            text = decoded
        case _:
            raise QueryRefusalError(
                "Unsupported media type: expected application/json or text/plain.",
                status=415,
                code="UNSUPPORTED_MEDIA_TYPE",
            )
    if not text.strip():
        raise QueryRefusalError("Input text contains no characters.", code="Bad Request")
    if len(text) > MAX_CHARACTERS:
        raise QueryRefusalError(
            f"Input text exceeds maximum character limit of {MAX_CHARACTERS}.",
            status=413,
            code="Payload Too Large",
        )
    return text


def _json_text(exchange: Exchange, decoded: str) -> str:
    try:
        fields = json.loads(decoded)
    except ValueError as broken:
        raise QueryRefusalError(
            "Invalid JSON submitted.", code="INVALID_JSON", details=str(broken)
        ) from None
    if not isinstance(fields, dict) or len({"text", "url"} & set(fields)) != 1:
        raise QueryRefusalError(
            "Exactly one of text or url must be specified.", code="PAYLOAD_ERROR"
        )
    given = fields.get("text", fields.get("url"))
    if not isinstance(given, str):
        raise QueryRefusalError("Expected a string.", code="PAYLOAD_ERROR")
    if "text" in fields:
        return given
    if not given.startswith(("http://", "https://")):
        raise QueryRefusalError("The url is missing or invalid.", code="PAYLOAD_ERROR")
    exchange.note("the url is not fetched: a sentence stands in for it")
    return _STAND_IN


def model_uuid(model: str) -> str:
    """Return the id of a voice: the same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, model))


def speech_headers(options: SpeakOptions, text: str) -> dict[str, str]:
    """Return what the vendor tells of speech beside its request id."""
    return {
        "dg-model-name": options.model,
        "dg-model-uuid": model_uuid(options.model),
        "dg-char-count": str(len(text)),
    }


async def render(exchange: Exchange, text: str, options: SpeakOptions) -> Sequence[AudioSlice]:
    """Speak a text and cut the encoded audio as the scenario says."""
    rate = options.sample_rate
    pcm = await exchange.ctx.voice.speak(text, voice_id=options.model, sample_rate=rate)
    size = exchange.ctx.scenario.speech_chunk_bytes
    return cut(_encode(pcm, options), len(pcm) / (2 * rate), size)


def _encode(pcm: bytes, options: SpeakOptions) -> bytes:
    rate, encoding = options.sample_rate, options.encoding
    if encoding == "mp3":
        encoder = mp3_encoder(rate, options.bit_rate // 1000)
        return encoder.encode(pcm) + encoder.flush()
    audio = pcm if encoding == "linear16" else g711.encode(cast("g711.Law", encoding), pcm)
    # The vendor streams as it speaks, so it cannot know the length in the header.
    wav = options.container == "wav"
    return wav_header(rate, None, encoding=encoding) + audio if wav else audio
