"""A response body that is journaled as it is written and breaks where its fault says."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from voicekit.emulator.exchange import Exchange
    from voicekit.emulator.faults import Fault

BODY_FAULTS = ("stall", "reset", "close", "drip")
"""Faults that strike inside a body."""


class Struck(Exception):  # noqa: N818 - not an error: it unwinds a handler whose fault has struck
    """Unwinds a handler whose injected fault has ended the exchange."""


async def hang() -> NoReturn:
    """Wait until cancelled: by the client's leaving or by the emulator's stopping."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


def as_json(value: Any) -> bytes:
    """Return a value as the vendors write it: UTF-8 without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def uuid_of(rng: random.Random) -> str:
    """Return a UUID of the fourth kind, from a generator."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def base64_url(data: bytes) -> str:
    """Return bytes as the parts of a JWT are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class BodyWriter:
    """Writes a response body, journals it and obeys the fault that strikes inside it."""

    def __init__(self, exchange: Exchange, response: web.StreamResponse) -> None:
        self.exchange = exchange
        self.response = response
        self.sent_bytes = 0
        self.sent_events = 0
        self._fault = exchange.fault if exchange.has_fault(*BODY_FAULTS) else None

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

    async def finish(self, data: bytes = b"") -> web.StreamResponse:
        """End the body properly, `data` and the end in one write, and return the response.

        Raises:
            Struck: The fault ended the response.
        """
        if self._fault is not None:
            if data:
                await self.write(data)
            if self._fault.kind != "drip":
                await self._strike(self._fault)
            data = b""
        self.exchange.check_client()
        await self.response.write_eof(data)
        return self.response

    async def _send(self, data: bytes, *, audio: bool) -> None:
        if not data:
            return
        exchange = self.exchange
        exchange.check_client()
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
        self.exchange.hang_up(reset=fault.kind == "reset")
        raise Struck


async def send_chunks(writer: BodyWriter, chunks: Iterable[bytes], *, audio: bool = True) -> None:
    """Write pieces of a body one by one, by default as audio."""
    for chunk in chunks:
        await writer.write(chunk, audio=audio)
