"""Pauses, spans and decoding of the Deepgram twin, without I/O."""

from __future__ import annotations

import asyncio
import math
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekit.emulator import g711
from voicekit.emulator.codecs import UnsupportedFormat, wav_header
from voicekit.emulator.providers.deepgram_listen import (
    FinalDue,
    Hear,
    InterimDue,
    Listener,
    SpeechStartedDue,
    UtteranceEndDue,
)
from voicekit.emulator.providers.deepgram_outbox import Outbox, Pending
from voicekit.emulator.stream_decoder import StreamDecoder

RATE = 8000


def tone(seconds: float) -> bytes:
    count = round(seconds * RATE)
    return array("h", (round(8000 * math.sin(i / 3)) for i in range(count))).tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def listen(audio: bytes, *, cut: int = 1 << 30, **options: Any) -> list[Any]:
    """Feed audio in pieces of `cut` bytes to its end."""
    listener = Listener(sample_rate=RATE, **{"endpointing": 0.01, **options})
    dues: list[Any] = []
    for offset in range(0, len(audio), cut):
        dues += listener.feed(audio[offset : offset + cut])
    return [*dues, *listener.finalize(requested=False)]


def of(dues: list[Any], kind: type) -> list[Any]:
    return [due for due in dues if isinstance(due, kind)]


def test_a_pause_ends_an_utterance_and_a_gap_does_not() -> None:
    """A quarter of a second between words is no pause, four tenths are."""
    dues = listen(tone(0.5) + silence(0.25) + tone(0.5) + silence(0.4) + tone(0.5))
    finals = of(dues, FinalDue)
    assert [round(due.end, 2) for due in finals] == [1.56, 2.15]
    assert all(due.speech_final for due in finals)


def test_endpointing_adds_to_the_pause() -> None:
    """A larger `endpointing` waits so much longer."""
    audio = tone(0.5) + silence(2.0)
    for endpointing in (0.0, 0.5, 1.0):
        (final, _) = of(listen(audio, endpointing=endpointing), FinalDue)
        assert final.end == pytest.approx(0.5 + 0.3 + endpointing, abs=0.02)


def test_silence_alone_is_no_utterance() -> None:
    """Without energy nothing ends by endpointing, yet every few seconds are covered."""
    finals = of(listen(silence(12.0)), FinalDue)
    assert [due.voiced for due in finals] == [False] * len(finals)
    assert [due.speech_final for due in finals] == [False, False, True]
    assert max(due.end - due.start for due in finals) < 10


def test_a_click_is_no_speech() -> None:
    """Two loud frames do not start speech."""
    dues = listen(silence(0.3) + tone(0.02) + silence(0.5))
    assert of(dues, SpeechStartedDue) == []


def test_speech_started_once_per_utterance() -> None:
    """Speech starts where the energy does, once until a pause has ended it."""
    dues = listen(silence(0.3) + tone(0.4) + silence(0.1) + tone(0.4) + silence(0.5) + tone(0.2))
    assert [round(due.at, 1) for due in of(dues, SpeechStartedDue)] == [0.3, 1.7]


def test_utterance_end_once_per_gap() -> None:
    """The gap counts from the last speech and fires once."""
    dues = listen(tone(0.5) + silence(3.0), utterance_end=1.0)
    (end,) = of(dues, UtteranceEndDue)
    assert end.last_speech == pytest.approx(0.5, abs=0.02)


def test_interims_restart_with_every_span() -> None:
    """An interim falls due a second after the last result and names the span under way."""
    dues = listen(tone(1.3) + silence(0.4) + tone(1.2), interim_every=0.5)
    interims = [(round(due.start, 1), round(due.end, 1)) for due in of(dues, InterimDue)]
    assert interims == [(0.0, 0.5), (0.0, 1.0), (0.0, 1.5), (1.6, 2.1), (1.6, 2.6)]


