"""The account's limits, as the headers of an answer tell them.

Source: OpenAI fact sheet of 2026-11, §1 (recorded traffic): six headers; transcription has
the three of requests only, and a list of models none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voicekit.speech.rate_limits import RateLimit, RateLimits
from voicekit.wire.retry_after import parse_go_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_DIGITS: Final = 18


def rate_limits_of(headers: Mapping[str, str]) -> RateLimits | None:
    """The limits in the headers of any answer or stream of OpenAI's; None without any.

    Compatible servers mostly send the same headers. What cannot be understood is None, as
    if it were absent.

    Args:
        headers: Of the response; ``.headers`` of each result and stream.
    """
    requests, tokens = _limit(headers, "requests"), _limit(headers, "tokens")
    if requests == _NOTHING == tokens:
        return None
    return RateLimits(requests=requests, tokens=tokens)


_NOTHING: Final = RateLimit()


def _limit(headers: Mapping[str, str], what: str) -> RateLimit:
    reset = headers.get(f"x-ratelimit-reset-{what}")
    return RateLimit(
        limit=_count(headers.get(f"x-ratelimit-limit-{what}")),
        remaining=_count(headers.get(f"x-ratelimit-remaining-{what}")),
        reset_s=None if reset is None else parse_go_duration(reset),
    )


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    whole = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if whole else None
