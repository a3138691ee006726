"""What belongs to Starlette and FastAPI: routes, and what starts and stops with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from voicekit.asgi import App
from voicekit.checks import number, wrong
from voicekit.errors import ConfigurationError
from voicekit.running import background, draining
from voicekit.web.endpoints import paths_of

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from voicekit.observe.health_check import Health
    from voicekit.observe.metrics import Metrics

__all__ = ["lifespan", "routes"]

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def routes(
    *,
    health: Health | None = None,
    metrics: Metrics | None = None,
    media: App | None = None,
    token: str | None = None,
) -> list[BaseRoute]:
    """Routes for ``/health``, ``/health/live``, ``/metrics`` and ``/media``.

    Args:
        health: Answers ``/health``: 200, or 503 when it is down.
        metrics: Answers ``/metrics``, as JSON or Prometheus text.
        media: An ASGI application for what is under ``/media``: ``host.asgi`` of a ``MediaHost``.
        token: Opens ``/metrics``, and the details of ``/health``; None leaves both open.

    Raises:
        InvalidArgumentError: ``token`` is none.
        ConfigurationError: The ``web`` extra is not installed.

    Example:
        >>> app = Starlette(routes=[Route("/webhook", webhook), *routes(health=status)])
        >>> app = FastAPI()
        >>> app.router.routes.extend(routes(health=status, metrics=metrics))
    """
    try:
        from starlette.routing import Mount, Route
    except ModuleNotFoundError:
        raise ConfigurationError(
            "routes need the web extra: pip install 'voicekit[web]'; "
            "Endpoints does the same as plain ASGI"
        ) from None
    paths = paths_of(health=health, metrics=metrics, token=token)
    found: list[BaseRoute] = [Route(path, endpoint) for path, endpoint in paths.items()]
    if media is not None:
        found.append(Mount("/media", app=media))
    return found


def lifespan(
    *resources: Any,
    warm: bool = True,
    drain: float | Callable[[], float] = 10.0,
    inner: Lifespan | None = None,
) -> Lifespan:
    """A lifespan that opens clients when an application starts, and ends in order when it stops.

    Clients are warmed in the background, so that a slow provider does not keep the application
    from starting. When it stops, ``background`` work has ``drain`` seconds to end, with all
    clients still open; then they are closed, the last one first.

    Args:
        *resources: Clients, caches, ``health(…)``, ``Alerts``: whatever ``async with`` opens.
        warm: Whether to ``warm()`` those that can be.
        drain: Seconds for background work. A function is asked when the application stops: for
            one that has drained already, and gives the rest of that time.
        inner: A lifespan of the application's own, within this one.

    Raises:
        InvalidArgumentError: Something cannot be opened.

    Example:
        >>> app = Starlette(routes=[…], lifespan=lifespan(stt, agents, tts, status, drain=20))
    """
    for each in resources:
        if not hasattr(each, "__aenter__"):
            raise wrong("resources", each, "what async with opens")
    if not callable(drain):
        number(0.0, 86400.0)("drain", drain)

    @asynccontextmanager
    async def living(app: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in resources:
                await stack.enter_async_context(each)
            if warm:
                for each in resources:
                    if callable(getattr(each, "warm", None)):
                        background(each.warm(), name=f"warm {type(each).__name__}")
            await stack.enter_async_context(draining(drain))
            if inner is not None:
                await stack.enter_async_context(inner(app))
            yield

    return living
