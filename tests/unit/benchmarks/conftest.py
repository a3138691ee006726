"""Makes the repository's ``benchmarks`` importable: it is not part of the package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[3])


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    if ROOT not in sys.path:
        monkeypatch.syspath_prepend(ROOT)
