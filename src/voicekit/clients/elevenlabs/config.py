"""Options, merged once into frozen, validated requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

from voicekit.checks import UTF8, Check, without, wrong
from voicekit.clients.elevenlabs import formats
from voicekit.clients.elevenlabs.models import (
    DEFAULT_MODEL,
    KNOWN_TO_STITCH,
    MAX_CHARACTERS,
    NO_SOCKET,
    NO_STITCHING,
)
from voicekit.clients.elevenlabs.options import (
    CHECKS,
    MULTI_CONTEXT,
    SESSION_ONLY,
    SINGLE_CONTEXT,
    WHOLE_TEXT_ONLY,
)
from voicekit.clients.elevenlabs.passages import Passage, passages_of
from voicekit.clients.elevenlabs.speech_request import SpeechRequest
from voicekit.clients.settings import EXTRAS, Asked, PlacedSettings, dumps, json_of, missing
from voicekit.clients.speaking import misplaced
from voicekit.clients.urls import query_of, segment_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioFormat

__all__ = ["BASE_URL", "REGIONS", "SessionSettings", "SpeechRequest", "SpeechSettings"]

BASE_URL: Final = "https://api.elevenlabs.io"
REGIONS: Final[Mapping[str, str]] = {
    "us": "https://api.us.elevenlabs.io",
    "eu": "https://api.eu.residency.elevenlabs.io",
    "in": "https://api.in.residency.elevenlabs.io",
    "sg": "https://api.sg.residency.elevenlabs.io",
}
"""``us`` pins to the United States; the others are isolated enterprise workspaces with keys
of their own. Source: SDK elevenlabs 2.78.0, environment.py; data-residency page."""

SCHEDULE: Final = (50, 120, 160, 250)
"""Characters. The least that the vendor takes first, so that speech starts early: about
three seconds of it, which gives the next pieces time to be long enough for good prosody.
These follow the vendor's own default, (120, 160, 250, 290). Source: AsyncAPI."""

INACTIVITY_TIMEOUT: Final = 180
"""Seconds; the most that the vendor takes. A socket has to outlast the pauses of a
conversation; an idle one counts against no limit. Source: models page, concurrency."""

MAX_BUFFERED_S: Final = 120.0

