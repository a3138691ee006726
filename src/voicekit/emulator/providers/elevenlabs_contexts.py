"""One utterance on an ElevenLabs socket: its text buffer, and the task that speaks what is due.

The schedule decides what is generated and when; the task renders each piece, sends its frames at
the scenario's pace and, once no more text can come, the final message.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.providers.base import Socket
from voicekit.emulator.providers.elevenlabs_messages import (
    ClientMessage,
    ContextSettings,
    PolicyViolationError,
)
from voicekit.emulator.providers.elevenlabs_request import SpeechQuery
from voicekit.emulator.providers.elevenlabs_schedule import (
    DEFAULT_SCHEDULE,
    Alignment,
    ChunkSchedule,
)
from voicekit.emulator.providers.elevenlabs_speech import ConcurrencyGate, render
from voicekit.emulator.providers.speech_pacing import first_audio_latency, paced


@dataclass(slots=True)
class _Piece:
    """Text to be spoken; `due` is when it was triggered, on the loop's clock."""

    text: str
    due: float
    flushed: bool = False


class Utterance:
    """A context of a multi-context socket, or the only one of a single-context socket.

    The socket starts `speak_all` as `task`, owns it, and keeps it from outliving the connection.
    The gate is held while a piece is generated; frames of single-context sockets carry no context.
    """

    def __init__(
        self,
        socket: Socket,
        *,
        query: SpeechQuery,
        gate: ConcurrencyGate,
        voice_id: str,
        context: str | None,
        settings: ContextSettings,
    ) -> None:
        self.context = context
        self.settings = settings
        self.schedule = ChunkSchedule(
            settings.schedule or DEFAULT_SCHEDULE, auto_mode=query.auto_mode
        )
        self.last_message = asyncio.get_running_loop().time()
        self._socket = socket
        self._query = query
        self._gate = gate
        self._voice_id = voice_id
        self._pieces: list[_Piece] = []
        self._changed = asyncio.Event()
        self._finished = False
        self._speaking = False
        self.task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether audio is owed: text that is due has not been spoken to its end."""
        return self._speaking or bool(self._pieces)

    @property
    def ended(self) -> bool:
        """Whether everything has been sent."""
        return self.task is not None and self.task.done()

    def accept(self, message: ClientMessage, *, first: bool) -> None:
        """Take in a client message that belongs to this utterance."""
        self.last_message = asyncio.get_running_loop().time()
        if message.text and not (first and not message.text.strip()):
            self._enqueue(self.schedule.add(message.text, trigger=message.trigger))
        if message.flush:
            self._enqueue(self.schedule.flush())
            for piece in self._pieces:
                piece.flushed = True

    def finish(self) -> None:
        """Take no more text: speak the remainder, then send the final message."""
        self._enqueue(self.schedule.flush())
        self._finished = True
        self._changed.set()

    def abandon(self) -> None:
        """Close without the remainder, as `close_context` does.

        What was flushed goes on, and so does the piece under way; the rest is not generated.
        Source: the vendor's SDK, `CloseContext`: "No further audio will be generated"; "if it has
        already been set to flush it will continue flushing".
        """
        self.schedule.drop()
        self._pieces = [piece for piece in self._pieces if piece.flushed]
        self._finished = True
        self._changed.set()

    def _enqueue(self, text: str | None) -> None:
        if text is not None:
            self._pieces.append(_Piece(text, asyncio.get_running_loop().time()))
            self._changed.set()

    async def speak_all(self) -> None:
        """Speak what falls due until the utterance is over and its final message is sent.

        Raises:
            PolicyViolationError: A scripted failure of the service.
            QueueFullError: The plan runs and queues no more.
        """
        spoken = 0
        while True:
            while not self._pieces:
                if self._finished:
                    await self._send_final()
                    return
                self._changed.clear()
                await self._changed.wait()
            piece = self._pieces.pop(0)
            self._speaking = True
            async with self._gate.hold():
                await self._speak(piece, first=spoken == 0)
            self._speaking = False
            spoken += 1

    async def _speak(self, piece: _Piece, *, first: bool) -> None:
        exchange = self._socket.exchange
        start = piece.due + first_audio_latency(exchange, first=first)
        slices, duration = await render(
            exchange,
            piece.text,
            voice_id=self._voice_id,
            output_format=self._query.output_format,
        )
        alignment = Alignment.spread(piece.text, duration)
        loop = asyncio.get_running_loop()
        last = len(slices) - 1
        number = 0
        async for piece_of_audio in paced(exchange, slices, start=max(start, loop.time())):
            part: Alignment | None
            if self._query.sync_alignment:
                end = piece_of_audio.end if number < last else duration + 1.0
                part = alignment.between(piece_of_audio.start, end)
            else:
                part = alignment if number == 0 else None
            await self._send_audio(piece_of_audio.audio, part)
            number += 1

    async def _send_audio(self, audio: bytes, alignment: Alignment | None) -> None:
        if fault := self._socket.error_due():
            told = fault.body if isinstance(fault.body, Mapping) else {}
            raise PolicyViolationError(
                str(told.get("error", "internal_error")),
                str(told.get("message", "Internal server error")),
                fault.code or 1011,
            )
        aligned = alignment.wire() if alignment is not None else None
        frame: dict[str, Any] = {
            "audio": base64.b64encode(audio).decode("ascii"),
            "isFinal": None if self.context is None else False,
            "normalizedAlignment": aligned,
            "alignment": aligned,
        }
        if self.context is not None:
            frame["contextId"] = self.context
        await self._socket.send_json(frame, audio=audio, context=self.context)

    async def _send_final(self) -> None:
        if self._socket.exchange.has_fault("no_end_marker"):
            self._socket.exchange.struck()
            return
        if self.context is None:
            await self._socket.send_json({"audio": None, "isFinal": True})
        else:
            await self._socket.send_json(
                {"isFinal": True, "contextId": self.context}, context=self.context
            )
