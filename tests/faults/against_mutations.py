"""Each protection taken away alone turns at least one cell red: ``nox -s mutation``.

No file of tests by its name, so that an ordinary ``pytest`` leaves it out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from judging import column_of, forget, red, row_of
from mutations import Mutation, mutations

if TYPE_CHECKING:
    from world import World

MUTATIONS = mutations()
CELLS = sorted({cell for mutation in MUTATIONS for cell in mutation.cells})


@pytest.mark.parametrize(("row", "column"), CELLS, ids=map("-".join, CELLS))
def test_with_all_protections(world: World, row: str, column: str) -> None:
    """Green: what turns it red is the mutation and nothing else."""
    assert not red(world, row_of(row), column_of(column))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_without(world: World, mutation: Mutation, record_property: Any) -> None:
    """One of its cells is red, for the reason that it names."""
    found = []
    for name, number in mutation.cells:
        with mutation.without():
            told = red(world, row_of(name), column_of(number))
        forget()  # while nobody but us listens
        if told and re.search(mutation.says, told):
            record_property("mutation", (mutation.name, name, number, told))
            return
        found.append(f"{name} × {number}: {told or 'green'}")
    pytest.fail(f"no cell is red for it: {'; '.join(found)}", pytrace=False)


def test_names() -> None:
    """Each is there once, and its cells are live."""
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) == len(set(names))
    for row, column in CELLS:
        assert not column_of(column).applies(row_of(row))
