"""Every option of a transcription, what it may be, and which models take it.

Source: OpenAI fact sheet of 2026-11, §6 (OpenAPI 2.3.0, SDK openai 3.52.0). Only what is
documented refuses here, and only for the vendor's own models: servers that imitate it name
others.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from voicekit import checks
from voicekit.checks import Check, is_sequence, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.uploads import upload_of
from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioClip

TRANSCRIPTION_PATH: Final = "/audio/transcriptions"

MAX_BYTES: Final = 26_214_400
"""Of a recording, for the vendor's models."""

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]

DIARIZE: Final = "gpt-4o-transcribe-diarize"
WHISPER: Final = "whisper-1"
NEWEST: Final = "gpt-transcribe"
_JSON_ONLY: Final = frozenset(
    {"gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"}
)
VENDORS: Final = _JSON_ONLY | {DIARIZE, WHISPER, NEWEST}

_SPEAKERS: Final = 4
_VAD: Final[Mapping[str, Check]] = {
    "type": checks.word("server_vad"),
    "threshold": checks.number(0, 1),
    "prefix_padding_ms": checks.integer(0),
    "silence_duration_ms": checks.integer(0),
}


class TranscriptionDefaults(Extras, total=False):
    """Options of a transcription, for the constructor (under ``transcription``) and each call.

    Absent, None and brackets mean what ``Extras`` says.
    ``extra_body`` adds fields to the form: text, numbers, flags, sequences and mappings.

    Attributes:
        model: Which model listens. Required, here or in the constructor: all of the
            vendor's but ``gpt-transcribe`` end on 2027-02-26, so there is none to default to.
        language: ISO 639-1; naming it makes the answer better and sooner.
        languages: Those that may occur. For ``gpt-transcribe``.
        keywords: Words and phrases to expect. For ``gpt-transcribe``.
        prompt: Text that guides the style, or that came before. Not with speakers.
        timestamps: ``"word"``, ``"segment"`` or both of them: fills ``words`` and
            ``utterances``. Words take the model longer, segments do not. For ``whisper-1``
            and compatible servers.
        diarize: Tell speakers apart: fills ``utterances``. For ``gpt-4o-transcribe-diarize``.
        response_format: ``"json"``, ``"text"``, ``"srt"``, ``"verbose_json"``, ``"vtt"`` or
            ``"diarized_json"``; follows from the two before it where it is not given.
        temperature: 0 to 1 (0).
        chunking_strategy: ``"auto"``, or ``{"type": "server_vad", "threshold": 0.5,
            "prefix_padding_ms": 300, "silence_duration_ms": 200}``; where the audio is cut
            (nowhere; ``"auto"``, ours, where speakers are told apart, which needs it beyond
            30 s).
        include: ``["logprobs"]``: the probability of each token, in ``raw``.
        known_speaker_names: Up to 4 names to use for speakers.
        known_speaker_references: A recording of each, 2 to 10 s: a ``data:`` URL, bytes, or
            a clip.
        filename: What the file is called there, where neither its name nor its bytes tell
            what it holds: ``"call.mp3"``.
    """

    model: str | None
    language: str | None
    languages: Sequence[str] | None
    keywords: Sequence[str] | None
    prompt: str | None
    timestamps: Literal["word", "segment"] | Sequence[Literal["word", "segment"]] | None
    diarize: bool | None
    response_format: ResponseFormat | None
    temperature: float | None
    chunking_strategy: Literal["auto"] | Mapping[str, Any] | None
    include: Sequence[str] | None
    known_speaker_names: Sequence[str] | None
    known_speaker_references: Sequence[str | bytes | AudioClip] | None
    filename: str | None


