"""What every emulated provider stands on: the exchange, its journal record and its fault.

A provider registers handlers with `Provider.add`. Each request becomes an `Exchange`: its record
is in the journal, its body is read, its credential is checked and its fault is taken before the
handler runs; a fault that replaces the whole answer never reaches the handler.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from voicekit.emulator.body import BODY_FAULTS, BodyWriter, Struck, hang, send_chunks
from voicekit.emulator.exchange import Context, Exchange
from voicekit.emulator.faults import Fault
from voicekit.emulator.journal import ConnectionRecord, digest
from voicekit.emulator.records import SECRET_FIELDS
from voicekit.emulator.websocket import HUGE_BYTES, Received, Socket

__all__ = [
    "BAD_KEY",
    "BodyWriter",
    "Context",
    "Exchange",
    "Handler",
    "Provider",
    "Received",
    "RefusedError",
    "Socket",
    "Struck",
    "always",
    "bearer",
    "hang",
    "send_chunks",
]

BAD_KEY = "bad-key"
"""The one key that every provider refuses; any other is accepted."""

Handler = Callable[["Exchange"], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """What a handler raises in place of an answer; its provider's `refuse` writes it."""


def always(content: Any) -> Handler:
    """Return a handler whose answer is always the same."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        return exchange.answer(content)

    return answer


def bearer(request: web.Request) -> str | None:
    """Return the bearer's key that a request carries, or None."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


REPLACING = frozenset(
    {
        "status", "ws_refuse", "html", "wrong_type", "half_json", "empty", "huge", "silence",
        "stall", "reset", "close",
    }
)  # fmt: skip


