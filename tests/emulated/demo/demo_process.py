"""The demo in a process of its own, as a user runs it, and the journal of its emulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interrupts import interruptible
from voicekit.emulator import Journal

# The command, unchanged, but for the journal which is written down before the emulator goes.
_DRIVER = """
import json, os, sys
from pathlib import Path
import voicekit.emulator

class Recorded(voicekit.emulator.EmulatorProcess):
    def __exit__(self, *exc):
        Path(os.environ["VOICEKIT_TEST_JOURNAL"]).write_text(json.dumps(self.journal.to_json()))
        return super().__exit__(*exc)

voicekit.emulator.EmulatorProcess = Recorded
from voicekit.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Ran:
    """What came of one run."""

    code: int
    stdout: str
    stderr: str
    journal: Journal | None
    audio: bytes | None

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document, which must be all of stdout."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


def run_demo(*arguments: str, timeout: float = 60.0) -> Ran:
    """``python -m voicekit demo`` in an empty directory; ``answer.wav`` is written there."""
    with tempfile.TemporaryDirectory() as directory:
        there = Path(directory)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _DRIVER, "demo", *arguments],
            capture_output=True,
            text=True,
            cwd=there,
            env={**os.environ, "VOICEKIT_TEST_JOURNAL": str(there / "journal.json")},
            timeout=timeout,
            check=False,
        )
        seen, spoken = there / "journal.json", there / "answer.wav"
        journal = Journal.from_json(json.loads(seen.read_text())) if seen.exists() else None
        audio = None
        if spoken.exists():
            with wave.open(str(spoken)) as file:
                assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
                audio = file.readframes(file.getnframes())
        return Ran(done.returncode, done.stdout, done.stderr, journal, audio)


def interrupt_demo(after_line: str) -> Ran:
    """Press Ctrl-C once ``after_line`` is in the progress; the terminal tells the whole group."""
    with tempfile.TemporaryDirectory() as directory:
        with interruptible():
            process = subprocess.Popen(
                [sys.executable, "-m", "voicekit", "demo"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=directory,
                start_new_session=True,
            )
        seen = []
        assert process.stderr is not None
        for line in process.stderr:
            seen.append(line)
            if after_line in line:
                break
        time.sleep(0.3)  # a user is not that quick either: somewhere inside the turn
        os.killpg(process.pid, signal.SIGINT)
        out, rest = process.communicate(timeout=20)
        return Ran(process.returncode, out, "".join(seen) + rest, None, None)
