"""Voices, models and the account as values: what is asked for, and the reading of answers. No I/O.

Fields that the vendor adds are in ``raw``; those that it leaves out, or fills with something
else than documented, are None or empty: a list is good without them.

Source: OpenAPI file of August 2025; SDK elevenlabs 2.78.0, types/{voice,model,user}.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from voicekit.clients.elevenlabs.voice_settings import VoiceSettings
from voicekit.clients.record import Record
from voicekit.errors import InvalidArgumentError, RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice(Record):
    """A voice of the account.

    Attributes:
        id: For the option ``voice``.
        name: For people.
        category: ``"generated"``, ``"cloned"``, ``"premade"``, ``"professional"``,
            ``"famous"``, ``"high_quality"``, or a newer one.
        description: In the words of whoever made it.
        labels: Accent, age, gender, use case, and what else there is.
        preview_url: A sample to listen to.
        settings: How it speaks where a request says nothing else.
        high_quality_models: Ids of the models that it sounds best with.
        languages: ISO 639-1 codes that it was checked in.
        created_at: Seconds of the Unix clock.
    """

    id: str
    name: str = ""
    category: str | None = None
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    preview_url: str | None = None
    settings: VoiceSettings | None = None
    high_quality_models: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    created_at: int | None = None

    @classmethod
    def read(cls, value: Any, **evidence: Any) -> Voice:
        """The voice in a JSON object.

        Raises:
            RemoteProtocolError: It is no object with an id.
        """
        fields = _object(value, "voice_id")
        settings = fields.get("settings")
        return cls(
            id=fields["voice_id"],
            name=_text(fields, "name") or "",
            category=_text(fields, "category"),
            description=_text(fields, "description"),
            labels=_texts(fields.get("labels")),
            preview_url=_text(fields, "preview_url"),
            settings=settings_of(settings) if isinstance(settings, dict) else None,
            high_quality_models=_words(fields.get("high_quality_base_model_ids")),
            languages=_words(_column(fields.get("verified_languages"), "language")),
            created_at=_whole(fields, "created_at_unix"),
            raw=value,
            **evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Record):
    """A model.

    Attributes:
        id: For the option ``model``.
        name: For people.
        description: For people.
        speaks: It is for text to speech.
        languages: ISO 639-1 codes, as the vendor lists them.
        max_characters: Of one request.
        character_cost: What a character of it counts, 1.0 being one of the account's.
        concurrency_group: Models of one group share what the plan allows at once.
        can_use_style: ``VoiceSettings.style`` has an effect.
        can_use_speaker_boost: ``VoiceSettings.use_speaker_boost`` has an effect.
    """

    id: str
    name: str = ""
    description: str | None = None
    speaks: bool = False
    languages: tuple[str, ...] = ()
    max_characters: int | None = None
    character_cost: float | None = None
    concurrency_group: str | None = None
    can_use_style: bool = False
    can_use_speaker_boost: bool = False

    @classmethod
    def read(cls, value: Any, **evidence: Any) -> Model:
        """The model in a JSON object.

        Raises:
            RemoteProtocolError: It is no object with an id.
        """
        fields = _object(value, "model_id")
        rates = fields.get("model_rates")
        return cls(
            id=fields["model_id"],
            name=_text(fields, "name") or "",
            description=_text(fields, "description"),
            speaks=fields.get("can_do_text_to_speech") is True,
            languages=_words(_column(fields.get("languages"), "language_id")),
            # The two that are by kind of user are deprecated, and not enforced.
            max_characters=_whole(fields, "maximum_text_length_per_request"),
            character_cost=_number(
                rates.get("character_cost_multiplier") if isinstance(rates, dict) else None
            ),
            concurrency_group=_text(fields, "concurrency_group"),
            can_use_style=fields.get("can_use_style") is True,
            can_use_speaker_boost=fields.get("can_use_speaker_boost") is True,
            raw=value,
            **evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Record):
    """What the account has paid for, and what it has used of it.

    Attributes:
        tier: Name of the plan.
        status: ``"active"``, or why not.
        character_count: Used in this period.
        character_limit: That may be used in this period.
        resets_at: When the period ends, in seconds of the Unix clock.
        voice_limit: How many voices it may have.
        professional_voice_limit: How many of them may be professional clones.
        can_exceed: Whether it may go on beyond its limit, at a price.
    """

    tier: str | None = None
    status: str | None = None
    character_count: int | None = None
    character_limit: int | None = None
    resets_at: int | None = None
    voice_limit: int | None = None
    professional_voice_limit: int | None = None
    can_exceed: bool = False

    @property
    def characters_left(self) -> int | None:
        """How many may still be used in this period; None where the vendor does not say."""
        if self.character_count is None or self.character_limit is None:
            return None
        return max(0, self.character_limit - self.character_count)

    @classmethod
    def read(cls, value: Any, **evidence: Any) -> Subscription:
        """The subscription in a JSON object.

        Raises:
            RemoteProtocolError: It is no object.
        """
        fields = _object(value)
        return cls(
            tier=_text(fields, "tier"),
            status=_text(fields, "status"),
            character_count=_whole(fields, "character_count"),
            character_limit=_whole(fields, "character_limit"),
            resets_at=_whole(fields, "next_character_count_reset_unix"),
            voice_limit=_whole(fields, "voice_limit"),
            professional_voice_limit=_whole(fields, "professional_voice_limit"),
            can_exceed=fields.get("can_extend_character_limit") is True,
            raw=value,
            **evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Record):
    """Whose key it is.

    Attributes:
        id: Of the user.
        subscription: Of the user's account.
    """

    id: str
    subscription: Subscription | None = None

    @classmethod
    def read(cls, value: Any, **evidence: Any) -> User:
        """The user in a JSON object.

        Raises:
            RemoteProtocolError: It is no object with an id.
        """
        fields = _object(value, "user_id")
        held = fields.get("subscription")
        # What the vendor says of a user may include the key, which is nobody's to keep.
        raw = {name: each for name, each in fields.items() if not name.startswith("xi_api_key")}
        return cls(
            id=fields["user_id"],
            subscription=Subscription.read(held) if isinstance(held, dict) else None,
            raw=raw,
            **evidence,
        )


def settings_of(value: Any, **evidence: Any) -> VoiceSettings:
    """The settings in a JSON object, as far as they are such.

    Raises:
        RemoteProtocolError: It is no object.
    """
    known: dict[str, Any] = {}
    for name in VoiceSettings.__slots__:
        each = _object(value).get(name)
        try:
            VoiceSettings(**cast("Any", {name: each}))
        except InvalidArgumentError:
            continue  # newer than this file
        known[name] = each
    return VoiceSettings(**known, raw=value, **evidence)


Kind = Literal["voice_id", "model_id", "user_id"]


def _object(value: Any, id_field: Kind | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteProtocolError("the answer holds something else than an object")
    if id_field is not None and not (isinstance(value.get(id_field), str) and value[id_field]):
        raise RemoteProtocolError(f"the answer holds an object without {id_field}")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return value if type(value) is int else None


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _column(rows: Any, name: str) -> list[Any] | None:
    if not isinstance(rows, list):
        return None
    return [each.get(name) for each in rows if isinstance(each, dict)]


def _words(value: Any) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _texts(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, str)}
