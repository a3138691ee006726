"""Every option of speech, its check, and how they freeze into a request.

Source: OpenAI fact sheet of 2026-11, §5 (OpenAPI 2.3.0, SDK openai 3.52.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Final

from voicekit import checks
from voicekit.checks import Check, without, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.openai_speech import (
    DEFAULT_FORMAT,
    SpeechRequest,
    response_format,
    speech_body,
    split,
    spoken_format,
    text_parts,
    voice,
)
from voicekit.clients.resuming import check_resume
from voicekit.clients.settings import EXTRAS, Settings, json_of, missing
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat

MAX_CHARACTERS: Final = 4096
"""Of a text, for the vendor's models; servers that imitate it have their own bounds."""

_OLDER: Final = frozenset({"tts-1", "tts-1-hd"})
_VENDORS: Final = _OLDER | {"gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"}


class SpeechDefaults(Extras, total=False):
    """Options of speech, for the constructor (under ``speech``) and for each call alike.

    Absent, None and brackets mean what ``Extras`` says.

    Attributes:
        model: Which model speaks. Required, here or in the constructor: the vendor's models
            end on 2027-01-06, so there is none to default to.
        voice: Who speaks: the name of a voice, or ``{"id": …}`` of one's own. Required.
        format: ``"pcm_24000"`` (the default), ``"wav_24000"``, ``"mp3"``, ``"ogg_opus"``,
            ``"aac"``, ``"flac"``, or the AudioFormat. PCM and WAV start soonest.
        instructions: How to speak, at most 4,096 characters. Not for ``tts-1`` and
            ``tts-1-hd``.
        speed: 0.25 to 4 (1).
        split: True speaks a text of more than 4,096 characters in as few parts as its
            sentences allow, one after the other, as one speech; a number is the most
            characters of a part, for servers that speak nothing before all of it is made
            (False). For PCM, MP3, AAC and Opus, whose parts can be joined.
        resume: Whether a part of ``split`` that breaks off is asked for again, once and charged
            anew, if you have no byte of it (False). Needs ``split``.
    """

    model: str | None
    voice: str | Mapping[str, str] | None
    format: AudioFormat | str | None
    instructions: str | None
    speed: float | None
    split: bool | int | None
    resume: bool | None


class SpeechOptions(SpeechDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "voice": voice,
    "format": spoken_format,
    "instructions": checks.text_up_to(4096),
    "speed": checks.number(0.25, 4.0),
    "split": split,
    "resume": checks.flag,
}

_NOT_FOR_EXTRA: Final = {
    "input": "the text",
    "response_format": "the option format",
    "stream_format": "nothing: the answer is read as audio",
}


class SpeechSettings(Settings):
    """Checked options of speech."""

    purpose = "speech"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_body": without(_NOT_FOR_EXTRA),
    }

    @cached_property
    def format(self) -> AudioFormat:
        """What the audio will be."""
        return self.options.get("format") or spoken_format("format", DEFAULT_FORMAT)

    def request(self, text: object) -> SpeechRequest:
        """Freeze these settings with a text.

        Raises:
            InvalidArgumentError: No model or voice was named, the text is empty or too
                long, the model takes no instructions, or the audio cannot be joined.
        """
        model = self._model
        check_resume(self.options, "split")
        how = self.options.get("split") or False
        parts = text_parts(text, how, self.format, most=MAX_CHARACTERS)
        if model in _VENDORS and len(parts[0]) > MAX_CHARACTERS:
            allowed = f"at most {MAX_CHARACTERS} characters for {model}, or split=True"
            raise wrong("text", text, allowed)
        return SpeechRequest(
            text=str(text),
            format=self.format,
            provider=PROVIDER,
            model=model,
            bodies=tuple(speech_body(part, self._tail) for part in parts),
            characters=tuple(map(len, parts)),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
            resume=bool(self.options.get("resume")),
        )

    @property
    def _model(self) -> str:
        model = self.extra_body.get("model", self.options.get("model"))
        if not isinstance(model, str) or not model:
            raise missing("model", "the name of a model that speaks")
        return model

    @cached_property
    def _tail(self) -> str:
        """JSON of all but the text, which alone changes by the call."""
        options = self.options
        if options.get("voice") is None and "voice" not in self.extra_body:
            raise missing("voice", 'the name of a voice, or {"id": …}')
        if options.get("instructions") is not None and self._model in _OLDER:
            raise InvalidArgumentError(
                f"is not for {self._model}", argument="instructions", allowed="other models"
            )
        fields: dict[str, Any] = {}
        for name in ("model", "voice", "instructions", "speed"):
            if (value := options.get(name)) is not None:
                fields[name] = value
        fields["response_format"] = response_format(self.format)
        return json_of({**fields, **self.extra_body}, "options")
