"""Which voices are asked for: the filters of their list, and the checks before any I/O.

Source: ElevenLabs fact sheet of 2026-11, §6 (OpenAPI of August 2025, SDK elevenlabs 2.78.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from voicekit import checks
from voicekit.checks import Check
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.settings import EXTRAS, Settings
from voicekit.clients.urls import query_of

MAX_PAGE = 100
MAX_IDS = 100


class AccountDefaults(Extras, total=False):
    """Options of everything that is asked about the account, in the constructor.

    There are none but the extras; ``extra_body`` has no effect.
    """


class AccountOptions(AccountDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


class VoiceFilters(AccountOptions, total=False):
    """Which voices, and in what order. Absent is the vendor's default, in brackets.

    Attributes:
        search: Words of the name, the description or the labels.
        page_size: Voices of a page, 1 to 100 (10).
        sort: ``"created_at_unix"`` or ``"name"``.
        sort_direction: ``"asc"`` or ``"desc"``.
        voice_type: ``"personal"``, ``"community"``, ``"default"``, ``"workspace"``,
            ``"non-default"`` or ``"saved"``.
        category: ``"premade"``, ``"cloned"``, ``"generated"`` or ``"professional"``.
        fine_tuning_state: Of professional clones: ``"draft"``, ``"not_verified"``,
            ``"not_started"``, ``"queued"``, ``"fine_tuning"``, ``"fine_tuned"``,
            ``"failed"`` or ``"delayed"``.
        collection_id: Of that collection.
        gender: As the voice is labelled.
        age: As the voice is labelled.
        language: As the voice is labelled.
        accent: As the voice is labelled.
        use_cases: As the voice is labelled; any of these.
        min_notice_period_days: Of voices that their owners may take back.
        include_custom_rates: Voices that cost more, too.
        include_live_moderated: Voices whose use is moderated, too.
        high_quality: Only those of high quality.
        include_total_count: Have the page say how many there are; costs time (False, ours).
        voice_ids: Just these, at most 100.
    """

    search: str | None
    page_size: int | None
    sort: str | None
    sort_direction: str | None
    voice_type: str | None
    category: str | None
    fine_tuning_state: str | None
    collection_id: str | None
    gender: str | None
    age: str | None
    language: str | None
    accent: str | None
    use_cases: Sequence[str] | None
    min_notice_period_days: int | None
    include_custom_rates: bool | None
    include_live_moderated: bool | None
    high_quality: bool | None
    include_total_count: bool | None
    voice_ids: Sequence[str] | None


# The vendor adds values to its enumerations; only the two of an order are closed.
CHECKS: Mapping[str, Check] = {
    "search": checks.text,
    "page_size": checks.integer(1, MAX_PAGE),
    "sort": checks.text,
    "sort_direction": checks.word("asc", "desc"),
    "voice_type": checks.text,
    "category": checks.text,
    "fine_tuning_state": checks.text,
    "collection_id": checks.text,
    "gender": checks.text,
    "age": checks.text,
    "language": checks.text,
    "accent": checks.text,
    "use_cases": checks.sequence_of(str, "str"),
    "min_notice_period_days": checks.integer(0),
    "include_custom_rates": checks.flag,
    "include_live_moderated": checks.flag,
    "high_quality": checks.flag,
    "include_total_count": checks.flag,
    "voice_ids": checks.sequence_of(str, "voice ids", MAX_IDS),
}


class AccountSettings(Settings):
    """Checked extras of what is asked about the account."""

    purpose = "the account"
    option_checks: ClassVar[Mapping[str, Check]] = {}
    extra_checks: ClassVar[Mapping[str, Check]] = EXTRAS

    def target(self, path: str, **query: Any) -> str:
        """The path with its query; ours first, the caller's over it."""
        encoded = query_of({**query, **self.extra_query})
        return f"{path}?{encoded}" if encoded else path


class VoiceListSettings(AccountSettings):
    """Checked filters of the voices."""

    purpose = "voices()"
    option_checks = CHECKS

    def page(self, path: str, token: str | None) -> str:
        """The target of a page, the first where there is no token."""
        filters = {"include_total_count": False, **self.options}
        return self.target(path, **filters, next_page_token=token)
