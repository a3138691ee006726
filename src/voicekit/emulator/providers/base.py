"""What every emulated provider stands on: the exchange, its journal record and its fault.

A provider registers handlers with `Provider.add`. Each request becomes an `Exchange`: its record
is in the journal, its body is read, its credential is checked and its fault is taken before the
handler runs; a fault that replaces the whole answer never reaches the handler.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import WSMsgType, web

from voicekit.emulator.scenario import Range, Scenario, draw

if TYPE_CHECKING:
    from types import ModuleType

    from voicekit.emulator.faults import Fault, Faults
    from voicekit.emulator.journal import ConnectionRecord, Journal, RequestRecord

__all__ = [
    "BAD_KEY",
    "BodyWriter",
    "Context",
    "Exchange",
    "Provider",
    "Received",
    "Socket",
    "Struck",
    "hang",
    "hang_up",
]

BAD_KEY = "bad-key"
"""The one key that every provider refuses; any other is accepted."""

HUGE_BYTES = 100_000_000
"""Size of a `huge` body and of a `ws_huge_frame` message."""

Handler = Callable[["Exchange"], Awaitable[web.StreamResponse]]


class Struck(Exception):  # noqa: N818 - not an error: it unwinds a handler whose fault has struck
    """Unwinds a handler whose injected fault has ended the exchange."""


async def hang() -> NoReturn:
    """Wait until cancelled: by the client's leaving or by the emulator's stopping."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


def hang_up(transport: asyncio.BaseTransport | None, *, reset: bool) -> None:
    """End a connection at once with an RST, or after what is buffered with a FIN."""
    if transport is None:
        return
    if reset:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # Linger zero makes the kernel's close send an RST in place of a FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()  # type: ignore[attr-defined]
    else:
        transport.close()


class Context:
    """What the emulator hands to one provider.

    Attributes:
        rng: Seeded per provider; `Exchange.rng` is seeded per request and repeats whatever the
            order of concurrent requests.
        voice: A `voicekit.emulator.voice.Voice`.
        ears: A `voicekit.emulator.ears.Ears`, or None with `speech="tones"`.
    """

    def __init__(
        self,
        *,
        provider: str,
        journal: Journal,
        faults: Faults,
        scenario: Callable[[], Scenario],
        seed: int = 0,
        voice: Any = None,
        ears: Any = None,
    ) -> None:
        self.provider = provider
        self.journal = journal
        self.faults = faults
        self.seed = seed
        self.rng = random.Random(f"{seed}/{provider}")
        self.voice = voice
        self.ears = ears
        self._scenario = scenario
        self._numbers: dict[str, int] = {}

    @property
    def scenario(self) -> Scenario:
        """The scenario in force now."""
        return self._scenario()

    @property
    def material(self) -> ModuleType:
        """The module of self-checking audio."""
        from voicekit.emulator import material

        return material

    def number(self, operation: str) -> int:
        """Return how many requests of an operation came before this one."""
        count = self._numbers.get(operation, 0)
        self._numbers[operation] = count + 1
        return count

    def restart_seed(self) -> None:
        """Begin the seeded draws again, as if nothing had been asked yet."""
        self.rng = random.Random(f"{self.seed}/{self.provider}")
        self._numbers.clear()


