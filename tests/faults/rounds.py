"""Which failures of cells have a second round, and what the report then says. Pure.

A cell measures seconds of the real clock beside others, and a busy machine may fail it. What no
machine brings about is a fault of ours even if it shows once in a thousand times: it stands,
whatever a repeat says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Key = tuple[str, str, str]
"""Operation, fault, loop."""
Told = tuple[str, str]
"""Result, reason."""

ALONE: Final = "alone in a second round: "
_NEVER: Final = re.compile(r"(11|29|36)[a-z]? ")
"""Columns in which one silent loss fails the grid. Source: the grid's page, §5."""
_SECONDS: Final = re.compile(
    r"(\w+\.)*BrokenError: ("
    r"(I1 [^;]* s|I8 [^;]* break|I6 left behind: tasks set\(\), 0 timers, 1 sockets [^;]*)(; |$))+$"
    r"|AssertionError: ([^(]*\b\d+\.\d+ m?s\b|p95 |.*\bwaited for$|leaving took its time"
    r"|failed: ((Connect|FirstOutput|Gap|Total|Pool)Timeout\(|OverloadedError\(.* within \d))"
)
"""Reasons that are about seconds, and about nothing else."""


def may_be_the_machines(fault: str, reason: str) -> bool:
    """Whether a busy machine can be why a cell failed.

    Args:
        fault: The column, by its number and title.
        reason: The first line of what was raised.
    """
    return not _NEVER.match(fault) and bool(_SECONDS.match(reason))


def joined(before: Mapping[Key, Told], now: Mapping[Key, Told]) -> dict[Key, Told]:
    """What a first round said and what a second one did.

    A failure that was the machine's has passed, with its reason; any other one stands.
    """
    after = dict(before) | dict(now)
    for key, (result, _) in now.items():
        first, reason = before.get(key, ("", ""))
        if result == "passed" and first == "failed":
            if may_be_the_machines(key[1], reason):
                after[key] = (result, ALONE + reason)
            else:
                after[key] = (first, reason)
        elif result == "passed" and reason.startswith(ALONE):
            after[key] = (first, reason)
    return after
