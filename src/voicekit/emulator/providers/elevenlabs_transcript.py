"""The JSON answer of ElevenLabs' transcription of files. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from voicekit.emulator.providers.elevenlabs_form import TranscriptionOptions
from voicekit.emulator.providers.recording import Recording, Said

# Extension and type of each export. Source: the vendor's SDK 2.78.0, types/export_options.py, for
# the names; the types are this emulator's choice.
_EXPORTS = {
    "segmented_json": ("json", "application/json"),
    "srt": ("srt", "application/x-subrip"),
    "txt": ("txt", "text/plain"),
    "html": ("html", "text/html"),
}


def answer_of(
    recording: Recording,
    heard: Sequence[Sequence[Said]],
    options: TranscriptionOptions,
    *,
    transcription_id: str,
) -> dict[str, Any]:
    """Return the answer for what was heard in each channel."""
    whole = {
        "transcription_id": transcription_id,
        "audio_duration_secs": round(recording.duration, 4),
    }
    if len(heard) == 1:
        return {**_chunk(_entries(heard[0], options), options), **whole}
    channels = [_entries(words, options, channel) for channel, words in enumerate(heard)]
    if options.combined:
        merged = sorted(
            (each for words in channels for each in words if each["type"] != "spacing"),
            key=lambda each: each["start"],
        )
        return {**_chunk(_spaced(merged, options), options), **whole}
    transcripts = [
        {**_chunk(words, options), "channel_index": channel}
        for channel, words in enumerate(channels)
    ]
    return {"transcripts": transcripts, **whole}


def _chunk(words: Sequence[dict[str, Any]], options: TranscriptionOptions) -> dict[str, Any]:
    text = "".join(each["text"] for each in words)
    chunk: dict[str, Any] = {
        "language_code": options.language or "eng",
        "language_probability": 1.0 if options.language else 0.98,
        "text": text,
        "words": list(words),
        "channel_index": None,
        "additional_formats": [_export(each, text) for each in options.formats] or None,
        "entities": [] if options.entities else None,
    }
    return chunk


def _export(asked: Any, text: str) -> dict[str, Any]:
    name = str(asked.get("format"))
    extension, kind = _EXPORTS.get(name, (name, "application/octet-stream"))
    return {
        "requested_format": name,
        "file_extension": extension,
        "content_type": kind,
        "is_base64_encoded": False,
        "content": text,
    }


def _entries(
    heard: Sequence[Said], options: TranscriptionOptions, channel: int | None = None
) -> list[dict[str, Any]]:
    """The words of a channel and the spaces between them, written as running text."""
    entries: list[dict[str, Any]] = []
    begins = True
    for said in heard:
        event = said.word.startswith("(")
        if event and not options.events:
            continue
        entry: dict[str, Any] = {
            "text": said.word if event else _written(said, begins=begins),
            "start": round(said.start, 4),
            "end": round(said.end, 4),
            "type": "audio_event" if event else "word",
            "speaker_id": _speaker(said, options, channel),
            "logprob": round(math.log(max(said.confidence, 1e-6)), 4),
        }
        if channel is not None:
            entry["channel_index"] = channel
        entries.append(entry)
        if not event:
            begins = said.last
    return _spaced(entries, options)


def _written(said: Said, *, begins: bool) -> str:
    word = said.word[:1].upper() + said.word[1:] if begins else said.word
    return word + "." if said.last and word[-1] not in ".!?" else word


def _speaker(said: Said, options: TranscriptionOptions, channel: int | None) -> str | None:
    if channel is not None:
        return f"speaker_{channel}"
    if not options.diarize:
        return None
    if options.roles:
        return ("agent", "customer")[said.speaker % 2]
    return f"speaker_{said.speaker % min(2, options.speakers)}"


def _spaced(words: Sequence[dict[str, Any]], options: TranscriptionOptions) -> list[dict[str, Any]]:
    spaced: list[dict[str, Any]] = []
    for word in words:
        if spaced:
            before = spaced[-1]
            # Two channels may speak at the same time.
            gap = {"start": min(before["end"], word["start"]), "end": word["start"]}
            spaced.append({**before, **gap, "text": " ", "type": "spacing", "logprob": 0.0})
        spaced.append(word)
    return [_timed(each, options) for each in spaced]


def _timed(word: dict[str, Any], options: TranscriptionOptions) -> dict[str, Any]:
    """With the times that were asked for. Without any, they are null: unverified."""
    if options.granularity == "none":
        return {**word, "start": None, "end": None}
    if options.granularity == "word":
        return word
    start, text = word["start"], word["text"]
    each = (word["end"] - start) / len(text)
    characters = [
        {
            "text": character,
            "start": round(start + each * place, 4),
            "end": round(start + each * (place + 1), 4),
        }
        for place, character in enumerate(text)
    ]
    return {**word, "characters": characters}
