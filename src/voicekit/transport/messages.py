"""Requests that belong to no HTTP library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class Upload(Protocol):
    """A body that is not held in memory; opened anew for each attempt."""

    @property
    def size(self) -> int | None:
        """Bytes; None when it cannot be known, and the body goes out in HTTP chunks."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether it can be opened again with the same content."""
        ...

    def open(self) -> AsyncIterator[bytes]:
        """The content from its start, in pieces.

        Raises:
            LocalProtocolError: It was opened before, and is not replayable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, or the handshake of a socket.

    Attributes:
        method: ``"GET"``, ``"POST"``, …; ``"GET"`` for a socket.
        url: Absolute, query included: ``https://…`` or ``wss://…``.
        headers: Credentials included, so never shown.
        body: Complete, or an upload; replayed as it is by a repeat.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | Upload | None = field(default=None, repr=False)


def merge_headers(ours: dict[str, str], theirs: Mapping[str, str] | None) -> dict[str, str]:
    """``ours`` with the caller's own in place of them, in any case of their letters."""
    if not theirs:
        return ours
    names = {name.lower() for name in theirs}
    kept = {name: text for name, text in ours.items() if name.lower() not in names}
    return {**kept, **theirs}
