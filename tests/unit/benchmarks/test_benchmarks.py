"""The benchmarks' arithmetic and command line, without measuring anything."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
import sys
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def measure() -> Any:
    from benchmarks import measure

    return measure


def test_estimate_is_the_median_between_order_statistics(measure) -> None:
    """15 samples: the 95 % interval is the 4th to the 12th, as tables of it have it, or wider."""
    seen = measure.estimate([float(number) for number in range(15, 0, -1)])
    assert seen.value == 8.0
    assert seen.low <= 4.0
    assert seen.high >= 12.0
    assert seen.low >= 3.0
    assert seen.high <= 14.0


def test_estimate_of_few_samples_stays_inside_them(measure) -> None:
    """One sample, two samples: the interval is what there is."""
    one = measure.estimate([3.0])
    assert (one.value, one.low, one.high) == (3.0, 3.0, 3.0)
    two = measure.estimate([1.0, 2.0])
    assert (two.value, two.low, two.high) == (1.5, 1.0, 2.0)


def test_the_interval_holds_the_median_as_often_as_it_says(measure) -> None:
    """At least 95 of 100 times, over many seeded draws of 15 from a skewed distribution."""
    draw = random.Random(5)
    held = 0
    for _ in range(2000):
        seen = measure.estimate([draw.expovariate(1.0) for _ in range(measure.MIN_PAIRS)])
        held += seen.low <= math.log(2) <= seen.high
    assert held / 2000 >= 0.94


def test_one_outlier_moves_nothing(measure) -> None:
    """A median: a pause of the machine is no result."""
    calm = [1.0] * 15
    assert measure.estimate([*calm[:-1], 1000.0]).high == measure.estimate(calm).high


@pytest.mark.parametrize(
    ("samples", "limit", "ok"),
    [
        ([1.0] * 15, 1.15, True),  # below
        ([1.3] * 15, 1.15, False),  # beyond
        ([1.15] * 15, 1.15, True),  # just there
        ([1.13, 1.16] * 8, 1.15, True),  # across the limit, but narrow
        ([0.9, 1.4] * 8, 1.15, False),  # too wide to tell
        ([0.2, 0.9] * 8, 1.15, False),  # too wide to tell, though below as a whole
        ([1.2, 3.0] * 8, 1.15, False),  # wide, and beyond as a whole
    ],
)
def test_a_goal_fails_beyond_its_limit_or_when_nothing_can_be_told(
    measure, samples: list[float], limit: float, ok: bool
) -> None:
    """An interval wider than 10 % of the limit decides nothing, so the goal is not met."""
    goal = measure.goal("x", samples, limit)
    assert goal.ok is ok
    assert goal.value == pytest.approx(statistics.median(samples), rel=1e-3)
    assert goal.interval[0] <= goal.value <= goal.interval[1]
    assert (goal.limit, goal.better) == (limit, "lower")


def test_pairs_are_interleaved_and_alternate(measure) -> None:
    """Who goes first changes from pair to pair; there are at least as many pairs as asked."""
    turns: list[str] = []

    class Bench(measure.Bench):
        def round(self, side: Any, calls: int) -> float:
            turns.append(side.__name__)
            return 1.0

    def ours() -> None: ...

    def other() -> None: ...

    with Bench() as bench:
        pairs = bench.ratios(ours, {"other": (other, 1.15)}, calls=5)
    assert pairs == {"other": [(1.0, 1.0)] * measure.MIN_PAIRS}
    assert turns[:2] == ["ours", "other"]  # the warm-up
    measured = [tuple(turns[at : at + 2]) for at in range(2, len(turns), 2)]
    assert set(measured) == {("ours", "other"), ("other", "ours")}
    assert all(one != next_one for one, next_one in itertools.pairwise(measured))


def test_unclear_pairs_are_repeated_but_not_for_ever(measure) -> None:
    """A wide interval asks for more pairs, up to the most."""
    ratios = itertools.cycle([0.8, 1.6])

    def ours() -> None: ...

    class Bench(measure.Bench):
        def round(self, side: Any, calls: int) -> float:
            return next(ratios) if side is ours else 1.0

    with Bench() as bench:
        pairs = bench.ratios(ours, {"other": (lambda: None, 1.15)}, calls=5)
    assert len(pairs["other"]) == measure.MAX_PAIRS


# -- the command line -------------------------------------------------------------------------


@pytest.fixture
def command(measure, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, with two benchmarks of ours in place of the real ones."""
    from benchmarks import __main__ as command

    def install(name: str, value: float) -> None:
        def run() -> Any:
            goals = [measure.goal(f"{name} is small", [value] * 15, 1.0)]
            return measure.Result(name, goals=goals, rows=[{"side": "ours", "cpu_us": value}])

        module = ModuleType(f"benchmarks.{name}")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    install("good", 0.5)
    install("bad", 2.0)
    monkeypatch.setattr(command, "NAMES", ("good", "bad"))
    return command.main


def test_one_name_gives_one_document(command, capsys: pytest.CaptureFixture[str]) -> None:
    """The shape of the JSON, and nothing else on stdout."""
    assert command(["good", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"benchmark", "ok", "goals", "rows", "environment"}
    assert (document["benchmark"], document["ok"]) == ("good", True)
    (goal,) = document["goals"]
    assert set(goal) == {"name", "value", "interval", "limit", "better", "ok"}
    assert goal["better"] in {"lower", "higher"}
    assert len(goal["interval"]) == 2
    assert document["rows"] == [{"side": "ours", "cpu_us": 0.5}]
    assert {"python", "system", "versions"} <= set(document["environment"])


def test_several_names_give_a_list_in_order(command, capsys: pytest.CaptureFixture[str]) -> None:
    """As asked for; no name is every benchmark."""
    assert command(["bad", "good", "--json"]) == 0
    assert [each["benchmark"] for each in json.loads(capsys.readouterr().out)] == ["bad", "good"]
    command(["--json"])
    assert [each["benchmark"] for each in json.loads(capsys.readouterr().out)] == ["good", "bad"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["good"], 0), (["good", "--check"], 0), (["bad"], 0), (["bad", "--check"], 1),
     (["good", "bad", "--check"], 1), (["bad", "--check", "--json"], 1)],
)  # fmt: skip
def test_a_missed_goal_is_exit_code_1_only_when_checked(
    command, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    """Without ``--check`` a benchmark informs."""
    assert command(arguments) == code
    out = capsys.readouterr().out
    assert ("MISSED" in out) == ("bad" in arguments and "--json" not in arguments)


def test_an_unknown_name_is_refused(command, capsys: pytest.CaptureFixture[str]) -> None:
    """Naming those that there are; nothing runs."""
    with pytest.raises(SystemExit) as caught:
        command(["gooood"])
    assert caught.value.code == 2
    assert "there are good, bad" in capsys.readouterr().err


def test_the_named_benchmarks_exist() -> None:
    """Each name of the command is a module."""
    from importlib.util import find_spec

    from benchmarks.__main__ import NAMES

    assert {"overhead", "chat", "frames", "cold"} <= set(NAMES)
    for name in NAMES:
        assert find_spec(f"benchmarks.{name}") is not None
