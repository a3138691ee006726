"""A live transcription of the recording, and the account of what was heard of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from operations import Row, Taken
from recording import FRAME, PCM, SPOKEN, WORDS
from world import Reference

from faults import LIVE, sockets
from frames import Line
from voicekit.errors import VoicekitError
from voicekit.speech import TranscriptionGap, TranscriptionResult

if TYPE_CHECKING:
    from cell import Cell

Pause = Callable[[int], float]
"""Seconds of silence before the frame of that number; 0 is the usual pace."""


def listens(row: Row) -> bool:
    return row.name == "open_transcription"


def listening_only(row: Row) -> str:
    return sockets(row) or (LIVE if listens(row) else "only transcriptions are dialled again")


def spoken_to(cell: Cell, **options: Any) -> None:
    """From now on the row of ``cell`` is the transcription of the recording."""
    cell.row = replace(cell.row, ask=partial(transcribe, **options))
    cell.server.relay_port = cell.world.listening.endpoint("deepgram").port
    cell.reference = Reference(None, WORDS)


async def transcribe(
    client: Any,
    got: Taken,
    *,
    pause: Pause = lambda _: 0.0,
    pace: float = 0.001,
    opened: Callable[[Any], None] = lambda _: None,
    **options: Any,
) -> None:
    """The recording, many times as fast as it was spoken; ``got`` is every final word.

    What is reported as a gap counts as accounted for.

    Args:
        client: Whose session it is.
        got: What was heard, or is known to be lost.
        pause: Of the speaker.
        pace: Seconds from one frame to the next.
        opened: Told of the session, before it opens.
        **options: Of the session.
    """
    session = client.open_transcription(format="pcm_16000", **options)
    opened(session)
    async with session:
        speaking = asyncio.create_task(_speak(session, pause, pace))
        try:
            gaps: list[TranscriptionGap] = []
            async for result in session:
                if isinstance(result, TranscriptionGap):
                    gaps.append(result)
                elif isinstance(result, TranscriptionResult) and result.is_final:
                    for word in result.words:
                        await _account(got, gaps, word.text)
            await _account(got, gaps, "")
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
            if not speaking.cancelled():
                speaking.result()


async def _account(got: Taken, gaps: Sequence[TranscriptionGap], text: str) -> None:
    """What was lost before this word, as the gaps have it; then the word."""
    names = [word.text for word in SPOKEN.words]
    at = len(bytes(got).split())
    until = names.index(text) if text in names else len(names)
    for word in SPOKEN.words[at:until]:
        if any(gap.start < word.end and word.start < gap.end for gap in gaps):
            await got.took(f"{word.text} ".encode())
    if text:
        await got.took(f"{text} ".encode())


async def _speak(session: Any, pause: Pause, pace: float) -> None:
    with contextlib.suppress(VoicekitError):  # who iterates is told
        for number in range(len(PCM) // FRAME):
            await asyncio.sleep(pause(number) or pace)
            await session.send(PCM[number * FRAME : (number + 1) * FRAME])
        await asyncio.sleep(pause(len(PCM) // FRAME))
        await session.finish()


def spans(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Which bytes of the recording each line was sent, by the server's journal."""
    found = []
    for line in lines:
        audio = line.audio
        if audio:
            start = PCM.find(audio[:64])
            assert PCM[start : start + len(audio)] == audio, "it was sent something else"
            found.append((start, start + len(audio)))
    return found


def check_nothing_lost(lines: Sequence[Line]) -> None:
    """Every byte of the recording was sent to somebody."""
    reached = 0
    for start, end in spans(lines):
        assert start <= reached, f"{start - reached} bytes were sent to nobody"
        reached = max(reached, end)
    assert reached == len(PCM), f"{len(PCM) - reached} bytes at the end were sent to nobody"
