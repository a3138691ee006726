"""What ``/v1/audio/transcriptions`` is asked, read from its form, and what it refuses. No I/O.

Source: fact sheet of 2026-11, §2 and §6 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic).
The words of most refusals are ours; their statuses, types and the recorded codes are the vendor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicekit.emulator.forms import File, Form
from voicekit.emulator.providers.openai_refusals import Refusal, check_model

MAX_UPLOAD_BYTES: Final = 26_214_400
DIARIZE: Final = "gpt-4o-transcribe-diarize"
WHISPER: Final = "whisper-1"
NEWEST: Final = "gpt-transcribe"

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
SUFFIXES: Final = (
    "flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm",
)  # fmt: skip

_FIELDS: Final = frozenset(
    {
        "model", "language", "languages[]", "keywords[]", "prompt", "response_format",
        "temperature", "stream", "chunking_strategy", "chunking_strategy[type]",
        "chunking_strategy[threshold]", "chunking_strategy[prefix_padding_ms]",
        "chunking_strategy[silence_duration_ms]", "include[]", "timestamp_granularities[]",
        "known_speaker_names[]", "known_speaker_references[]",
    }
)  # fmt: skip
LONGEST_UNCHUNKED_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, checked; `granularities` are the times that verbose JSON has."""

    file: File
    model: str
    response_format: str = "json"
    prompt: str = ""
    stream: bool = False
    logprobs: bool = False
    granularities: tuple[str, ...] = ("segment",)
    speakers: tuple[str, ...] = ()
    chunked: bool = False
    languages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def diarize(self) -> bool:
        """Whether speakers are told apart."""
        return self.response_format == "diarized_json"


def read_request(form: Form, *, model: str | None = None) -> Asked:
    """Check a form, with a model in place of its own or not."""
    file = form.file("file")
    if file is None:
        raise _bad("you must provide a file", "file", "missing_required_parameter")
    model = model or form.get("model")
    if not model:
        raise _bad("you must provide a model parameter")
    check_model(model)
    suffix = file.filename.rpartition(".")[2].lower()
    if suffix not in SUFFIXES:
        raise _bad(f"Unsupported file format {suffix[:20]}", "file", "unsupported_value")
    if not file.data:
        raise _bad("Audio file is empty.", "file", "invalid_value")
    response_format = form.get("response_format") or "json"
    _check_format(model, response_format)
    language = form.get("language")
    if language is not None and not (
        language.isascii() and language.isalpha() and len(language) == 2
    ):
        raise Refusal(
            message=f"Invalid language '{language[:20]}'. Language parameter must be "
            "specified in ISO-639-1 format.",
            param="language",
            code="invalid_language_format",
            more={"usage": {"type": "duration", "seconds": 0}},
        )
    temperature = _number(form, "temperature", 0, 1)
    stream = form.get("stream") == "true"
    notes = [f"unknown field {name}" for name, _ in form.fields if name not in _FIELDS]
    if stream and model == WHISPER:
        notes.append("stream is ignored for whisper-1")
        stream = False
    if language is None and not form.all("languages[]"):
        notes.append("naming the language improves accuracy and latency")
    if temperature is not None and model == DIARIZE:
        notes.append("temperature with diarization is not documented")
    return Asked(
        file=file,
        model=model,
        response_format=response_format,
        prompt=_prompt(form, model),
        stream=stream,
        logprobs=_logprobs(form, model, response_format),
        granularities=_granularities(form, response_format),
        speakers=_speakers(form, model),
        chunked=_chunked(form),
        languages=_newest_only(form, model),
        notes=tuple(notes),
    )


def _bad(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    return Refusal(message=message, param=param, code=code)


def _check_format(model: str, wanted: str) -> None:
    if wanted not in FORMATS:
        raise _bad(f"Invalid response_format '{wanted[:20]}'", "response_format", "invalid_value")
    allowed: tuple[str, ...] = FORMATS[:-1]
    if model == DIARIZE:
        allowed = ("json", "text", "diarized_json")
    elif model.startswith("gpt-4o"):
        allowed = ("json",)
    if wanted not in allowed:
        raise _bad(
            f"response_format '{wanted}' is not compatible with model '{model}'. "
            f"Use {' or '.join(allowed)} instead.",
            "response_format",
            "unsupported_value",
        )


def _number(form: Form, name: str, low: float, high: float) -> float | None:
    text = form.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise _bad(
            f"Invalid type for '{name}': expected a decimal.", name, "invalid_type"
        ) from None
    if not low <= value <= high:
        side = "below_min" if value < low else "above_max"
        raise _bad(f"Invalid '{name}': {text[:20]}.", name, f"decimal_{side}_value")
    return value


def _prompt(form: Form, model: str) -> str:
    prompt = form.get("prompt") or ""
    if prompt and model == DIARIZE:
        raise _bad("prompt is not supported with diarization", "prompt", "unsupported_value")
    return prompt


def _logprobs(form: Form, model: str, response_format: str) -> bool:
    for each in (asked := form.all("include[]")):
        if each != "logprobs":
            raise _bad(f"Invalid value: '{each[:20]}'.", "include", "invalid_value")
    # Whether the newest model gives them is not documented.
    if asked and (response_format != "json" or model in {DIARIZE, WHISPER}):
        raise _bad("logprobs are not supported here", "include", "unsupported_value")
    return bool(asked)


def _granularities(form: Form, response_format: str) -> tuple[str, ...]:
    asked = form.all("timestamp_granularities[]")
    for each in asked:
        if each not in {"word", "segment"}:
            raise _bad(f"Invalid value: '{each[:20]}'.", "timestamp_granularities", "invalid_value")
    if asked and response_format != "verbose_json":
        raise _bad(
            "timestamp_granularities needs response_format 'verbose_json'",
            "timestamp_granularities",
            "unsupported_value",
        )
    return tuple(asked) or ("segment",)


def _speakers(form: Form, model: str) -> tuple[str, ...]:
    names = form.all("known_speaker_names[]")
    references = form.all("known_speaker_references[]")
    if (names or references) and model != DIARIZE:
        raise _bad("known speakers need diarization", "known_speaker_names", "unsupported_value")
    if len(names) > 4 or len(names) != len(references):
        raise _bad("up to 4 names, each with its reference", "known_speaker_names", "invalid_value")
    if not all(reference.startswith("data:") for reference in references):
        raise _bad("references are data URLs", "known_speaker_references", "invalid_value")
    return tuple(names)


def _chunked(form: Form) -> bool:
    plain = form.get("chunking_strategy")
    kind = form.get("chunking_strategy[type]")
    if plain not in {None, "auto"} or kind not in {None, "server_vad"}:
        raise _bad("Invalid chunking_strategy.", "chunking_strategy", "invalid_value")
    _number(form, "chunking_strategy[threshold]", 0, 1)
    _number(form, "chunking_strategy[prefix_padding_ms]", 0, 1e9)
    _number(form, "chunking_strategy[silence_duration_ms]", 0, 1e9)
    return plain is not None or kind is not None


def _newest_only(form: Form, model: str) -> tuple[str, ...]:
    for name in ("languages[]", "keywords[]"):
        if form.all(name) and model != NEWEST:
            raise _bad(f"{name[:-2]} needs {NEWEST}", name[:-2], "unsupported_value")
    return tuple(form.all("languages[]"))
