"""Checks of a ``Synthesizer``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat
from voicekit.testing.conformance import handles, requests
from voicekit.testing.conformance.watching import leaving_nothing, require, with_engine

if TYPE_CHECKING:
    from voicekit.interfaces import Synthesizer

MakeSynthesizer = Callable[[], "Synthesizer"]
TEXT: Final = "Hello there. This is a test."
OTHER: Final = "Something else."


@with_engine
async def request_is_frozen_and_does_no_io(voice: Synthesizer) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    requests.frozen_and_alone(lambda: voice.request(TEXT), "text")
    request = voice.request(TEXT)
    require(request.text == TEXT, "a request's text must be the text given")
    require(isinstance(request.format, AudioFormat), "a request's format must be AudioFormat")


@with_engine
async def identity_tells_requests_apart(voice: Synthesizer) -> None:
    """Equal for equal requests; different for another text, and another format if there is one."""
    one = voice.request(TEXT)
    others = {"text": voice.request(OTHER)}
    for name in ("pcm_16000", "pcm_24000", "pcm_8000"):
        try:
            other = voice.request(TEXT, format=name)
        except (InvalidArgumentError, TypeError):
            continue
        if other.format != one.format:
            others["format"] = other
    requests.identities((one, voice.request(TEXT)), others)


@with_engine
async def empty_text_is_refused_before_io(voice: Synthesizer) -> None:
    """Nothing to say is an ``InvalidArgumentError``, before anything is dialled."""
    await requests.refused_before_io(voice, "synthesize", "", "an empty text")


@leaving_nothing
@with_engine
async def speech_is_whole_and_as_it_is_made(voice: Synthesizer) -> None:
    """A clip, and the same as a stream of bytes, in whole samples and the format asked for."""
    clip = await voice.synthesize(TEXT)
    require(clip.data, "synthesize() must give audio")
    request = voice.request(TEXT)
    require(clip.format == request.format, "a clip must be of the request's format")
    again = await voice.synthesize(request)
    require(again.data, "synthesize() must take a request")
    chunks = await handles.awaited_and_entered(
        lambda: voice.stream_speech(TEXT), bytes, "an audio chunk"
    )
    streamed = sum(len(chunk) for chunk in chunks)
    require(
        0.5 < streamed / len(clip.data) < 2.0,
        "a stream must give about as much audio as a clip of the same text",
    )
    if clip.format.encoding == "pcm":
        require(len(clip.data) % 2 == 0, "a clip must end with a whole sample")
        require(all(len(chunk) % 2 == 0 for chunk in chunks), "a chunk must hold whole samples")


HANDLE_CHECKS: Final = handles.checks_of(lambda voice: voice.stream_speech(TEXT))
(
    handle_is_made_without_io,
    handle_moves_between_tasks,
    leaving_early_frees_everything,
    cancel_ends_iteration_quietly,
    cancelled_reader_leaves_nothing,
    cancelled_opening_leaves_nothing,
) = HANDLE_CHECKS


async def closing_twice_and_using_afterwards(make: MakeSynthesizer) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    await requests.closed_is_closed(make, lambda voice: voice.synthesize(TEXT))


SYNTHESIZER_CHECKS: Final[tuple[Callable[[MakeSynthesizer], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    empty_text_is_refused_before_io,
    speech_is_whole_and_as_it_is_made,
    *HANDLE_CHECKS,
    closing_twice_and_using_afterwards,
)
"""Of a ``Synthesizer``: each takes a function that makes one."""
