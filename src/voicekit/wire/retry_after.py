"""How long a server asks us to wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_WAIT_S", "http_date", "parse_go_duration", "parse_retry_after"]

MAX_WAIT_S: Final = 365 * 86_400.0
"""Longer waits are given as this: finite, and beyond any deadline."""

# A header of more characters is not a wait; a date takes 33 at most (RFC 9110 §5.6.7).
_MAX_CHARACTERS: Final = 64
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_GO_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_GO_DURATION: Final = re.compile(rf"([+-]?)((?:{_GO_PART.pattern})+|0)")
_UNIT_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def parse_retry_after(headers: Mapping[str, str], *, now_wall: float) -> float | None:
    """Seconds to wait by ``retry-after-ms``, else by ``retry-after``.

    The latter may be whole or fractional seconds, or a date, which is compared with the answer's
    own ``date``: their clock need not be ours. A time that has passed is
    0.0; what cannot be understood is None, as if the header were absent.
    ``x-ratelimit-reset-…`` is no such request: it says when a bucket will be *full*
    again, hours later perhaps (see ``parse_go_duration``).

    Source: RFC 9110 §10.2.3; OpenAI Python SDK 3.52.0 for milliseconds and fractions.

    Args:
        headers: Any mapping; names are found in any case.
        now_wall: Our wall clock, seconds since the epoch, for an answer that names no date.
    """
    wait = _seconds(_header(headers, "retry-after-ms"))
    if wait is not None:
        return _bounded(wait / 1000)
    value = _header(headers, "retry-after")
    wait = _seconds(value)
    if wait is None and value is not None:
        date = http_date(value)
        if date is not None:
            theirs = http_date(_header(headers, "date") or "")
            wait = date - (now_wall if theirs is None else theirs)
    return None if wait is None else _bounded(wait)


def parse_go_duration(text: str) -> float | None:
    """Seconds of a duration as Go prints it: ``"6ms"``, ``"1m13.588s"``, ``"0s"``.

    OpenAI's ``x-ratelimit-reset-requests`` and ``-tokens`` hold such. Negative is 0.0,
    anything else than a duration None.

    Source: Go standard library, ``time.ParseDuration``.
    """
    text = text.strip()
    match = _GO_DURATION.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None:
        return None
    seconds = sum(float(n) * _UNIT_S[unit] for n, unit in _GO_PART.findall(match[2]))
    return _bounded(-seconds if match[1] == "-" else seconds)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None:  # not a case-insensitive mapping, perhaps
        value = next((v for k, v in headers.items() if k.lower() == name), None)
    if value is None or len(value) > _MAX_CHARACTERS:
        return None
    return value.strip()


def _seconds(value: str | None) -> float | None:
    if value is None or not _NUMBER.fullmatch(value):
        return None
    return float(value)


def http_date(value: str) -> float | None:
    """Seconds since the epoch of a header's date; None for what is none."""
    from email.utils import parsedate_to_datetime  # 10 ms that only a date need cost

    try:
        when = parsedate_to_datetime(value)
        if when.tzinfo is None:  # the asctime form, and "-0000"
            from datetime import UTC

            when = when.replace(tzinfo=UTC)
        return when.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_WAIT_S)
