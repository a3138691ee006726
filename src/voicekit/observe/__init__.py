"""Readers of the events: what happened, for people and for other systems.

Each is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.lazy import loader

if TYPE_CHECKING:
    from voicekit.observe.alerts import Alert, Alerts, Rule
    from voicekit.observe.health_check import Health, health
    from voicekit.observe.health_report import ClientHealth, HealthReport
    from voicekit.observe.log import LogObserver
    from voicekit.observe.metrics import Metrics

else:
    _WHERE = {
        "Alert": ".alerts",
        "Alerts": ".alerts",
        "ClientHealth": ".health_report",
        "Health": ".health_check",
        "HealthReport": ".health_report",
        "LogObserver": ".log",
        "Metrics": ".metrics",
        "Rule": ".alerts",
        "health": ".health_check",
    }
    __getattr__ = loader(__name__, _WHERE)


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