@pytest.mark.anyio
async def test_results_leave_in_order() -> None:
    """A slow decoding holds back what follows; one that was cancelled is skipped."""
    loop = asyncio.get_running_loop()
    outbox = Outbox()
    slow: asyncio.Future[str] = loop.create_future()

    async def hear() -> str:
        return await slow

    async def sends(message: dict[str, Any]) -> None:
        sent.append(message["text"])

    sent: list[str] = []
    first, dropped = asyncio.create_task(hear()), asyncio.create_task(asyncio.sleep(60))
    outbox.put(Pending(lambda text: {"text": text}, first))
    outbox.put(Pending(lambda _: {"text": "dropped"}, dropped))
    outbox.say({"text": "last"})
    outbox.end()
    draining = asyncio.create_task(outbox.drain(sends))
    await asyncio.sleep(0)
    assert sent == []
    dropped.cancel()
    slow.set_result("first")
    await draining
    assert sent == ["first", "last"]
    assert outbox.empty


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=6),
    st.integers(1, 5000),
)
def test_however_audio_is_cut(parts: list[tuple[bool, int]], cut: int) -> None:
    """Spans tile the audio, every sample is heard once, and the cuts of frames do not matter."""
    audio = b"".join((tone if loud else silence)(hundredths / 100) for loud, hundredths in parts)
    dues = listen(audio, cut=cut + cut % 2)
    assert b"".join(due.pcm for due in of(dues, Hear)) == audio
    position = 0.0
    for due in of(dues, FinalDue):
        assert due.start == position
        position = due.end
    assert position == pytest.approx(len(audio) / 2 / RATE)
    whole = [due for due in listen(audio) if not isinstance(due, Hear)]
    assert [due for due in dues if not isinstance(due, Hear)] == whole


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "mulaw", "alaw", None])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("cut", [1, 3, 640, 100_000])
def test_decoding_however_it_is_cut(encoding: str | None, split: bool, cut: int) -> None:
    """Every encoding gives whole samples per channel, wherever frames are cut."""
    left, right = array("h", range(0, 2000, 4)), array("h", range(0, -2000, -4))
    stereo = array("h", [s for pair in zip(left, right, strict=True) for s in pair]).tobytes()
    match encoding:
        case "linear32":
            data = b"".join(b"\x12\x34" + stereo[at : at + 2] for at in range(0, len(stereo), 2))
        case "mulaw" | "alaw":
            data = g711.encode(encoding, stereo)
        case None:
            header = bytearray(wav_header(RATE, len(stereo)))
            header[22:24] = (2).to_bytes(2, "little")
            data = bytes(header) + stereo
        case _:
            data = stereo
    decoder = StreamDecoder(encoding, sample_rate=RATE, channels=2, split=split)
    heard: list[bytes] = []
    for offset in range(0, len(data), cut):
        pieces = decoder.feed(data[offset : offset + cut])
        heard = heard or [b""] * len(pieces)
        heard = [old + new for old, new in zip(heard, pieces, strict=True)] if pieces else heard
    assert decoder.sample_rate == RATE
    assert len(heard) == decoder.channels == (2 if split else 1)
    first = array("h", heard[0])
    assert len(first) == len(left)
    expected = left if split else array("h", bytes(len(first) * 2))
    assert all(abs(a - b) <= 64 for a, b in zip(first, expected, strict=True))


def test_chunks_after_the_samples_are_not_heard() -> None:
    """A WAV's trailing metadata is no audio, however it is cut."""
    data = wav_header(RATE, 400) + bytes(400) + b"LIST" + bytes(60)
    decoder = StreamDecoder(None, sample_rate=0, channels=1, split=False)
    heard = [
        piece for at in range(0, len(data), 100) for piece in decoder.feed(data[at : at + 100])
    ]
    assert sum(map(len, heard)) == 400


def test_what_is_no_wav_is_refused() -> None:
    """Without an encoding only a WAV is read."""
    with pytest.raises(UnsupportedFormat):
        StreamDecoder(None, sample_rate=0, channels=1, split=False).feed(b"OggS" + bytes(60))
