"""What is installed: files, dependencies, extras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import resources
from pathlib import Path

import pytest

import voicekit

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0].lower() for line in requirements}


def _sources() -> set[str]:
    """Every file of the package in this repository."""
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "voicekit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _installed() -> set[str] | None:
    """The files of the installed wheel; None when it is installed in place."""
    files = {path.as_posix() for path in importlib.metadata.files("voicekit") or ()}
    return files if "voicekit/__init__.py" in files else None


def test_base_dependencies_are_exactly_the_six() -> None:
    """Nothing else comes with ``pip install voicekit``."""
    assert _names(PROJECT["dependencies"]) == {
        "aiohttp", "httpx", "tenacity", "cachetools", "pybreaker", "typing-extensions",
    }  # fmt: skip


def test_the_extras() -> None:
    """What each brings: nothing that is not for what it is named after."""
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {"speed", "emulator", "demo", "metrics", "prometheus", "web"}
    assert _names(extras["metrics"]) == {"ddsketch"}
    assert _names(extras["prometheus"]) == {"voicekit", "prometheus-client"}
    assert _names(extras["web"]) == {"starlette"}
    assert _names(extras["speed"]) == {"uvloop"}
    assert _names(extras["emulator"]) == {"trustme", "lameenc"}
    assert "voicekit[emulator]" in extras["demo"]
    assert _names(extras["demo"]) == {"voicekit", "rich", "espeakng-loader", "pocketsphinx"}


def test_every_requirement_has_a_lowest_version() -> None:
    """The lowest versions are tested, so they must be declared."""
    every = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        every += extra
    assert [line for line in every if ">=" not in line and "voicekit[" not in line] == []


def test_version_and_python() -> None:
    """One version everywhere; the oldest Python is 3.11."""
    assert voicekit.__version__ == PROJECT["version"]
    assert importlib.metadata.version("voicekit") == PROJECT["version"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_data_is_there_at_run_time() -> None:
    """The question and the type marker are found through the package, wherever it lies."""
    assert (resources.files("voicekit.demo") / "question.wav.xz").read_bytes()[1:5] == b"7zXZ"
    assert (resources.files("voicekit") / "py.typed").is_file()


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    """Each file of the sources is in the wheel: ``question.wav.xz`` and ``py.typed`` above all."""
    files = _installed()
    if files is None:
        if importlib.util.find_spec("hatchling") is None:
            pytest.skip("installed in place, and no hatchling to build a wheel with")
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        (wheel,) = tmp_path.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            files = set(archive.namelist())
    assert {"voicekit/py.typed", "voicekit/demo/question.wav.xz"} <= files
    assert _sources() - files == set()
    strangers = {name for name in files if not name.startswith(("voicekit/", "voicekit-", ".."))}
    assert strangers == set()


def test_the_console_script_is_the_command() -> None:
    """``voicekit demo`` and ``python -m voicekit demo`` are one."""
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="voicekit")
    assert script.value == "voicekit.__main__:main"
