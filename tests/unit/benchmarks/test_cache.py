"""The arithmetic of the benchmark ``cache``."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def cache() -> Any:
    from benchmarks import cache

    return cache


def test_each_is_late_against_the_first_piece_by_piece(cache) -> None:
    """The median of the pieces; who is first now and then is late in the others."""
    one = [(10, 1.0), (20, 2.0), (30, 3.0)]
    other = [(10, 1.5), (20, 2.5), (30, 2.75)]
    assert cache.lateness([one, other]) == [0.0, 0.5]


def test_pieces_that_were_given_together_are_pieces(cache) -> None:
    """One who got two at once has both of them at that moment."""
    one = [(10, 1.0), (20, 2.0), (30, 3.0)]
    other = [(30, 3.25)]
    assert cache.lateness([one, other]) == [0.0, 1.25]


def test_those_who_did_not_hear_the_same_are_no_figure(cache) -> None:
    """A caller who was cut short is an error, not a quick one."""
    with pytest.raises(ValueError, match="the same"):
        cache.lateness([[(10, 1.0)], [(10, 1.0), (20, 2.0)]])
