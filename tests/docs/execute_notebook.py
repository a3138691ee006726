"""Executes a notebook as a reader would, cell by cell: ``execute_notebook.py IN OUT``.

In a process of its own, since a kernel client leaves sockets behind. What changes from run to
run and tells nobody anything is left out, so that a notebook can be executed in place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def execute(source: Path, target: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", record_timing=False, resources={}
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(notebook)
    nbformat.write(notebook, target)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]))
