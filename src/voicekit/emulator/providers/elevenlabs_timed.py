"""Speech with the time of each character: one JSON object, or one per line.

Source: OpenAPI file, `/with-timestamps` and `/stream/with-timestamps`. Over HTTP the times count
from the start of the whole speech, in seconds; over the sockets from the start of each message,
in milliseconds. Unverified in the file; third-party clients of both read them so.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from voicekit.emulator.body import as_json
from voicekit.emulator.providers.base import BodyWriter, Exchange
from voicekit.emulator.providers.elevenlabs_schedule import Alignment
from voicekit.emulator.providers.speech_pacing import AudioSlice, paced

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class TimedSpeech:
    """The audio of one text, so many seconds, and when its characters sound, on the wire."""

    def __init__(self, text: str, slices: Sequence[AudioSlice], duration: float) -> None:
        self._slices = slices
        self._given = Alignment.spread(text, duration)
        self._normalized = Alignment.spread(normalized(text), duration)

    def whole(self, exchange: Exchange) -> dict[str, Any]:
        """Everything as one object."""
        audio = b"".join(each.audio for each in self._slices)
        exchange.journal.sent_audio(exchange.record, audio)
        return self._object(audio, 0.0, float("inf"))

    async def stream(self, exchange: Exchange, writer: BodyWriter, *, start: float) -> None:
        """Write a line for each slice when it would be generated; `start` on the loop's clock."""
        fault = exchange.fault if exchange.has_fault("in_stream_error") else None
        beyond = self._slices[-1:]  # the last takes the characters of no length, too
        number = 0
        async for each in paced(exchange, self._slices, start=start):
            if fault is not None and number >= fault.after_events:
                exchange.struck()
                error = fault.body if isinstance(fault.body, dict) else {"detail": BROKEN}
                await writer.write(_line(error))
                return
            end = float("inf") if each in beyond else each.end
            await writer.write(_line(self._object(each.audio, each.start, end)))
            exchange.journal.sent_audio(exchange.record, each.audio)
            number += 1

    def _object(self, audio: bytes, start: float, end: float) -> dict[str, Any]:
        return {
            "audio_base64": b64encode(audio).decode(),
            "alignment": _between(self._given, start, end),
            "normalized_alignment": _between(self._normalized, start, end),
        }


BROKEN = {"status": "internal_error", "message": "Something broke while it was being generated."}
"""How the vendor reports an error inside such a stream is not documented: its legacy shape."""


def normalized(text: str) -> str:
    """Return what is really spoken: digits as words. The vendor's own rules are many more."""
    return "".join(DIGITS[int(char)] if char in "0123456789" else char for char in text)


def _between(alignment: Alignment, start: float, end: float) -> dict[str, list[Any]] | None:
    """Return the characters that begin in [start, end) seconds, or None where none does."""
    rows = zip(alignment.chars, alignment.starts_ms, alignment.durations_ms, strict=True)
    kept = [
        (char, began / 1000, (began + length) / 1000)
        for char, began, length in rows
        if start <= began / 1000 < end
    ]
    if not kept:
        return None
    return {
        "characters": [char for char, _, _ in kept],
        "character_start_times_seconds": [began for _, began, _ in kept],
        "character_end_times_seconds": [ended for _, _, ended in kept],
    }


def _line(value: Any) -> bytes:
    return as_json(value) + b"\n"
