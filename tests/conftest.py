"""What every test shares: a clean environment, one event loop, and nothing left behind."""

from __future__ import annotations

import asyncio
import asyncio.runners
import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_KEYS = ("ELEVENLABS_", "DEEPGRAM_", "OPENAI_", "VOICEKIT_", "SSL_CERT_")
_left_behind: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long repeats as well")
    parser.addoption(
        "--require-livekit", action="store_true", help="fail where the livekit judge is missing"
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long repeats were asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(_KEYS):
            monkeypatch.delenv(name)


_cancel_all_tasks = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]


def _note_tasks(loop: asyncio.AbstractEventLoop) -> Any:
    """When an event loop ends, every task of ours must have been awaited by its owner."""
    for task in asyncio.all_tasks(loop):
        if task.get_name().startswith("voicekit") and not task.done():
            _left_behind.append(task.get_name())
    return _cancel_all_tasks(loop)


asyncio.runners._cancel_all_tasks = _note_tasks  # type: ignore[attr-defined]


def _sockets() -> int:
    """Open sockets of this process; 0 where the system does not tell."""
    here = Path("/proc/self/fd")
    if not here.exists():
        return 0
    count = 0
    for entry in here.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return count


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith(("voicekit", "emulator"))}


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A leaked task, socket or thread of ours fails the test that leaked it."""
    sockets, threads = _sockets(), _threads()
    _left_behind.clear()
    yield
    if request.node.get_closest_marker("sdk") is not None:
        return  # a vendor's SDK closes its sockets when it is collected
    until = time.monotonic() + 2.0
    while _sockets() > sockets or _threads() - threads:
        if time.monotonic() > until:
            break
        gc.collect()
        time.sleep(0.01)
    assert not _left_behind, f"tasks left behind: {_left_behind}"
    assert not _threads() - threads, f"threads left behind: {_threads() - threads}"
    assert _sockets() <= sockets, f"{_sockets() - sockets} sockets left behind"
