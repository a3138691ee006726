"""Voices, their settings, models, the user: what an ElevenLabs account has.

Source: OpenAPI file of the vendor, `/v1/voices`, `/v2/voices`, `/v1/models`, `/v1/user`; minimal
objects as its SDK 2.78.0 reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from voicekit.emulator.providers.base import Exchange, always
from voicekit.emulator.providers.elevenlabs_models import MODELS
from voicekit.emulator.providers.elevenlabs_request import TRUE, Checker, HttpRefusalError, invalid

UNKNOWN_VOICE = "no-such-voice"
"""The one voice id that is refused; any other is taken for a voice of the account."""

SETTINGS = {
    "stability": 0.5,
    "similarity_boost": 0.75,
    "style": 0,
    "use_speaker_boost": True,
    "speed": 1.0,
}

SUBSCRIPTION = {
    "tier": "creator",
    "character_count": 100,
    "character_limit": 100_000,
    "can_extend_character_limit": False,
    "allowed_to_extend_character_limit": False,
    "next_character_count_reset_unix": 1_795_000_000,
    "voice_slots_used": 25,
    "professional_voice_slots_used": 0,
    "voice_limit": 30,
    "voice_add_edit_counter": 0,
    "professional_voice_limit": 1,
    "can_extend_voice_limit": False,
    "can_use_instant_voice_cloning": True,
    "can_use_professional_voice_cloning": True,
    "currency": "usd",
    "status": "active",
    "billing_period": "monthly_period",
    "character_refresh_period": "monthly_period",
}

USER = {
    "user_id": "u1",
    "subscription": SUBSCRIPTION,
    "is_new_user": False,
    "can_use_delayed_payment_methods": False,
    "is_onboarding_completed": True,
    "is_onboarding_checklist_completed": True,
    "created_at": 1_700_000_000,
    "seat_type": "workspace_member",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of the account; `created` in seconds of the Unix clock."""

    id: str
    name: str
    category: str = "premade"
    created: int = 1_700_000_000

    def wire(self) -> dict[str, Any]:
        """Return the vendor's object, with the fields that it has for every voice."""
        return {
            "voice_id": self.id,
            "name": self.name,
            "category": self.category,
            "labels": {"language": "en"},
            "available_for_tiers": [],
            "high_quality_base_model_ids": ["eleven_flash_v2_5"],
            "settings": dict(SETTINGS),
            "preview_url": None,
            "description": None,
            "created_at_unix": self.created,
        }


# Two of the vendor's own, and enough of the user's to fill more than two pages.
VOICES: Sequence[Voice] = (
    Voice("21m00Tcm4TlvDq8ikWAM", "Rachel"),
    Voice("EXAVITQu4vr4xnSDxMaL", "Sarah"),
    *(
        Voice(f"clone{number:015d}", f"Clone {number:02d}", "cloned", 1_700_000_000 + number)
        for number in range(1, 24)
    ),
)

MOST_ON_A_PAGE = 100
MOST_IDS = 100
SORTS = ("created_at_unix", "name")
DIRECTIONS = ("asc", "desc")
KINDS = ("personal", "community", "default", "workspace", "non-default", "saved")
CATEGORIES = ("premade", "cloned", "generated", "professional", "famous", "high_quality")
# Accepted and not applied: these voices have none of it.
UNAPPLIED = frozenset(
    {
        "fine_tuning_state", "collection_id", "gender", "age", "language", "accent", "use_cases",
        "min_notice_period_days", "include_custom_rates", "include_live_moderated",
        "high_quality",
    }
)  # fmt: skip
KNOWN = UNAPPLIED | {
    "page_size", "next_page_token", "search", "sort", "sort_direction", "voice_type", "category",
    "include_total_count", "voice_ids",
}  # fmt: skip


def check_voice(voice_id: str) -> None:
    """Refuse the one voice that is not there.

    400, as the vendor does on the speech endpoints; 404 was seen as well.
    """
    if voice_id == UNKNOWN_VOICE:
        raise HttpRefusalError.coded(
            400,
            "voice_not_found",
            f"A voice with voice_id '{UNKNOWN_VOICE}' was not found.",
            param="voice_id",
        )


# -- handlers --


