"""Every option of transcription, what it may be, and the check that says so before any I/O.

Source: ElevenLabs fact sheet of 2026-11, §7 (SDK elevenlabs 2.78.0, speech_to_text).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, is_sequence, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.speech import AudioFormat


class TranscriptionDefaults(Extras, total=False):
    """Options of a transcription, for the constructor and for each call alike.

    Absent, None and brackets mean what ``Extras`` says. ``extra_body`` adds fields
    to the form.

    Attributes:
        model: Which model listens (``scribe_v2``, ours; always sent).
        format: What bytes, files or handles without a header are, such as
            ``"pcm_16000"``. What has a header says it itself.
        language_code: ISO 639-1 or -3; found out by default.
        secondary_language_codes: Others that may be spoken; ``scribe_v3``.
        timestamps_granularity: ``"none"``, ``"word"`` or ``"character"``, whose times are in
            ``raw`` (word).
        diarize: Who says what: speakers, and utterances (False).
        num_speakers: At most so many, 1 to 32.
        diarization_threshold: Higher for fewer speakers, about 0.22; with ``diarize`` and
            without ``num_speakers``.
        detect_speaker_roles: Speakers are ``"agent"`` and ``"customer"``; with ``diarize``
            (False).
        use_speaker_library: Known speakers by their names; with ``diarize`` (False).
        tag_audio_events: Sounds in the text, ``(laughter)`` (True).
        use_multi_channel: Each channel on its own, at most 5; not with ``diarize`` (False).
        multichannel_output_style: ``"separate"`` or ``"combined"``, all in the order of
            time (separate).
        keyterms: Up to 1000 words or phrases to expect, of at most 50 characters and 5 words.
        numbers_format: ``"digits"`` or ``"words"``; ``scribe_v3``.
        no_verbatim: Leaves out filler words and false starts (False).
        entity_detection: Kinds of entities to report, see ``raw``.
        entity_redaction: Kinds of entities to leave out.
        entity_redaction_mode: What stands in their place.
        transcript_edit: What to change in the text, in at most 2000 characters of plain
            words; see ``raw``.
        additional_formats: Exports to make, ``{"format": "srt"}``; see ``raw``.
        temperature: 0 to 2.
        seed: 0 to 2147483647; repeatable at best effort only.
        file_format: ``"pcm_s16le_16"`` or ``"other"``. By itself the first for what is known
            to be 16-bit PCM at 16 kHz, mono, since that is transcribed sooner.
        enable_logging: False keeps nothing at the vendor; enterprise plans only (True).
        webhook_id: Which webhook gets what ``submit_transcription`` asks for (all).
        webhook_metadata: What it gets along with that; at most 16 KB of JSON.
    """

    model: str | None
    format: AudioFormat | str | None
    language_code: str | None
    secondary_language_codes: Sequence[str] | None
    timestamps_granularity: str | None
    diarize: bool | None
    num_speakers: int | None
    diarization_threshold: float | None
    detect_speaker_roles: bool | None
    use_speaker_library: bool | None
    tag_audio_events: bool | None
    use_multi_channel: bool | None
    multichannel_output_style: str | None
    keyterms: Sequence[str] | None
    numbers_format: str | None
    no_verbatim: bool | None
    entity_detection: str | Sequence[str] | None
    entity_redaction: str | Sequence[str] | None
    entity_redaction_mode: str | None
    transcript_edit: str | None
    additional_formats: Sequence[Mapping[str, Any]] | None
    temperature: float | None
    seed: int | None
    file_format: str | None
    enable_logging: bool | None
    webhook_id: str | None
    webhook_metadata: Mapping[str, Any] | None


class TranscriptionOptions(TranscriptionDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


MAX_KEYTERMS: Final = 1000
MAX_METADATA_BYTES: Final = 16 << 10
_ALLOWED_TERMS: Final = (
    f"at most {MAX_KEYTERMS} str of 50 characters and 5 words, without <>{{}}[]\\"
)


def _keyterms(name: str, value: Any) -> tuple[str, ...]:
    if not is_sequence(value) or len(value) > MAX_KEYTERMS:
        raise wrong(name, value, _ALLOWED_TERMS)
    for term in value:
        if not isinstance(term, str) or not 0 < len(term) <= 50:
            raise wrong(name, term, _ALLOWED_TERMS)
        if len(term.split()) > 5 or not set("<>{}[]\\").isdisjoint(term):
            raise wrong(name, term, _ALLOWED_TERMS)
    return tuple(value)


def _kinds(name: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value:
        return value
    if is_sequence(value) and value and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    raise wrong(name, value, '"all", a kind of entities, or a sequence of them')


def _exports(name: str, value: Any) -> tuple[Mapping[str, Any], ...]:
    allowed = 'a sequence of mappings like {"format": "srt"}'
    if not is_sequence(value):
        raise wrong(name, value, allowed)
    for each in value:
        if not isinstance(each, Mapping) or not isinstance(each.get("format"), str):
            raise wrong(name, each, allowed)
    return tuple(dict(each) for each in value)


def _metadata(name: str, value: Any) -> dict[str, Any]:
    given = dict(checks.fields(name, value))
    try:
        size = len(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        size = -1
    if not 0 <= size <= MAX_METADATA_BYTES:
        raise wrong(name, value, f"a mapping of at most {MAX_METADATA_BYTES} bytes of JSON")
    return given


def _format(name: str, value: Any) -> AudioFormat:
    parsed = AudioFormat.parse(value)
    if parsed.encoding not in {"pcm", "mulaw", "alaw"}:
        raise wrong(name, value, "a format without a header: pcm_<hz>, mulaw_<hz> or alaw_<hz>")
    return parsed


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "format": _format,
    "language_code": checks.text,
    "secondary_language_codes": checks.sequence_of(str, "language codes"),
    "timestamps_granularity": checks.word("none", "word", "character"),
    "diarize": checks.flag,
    "num_speakers": checks.integer(1, 32),
    "diarization_threshold": checks.number(0, 1),
    "detect_speaker_roles": checks.flag,
    "use_speaker_library": checks.flag,
    "tag_audio_events": checks.flag,
    "use_multi_channel": checks.flag,
    "multichannel_output_style": checks.word("separate", "combined"),
    "keyterms": _keyterms,
    "numbers_format": checks.word("digits", "words"),
    "no_verbatim": checks.flag,
    "entity_detection": _kinds,
    "entity_redaction": _kinds,
    "entity_redaction_mode": checks.text,
    "transcript_edit": checks.text_up_to(2000),
    "additional_formats": _exports,
    "temperature": checks.number(0, 2),
    "seed": checks.integer(0, 2_147_483_647),
    "file_format": checks.word("pcm_s16le_16", "other"),
    "enable_logging": checks.flag,
    "webhook_id": checks.text,
    "webhook_metadata": _metadata,
}
