"""OpenAI: its headers, its errors, its models, and the way to its operations.

Source: this project's fact sheet of 2026-11 (SDK openai 3.52.0, OpenAPI 2.3.0, recorded traffic).
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from typing_extensions import override

from voicekit.emulator.bounded import Bounded
from voicekit.emulator.providers import openai_azure as azure
from voicekit.emulator.providers.base import Context, Exchange, Provider, always, bearer
from voicekit.emulator.providers.openai_chat import answer_chat
from voicekit.emulator.providers.openai_embeddings import answer_embedding
from voicekit.emulator.providers.openai_pacing import SSE
from voicekit.emulator.providers.openai_refusals import SERVER_ERROR, Refusal
from voicekit.emulator.providers.openai_reply import PromptCache
from voicekit.emulator.providers.openai_responses import answer_response
from voicekit.emulator.providers.openai_speech import CONTENT_TYPES, speak
from voicekit.emulator.providers.openai_transcriptions import transcribe
from voicekit.emulator.records import json_object

# Source: fact sheet, the dates on which models end; None where none is announced.
MODELS: dict[str, str | None] = {
    "gpt-5.5": None,
    "gpt-5-mini": "2026-12-11",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "text-embedding-3-small": None,
    "text-embedding-3-large": None,
}

# Source: recorded responses; the values are an ordinary paid account's.
LIMIT_HEADERS = {
    "x-ratelimit-limit-requests": "30000",
    "x-ratelimit-remaining-requests": "29999",
    "x-ratelimit-reset-requests": "2ms",
    "x-ratelimit-limit-tokens": "150000000",
    "x-ratelimit-remaining-tokens": "149999992",
    "x-ratelimit-reset-tokens": "0s",
}

LIMITED = frozenset({"chat", "responses", "embeddings", "speech", "transcriptions"})
"""The operations whose answers tell of the account's limits."""

KEPT_RESPONSES = 1000
"""Those that can be continued."""

UNCOUNTED = frozenset({"transcriptions"})
"""Those of them whose answers do not tell of tokens."""

# Source: fact sheet, table of errors: status to message, type and code.
ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("The request is not valid.", "invalid_request_error", None),
    401: (
        (
            "Incorrect API key provided: bad***key. You can find your API key at "
            "https://platform.openai.com/account/api-keys."
        ),
        "invalid_request_error",
        "invalid_api_key",
    ),
    403: ("You do not have access to this resource.", "invalid_request_error", None),
    404: ("The model does not exist.", "invalid_request_error", "model_not_found"),
    413: ("Maximum content size limit (26214400) exceeded.", "server_error", None),
    429: (
        "Rate limit reached on requests per min (RPM). Please try again in 1s.",
        "requests",
        "rate_limit_exceeded",
    ),
    500: (SERVER_ERROR.message, "server_error", None),
    503: (
        "The server is overloaded or not ready yet.",
        "service_unavailable_error",
        "server_is_overloaded",
    ),
}


