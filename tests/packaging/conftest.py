"""Python processes as a user starts them, with chosen packages missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

# As if not installed: neither import nor find_spec knows the name, in child processes as well.
_SITE = """
import os, sys

_MISSING = set(os.environ["VOICEKIT_TEST_MISSING"].split(","))


class _Without:
    def __init__(self, finder):
        self._finder = finder

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in _MISSING:
            return None
        return self._finder.find_spec(name, path, target)


sys.meta_path[:] = [_Without(finder) for finder in sys.meta_path]
"""


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Run ``python -W error *arguments``; ``without`` names packages that are not there."""

    def run(*arguments: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        if without:
            site = tmp_path / "site"
            site.mkdir(exist_ok=True)
            (site / "sitecustomize.py").write_text(_SITE)
            found = [str(site), *filter(None, [environment.get("PYTHONPATH")])]
            environment["PYTHONPATH"] = os.pathsep.join(found)
            environment["VOICEKIT_TEST_MISSING"] = ",".join(without)
        return subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=50,
            check=False,
        )

    return run
