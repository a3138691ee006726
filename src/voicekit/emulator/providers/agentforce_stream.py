"""A turn as server-sent events, each when its time has come, cut short where a fault says so.

Source of the framing: fact sheet of 2026-11, section on streaming (vendor's examples and captured
traffic): `event:`, `id:` and one line of `data:`; the id names the request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, NoReturn

from aiohttp import web

from voicekit.emulator.body import BodyWriter
from voicekit.emulator.faults import Fault
from voicekit.emulator.providers.agentforce_plan import Step, event_name
from voicekit.emulator.providers.base import Exchange

SSE = "text/event-stream"
EMPTY_CHUNK_SECONDS = 0.02


def epoch_ms() -> int:
    """Return the time now in milliseconds of the epoch."""
    return int(time.time() * 1000)


def in_stream_order(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as streams write it: `metrics` is last there."""
    ordered = {name: value for name, value in message.items() if name != "metrics"}
    if "metrics" in message:
        ordered["metrics"] = message["metrics"]
    return ordered


class TurnStream:
    """The stream of one turn.

    `links` are for answers without envelope; `ended` is called when the turn is over, before its
    last bytes leave; `error` makes the Error object of a turn that fails, from its message.
    """

    def __init__(
        self,
        exchange: Exchange,
        steps: tuple[Step, ...],
        *,
        links: Mapping[str, Any],
        ended: Callable[[], None],
        error: Callable[[str], Mapping[str, Any]],
    ) -> None:
        self._exchange = exchange
        self._steps = steps
        scenario = exchange.ctx.scenario
        self._framing = scenario.agent_framing
        self._limit = scenario.agent_timeout
        self._links = links
        self._ended = ended
        self._error = error
        self._origin = f"{epoch_ms()}-REQ"
        self._trace = f"{exchange.rng.getrandbits(64):016x}"

    async def send(self) -> web.StreamResponse:
        """Send the whole stream."""
        exchange = self._exchange
        began = asyncio.get_running_loop().time()
        writer = await exchange.stream(content_type=SSE)
        fault = exchange.fault
        if fault is not None and fault.kind == "empty_deltas":
            await self._empty_chunks(writer, fault)
        for due, steps, last in self._groups():
            if fault is not None and self._cut(writer, fault, steps[0]):
                return await self._end_early(writer, fault)
            if due > self._limit:
                return await self._time_out(writer, began)
            await self._wait(writer, began + due)
            if last:
                self._ended()
                return await self._finish(writer, steps)
            await self._write(writer, b"".join(map(self._event, steps)), events=len(steps))
        raise AssertionError("a turn has an end")

    def _groups(self) -> Iterator[tuple[float, list[Step], bool]]:
        """Yield what leaves in one write, and whether it is the last; a fault counts events."""
        if self._exchange.fault is not None:
            groups = [(step.due, [step]) for step in self._steps]
        else:
            groups = [(due, list(each)) for due, each in groupby(self._steps, lambda s: s.due)]
        for index, (due, steps) in enumerate(groups):
            yield due, steps, index == len(groups) - 1

    # -- when --

    async def _wait(self, writer: BodyWriter, moment: float) -> None:
        """Wait until a moment, with a comment now and then if the framing says so."""
        loop = asyncio.get_running_loop()
        every = self._framing.heartbeat_every
        if every is not None and not writer.sent_bytes:
            await writer.write(self._comment(), events=0)
        while (left := moment - loop.time()) > 0:
            if every is None or left <= every:
                await asyncio.sleep(left)
                return
            await asyncio.sleep(every)
            await writer.write(self._comment(), events=0)

    async def _time_out(self, writer: BodyWriter, began: float) -> web.StreamResponse:
        # Source: vendor's considerations page: a turn is ended after 120 seconds with a 500;
        # where headers have left, the stream is what can say so.
        await self._wait(writer, began + self._limit)
        self._ended()
        return await writer.finish(self._error_event("The request timed out"))

    # -- faults --

    def _cut(self, writer: BodyWriter, fault: Fault, following: Step) -> bool:
        ending = following.kind == "EndOfTurn"
        if fault.kind == "in_stream_error":
            return writer.sent_events >= fault.after_events or ending
        if fault.kind == "no_end_marker":
            return writer.sent_events >= fault.after_events if fault.after_events else ending
        return False

    async def _end_early(self, writer: BodyWriter, fault: Fault) -> web.StreamResponse:
        self._exchange.struck()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        self._ended()
        if fault.kind == "no_end_marker":
            return await writer.finish()
        return await writer.finish(self._error_event("planner failed", fault.body))

    async def _empty_chunks(self, writer: BodyWriter, fault: Fault) -> NoReturn:
        self._exchange.struck()
        chunk = {"type": "TextChunk", "id": "0", "offset": 0, "message": "", "formatType": "Text"}
        while True:
            await writer.write(self._block("TEXT_CHUNK", self._envelope(chunk, 0)))
            await asyncio.sleep(fault.delay or EMPTY_CHUNK_SECONDS)

    def _error_event(
        self, message: str, body: bytes | str | Mapping[str, Any] | None = None
    ) -> bytes:
        if isinstance(body, Mapping):
            return self._block("ERROR", body)
        if body is not None:
            message = body if isinstance(body, str) else body.decode()
        return self._block("ERROR", self._error(message))

    # -- bytes --

    def _event(self, step: Step) -> bytes:
        message = in_stream_order(step.message)
        if step.kind == "Inform" and not self._framing.wrapped:
            return self._block("INFORM", {"messages": [message], "_links": self._links})
        return self._block(event_name(step.kind), self._envelope(message, step.offset))

    def _envelope(self, message: Mapping[str, Any], offset: int) -> dict[str, Any]:
        return {
            "timestamp": epoch_ms(),
            "originEventId": self._origin,
            "traceId": self._trace,
            "offset": offset,
            "message": message,
        }

    def _block(self, name: str, data: Mapping[str, Any]) -> bytes:
        end = self._framing.line_end
        content = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return f"event: {name}{end}id: {self._origin}{end}data: {content}{end}{end}".encode()

    def _comment(self) -> bytes:
        end = self._framing.line_end
        return f": heartbeat{end}{end}".encode()

    async def _finish(self, writer: BodyWriter, steps: list[Step]) -> web.StreamResponse:
        content = b"".join(map(self._event, steps))
        if self._framing.piece_bytes is None:
            return await writer.finish(content)
        await self._write(writer, content, events=len(steps))
        return await writer.finish()

    async def _write(self, writer: BodyWriter, content: bytes, *, events: int) -> None:
        size = self._framing.piece_bytes
        if size is None:
            await writer.write(content, events=events)
            return
        for start in range(0, len(content), size):
            await writer.write(content[start : start + size], events=0)
        writer.sent_events += events
