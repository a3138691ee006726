"""What the process takes, where the system tells it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from voicekit.observe import process

pytestmark = pytest.mark.anyio

LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc on this system")


@LINUX
def test_sockets_are_counted() -> None:
    """Those that are open, and not files."""
    before = process.open_sockets()
    assert before is not None
    with socket.socket(), open("/dev/null", "rb"):  # noqa: PTH123
        assert process.open_sockets() == before + 1
    assert process.open_sockets() == before


@LINUX
def test_memory_is_that_of_now() -> None:
    """It grows with what is held; the peak is not below it."""
    before = process.resident_bytes()
    assert before is not None
    held = bytearray(b"x" * (32 << 20))
    after = process.resident_bytes()
    assert after is not None
    assert after - before > 16 << 20
    assert (process.peak_bytes() or 0) >= after - len(held)


def test_without_proc_it_says_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no ``/proc``: the peak is better than nothing, and sockets are unknown."""

    def missing(*_: object) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patch:  # others look at /proc as well
        patch.setattr(process.Path, "read_bytes", missing)
        patch.setattr(process.os, "scandir", missing)
        assert process.resident_bytes() == process.peak_bytes()
        assert process.open_sockets() is None


def test_outside_of_a_loop_tasks_are_unknown() -> None:
    """And no loop is made to count them."""
    assert process.process_summary()["tasks"] is None


async def test_tasks_are_those_of_the_loop() -> None:
    """All of them, ours or not."""
    before = process.process_summary()["tasks"]
    task = asyncio.ensure_future(asyncio.sleep(10))
    assert process.process_summary()["tasks"] == before + 1
    task.cancel()
