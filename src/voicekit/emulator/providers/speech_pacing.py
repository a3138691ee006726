"""When audio would be there, were it made: what all providers' speech shares."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from voicekit.emulator.codecs import Encoder
from voicekit.emulator.exchange import sleep_until
from voicekit.emulator.providers.base import Exchange

FRESH_SECONDS = 1.0
"""A connection no older than this was opened for the request that it carries."""


@dataclass(frozen=True, slots=True)
class AudioSlice:
    """Encoded audio that is sent at once; it covers [start, end) seconds of its piece."""

    audio: bytes
    start: float
    end: float


async def encoded(encode: Encoder, pcm: bytes) -> bytes:
    """Encode a whole piece, in turns: an MP3 of a long text must not hold up everybody else."""
    made = bytearray()
    second = 2 * encode.sample_rate
    for offset in range(0, len(pcm), second):
        made += encode.encode(pcm[offset : offset + second])
        if offset:
            await asyncio.sleep(0)
    return bytes(made + encode.flush())


def cut(audio: bytes, duration: float, size: int) -> list[AudioSlice]:
    """Cut encoded audio, of so many seconds, into pieces of at most so many bytes."""
    total = len(audio)
    return [
        AudioSlice(audio[low:high], duration * low / total, duration * high / total)
        for low, high in itertools.pairwise([*range(0, total, max(1, size)), total])
    ]


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
    """Yield slices when the scenario has them made, the first at `start` on the loop's clock."""
    factor = exchange.ctx.scenario.speech_real_time_factor
    for piece in slices:
        await sleep_until(start + piece.start * factor)
        yield piece
