"""The audio that ElevenLabs makes, by our names and by the vendor's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat

DEFAULT_FORMAT = "pcm_24000"
"""Ours, for every provider alike; the vendor's is ``mp3_44100_128``. Always sent."""

_MP3 = ("22050_32", "24000_48", "44100_32", "44100_64", "44100_96", "44100_128", "44100_192")
_PCM = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS = (32, 64, 96, 128, 192)

STREAM_FORMATS = frozenset(
    {f"mp3_{each}" for each in _MP3}
    | {f"pcm_{rate}" for rate in _PCM}
    | {f"opus_48000_{kbps}" for kbps in _OPUS}
    | {"ulaw_8000", "alaw_8000"}
)
"""What ``/stream`` makes. Source: SDK elevenlabs 2.78.0, text_to_speech/types."""

WHOLE_FORMATS = STREAM_FORMATS | {f"wav_{rate}" for rate in _PCM}
"""What the endpoints make that answer when all of it is made. Source: the same."""

SOCKET_FORMATS = STREAM_FORMATS - {"mp3_24000_48", "pcm_32000", "pcm_48000"}
"""Source: AsyncAPI of August 2025; newer additions are unverified."""

# Names without numbers mean the vendor's own default, where it has one. Opus and WAV: our
# choice, transparent for speech and our own rate.
_BARE = {"mp3": "mp3_44100_128", "ogg_opus": "opus_48000_64", "wav": "wav_24000"}


@lru_cache(maxsize=256)
def vendor_name(format: AudioFormat) -> str:  # noqa: A002 - the option's name
    """The ``output_format`` for a format: ``mulaw_8000`` is their ``ulaw_8000``.

    Raises:
        InvalidArgumentError: No endpoint makes it.
    """
    ours = format.name
    name = _BARE.get(ours) or ours.replace("mulaw_", "ulaw_")
    if name not in WHOLE_FORMATS:
        raise refused(ours, WHOLE_FORMATS)
    return name


@lru_cache(maxsize=256)
def exact(format: AudioFormat) -> AudioFormat:  # noqa: A002
    """The format as it will come: a name without numbers gets the numbers that are asked for."""
    return AudioFormat.parse(vendor_name(format))


def refused(name: str, allowed: Iterable[str]) -> InvalidArgumentError:
    """The error for a format that an endpoint does not make; shows our names."""
    allowed = frozenset(allowed)
    ours = sorted(each.replace("ulaw_", "mulaw_") for each in allowed)
    bare = [name for name, full in _BARE.items() if full in allowed]
    return InvalidArgumentError(
        f"got {name[:64]!r}", argument="format", allowed=", ".join([*ours, *bare])
    )
