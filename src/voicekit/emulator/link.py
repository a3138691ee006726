"""A network in front of the emulator: round-trip time, jitter, bandwidth, idle cut-off.

The kernel accepts a client's connection before a user-space relay hears of it, so the handshake's
round trip cannot be spent where it belongs: the client's first flight is held until it would have
been over. A client that connects and waits, as a warm-up does, has had that round trip behind it
by then, as on a real network.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What lies between client and server. Seconds and bytes per second.

    Attributes:
        rtt: Round-trip time; each direction is late by half of it.
        jitter: Uniform variation of each direction's delay, plus or minus; order is kept.
        bandwidth: Bytes per second and direction; None is unlimited.
        idle_cutoff: Seconds without a byte in either direction after which both sides get an RST.

    Raises:
        ValueError: A value is negative, or the bandwidth is zero.
    """

    rtt: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    idle_cutoff: float | None = None

    def __post_init__(self) -> None:
        if self.rtt < 0 or self.jitter < 0:
            raise ValueError("rtt and jitter are seconds of at least 0")
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise ValueError("bandwidth is bytes per second above 0, or None")
        if self.idle_cutoff is not None and self.idle_cutoff <= 0:
            raise ValueError("idle_cutoff is seconds above 0, or None")


class Timing:
    """When each piece of one direction arrives. Pure: it is told the time.

    Args:
        link: What to imitate.
        rng: Draws the jitter.
        not_before: No piece leaves before this moment: the end of the handshake.
    """

    def __init__(self, link: Link, rng: random.Random, *, not_before: float = 0.0) -> None:
        self._link = link
        self._rng = rng
        self._not_before = not_before
        self._line_free = 0.0
        self._last_due = 0.0

    def due(self, sent_at: float, size: int = 0) -> float:
        """Return when a piece of so many bytes, sent at that moment, arrives.

        Never earlier than a piece sent before it, and always counted from when it was sent, so
        that late timers do not add up.
        """
        link = self._link
        leaves = max(sent_at, self._not_before)
        if link.bandwidth is not None:
            leaves = self._line_free = max(leaves, self._line_free) + size / link.bandwidth
        delay = link.rtt / 2
        if link.jitter:
            delay = max(0.0, delay + self._rng.uniform(-link.jitter, link.jitter))
        self._last_due = max(self._last_due, leaves + delay)
        return self._last_due
