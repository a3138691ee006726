"""One speech socket: text is buffered, flushed, spoken in order; or cleared.

One task speaks what was flushed, in order, at the scenario's pace; reading never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from typing_extensions import override

from voicekit.emulator.providers.base import Received, Socket, Struck
from voicekit.emulator.providers.deepgram_speak import model_uuid, render
from voicekit.emulator.providers.deepgram_speak_query import MAX_CHARACTERS, SpeakOptions
from voicekit.emulator.providers.session import Goodbye, SocketSession
from voicekit.emulator.providers.speech_pacing import AudioSlice, first_audio_latency

MAX_FLUSHES: Final = 20
FLUSH_WINDOW: Final = 60.0
"""Seconds in which so many flushes are obeyed. Source: the vendor's page on Flush."""

SESSION_LIMIT: Final = 3600.0
"""Seconds. Source: NET-0003 of the vendor's error page; the figure is a production client's."""

MAX_MESSAGE_BYTES: Final = 64 << 10
"""Ours: the vendor's error page has a limit (BIG-0000) and states none."""

IN_FLIGHT: Final = 2
"""Pieces of audio that still arrive after a Clear: the vendor promises that some do, and no number.
"""

NET_0000 = "NET-0000: the service failed. See https://dpgr.am/net0000"
NET_0001 = "NET-0001: no text was received in time. See https://dpgr.am/net0001"
NET_0003 = "NET-0003: the session lasted too long. See https://dpgr.am/net0003"
MESSAGE_0000 = "MESSAGE-0000: the message is not supported. See https://dpgr.am/message0000"
DATA_0000 = "DATA-0000: the message cannot be read. See https://dpgr.am/data0000"
BIG_0000 = "BIG-0000: the message is too large. See https://dpgr.am/big0000"
BIG_0001 = "BIG-0001: the text is too large. See https://dpgr.am/big0001"


class _Flush(NamedTuple):
    """Text to be spoken, then confirmed; `due` is when it was asked for, on the loop's clock."""

    text: str
    due: float


