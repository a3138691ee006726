"""The checks of an ElevenLabs transcription's form. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.forms import File, Form
from voicekit.emulator.providers.elevenlabs_request import Checker, invalid

MODELS = ("scribe_v1", "scribe_v2", "scribe_v2_medical", "scribe_v3")
OF_V3 = ("secondary_language_codes", "numbers_format")
"""Fields that only ``scribe_v3`` supports. Source: the vendor's SDK 2.78.0."""

KEYTERM_LIMITS = (1000, 50, 5)
"""How many there may be, and the characters and words of each. Source: the same."""

MAX_METADATA_BYTES = 16 << 10
MAX_SEED = 2_147_483_647

KNOWN = frozenset(
    {
        "model_id", "file", "source_url", "cloud_storage_url", "language_code",
        "secondary_language_codes", "timestamps_granularity", "diarize", "num_speakers",
        "diarization_threshold", "tag_audio_events", "file_format", "temperature", "seed",
        "use_multi_channel", "multichannel_output_style", "keyterms", "entity_detection",
        "entity_redaction", "entity_redaction_mode", "no_verbatim", "use_speaker_library",
        "detect_speaker_roles", "numbers_format", "transcript_edit", "additional_formats",
        "webhook", "webhook_id", "webhook_metadata",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionOptions:
    """A checked form.

    Attributes:
        file: The recording; None where `url` says where it is.
        language: As asked for; None to find out.
        roles: Speakers are named agent and customer.
        events: Sounds that are no words are told, too.
        pcm: The file is 16-bit samples at 16 kHz, mono, without a container.
        combined: Several channels in one transcript.
        notes: Advice that was ignored, and what this emulator does not do.
    """

    file: File | None
    url: str | None
    language: str | None
    granularity: str
    diarize: bool
    roles: bool
    speakers: int
    events: bool
    pcm: bool
    multichannel: bool
    combined: bool
    entities: bool
    formats: tuple[Mapping[str, Any], ...]
    webhook: bool
    notes: tuple[str, ...]


class _Fields:
    """The fields of a form, as its schema reads them; failures are gathered."""

    def __init__(self, form: Form) -> None:
        self.check = Checker("body")
        self._values: dict[str, list[str]] = {}
        for name, value in form.fields:
            # The vendor's SDK sends the word null for what is not set.
            if value not in {"", "null"}:
                self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Any:
        return iter(self._values)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def text(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[-1] if values else None

    def fail(self, name: str, message: str, kind: str) -> None:
        self.check.fail([name], message, kind)

    def flag(self, name: str, *, default: bool) -> bool:
        return self.check.boolean(name, self.text(name), default=default)

    def number(self, name: str, low: float, high: float, *, whole: bool) -> float | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            kind = "integer" if whole else "number"
            self.fail(name, f"Input should be a valid {kind}", "int_parsing")
            return None
        if not low <= number <= high:
            self.fail(name, f"Input should be from {low:g} to {high:g}", "less_than_equal")
        return number

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self.text(name) or default
        self.check.choice([name], value, allowed)
        return value

    def parsed(self, name: str) -> Any:
        value = self.text(name)
        try:
            return None if value is None else json.loads(value)
        except ValueError:
            return value  # a plain word, as the schema's first alternative has it


def check_form(form: Form) -> TranscriptionOptions:
    """Check the form of a transcription.

    422 for a schema failure; 400 for fields that exclude one another, whose code is this emulator's
    choice.
    """
    fields = _Fields(form)
    notes = [f"unknown field {name!r} ignored" for name in fields if name not in KNOWN]
    if "model_id" not in fields:
        fields.fail("model_id", "Field required", "missing")
    model = fields.choice("model_id", MODELS, MODELS[0])
    notes += [f"{name} is for scribe_v3" for name in OF_V3 if name in fields and model != MODELS[3]]
    if "cloud_storage_url" in fields:
        notes.append("cloud_storage_url is deprecated")
    fields.number("temperature", 0, 2, whole=False)
    fields.number("seed", 0, MAX_SEED, whole=True)
    fields.number("diarization_threshold", 0, 1, whole=False)
    fields.choice("numbers_format", ("digits", "words"), "digits")
    for name in ("no_verbatim", "use_speaker_library"):
        fields.flag(name, default=False)
    _check_texts(fields)
    notes += [
        f"{name} is accepted and not done"
        for name in ("entity_redaction", "no_verbatim", "use_speaker_library", "transcript_edit")
        if name in fields
    ]
    formats = fields.parsed("additional_formats") or []
    if not isinstance(formats, list) or not all(isinstance(each, dict) for each in formats):
        fields.fail("additional_formats", "Input should be a valid list", "list_type")
        formats = []
    options = TranscriptionOptions(
        file=form.file("file"),
        url=fields.text("source_url") or fields.text("cloud_storage_url"),
        language=fields.text("language_code"),
        granularity=fields.choice("timestamps_granularity", ("none", "word", "character"), "word"),
        diarize=fields.flag("diarize", default=False),
        roles=fields.flag("detect_speaker_roles", default=False),
        speakers=int(fields.number("num_speakers", 1, 32, whole=True) or 32),
        events=fields.flag("tag_audio_events", default=True),
        pcm=fields.choice("file_format", ("pcm_s16le_16", "other"), "other") == "pcm_s16le_16",
        multichannel=fields.flag("use_multi_channel", default=False),
        combined=fields.choice("multichannel_output_style", ("separate", "combined"), "separate")
        == "combined",
        entities=fields.parsed("entity_detection") is not None,
        formats=tuple(formats),
        webhook=fields.flag("webhook", default=False),
        notes=tuple(notes),
    )
    fields.check.done()
    _check_together(fields, options)
    return options


def _check_texts(fields: _Fields) -> None:
    most, longest, words = KEYTERM_LIMITS
    terms = fields.all("keyterms")
    if len(terms) > most:
        fields.fail("keyterms", f"List should have at most {most} items", "too_long")
    for term in terms:
        if len(term) > longest or len(term.split()) > words or set(term) & set("<>{}[]\\"):
            fields.fail("keyterms", "A key term is too long, or holds a bracket", "value_error")
    if len(fields.text("transcript_edit") or "") > 2000:
        fields.fail("transcript_edit", "String should have at most 2000 characters", "too_long")
    metadata = fields.text("webhook_metadata")
    if metadata is not None and (
        len(metadata.encode()) > MAX_METADATA_BYTES
        # The vendor's SDK encodes a string, which holds JSON, as JSON once more.
        or not isinstance(fields.parsed("webhook_metadata"), dict | str)
    ):
        fields.fail("webhook_metadata", "Input should be a JSON object", "dict_type")


def _check_together(fields: _Fields, options: TranscriptionOptions) -> None:
    sources = [options.file, fields.text("source_url"), fields.text("cloud_storage_url")]
    if sum(each is not None for each in sources) != 1:
        raise invalid("file", "Exactly one of file, source_url, cloud_storage_url is required.")
    if options.multichannel and options.diarize:
        raise invalid("diarize", "diarize cannot be used with use_multi_channel.")
    if options.roles and (options.multichannel or not options.diarize):
        raise invalid("detect_speaker_roles", "detect_speaker_roles requires diarize.")
    if options.combined and options.granularity == "none":
        raise invalid("multichannel_output_style", "combined requires timestamps.")
    if "diarization_threshold" in fields and not (options.diarize and options.speakers == 32):
        raise invalid("diarization_threshold", "It needs diarize, and no num_speakers.")
    if "webhook_id" in fields and not options.webhook:
        raise invalid("webhook_id", "It is only valid when webhook is true.")
