"""How a voice speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voicekit.checks import is_number
from voicekit.clients.record import Record
from voicekit.errors import InvalidArgumentError

_RATIOS = ("stability", "similarity_boost", "style", "clone_strength")


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings(Record):
    """How the voice speaks; None is what is stored with the voice.

    Those that ``voice_settings()`` returns say how they came, and go into a request as they are.

    Source: ElevenLabs fact sheet of 2026-11, §4 (OpenAPI of August 2025, SDK 2.78.0).

    Attributes:
        stability: 0 to 1 (0.5).
        similarity_boost: 0 to 1 (0.75).
        style: 0 to 1 (0); above 0 costs latency.
        use_speaker_boost: (True); costs latency.
        speed: 1.0 is normal. Any number: the vendor's pages disagree on the range
            (0.7 to 1.2, or 0.25 to 4.0).
        clone_strength: 0 to 1; v4 models with professional clones only.

    Raises:
        InvalidArgumentError: A value is out of its range.
    """

    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    use_speaker_boost: bool | None = None
    speed: float | None = None
    clone_strength: float | None = None

    def __post_init__(self) -> None:
        for name in _RATIOS:
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 <= value <= 1):
                raise _wrong(name, value, "a number from 0 to 1")
        if self.speed is not None and not (is_number(self.speed) and self.speed > 0):
            raise _wrong("speed", self.speed, "a number > 0")
        if self.use_speaker_boost is not None and not isinstance(self.use_speaker_boost, bool):
            raise _wrong("use_speaker_boost", self.use_speaker_boost, "a bool")

    @classmethod
    def fast(cls) -> VoiceSettings:
        """A preset for low latency; opt-in, since it changes how the voice sounds.

        Only ``style=0`` and the speaker boost off have a vendor source for being faster
        (field descriptions of its OpenAPI file). ``stability`` 0.35 and
        ``similarity_boost`` 0.6 are this project's choice, for a livelier delivery.
        """
        return cls(stability=0.35, similarity_boost=0.6, style=0, use_speaker_boost=False)

    @classmethod
    def parse(cls, value: VoiceSettings | Mapping[str, Any]) -> VoiceSettings:
        """The settings in a mapping with the same names; settings are returned as they are.

        Raises:
            InvalidArgumentError: It is no such mapping.
        """
        if isinstance(value, cls):
            return value
        names = VoiceSettings.__slots__  # without those of a record
        if not isinstance(value, Mapping) or not all(name in names for name in value):
            raise InvalidArgumentError(
                f"got a {type(value).__name__}",
                argument="voice_settings",
                allowed=f"VoiceSettings, or a mapping of {', '.join(names)}",
            )
        return cls(**value)

    def wire(self) -> dict[str, Any]:
        """What is set, by the vendor's names, which are ours."""
        values = ((name, getattr(self, name)) for name in VoiceSettings.__slots__)
        return {name: value for name, value in values if value is not None}


def _wrong(name: str, value: object, allowed: str) -> InvalidArgumentError:
    given = repr(value)[:40] if isinstance(value, int | float) else f"a {type(value).__name__}"
    return InvalidArgumentError(f"got {given}", argument=f"voice_settings.{name}", allowed=allowed)