class SpeakSession(SocketSession):
    """Serves one socket from its `Metadata` to its close.

    `time_scale` is a factor on the vendor's own timers; `idle_limit` are the seconds without a
    message before NET-0001, None never: the vendor documents the label and no number.
    """

    failure = Goodbye(code=1011, reason=NET_0000)

    def __init__(
        self,
        socket: Socket,
        *,
        options: SpeakOptions,
        request_id: str,
        time_scale: float = 1.0,
        idle_limit: float | None = None,
    ) -> None:
        super().__init__(socket)
        self.options = options
        self._request_id = request_id
        self._window = FLUSH_WINDOW * time_scale
        self._idle_limit = None if idle_limit is None else idle_limit * time_scale
        self._ends_at = self._loop.time() + SESSION_LIMIT * time_scale
        self._last_message = self._loop.time()
        self._text: list[str] = []
        self._queue: deque[_Flush] = deque()
        self._flushes: deque[float] = deque()
        self._changed = asyncio.Event()
        self._speaking = False
        self._spoken = 0
        self._clears = 0
        self._sequence = 0
        self._closing = False

    @override
    async def serve(self) -> None:
        self.start(self._speak_all(), name="speech")
        await super().serve()

    @property
    @override
    def busy(self) -> bool:
        return self._speaking or bool(self._queue)

    # -- what the client sends --

    @override
    def take(self, received: Received) -> None:
        if self._closing:
            return
        self._last_message = self._loop.time()
        if received.text is None:
            self.close(Goodbye(code=1003, reason=MESSAGE_0000))
        elif len(received.text) > MAX_MESSAGE_BYTES:
            self.close(Goodbye(code=1009, reason=BIG_0000))
        elif not isinstance(received.data, dict):
            self.close(Goodbye(code=1008, reason=DATA_0000))
        else:
            self._act(received.data)

    def _act(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "Speak":
                self._buffer(message.get("text"))
            case "Flush":
                self._flush()
            case "Clear":
                self._clear()
            case "Close":
                self._closing = True
                self._enqueue()
                self._changed.set()
            case _:
                self.close(Goodbye(code=1003, reason=MESSAGE_0000))

    def _buffer(self, text: object) -> None:
        if not isinstance(text, str) or not text:
            self.close(Goodbye(code=1008, reason=DATA_0000))
        elif len(text) > MAX_CHARACTERS:
            self.close(Goodbye(code=1009, reason=BIG_0001))
        else:
            self._text.append(text)

    def _flush(self) -> None:
        now = self._loop.time()
        while self._flushes and self._flushes[0] <= now - self._window:
            self._flushes.popleft()
        if len(self._flushes) >= MAX_FLUSHES:
            # The vendor documents the warning; its code and words are unverified.
            warning = {
                "type": "Warning",
                "description": f"Exceeded {MAX_FLUSHES} flushes in 60 seconds: Flush is ignored.",
                "code": "EXCESSIVE_FLUSH",
            }
            self.start(self.socket.send_json(warning), name="warning")
            return
        self._flushes.append(now)
        self._enqueue(always=True)

    def _enqueue(self, *, always: bool = False) -> None:
        text = "".join(self._text)
        self._text.clear()
        if always or text.strip():
            self._queue.append(_Flush(text, self._loop.time()))
            self._changed.set()

    def _clear(self) -> None:
        self._text.clear()
        self._queue.clear()
        self._clears += 1
        self._changed.set()

    # -- what is said --

    async def _speak_all(self) -> None:
        await self._send_metadata()
        while True:
            if self._clears:
                self._clears -= 1
                await self._confirm("Cleared")
            elif self._queue:
                self._speaking = True
                try:
                    await self._speak(self._queue.popleft())
                finally:
                    self._speaking = False
            elif self._closing:
                self.close(Goodbye())
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _send_metadata(self) -> None:
        await self.socket.send_json(
            {
                "type": "Metadata",
                "request_id": self._request_id,
                "model_name": self.options.model,
                "model_version": "2026-01-01.0",
                "model_uuid": model_uuid(self.options.model),
            }
        )

    async def _speak(self, flush: _Flush) -> None:
        exchange = self.socket.exchange
        if flush.text.strip():
            slices = await render(exchange, flush.text, self.options)
            start = flush.due + first_audio_latency(exchange, first=not self._spoken)
            self._spoken += 1
            factor = exchange.ctx.scenario.speech_real_time_factor
            sent = 0
            for piece in slices:
                await self._pause(start + piece.start * factor - self._loop.time())
                if self._clears:
                    break
                await self._send_audio(piece)
                sent += 1
            if self._clears and sent:
                for piece in slices[sent : sent + IN_FLIGHT]:  # on their way already
                    await self._send_audio(piece)
        if self._clears:
            return
        if exchange.has_fault("no_end_marker"):
            exchange.struck()
            return
        await self._confirm("Flushed")

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond a Clear."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                while not self._clears:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def _send_audio(self, piece: AudioSlice) -> None:
        if fault := self.socket.error_due():
            told = fault.body if isinstance(fault.body, Mapping) else None
            reason = fault.reason or NET_0000
            self.close(Goodbye(code=fault.code or 1011, reason=reason, message=told))
            raise Struck
        await self.socket.send_bytes(piece.audio)
        # A receiver that clears is heard between two pieces, however fast they are made.
        await asyncio.sleep(0)

    async def _confirm(self, kind: str) -> None:
        sequence, self._sequence = self._sequence, self._sequence + 1
        await self.socket.send_json({"type": kind, "sequence_id": sequence})

    # -- patience --

    @override
    def patience_left(self) -> float:
        return min(self._ends_at, self._silent_until()) - self._loop.time()

    def _silent_until(self) -> float:
        if self._idle_limit is None or self.busy:
            return self._ends_at
        return self._last_message + self._idle_limit

    @override
    def expire(self) -> None:
        late = self._loop.time() >= self._ends_at
        self.close(Goodbye(code=1011, reason=NET_0003 if late else NET_0001))
