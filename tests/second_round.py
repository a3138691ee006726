"""``--second-round``: what failed beside other tests must pass three times alone.

Four workers share a machine with whoever else is on it, and a test over sockets may meet a pause
that its limits did not foresee. It gets another chance, once, if it is of that kind; every other
failure stands. What needed it is named, for it is to be mended.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

_TIMES = 3
_MOST = 3
_MOST_CELLS = 24
"""So many tests a machine may fail, or cells of the fault grid, where six at a time measure
seconds; more have another cause."""

_OF_THE_MACHINE = ("emulated", "timing", "sdk")
"""Marks of the tests that meet real sockets, processes or the real clock."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--second-round", action="store_true", help="each test three times, alone")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Once ``--lf`` has chosen.

    Raises:
        pytest.UsageError: A failure that no machine brings about, or too many.
    """
    if not session.config.getoption("--second-round"):
        return
    cells = all("fault" in getattr(item, "fixturenames", ()) for item in session.items)
    if len(session.items) > (_MOST_CELLS if cells else _MOST):
        raise pytest.UsageError(f"{len(session.items)} failed: no second round for so many")
    for item in session.items:
        if not any(item.get_closest_marker(mark) for mark in _OF_THE_MACHINE):
            raise pytest.UsageError(f"{item.nodeid}: no machine fails this, so it stands")


def pytest_runtest_protocol(item: pytest.Item) -> None:
    """All but the last time; that is pytest's own."""
    if item.config.getoption("--second-round"):
        for _ in range(_TIMES - 1):
            runtestprotocol(item, nextitem=None)  # every fixture anew


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if config.getoption("--second-round") and exitstatus == pytest.ExitCode.OK:
        passed = {report.nodeid for report in terminalreporter.getreports("passed")}
        terminalreporter.section("passed only alone: to be mended", bold=True, yellow=True)
        for nodeid in sorted(passed):
            terminalreporter.write_line(nodeid)
