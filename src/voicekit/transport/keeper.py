"""What the keeper of warm connections does next: how many to dial, which to close, until when.

Pure, and shared by the HTTP pool (aiohttp's own connections, listed to it) and
the socket pool. It is asked after every change and when ``Plan.wake_at`` comes;
asked twice with the same facts it gives the same plan.

Rules:
    1. Ready, dialling and leased connections that come back all count towards the
       minimum. A lease alone starts no dial: a handshake during a caller's turn is
       noise. A lease that does not come back (one-use, taken over, of a retired
       generation) does not count, so that it is replaced at once.
    2. A connection falls due between 0.75 and 0.95 of its cut-off (and of its
       maximal age), each at its own jittered point, so that connections dialled
       together are not replaced together.
    3. A due connection that the minimum needs is replaced: dialled first, closed
       when the new one is there, or at the cut-off itself if none came. Where
       ``max_connections`` leaves no room for both, it goes first.
    4. A due connection that the minimum does not need is closed. So are those that
       have been idle longest when more than ``max_idle`` are idle.
    5. After a failed dial the keeper waits, 0.5 s doubling to 30 s, with jitter, and
       then tries one dial alone until one succeeds. Callers' own dials never wait.
    6. Without a minimum only rule 4 applies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DUE_FROM = 0.75
DUE_SPREAD = 0.2
BACKOFF_FIRST = 0.5
BACKOFF_MOST = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleConn:
    """One idle connection, as the keeper sees it.

    Attributes:
        id: The pool's own number for it.
        idle_since: When it was last used, on the pool's clock.
        opened_at: When its dial ended.
        jitter: From 0 to 1, drawn once when it was opened.
    """

    id: int
    idle_since: float
    opened_at: float
    jitter: float = 0.5

    def due_at(self, cutoff: float, max_age: float | None) -> float:
        """When to replace it, with time in hand before the peer would close it."""
        share = DUE_FROM + DUE_SPREAD * self.jitter
        due = self.idle_since + share * cutoff
        return due if max_age is None else min(due, self.opened_at + share * max_age)

    def dead_at(self, cutoff: float, max_age: float | None) -> float:
        """When it must not be used any more."""
        dead = self.idle_since + cutoff
        return dead if max_age is None else min(dead, self.opened_at + max_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How the last dials went, as far as the keeper's next one depends on it.

    Attributes:
        failures: Bursts of failed dials in a row.
        until: The keeper dials nothing before this time.
    """

    failures: int = 0
    until: float = -math.inf

    def failed(self, now: float, jitter: float) -> Backoff:
        """The state after a failed dial; ``jitter`` from 0 to 1 halves the wait at most.

        Dials that were under way together fail together and count as one.
        """
        if now < self.until:
            return self
        # 2 ** 6 is beyond the most already; more only risks a float overflow.
        wait = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(self.failures, 6))
        return Backoff(failures=self.failures + 1, until=now + wait * (1 - jitter / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now.

    Attributes:
        dial: How many dials to start.
        close: Ids of the idle connections to close.
        wake_at: When to ask again if nothing changes before; None for never.
    """

    dial: int = 0
    close: tuple[int, ...] = ()
    wake_at: float | None = None


def plan(
    now: float,
    idle: Sequence[IdleConn],
    *,
    leased: int,
    returning: int,
    dialing: int,
    minimum: int,
    max_idle: int,
    max_connections: int,
    cutoff: float,
    max_age: float | None = None,
    spare: bool = False,
    backoff: Backoff | None = None,
) -> Plan:
    """Decide by the rules above.

    Args:
        now: Seconds, on the clock of all the times here.
        idle: In any order.
        leased: How many are in somebody's hands.
        returning: How many of those will come back for reuse.
        dialing: How many dials are under way whose connection stays in the pool.
        minimum: How many the pool keeps.
        max_idle: How many idle ones it tolerates; at least ``minimum``.
        max_connections: Bounds idle, leased and dialing together.
        cutoff: Idle seconds after which a connection is taken for dead.
        max_age: Seconds after its dial at which a connection is given up; None for never.
        spare: Keep one ready or dialling even while leases fill the minimum.
        backoff: How the last dials went; None for well.
    """
    newest_first = sorted(idle, key=lambda conn: (-conn.idle_since, conn.id))
    close = [c for c in newest_first if now >= c.dead_at(cutoff, max_age)]
    living = [c for c in newest_first if now < c.dead_at(cutoff, max_age)]
    fresh = [c for c in living if now < c.due_at(cutoff, max_age)]
    due = [c for c in living if now >= c.due_at(cutoff, max_age)]

    missing = max(0, minimum - len(fresh) - returning)
    if spare and minimum > 0 and not fresh:
        missing = max(missing, 1)
    kept, surplus = due[:missing], due[missing:]
    allowed = max(max_idle, minimum)
    close += surplus + fresh[allowed:]
    fresh = fresh[:allowed]

    dial = wanted = max(0, missing - dialing)
    if backoff is not None and backoff.failures:
        dial = 0 if now < backoff.until else min(wanted, max(0, 1 - dialing))
    room = max_connections - leased - dialing - len(fresh) - len(kept)
    traded = min(len(kept), max(0, dial - room))
    close += kept[len(kept) - traded :]
    kept = kept[: len(kept) - traded]
    dial = max(0, min(dial, room + traded))

    times = [c.due_at(cutoff, max_age) for c in fresh]
    times += [c.dead_at(cutoff, max_age) for c in kept]
    if wanted and backoff is not None and now < backoff.until:
        times.append(backoff.until)
    return Plan(dial=dial, close=tuple(c.id for c in close), wake_at=min(times, default=None))
