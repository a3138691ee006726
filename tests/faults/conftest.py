"""The grid as tests: one per live cell, and the report of all cells at the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LOOPS = ("asyncio", "uvloop")
_results: dict[tuple[str, str, str], tuple[str, str]] = {}
_told: dict[str, list[tuple[str, ...]]] = {"baseline": [], "mutation": []}


def _find_modules() -> None:
    """What the grid is made of can be imported; not by tests of others, who pass by here."""
    here = Path(__file__).parent
    for folder in (here.parent / "emulated" / "transport", here):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def pytest_pycollect_makemodule() -> None:
    _find_modules()


def _cells() -> Iterator[tuple[Any, Any, bool, str, str]]:
    """Row, fault, over TLS, loop, and why the cell is not live; empty if it is."""
    _find_modules()
    from operations import ROWS

    from faults import columns

    for fault in columns():
        for row in ROWS:
            reason = fault.reason(row)
            for tls in fault.tls:
                for loop in LOOPS:
                    yield row, fault, tls, loop, reason


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" not in metafunc.fixturenames:
        return
    live = [cell for cell in _cells() if not cell[4]]
    metafunc.parametrize(
        ("row", "fault", "tls", "loop"),
        [cell[:4] for cell in live],
        ids=[f"{row.id}-{fault.id(tls)}-{loop}" for row, fault, tls, loop, _ in live],
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--second-round"):
        _mark_the_machines(config, items)
    if config.getoption("--full"):
        for item in items:
            if "fault" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timeout(7200))


def _mark_the_machines(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Cells that may be run again by ``tests/second_round.py``; it lets no others."""
    from report import read
    from rounds import may_be_the_machines

    cells = [(item, cell) for item in items if (cell := _cell_of(item)) is not None]
    before = read(config.rootpath / "build") if cells else {}
    for item, cell in cells:
        result, reason = before.get(cell, ("", ""))
        if result == "failed" and may_be_the_machines(cell[1], reason):
            item.add_marker(pytest.mark.timing)


def _cell_of(item: pytest.Item) -> tuple[str, str, str] | None:
    """Operation, fault and loop."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    if not {"row", "fault", "tls", "loop"} <= params.keys():
        return None
    return params["row"].id, params["fault"].id(params["tls"]), params["loop"]


@pytest.fixture(scope="session")
def world() -> Iterator[Any]:
    import tenacity  # noqa: F401 - comes with a process's first failure: once, some 30 ms
    from operations import ROWS
    from world import World

    import voicekit.events.records  # with the first thing that is observed
    import voicekit.resilience.breaker_states  # noqa: F401 - as tenacity

    made = World()
    for row in ROWS:
        made.reference(row)
    gc.collect()
    gc.freeze()  # what pytest holds would make every collection of a cell slow
    yield made
    gc.unfreeze()
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    cell = _cell_of(item)
    if cell is not None:
        report.cell = cell
        if report.failed:
            error = str(report.longrepr.reprcrash.message) if report.longrepr else ""
            report.cell_reason = error.split("\n", 1)[0][:300]
    return report


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call":
        for name, told in report.user_properties:
            _told[name].append(tuple(told))
    cell = getattr(report, "cell", None)
    if cell is None:
        return
    cell = tuple(cell)
    if report.failed:
        _results[cell] = ("failed", getattr(report, "cell_reason", ""))
    elif report.when == "call" and report.passed:
        _results.setdefault(cell, ("passed", ""))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    from report import read, write, write_mutations
    from rounds import joined

    if _told["mutation"]:
        write_mutations(session.config.rootpath / "build", _told["mutation"])
    if not _results:
        return
    # What failed and is run again, alone, joins what was run before.
    before = read(session.config.rootpath / "build") if session.config.getoption("lf") else {}
    told = joined(before, _results)
    cells = []
    for row, fault, tls, loop, reason in _cells():
        key = (row.id, fault.id(tls), loop)
        result, why = ("n/a", reason) if reason else told.get(key, ("not run", ""))
        cells.append(
            {"operation": key[0], "fault": key[1], "loop": loop, "result": result, "reason": why}
        )
    joins = bool(session.config.getoption("lf"))
    write(session.config.rootpath / "build", cells, _told["baseline"], joins=joins)
