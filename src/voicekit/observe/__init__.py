"""Readers of the events: what happened, for people and for other systems.

Each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.observe.alerts import Alert, Alerts, Rule
    from voicekit.observe.health_check import Health, health
    from voicekit.observe.health_report import ClientHealth, HealthReport
    from voicekit.observe.log import LogObserver
    from voicekit.observe.metrics import Metrics

else:
    _WHERE = {
        "Alert": "alerts",
        "Alerts": "alerts",
        "ClientHealth": "health_report",
        "Health": "health_check",
        "HealthReport": "health_report",
        "LogObserver": "log",
        "Metrics": "metrics",
        "Rule": "alerts",
        "health": "health_check",
    }

    def __getattr__(name: str) -> object:
        module = _WHERE.get(name)
        if module is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


__all__ = [
    "Alert",
    "Alerts",
    "ClientHealth",
    "Health",
    "HealthReport",
    "LogObserver",
    "Metrics",
    "Rule",
    "health",
]
