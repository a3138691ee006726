"""The programs of the documentation run as they are printed, against the emulator."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from blocks import ROOT, blocks_of, pages

from voicekit.emulator import SCENARIOS, Emulator, RequestRecord
from voicekit.emulator.thread import ThreadedEmulator
from waiting import eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("docs")]

# Fast, but not at once: what a page cancels must still be on its way.
SCENARIO = replace(SCENARIOS["instant"], speech_real_time_factor=0.02, speech_first_audio=0.01)

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
SIX = ["script", "threads", "fastapi", "notebook", "test-your-app", "own-engine"]

# What a page says of a package that it needs.
NEEDS = {
    '"mp3_': "lameenc",
    "Metrics": "ddsketch",
    "prometheus": "prometheus_client",
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedEmulator]:
    with Emulator.in_thread(scenario=SCENARIO) as world:
        for name, value in world.env().items():
            monkeypatch.setenv(name, value)
        yield world


class Played(list[bytes]):
    """Stands for the sound card of a page that plays."""

    def __call__(self, chunk: bytes) -> None:
        self.append(bytes(chunk))


def run_page(page: Path, **given: Any) -> dict[str, Any]:
    """Run the blocks of a page in order, in one namespace; return that."""
    blocks = blocks_of(page)
    for words, package in NEEDS.items():
        if any(words in block.code for block in blocks) and find_spec(package) is None:
            pytest.skip(f"{package} of an extra is not installed")
    space = {"__name__": "__main__", **given}
    for block in blocks:
        code = block.compiled()
        if block.no_run is not None or block.file is not None:
            continue
        # A block that awaits by itself would be a notebook's.
        assert not code.co_flags & inspect.CO_COROUTINE, f"{page}:{block.line}: top-level await"
        exec(code, space)
    return space


def spoken_of(world: ThreadedEmulator) -> list[RequestRecord]:
    """The speech requests over HTTP, ended; sockets that wait warm are not among them."""
    asked = world.journal.requests_for("elevenlabs")
    spoken = [record for record in asked if record.operation != "speech.socket"]
    # The server's thread may still be noticing what the client has done.
    assert eventually(lambda: all(record.outcome is not None for record in spoken))
    return spoken


# Tests of their own run these.
ELSEWHERE = re.compile(r"fastapi|migrate-")


@pytest.mark.parametrize("name", [name for name in PAGES if not ELSEWHERE.search(name)])
def test_a_page_runs(
    name: str, world: ThreadedEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block in order, without a key; files go where the reader is."""
    monkeypatch.chdir(tmp_path)
    played = Played()
    run_page(PAGES[name], play=played)
    if any("play(" in block.code and not block.no_run for block in blocks_of(PAGES[name])):
        assert sum(map(len, played)) > 0


@pytest.mark.parametrize("name", SIX)
def test_the_six_common_programs_have_a_page(name: str) -> None:
    """A script, threads, a web endpoint, a notebook, an app's tests, an own engine."""
    page = ROOT / "docs" / "how-to" / f"{name}.md"
    assert page.exists()
    assert [block for block in blocks_of(page) if block.no_run is None]


def test_what_a_page_does_not_run_says_why() -> None:
    """Nothing is left out by accident."""
    for page in PAGES.values():
        printed = page.read_text("utf-8").count("```python")
        assert len(blocks_of(page)) == printed, f"{page}: a block that is not read"


def test_a_script_speaks_and_hears(
    world: ThreadedEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file it saves is the speech of the answer it got, and is what it transcribes."""
    monkeypatch.chdir(tmp_path)
    run_page(PAGES["docs/how-to/script.md"], play=lambda _chunk: None)
    asked, *others = spoken_of(world)
    assert "nine in the morning" in asked.json()["text"]
    assert (tmp_path / "answer.mp3").stat().st_size == asked.audio_bytes_sent
    heard, *_ = world.journal.requests_for("deepgram")
    assert eventually(lambda: heard.outcome == "complete")
    assert [r.outcome for r in others] == ["complete", "refused"]


def test_threads_share_warm_connections(world: ThreadedEmulator, tmp_path: Path) -> None:
    """Twelve clips by four threads over four connections; the barge-in is seen by the server."""
    space = run_page(PAGES["docs/how-to/threads.md"])
    spoken = [r for r in spoken_of(world) if r.outcome == "complete"]
    assert len(spoken) == len(space["clips"]) == 12
    assert 1 <= len(space["connections"]) <= 4
    assert all(clip.connection.reused for clip in space["clips"])
    assert spoken_of(world)[-1].outcome == "aborted"


def test_an_own_engine_is_heard_beside_the_built_in_ones(
    world: ThreadedEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's code speaks a model's stream with either."""
    run_page(PAGES["docs/how-to/own-engine.md"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ToneEngine", "ElevenLabsClient"]
    assert all(int(line.split()[1]) > 16_000 for line in lines)


def test_the_suite_of_an_app_passes(tmp_path: Path) -> None:
    """The files of the page, in a directory of their own, under a pytest of their own."""
    files = [b for b in blocks_of(PAGES["docs/how-to/test-your-app.md"]) if b.file is not None]
    for block in files:
        (tmp_path / str(block.file)).write_text(block.code, "utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = sum(block.code.count("\ndef test_") for block in files)
    assert tests >= 2
    assert f"{tests} passed" in done.stdout
