"""Speech of a user's own engine behaves as the built-in clients' does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit import (
    AudioChunk,
    AudioFormat,
    ClosedError,
    EngineSpeech,
    Event,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    Limits,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    Word,
    deadline,
)
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio

TEN_MS = bytes(480)


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class Engine:
    """Gives what its script says: bytes, seconds to wait, errors to raise."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.given = 0
        self.closed = 0
        self.tasks: set[asyncio.Task[Any] | None] = set()

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for step in self.script:
                self.tasks.add(asyncio.current_task())
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    self.given += 1
                    yield step
        finally:
            await asyncio.sleep(0)  # closing may take its time
            self.closed += 1


def speech_of(*script: Any, **options: Any) -> tuple[Engine, EngineSpeech]:
    engine = Engine(*script)
    return engine, EngineSpeech(engine(), **{"format": "pcm_24000", **options})


def engine_tasks() -> list[str]:
    return [t.get_name() for t in asyncio.all_tasks() if t.get_name() == "voicekit-engine"]


class TestReading:
    async def test_chunks_are_whole_samples_in_order_and_know_their_format(self):
        """Pieces may end anywhere; what comes out never ends inside a sample."""
        engine, speech = speech_of(TEN_MS + b"\1", b"", b"\2\3", bytearray(b"\4\5\6"))
        async with speech:
            chunks = [chunk async for chunk in speech]
        assert b"".join(chunks) == TEN_MS + bytes(range(1, 7))
        assert all(len(chunk) % 2 == 0 for chunk in chunks)
        assert {chunk.format.name for chunk in chunks} == {"pcm_24000"}
        assert speech.delivered_bytes == 486
        assert engine.closed == 1
        assert not engine_tasks()

    async def test_a_clip_has_words_and_timings(self):
        """Words of the engine's chunks are kept; the evidence is that of the built-in ones."""
        word = Word(text="ping", start=0.0, end=0.01)
        pcm = AudioFormat.parse("pcm_24000")
        _, speech = speech_of(0.25, AudioChunk(TEN_MS, pcm, (word,)), 0.5, TEN_MS)
        clip = await speech.clip()
        assert clip.words == (word,)
        assert clip.duration == 0.02
        assert clip.timings is not None
        assert clip.timings.first_output is not None
        assert clip.timings.total is not None
        assert clip.connection is None

    async def test_nothing_runs_before_it_is_opened_and_one_piece_ahead_then(self):
        """An engine that costs money makes no more than one piece that nobody asks for."""
        engine, speech = speech_of(*[TEN_MS] * 5)
        await asyncio.sleep(1)
        assert engine.given == 0
        async with speech:
            await asyncio.sleep(1)
            assert engine.given == 2
            await anext(speech)
            await anext(speech)
            await asyncio.sleep(1)
            assert engine.given == 3

    async def test_one_task_reads_throughout(self):
        """A generator with a timeout or a cancel scope of its own works."""
        engine, speech = speech_of(TEN_MS, 0.1, TEN_MS, TEN_MS)
        async with speech:
            while True:
                try:
                    await asyncio.create_task(anext(speech))
                except StopAsyncIteration:
                    break
        assert len(engine.tasks) == 1

    async def test_iterable_classes_serve_too(self):
        """Not only generators: their iterator is closed as well."""
        engine = Engine(TEN_MS, 9.0)

        class Chunks:
            def __aiter__(self) -> AsyncIterator[bytes]:
                return engine()

        async with EngineSpeech(Chunks(), format=AudioFormat.parse("pcm_24000")) as speech:
            await anext(speech)
        assert engine.closed == 1


class TestEnding:
    @pytest.mark.parametrize("how", ["aclose", "cancel", "leave"])
    async def test_ending_early_closes_the_engine_before_it_returns(self, how):
        """Nothing of it runs on, whether it was waiting or had a piece ready."""
        for script in ([TEN_MS, 9.0, TEN_MS], [TEN_MS] * 9):
            engine, speech = speech_of(*script)
            async with speech:
                await anext(speech)
                if how == "aclose":
                    await speech.aclose()
                elif how == "cancel":
                    await speech.cancel()
                    assert [chunk async for chunk in speech] == []
            assert engine.closed == 1
            assert not engine_tasks()

    async def test_one_that_was_never_opened_closes_its_iterable(self):
        """A generator that was begun elsewhere has something to free."""
        engine = Engine(TEN_MS, TEN_MS)
        chunks = engine()
        await anext(chunks)
        speech = EngineSpeech(chunks, format="pcm_24000")
        await speech.aclose()
        assert engine.closed == 1
        with pytest.raises(ClosedError):
            await speech

    async def test_cancelling_a_reader_loses_nothing(self):
        """Entered, the stream goes on where it was."""
        _, speech = speech_of(TEN_MS, 1.0, b"\1\2", 1.0, b"\3\4")
        async with speech:
            await anext(speech)
            reader = asyncio.create_task(anext(speech))
            await asyncio.sleep(0.5)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert [bytes(chunk) async for chunk in speech] == [b"\1\2", b"\3\4"]

    async def test_cancelling_a_stream_that_nobody_entered_frees_it(self):
        """Nobody else would."""
        engine, speech = speech_of(TEN_MS, 9.0)
        await anext(speech)
        reader = asyncio.create_task(anext(speech))
        await asyncio.sleep(0.5)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert engine.closed == 1

    async def test_cancelling_the_opening_frees_it(self):
        """As in every client."""
        engine, speech = speech_of(9.0, TEN_MS)
        opening = asyncio.ensure_future(speech.__aenter__())
        await asyncio.sleep(0.5)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert engine.closed == 1
        assert not engine_tasks()

    async def test_an_engine_that_fails_while_it_is_closed_is_logged_by_name(self, caplog):
        """And does not take the caller with it."""

        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield TEN_MS
                yield TEN_MS
            finally:
                raise OSError("a secret")

        async with EngineSpeech(chunks(), format="pcm_24000") as speech:
            await anext(speech)
        assert "OSError" in caplog.text
        assert "secret" not in caplog.text


