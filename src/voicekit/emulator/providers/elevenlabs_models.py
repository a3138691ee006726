"""The speech models and output formats that ElevenLabs documents, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One speech model; `max_characters` is per request, `group` its concurrency pool."""

    id: str
    name: str
    max_characters: int
    group: str = "standard"
    realtime: bool = True
    languages: tuple[str, ...] = ("en",)

    def wire(self) -> dict[str, Any]:
        """Return the object that `GET /v1/models` lists."""
        rate = 0.5 if self.group == "turbo" else 1.0
        return {
            "model_id": self.id,
            "name": self.name,
            "can_do_text_to_speech": True,
            "can_do_voice_conversion": False,
            "can_be_finetuned": False,
            "can_use_style": self.group == "standard",
            "can_use_speaker_boost": self.group == "standard",
            "serves_pro_voices": False,
            "token_cost_factor": rate,
            "description": "",
            "requires_alpha_access": False,
            "maximum_text_length_per_request": self.max_characters,
            "languages": [{"language_id": each, "name": each} for each in self.languages],
            "model_rates": {"character_cost_multiplier": rate},
            "concurrency_group": self.group,
        }


_LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "hi", "ja", "ko", "zh")

# Source: the vendor's models page (August 2025) and its help article on errors 400 and 401 for the
# limits; v3 and v4 from the 2026 SDK's docstrings. No realtime socket serves v3 and v4.
MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model(
            id="eleven_flash_v2_5",
            name="Eleven Flash v2.5",
            max_characters=40_000,
            group="turbo",
            languages=_LANGUAGES,
        ),
        Model(id="eleven_flash_v2", name="Eleven Flash v2", max_characters=30_000, group="turbo"),
        Model(
            id="eleven_turbo_v2_5", name="Eleven Turbo v2.5", max_characters=40_000, group="turbo"
        ),
        Model(id="eleven_turbo_v2", name="Eleven Turbo v2", max_characters=30_000, group="turbo"),
        Model(
            id="eleven_multilingual_v2",
            name="Eleven Multilingual v2",
            max_characters=10_000,
            languages=_LANGUAGES,
        ),
        Model(id="eleven_multilingual_v1", name="Eleven Multilingual v1", max_characters=10_000),
        Model(id="eleven_monolingual_v1", name="Eleven English v1", max_characters=10_000),
        Model(id="eleven_v3", name="Eleven v3", max_characters=5_000, realtime=False),
        Model(id="eleven_v4", name="Eleven v4", max_characters=10_000, realtime=False),
        Model(id="eleven_v4_turbo", name="Eleven v4 Turbo", max_characters=10_000, realtime=False),
    )
}

DEFAULT_MODEL = "eleven_multilingual_v2"
DEPRECATED_MODELS = frozenset({"eleven_multilingual_v1", "eleven_monolingual_v1"})
DEFAULT_FORMAT = "mp3_44100_128"

# Source: the enumerations of the vendor's SDK 2.78.0; for sockets its AsyncAPI file.
_MP3 = ("22050_32", "24000_48", "44100_32", "44100_64", "44100_96", "44100_128", "44100_192")
_PCM_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
STREAM_FORMATS = frozenset(
    {f"mp3_{each}" for each in _MP3}
    | {f"pcm_{rate}" for rate in _PCM_RATES}
    | {f"opus_48000_{rate}" for rate in (32, 64, 96, 128, 192)}
    | {"ulaw_8000", "alaw_8000"}
)
WHOLE_FORMATS = STREAM_FORMATS | {f"wav_{rate}" for rate in _PCM_RATES}
SOCKET_FORMATS = STREAM_FORMATS - {"mp3_24000_48", "pcm_32000", "pcm_48000"}


def model_named(name: str | None, notes: list[str]) -> Model:
    """Return a model by id; an id that this emulator does not know acts as the default's size.

    No primary source tells how the vendor refuses an unknown model, and private models exist.
    """
    if name is None:
        return MODELS[DEFAULT_MODEL]
    if name in DEPRECATED_MODELS:
        notes.append(f"{name} is deprecated")
    if name not in MODELS:
        notes.append(f"unknown model {name!r} taken for a private one")
        return Model(id=name, name=name, max_characters=MODELS[DEFAULT_MODEL].max_characters)
    return MODELS[name]
