"""Checks of a ``Transcriber``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat, Transcript
from voicekit.speech.wav import wav_header
from voicekit.testing.conformance import requests
from voicekit.testing.conformance.watching import no_dialling, nothing_left, refusal, require

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


async def request_is_frozen_and_does_no_io(make: MakeTranscriber) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    async with make() as ears:
        requests.frozen_and_alone(lambda: ears.request(AUDIO), "audio")


async def identity_tells_requests_apart(make: MakeTranscriber) -> None:
    """Equal for equal recordings in memory; different for another recording."""
    async with make() as ears:
        same = (ears.request(AUDIO), ears.request(bytes(bytearray(AUDIO))))
        requests.identities(same, {"recording": ears.request(OTHER_AUDIO)})


async def empty_audio_is_refused_before_io(make: MakeTranscriber) -> None:
    """Nothing to hear is an ``InvalidArgumentError``, before anything is dialled."""
    async with make() as ears:
        requests.refused_by_request(lambda: ears.request(b""), "an empty recording")

        async def hear() -> None:
            await ears.transcribe(b"")

        with no_dialling("an empty recording must be refused before any I/O"):
            error = await refusal(hear(), "transcribe() must refuse an empty recording")
        require(
            isinstance(error, InvalidArgumentError),
            f"an empty recording must raise InvalidArgumentError, not {type(error).__name__}",
        )


async def transcripts_are_values(make: MakeTranscriber) -> None:
    """A ``Transcript``, of audio as of a request made before."""
    async with nothing_left(), make() as ears:
        for audio in (AUDIO, ears.request(AUDIO)):
            transcript = await ears.transcribe(audio)
            require(isinstance(transcript, Transcript), "transcribe() must give a Transcript")
            require(isinstance(transcript.text, str), "a transcript's text must be a str")


async def cancelled_call_leaves_nothing(make: MakeTranscriber) -> None:
    """Cancelled early or late."""
    for turns in (0, 1, 3, 10):
        await requests.cancelled_while_it_opens(make, lambda ears: ears.transcribe(AUDIO), turns)


async def closing_twice_and_using_afterwards(make: MakeTranscriber) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    ears = make()
    await requests.closes_twice_and_refuses(ears, lambda: ears.transcribe(AUDIO))
    used = make()
    await used.transcribe(AUDIO)
    await requests.closes_twice_and_refuses(used, lambda: used.transcribe(AUDIO))


TRANSCRIBER_CHECKS: Final[tuple[Callable[[MakeTranscriber], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    empty_audio_is_refused_before_io,
    transcripts_are_values,
    cancelled_call_leaves_nothing,
    closing_twice_and_using_afterwards,
)
"""Of a ``Transcriber``: each takes a function that makes one."""
