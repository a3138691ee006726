"""Server-sent events, each when its time has come, cut short where a fault says so.

What `openai_chat`, `openai_responses` and `openai_transcriptions` share; the events are theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, NoReturn

from aiohttp import web

from voicekit.emulator.body import BodyWriter, as_json
from voicekit.emulator.exchange import sleep_until
from voicekit.emulator.faults import Fault
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_refusals import SERVER_ERROR

SSE = "text/event-stream; charset=utf-8"

AUDIO_DONE = b"data: [DONE]\r\n\r\n"
EMPTY_DELTA_SECONDS = 0.02

ARGUMENT_CHARACTERS = 5
"""Characters of a tool call's arguments per delta."""

# Source: fact sheet: `fast` is the newer name of `priority`, and answers say `priority`.
SERVED_TIERS = {"auto": "default", "fast": "priority", None: "default"}

EVENTS_PER_WRITE = 16
"""Events joined in one write when the scenario leaves no time between them."""


class Kind(Enum):
    """What an event is to the clock and to faults."""

    OPENING = "opening"
    TOKEN = "token"  # noqa: S105 - of a language model
    END = "end"
    BEHIND = "behind"


def audio_event(content: Mapping[str, Any]) -> bytes:
    """Return one event of the audio operations, framed as recorded: CRLF, and no name."""
    return b"data: " + as_json(content) + b"\r\n\r\n"


def stream_error(fault: Fault | None) -> Any:
    """Return the error object of the fault `in_stream_error`."""
    body = fault.body if fault is not None else None
    if isinstance(body, Mapping):
        return body
    if body is None:
        return SERVER_ERROR.body()
    message = body if isinstance(body, str) else body.decode()
    return replace(SERVER_ERROR, message=message).body()


async def send_empty_deltas(
    exchange: Exchange, writer: BodyWriter, opening: bytes, empty: Callable[[], bytes]
) -> NoReturn:
    """Open a stream and send events that say nothing, for ever: the fault `empty_deltas`."""
    assert exchange.fault is not None  # noqa: S101 - whoever calls has looked
    exchange.struck()
    await writer.write(opening)
    while True:
        await asyncio.sleep(exchange.fault.delay or EMPTY_DELTA_SECONDS)
        await writer.write(empty())


async def generate(exchange: Exchange, tokens: int) -> None:
    """Wait as long as generating a whole answer of so many tokens takes."""
    scenario = exchange.ctx.scenario
    seconds = exchange.draw(scenario.chat_first_token)
    if scenario.chat_token_gap:
        seconds += sum(exchange.draw(scenario.chat_token_gap) for _ in range(tokens - 1))
    if seconds > 0:
        await asyncio.sleep(seconds)


async def send_events(
    exchange: Exchange,
    writer: BodyWriter,
    events: Iterable[tuple[Kind, bytes]],
    *,
    end: bytes,
    error: Callable[[Fault], bytes],
) -> web.StreamResponse:
    """Send a stream whose headers are out, and `end` after its last event.

    `error` makes the events of the fault `in_stream_error`.
    """
    if exchange.fault is None and not exchange.ctx.scenario.chat_token_gap:
        await exchange.pause(exchange.ctx.scenario.chat_first_token)
        return await _send_at_once(writer, events, end)
    complete = await _send_paced(exchange, writer, events, error)
    return await writer.finish(end if complete else b"")


async def _send_at_once(
    writer: BodyWriter, events: Iterable[tuple[Kind, bytes]], end: bytes
) -> web.StreamResponse:
    waiting: list[bytes] = []
    for kind, event in events:
        waiting.append(event)
        # The first token is never kept waiting for the rest.
        if kind is Kind.TOKEN and (len(waiting) >= EVENTS_PER_WRITE or not writer.sent_events):
            await writer.write(b"".join(waiting), events=len(waiting))
            waiting.clear()
    waiting.append(end)
    return await writer.finish(b"".join(waiting))


async def _send_paced(
    exchange: Exchange,
    writer: BodyWriter,
    events: Iterable[tuple[Kind, bytes]],
    error: Callable[[Fault], bytes],
) -> bool:
    """Write each event by itself, in its time; False when a fault cut the stream short."""
    scenario = exchange.ctx.scenario
    # Due times come from the start, not from the last write: late timers do not add up.
    due = asyncio.get_running_loop().time() + exchange.draw(scenario.chat_first_token)
    spoke = False
    for kind, event in events:
        if await _cut(exchange, writer, kind, error):
            return False
        if kind is Kind.TOKEN:
            due += exchange.draw(scenario.chat_token_gap) if spoke else 0.0
            spoke = True
        await sleep_until(due)
        await writer.write(event)
    return not await _cut(exchange, writer, None, error)


async def _cut(
    exchange: Exchange,
    writer: BodyWriter,
    following: Kind | None,
    error: Callable[[Fault], bytes],
) -> bool:
    """End the stream here if its fault says so."""
    fault = exchange.fault
    if fault is None or fault.kind not in {"no_end_marker", "in_stream_error"}:
        return False
    ended = following is None or following is Kind.END
    if fault.kind == "no_end_marker":
        here = writer.sent_events >= fault.after_events if fault.after_events else ended
    else:
        here = writer.sent_events >= fault.after_events or ended
    if not here:
        return False
    exchange.struck()
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.kind == "in_stream_error":
        await writer.write(error(fault))
    return True
