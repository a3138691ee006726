"""The percentiles of the benchmark ``tail``."""

from __future__ import annotations

import random
from typing import Any

import pytest


@pytest.fixture
def tail() -> Any:
    from benchmarks import tail

    return tail


def test_a_percentile_is_the_sample_that_so_many_do_not_exceed(tail) -> None:
    """Of 1 to 100 the 99th is 99, whatever their order."""
    samples = [float(number) for number in range(1, 101)]
    random.Random(1).shuffle(samples)
    assert tail.percentile(samples, 0.99).value == 99.0
    assert tail.percentile(samples, 0.5).value == 50.0
    assert tail.percentile([7.0], 0.99) == tail.Estimate(7.0, 7.0, 7.0)


def test_its_interval_holds_the_percentile_as_often_as_it_says(tail) -> None:
    """At least 94 of 100 times, over many seeded draws of 5,000."""
    draw = random.Random(5)
    held = 0
    for _ in range(300):
        seen = tail.percentile([draw.random() for _ in range(5000)], 0.99)
        held += seen.low <= 0.99 <= seen.high
    assert held / 300 >= 0.93
