"""Turning text into audio, by turns: what HTTP answers and sockets of ElevenLabs share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicekit.emulator.codecs import encoder
from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.speech_pacing import AudioSlice, cut, encoded

QUEUE_DELAY = 0.05
"""Seconds that queueing adds. Source: the vendor's models page, "about 50 ms"."""


async def render(
    exchange: Exchange, text: str, *, voice_id: str, output_format: str
) -> tuple[list[AudioSlice], float]:
    """Speak a text and cut the encoded audio as the scenario says; also returns its seconds.

    Raises:
        UnsupportedFormat: The format cannot be made.
    """
    rate = encoder(output_format).sample_rate
    pcm = await exchange.ctx.voice.speak(text, voice_id=voice_id, sample_rate=rate)
    audio = await encoded(encoder(output_format, pcm_bytes=len(pcm)), pcm)
    duration = len(pcm) / (2 * rate)
    return cut(audio, duration, exchange.ctx.scenario.speech_chunk_bytes), duration


class QueueFullError(Exception):
    """More requests than the plan runs and queues at once."""


class ConcurrencyGate:
    """The plan's limit of requests in flight: beyond it they queue, beyond the queue 429.

    Source: the vendor's models page (August 2025): the limit counts requests in flight, an HTTP
    request for its whole duration, a socket only while it generates.
    """

    def __init__(self, maximum: int, *, queue: int) -> None:
        self.maximum = maximum
        self.queue = queue
        self.current = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Occupy one place.

        Raises:
            QueueFullError: The queue is full; nothing is occupied.
        """
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self.current < self.maximum:
            self.current += 1
            return
        if len(self._waiting) >= self.queue:
            raise QueueFullError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
            await asyncio.sleep(QUEUE_DELAY)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place had been handed over
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the place goes to the next in line
                return
        self.current -= 1
