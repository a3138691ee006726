"""When audio would be there, were it made: what all providers' speech shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicekit.emulator.exchange import sleep_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from voicekit.emulator.providers.base import Exchange

FRESH_SECONDS = 1.0
"""A connection no older than this was opened for the request that it carries."""


@dataclass(frozen=True, slots=True)
class AudioSlice:
    """Encoded audio that is sent at once; it covers [start, end) seconds of its piece."""

    audio: bytes
    start: float
    end: float


def first_audio_latency(exchange: Exchange, *, first: bool) -> float:
    """Draw the seconds from speakable text to its first audio.

    A connection is cold when it was opened for this very request: the first one on it, and within
    a second. One that was warmed up before, with or without a request, is warm.
    """
    scenario = exchange.ctx.scenario
    connection = exchange.connection
    cold = (
        first
        and connection is not None
        and connection.requests <= 1
        and exchange.record.received_at - connection.opened_at <= FRESH_SECONDS
        and exchange.journal.now() - connection.opened_at <= FRESH_SECONDS
    )
    if cold and scenario.speech_first_audio_cold is not None:
        return exchange.draw(scenario.speech_first_audio_cold)
    return exchange.draw(scenario.speech_first_audio)


async def paced(
    exchange: Exchange, slices: Sequence[AudioSlice], *, start: float
) -> AsyncIterator[AudioSlice]:
    """Yield slices when they would be generated.

    Args:
        exchange: Whose scenario sets the pace.
        slices: What to yield.
        start: When the first is there, on the running loop's clock.
    """
    factor = exchange.ctx.scenario.speech_real_time_factor
    for piece in slices:
        await sleep_until(start + piece.start * factor)
        yield piece