_STITCHING_IDS: Final = ("previous_request_ids", "next_request_ids")
_STITCHING: Final = ("previous_text", "next_text", *_STITCHING_IDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings(Asked):
    """How a session's text will be spoken: what its handshake and its first message fix.

    Attributes:
        format: What the audio will be.
        target: Path and query of the socket.
        first: JSON text of the first message's fields beside ``text`` and ``context_id``.
        single: A socket is one utterance; else it serves one after the other.
        schedule: Characters before each piece of audio; None with ``auto_mode``.
        inactivity_timeout: Seconds of silence that the server bears.
    """

    format: AudioFormat
    target: str = field(repr=False)
    first: str = field(repr=False)
    schedule: tuple[int, ...] | None
    inactivity_timeout: int
    max_buffered_s: float
    single: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None


class SpeechSettings(PlacedSettings):
    """Checked options of speech. ``extra_body`` is of a session's first message, too."""

    purpose = "speech"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_body": without(dict.fromkeys(("text", "context_id"), "other fields")),
    }
    out_of_place = misplaced(
        SESSION_ONLY,
        WHOLE_TEXT_ONLY,
        "synthesize() and stream_speech() of a str, or the constructor",
    )

    # -- what is asked for --

    @cached_property
    def model(self) -> str:
        """The model's id."""
        return self.options.get("model") or DEFAULT_MODEL

    @cached_property
    def format(self) -> AudioFormat:
        """What the audio will be."""
        given = self.options.get("format") or AudioFormat.parse(formats.DEFAULT_FORMAT)
        return formats.exact(given)

    def request(self, text: object) -> SpeechRequest:
        """Freeze these settings with a text.

        Raises:
            InvalidArgumentError: No voice was named, the text is empty or too long.
        """
        if not isinstance(text, str) or not text.strip():
            raise wrong("text", text, "a str that is not empty")
        self._check_resume()
        most = MAX_CHARACTERS.get(self.model)
        split = self.options.get("split")
        if split:
            return self._split(text, most if split is True else min(split, most or split))
        if most is not None and len(text) > most:
            allowed = f"at most {most} characters for {self.model}, or split=True"
            raise wrong("text", text, allowed)
        return self._frozen(text, self._body_tail)

    def _frozen(self, text: str, tail: str, **facts: Any) -> SpeechRequest:
        try:
            body = f'{{"text":{dumps(text)}{tail}'.encode()
        except UnicodeEncodeError:
            # Without the cause: it quotes the content.
            raise wrong("text", text, UTF8) from None
        return SpeechRequest(
            text=text,
            format=self.format,
            target=self._target,
            body=body,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
            whole=self._whole,
            timed=self._timed,
            resume=bool(self.options.get("resume")),
            **facts,
        )

    def _check_resume(self) -> None:
        options = self.options
        if not options.get("resume"):
            return
        from voicekit.clients.resuming import check_resume

        check_resume(options, "split", "timestamps")
        if options.get("split"):
            return  # which has its own say on formats
        if self.format.encoding not in _JOINABLE:
            raise InvalidArgumentError(
                f"{self.format.name} audio cannot be cut where a sentence ends",
                argument="format",
                allowed="pcm_*, mulaw_8000 and alaw_8000 with resume, which become any other",
            )
        if self._timed == "normalized":
            raise InvalidArgumentError(
                "aligns another text than the one whose sentences are resumed",
                argument="alignment",
                allowed="'original' with resume, or split=True",
            )

    def _split(self, text: str, most: int | None) -> SpeechRequest:
        if self.format.encoding not in _JOINABLE:
            raise InvalidArgumentError(
                f"{self.format.name} audio has a beginning and an end that cannot be joined",
                argument="format",
                allowed="pcm_*, mulaw_8000 and alaw_8000 with split, which become any other",
            )
        parts = tuple(map(self._part, passages_of(text, most)))
        return self._frozen(text, self._body_tail, parts=parts if len(parts) > 1 else ())

    def _part(self, passage: Passage) -> SpeechRequest:
        """One part; what the caller says of the neighbours is of the first and of the last."""
        stitches = self.model in KNOWN_TO_STITCH
        told: dict[str, Any] = {}
        if passage.before is not None:
            told["previous_request_ids"] = None
            told["previous_text"] = passage.before if stitches else None
        if passage.after is not None:
            told["next_request_ids"] = None
            told["next_text"] = passage.after if stitches else None
        return self._frozen(
            passage.text,
            self._tail({**self.options, **told}),
            # Source: request-stitching page: not where the vendor keeps nothing.
            continues=stitches
            and self.options.get("enable_logging") is not False
            and "previous_request_ids" not in self.extra_body,
        )

    @cached_property
    def _whole(self) -> bool:
        return formats.vendor_name(self.format) not in formats.STREAM_FORMATS

    @cached_property
    def _timed(self) -> Literal["original", "normalized"] | None:
        if not self.options.get("timestamps"):
            return None
        return self.options.get("alignment") or "original"

    @cached_property
    def _target(self) -> str:
        query = {"output_format": formats.vendor_name(self.format), **self._everywhere}
        path = self._path if self._whole else f"{self._path}/stream"
        if self._timed is not None:
            path += "/with-timestamps"
        return f"{path}?{query_of({**query, **self.extra_query})}"

    @cached_property
    def _body_tail(self) -> str:
        """The body's JSON text after the value of ``text``, which alone changes by the call."""
        return self._tail(self.options)

    def _tail(self, options: Mapping[str, Any]) -> str:
        model = self.model
        fields: dict[str, Any] = {"model_id": model}
        for name in _BODY:
            if (value := options.get(name)) is not None:
                if model in NO_STITCHING and name in _STITCHING:
                    raise InvalidArgumentError(
                        f"is not for {model}", argument=name, allowed="other models"
                    )
                if name in _STITCHING_IDS and options.get("enable_logging") is False:
                    # Source: sheet, text to speech, and the vendor's page on request stitching.
                    raise InvalidArgumentError(
                        "needs what enable_logging=False keeps the vendor from storing",
                        argument=name,
                        allowed="previous_text and next_text, or no enable_logging=False",
                    )
                fields[name] = value
        if settings := options.get("voice_settings"):
            fields["voice_settings"] = settings.wire()
        fields.update(self.extra_body)
        return "," + json_of(fields, "options")[1:]

    @cached_property
    def session(self) -> SessionSettings:
        """Freeze these settings for a session.

        Raises:
            InvalidArgumentError: No voice was named; the model has no socket, or the socket
                does not make the format.
        """
        options, model = self.options, self.model
        if model in NO_SOCKET:
            raise InvalidArgumentError(
                f"{model} has no realtime socket",
                argument="model",
                allowed="whole texts with it, or another model",
            )
        name = formats.vendor_name(self.format)
        if name not in formats.SOCKET_FORMATS:
            raise formats.refused(self.format.name, formats.SOCKET_FORMATS)
        auto = bool(options.get("auto_mode"))
        patience = options.get("inactivity_timeout") or INACTIVITY_TIMEOUT
        query: dict[str, Any] = {
            "model_id": model,
            "output_format": name,
            "inactivity_timeout": patience,
            **self._everywhere,
        }
        for name in _SOCKET_QUERY:
            if (value := options.get(name)) is not None:
                query[name] = value
        first: dict[str, Any] = {}
        if settings := options.get("voice_settings"):
            first["voice_settings"] = settings.wire()
        schedule = None if auto else options.get("chunk_length_schedule") or SCHEDULE
        if schedule is not None:
            first["generation_config"] = {"chunk_length_schedule": schedule}
        if locators := options.get("pronunciation_dictionary_locators"):
            first["pronunciation_dictionary_locators"] = locators
        first.update(self.extra_body)
        socket = options.get("socket") or MULTI_CONTEXT
        return SessionSettings(
            format=self.format,
            target=f"{self._path}/{socket}?{query_of({**query, **self.extra_query})}",
            single=socket == SINGLE_CONTEXT,
            first=json_of(first, "options")[1:-1],
            schedule=schedule,
            inactivity_timeout=patience,
            max_buffered_s=options.get("max_buffered_s") or MAX_BUFFERED_S,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )

    @property
    def _path(self) -> str:
        voice = self.options.get("voice")
        if voice is None:
            raise missing("voice", "the id of a voice")
        return f"/v1/text-to-speech/{segment_of('voice', voice)}"

    @property
    def _everywhere(self) -> dict[str, Any]:
        """The parameters that are in the query of HTTP and sockets alike."""
        options = self.options
        return {name: options[name] for name in _QUERY if options.get(name) is not None}


# Audio that is samples from its first byte to its last.
_JOINABLE: Final = frozenset({"pcm", "mulaw", "alaw"})

_QUERY = ("enable_logging", "optimize_streaming_latency")
_SOCKET_QUERY = (
    "language_code",
    "auto_mode",
    "sync_alignment",
    "enable_ssml_parsing",
    "apply_text_normalization",
    "apply_language_text_normalization",
    "seed",
)
_BODY = (
    "language_code",
    "pronunciation_dictionary_locators",
    "seed",
    *_STITCHING,
    "apply_text_normalization",
    "apply_language_text_normalization",
    "use_pvc_as_ivc",
    "audio_effects",
)
