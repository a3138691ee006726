"""Memory, sockets, tasks and threads stay flat: over calls, and over opening and closing.

The long run, ``pytest tests/emulated/test_soak.py --full``, is of 100,000 calls and of 1,000
cycles; without ``--full`` the same is tried with fewer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import voicekit
from voicekit.emulator import Emulator, EmulatorProcess, Scenario
from voicekit.testing import RecordingObserver

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.timeout(1800),  # with --full
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to look at"),
]

PROVIDERS = ("elevenlabs", "deepgram", "openai")
SCENARIO = Scenario(name="soak", heard="one two three four")
PROGRAM = Path(__file__).with_name("soaking.py")
CALLS, FEW_CALLS = 100_000, 8_000
CYCLES, FEW_CYCLES = 1_000, 50

# What may be more at the end than after a fifth of the way: allocated bytes (40 per call of a
# short run, less than any object takes) and tracked objects. Pages of the process count in the
# long run only (26 bytes per call, as benchmark ``footprint``): in a short one, what the allocator
# cannot give back is most of them; and what only one call of a hundred leaves shows there.
FLAT_BYTES = 256 << 10
FLAT_PAGES = 2 << 20
FLAT_OBJECTS = 200
OF_A_CONNECTION = 100  # objects; how many callers meet, and open one each, is chance


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with EmulatorProcess(scenario=SCENARIO) as world:
        yield {name: world.endpoint(name).url for name in PROVIDERS}


def run(what: str, urls: dict[str, str], count: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), what, json.dumps(urls), str(count)],
        env=os.environ | {"PYTHONMALLOC": "malloc"},  # each object counts, not pages of them
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    looks: list[dict[str, Any]] = json.loads(done.stdout)
    for each in looks:
        print({name: value for name, value in each.items() if name != "names"})
    return looks


def assert_flat(early: dict[str, Any], late: dict[str, Any], *, full: bool) -> None:
    """Nothing more at the end than after the first fifth."""
    assert late["threads"] == early["threads"]
    # A socket that is kept has a task that reads.
    assert late["tasks"] - late.get("pooled", 0) <= early["tasks"] - early.get("pooled", 0)
    more = max(0, late.get("open", 0) - early.get("open", 0))
    assert late["objects"] - early["objects"] <= FLAT_OBJECTS + OF_A_CONNECTION * more
    if late["allocated"] is not None:
        assert late["allocated"] - early["allocated"] <= FLAT_BYTES
    if full or late["allocated"] is None:
        assert late["bytes"] - early["bytes"] <= FLAT_PAGES


# One request with one answer, which others that are there make as well.
NOT_SOAKED = {
    "elevenlabs": {
        *("submit_transcription", "voice", "voice_settings", "models", "user", "subscription")
    },
    "deepgram": {"submit_transcription", "submit_speech", "synthesize", "grant_token"},
    "openai": {"chat", "synthesize", "models", "model"},
}


@pytest.mark.anyio
async def test_the_mix_is_whole() -> None:
    """Whatever the clients can do is in it; of sockets and of timed speech each kind."""
    import soaking  # needs a module that not every system has

    seen = RecordingObserver()
    async with Emulator(scenario=SCENARIO) as world:
        urls = {name: world.endpoint(name).url for name in PROVIDERS}
        tts, stt, llm = all_of_them = soaking.clients(urls, voicekit)
        async with tts, stt, llm:
            mix = soaking.Mix(*(each.with_options(observers=[seen]) for each in all_of_them))
            for job in dict.fromkeys(mix.jobs):
                await job()
        paths = {record.path.rpartition("/")[2] for record in world.journal.requests}
    for name, client in zip(PROVIDERS, all_of_them, strict=True):
        used = {each.operation for each in seen.calls if each.provider == name}
        assert used == client.operations.keys() - NOT_SOAKED[name]
    assert {"stream-input", "multi-stream-input", "with-timestamps"} <= paths


@pytest.mark.slow
def test_calls(urls: dict[str, str], full: bool) -> None:
    """Whatever the clients can do, by 20 callers, some left early."""
    count = CALLS if full else FEW_CALLS
    early, late, closed = run("calls", urls, count)
    assert (early["done"], late["done"]) == (count // 5, count)
    assert_flat(early, late, full=full)
    for each in (early, late):
        # Each socket of the process is a connection that a pool knows, and nobody has one.
        assert each["sockets"] == each["open"]
        assert each["leased"] == each["pooled"]
        assert each["waiting"] == each["dialing"] == 0
    assert (closed["sockets"], closed["tasks"], closed["threads"]) == (0, 1, ["MainThread"])


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cycles", "blocking"])
def test_cycles(urls: dict[str, str], what: str, full: bool) -> None:
    """Open, warm, use and close, again and again: nothing stays, in a loop or behind a portal."""
    early, late = run(what, urls, CYCLES if full else FEW_CYCLES)
    assert_flat(early, late, full=full)
    for each in (early, late):
        assert each["sockets"] == 0
        assert each["threads"] == ["MainThread"]
        assert each["tasks"] == (0 if what == "blocking" else 1)
