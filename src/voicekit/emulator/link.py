"""A network in front of the emulator: round-trip time, jitter, bandwidth, idle cut-off."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What lies between client and server. Seconds and bytes per second.

    Attributes:
        rtt: Round-trip time; each direction is late by half of it.
        jitter: Uniform variation of each direction's delay, plus or minus.
        bandwidth: Bytes per second and direction; None is unlimited.
        idle_cutoff: Seconds without a byte in either direction after which both sides get an RST.
    """

    rtt: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    idle_cutoff: float | None = None
