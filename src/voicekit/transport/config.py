"""Settings of a transport: frozen, validated, varied with ``dataclasses.replace``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicekit.checks import integer, is_number, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Sizes and ages of the connections to one provider.

    Attributes:
        max_connections: Open at once, sockets included.
        min_ready: How many the keeper holds open once ``warm()`` asked for any.
        max_idle: Idle ones beyond this are closed when they come back.
        max_wait: Seconds a call may wait for a free one before ``PoolTimeout``.
        idle_cutoff: Seconds after which an idle HTTP connection is taken for dead
            until the host teaches better. 50 s for hosted APIs, 4 s for a bare
            uvicorn (its own limit is 5 s).
        idle_ceiling: The cut-off never grows beyond this many seconds.

    Raises:
        InvalidArgumentError: A size or a time makes no sense.
    """

    max_connections: int = 20
    min_ready: int = 2
    max_idle: int = 10
    max_wait: float = 1.0
    idle_cutoff: float = 50.0
    idle_ceiling: float = 120.0

    def __post_init__(self) -> None:
        for name, least in (("max_connections", 1), ("min_ready", 0), ("max_idle", 0)):
            integer(least)(name, getattr(self, name))
        for name in ("max_wait", "idle_cutoff", "idle_ceiling"):
            value = getattr(self, name)
            if not is_number(value) or not value > 0:
                raise wrong(name, value, "seconds > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmReport:
    """What a ``warm()`` did.

    Attributes:
        opened: Connections that were dialled.
        reused: Connections that were ready already.
        failures: Names of the errors of the dials that failed.
        elapsed: Seconds.
    """

    opened: int
    reused: int
    failures: tuple[str, ...] = ()
    elapsed: float = 0.0


def together(reports: Sequence[WarmReport]) -> WarmReport:
    """What several warm-ups at once did, in the time of the longest."""
    return WarmReport(
        opened=sum(each.opened for each in reports),
        reused=sum(each.reused for each in reports),
        failures=tuple(name for each in reports for name in each.failures),
        elapsed=max(each.elapsed for each in reports),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """A snapshot of a transport's HTTP connections, or of its sockets.

    Attributes:
        open: Ready and leased together.
        ready: Idle and believed alive.
        leased: In somebody's hands.
        dialing: On their way.
        opened: Dialled so far.
        reused: Leases served without a dial.
        closed: How many were closed, by cause.
        idle_cutoff: Seconds after which an idle connection is replaced, as learned so far.
        waiting: Callers for whom no connection is free and no dial may be made.
        sockets: The pools of WebSockets together; None where there is none. Each open one
            is among the ``leased`` here as well, whose connection it holds.
    """

    open: int = 0
    ready: int = 0
    leased: int = 0
    dialing: int = 0
    opened: int = 0
    reused: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    idle_cutoff: float = 0.0
    waiting: int = 0
    sockets: PoolStats | None = None


_COUNTS = ("open", "ready", "leased", "dialing", "opened", "reused", "waiting")


def sum_of(stats: Sequence[PoolStats]) -> PoolStats | None:
    """Several pools as one, with the shortest of their cut-offs; None of none."""
    if not stats:
        return None
    return PoolStats(
        **{name: sum(getattr(each, name) for each in stats) for name in _COUNTS},
        closed=dict(sum((Counter(each.closed) for each in stats), Counter())),
        idle_cutoff=min(each.idle_cutoff for each in stats),
    )
