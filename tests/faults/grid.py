"""The fault grid: every live cell, on every loop. ``nox -s faults`` runs it; see the docs.

No file of tests by its name, so that an ordinary ``pytest`` leaves it out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cell import Cell, in_loop, run
from invariants import BrokenError
from mutations import mutations

if TYPE_CHECKING:
    from operations import Row
    from world import World

    from faults import Fault

RACY, STEADY = 1000, 20
_CHANCES = 3
"""A stall of ours, or a socket, comes again at once; the machine's does not."""


def test_cell(
    world: World, row: Row, fault: Fault, tls: bool, loop: str, full: bool,
) -> None:  # fmt: skip
    """The column's criterion and all ten invariants hold, at every repeat."""
    repeats = (RACY if fault.racy else STEADY) if full else 1
    for repeat in range(repeats):
        seed = f"{row.id}/{fault.number}/{repeat}"
        for chance in range(_CHANCES):
            cell = Cell(world, row, tls=tls, seed=seed)
            try:
                in_loop(loop, partial(run, cell, fault))
                break
            except BrokenError as broken:
                if not broken.may_be_the_machines or chance == _CHANCES - 1:
                    raise
                print(f"once more, after: {broken}")


def test_mutations_switch_what_is_there() -> None:
    """They are run rarely (``nox -s mutation``), and what they take away may get another name."""
    for mutation in mutations():
        with mutation.without():
            pass
