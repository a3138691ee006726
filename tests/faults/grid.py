"""The fault grid: every live cell, on every loop. ``nox -s faults`` runs it; see the docs.

No file of tests by its name, so that an ordinary ``pytest`` leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cell import Cell, in_loop, run

if TYPE_CHECKING:
    import pytest
    from faults import Fault
    from operations import Row
    from world import World

RACY, STEADY = 1000, 20


def test_cell(
    world: World, row: Row, fault: Fault, tls: bool, loop: str, full: bool,
    record_property: pytest.RecordProperty,
) -> None:  # fmt: skip
    """The column's criterion and all ten invariants hold, at every repeat."""
    repeats = (RACY if fault.racy else STEADY) if full else 1
    for repeat in range(repeats):
        cell = Cell(world, row, tls=tls, seed=f"{row.id}/{fault.number}/{repeat}")
        in_loop(loop, lambda cell=cell: run(cell, fault))
