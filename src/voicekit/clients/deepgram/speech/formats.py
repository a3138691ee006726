"""The audio that Deepgram makes, by our names and in the vendor's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat

DEFAULT_FORMAT: Final = "pcm_24000"
"""Ours, for every provider alike. The vendor's pages disagree about its own (MP3, or WAV), so
the format is always sent. Source: sheet §5."""

_PCM: Final = (8000, 16000, 24000, 32000, 48000)
_G711: Final = (8000, 16000)
_FLAC: Final = (8000, 16000, 22050, 32000, 48000)
_OPUS_KBPS: Final = range(4, 651)
_AAC_KBPS: Final = range(4, 193)

SOCKET_FORMATS: Final = frozenset(
    {f"pcm_{rate}" for rate in _PCM}
    | {f"{law}_{rate}" for law in ("mulaw", "alaw") for rate in _G711}
)
"""Sockets make no container. Source: sheet §6 (AsyncAPI of July 2026)."""

HTTP_FORMATS: Final = (
    SOCKET_FORMATS
    | {f"wav_{rate}" for rate in _PCM}
    | {f"flac_{rate}" for rate in _FLAC}
    | {"mp3_22050_32", "mp3_22050_48"}
    | {f"opus_48000_{kbps}" for kbps in _OPUS_KBPS}
    | {f"aac_22050_{kbps}" for kbps in _AAC_KBPS}
)
"""Source: sheet §5 (media output settings, OpenAPI of July 2026). The bit rates of Opus and AAC
are any from 4,000 bit/s; here in whole kbit/s."""

# Names without numbers mean the vendor's own default, where it has one. Opus: our choice,
# transparent for speech; the vendor's 12 kbit/s is audibly less.
_BARE: Final = {
    "mp3": "mp3_22050_48",
    "ogg_opus": "opus_48000_64",
    "aac": "aac_22050_48",
    "flac": "flac_48000",
    "wav": "wav_24000",
}
_ENCODINGS: Final = {"pcm": "linear16", "wav": "linear16", "ogg_opus": "opus"}
# What fixes the rate refuses to be told it. Source: the vendor's page on media output settings.
_FIXED_RATE: Final = frozenset({"mp3", "ogg_opus", "aac"})
_CONTAINERS: Final = {
    "pcm": "none", "mulaw": "none", "alaw": "none", "wav": "wav", "ogg_opus": "ogg",
}  # fmt: skip
"""MP3, AAC and FLAC come in no container but their own."""


@lru_cache(maxsize=256)
def exact(format: AudioFormat) -> AudioFormat:  # noqa: A002 - the option's name
    """The format as it will come: a name without numbers gets the numbers that are asked for.

    Raises:
        InvalidArgumentError: No endpoint makes it.
    """
    name = _BARE.get(format.name, format.name)
    if name not in HTTP_FORMATS:
        raise refused(format.name, HTTP_FORMATS)
    return AudioFormat.parse(name)


@lru_cache(maxsize=256)
def query_of(format: AudioFormat, *, socket: bool = False) -> Mapping[str, str | int]:  # noqa: A002
    """The vendor's parameters for an exact format.

    Raises:
        InvalidArgumentError: It is for sockets, which do not make it.
    """
    if socket and format.name not in SOCKET_FORMATS:
        raise refused(format.name, SOCKET_FORMATS)
    ours = format.encoding
    query: dict[str, str | int] = {"encoding": _ENCODINGS.get(ours, ours)}
    if not socket and ours in _CONTAINERS:
        query["container"] = _CONTAINERS[ours]
    if ours not in _FIXED_RATE and format.sample_rate_hz is not None:
        query["sample_rate"] = format.sample_rate_hz
    if format.bit_rate_kbps is not None:
        query["bit_rate"] = format.bit_rate_kbps * 1000
    return query


def refused(name: str, allowed: Iterable[str]) -> InvalidArgumentError:
    """The error for a format that an endpoint does not make."""
    told = [each for each in allowed if not each.startswith(("opus_", "aac_"))]
    if len(told) > len(SOCKET_FORMATS):
        told += ["opus_48000_<4 to 650>", "aac_22050_<4 to 192>", *_BARE]
    return InvalidArgumentError(
        f"got {name[:64]!r}", argument="format", allowed=", ".join(sorted(told))
    )
