"""The grid tells a right client from a usual one: the baselines fail where its page says.

No file of tests by its name; ``nox -s faults`` runs it after the grid, whose report shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from baselines import BASELINES, ROWS
from judging import red, row_of

from faults import Fault, columns

if TYPE_CHECKING:
    from world import World

pytestmark = pytest.mark.timing

_LONGEST = 4.5
"""Seconds. Some cells hang until somebody ends them."""


def _of_the_page() -> dict[str, list[Fault]]:
    """The columns by their number on the page, where one stands for several of ours."""
    found: dict[str, list[Fault]] = {}
    for fault in columns():
        if not fault.ours and any(not fault.applies(row_of(row)) for row in ROWS):
            found.setdefault(fault.number.rstrip("abcdefghij"), []).append(fault)
    return found


PAGE = _of_the_page()


@pytest.mark.parametrize("number", PAGE)
@pytest.mark.parametrize("name", BASELINES)
def test_baseline(
    world: World, name: str, number: str, record_property: Any,
) -> None:  # fmt: skip
    """Judged as ours is. Red where the page says so, green where a good wiring suffices."""
    baseline = BASELINES[name]
    verdicts = {}
    for fault in PAGE[number]:
        for row in map(row_of, ROWS):
            if not fault.applies(row):
                told = red(world, row, fault, subject=baseline.make(), longest=_LONGEST)
                verdicts[row.id, fault.number] = told
                record_property("baseline", (name, row.id, fault.number, fault.title, told))
    failed = {cell: told for cell, told in verdicts.items() if told}
    if number in baseline.fails:
        assert failed, f"{name} passes column {number}: the grid does not discriminate"
    if number in baseline.passes:
        assert not failed, f"{name} is not wired as it should be"


def test_columns_exist() -> None:
    """None of those that a baseline must fail has gone."""
    for name, baseline in BASELINES.items():
        missing = (baseline.fails | baseline.passes) - PAGE.keys()
        assert not missing, f"{name}: no column {missing}"
