"""A recording and the options of its transcription, frozen into a form. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, ClassVar, Final

from voicekit.checks import Check, is_sequence, without, wrong
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.openai.transcription_options import (
    CHECKS,
    MAX_BYTES,
    TRANSCRIPTION_PATH,
    VENDORS,
    check_model,
    format_of,
)
from voicekit.clients.settings import EXTRAS, Asked, Settings, identity_of, missing
from voicekit.clients.uploads import Recording, upload_of
from voicekit.clients.urls import query_of
from voicekit.errors import ConfigurationError, InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioSource

_SUFFIXES: Final = {
    ".flac", ".m4a", ".mp3", ".mp4", ".mpeg", ".mpga", ".oga", ".ogg", ".wav", ".webm",
}  # fmt: skip
"""What the vendor tells a file's format by. Source: sheet §6; ``.oga``, refusals of 2024."""
_SUFFIX_OF: Final = {"audio/ogg": ".ogg"}
"""By media type, for names that end otherwise: Opus files are Ogg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionRequest(Asked):
    """What will be asked about a recording: validated, and a form's fields already.

    Made by ``OpenAIClient.transcription_request()``. One with bytes, a clip, a path or a
    file that can seek may be sent any number of times.

    Attributes:
        audio: As it was given.
        model: Which model listens.
        response_format: How the answer is written.
        fields: Of the form, beside the file.
        recording: The body and its facts.
    """

    audio: AudioSource = field(repr=False)
    model: str
    response_format: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    recording: Recording = field(repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the answer. May hold content: never log it.

        Raises:
            ConfigurationError: The audio is not held in memory, so that the same request
                may be about another recording tomorrow.
        """
        upload = self.recording.upload
        if not isinstance(upload, bytes):
            raise ConfigurationError(
                "a path and an open file have no identity, since what is behind them can "
                "change: read the audio into bytes"
            )
        return identity_of(
            PROVIDER,
            self.headers,
            path=TRANSCRIPTION_PATH,
            query=self.query,
            fields=self.fields,
            filename=self.recording.filename,
            audio=hashlib.sha256(upload).hexdigest(),
        )


class TranscriptionSettings(Settings):
    """Checked options of a transcription. ``extra_body`` is more fields of its form."""

    purpose = "a transcription"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_body": without(
            {
                "file": "the recording",
                "stream": "transcribe() or stream_transcription()",
                "timestamp_granularities": "the option timestamps",
                "response_format": "the option response_format",
            }
        ),
    }

    def request(self, audio: AudioSource) -> TranscriptionRequest:
        """Freeze these settings with a recording: its file is looked at, not read.

        Raises:
            InvalidArgumentError: No model was named, options do not go together or not with
                the model, or the recording is none, or too long.
        """
        options = {name: value for name, value in self.options.items() if value is not None}
        model = self.extra_body.get("model", options.get("model"))
        if not isinstance(model, str) or not model:
            raise missing("model", "the name of a model that transcribes")
        wanted = format_of(options)
        names = options.get("known_speaker_names", ())
        if len(names) != len(options.get("known_speaker_references", ())):
            raise InvalidArgumentError(
                f"are {len(names)}", argument="known_speaker_names", allowed="one per reference"
            )
        check_model(model, wanted, options)
        return TranscriptionRequest(
            audio=audio,
            model=model,
            response_format=wanted or "json",
            fields=self._fields(options, wanted),
            recording=self._recording(audio, model),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )

    def _fields(
        self, options: Mapping[str, Any], wanted: str | None
    ) -> tuple[tuple[str, str], ...]:
        given = dict(options)
        if wanted is not None:
            given["response_format"] = wanted
        if "timestamps" in given:
            given["timestamp_granularities"] = given["timestamps"]
        # None, when given as such, is the vendor's default: one block.
        if wanted == "diarized_json" and "chunking_strategy" not in self.options:
            given["chunking_strategy"] = "auto"
        body = {name: given[name] for name in _FIELDS if name in given} | dict(self.extra_body)
        return tuple(pair for name, value in body.items() for pair in _pairs(name, value))

    def _recording(self, audio: AudioSource, model: str) -> Recording:
        recording = upload_of(audio)
        name = self.options.get("filename") or recording.filename
        if PurePath(name).suffix.lower() not in _SUFFIXES:
            name += _SUFFIX_OF.get(recording.media_type, "")
        if model in VENDORS:
            if PurePath(name).suffix.lower() not in _SUFFIXES:
                raise InvalidArgumentError(
                    "the vendor cannot tell its format",
                    argument="audio",
                    allowed="wav, mp3, m4a, mp4, ogg, flac, webm; or filename='….mp3' says it",
                )
            if recording.size is not None and recording.size > MAX_BYTES:
                raise InvalidArgumentError(
                    f"has {recording.size} bytes",
                    argument="audio",
                    allowed=f"at most {MAX_BYTES} bytes for {model}",
                )
        if name == recording.filename:
            return recording
        return replace(recording, filename=name)


_FIELDS: Final = (
    "model",
    "chunking_strategy",
    "include",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
    "language",
    "languages",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities",
)
"""In the order of the vendor's SDK."""


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """The fields of a form that hold a value: lists repeat ``name[]``, mappings have keys.

    Source: sheet §6, as the vendor's SDK sends them.
    """
    if isinstance(value, Mapping):
        return [pair for key, each in value.items() for pair in _pairs(f"{name}[{key}]", each)]
    if is_sequence(value):
        return [pair for each in value for pair in _pairs(f"{name}[]", each)]
    if value is None:
        return []
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if not isinstance(value, str | int | float):
        raise wrong(f"extra_body.{name}", value, "text, numbers, flags, sequences and mappings")
    return [(name, str(value))]
