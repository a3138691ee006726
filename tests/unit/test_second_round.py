"""The second round of the gate: who gets one, and what it takes to pass it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent

PROJECT = """
import pathlib, pytest
turns = pathlib.Path("turns")

def turn():
    done = len(turns.read_text()) if turns.exists() else 0
    turns.write_text("x" * (done + 1))
    return done + 1

pytestmark = pytest.mark.emulated
"""
"""``turn()`` counts how often a test has been run, over all rounds."""


def rounds(folder: Path, tests: str) -> tuple[int, int, str]:
    """The exit codes of both rounds, and what the second printed."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  emulated: over sockets\n")
    (folder / "test_it.py").write_text(PROJECT + tests)

    def pytest_of(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "second_round", *arguments],
            check=False,
            cwd=folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
        )

    first = pytest_of()
    second = pytest_of("--lf", "--last-failed-no-failures", "none", "--second-round")
    return first.returncode, second.returncode, second.stdout + second.stderr


def test_what_failed_once_passes_alone_and_is_named(tmp_path: Path) -> None:
    first, second, said = rounds(
        tmp_path, "def test_unlucky():\n  assert turn() > 1\n\ndef test_fine(): pass\n"
    )
    assert (first, second) == (1, 0)
    assert "passed only alone: to be mended" in said
    assert "test_it.py::test_unlucky" in said
    assert "test_fine" not in said
    assert len((tmp_path / "turns").read_text()) == 1 + 3


@pytest.mark.parametrize("red", [2, 3, 4])
def test_once_red_among_the_three_is_red(tmp_path: Path, red: int) -> None:
    code = f"def test_often():\n  assert turn() not in (1, {red})\n"
    assert rounds(tmp_path, code)[:2] == (1, 1)


def test_a_fixture_that_fails_is_red(tmp_path: Path) -> None:
    code = (
        "@pytest.fixture\ndef leak():\n  yield\n  assert turn() > 2\n\ndef test_leaks(leak): pass\n"
    )
    assert rounds(tmp_path, code)[:2] == (1, 1)


def test_what_no_machine_fails_stands(tmp_path: Path) -> None:
    first, second, said = rounds(
        tmp_path, "pytestmark = []\n\ndef test_pure():\n  assert turn() > 1\n"
    )
    assert (first, second) == (1, pytest.ExitCode.USAGE_ERROR)
    assert "no machine fails this" in said


def test_many_stand(tmp_path: Path) -> None:
    code = "@pytest.mark.parametrize('n', range(4))\ndef test_one(n):\n  assert turn() > 4\n"
    first, second, said = rounds(tmp_path, code)
    assert (first, second) == (1, pytest.ExitCode.USAGE_ERROR)
    assert "4 failed" in said
