"""Limits of tests over real sockets: short where one is to pass, else kept on a busy machine."""

from __future__ import annotations

from collections.abc import Iterable

from voicekit.emulator import Fault
from voicekit.operation import Limits

SHORT = Limits(connect=5.0, first_output=1.0, gap=1.0, total=30.0)
ROOMY = Limits(connect=5.0, first_output=10.0, gap=10.0, total=30.0)
BEGUN = Limits(connect=5.0, first_output=5.0, gap=1.0, total=10.0)
"""For what fails after its first output, which a busy machine may be late with."""
_HOLDS_UP = {"silence", "stall", "drip", "empty_deltas", "ws_hang"}


def limits_for(fault: Fault) -> Limits:
    """Short ones if ``fault`` holds something up."""
    return SHORT if fault.kind in _HOLDS_UP else ROOMY


def limits_of(operations: Iterable[str], fault: Fault) -> dict[str, Limits]:
    """The same for each of the operations, as a client takes them."""
    return dict.fromkeys(operations, limits_for(fault))