async def voices(exchange: Exchange) -> web.StreamResponse:
    """`GET /v2/voices`: a page of what the filters leave."""
    query = exchange.request.query
    for name in query:
        if name not in KNOWN:
            exchange.note(f"unknown query parameter {name!r} ignored")
        elif name in UNAPPLIED:
            exchange.note(f"{name} accepted and not applied")
    _check_filters(query)
    found = _found(query, query.getall("voice_ids", []))
    size = int(query.get("page_size", "10"))
    start = _start(query.get("next_page_token"))
    page = found[start : start + size]
    more = start + size < len(found)
    if query.get("include_total_count", "true").lower() in TRUE:
        exchange.note("include_total_count costs time")
        total: int | None = len(found)
    else:
        total = None
    return exchange.answer(
        {
            "voices": [voice.wire() for voice in page],
            "has_more": more,
            "total_count": total,
            "next_page_token": f"page:{start + size}" if more else None,
        }
    )


async def voice(exchange: Exchange) -> web.StreamResponse:
    """`GET /v1/voices/{voice_id}`."""
    return exchange.answer(_voice(exchange).wire())


async def settings(exchange: Exchange) -> web.StreamResponse:
    """`GET /v1/voices/{voice_id}/settings`."""
    _voice(exchange)
    return exchange.answer(SETTINGS)


ROUTES = (
    ("/v2/voices", "voices", voices),
    ("/v1/voices", "voices", always({"voices": [each.wire() for each in VOICES]})),
    ("/v1/voices/settings/default", "voice.settings", always(SETTINGS)),
    ("/v1/voices/{voice_id}", "voice", voice),
    ("/v1/voices/{voice_id}/settings", "voice.settings", settings),
    ("/v1/models", "models", always([model.wire() for model in MODELS.values()])),
    ("/v1/user", "user", always(USER)),
    ("/v1/user/subscription", "subscription", always(SUBSCRIPTION)),
)
"""Path, operation and handler of each GET endpoint; the order matters to the router."""


# -- filters --


def _voice(exchange: Exchange) -> Voice:
    voice_id = exchange.request.match_info["voice_id"]
    check_voice(voice_id)
    known = next((each for each in VOICES if each.id == voice_id), None)
    return known or Voice(voice_id, "Demo")


def _check_filters(query: Mapping[str, str]) -> None:
    check = Checker("query")
    path, size = ["page_size"], query.get("page_size", "10")
    if not size.isascii() or not size.isdigit():
        check.fail(path, "Input should be a valid integer", "int_parsing")
    elif int(size) > MOST_ON_A_PAGE:
        message = f"Input should be less than or equal to {MOST_ON_A_PAGE}"
        check.fail(path, message, "less_than_equal")
    elif int(size) < 1:
        check.fail(path, "Input should be greater than or equal to 1", "greater_than_equal")
    for name, allowed in (
        ("sort", SORTS),
        ("sort_direction", DIRECTIONS),
        ("voice_type", KINDS),
        ("category", CATEGORIES),
    ):
        if name in query:
            check.choice([name], query[name], allowed)
    check.done()


def _start(token: str | None) -> int:
    if token is None:
        return 0
    kind, _, number = token.partition(":")
    if kind != "page" or not number.isdigit():
        raise invalid("next_page_token", "The page token is invalid.")
    return int(number)


def _found(query: Mapping[str, str], ids: Sequence[str]) -> list[Voice]:
    if len(ids) > MOST_IDS:
        raise invalid("voice_ids", f"At most {MOST_IDS} voice ids.")
    wanted = query.get("search", "").lower()
    category = query.get("category")
    found = [
        each
        for each in VOICES
        if wanted in each.name.lower()
        and (category is None or each.category == category)
        and (not ids or each.id in ids)
        and _of_kind(each, query.get("voice_type"))
    ]
    if "sort" in query or "sort_direction" in query:
        by_name = query.get("sort") == "name"
        found.sort(key=lambda each: each.name if by_name else str(each.created))
        if query.get("sort_direction", "desc") == "desc":
            found.reverse()
    return found


def _of_kind(voice: Voice, kind: str | None) -> bool:
    match kind:
        case "default":
            return voice.category == "premade"
        case "personal" | "non-default":
            return voice.category != "premade"
        case "community" | "workspace" | "saved":
            return False
        case _:
            return True
