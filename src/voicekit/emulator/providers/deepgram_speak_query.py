"""The query parameters of Deepgram's speech, over HTTP and over sockets, as it documents them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voicekit.emulator.providers.deepgram_query import (
    QueryRefusalError,
    boolean,
    callback_of,
    check_tags,
    last_values,
    unsupported,
)

MAX_CHARACTERS: Final = 2000
"""Of one text. Source: the vendor's page on speech features; its error page says 2400."""

DEFAULT_VOICE: Final = "aura-asteria-en"
VOICE: Final = re.compile(r"aura-(?:2-[a-z]+-(?:en|es|de|nl|fr|it|ja)|[a-z]+-en)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    """What one encoding may come as; the first of each is the vendor's default."""

    containers: tuple[str, ...]
    sample_rates: tuple[int, ...]
    bit_rates: tuple[int, ...] | range = ()
    bit_rate: int = 0


# Source: the vendor's page on media output settings, and the enumerations of its OpenAPI file.
ENCODINGS: Final[Mapping[str, _Encoding]] = {
    "linear16": _Encoding(
        containers=("wav", "none"), sample_rates=(24000, 8000, 16000, 32000, 48000)
    ),
    "mulaw": _Encoding(containers=("wav", "none"), sample_rates=(8000, 16000)),
    "alaw": _Encoding(containers=("wav", "none"), sample_rates=(8000, 16000)),
    "mp3": _Encoding(
        containers=("none",), sample_rates=(22050,), bit_rates=(32000, 48000), bit_rate=48000
    ),
    "opus": _Encoding(
        containers=("ogg",), sample_rates=(48000,), bit_rates=range(4000, 650_001), bit_rate=12000
    ),
    "flac": _Encoding(containers=("none",), sample_rates=(48000, 8000, 16000, 22050, 32000)),
    "aac": _Encoding(
        containers=("none",), sample_rates=(22050,), bit_rates=range(4000, 192_001), bit_rate=48000
    ),
}
SOCKET_ENCODINGS: Final = ("linear16", "mulaw", "alaw")
FIXED_RATES: Final = frozenset({"mp3", "opus", "aac"})
MADE: Final = frozenset({"linear16", "mulaw", "alaw", "mp3"})
"""What the emulator encodes; the rest it refuses rather than serve something else by its name."""

EVERYWHERE: Final = frozenset({"model", "encoding", "sample_rate", "speed", "mip_opt_out", "tag"})
HTTP_ONLY: Final = frozenset({"container", "bit_rate", "callback", "callback_method"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakOptions:
    """Checked options of speech.

    Attributes:
        sample_rate: Hz.
        bit_rate: Bits per second; 0 where the encoding has none.
    """

    model: str = DEFAULT_VOICE
    encoding: str = "linear16"
    container: str = "none"
    sample_rate: int = 24000
    bit_rate: int = 0
    callback: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """Of the audio. Source: the vendor's page on media output settings."""
        if self.container == "wav":
            return "audio/wav"
        match self.encoding:
            case "linear16":
                return f"audio/l16;rate={self.sample_rate}"
            case "mulaw" | "alaw":
                return f"audio/{self.encoding};rate={self.sample_rate}"
            case "mp3":
                return "audio/mpeg"
            case "opus":
                return "audio/ogg;codecs=opus"
            case _:
                return f"audio/{self.encoding}"


def check_speak(query: Mapping[str, Sequence[str]]) -> SpeakOptions:
    """Check the query of a `POST /v1/speak`."""
    last = _known(query, EVERYWHERE | HTTP_ONLY)
    notes: list[str] = []
    model = _common(query, last, notes)
    encoding = last.get("encoding")
    if encoding is None:
        notes.append("encoding omitted: the vendor's pages disagree about the default")
        encoding = "mp3"
    row = _row(encoding, ENCODINGS)
    container = last.get("container") or row.containers[0]
    if container not in row.containers:
        raise unsupported(f"container {container} for {encoding}")
    method = last.get("callback_method")
    if method is not None and method.upper() not in {"POST", "PUT"}:
        raise QueryRefusalError("callback_method must be POST or PUT")
    return SpeakOptions(
        model=model,
        encoding=encoding,
        container=container,
        sample_rate=_rate(last, encoding, row),
        bit_rate=_bit_rate(last, encoding, row),
        callback=callback_of(last),
        notes=tuple(notes),
    )


def check_speak_socket(query: Mapping[str, Sequence[str]]) -> SpeakOptions:
    """Check the query of a `/v1/speak` handshake; its audio never has a container."""
    last = _known(query, EVERYWHERE)
    notes: list[str] = []
    model = _common(query, last, notes)
    encoding = last.get("encoding", "linear16")
    row = _row(encoding, {name: ENCODINGS[name] for name in SOCKET_ENCODINGS})
    return SpeakOptions(
        model=model,
        encoding=encoding,
        sample_rate=_rate(last, encoding, row),
        notes=tuple(notes),
    )


def _known(query: Mapping[str, Sequence[str]], known: frozenset[str]) -> dict[str, str]:
    for name in sorted(set(query) - known):
        raise QueryRefusalError(f"Unknown query parameter: {name}")
    return last_values(query)


def _common(query: Mapping[str, Sequence[str]], last: Mapping[str, str], notes: list[str]) -> str:
    """Check what HTTP and sockets share; returns the voice."""
    model = last.get("model")
    if model is None:
        notes.append(f"model omitted: the default {DEFAULT_VOICE} is an old voice")
        model = DEFAULT_VOICE
    if not VOICE.fullmatch(model):
        raise QueryRefusalError("No such model/version combination found.", code="Bad Request")
    boolean("mip_opt_out", last.get("mip_opt_out", "false"))
    check_tags(query)
    if "speed" in last:
        notes.append("speed is accepted and not rendered")
        _positive("speed", last["speed"])  # the vendor states no range
    return model


def _row(encoding: str, known: Mapping[str, _Encoding]) -> _Encoding:
    row = known.get(encoding)
    if row is None:
        raise unsupported(f"encoding {encoding}")
    if encoding not in MADE:
        raise unsupported(f"this emulator does not make {encoding}")
    return row


def _rate(last: Mapping[str, str], encoding: str, row: _Encoding) -> int:
    if "sample_rate" not in last:
        return row.sample_rates[0]
    if encoding in FIXED_RATES:
        raise unsupported(f"sample_rate is not applicable to {encoding}")
    rate = _positive("sample_rate", last["sample_rate"])
    if rate not in row.sample_rates:
        raise unsupported(f"sample_rate {last['sample_rate']} for {encoding}")
    return int(rate)


def _bit_rate(last: Mapping[str, str], encoding: str, row: _Encoding) -> int:
    if "bit_rate" not in last:
        return row.bit_rate
    rate = _positive("bit_rate", last["bit_rate"])
    if rate not in row.bit_rates:
        raise unsupported(f"bit_rate {last['bit_rate']} for {encoding}")
    return int(rate)


def _positive(name: str, value: str) -> float:
    """Read a number; the vendor's SDK writes whole ones as floats, too."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise QueryRefusalError(f"{name} must be a number above 0")
    return number