class OpenAI(Provider):
    """The part of `api.openai.com` that voicekit uses."""

    name = "openai"

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.prompts = PromptCache()
        self.stored: Bounded[str, dict[str, Any]] = Bounded(KEPT_RESPONSES)

    @override
    def routes(self, router: web.UrlDispatcher) -> None:
        models = always({"object": "list", "data": [_model(name) for name in MODELS]})
        self.add(router, "GET", "/v1/models", "models", models)
        self.add(router, "GET", "/v1/models/{model:.+}", "models.get", self.model)
        self.add(router, "POST", "/v1/chat/completions", "chat", self.chat)
        self.add(router, "POST", "/v1/responses", "responses", self.responses)
        self.add(router, "GET", "/v1/responses", "responses.socket", self.responses_socket)
        self.add(router, "GET", "/v1/responses/{id}", "responses.get", self.response)
        self.add(router, "DELETE", "/v1/responses/{id}", "responses.delete", self.drop_response)
        self.add(router, "POST", "/v1/embeddings", "embeddings", answer_embedding)
        self.add(router, "POST", "/v1/audio/speech", "speech", speak)
        self.add(router, "POST", "/v1/audio/transcriptions", "transcriptions", transcribe)
        azure.add_routes(
            self,
            router,
            deployed={
                "/chat/completions": ("chat", self.chat),
                "/embeddings": ("embeddings", answer_embedding),
                "/audio/speech": ("speech", speak),
                "/audio/transcriptions": ("transcriptions", transcribe),
            },
            common={
                "/models": ("GET", "models", models),
                "/models/{model:.+}": ("GET", "models.get", self.model),
                "/responses": ("POST", "responses", self.responses),
                "/responses/{id}": ("GET", "responses.get", self.response),
            },
        )

    @override
    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return what every answer carries; a 401 knows neither account nor limits."""
        headers = {"x-request-id": f"req_{self.ctx.rng.getrandbits(128):032x}"}
        if exchange.authorized:
            spent = self.ctx.journal.now() - exchange.record.received_at
            headers["openai-processing-ms"] = str(max(1, round(spent * 1000)))
            headers["openai-version"] = "2020-10-01"
            headers["openai-organization"] = "org-emulator"
            headers["openai-project"] = "proj_emulator"
            operation = exchange.record.operation
            if operation in LIMITED:
                headers.update(LIMIT_HEADERS)
            if operation in UNCOUNTED:
                headers = {name: text for name, text in headers.items() if "tokens" not in name}
        return headers

    @override
    def credential(self, request: web.Request) -> str | None:
        if request.path.startswith(azure.PREFIX) and (key := azure.credential(request)):
            return key
        return bearer(request)

    @override
    def unauthorized(self, exchange: Exchange, key: str | None) -> web.Response:
        """Refuse a wrong key as recorded, a missing one in the same shape."""
        if key is not None:
            return self.error(exchange, 401)
        return self.refuse(
            exchange,
            Refusal(
                status=401,
                message="You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth.",
            ),
        )

    @override
    def error(self, exchange: Exchange, status: int) -> web.Response:
        message, kind, code = ERRORS.get(status) or (ERRORS[500] if status >= 500 else ERRORS[400])
        return self.refuse(exchange, Refusal(status=status, message=message, type=kind, code=code))

    @override
    def refuse(self, exchange: Exchange, refused: Refusal) -> web.Response:
        return exchange.answer(refused.body(), status=refused.status)

    @override
    def expected_type(self, exchange: Exchange) -> str:
        """Return the event stream's type when the request asked for one."""
        operation = exchange.record.operation
        if operation == "transcriptions":
            streamed = b'name="stream"\r\n\r\ntrue\r\n' in exchange.body
            return SSE if streamed else "application/json"
        body = json_object(exchange.body)
        if body is None:
            return "application/json"
        if operation == "speech":
            return CONTENT_TYPES.get(str(body.get("response_format")), "audio/mpeg")
        return SSE if body.get("stream") else "application/json"

    @override
    async def not_found(self, exchange: Exchange) -> web.StreamResponse:
        record = exchange.record
        raise Refusal(status=404, message=f"Invalid URL ({record.method} {record.path})")

    async def model(self, exchange: Exchange) -> web.StreamResponse:
        """Describe one model."""
        name = exchange.request.match_info["model"]
        if name not in MODELS:
            raise Refusal(
                status=404,
                message=f"The model '{name}' does not exist",
                param="model",
                code="model_not_found",
            )
        return exchange.answer(_model(name))

    async def chat(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a chat, whole or streamed."""
        return await answer_chat(exchange, self.prompts)

    async def responses(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a response, whole or streamed."""
        return await answer_response(exchange, self.prompts, self.stored)

    async def responses_socket(self, exchange: Exchange) -> web.StreamResponse:
        """Say that this twin has no sockets for responses yet; a plain GET is no operation."""
        if not exchange.upgrades:
            return await self.not_found(exchange)
        raise Refusal(
            status=501,
            message="The emulator does not serve /v1/responses over a WebSocket.",
            type="server_error",
            code="not_emulated",
        )

    async def response(self, exchange: Exchange) -> web.StreamResponse:
        """Return a stored response."""
        name = exchange.request.match_info["id"]
        found = self.stored.get(name)
        if found is None:
            raise _no_response(name)
        return exchange.answer(found)

    async def drop_response(self, exchange: Exchange) -> web.StreamResponse:
        """Forget a stored response."""
        name = exchange.request.match_info["id"]
        if self.stored.pop(name, None) is None:
            raise _no_response(name)
        return exchange.answer({"id": name, "object": "response", "deleted": True})


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 1_750_000_000,
        "owned_by": "system",
        "shutdown_date": MODELS[name],
    }


def _no_response(name: str) -> Refusal:
    return Refusal(status=404, message=f"Response with id '{name}' not found.")
