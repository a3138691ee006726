"""Every option of speech, what it may be, and the check that says so before any I/O.

Source: ElevenLabs fact sheet of 2026-11, §3, §4, §9 and §10 (OpenAPI and AsyncAPI of
August 2025, SDK elevenlabs 2.78.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicekit import checks
from voicekit.checks import Check, is_number, is_sequence, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.elevenlabs.formats import vendor_name
from voicekit.clients.elevenlabs.voice_settings import VoiceSettings
from voicekit.clients.settings import split_above
from voicekit.speech import AudioFormat


class SpeechDefaults(Extras, total=False):
    """Options of speech, for the constructor and for each call alike.

    Absent, None and brackets mean what ``Extras`` says. Those marked † need the
    whole text and are no option of a session; those marked ‡ are for sessions alone, which is
    text that arrives in pieces.

    Attributes:
        voice: Id of the voice. Required, here or in the constructor.
        model: Which model speaks (``eleven_flash_v2_5``, ours; always sent, the vendor's
            default is a slow model).
        format: An ``AudioFormat`` or its short name (``"pcm_24000"``, ours; always sent).
        voice_settings: ``VoiceSettings(…)``; None is what is stored with the voice.
        language_code: ISO 639-1; not every model has it.
        pronunciation_dictionary_locators: Up to 3 mappings with
            ``pronunciation_dictionary_id`` and perhaps ``version_id``.
        seed: 0 to 4294967295; repeatable at best effort only.
        apply_text_normalization: ``"auto"``, ``"on"`` or ``"off"`` (auto).
        apply_language_text_normalization: Japanese only, and slow (False).
        enable_logging: False keeps nothing at the vendor; enterprise plans only (True).
        optimize_streaming_latency: 0 to 4; deprecated by the vendor, still accepted.
        previous_text: † What was said before, for the prosody.
        next_text: † What will be said next.
        previous_request_ids: † Up to 3 ids, at most two hours old; instead of the text. Of what
            the vendor has kept, so not with ``enable_logging=False``.
        next_request_ids: † Up to 3 ids, likewise.
        timestamps: † True for the words and characters of each chunk and clip with their
            times (False). The last word comes in a chunk without audio.
        alignment: † Whose characters those are: ``"original"``, the text as it was sent, or
            ``"normalized"``, as it was read out, numbers as words (``"original"``).
        split: † True speaks a text beyond the model's limit in as few parts as its sentences
            allow, one after the other, as one speech; a number is the most characters of a
            part, whatever the limit (False). Each part is told what comes before and after
            it, and which requests spoke before it. For PCM and G.711 only, whose samples
            can be joined.
        resume: † True asks again for what of a speech broke off, from the first sentence that
            has not come whole (with ``split`` alone, the first part), if you have no byte of
            it; once per sentence, charged anew (False). Needs ``split`` or ``timestamps``.
            For PCM and G.711 only.
        use_pvc_as_ivc: † Deprecated by the vendor.
        audio_effects: † A mapping, passed on as it is; stereo effects fail for PCM and G.711.
        auto_mode: ‡ Speak each piece as it comes, without a schedule: the lowest latency
            when pieces are whole sentences or phrases, poor prosody otherwise (False).
        chunk_length_schedule: ‡ Characters to gather before each piece of audio, 50 to 500
            each, the last one repeats (``(50, 120, 160, 250)``, ours).
        sync_alignment: ‡ Word times with every chunk, not only with some (False).
        enable_ssml_parsing: ‡ Costs latency (False).
        socket: ‡ ``"multi-stream-input"``, whose sockets serve one utterance after the other,
            or ``"stream-input"``, where each is spent on one and a spare takes its place
            (the first, ours).
        inactivity_timeout: ‡ Seconds of silence after which the vendor closes, 1 to 180
            (180, ours; the vendor's is 20).
        max_buffered_s: ‡ Seconds of audio that may wait for a slow consumer before the
            session fails (120).
    """

    voice: str | None
    model: str | None
    format: AudioFormat | str | None
    voice_settings: VoiceSettings | Mapping[str, Any] | None
    language_code: str | None
    pronunciation_dictionary_locators: Sequence[Mapping[str, str]] | None
    seed: int | None
    apply_text_normalization: str | None
    apply_language_text_normalization: bool | None
    enable_logging: bool | None
    optimize_streaming_latency: int | None
    previous_text: str | None
    next_text: str | None
    previous_request_ids: Sequence[str] | None
    next_request_ids: Sequence[str] | None
    timestamps: bool | None
    alignment: str | None
    split: bool | int | None
    resume: bool | None
    use_pvc_as_ivc: bool | None
    audio_effects: Mapping[str, Any] | None
    auto_mode: bool | None
    chunk_length_schedule: Sequence[int] | None
    sync_alignment: bool | None
    enable_ssml_parsing: bool | None
    socket: str | None
    inactivity_timeout: int | None
    max_buffered_s: float | None


class SpeechOptions(SpeechDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


MULTI_CONTEXT = "multi-stream-input"
SINGLE_CONTEXT = "stream-input"
MAX_SEED = 4_294_967_295
MAX_LISTED = 3
SHORTEST_PART = 20
"""Characters. Source: ours; a part is a request, and shorter ones are hardly speech."""
MAX_INACTIVITY = 180
"""Seconds. Source: AsyncAPI, ``inactivity_timeout``."""


def _ids(name: str, value: Any) -> tuple[str, ...]:
    few = is_sequence(value) and len(value) <= MAX_LISTED
    if not few or not all(isinstance(each, str) and each for each in value):
        raise wrong(name, value, f"at most {MAX_LISTED} request ids")
    return tuple(value)


def _locators(name: str, value: Any) -> tuple[dict[str, str], ...]:
    allowed = f"at most {MAX_LISTED} mappings of pronunciation_dictionary_id and version_id"
    if not is_sequence(value):
        raise wrong(name, value, allowed)
    known = {"pronunciation_dictionary_id", "version_id"}
    for each in value:
        if not isinstance(each, Mapping) or not known.issuperset(each):
            raise wrong(name, each, allowed)
        if not isinstance(each.get("pronunciation_dictionary_id"), str):
            raise wrong(name, each, allowed)
    if len(value) > MAX_LISTED:
        raise wrong(name, value, allowed)
    return tuple(dict(each) for each in value)


def _schedule(name: str, value: Any) -> tuple[int, ...]:
    low, high = 50, 500  # Source: AsyncAPI, generation_config.
    if not is_sequence(value) or not value:
        raise wrong(name, value, f"at least one int from {low} to {high}")
    check = checks.integer(low, high)
    return tuple(check(name, each) for each in value)


def _seconds(name: str, value: Any) -> float:
    if not is_number(value) or not value > 0:
        raise wrong(name, value, "seconds > 0")
    return float(value)


def _format(name: str, value: Any) -> AudioFormat:  # noqa: ARG001 - the seam of a check
    parsed = AudioFormat.parse(value)
    vendor_name(parsed)
    return parsed


CHECKS: Mapping[str, Check] = {
    "voice": checks.text,
    "model": checks.text,
    "format": _format,
    "voice_settings": lambda _name, value: VoiceSettings.parse(value),
    "language_code": checks.text,
    "pronunciation_dictionary_locators": _locators,
    "seed": checks.integer(0, MAX_SEED),
    "apply_text_normalization": checks.word("auto", "on", "off"),
    "apply_language_text_normalization": checks.flag,
    "enable_logging": checks.flag,
    "optimize_streaming_latency": checks.integer(0, 4),
    "timestamps": checks.flag,
    "alignment": checks.word("original", "normalized"),
    "split": split_above(SHORTEST_PART),
    "resume": checks.flag,
    "previous_text": checks.text,
    "next_text": checks.text,
    "previous_request_ids": _ids,
    "next_request_ids": _ids,
    "use_pvc_as_ivc": checks.flag,
    "audio_effects": lambda name, value: dict(checks.fields(name, value)),
    "auto_mode": checks.flag,
    "chunk_length_schedule": _schedule,
    "sync_alignment": checks.flag,
    "enable_ssml_parsing": checks.flag,
    "socket": checks.word(MULTI_CONTEXT, SINGLE_CONTEXT),
    "inactivity_timeout": checks.integer(1, MAX_INACTIVITY),
    "max_buffered_s": _seconds,
}

WHOLE_TEXT_ONLY = frozenset(
    {
        "previous_text",
        "next_text",
        "previous_request_ids",
        "next_request_ids",
        "timestamps",
        "alignment",
        "split",
        "resume",
        "use_pvc_as_ivc",
        "audio_effects",
    }
)
"""What HTTP has and no socket."""

SESSION_ONLY = frozenset(
    {
        "auto_mode",
        "chunk_length_schedule",
        "sync_alignment",
        "enable_ssml_parsing",
        "socket",
        "inactivity_timeout",
        "max_buffered_s",
    }
)
"""Parameters of the sockets that HTTP has not."""
