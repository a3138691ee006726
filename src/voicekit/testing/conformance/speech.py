"""Checks of a ``Synthesizer``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat
from voicekit.testing.conformance import handles, requests
from voicekit.testing.conformance.watching import no_dialling, nothing_left, refusal, require

if TYPE_CHECKING:
    from voicekit.interfaces import Synthesizer

MakeSynthesizer = Callable[[], "Synthesizer"]
TEXT: Final = "Hello there. This is a test."
OTHER: Final = "Something else."


async def request_is_frozen_and_does_no_io(make: MakeSynthesizer) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    async with make() as voice:
        requests.frozen_and_alone(lambda: voice.request(TEXT), "text")
        request = voice.request(TEXT)
        require(request.text == TEXT, "a request's text must be the text given")
        require(isinstance(request.format, AudioFormat), "a request's format must be AudioFormat")


async def identity_tells_requests_apart(make: MakeSynthesizer) -> None:
    """Equal for equal requests; different for another text, and another format if there is one."""
    async with make() as voice:
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


async def empty_text_is_refused_before_io(make: MakeSynthesizer) -> None:
    """Nothing to say is an ``InvalidArgumentError``, before anything is dialled."""
    async with make() as voice:
        requests.refused_by_request(lambda: voice.request(""), "an empty text")

        async def speak() -> None:
            await voice.synthesize("")

        with no_dialling("an empty text must be refused before any I/O"):
            error = await refusal(speak(), "synthesize() must refuse an empty text")
        require(
            isinstance(error, InvalidArgumentError),
            f"an empty text must raise InvalidArgumentError, not {type(error).__name__}",
        )


async def speech_is_whole_and_as_it_is_made(make: MakeSynthesizer) -> None:
    """A clip, and the same as a stream of bytes, in whole samples and the format asked for."""
    async with nothing_left(), make() as voice:
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


async def handle_moves_between_tasks(make: MakeSynthesizer) -> None:
    """Opened, iterated and closed in three tasks."""
    async with nothing_left(), make() as voice:
        await handles.in_three_tasks(lambda: voice.stream_speech(TEXT))


async def handle_is_made_without_io(make: MakeSynthesizer) -> None:
    """Making one dials nothing and starts nothing."""
    async with nothing_left(), make() as voice:
        with no_dialling("making a handle must do no I/O"):
            await handles.made_without_io(lambda: voice.stream_speech(TEXT))


async def leaving_early_frees_everything(make: MakeSynthesizer) -> None:
    """After one chunk; closing again is fine."""
    async with nothing_left(), make() as voice:
        await handles.left_early(lambda: voice.stream_speech(TEXT))


async def cancel_ends_iteration_quietly(make: MakeSynthesizer) -> None:
    """Barge-in from another task is no error for whoever listens."""
    async with nothing_left(), make() as voice:
        await handles.cancelled_quietly(lambda: voice.stream_speech(TEXT))


async def cancelled_reader_leaves_nothing(make: MakeSynthesizer) -> None:
    """A task that is cancelled as it iterates ends as cancelled."""
    async with nothing_left(), make() as voice:
        await handles.reader_cancelled(lambda: voice.stream_speech(TEXT))


async def cancelled_opening_leaves_nothing(make: MakeSynthesizer) -> None:
    """Cancelled early, late, or just before the first audio."""

    async def open_speech(voice: Any) -> None:
        async with voice.stream_speech(TEXT):
            pass

    for turns in (0, 1, 3, 10):
        await requests.cancelled_while_it_opens(make, open_speech, turns)


async def closing_twice_and_using_afterwards(make: MakeSynthesizer) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    voice = make()
    await requests.closes_twice_and_refuses(voice, lambda: voice.synthesize(TEXT))
    used = make()
    await used.synthesize(TEXT)
    await requests.closes_twice_and_refuses(used, lambda: used.synthesize(TEXT))


SYNTHESIZER_CHECKS: Final[tuple[Callable[[MakeSynthesizer], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    empty_text_is_refused_before_io,
    speech_is_whole_and_as_it_is_made,
    handle_is_made_without_io,
    handle_moves_between_tasks,
    leaving_early_frees_everything,
    cancel_ends_iteration_quietly,
    cancelled_reader_leaves_nothing,
    cancelled_opening_leaves_nothing,
    closing_twice_and_using_afterwards,
)
"""Of a ``Synthesizer``: each takes a function that makes one."""
