"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from typing import Any

NAMES = (
    "overhead",
    "chat",
    "frames",
    "cold",
    "idle",
    "concurrent",
    "bargein",
    "tail",
    "outage",
    "cache",
    "message",
    "savings",
    "sync",
    "footprint",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="JSON on stdout, nothing else")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    documents = []
    for name in options.names or NAMES:
        document = import_module(f"benchmarks.{name}").run().document()
        documents.append(document)
        if not options.json:
            show(document)
    if options.json:
        json.dump(documents[0] if len(documents) == 1 else documents, sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 1 if options.check and not all(document["ok"] for document in documents) else 0


def show(document: dict[str, Any]) -> None:
    print(f"\n{document['benchmark']}: {'ok' if document['ok'] else 'MISSED'}")
    for row in document["rows"]:
        print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    for goal in document["goals"]:
        low, high = goal["interval"]
        mark = "ok    " if goal["ok"] else "MISSED"
        print(f"  {mark} {goal['name']}: {goal['value']} [{low}, {high}], limit {goal['limit']}")


if __name__ == "__main__":
    sys.exit(main())
