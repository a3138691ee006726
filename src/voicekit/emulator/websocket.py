"""A WebSocket that is journaled in both directions and breaks where its fault says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from voicekit.emulator.body import Struck, hang
from voicekit.emulator.records import SECRET_FIELDS, digest

if TYPE_CHECKING:
    from voicekit.emulator.exchange import Exchange
    from voicekit.emulator.faults import Fault

HUGE_BYTES = 100_000_000
"""Size of a `huge` body and of a `ws_huge_frame` message."""


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
        self.exchange.check_client()
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
        exchange.check_client()
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
            self.exchange.hang_up(reset=fault.kind == "reset")
        raise Struck

    def error_due(self) -> Fault | None:
        """Return the fault `in_stream_error` once its moment has come; it has then struck."""
        fault = self.exchange.fault
        if (
            fault is None
            or fault.kind != "in_stream_error"
            or self.sent_messages < fault.after_events
        ):
            return None
        self.exchange.struck()
        return fault

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


def without_audio(data: Any) -> Any:
    """Return a message's journal form: audio as its decoded length, credentials as digests."""
    if isinstance(data, dict):
        if not SECRET_FIELDS.isdisjoint(data):
            data = {n: digest(str(v)) if n in SECRET_FIELDS else v for n, v in data.items()}
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
