"""What the grid leaves behind: ``build/faults.json`` for checks, ``build/faults.md`` for people."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

_BASELINES = "\n## Baselines in the same grid\n"
_MARKS = {"passed": "✓", "failed": "✗", "n/a": "·", "not run": " "}


def write(
    directory: Path,
    cells: Sequence[dict[str, str]],
    baselines: Sequence[tuple[str, ...]] = (),
    *,
    joins: bool = False,
) -> None:
    """Both files. The gate is open when every live cell was run and passed.

    Args:
        directory: Where to.
        cells: Every cell of the grid.
        baselines: Of others in it: who, operation, column, its title, and what is red there.
        joins: It is a second round; without baselines, those of the first one stay.
    """
    directory.mkdir(exist_ok=True)
    gate = all(cell["result"] in {"passed", "n/a"} for cell in cells)
    run = [cell for cell in cells if cell["result"] != "not run"]
    text = json.dumps({"gate": gate, "cells": run}, indent=1, ensure_ascii=False)
    (directory / "faults.json").write_text(text + "\n")
    page = directory / "faults.md"
    compared = _compared(baselines)
    if joins and not baselines and page.exists():
        compared = "".join(page.read_text().partition(_BASELINES)[1:])
    page.write_text(_page(gate, cells) + compared)


def read(directory: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    """What the last run said of each cell: operation, fault and loop to result and reason."""
    cells = json.loads((directory / "faults.json").read_text())["cells"]
    return {
        (each["operation"], each["fault"], each["loop"]): (each["result"], each["reason"])
        for each in cells
    }


def _page(gate: bool, cells: Sequence[dict[str, str]]) -> str:
    count = Counter(cell["result"] for cell in cells)
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for cell in cells:
        column, mark = cell["fault"], _MARKS[cell["result"]]
        if rows[column].get(cell["operation"], mark) != mark:  # the loops differ
            mark = "✗"
        rows[column][cell["operation"]] = mark
    operations = list(dict.fromkeys(cell["operation"] for cell in cells))
    lines = [
        "# Fault grid",
        "",
        f"Gate: {'open' if gate else 'CLOSED'}. "
        + ", ".join(f"{number} {result}" for result, number in sorted(count.items())),
        "",
        "| fault | " + " | ".join(operations) + " |",
        "|---" * (len(operations) + 1) + "|",
        *(
            f"| {column} | " + " | ".join(marks.get(name, " ") for name in operations) + " |"
            for column, marks in rows.items()
        ),
    ]
    alone = [cell for cell in cells if cell["result"] == "passed" and cell["reason"]]
    failed = [cell for cell in cells if cell["result"] == "failed"]
    for title, found in (("Failed", failed), ("Passed only alone: to be mended", alone)):
        if found:
            lines += ["", f"## {title}", ""]
            lines += [
                f"- {cell['operation']} × {cell['fault']} ({cell['loop']}): "
                f"{cell['result']}, {cell['reason']}"
                for cell in found
            ]
    reasons = sorted({(c["fault"], c["reason"]) for c in cells if c["result"] == "n/a"})
    if reasons:
        lines += ["", "## Not applicable", ""]
        lines += [f"- {fault}: {reason}" for fault, reason in reasons]
    return "\n".join(lines) + "\n"


def write_mutations(directory: Path, told: Sequence[tuple[str, ...]]) -> None:
    """What turned red without each protection: its name, operation, column and reason."""
    directory.mkdir(exist_ok=True)
    lines = ["# Protections taken away", "", "| without | cell | what is red |", "|---|---|---|"]
    for name, row, number, reason in sorted(told):
        lines.append(f"| {name} | {row} × {number} | {reason.replace('|', '/')[:120]} |")
    (directory / "mutations.md").write_text("\n".join(lines) + "\n")


def _compared(baselines: Sequence[tuple[str, ...]]) -> str:
    """The same columns, criteria and invariants, with somebody else's client."""
    if not baselines:
        return ""
    names = sorted({name for name, *_ in baselines})
    operations = sorted({operation for _, operation, *_ in baselines})
    told = {(name, row, number): red for name, row, number, _, red in baselines}
    numbers = {number: title for *_, number, title, _ in baselines}
    lines = [*_BASELINES.split("\n")]
    for name in names:
        lines += [f"### {name}", "", "| fault | " + " | ".join(operations) + " | first reason |"]
        lines += ["|---" * (len(operations) + 2) + "|"]
        for number in sorted(numbers, key=lambda n: (int(n.rstrip("abcdefghij")), n)):
            found = [told.get((name, row, number)) for row in operations]
            marks = ["·" if red is None else "✗" if red else "✓" for red in found]
            reason = next((red for red in found if red), "").replace("|", "/")[:100]
            title = f"{number} {numbers[number]}"
            lines.append(f"| {title} | " + " | ".join(marks) + f" | {reason} |")
        lines.append("")
    return "\n".join(lines)