class TranscriptionOptions(TranscriptionDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


def _words(name: str, value: Any) -> tuple[str, ...]:
    if not is_sequence(value) or not value or not all(isinstance(v, str) and v for v in value):
        raise wrong(name, value, "a sequence of str, none of them empty")
    return tuple(value)


def _timestamps(name: str, value: Any) -> tuple[str, ...]:
    asked = (value,) if isinstance(value, str) else value
    known = ("word", "segment")
    if not is_sequence(asked) or not asked or not all(each in known for each in asked):
        raise wrong(name, value, "'word', 'segment', or a sequence of both")
    return tuple(dict.fromkeys(asked))


def _chunking(name: str, value: Any) -> str | dict[str, Any]:
    if value == "auto":
        return "auto"
    given = checks.fields(name, value) if isinstance(value, Mapping) else {}
    if "type" not in given or not given.keys() <= _VAD.keys():
        raise wrong(name, value, f"'auto', or a mapping with {', '.join(_VAD)}")
    return {key: _VAD[key](f"{name}.{key}", each) for key, each in given.items()}


def _names(name: str, value: Any) -> tuple[str, ...]:
    names = _words(name, value)
    if len(names) > _SPEAKERS:
        raise wrong(name, value, f"at most {_SPEAKERS} names")
    return names


def _references(name: str, value: Any) -> tuple[str, ...]:
    if not is_sequence(value) or not 0 < len(value) <= _SPEAKERS:
        raise wrong(name, value, f"at most {_SPEAKERS} recordings")
    return tuple(_data_url(name, each) for each in value)


def _data_url(name: str, value: Any) -> str:
    if isinstance(value, str):
        if value.startswith("data:") and value.isascii():
            return value
    elif isinstance(value, bytes | AudioClip) and value:
        recording = upload_of(value)
        if isinstance(recording.upload, bytes):
            held = base64.b64encode(recording.upload).decode()
            return f"data:{recording.media_type};base64,{held}"
    raise wrong(name, value, "data: URLs, bytes or clips")


def _filename(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255 or "/" in value:
        raise wrong(name, value, "a file's name without its folder, such as 'call.mp3'")
    return value


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "language": checks.text,
    "languages": _words,
    "keywords": _words,
    "prompt": checks.text,
    "timestamps": _timestamps,
    "diarize": checks.flag,
    "response_format": checks.word(*get_args(ResponseFormat)),
    "temperature": checks.number(0, 1),
    "chunking_strategy": _chunking,
    "include": _words,
    "known_speaker_names": _names,
    "known_speaker_references": _references,
    "filename": _filename,
}


def format_of(options: Mapping[str, Any]) -> str | None:
    """The response format that the options ask for; None is the server's default, JSON.

    Raises:
        InvalidArgumentError: They do not go together.
    """
    wanted: str | None = options.get("response_format")
    diarize, timestamps = options.get("diarize"), options.get("timestamps")
    if diarize and timestamps:
        raise InvalidArgumentError(
            "is not for a transcription with speakers",
            argument="timestamps",
            allowed="diarize=True alone: its utterances have their times",
        )
    implied = "diarized_json" if diarize else "verbose_json" if timestamps else None
    if implied is not None and wanted not in {None, implied}:
        raise InvalidArgumentError(
            f"got {wanted!r}",
            argument="response_format",
            allowed=f"{implied!r} with {'diarize' if diarize else 'timestamps'}",
        )
    return implied or wanted


def check_model(model: str, wanted: str | None, options: Mapping[str, Any]) -> None:
    """What the vendor documents of its models.

    Raises:
        InvalidArgumentError: The model does not take an option.
    """
    wanted = wanted or "json"
    if "include" in options and wanted != "json":
        raise _refused("include", f"{wanted} answers", "JSON answers")
    if model not in VENDORS:
        return
    formats: tuple[str, ...] = ("json", "text", "srt", "verbose_json", "vtt")
    if model in _JSON_ONLY:
        formats = ("json",)
    elif model == DIARIZE:
        formats = ("json", "text", "diarized_json")
    if wanted not in formats:
        asked = [name for name in ("timestamps", "diarize") if options.get(name)]
        raise _refused(
            asked[0] if asked else "response_format", model, f"{', '.join(formats)} answers of it"
        )
    only: dict[str, frozenset[str]] = {
        "languages": frozenset({NEWEST}),
        "keywords": frozenset({NEWEST}),
        "include": _JSON_ONLY,
        "known_speaker_names": frozenset({DIARIZE}),
        "known_speaker_references": frozenset({DIARIZE}),
        "prompt": VENDORS - {DIARIZE},
    }
    for name, models in only.items():
        if name in options and model not in models:
            raise _refused(name, model, ", ".join(sorted(models)))


def _refused(argument: str, what: str, allowed: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"is not for {what}", argument=argument, allowed=allowed)
