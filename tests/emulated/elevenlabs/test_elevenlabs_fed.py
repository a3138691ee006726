"""Speech from an async iterable: one handle, whatever becomes of the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
from speaking import VOICE, heard, pieces, right, speaking

from fault_limits import SHORT
from settling import call_tasks, eventually
from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.deadlines import deadline
from voicekit.emulator import Fault
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    InvalidArgumentError,
    LocalProtocolError,
    StreamInterruptedError,
    VoicekitError,
)

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

ANSWER = (
    "We are open from nine until six, Monday through Friday, and on Saturdays from ten. "
    "Is there anything else that I can do for you today? "
)


class Text:
    """A model's stream, like ``TextStream``: iterable, with an ``aclose`` of its own."""

    def __init__(self, *texts: Any, then: BaseException | None = None, hang: bool = False) -> None:
        self.texts = list(texts)
        self.then = then
        self.hang = hang
        self.asked = 0
        self.closed = 0
        self.cancelled = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self.asked += 1
        if self.texts:
            return self.texts.pop(0)
        if self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        if self.then is not None:
            raise self.then
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


async def test_it_behaves_as_one_stream() -> None:
    """Awaited, entered, or simply iterated to the end, with its evidence."""
    async with speaking() as (world, tts):
        words = [f"{word} " for word in ANSWER.split()]
        async with tts.stream_speech(pieces(words)) as speech:
            audio = await heard(speech)
        record = world.journal.requests_for("elevenlabs", "speech.socket")[0]
        assert audio == world.journal.audio(record)
        assert speech.delivered_s == pytest.approx(len(ANSWER) * 0.06)
        assert speech.format.name == "pcm_8000"
        assert speech.connection is not None
        assert speech.timings.first_output is not None
        assert speech.attempts == 1
        assert speech.usage is None
        opened = await tts.stream_speech(Text("Short. "))
        assert right(await heard(opened), "Short. ")
        assert right(await heard(tts.stream_speech(Text("Short. "))), "Short. ")
        clip = await tts.stream_speech(Text("Short. ")).clip()
        assert right(clip.data, "Short. ")
        assert call_tasks() == []


async def test_no_text_is_no_speech() -> None:
    """A model that only calls tools says nothing: an empty stream, and a warm socket."""
    async with speaking() as (world, tts):
        for text in (Text(), Text("", " ", "\n")):
            assert await heard(tts.stream_speech(text)) == b""
            assert text.closed == 1
        assert right(await heard(tts.stream_speech(Text("Now. "))), "Now. ")
        assert len(world.journal.requests_for("elevenlabs", "speech.socket")) == 1


async def test_a_failing_text_ends_the_speech_with_its_own_error() -> None:
    """What was heard is delivered, then the text's error is raised, as it is."""
    failures: list[Exception] = [
        ZeroDivisionError("the model"),
        StreamInterruptedError("the model broke", delivered_characters=5, provider="openai"),
    ]
    for failure in failures:
        async with speaking() as (world, tts):
            text = Text(ANSWER[:84], then=failure)
            got: list[bytes] = []

            async def read(text: Text, got: list[bytes], tts: Any = tts) -> None:
                async for chunk in tts.stream_speech(text):
                    got.append(chunk)

            with pytest.raises(type(failure)) as caught:
                await read(text, got)
            assert caught.value is failure
            assert text.closed == 1
            if isinstance(failure, VoicekitError):
                assert (failure.provider, failure.delivered_characters) == ("openai", 5)  # type: ignore[attr-defined]
            assert await eventually(lambda: call_tasks() == [])
            assert right(await heard(tts.stream_speech(Text("Next. "))), "Next. ")
            assert len(world.journal.requests_for("elevenlabs", "speech.socket")) == 1


async def test_a_text_that_fails_before_the_socket_is_open() -> None:
    """Its error is raised where the handle is opened, and the opening ends at once."""
    async with speaking() as (world, tts):
        world.inject("elevenlabs", Fault("silence"))
        text = Text(then=ZeroDivisionError("the model"))
        async with asyncio.timeout(1):
            with pytest.raises(ZeroDivisionError):
                await tts.stream_speech(text)
        assert text.closed == 1


@pytest.mark.parametrize("bad", [5, b"bytes", None, "half \ud800"])
async def test_a_piece_that_is_no_text(bad: Any) -> None:
    """Typed, unquoted, and the iterable is closed."""
    async with speaking() as (_, tts):
        text = Text("Fine. ", bad)
        with pytest.raises(InvalidArgumentError) as caught:
            await heard(tts.stream_speech(text))
        assert "half" not in str(caught.value)
        assert text.closed == 1


@pytest.mark.parametrize("how", ["cancel", "aclose", "leave", "break"])
async def test_ending_early_ends_the_text(how: str) -> None:
    """Barge-in: the reading is cancelled, the iterable closed, the socket kept."""
    async with speaking() as (world, tts):
        text = Text(ANSWER, hang=True)
        async with tts.stream_speech(text) as speech:
            assert await anext(speech)
            if how == "cancel":
                await speech.cancel()
                assert speech.cancelled
            elif how == "aclose":
                await speech.aclose()
            elif how == "break":
                async for _ in speech:
                    break
            if how in {"cancel", "aclose"}:
                assert [chunk async for chunk in speech] == []
        assert text.cancelled
        assert text.closed == 1
        assert call_tasks() == []
        assert right(await heard(tts.stream_speech(Text("Next. "))), "Next. ")
        assert len(world.journal.requests_for("elevenlabs", "speech.socket")) == 1


