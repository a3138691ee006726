"""What ``Health.check`` gives: frozen, and as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from voicekit.observe.health_state import State
from voicekit.observe.snapshot_sources import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHealth:
    """One client, or wrapper of clients.

    Attributes:
        name: Its provider's, with a number where there are several.
        state: ``"ok"``, ``"degraded"``: it serves, but something is wrong; ``"down"``.
        since: When it came into that state, as far as anybody looked.
        reasons: Why it is not ok: names and figures.
        availability: Share of the time that it was not down, 0 to 1: ``1h`` and ``24h``.
        optional: Whether the application lives without it.
        members: Those behind a wrapper, by name.
        detail: What its policies and its pool have seen, as plain values.
    """

    name: str
    state: State
    since: datetime
    reasons: tuple[str, ...] = ()
    availability: Mapping[str, float | None] = field(default_factory=dict)
    optional: bool = False
    members: Mapping[str, ClientHealth] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        said: dict[str, Any] = {
            "state": self.state,
            "since": self.since.isoformat(timespec="seconds"),
            "reasons": list(self.reasons),
            "availability": dict(self.availability),
        }
        if self.optional:
            said["optional"] = True
        if self.members:
            said["members"] = {name: each.to_dict() for name, each in self.members.items()}
        if self.detail:
            said["detail"] = plain(self.detail)
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All of them.

    Attributes:
        state: Of the application: the worst of its clients'; an optional one that is down
            degrades it.
        since: When it came into that state, as far as anybody looked.
        at: When was looked.
        availability: Share of the time that it was not down, 0 to 1: ``1h`` and ``24h``.
        clients: Each, by name.
    """

    state: State
    since: datetime
    at: datetime
    availability: Mapping[str, float | None]
    clients: Mapping[str, ClientHealth]

    @property
    def serving(self) -> bool:
        """Whether the application can do its work: it is not down."""
        return self.state != "down"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "state": self.state,
            "since": self.since.isoformat(timespec="seconds"),
            "at": self.at.isoformat(timespec="seconds"),
            "availability": dict(self.availability),
            "clients": {name: each.to_dict() for name, each in self.clients.items()},
        }
