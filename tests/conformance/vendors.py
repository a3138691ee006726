"""The vendors' SDKs, where they are installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

import pytest

_DISTRIBUTIONS = {"deepgram": "deepgram-sdk"}


def sdk_of(vendor: str) -> Any:
    """The SDK, or a skip of the module that asks.

    By its distribution, since a folder of tests of that name can be imported too.
    """
    try:
        importlib.metadata.version(_DISTRIBUTIONS.get(vendor, vendor))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the vendor's SDK is not installed", allow_module_level=True)
    return importlib.import_module(vendor)