class Exchange:
    """One request under way.

    Attributes:
        body: The whole request body.
        fault: What must go wrong, or None. `BodyWriter` and `Socket` obey the generic kinds; the
            provider obeys those of its own grammar (`empty_deltas`, `no_end_marker`,
            `in_stream_error`) and then calls `struck()`.
    """

    def __init__(
        self, provider: Provider, request: web.Request, record: RequestRecord, number: int
    ) -> None:
        self.provider = provider
        self.ctx = provider.ctx
        self.journal = provider.ctx.journal
        self.request = request
        self.record = record
        self.body = b""
        self.fault: Fault | None = None
        self.response: web.StreamResponse | None = None
        self.number = number
        self._rng: random.Random | None = None

    @property
    def rng(self) -> random.Random:
        """A generator seeded by provider, operation and the request's number within it."""
        if self._rng is None:
            ctx = self.ctx
            self._rng = random.Random(
                f"{ctx.seed}/{ctx.provider}/{self.record.operation}/{self.number}"
            )
        return self._rng

    @property
    def connection(self) -> ConnectionRecord | None:
        """The record of the connection that carries this request."""
        found: ConnectionRecord | None = getattr(self.request.protocol, "record", None)
        return found

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)

    def note(self, advice: str) -> None:
        """Journal the vendor's advice that this request ignored; never a refusal."""
        self.record.notes.append(advice)

    def draw(self, spread: Range) -> float:
        """Return seconds drawn from a scenario's range, repeatable per request."""
        return draw(spread, self.rng) if isinstance(spread, tuple) else spread

    async def pause(self, spread: Range) -> None:
        """Sleep for seconds drawn from a scenario's range; zero does not yield."""
        seconds = self.draw(spread)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def has_fault(self, *kinds: str) -> bool:
        """Tell whether the request's fault is one of these kinds."""
        return self.fault is not None and self.fault.kind in kinds

    def struck(self) -> None:
        """Say in the journal that the fault was applied."""
        if self.record.outcome is None:
            self.record.outcome = "fault"

    async def stream(
        self, *, content_type: str, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> BodyWriter:
        """Send the headers of a chunked response and return the writer of its body."""
        response = web.StreamResponse(status=status, headers=self.headers(headers))
        response.headers["Content-Type"] = content_type
        await response.prepare(self.request)
        self.response = response
        self.record.status = status
        return BodyWriter(self, response)

    async def socket(
        self,
        *,
        protocols: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        max_msg_size: int = 16 << 20,
    ) -> Socket:
        """Accept the WebSocket handshake and return the journaling socket.

        Raises:
            Struck: A fault ended the socket as soon as it was open.
        """
        ws = web.WebSocketResponse(
            protocols=protocols, compress=False, max_msg_size=max_msg_size, timeout=1.0
        )
        for name, value in self.headers(headers).items():
            ws.headers[name] = value
        await ws.prepare(self.request)
        self.response = ws
        self.record.status = 101
        opened = Socket(self, ws)
        await opened.obey()
        return opened

    def headers(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the provider's response headers, with `extra` over them."""
        headers = self.provider.headers(self)
        if extra:
            headers.update(extra)
        return headers

    def answer(
        self, content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """Return a JSON response with the provider's headers."""
        return web.Response(
            body=json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(),
            status=status,
            headers=self.headers(headers),
            content_type="application/json",
        )


class BodyWriter:
    """Writes a response body, journals it and obeys the fault that strikes inside it."""

    def __init__(self, exchange: Exchange, response: web.StreamResponse) -> None:
        self.exchange = exchange
        self.response = response
        self.sent_bytes = 0
        self.sent_events = 0
        self._fault = (
            exchange.fault if exchange.has_fault("stall", "reset", "close", "drip") else None
        )

    async def write(self, data: bytes, *, audio: bool = False, events: int = 1) -> None:
        """Write one piece of the body, which is so many events.

        Args:
            data: The bytes.
            audio: Whether they are audio, to be kept and digested by the journal.
            events: How many events the piece holds, for faults that count them.

        Raises:
            Struck: The fault ended the response.
        """
        if self._fault is not None:
            data = await self._obey(self._fault, data, audio=audio)
        await self._send(data, audio=audio)
        self.sent_events += events

    async def finish(self) -> web.StreamResponse:
        """End the body properly and return the response."""
        if self._fault is not None and self._fault.kind != "drip":
            await self._strike(self._fault)
        await self.response.write_eof()
        return self.response

    async def _send(self, data: bytes, *, audio: bool) -> None:
        if not data:
            return
        exchange = self.exchange
        if audio:
            exchange.journal.sent_audio(exchange.record, data)
        else:
            exchange.journal.sent(exchange.record)
        self.sent_bytes += len(data)
        await self.response.write(data)

    async def _obey(self, fault: Fault, data: bytes, *, audio: bool) -> bytes:
        if fault.kind == "drip":
            self.exchange.struck()
            for index in range(len(data)):
                await self._send(data[index : index + 1], audio=audio)
                await asyncio.sleep(fault.delay or 1.0)
            return b""
        if fault.after_events:
            if self.sent_events >= fault.after_events:
                await self._strike(fault)
        elif self.sent_bytes + len(data) > fault.after_bytes:
            await self._send(data[: fault.after_bytes - self.sent_bytes], audio=audio)
            await self._strike(fault)
        return data

    async def _strike(self, fault: Fault) -> NoReturn:
        self.exchange.struck()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.kind == "stall":
            await hang()
        hang_up(self.exchange.request.transport, reset=fault.kind == "reset")
        raise Struck


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message from the client: `text` with its parsed `data`, or `binary`."""

    text: str | None = None
    binary: bytes | None = None
    data: Any = None


class Socket:
    """A WebSocket that journals both directions and obeys the fault that strikes inside it.

    Reading and writing may be done by different tasks. Iterating ends when the client closes.
    """

    def __init__(self, exchange: Exchange, ws: web.WebSocketResponse) -> None:
        self.exchange = exchange
        self.ws = ws
        self.sent_bytes = 0
        self.sent_messages = 0
        self._fault = exchange.fault
        self._hung = False

    @property
    def closed(self) -> bool:
        """Whether either side has closed."""
        return self.ws.closed

    @property
    def client_close_code(self) -> int | None:
        """The close code, once there is one."""
        return self.ws.close_code

    async def receive(self) -> Received | None:
        """Return the next message, or None once the client has closed or gone."""
        message = await self.ws.receive()
        if self._hung:
            await hang()
        exchange = self.exchange
        if message.type is WSMsgType.BINARY:
            exchange.journal.frame(exchange.record, "in", "binary", size=len(message.data))
            return Received(binary=message.data)
        if message.type is WSMsgType.TEXT:
            text = message.data
            try:
                data = json.loads(text)
            except ValueError:
                data = None
            exchange.journal.frame(
                exchange.record,
                "in",
                "text",
                size=len(text.encode()),
                data=text if data is None else without_audio(data),
                context=context_of(data),
            )
            return Received(text=text, data=data)
        return None

    async def __aiter__(self) -> AsyncIterator[Received]:
        while (received := await self.receive()) is not None:
            yield received

    async def send_json(
        self, data: Mapping[str, Any], *, audio: bytes = b"", context: str | None = None
    ) -> None:
        """Send a JSON message; `audio` is what it carries in base64, for the journal.

        Raises:
            Struck: The fault ended the socket.
            ConnectionError: The client has gone.
        """
        await self._send_text(
            json.dumps(data, ensure_ascii=False, separators=(",", ":")), data, audio, context
        )

    async def send_text(self, text: str) -> None:
        """Send a text message as it is; raises as `send_json` does."""
        await self._send_text(text, text, b"", None)

    async def _send_text(self, text: str, data: Any, audio: bytes, context: str | None) -> None:
        await self.obey()
        size = len(text.encode())
        exchange = self.exchange
        exchange.journal.frame(
            exchange.record,
            "out",
            "text",
            size=size,
            data=without_audio(data),
            context=context or context_of(data),
        )
        if audio:
            exchange.journal.sent_audio(exchange.record, audio)
        else:
            exchange.journal.sent(exchange.record)
        self._count(size)
        await self.ws.send_str(text)

    async def send_bytes(self, data: bytes, *, audio: bool = True) -> None:
        """Send a binary message, by default audio; raises as `send_json` does."""
        await self.obey()
        exchange = self.exchange
        exchange.journal.frame(exchange.record, "out", "binary", size=len(data))
        if audio:
            exchange.journal.sent_audio(exchange.record, data)
        else:
            exchange.journal.sent(exchange.record)
        self._count(len(data))
        await self.ws.send_bytes(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait at most a second for the client's."""
        await self.obey()
        await self.ws.close(code=code, message=reason.encode())

    def _count(self, size: int) -> None:
        self.sent_bytes += size
        self.sent_messages += 1

    async def obey(self) -> None:
        """Apply the fault if its moment has come.

        Raises:
            Struck: The fault ended the socket.
        """
        if self._hung:
            await hang()
        fault = self._fault
        if (
            fault is None
            or self.sent_messages < fault.after_events
            or self.sent_bytes < fault.after_bytes
        ):
            return
        if fault.kind not in SOCKET_FAULTS:
            return
        self._fault = None
        self.exchange.struck()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.kind in {"ws_hang", "stall", "silence"}:
            self._hung = True
            await hang()
        if fault.kind == "ws_garbage":
            await self._garbage(fault)
            return
        if fault.kind == "ws_huge_frame":
            await self.ws.send_str("x" * HUGE_BYTES)
            return
        if fault.kind == "ws_close":
            code = 1011 if fault.code is None else fault.code
            await self.ws.close(code=code, message=fault.reason.encode())
        else:
            hang_up(self.exchange.request.transport, reset=fault.kind == "reset")
        raise Struck

    async def _garbage(self, fault: Fault) -> None:
        if isinstance(fault.body, bytes):
            await self.ws.send_bytes(fault.body)
        elif isinstance(fault.body, str):
            await self.ws.send_str(fault.body)
        elif self.exchange.request.transport is not None:
            # Reserved bits and a reserved opcode: no WebSocket parser may accept this.
            self.exchange.request.transport.write(b"\xff\x03abc")


SOCKET_FAULTS = frozenset(
    {
        "ws_hang", "stall", "silence", "ws_garbage", "ws_huge_frame", "ws_close", "reset", "close",
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

    # -- what the vendor looks like --------------------------------------------------------

    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return the headers that the vendor sends with every response."""
        return {}

    def credential(self, request: web.Request) -> str | None:
        """Return the key that the request carries, or None."""
        return None

    def unauthorized(self, exchange: Exchange, key: str | None) -> web.Response:
        """Return the vendor's answer to a missing or wrong key."""
        return self.error(exchange, 401)

    def needs_key(self, exchange: Exchange) -> bool:
        """Tell whether an operation is refused without a key."""
        return True

    def error(self, exchange: Exchange, status: int) -> web.Response:
        """Return the vendor's own error shape for a status."""
        return exchange.answer({"error": {"message": f"Status {status}"}}, status=status)

    def expected_type(self, exchange: Exchange) -> str:
        """Return the content type that the client expects of a good answer."""
        return "application/json"

    # -- plumbing --------------------------------------------------------------------------

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
            self.ctx.journal.set_body(exchange.record, exchange.body)
        key = self.credential(request)
        if key == BAD_KEY or (key is None and self.needs_key(exchange)):
            return self._plain(exchange, self.unauthorized(exchange, key))
        exchange.fault = self.ctx.faults.take(exchange.record.operation)
        if exchange.fault is not None:
            instead = await self._replace(exchange, exchange.fault)
            if instead is not None:
                return self._plain(exchange, instead)
        response = await handler(exchange)
        if isinstance(response, web.Response) and not response.prepared:
            if exchange.has_fault("stall", "reset", "close", "drip"):
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
        streamed.content_length = len(body)
        await streamed.prepare(exchange.request)
        exchange.response = streamed
        exchange.record.status = response.status
        writer = BodyWriter(exchange, streamed)
        await writer.write(body)
        return await writer.finish()

    async def _replace(self, exchange: Exchange, fault: Fault) -> web.StreamResponse | None:
        """Apply a fault that replaces the whole answer; None when it strikes later, or inside."""
        kind = fault.kind
        upgrade = exchange.request.headers.get("Upgrade", "").lower() == "websocket"
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
            hang_up(exchange.request.transport, reset=kind == "reset")
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


REPLACING = frozenset(
    {
        "status", "ws_refuse", "html", "wrong_type", "half_json", "empty", "huge", "silence",
        "stall", "reset", "close",
    }
)  # fmt: skip

SECRET_PARAMETERS = frozenset({"xi-api-key", "xi_api_key", "authorization", "token", "api_key"})


async def send_chunks(
    writer: BodyWriter, chunks: Iterable[bytes] | Iterator[bytes], *, audio: bool = True
) -> None:
    """Write pieces of a body one by one, by default as audio."""
    for chunk in chunks:
        await writer.write(chunk, audio=audio)


def without_audio(data: Any) -> Any:
    """Return a message's journal form: base64 under "audio" becomes its decoded length."""
    if isinstance(data, dict):
        audio = data.get("audio")
        if isinstance(audio, str):
            return {**data, "audio": {"bytes": len(audio) * 3 // 4 - audio[-2:].count("=")}}
    return data


def context_of(data: Any) -> str | None:
    """Return the context id of a message on a socket that multiplexes, under either spelling."""
    if isinstance(data, Mapping):
        found = data.get("context_id", data.get("contextId"))
        return found if isinstance(found, str) else None
    return None


def _query(request: web.Request) -> dict[str, list[str]]:
    if not request.query_string:
        return {}
    from voicekit.emulator.journal import digest

    query: dict[str, list[str]] = {}
    for name, value in request.query.items():
        secret = name.lower() in SECRET_PARAMETERS
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
