"""The notebook of the documentation runs, and its committed outputs are those of its cells."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NOTEBOOK = HERE.parents[1] / "docs" / "notebooks" / "first-calls.ipynb"

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("docs")]


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def kinds(cell: dict[str, Any]) -> list[tuple[str, ...]]:
    """What a cell shows, without what changes from run to run."""
    return [(out["output_type"], *sorted(out.get("data", ()))) for out in cell["outputs"]]


def html_of(cell: dict[str, Any]) -> list[str]:
    return [
        "".join(out["data"]["text/html"])
        for out in cell["outputs"]
        if "data" in out and "text/html" in out["data"]
    ]


def check_players(cells: list[dict[str, Any]]) -> None:
    """Two clips to play, the first over a cold connection, the second over a warm one."""
    players = [html for cell in cells for html in html_of(cell)]
    assert len(players) == 2
    for html, state in zip(players, ("cold", "warm"), strict=True):
        assert html.startswith('<audio controls src="data:audio/mpeg;base64,')
        assert re.search(rf"first output \d+ ms · total \d+ ms · {state} connection", html)


def test_it_was_executed_from_top_to_bottom() -> None:
    """What is committed shows what its own cells gave, in order, and no error."""
    cells = code_cells(NOTEBOOK)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [kind for cell in cells for kind in kinds(cell) if kind[0] == "error"]
    check_players(cells)
    code = "\n".join(map(source_of, cells))
    assert "voicekit.sync" in code
    assert re.search(r"^async with", code, re.MULTILINE)


def test_it_tells_nothing_of_where_it_was_executed() -> None:
    """Neither a path, nor a port, nor a key."""
    text = re.sub(r"base64,[^\"\\]+", "", NOTEBOOK.read_text("utf-8"))
    for told in ("/home/", "/root", "/tmp", "/Users/", "127.0.0.1", "localhost", "emulator-key"):
        assert told not in text


def test_it_runs(tmp_path: Path) -> None:
    """A kernel of its own executes every cell; each shows what the committed one shows."""
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} of the docs group is not installed")
    executed = tmp_path / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, HERE / "execute_notebook.py", NOTEBOOK, executed],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = code_cells(NOTEBOOK), code_cells(executed)
    assert list(map(source_of, after)) == list(map(source_of, before))
    assert list(map(kinds, after)) == list(map(kinds, before))
    check_players(after)
