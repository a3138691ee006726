"""Transcripts in every shape that OpenAI gives them. No I/O.

Source: fact sheet of 2026-11, §6 (SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from voicekit.emulator.providers.openai_pacing import Kind, audio_event
from voicekit.emulator.providers.openai_recording import Spell
from voicekit.emulator.providers.openai_transcription_request import NEWEST, WHISPER, Asked


def plain_of(said: Sequence[Spell], asked: Asked) -> str:
    """``text``, ``srt`` or ``vtt``; all of them end in a line feed."""
    if asked.response_format == "text":
        return _text(said) + "\n"
    if asked.response_format == "srt":
        cues = [
            f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{each.text}\n\n"
            for number, each in enumerate(said, 1)
        ]
        return "".join(cues)
    cues = [
        f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{each.text}\n\n" for each in said
    ]
    return "".join(["WEBVTT\n\n", *cues])


def json_of(said: Sequence[Spell], duration: float, asked: Asked) -> dict[str, Any]:
    """``json``, ``verbose_json`` or ``diarized_json``."""
    text = _text(said)
    if asked.response_format == "diarized_json":
        return {
            "task": "transcribe",
            "duration": round(duration, 3),
            "text": text,
            "segments": [_speaking(number, each, asked) for number, each in enumerate(said)],
            "usage": _usage(said, duration, asked),
        }
    if asked.response_format == "verbose_json":
        answer: dict[str, Any] = {
            "task": "transcribe",
            "language": "english",
            "duration": round(duration, 3),
            "text": text,
        }
        if "segment" in asked.granularities:
            answer["segments"] = [_segment(number, each) for number, each in enumerate(said)]
        if "word" in asked.granularities:
            answer["words"] = [
                {"word": word.word, "start": round(word.start, 2), "end": round(word.end, 2)}
                for each in said
                for word in each.words
            ]
        answer["usage"] = _duration(duration)
        return answer
    answer = {"text": text}
    if asked.logprobs:
        answer["logprobs"] = [_logprob(token) for token in _tokens(text)]
    if asked.model == NEWEST:
        answer["languages"] = _languages(said, asked)
    answer["usage"] = _usage(said, duration, asked)
    return answer


def events_of(said: Sequence[Spell], duration: float, asked: Asked) -> Iterator[tuple[Kind, bytes]]:
    """The events of a stream, without the end marker."""
    for number, each in enumerate(said):
        for token in _tokens((" " if number else "") + each.text):
            delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": token}
            if asked.logprobs:
                delta["logprobs"] = [_logprob(token)]
            if asked.diarize:
                delta["segment_id"] = f"seg_{number}"
            yield Kind.TOKEN, audio_event(delta)
        if asked.diarize:
            yield Kind.TOKEN, audio_event(_speaking(number, each, asked))
    done: dict[str, Any] = {"type": "transcript.text.done", "text": _text(said)}
    if asked.logprobs:
        done["logprobs"] = [_logprob(token) for token in _tokens(done["text"])]
    if asked.model == NEWEST:
        done["languages"] = _languages(said, asked)
    done["usage"] = _usage(said, duration, asked)
    yield Kind.END, audio_event(done)


def _text(said: Sequence[Spell]) -> str:
    return " ".join(each.text for each in said)


def _tokens(text: str) -> list[str]:
    """Words with the space before them."""
    first, *others = text.split(" ")
    return [*([first] if first else []), *(f" {word}" for word in others)]


def _languages(said: Sequence[Spell], asked: Asked) -> list[dict[str, str]]:
    code = asked.languages[0] if asked.languages else "en"
    return [{"code": code}] if said else []


def _logprob(token: str) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode()), "logprob": -0.01}


def _segment(number: int, said: Spell) -> dict[str, Any]:
    text = f" {said.text}"
    return {
        "id": number,
        "seek": 0,
        "start": round(said.start, 2),
        "end": round(said.end, 2),
        "text": text,
        "tokens": [50364 + len(token) for token in _tokens(said.text)],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }


def _speaking(number: int, said: Spell, asked: Asked) -> dict[str, Any]:
    known = said.speaker < len(asked.speakers)
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{number}",
        "start": round(said.start, 3),
        "end": round(said.end, 3),
        "speaker": asked.speakers[said.speaker] if known else chr(ord("A") + said.speaker),
        "text": said.text,
    }


def _usage(said: Sequence[Spell], duration: float, asked: Asked) -> dict[str, Any]:
    if asked.model == WHISPER:
        return _duration(duration)
    # Source: a recording: 17 audio tokens and 11 of text for a clip of about 2 s.
    audio = max(1, round(8.5 * duration))
    prompt = len(asked.prompt) // 4
    spoken = sum(len(each.words) for each in said) + 2
    return {
        "type": "tokens",
        "total_tokens": audio + prompt + spoken,
        "input_tokens": audio + prompt,
        "input_token_details": {"text_tokens": prompt, "audio_tokens": audio},
        "output_tokens": spoken,
    }


def _duration(duration: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(duration)}


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    minutes, milliseconds = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    rest, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{rest:02}{mark}{milliseconds:03}"
