"""How long an idle connection to one host may be trusted, learned from what the host does.

No provider documents when it drops an idle HTTP connection, so we start from a
guess, come down at once when the peer proves it wrong, and go up slowly while
connections survive. Pure: no clock, no I/O.

Rules:
    1. A close after ``idle_s`` seconds of idleness brings the cut-off down to
       0.8 of it, and ``idle_s`` becomes the known close point.
    2. A reuse that went well after at least half of the cut-off raises it by 5 %,
       up to the ceiling and up to 0.9 of the known close point.
    3. A close sooner than the floor teaches nothing: it was no idle limit.
    4. Ten such survivals held back by the close point move that point out by a
       quarter. A peer also closes when it is deployed or fails over, at whatever
       age a connection then has; without this rule every deploy would shorten the
       cut-off for good, and a keeper that runs for months would end up dialling
       without pause. A real limit is simply met and learned again, by a connection
       that nobody was using.
"""

from __future__ import annotations

import math

FLOOR = 1.0
"""Seconds. Servers in common use wait longer before they drop an idle connection
(gunicorn 2 s, uvicorn, Node and Apache 5 s by default), so a sooner close is a
restart or a refusal. At this floor a keeper dials each warm connection 1.05 to
1.33 times a second, which is already the most that a peer should see of us."""

CLOSE_SHARE = 0.8
LIMIT_SHARE = 0.9
RAISE = 1.05
DOUBTS = 10
FORGET = 1.25


class IdleCutoff:
    """The idle cut-off of one host, in seconds.

    Args:
        start: Where to begin, seconds.
        ceiling: Never above this, seconds; raised to ``start`` if that is more.
        floor: Never below this, seconds; lowered to ``start`` if that is less.

    Attributes:
        seconds: An idle connection older than this is taken for dead.
    """

    __slots__ = ("_ceiling", "_close_point", "_doubts", "_floor", "seconds")

    def __init__(
        self, start: float = 50.0, ceiling: float = 120.0, *, floor: float = FLOOR
    ) -> None:
        self.seconds = start
        self._ceiling = max(start, ceiling)
        self._floor = min(start, floor)
        self._close_point = math.inf
        self._doubts = 0

    def observe_close(self, idle_s: float) -> None:
        """The peer closed a connection that had been idle for ``idle_s`` seconds."""
        if idle_s < self._floor:
            return
        self._doubts = 0
        self._close_point = min(self._close_point, idle_s)
        self.seconds = max(self._floor, min(self.seconds, CLOSE_SHARE * idle_s))

    def observe_survival(self, idle_s: float) -> None:
        """A connection was reused without trouble after ``idle_s`` seconds of idleness."""
        if idle_s < self.seconds / 2:
            return
        limit = min(self._ceiling, LIMIT_SHARE * self._close_point)
        if self.seconds < limit:
            self.seconds = min(limit, self.seconds * RAISE)
        elif limit < self._ceiling:
            self._doubts += 1
            if self._doubts >= DOUBTS:
                self._doubts = 0
                self._close_point *= FORGET

    def __repr__(self) -> str:
        return f"IdleCutoff({self.seconds:.3g} s)"
