"""What works without an extra, and what one is told where it does not."""

from __future__ import annotations

import pytest

EXTRAS = (
    "rich",
    "trustme",
    "lameenc",
    "espeakng_loader",
    "pocketsphinx",
    "uvloop",
    "ddsketch",
    "prometheus_client",
    "starlette",
)

_EVERY_MODULE = """
import importlib, pkgutil
import voicekit
for module in pkgutil.walk_packages(voicekit.__path__, "voicekit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in voicekit.__all__:
    getattr(voicekit, name)
"""

_PLAIN = """
import asyncio
from voicekit import OpenAIClient
from voicekit.emulator import Emulator

async def main():
    async with Emulator(scenario="instant") as world:
        async with OpenAIClient(api_key="k", base_url=world.openai.url, model="m") as llm:
            print((await llm.chat("hello")).finish_reason)

asyncio.run(main())
"""

_WITH = """
import sys
from voicekit.emulator import Emulator, EmulatorError
try:
    Emulator({options})
except EmulatorError as error:
    print(error)
"""


def test_every_module_imports_without_any_extra(python) -> None:
    """The bare install imports whole: extras are imported where they are needed."""
    done = python("-c", _EVERY_MODULE, without=EXTRAS)
    assert done.returncode == 0, done.stderr


def test_the_plain_emulator_needs_no_extra(python) -> None:
    """Serving and calling over plain HTTP works with the base dependencies."""
    done = python("-c", _PLAIN, without=EXTRAS)
    assert done.stdout.strip() == "stop", done.stderr


@pytest.mark.parametrize(
    ("missing", "options", "says"),
    [
        ("trustme", "tls=True", "TLS needs the emulator extra: pip install 'voicekit[emulator]'"),
        ("espeakng_loader", "speech='real'", "pip install 'voicekit[demo]'"),
        ("pocketsphinx", "speech='real'", "pip install 'voicekit[demo]'"),
    ],
)
def test_the_emulator_names_the_extra(python, missing: str, options: str, says: str) -> None:
    """One clear error at construction, with the command that helps."""
    done = python("-c", _WITH.format(options=options), without=(missing,))
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("missing", ["trustme", "espeakng_loader", "pocketsphinx"])
def test_the_demo_names_its_extra(python, missing: str) -> None:
    """One line, naming what to install, and exit code 2, if only one of them is missing."""
    done = python("-m", "voicekit", "demo", "--json", without=(missing,))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "pip install 'voicekit[demo]'" in done.stderr
    assert missing in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_line_helps_without_any_extra(python) -> None:
    """``--help`` works on the bare install."""
    for arguments in (("--help",), ("demo", "--help"), ("emulate", "--help")):
        done = python("-m", "voicekit", *arguments, without=EXTRAS)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: ")
