"""OpenAI: models and chat completions."""

from __future__ import annotations

from aiohttp import web

from voicekit.emulator.providers.base import Exchange, Provider


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