class TestErrors:
    async def test_an_engine_that_breaks_says_what_was_delivered(self):
        """Whatever it raises is the cause; its message may be content and is not repeated."""
        engine, speech = speech_of(TEN_MS, TEN_MS, RuntimeError("spoken words"), provider="mine")
        got = []
        async with speech:
            got += [await anext(speech), await anext(speech)]
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(speech)
        assert b"".join(got) == TEN_MS * 2
        assert caught.value.delivered_bytes == 960
        cause = caught.value.__cause__
        assert isinstance(cause, UnavailableError)
        assert cause.provider == "mine"
        assert isinstance(cause.__cause__, RuntimeError)
        assert "spoken words" not in str(caught.value)
        assert engine.closed == 1

    async def test_an_engine_that_cannot_begin_is_unavailable(self):
        """So that a fallback may take over."""
        _, speech = speech_of(OSError("no model"))
        with pytest.raises(UnavailableError, match="OSError") as caught:
            await speech
        assert caught.value.retryable

    async def test_an_error_of_ours_stays_what_it_is(self):
        """An engine that raises the right class is believed."""
        refusal = InvalidArgumentError("got 'x'", argument="voice", allowed="a known one")
        _, speech = speech_of(refusal)
        with pytest.raises(InvalidArgumentError) as caught:
            await speech
        assert caught.value is refusal

    @pytest.mark.parametrize("script", [(), (b"", b""), (b"\1",)])
    async def test_no_audio_is_an_error(self, script):
        """Silence that nobody asked for is never taken for success."""
        _, speech = speech_of(*script)
        with pytest.raises(RemoteProtocolError):
            await speech

    async def test_an_end_inside_a_sample_is_an_error(self):
        """What came before it is delivered."""
        _, speech = speech_of(TEN_MS, b"\1")
        async with speech:
            assert await anext(speech) == TEN_MS
            with pytest.raises(StreamInterruptedError):
                await anext(speech)

    async def test_a_wav_header_is_no_sound(self):
        """As with the providers: silence behind a header is an error too."""
        _, speech = speech_of(bytes(44), format="wav_24000")
        with pytest.raises(RemoteProtocolError, match="no audio"):
            await speech

    @pytest.mark.parametrize(("chunks", "told"), [("text", "str"), ([b"x"], "list")])
    async def test_what_is_no_async_iterable_is_refused_at_once(self, chunks, told):
        """By its type, never by its value."""
        with pytest.raises(InvalidArgumentError, match=told):
            EngineSpeech(chunks, format="pcm_24000")

    async def test_pieces_that_are_no_bytes_are_refused(self):
        """A list of samples would be noise."""
        _, speech = speech_of([1, 2, 3])
        with pytest.raises(InvalidArgumentError, match="list"):
            await speech


class TestLimits:
    async def test_the_first_output_is_limited(self):
        """And the engine is stopped."""
        engine, speech = speech_of(9.0, TEN_MS, limits=Limits(first_output=1.0))
        with pytest.raises(FirstOutputTimeout):
            await speech
        assert engine.closed == 1

    async def test_the_gaps_are_limited(self):
        """Counted while the consumer waits."""
        engine, speech = speech_of(TEN_MS, 9.0, limits=Limits(gap=1.0))
        async with speech:
            await anext(speech)
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(speech)
        assert isinstance(caught.value.__cause__, GapTimeout)
        assert engine.closed == 1

    async def test_a_deadline_bounds_it(self):
        """The ambient one, as for every call of voicekit."""
        engine, speech = speech_of(9.0, TEN_MS)
        with deadline(1.0), pytest.raises(TotalTimeout):
            await speech
        assert engine.closed == 1

    async def test_observers_see_the_call(self):
        """Begun, first output, ended: with the engine's name."""
        seen: list[Event] = []

        class Watcher:
            def on_event(self, event: Event, /) -> None:
                seen.append(event)

        _, speech = speech_of(TEN_MS, provider="tones", observers=[Watcher()])
        await speech.clip()
        assert [type(event).__name__ for event in seen] == [
            "CallStarted",
            "AttemptStarted",
            "FirstOutput",
            "CallEnded",
        ]
        assert {event.provider for event in seen} == {"tones"}
