"""Options that only a transcription of a recording has, and their checks.

Source: Deepgram fact sheet of 2026-11, §2 (OpenAPI of /v1/listen, July 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, is_sequence, wrong
from voicekit.clients.base import CallOptions
from voicekit.clients.deepgram.options import CHECKS, LIVE_ONLY, SOME, CommonDefaults, model


class TranscriptionDefaults(CommonDefaults, total=False):
    """Options of a transcription of a recording, beside those of ``CommonDefaults``.

    Attributes:
        utterances: Who says what when, in ``utterances`` and the subtitles (False).
        utt_split: Seconds of pause between two utterances (0.8).
        paragraphs: The text in ``paragraphs``; punctuates (False).
        detect_language: Whether to find out the language, or the languages to choose
            from (False).
        filler_words: Keeps "uh" and "um" (False).
        measurements: Units as signs (False).
        sentiment: The sentiment of each segment, see ``raw`` (False).
        intents: What speakers want, see ``raw`` (False).
        topics: What they speak of, see ``raw`` (False).
        summarize: ``"v2"`` or True: a summary, see ``raw`` (False).
        custom_topic: Topics to look for, at most 100.
        custom_topic_mode: ``"strict"`` for no others (``"extended"``).
        custom_intent: Intents to look for, at most 100.
        custom_intent_mode: ``"strict"`` for no others (``"extended"``).
    """

    utterances: bool | None
    utt_split: float | None
    paragraphs: bool | None
    detect_language: bool | str | Sequence[str] | None
    filler_words: bool | None
    measurements: bool | None
    sentiment: bool | None
    intents: bool | None
    topics: bool | None
    summarize: bool | str | None
    custom_topic: str | Sequence[str] | None
    custom_topic_mode: str | None
    custom_intent: str | Sequence[str] | None
    custom_intent_mode: str | None


class TranscriptionOptions(TranscriptionDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


def _or_flag(check: Check) -> Check:
    return lambda name, value: value if isinstance(value, bool) else check(name, value)


_MOST_CUSTOM: Final = 100


def _custom(name: str, value: Any) -> Any:
    if is_sequence(value) and len(value) > _MOST_CUSTOM:
        raise wrong(name, value, f"at most {_MOST_CUSTOM}")
    return SOME(name, value)


_OWN: Final[Mapping[str, Check]] = {
    "utterances": checks.flag,
    "utt_split": checks.number(0, 3600),
    "paragraphs": checks.flag,
    "detect_language": _or_flag(SOME),
    "filler_words": checks.flag,
    "measurements": checks.flag,
    "sentiment": checks.flag,
    "intents": checks.flag,
    "topics": checks.flag,
    "summarize": _or_flag(checks.word("v2")),
    "custom_topic": _custom,
    "custom_topic_mode": checks.word("extended", "strict"),
    "custom_intent": _custom,
    "custom_intent_mode": checks.word("extended", "strict"),
}

FILE_ONLY: Final = frozenset(_OWN)
"""Options without a meaning for a live transcription."""

FILE_CHECKS: Final[Mapping[str, Check]] = {
    **{name: check for name, check in CHECKS.items() if name not in LIVE_ONLY},
    "model": model,
    "diarize_model": checks.word("latest", "v1", "v2"),
    # The vendor's list grows: https://developers.deepgram.com/docs/redaction
    "redact": _or_flag(SOME),
    **_OWN,
}
"""The check of each option of a recording; their order is the order in the URL."""

EITHER_CHECKS: Final[Mapping[str, Check]] = {**CHECKS, **FILE_CHECKS}
"""The check of what is given, for both kinds. Where they differ, recordings allow more; a live
transcription checks again."""
