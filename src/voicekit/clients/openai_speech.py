"""Speech as OpenAI's servers make it, and those that imitate them: formats and requests. No I/O.

Nothing here belongs to one provider: a client of a compatible server has its own options,
errors and defaults around it.

Source: OpenAI fact sheet of 2026-11, §5 (OpenAPI 2.3.0, SDK openai 3.52.0, recorded
traffic); Kokoro-FastAPI answers in the same formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from voicekit.checks import UTF8, wrong
from voicekit.clients.settings import Asked, dumps, identity_of, split_above
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioFormat
from voicekit.speech.sentences import passages

SPEECH_PATH: Final = "/audio/speech"

DEFAULT_FORMAT: Final = "pcm_24000"
"""Ours, for every provider alike; the vendor's is MP3. No encoder or decoder delays it."""

_RATE: Final = 24_000
"""Hz of everything but Opus, which says it itself. PCM has no header that could say another."""

_FORMATS: Final[Mapping[str, str]] = {
    "pcm": "pcm",
    "wav": "wav",
    "mp3": "mp3",
    "ogg_opus": "opus",
    "aac": "aac",
    "flac": "flac",
}
"""Our encodings and the vendor's names of the formats."""
_CHAINABLE: Final = ("aac", "mp3", "ogg_opus", "pcm")
"""Formats whose parts, one after the other, are one recording: samples, frames of MP3 and ADTS,
chained Ogg (RFC 3533 §4). ``AudioClip.wav()`` puts a header before PCM."""

split: Final = split_above(50)
"""The check of that option; a voice needs a sentence to sound like one. Source: ours."""

_ALLOWED: Final = "pcm_24000, wav_24000, mp3, ogg_opus, aac, flac"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest(Asked):
    """What is to be spoken and how, validated and as JSON, so that nothing changes it any more.

    Made by a client's ``speech_request()``; may be sent any number of times.

    Attributes:
        text: The words.
        format: What the audio will be.
        provider: Whose client made it.
        model: Which model speaks.
        bodies: JSON, encoded; several where the text is spoken in parts.
        characters: How many each of them speaks.
        resume: A part that breaks off may be asked for again.
    """

    text: str = field(repr=False)
    format: AudioFormat
    provider: str
    model: str
    bodies: tuple[bytes, ...] = field(repr=False)
    characters: tuple[int, ...]
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None
    resume: bool = False

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the audio. Holds content: never log it.

        Streamed or whole is no part of it: the audio is the same.
        """
        return identity_of(
            self.provider,
            self.headers,
            path=SPEECH_PATH,
            query=self.query,
            bodies=[json.loads(body) for body in self.bodies],
        )


def spoken_format(name: str, value: Any) -> AudioFormat:  # noqa: ARG001 - the seam of a check
    """The check of the option ``format``; its normal form has the numbers that will come."""
    return _exact(AudioFormat.parse(value))


@lru_cache(maxsize=64)
def _exact(given: AudioFormat) -> AudioFormat:
    fixed = _RATE if given.encoding != "ogg_opus" else given.sample_rate_hz
    fits = given.encoding in _FORMATS and given.channels == 1 and given.bit_rate_kbps is None
    if not fits or given.sample_rate_hz not in {None, fixed}:
        raise InvalidArgumentError(f"got {given.name!r}", argument="format", allowed=_ALLOWED)
    if given.encoding == "ogg_opus":
        return AudioFormat(encoding="ogg_opus")
    return AudioFormat(encoding=given.encoding, sample_rate_hz=_RATE)


def response_format(format: AudioFormat) -> str:  # noqa: A002 - the option's name
    """The vendor's name of a checked format."""
    return _FORMATS[format.encoding]


def voice(name: str, value: Any) -> str | dict[str, str]:
    """The check of the option ``voice``: a name, or the id of a voice of one's own."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping):
        own = value.get("id")
        if isinstance(own, str) and own and len(value) == 1:
            return {"id": own}
    raise wrong(name, value, 'the name of a voice, or {"id": …}')


def text_parts(text: object, how: bool | int, format: AudioFormat, *, most: int) -> list[str]:  # noqa: A002
    """A text in the parts that are asked for one after the other; most often one.

    Raises:
        InvalidArgumentError: It is no text, or audio of the format cannot be joined.
    """
    if not isinstance(text, str) or not text.strip():
        raise wrong("text", text, "a str that is not empty")
    longest = most if isinstance(how, bool) else min(how, most)
    if not how or len(text) <= longest:
        return [text]
    if format.encoding not in _CHAINABLE:
        raise InvalidArgumentError(
            f"{format.name} cannot be put together from parts",
            argument="split",
            allowed=f"the formats {', '.join(_CHAINABLE)}",
        )
    return [part for part in passages(text, most=longest) if part.strip()]


def speech_body(text: str, tail: str) -> bytes:
    """The JSON of a request.

    Raises:
        InvalidArgumentError: The text is no text that UTF-8 can carry.
    """
    try:
        return f'{{"input":{dumps(text)},{tail[1:]}'.encode()
    except UnicodeEncodeError:
        # Without the cause: it quotes the content.
        raise wrong("text", text, UTF8) from None
