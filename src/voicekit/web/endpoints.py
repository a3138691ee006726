"""The endpoints themselves: how the application is, and what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from voicekit.asgi import Scope, Send
from voicekit.errors import ClosedError, ConfigurationError
from voicekit.web.asgi import Endpoint, Token, as_json, header, reply

if TYPE_CHECKING:
    from voicekit.observe.health_check import Health
    from voicekit.observe.metrics import Metrics

__all__ = ["HealthEndpoint", "LiveEndpoint", "MetricsEndpoint", "paths_of"]


class LiveEndpoint(Endpoint):
    """200 as long as the process answers: for whoever would restart it. Asks nobody."""

    async def answer(self, scope: Scope, send: Send) -> None:
        """Say so."""
        await reply(scope, send, 200, b'{"state": "ok"}')


class HealthEndpoint(Endpoint):
    """200 while the application can do its work, 503 when it is down; the report as JSON.

    Degraded is 200: it serves. Asked any number of times, it looks no more often than its
    ``health`` does, and answers within its ``timeout``.

    Not for whoever restarts a process that is not well: a provider that is down does not come
    back by that. ``LiveEndpoint`` is.

    Args:
        health: What is asked.
        token: Opens the details: what policies and pools have seen; None leaves them open.

    Raises:
        InvalidArgumentError: ``token`` is none.
    """

    def __init__(self, health: Health, *, token: str | None = None) -> None:
        self._health, self._token = health, Token(token)

    async def answer(self, scope: Scope, send: Send) -> None:
        """Look, and say how it is."""
        try:
            report = await self._health.check()
        except ClosedError:
            await reply(scope, send, 503, b'{"state": "down", "reasons": ["shutting down"]}')
            return
        said = report.to_dict()
        if not self._token.fits(scope):
            _without_detail(said)
        await reply(scope, send, 200 if report.serving else 503, as_json(said))


def _without_detail(said: dict[str, Any]) -> None:
    for client in (said.get("clients") or said.get("members") or {}).values():
        client.pop("detail", None)
        _without_detail(client)


class MetricsEndpoint(Endpoint):
    """The snapshot as JSON; as Prometheus text for who asks for that.

    By the ``Accept`` header, as Prometheus sends it; or by ``?format=prometheus`` and
    ``?format=json``.

    Args:
        metrics: What is shown.
        health: Whose last report is shown beside it.
        token: What a caller must send, as ``Authorization: Bearer …``; else 401. None is open to
            everybody.

    Raises:
        InvalidArgumentError: ``token`` is none.
    """

    def __init__(
        self, metrics: Metrics, *, health: Health | None = None, token: str | None = None
    ) -> None:
        self._metrics, self._health, self._token = metrics, health, Token(token)

    async def answer(self, scope: Scope, send: Send) -> None:
        """Show them."""
        if not self._token.fits(scope):
            text = b'{"error": "a bearer token is needed"}'
            await reply(scope, send, 401, text, headers={"www-authenticate": "Bearer"})
            return
        if not wants_text(scope):
            said = self._metrics.snapshot()
            if self._health is not None and self._health.latest is not None:
                said["health"] = self._health.latest.to_dict()
            await reply(scope, send, 200, as_json(said), headers={"vary": "accept"})
            return
        from voicekit.observe import prometheus

        try:
            kind = prometheus.content_type()
            text = prometheus.text(self._metrics, health=self._health).encode()
        except ConfigurationError as error:
            await reply(scope, send, 406, as_json({"error": str(error)}))
            return
        await reply(scope, send, 200, text, kind, {"vary": "accept"})


def wants_text(scope: Scope) -> bool:
    """Whether the caller would rather have Prometheus text than JSON."""
    query: bytes = scope.get("query_string", b"")
    asked = parse_qs(query.decode("latin-1")).get("format", [""])[-1]
    if asked in {"prometheus", "json"}:
        return asked == "prometheus"
    best = {"json": 0.0, "text": 0.0}
    for part in header(scope, b"accept").decode("latin-1").lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        for name, kinds in _KINDS.items():
            if kind in kinds:
                best[name] = max(best[name], _quality(parameters))
    return best["text"] > best["json"]


_KINDS = {
    "json": {"application/json"},
    "text": {
        "text/plain",
        "application/openmetrics-text",
        "application/vnd.google.protobuf",  # a Prometheus that would have liked that best
    },
}


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def paths_of(
    *, health: Health | None, metrics: Metrics | None, token: str | None
) -> dict[str, Endpoint]:
    """The endpoints by their paths."""
    Token(token)  # checked even if nobody asks for it
    paths: dict[str, Endpoint] = {"/health/live": LiveEndpoint()}
    if health is not None:
        paths["/health"] = HealthEndpoint(health, token=token)
    if metrics is not None:
        paths["/metrics"] = MetricsEndpoint(metrics, health=health, token=token)
    return paths
