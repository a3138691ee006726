"""``footprint``: import time, time to a ready client, bytes on disk and in memory."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import voicekit
from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate, goal, narrow
from voicekit.emulator import EmulatorProcess

SESSIONS = 300
CALLS, CALLERS = 100_000, 20
FLAT_BYTES = 2 << 20
"""What memory may grow over the last four fifths of the calls: 26 bytes for each."""


def run() -> Result:
    result = Result("footprint")
    _seconds(result, "import voicekit, ms", 20.0, "import")
    with EmulatorProcess(providers=("elevenlabs",), scenario="instant") as world:
        redis = _installed("redis")
        _seconds(
            result,
            f"a client ready, ms ({'with' if redis else 'without'} redis installed)",
            250.0,
            "ready",
            world.elevenlabs.url,
        )
        _disk(result)
        _sessions(result, world.elevenlabs.ws_url)
        _calls(result, world.elevenlabs.url)
    return result


def _child(*arguments: object) -> Any:
    command = [sys.executable, "-m", "benchmarks.footprint_child", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _seconds(result: Result, name: str, limit_ms: float, *arguments: object) -> None:
    _child(*arguments)  # bytecode
    seen: list[float] = []
    while len(seen) < MIN_PAIRS or (len(seen) < 60 and not narrow(estimate(seen), limit_ms)):
        seen.append(_child(*arguments) * 1000)
    result.goals.append(goal(name, seen, limit_ms))
    result.rows.append({"what": name, "median": round(estimate(seen).value, 1)})


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _disk(result: Result) -> None:
    """The base install: voicekit and what it requires without extras, bytecode included."""
    sizes = {"voicekit": _tree(Path(voicekit.__file__).parent)}
    wanted = [*_required("voicekit")]
    while wanted:
        name = wanted.pop()
        if name in sizes:
            continue
        files = importlib.metadata.distribution(name).files or ()
        paths = (Path(str(each.locate())) for each in files)
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        wanted += _required(name)
    total = sum(sizes.values()) / 1e6
    result.goals.append(
        Goal("base install, MB", round(total, 1), (total, total), 25.0, "lower", total <= 25.0)
    )
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    result.rows.append(
        {"what": "base install, MB"} | {name: round(size / 1e6, 1) for name, size in largest}
    )


def _tree(root: Path) -> int:
    running = f"cpython-{sys.version_info.major}{sys.version_info.minor}."
    return sum(
        path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and (path.suffix != ".pyc" or running in path.name)
    )


def _required(name: str) -> list[str]:
    """What a distribution needs here, without its extras: of other Pythons' nothing is there."""
    names = []
    for line in importlib.metadata.distribution(name).requires or ():
        requirement, _, marker = line.partition(";")
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        if found and "extra" not in marker and _installed(found[0]):
            names.append(found[0].lower().replace("_", "-"))
    return names


def _sessions(result: Result, url: str) -> None:
    more: list[float] = []
    ours: list[float] = []
    while len(more) < MIN_PAIRS or (len(more) < 40 and not narrow(estimate(more), 20.0)):
        mine = _child("idle", "voicekit", url, SESSIONS)
        bare = _child("idle", "bare", url, SESSIONS)
        ours.append(mine / 1000)
        more.append((mine - bare) / 1000)
    result.goals.append(goal("an idle session beyond a bare aiohttp WebSocket, KB", more, 20.0))
    result.rows.append(
        {
            "what": "idle session, KB",
            "voicekit": round(estimate(ours).value, 1),
            "beyond_bare": round(estimate(more).value, 1),
        }
    )


def _calls(result: Result, url: str) -> None:
    seen = _child("calls", url, CALLS, CALLERS)
    grown = seen["late"] - seen["early"]
    result.goals.append(
        Goal(
            f"growth over the last four fifths of {CALLS:,} calls, bytes",
            grown, (grown, grown), FLAT_BYTES, "lower", grown <= FLAT_BYTES,
        )
    )  # fmt: skip
    result.rows.append(
        {
            "what": "memory, MB",
            "early": round(seen["early"] / 1e6, 1),
            "late": round(seen["late"] / 1e6, 1),
        }
    )
