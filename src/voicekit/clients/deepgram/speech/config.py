"""Options, merged once into frozen, validated requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final

from voicekit.checks import UTF8, Check, without, wrong
from voicekit.clients.deepgram.speech import formats
from voicekit.clients.deepgram.speech.options import (
    CHECKS,
    DEFAULT_MODEL,
    MAX_BUFFERED_S,
    MAX_CHARACTERS,
    SESSION_ONLY,
    WHOLE_TEXT_ONLY,
)
from voicekit.clients.resuming import check_resume
from voicekit.clients.settings import EXTRAS, Asked, PlacedSettings, dumps, identity_of, json_of
from voicekit.clients.speaking import misplaced
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioFormat
from voicekit.speech.sentences import passages

SPEAK_PATH: Final = "/v1/speak"

# Said by an option, because this side has to know it.
_NOT_FOR_EXTRA: Final = {
    **dict.fromkeys(("encoding", "container", "sample_rate", "bit_rate"), "the option format"),
    **{name: f"the option {name}" for name in ("callback", "callback_method")},
}
_QUERY: Final = ("speed", "mip_opt_out", "tag")
_CALLBACK: Final = ("callback", "callback_method")

_CHAINABLE: Final = frozenset({"pcm", "mulaw", "alaw", "mp3", "aac", "ogg_opus"})
"""Formats whose parts, one after the other, are one recording: samples, frames of MP3 and ADTS,
chained Ogg (RFC 3533 §4). ``AudioClip.wav()`` puts a header before PCM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest(Asked):
    """What is to be spoken and how, validated and as JSON, so that nothing changes it any more.

    Made by ``DeepgramClient.speech_request()``; may be sent any number of times.

    Attributes:
        text: The words.
        format: What the audio will be.
        target: Path and query.
        bodies: JSON, encoded; several where the text is spoken in parts.
        characters: How many each of them has.
        callback: Whether the audio goes elsewhere.
        resume: A part that breaks off may be asked for again.
    """

    text: str = field(repr=False)
    format: AudioFormat
    target: str = field(repr=False)
    bodies: tuple[bytes, ...] = field(repr=False)
    characters: tuple[int, ...]
    callback: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None
    resume: bool = False

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the audio. Holds content: never log it.

        Streamed or whole is no part of it: the audio is the same.
        """
        bodies = [json.loads(body) for body in self.bodies]
        return identity_of("deepgram", self.headers, target=self.target, bodies=bodies)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings(Asked):
    """How a session's text will be spoken: what its handshake fixes.

    Attributes:
        format: What the audio will be.
        target: Path and query of the socket.
        extra: JSON text of the caller's own fields of each message with text.
    """

    format: AudioFormat
    target: str = field(repr=False)
    extra: str = field(default="", repr=False)
    max_buffered_s: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None


class SpeechSettings(PlacedSettings):
    """Checked options of speech. ``extra_body`` is of each message of a session, too."""

    purpose = "speech"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_query": without(_NOT_FOR_EXTRA),
        "extra_body": without(dict.fromkeys(("text", "type"), "other fields")),
    }
    out_of_place = misplaced(
        SESSION_ONLY, WHOLE_TEXT_ONLY, "whole texts as a str, or the constructor"
    )

    @cached_property
    def model(self) -> str:
        """The voice."""
        return self.options.get("model") or DEFAULT_MODEL

    @cached_property
    def format(self) -> AudioFormat:
        """What the audio will be."""
        return self.options.get("format") or AudioFormat.parse(formats.DEFAULT_FORMAT)

    def request(self, text: object, *, callback: bool = False) -> SpeechRequest:
        """Freeze these settings with a text.

        Raises:
            InvalidArgumentError: The text is empty, or too long and not to be split.
        """
        if not isinstance(text, str) or not text.strip():
            raise wrong("text", text, "a str that is not empty")
        check_resume(self.options, "split")
        most = MAX_CHARACTERS if callback else self._most
        if callback and len(text) > most:
            raise wrong("text", text, f"at most {MAX_CHARACTERS} characters with a callback")
        parts = [text] if len(text) <= most else self._parts(text, most)
        try:
            bodies = tuple(f'{{"text":{dumps(part)}{self._tail}'.encode() for part in parts)
        except UnicodeEncodeError:
            # Without the cause: it quotes the content.
            raise wrong("text", text, UTF8) from None
        return SpeechRequest(
            text=text,
            format=self.format,
            target=self._callback_target if callback else self._target,
            bodies=bodies,
            characters=tuple(map(len, parts)),
            callback=callback,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
            resume=bool(self.options.get("resume")),
        )

    @cached_property
    def _most(self) -> int:
        """Characters of a part."""
        how = self.options.get("split") or False
        return MAX_CHARACTERS if isinstance(how, bool) else min(how, MAX_CHARACTERS)

    def _parts(self, text: str, most: int) -> list[str]:
        if not self.options.get("split"):
            raise wrong(
                "text", text, f"at most {MAX_CHARACTERS} characters, or more with split=True"
            )
        if self.format.encoding not in _CHAINABLE:
            raise InvalidArgumentError(
                f"{self.format.name} cannot be put together from parts",
                argument="split",
                allowed=", ".join(sorted(_CHAINABLE)),
            )
        return [part for part in passages(text, most=most) if part.strip()]

    @cached_property
    def _target(self) -> str:
        return self._address(formats.query_of(self.format))

    @property
    def _callback_target(self) -> str:
        options = self.options
        callback = {name: options[name] for name in _CALLBACK if options.get(name) is not None}
        return self._address({**formats.query_of(self.format), **callback})

    @cached_property
    def _tail(self) -> str:
        """The body's JSON text after the value of ``text``."""
        return f",{self._extra}}}" if self._extra else "}"

    @cached_property
    def _extra(self) -> str:
        return json_of(self.extra_body, "extra_body")[1:-1] if self.extra_body else ""

    @cached_property
    def session(self) -> SessionSettings:
        """Freeze these settings for a session.

        Raises:
            InvalidArgumentError: The socket does not make the format.
        """
        return SessionSettings(
            format=self.format,
            target=self._address(formats.query_of(self.format, socket=True)),
            extra=self._extra,
            max_buffered_s=self.options.get("max_buffered_s") or MAX_BUFFERED_S,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )

    def _address(self, audio: Mapping[str, Any]) -> str:
        options = self.options
        query: dict[str, Any] = {"model": self.model, **audio}
        query.update({name: options[name] for name in _QUERY if options.get(name) is not None})
        query.update(self.extra_query)
        return f"{SPEAK_PATH}?{query_of(query)}"
