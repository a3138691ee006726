"""Azure's addresses for OpenAI's operations: a deployment in the path, a version in the query.

Source: SDK openai 3.52.0, lib/azure.py, for addresses, headers and queries. No fact sheet covers
Azure, so its refusals are unverified: those here have the status that matters and OpenAI's shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voicekit.emulator.providers.openai_refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from voicekit.emulator.providers.base import Exchange, Handler
    from voicekit.emulator.providers.openai import OpenAI

PREFIX: Final = "/openai/"
UNKNOWN_DEPLOYMENT: Final = "no-such-deployment"
"""The one deployment that does not exist."""


def add_routes(
    provider: OpenAI,
    router: web.UrlDispatcher,
    *,
    deployed: Mapping[str, tuple[str, Handler]],
    common: Mapping[str, tuple[str, str, Handler]],
) -> None:
    """Register a provider's operations at Azure's addresses, by path.

    A deployment answers those that are `deployed`, with POST; the `common` ones need none.
    """
    for path, (operation, handler) in deployed.items():
        address = f"{PREFIX}deployments/{{deployment}}{path}"
        provider.add(router, "POST", address, operation, _versioned(handler))
    for path, (method, operation, handler) in common.items():
        address = PREFIX.rstrip("/") + path
        provider.add(router, method, address, operation, _versioned(handler))


def credential(request: web.Request) -> str | None:
    """Return the resource's key; a token of the directory comes as a bearer's."""
    return request.headers.get("api-key") or None


def _versioned(handler: Handler) -> Handler:
    async def serve(exchange: Exchange) -> web.StreamResponse:
        if "api-version" not in exchange.request.query:
            raise Refusal(status=404, message="Resource not found", code="404")
        if exchange.request.match_info.get("deployment") == UNKNOWN_DEPLOYMENT:
            message = "The API deployment for this resource does not exist."
            raise Refusal(status=404, message=message, code="DeploymentNotFound")
        return await handler(exchange)

    return serve
