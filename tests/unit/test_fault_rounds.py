"""What of a failed cell of the fault grid has a second round."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_FAULTS = str(Path(__file__).parents[1] / "faults")
_ACTED = "invariants.BrokenError: I3 2 calls had 3 effects"
_LATE = "invariants.BrokenError: I1 took 2.311 s, with a deadline of 2 s"
_STALL = "invariants.BrokenError: I8 the loop worked 6.1 ms without a break"
_SOCKET = "invariants.BrokenError: I6 left behind: tasks set(), 0 timers, 1 sockets of ['a b 01']"


@pytest.fixture(scope="module")
def rounds() -> Iterator[Any]:
    sys.path.append(_FAULTS)
    yield importlib.import_module("rounds")
    sys.path.remove(_FAULTS)


@pytest.mark.parametrize(
    "reason",
    [
        _LATE,
        _STALL,
        _SOCKET,
        f"{_LATE}; I8 the loop worked 6.1 ms without a break",
        "AssertionError: 2 attempts took 0.913 s, limit 0.4 s",
        "AssertionError: p95 0.021, p99 0.344",
        "AssertionError: Retry-After: 3: it was waited for",
        "AssertionError: failed: FirstOutputTimeout('no output within 0.4 s')",
        "AssertionError: failed: OverloadedError('no place came free within 0.5 s')",
    ],
)
def test_seconds_have_a_second_round(rounds: Any, reason: str) -> None:
    """What a pause of the machine's can bring about is asked again, alone."""
    assert rounds.may_be_the_machines("18 reads, never answers", reason)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "AssertionError",
        _ACTED,
        f"{_LATE}; I3 2 calls had 3 effects",
        f"{_STALL}; I10 a success gave 12 bytes of 40, alike for 12",
        "invariants.BrokenError: I2 4 attempts, the policy allows 3",
        "invariants.BrokenError: I6 left behind: tasks set(), 1 timers, 1 sockets of []",
        "AssertionError: succeeded with 12 bytes",
        "AssertionError: failed: OutcomeUnknownError('sent 0.2 s ago')",
        "AssertionError: failed: ConnectionLostError('after 0.2 s')",
        "AssertionError: 3 times asked for another token",
    ],
)
def test_whatever_else_is_broken_stands(rounds: Any, reason: str) -> None:
    """An effect twice, bytes lost or a request too many is no machine's, whatever came with it."""
    assert not rounds.may_be_the_machines("18 reads, never answers", reason)


@pytest.mark.parametrize("fault", ["11 idle close", "29 clean EOF (TLS)", "36b abort"])
def test_columns_of_silent_losses_have_none(rounds: Any, fault: str) -> None:
    """One failure in them fails the grid."""
    assert not rounds.may_be_the_machines(fault, _LATE)


def test_the_first_reason_stays(rounds: Any) -> None:
    """Nothing that failed is green without a word of it, and what stands stays red."""
    cells = [("openai.chat", "18 silence", loop) for loop in ("asyncio", "uvloop", "third")]
    late, acted, sound = cells
    before = {late: ("failed", _LATE), acted: ("failed", _ACTED), sound: ("passed", "")}
    passed = dict.fromkeys(cells, ("passed", ""))

    after = rounds.joined(before, passed)

    assert after == {
        late: ("passed", "alone in a second round: " + _LATE),
        acted: ("failed", _ACTED),
        sound: ("passed", ""),
    }
    assert rounds.joined(after, passed) == after
    again = {late: ("failed", _STALL)}
    assert rounds.joined(before, again)[late] == ("failed", _STALL)
