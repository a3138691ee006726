"""Requests that belong to no HTTP library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, or the handshake of a socket.

    Attributes:
        method: ``"GET"``, ``"POST"``, …; ``"GET"`` for a socket.
        url: Absolute, query included: ``https://…`` or ``wss://…``.
        headers: Credentials included, so never shown.
        body: Complete; replayed as it is by a repeat.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
