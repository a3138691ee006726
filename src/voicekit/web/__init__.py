"""``/health`` and ``/metrics`` for a web application, and what starts and stops with it.

``HealthEndpoint``, ``MetricsEndpoint`` and ``Endpoints`` are plain ASGI: any server runs them, and
nothing is to be installed. ``routes`` is for Starlette and FastAPI (extra ``web``); ``lifespan``
is for both, and needs neither.
"""

from voicekit.web.asgi import Endpoints
from voicekit.web.endpoints import HealthEndpoint, LiveEndpoint, MetricsEndpoint
from voicekit.web.starting import lifespan, routes

__all__ = [
    "Endpoints",
    "HealthEndpoint",
    "LiveEndpoint",
    "MetricsEndpoint",
    "lifespan",
    "routes",
]