async def test_an_async_generator_is_closed_where_it_stands() -> None:
    """Its ``finally`` has run by the time the handle is closed."""
    closed = []

    async def written() -> AsyncIterator[str]:
        try:
            yield ANSWER
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            closed.append(True)

    async with speaking() as (_, tts):
        async with tts.stream_speech(written()) as speech:
            assert await anext(speech)
        assert closed == [True]


async def test_an_unopened_handle_closes_its_text() -> None:
    """The iterable is ours once it was handed over."""
    async with speaking() as (_, tts):
        text = Text("Never said. ")
        speech = tts.stream_speech(text)
        await speech.aclose()
        assert (text.asked, text.closed) == (0, 1)
        with pytest.raises(ClosedError):
            await speech


async def test_a_handle_closed_before_its_reading_began() -> None:
    """Cancelled in the very step that opens it: the iterable is closed all the same."""
    async with speaking() as (_, tts):
        await tts.warm(1)
        text = Text("Never said. ")
        speech = tts.stream_speech(text)
        await speech.__aenter__()  # a warm socket needs no turn of the event loop
        assert text.asked == 0
        await speech.aclose()
        assert (text.asked, text.closed) == (0, 1)


async def test_a_refused_socket_ends_the_text() -> None:
    """The provider's error is raised where the handle is opened; the iterable is closed."""
    async with speaking() as (world, _):
        text = Text("Hello. ", hang=True)
        async with ElevenLabsClient("bad-key", base_url=world.elevenlabs.url, voice=VOICE) as tts:
            with pytest.raises(AuthenticationError):
                await tts.stream_speech(text)
            assert text.closed == 1
            assert call_tasks() == []


async def test_a_voice_that_fails_ends_the_text() -> None:
    """Its error is raised to the consumer, and nothing reads the text any more."""
    limits = {"stream_speech": SHORT}
    async with speaking(limits=limits) as (world, tts):
        world.inject("elevenlabs", Fault("ws_hang", after_events=2))
        text = Text(ANSWER, ANSWER, hang=True)
        with pytest.raises(StreamInterruptedError):
            await heard(tts.stream_speech(text))
        assert text.closed == 1
        assert call_tasks() == []


async def test_the_text_is_read_while_the_socket_is_opened() -> None:
    """A model's first token need not wait for a handshake, nor the handshake for it."""
    async with speaking() as (world, tts):
        world.inject("elevenlabs", Fault("silence", operation="speech.socket"))
        text = Text("Hello. ", hang=True)
        opening = asyncio.create_task(tts.stream_speech(text).__aenter__())
        assert await eventually(lambda: text.asked == 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert text.closed == 1
        assert call_tasks() == []


async def test_not_entered_and_cancelled_it_releases_itself() -> None:
    """Nobody else would: neither its socket nor its text stays behind."""
    async with speaking() as (_, tts):
        text = Text("Short. ", hang=True)
        reading = asyncio.create_task(heard(tts.stream_speech(text)))
        assert await eventually(lambda: text.asked == 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert text.closed == 1
        assert call_tasks() == []


async def test_entered_and_cancelled_it_loses_nothing() -> None:
    """A wait that is given up may be begun again."""
    async with speaking() as (_, tts):
        go = asyncio.Event()

        async def written() -> AsyncIterator[str]:
            await go.wait()
            yield "Late. "

        async with tts.stream_speech(written()) as speech:
            waiting = asyncio.create_task(anext(speech))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go.set()
            assert right(await heard(speech), "Late. ")


async def test_the_text_is_read_under_the_callers_deadline() -> None:
    """The iterable is the caller's code: what it asks of voicekit is bounded with the rest."""
    left = []

    async def written() -> AsyncIterator[str]:
        left.append(deadline(1000).__enter__().remaining())
        yield "Hello. "

    async with speaking() as (_, tts):
        with deadline(5):
            await heard(tts.stream_speech(written()))
    assert left[0] <= 5


async def test_three_tasks() -> None:
    """Entered, iterated and closed in different tasks: the same result."""
    async with speaking() as (_, tts):
        speech = tts.stream_speech(Text("Hello. "))
        await asyncio.create_task(speech.__aenter__())
        audio = await asyncio.create_task(heard(speech))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(audio, "Hello. ")


async def test_its_text_comes_from_one_place() -> None:
    """Nothing can be said beside the iterable."""
    async with speaking() as (_, tts), tts.stream_speech(Text("Hello. ")) as speech:
        for attempt in (speech.send("More. "), speech.flush(), speech.finish()):
            with pytest.raises(LocalProtocolError):
                await attempt
        assert right(await heard(speech), "Hello. ")


async def test_a_text_that_cannot_be_closed_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The speech is over by then; a line in the log says what happened, without the text."""

    class Stubborn(Text):
        async def aclose(self) -> None:
            raise ValueError("marked text")

    async with speaking() as (_, tts):
        assert right(await heard(tts.stream_speech(Stubborn("Hello. "))), "Hello. ")
    assert "ValueError" in caplog.text
    assert "marked" not in caplog.text
