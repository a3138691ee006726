"""What is known of the vendor's speech models. What is not known of a model never refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEFAULT_MODEL: Final = "eleven_flash_v2_5"
"""The vendor's fastest for general use, 32 languages. Source: models page, read 2026-11."""

# Source: models page of August 2025 and the help article on errors 400 and 401; v3 (the
# newer of two figures) and v4 by third parties, so the vendor may refuse less. An unknown
# model has no limit here.
MAX_CHARACTERS: Final[Mapping[str, int]] = {
    "eleven_flash_v2_5": 40_000,
    "eleven_flash_v2": 30_000,
    "eleven_turbo_v2_5": 40_000,
    "eleven_turbo_v2": 30_000,
    "eleven_multilingual_v2": 10_000,
    "eleven_multilingual_v1": 10_000,
    "eleven_monolingual_v1": 10_000,
    "eleven_v3": 5_000,
    "eleven_v4": 10_000,
    "eleven_v4_turbo": 10_000,
}

NO_SOCKET: Final = frozenset(
    {"eleven_v3", "eleven_v3_conversational", "eleven_v4", "eleven_v4_turbo"}
)
"""Models that only the dialogue sockets speak. Source: models page; SDK docstrings."""

NO_STITCHING: Final = frozenset({"eleven_v3"})
"""Models that refuse to be told what was said before. Source: request-stitching page."""

KNOWN_TO_STITCH: Final = frozenset(MAX_CHARACTERS) - NO_SOCKET
"""Models that certainly may be told, unasked: for v4 and unknown ones it is unverified, and a
part that is refused would cost the rest of a speech."""
