"""What the process itself takes: memory, tasks, threads, sockets."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

_MOST_LOOKED_AT: Final = 20_000
"""File descriptors, which takes some 20 ms."""


def resident_bytes() -> int | None:
    """Memory of this process, in bytes; None where the system does not tell.

    Without ``/proc`` it is the most that the process ever had.
    """
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return peak_bytes()


def peak_bytes() -> int | None:
    """The most memory that this process ever had, in bytes; None where nobody tells."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but bytes on macOS. Source: getrusage(2) of both systems.
    return peak if sys.platform == "darwin" else peak * 1024


def open_sockets() -> int | None:
    """Sockets that this process has open, listening ones included; None where nobody tells."""
    found = 0
    try:
        with os.scandir("/proc/self/fd") as entries:
            for looked_at, entry in enumerate(entries):
                if looked_at >= _MOST_LOOKED_AT:
                    break
                try:
                    found += os.readlink(entry.path).startswith("socket:")  # noqa: PTH115 - hot
                except OSError:
                    continue  # closed meanwhile
    except OSError:
        return None
    return found


def process_summary() -> dict[str, Any]:
    """As plain values. ``tasks`` are those of the running event loop; None outside of one."""
    try:
        tasks: int | None = len(asyncio.all_tasks())
    except RuntimeError:
        tasks = None
    return {
        "rss_bytes": resident_bytes(),
        "peak_rss_bytes": peak_bytes(),
        "tasks": tasks,
        "threads": threading.active_count(),
        "open_sockets": open_sockets(),
        "pid": os.getpid(),
    }