class Provider:
    """Base of the emulated providers, one per port.

    A subclass sets `name`, registers its handlers in `routes` with `add`, and says what its
    errors, headers and credentials look like.
    """

    name = ""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def routes(self, router: web.UrlDispatcher) -> None:
        """Register every operation of the vendor."""
        raise NotImplementedError

    async def start(self) -> None:
        """Prepare what the first request should not wait for; called in the emulator's loop."""

    async def stop(self) -> None:
        """Release what `start` or handlers took; called once every handler has ended."""

    # -- what the vendor looks like --

    def headers(self, exchange: Exchange) -> dict[str, str]:  # noqa: ARG002
        """Return the headers that the vendor sends with every response."""
        return {}

    def credential(self, request: web.Request) -> str | None:  # noqa: ARG002
        """Return the key that the request carries, or None."""
        return None

    def unauthorized(self, exchange: Exchange, key: str | None) -> web.Response:  # noqa: ARG002
        """Return the vendor's answer to a missing or wrong key."""
        return self.error(exchange, 401)

    def needs_key(self, exchange: Exchange) -> bool:  # noqa: ARG002
        """Tell whether an operation is refused without a key."""
        return True

    def refuse(self, exchange: Exchange, refused: Any) -> web.Response:
        """Return the vendor's answer in place of a handler that has raised a `RefusedError`."""
        raise NotImplementedError

    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Return the vendor's own error shape for a status."""
        return exchange.answer({"error": {"message": f"Status {status}"}}, status=status)

    def expected_type(self, exchange: Exchange) -> str:  # noqa: ARG002
        """Return the content type that the client expects of a good answer."""
        return "application/json"

    def journaled(self, exchange: Exchange) -> bytes:
        """Return what the journal keeps of a request's body: all of it, unless it has secrets."""
        return exchange.body

    # -- plumbing --

    def add(
        self,
        router: web.UrlDispatcher,
        method: str,
        path: str,
        operation: str,
        handler: Handler,
    ) -> None:
        """Register a handler; `operation` is its name in the journal and for faults."""

        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, operation, handler)

        if method == "GET":
            router.add_get(path, serve, allow_head=False)
        else:
            router.add_route(method, path, serve)

    async def not_found(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a path that the vendor does not have."""
        return self.error(exchange, 404)

    async def _serve(
        self, request: web.Request, operation: str, handler: Handler
    ) -> web.StreamResponse:
        ctx = self.ctx
        connection: ConnectionRecord | None = getattr(request.protocol, "record", None)
        if connection is not None:
            connection.requests += 1
        record = ctx.journal.open_request(
            connection=connection.id if connection is not None else 0,
            provider=self.name,
            operation=operation,
            method=request.method,
            path=request.path,
            query=_query(request),
            headers=request.headers.items(),
        )
        exchange = Exchange(self, request, record, ctx.number(operation))
        outcome: Any = "aborted"
        try:
            response = await self._respond(exchange, handler)
            record.status = record.status or response.status
            outcome = "refused" if record.status >= 400 else "complete"
            return response
        except Struck:
            outcome = "fault"
            # An unprepared response makes aiohttp try to answer on the dead connection, and
            # find it dead; that is its ordinary path for a client that has left.
            return exchange.response or web.Response(status=500)
        except ConnectionError:
            return exchange.response or web.Response(status=499)
        except asyncio.CancelledError:
            raise
        except web.HTTPException as refused:
            record.status, outcome = refused.status, "refused"
            raise
        except Exception as broken:
            record.notes.append(f"emulator error: {type(broken).__name__}")
            raise
        finally:
            ctx.journal.close_request(record, record.outcome or outcome)

    async def _respond(self, exchange: Exchange, handler: Handler) -> web.StreamResponse:
        request = exchange.request
        if request.can_read_body:
            exchange.body = await request.read()
            self.ctx.journal.set_body(exchange.record, self.journaled(exchange))
        key = self.credential(request)
        if key == BAD_KEY or (key is None and self.needs_key(exchange)):
            exchange.authorized = False
            return self._plain(exchange, self.unauthorized(exchange, key))
        exchange.fault = self.ctx.faults.take(exchange.record.operation)
        if exchange.fault is not None:
            instead = await self._replace(exchange, exchange.fault)
            if instead is not None:
                return self._plain(exchange, instead)
        response: web.StreamResponse
        try:
            response = await handler(exchange)
        except RefusedError as refused:
            response = self.refuse(exchange, refused)
        if isinstance(response, web.Response) and not response.prepared:
            if exchange.has_fault(*BODY_FAULTS):
                return await self._through_writer(exchange, response)
            self._plain(exchange, response)
        return response

    def _plain(self, exchange: Exchange, response: web.StreamResponse) -> web.StreamResponse:
        if not response.prepared:
            exchange.journal.sent(exchange.record)
        return response

    async def _through_writer(
        self, exchange: Exchange, response: web.Response
    ) -> web.StreamResponse:
        """Send a whole answer piecewise, so that a fault can strike inside it."""
        body = response.body if isinstance(response.body, bytes) else b""
        streamed = web.StreamResponse(status=response.status, headers=response.headers)
        writer = await exchange.begin(streamed, length=len(body))
        await writer.write(body)
        return await writer.finish()

    async def _replace(self, exchange: Exchange, fault: Fault) -> web.StreamResponse | None:
        """Apply a fault that replaces the whole answer; None when it strikes later, or inside."""
        kind = fault.kind
        if kind == "late":
            await asyncio.sleep(fault.delay)
            return None
        upgrade = exchange.upgrades
        if kind in {"reset", "close", "stall"} and (
            upgrade or fault.after_bytes or fault.after_events
        ):
            return None
        if kind not in REPLACING or (kind == "silence" and upgrade and fault.after_events):
            return None
        exchange.struck()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if kind in {"silence", "stall"}:
            await hang()
        if kind in {"reset", "close"}:
            exchange.hang_up(reset=kind == "reset")
            raise Struck
        if kind == "huge":
            return await self._huge(exchange, fault)
        return self._replacement(exchange, fault)

    def _replacement(self, exchange: Exchange, fault: Fault) -> web.Response:
        extra = dict(fault.headers)
        kind, body = fault.kind, fault.body
        if kind in {"status", "ws_refuse"}:
            status = fault.status or (503 if kind == "ws_refuse" else 500)
            response = self.error(exchange, status)
            if body is not None:
                response = _with_body(exchange, body, status)
            response.headers.update(extra)
            return response
        content, content_type = {
            "html": (b"<!doctype html><title>Welcome</title><p>Please sign in.", "text/html"),
            "wrong_type": (b"\x00\x01\x02\x03", "application/x-unexpected"),
            "half_json": (b'{"id": "half", "choices": [{"ind', "application/json"),
            "empty": (b"", self.expected_type(exchange)),
        }[kind]
        headers = exchange.headers({"Content-Type": content_type, **extra})
        return web.Response(body=content if body is None else _as_bytes(body), headers=headers)

    async def _huge(self, exchange: Exchange, fault: Fault) -> web.StreamResponse:
        writer = await exchange.stream(
            content_type=self.expected_type(exchange), headers=dict(fault.headers)
        )
        piece = b"x" * 65536
        for _ in range(HUGE_BYTES // len(piece)):
            await writer.write(piece)
        return await writer.finish()


def _query(request: web.Request) -> dict[str, list[str]]:
    if not request.query_string:
        return {}
    query: dict[str, list[str]] = {}
    for name, value in request.query.items():
        secret = name.lower() in SECRET_FIELDS
        query.setdefault(name, []).append(digest(value) if secret else value)
    return query


def _as_bytes(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _with_body(
    exchange: Exchange, body: bytes | str | Mapping[str, Any], status: int
) -> web.Response:
    kind = "application/json" if isinstance(body, Mapping) else "text/plain"
    return web.Response(
        body=_as_bytes(body), status=status, headers=exchange.headers({"Content-Type": kind})
    )
