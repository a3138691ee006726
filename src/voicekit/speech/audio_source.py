"""What a recording may be given as, wherever one is to be transcribed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urlsplit

from voicekit.errors import InvalidArgumentError
from voicekit.speech.clip import AudioClip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


class AudioStream(Protocol):
    """A recording that is still coming: sent on as it comes, so it can be sent once.

    What has an ``aclose()`` is closed at its end, or where the upload ends before.

    """

    @property
    def content_type(self) -> str:
        """What it is, such as ``"audio/ogg"``; anything where it is not known."""
        ...

    @property
    def size(self) -> int | None:
        """Its bytes, where they are known by now."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


AudioSource = (
    bytes
    | bytearray
    | memoryview
    | os.PathLike[str]
    | BinaryIO
    | AudioClip
    | AudioURL
    | AudioStream
)
"""A recording: its bytes, the path of its file, an open binary file, a clip, an address, or what
is still coming.

No ``str``: it could be a path or an address, so it is ``Path(…)`` or ``AudioURL(…)``.
"""
