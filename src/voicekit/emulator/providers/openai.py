"""OpenAI: models and chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.emulator.providers.base import Exchange, Provider

if TYPE_CHECKING:
    from aiohttp import web


class OpenAI(Provider):
    """The chat half of `api.openai.com`."""

    name = "openai"

    def routes(self, router: web.UrlDispatcher) -> None:
        """Register the operations served."""
        self.add(router, "GET", "/v1/models", "models", self.models)

    def needs_key(self, exchange: Exchange) -> bool:
        """OpenAI refuses everything without a key."""
        return False

    async def models(self, exchange: Exchange) -> web.StreamResponse:
        """List the models."""
        return exchange.answer({"object": "list", "data": []})
