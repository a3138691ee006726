"""Checks of a ``Transcriber``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.speech import AudioFormat, Transcript
from voicekit.speech.wav import wav_header
from voicekit.testing.conformance import requests
from voicekit.testing.conformance.watching import leaving_nothing, require, with_engine

if TYPE_CHECKING:
    from voicekit.interfaces import Transcriber

MakeTranscriber = Callable[[], "Transcriber"]


def _square(frequency_hz: int) -> bytes:
    """A second of a square wave as a WAV file: sound enough for any engine to accept."""
    rate = 16000
    half = rate // (2 * frequency_hz)
    wave = b"\x00\x10" * half + b"\x00\xf0" * half
    samples = (wave * (rate // (2 * half) + 1))[: 2 * rate]
    return wav_header(AudioFormat.parse("pcm_16000"), len(samples)) + samples


AUDIO: Final = _square(200)
OTHER_AUDIO: Final = _square(400)


@with_engine
async def request_is_frozen_and_does_no_io(ears: Transcriber) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    requests.frozen_and_alone(lambda: ears.request(AUDIO), "audio")


@with_engine
async def identity_tells_requests_apart(ears: Transcriber) -> None:
    """Equal for equal recordings in memory; different for another recording."""
    same = (ears.request(AUDIO), ears.request(bytes(bytearray(AUDIO))))
    requests.identities(same, {"recording": ears.request(OTHER_AUDIO)})


@with_engine
async def empty_audio_is_refused_before_io(ears: Transcriber) -> None:
    """Nothing to hear is an ``InvalidArgumentError``, before anything is dialled."""
    await requests.refused_before_io(ears, "transcribe", b"", "an empty recording")


@leaving_nothing
@with_engine
async def transcripts_are_values(ears: Transcriber) -> None:
    """A ``Transcript``, of audio as of a request made before."""
    for audio in (AUDIO, ears.request(AUDIO)):
        transcript = await ears.transcribe(audio)
        require(isinstance(transcript, Transcript), "transcribe() must give a Transcript")
        require(isinstance(transcript.text, str), "a transcript's text must be a str")


async def cancelled_call_leaves_nothing(make: MakeTranscriber) -> None:
    """Cancelled early or late."""
    await requests.cancelled_at_any_time(make, lambda ears: ears.transcribe(AUDIO))


async def closing_twice_and_using_afterwards(make: MakeTranscriber) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    await requests.closed_is_closed(make, lambda ears: ears.transcribe(AUDIO))


TRANSCRIBER_CHECKS: Final[tuple[Callable[[MakeTranscriber], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    empty_audio_is_refused_before_io,
    transcripts_are_values,
    cancelled_call_leaves_nothing,
    closing_twice_and_using_afterwards,
)
"""Of a ``Transcriber``: each takes a function that makes one."""
