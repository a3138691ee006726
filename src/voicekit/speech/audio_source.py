"""What a recording may be given as, wherever one is to be transcribed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import urlsplit

from voicekit.errors import InvalidArgumentError
from voicekit.speech.clip import AudioClip


@dataclass(frozen=True, slots=True)
class AudioURL:
    """A recording that the provider fetches by itself.

    Attributes:
        url: ``http(s)://…``. May hold a signature, so it is never shown.

    Raises:
        InvalidArgumentError: It is no such URL.
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        allowed = "http(s)://host…"
        try:
            parts = urlsplit(self.url)
            fine = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except (ValueError, TypeError, AttributeError):
            fine = False
        if not fine:
            raise InvalidArgumentError(
                f"got a {type(self.url).__name__} that is none", argument="url", allowed=allowed
            )


AudioSource = bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | AudioClip | AudioURL
"""A recording: its bytes, the path of its file, an open binary file, a clip, or an address.

No ``str``: it could be a path or an address, so it is ``Path(…)`` or ``AudioURL(…)``.
"""
