"""Readers of the events: what happened, for people and for other systems.

Each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.observe.log import LogObserver
    from voicekit.observe.metrics import Metrics

else:
    _WHERE = {
        "LogObserver": "log",
        "Metrics": "metrics",
    }

    def __getattr__(name: str) -> object:
        module = _WHERE.get(name)
        if module is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


__all__ = ["LogObserver", "Metrics"]
