"""Options of a transcription, merged once into a frozen, validated request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voicekit.checks import Check, is_sequence, without, wrong
from voicekit.clients.elevenlabs.transcription_options import CHECKS
from voicekit.clients.settings import EXTRAS, Asked, Settings, dumps, identity_of
from voicekit.clients.uploads import OR_URL, Recording, upload_of
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioClip, AudioFormat, AudioSource, AudioURL

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_MODEL: Final = "scribe_v2"
"""What the vendor's own guide of August 2026 uses; ``scribe_v3`` is newer, and so far only the
SDK of November 2026 names it. Source: elevenlabs/skills; SDK 2.78.0. Always sent, since the
vendor has no default."""

PCM_16: Final = "pcm_s16le_16"
_PCM_16_FORMAT: Final = AudioFormat.parse("pcm_16000")

# In the form's order, which is the SDK's.
_FIELDS: Final = (
    "language_code",
    "secondary_language_codes",
    "numbers_format",
    "transcript_edit",
    "tag_audio_events",
    "num_speakers",
    "timestamps_granularity",
    "diarize",
    "diarization_threshold",
    "temperature",
    "seed",
    "use_multi_channel",
    "multichannel_output_style",
    "entity_detection",
    "no_verbatim",
    "use_speaker_library",
    "detect_speaker_roles",
    "entity_redaction",
    "entity_redaction_mode",
    "keyterms",
    "additional_formats",
)
_AS_JSON: Final = frozenset(
    {"entity_detection", "entity_redaction", "additional_formats", "webhook_metadata"}
)
"""Fields whose value is JSON text, a plain word too. Source: SDK 2.78.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionRequest(Asked):
    """What is to be transcribed and how, validated, so that nothing changes it any more.

    Made by ``ElevenLabsClient.transcription_request()``; may be sent any number of times,
    unless its audio is an open file that cannot seek.

    Attributes:
        audio: The recording, as it was given.
        recording: The same, ready to be sent; None for an address.
        fields: The form's, in order.
        target: Path and query.
    """

    audio: AudioSource = field(repr=False)
    recording: Recording | None
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the transcript. Holds content: never log it.

        Raises:
            InvalidArgumentError: The audio is a file, which may change.
        """
        digest = None
        if self.recording is not None:
            if not isinstance(self.recording.upload, bytes):
                raise InvalidArgumentError(
                    "a file has no identity, since it may change",
                    argument="audio",
                    allowed="bytes, an AudioClip, an AudioURL",
                )
            digest = hashlib.sha256(self.recording.upload).hexdigest()
        return identity_of(
            "elevenlabs",
            self.headers,
            target=self.target,
            fields=[list(each) for each in self.fields],
            audio=digest,
        )


class TranscriptionSettings(Settings):
    """Checked options of transcription. ``extra_body`` adds fields to the form."""

    purpose = "transcription"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_body": without(
            {
                "file": "the audio argument",
                "source_url": "AudioURL(…) as the audio",
                "model_id": "model=",
                "webhook": "submit_transcription()",
            }
        ),
    }

    def request(self, audio: AudioSource, *, webhook: bool = False) -> TranscriptionRequest:
        """Freeze these settings with a recording.

        Raises:
            InvalidArgumentError: The audio cannot be sent, or options exclude one another.
        """
        options = {name: value for name, value in self.options.items() if value is not None}
        _check_together(options, self.extra_body)
        fields = [("model_id", options.get("model") or DEFAULT_MODEL)]
        for name in _FIELDS:
            if name in options:
                fields += _form_values(name, options[name])
        if webhook:
            fields.append(("webhook", "true"))
            for name in ("webhook_id", "webhook_metadata"):
                if name in options:
                    fields += _form_values(name, options[name])
        recording = None
        if isinstance(audio, AudioURL):
            _refuse_raw(options, "an address")
            fields.append(("source_url", audio.url))
        else:
            recording, pcm = _recording(audio, options.get("format"), options.get("file_format"))
            file_format = options.get("file_format") or (PCM_16 if pcm else None)
            if file_format is not None:
                fields.append(("file_format", file_format))
        for name, value in self.extra_body.items():
            fields = [each for each in fields if each[0] != name]
            fields += _form_values(name, value)
        return TranscriptionRequest(
            audio=audio,
            recording=recording,
            fields=tuple(fields),
            target=self._target,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )

    @property
    def _target(self) -> str:
        query: dict[str, Any] = {}
        if (logging := self.options.get("enable_logging")) is not None:
            query["enable_logging"] = logging
        query.update(self.extra_query)
        encoded = query_of(query)
        return "/v1/speech-to-text" + (f"?{encoded}" if encoded else "")


def _check_together(options: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    """Refuse what the vendor documents to exclude one another. Source: SDK 2.78.0, docstrings."""
    diarize, channels = options.get("diarize"), options.get("use_multi_channel")
    rules = (
        (diarize and channels, "diarize", "use_multi_channel, or diarize"),
        (
            options.get("detect_speaker_roles") and not diarize,
            "detect_speaker_roles",
            "together with diarize",
        ),
        (
            "diarization_threshold" in options and (not diarize or "num_speakers" in options),
            "diarization_threshold",
            "together with diarize, without num_speakers",
        ),
        (
            options.get("multichannel_output_style") == "combined"
            and options.get("timestamps_granularity") == "none",
            "multichannel_output_style",
            "combined with timestamps only",
        ),
        (
            "transcript_edit" in options
            and (channels or "entity_detection" in options or "entity_redaction" in options),
            "transcript_edit",
            "without entities and channels",
        ),
        (
            "entity_redaction" in options
            and "entity_detection" not in options
            and "entity_detection" not in extra,
            "entity_redaction",
            "a part of entity_detection",
        ),
    )
    for broken, argument, allowed in rules:
        if broken:
            raise InvalidArgumentError(
                "does not go with the other options", argument=argument, allowed=allowed
            )


def _recording(
    audio: AudioSource, given: AudioFormat | None, file_format: str | None
) -> tuple[Recording, bool]:
    """The recording, and whether it is bare samples of the kind that is transcribed sooner."""
    if isinstance(audio, AudioClip):
        if audio.data and audio.format == _PCM_16_FORMAT and file_format != "other":
            return _bare(audio.data), True
        return upload_of(audio), False  # samples in a WAV, so that their rate is known
    recording = upload_of(audio, OR_URL)
    if given is None:
        return _unwrapped(recording, file_format)
    if given == _PCM_16_FORMAT and file_format != "other":
        if isinstance(recording.upload, bytes):
            return _bare(recording.upload), True
        seconds = None if recording.size is None else given.duration_s(recording.size)
        return replace(recording, format=given, duration_s=seconds), True
    if not isinstance(recording.upload, bytes):
        raise wrong("format", given.name, "pcm_16000 for a file, else a file with a header")
    return upload_of(AudioClip(data=recording.upload, format=given)), False


def _bare(samples: bytes) -> Recording:
    return Recording(
        upload=samples,
        format=_PCM_16_FORMAT,
        media_type="application/octet-stream",
        filename="audio.pcm",
        duration_s=_PCM_16_FORMAT.duration_s(len(samples)),
        size=len(samples),
    )


def _unwrapped(recording: Recording, file_format: str | None) -> tuple[Recording, bool]:
    """A WAV in memory without its header, where the samples are of that kind."""
    held = recording.format
    if (
        file_format is None
        and isinstance(recording.upload, bytes)
        and held is not None
        and (held.encoding, held.sample_rate_hz, held.channels) == ("wav", 16_000, 1)
    ):
        samples = AudioClip.from_wav(recording.upload).data
        if samples:
            return _bare(samples), True
    return recording, False


def _refuse_raw(options: Mapping[str, Any], what: str) -> None:
    for name in ("format", "file_format"):
        if name in options:
            raise InvalidArgumentError(
                f"is not for {what}", argument=name, allowed="bytes, files and clips"
            )


def _form_values(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A field of the form; a sequence is several of the same name."""
    if name in _AS_JSON or isinstance(value, Mapping):
        try:
            yield name, dumps(value)
        except (TypeError, ValueError, RecursionError):
            pass
        else:
            return
        # Out here, because the errors above quote the content.
        raise wrong(name, value, "what JSON can hold")
    values: Sequence[Any] = value if is_sequence(value) else (value,)
    for each in values:
        yield name, _text(each)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if is_sequence(value) else str(value)
