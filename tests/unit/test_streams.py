"""One-way handles: opened once, read once, ended once, by whatever task does it."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit import events
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    GapTimeout,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    VoicekitError,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.speech import AudioChunk, AudioFormat
from voicekit.streams import Opened, SpeechStream, Stream, TextStream
from voicekit.testing.clock import VIRTUAL
from voicekit.timing import ConnectionInfo

pytestmark = pytest.mark.anyio

PCM = AudioFormat.parse("pcm_24000")


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class FakeResponse:
    """A body of pieces; a float is a pause, an exception is raised, the end is b""."""

    status = 200
    connection = ConnectionInfo(reused=True, id=3)

    def __init__(self, *script: Any, delimited: bool = True) -> None:
        self.headers = {"x-thing": "1"}
        self.delimited = delimited
        self.script = deque(script)
        self.aborted = 0
        self.released = 0
        self.waiter: asyncio.Future[None] | None = None
        self.error: VoicekitError | None = None

    async def chunk(self) -> bytes:
        while True:
            if self.error is not None:
                raise self.error
            step = self.script[0] if self.script else b""
            if isinstance(step, float):
                self.waiter = asyncio.get_running_loop().create_future()
                handle = asyncio.get_running_loop().call_later(step, self._wake)
                try:
                    await self.waiter
                finally:
                    handle.cancel()
                self.script.popleft()
                continue
            if self.script:
                self.script.popleft()
            if isinstance(step, Exception):
                raise step
            return bytes(step)

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def interrupt(self, error: VoicekitError) -> None:
        self.error = error
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(error)
        self.abort()

    def abort(self) -> None:
        self.aborted += 1

    def release(self) -> None:
        self.released += 1


class Words:
    """Each word is an item; "ping" is none, "END" the end, "!" an error of the provider."""

    def __init__(self) -> None:
        self.progress = 0
        self.done = False

    def feed(self, data: bytes) -> Any:
        for word in data.decode().split():
            if word == "END":
                self.done = True
                return
            if word == "!":
                raise RemoteProtocolError("an error in the stream")
            if word == "?":
                raise KeyError("marked content")
            if word != "ping":
                self.progress += 1
                yield word

    def eof(self, *, delimited: bool) -> Any:
        if not self.done and not delimited:
            raise ConnectionLostError("cut short")
        return ()


class Recorder:
    def __init__(self) -> None:
        self.ends: list[str] = []

    def on_event(self, event: events.Event, /) -> None:
        if isinstance(event, events.CallEnded):
            self.ends.append(event.result)


class Rig:
    """A stream over a scripted response."""

    def __init__(self, *script: Any, opens: float = 0.0, **limits: float | None) -> None:
        self.response = FakeResponse(*script)
        self.recorder = Recorder()
        self.opens = opens
        self.opened = 0
        operation = Operation(
            provider="testing",
            name="test",
            kind=OperationClass.COMPUTE,
            limits=Limits(**limits),
        )
        self.call = Call(operation, observer=self.recorder)
        self.stream: Stream[str] = Stream(self.open)

    async def open(self) -> Opened[str]:
        self.opened += 1
        try:
            await asyncio.sleep(self.opens)
        except BaseException as error:
            self.call.end(error)
            raise
        self.call.attempts += 1
        self.call.committed()
        return Opened(self.call, self.response, Words(), deque(["first"]))  # type: ignore[arg-type]


async def read(stream: Stream[str]) -> list[str]:
    return [item async for item in stream]


# -- the life of a stream ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["iterate", "await", "enter"])
async def test_opened_once_read_to_the_end(how: str) -> None:
    """Awaited, entered or just iterated: opened when first needed, and once."""
    rig = Rig(b"one two", b"ping", b"three END")
    assert rig.opened == 0
    if how == "await":
        assert await rig.stream is rig.stream
        await rig.stream
    if how == "enter":
        async with rig.stream as entered:
            assert await read(entered) == ["first", "one", "two", "three"]
    else:
        assert await read(rig.stream) == ["first", "one", "two", "three"]
    assert rig.opened == 1
    assert rig.response.released == 1
    assert rig.response.aborted == 0
    assert rig.recorder.ends == ["ok"]
    assert await read(rig.stream) == []


async def test_the_end_of_the_body_is_an_end() -> None:
    """Where the framing proves it; the decoder decides."""
    rig = Rig(b"one")
    assert await read(rig.stream) == ["first", "one"]
    assert rig.recorder.ends == ["ok"]


async def test_a_body_without_proof_of_its_end() -> None:
    """Is not taken for complete."""
    rig = Rig(b"one")
    rig.response.delimited = False
    with pytest.raises(StreamInterruptedError):
        await read(rig.stream)
    assert rig.recorder.ends == ["error"]


async def test_left_early() -> None:
    """The connection is aborted, the call is cancelled, and that is no error."""
    rig = Rig(b"one", 99.0)
    async with rig.stream as stream:
        assert await anext(stream) == "first"
    assert rig.response.aborted >= 1
    assert rig.recorder.ends == ["cancelled"]
    await rig.stream.aclose()
    assert await read(rig.stream) == []


async def test_never_opened() -> None:
    """Costs nothing, ends nothing, warns nobody; closed, it cannot be opened."""
    rig = Rig()
    await rig.stream.aclose()
    with pytest.raises(ClosedError):
        await rig.stream
    assert rig.opened == 0
    Rig().stream.__del__()
    assert rig.recorder.ends == []


async def test_an_opening_that_fails() -> None:
    """Raises what it raised, and the stream is over."""

    async def fail() -> Any:
        raise ConnectionLostError("no")

    stream: Stream[str] = Stream(fail)
    with pytest.raises(ConnectionLostError):
        await stream
    with pytest.raises(ClosedError):
        await stream


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [(b"one", b"two !"), (b"one two !",), (b"one", b"two", b"!")])
async def test_what_came_is_delivered_before_the_error(script: tuple[bytes, ...]) -> None:
    """However the pieces were cut, and the error is raised once."""
    rig = Rig(*script)
    got = []

    async def follow() -> None:
        async for item in rig.stream:
            got.append(item)

    with pytest.raises(StreamInterruptedError) as caught:
        await follow()
    assert got == ["first", "one", "two"]
    error = caught.value
    assert isinstance(error.__cause__, RemoteProtocolError)
    assert not error.retryable
    assert (error.provider, error.attempts) == ("testing", 1)
    assert rig.recorder.ends == ["error"]
    assert rig.response.aborted == 1
    assert await read(rig.stream) == []


async def test_a_decoder_that_chokes() -> None:
    """On what no one thought of: typed, closed, and without what it choked on."""
    rig = Rig(b"one", b"?")
    with pytest.raises(StreamInterruptedError) as caught:
        await read(rig.stream)
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteProtocolError)
    assert "KeyError" in str(cause)
    assert "marked" not in f"{cause!r} {caught.value!r}"
    assert rig.response.aborted == 1


async def test_the_gap() -> None:
    """Counts while the caller waits, pings or not."""
    rig = Rig(b"one", 4.0, b"ping", 99.0, gap=6.5)
    assert await anext(rig.stream) == "first"
    await asyncio.sleep(100)
    assert await anext(rig.stream) == "one"
    start = asyncio.get_running_loop().time()
    with pytest.raises(StreamInterruptedError) as caught:
        await anext(rig.stream)
    assert asyncio.get_running_loop().time() - start == pytest.approx(6.5)
    assert isinstance(caught.value.__cause__, GapTimeout)


async def test_the_total() -> None:
    """Ends even a lively stream; a consumer who comes too late learns it at once."""
    rig = Rig(*[1.0, b"x"] * 50, total=5.5)
    with pytest.raises(StreamInterruptedError) as caught:
        await read(rig.stream)
    assert isinstance(caught.value.__cause__, TotalTimeout)


# -- several tasks -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "aclose"])
async def test_ended_while_another_task_reads(how: str) -> None:
    """Its iteration ends quietly."""
    rig = Rig(b"one", 99.0)
    reading = asyncio.create_task(read(rig.stream))
    await asyncio.sleep(1)
    await getattr(rig.stream, how)()
    assert await reading == ["first", "one"]
    assert rig.stream.cancelled is (how == "cancel")
    assert rig.recorder.ends == ["cancelled"]


async def test_cancel_throws_away_what_was_not_read() -> None:
    """Barge-in: not another word."""
    rig = Rig(b"one two three END")
    assert await anext(rig.stream) == "first"
    assert await anext(rig.stream) == "one"
    await rig.stream.cancel()
    assert await read(rig.stream) == []
    assert rig.stream.cancelled


async def test_cancel_after_the_end_is_nothing() -> None:
    """It was complete."""
    rig = Rig(b"one END")
    await read(rig.stream)
    await rig.stream.cancel()
    assert not rig.stream.cancelled
    assert rig.recorder.ends == ["ok"]


async def test_two_readers() -> None:
    """Are a mistake of ours, said as such."""
    rig = Rig(1.0, b"one END")
    await anext(rig.stream)
    reading = asyncio.create_task(anext(rig.stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    with pytest.raises(LocalProtocolError):
        await anext(rig.stream)
    assert await reading == "one"
    await rig.stream.aclose()


async def test_two_openers() -> None:
    """Likewise."""
    rig = Rig(opens=1.0)
    opening = asyncio.create_task(rig.stream.__aenter__())
    await asyncio.sleep(0)
    with pytest.raises(LocalProtocolError):
        await rig.stream
    await opening
    await rig.stream.aclose()


@pytest.mark.parametrize("how", ["cancel", "aclose"])
async def test_ended_while_it_opens(how: str) -> None:
    """The opening ends at once, its task is not cancelled by it."""
    rig = Rig(opens=99.0)
    opening = asyncio.create_task(rig.stream.__aenter__())
    await asyncio.sleep(1)
    start = asyncio.get_running_loop().time()
    await getattr(rig.stream, how)()
    with pytest.raises(ClosedError):
        await opening
    assert asyncio.get_running_loop().time() == start
    assert not opening.cancelling()
    assert rig.recorder.ends == ["cancelled"]


async def test_an_iteration_cancelled_while_it_opens_ends_quietly() -> None:
    """As one that is cancelled later."""
    rig = Rig(opens=99.0)
    reading = asyncio.create_task(read(rig.stream))
    await asyncio.sleep(1)
    await rig.stream.cancel()
    assert await reading == []
    assert rig.stream.cancelled


async def test_cancelling_a_reader_inside_async_with() -> None:
    """Loses nothing: the next reader goes on."""
    rig = Rig(1.0, b"one END")
    async with rig.stream as stream:
        await anext(stream)
        reading = asyncio.create_task(stream.__anext__())  # type: ignore[arg-type]
        await asyncio.sleep(0.5)
        reading.cancel()
        await asyncio.wait([reading])
        assert await read(stream) == ["one"]
    assert rig.recorder.ends == ["ok"]


async def test_cancelling_a_reader_outside_async_with() -> None:
    """Releases the stream: nobody else would."""
    rig = Rig(99.0)
    await anext(rig.stream)
    reading = asyncio.create_task(rig.stream.__anext__())  # type: ignore[arg-type]
    await asyncio.sleep(0.5)
    reading.cancel()
    await asyncio.wait([reading])
    assert rig.response.aborted == 1
    assert rig.recorder.ends == ["cancelled"]


async def test_a_forgotten_stream() -> None:
    """Warns once, and frees its connection on its own loop."""
    rig = Rig(99.0, gap=1.0)
    await anext(rig.stream)
    response, recorder = rig.response, rig.recorder
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del rig
        gc.collect()
    assert [str(each.message) for each in caught] == ["Stream was never closed"]
    assert response.aborted == 0
    await asyncio.sleep(0)
    assert response.aborted == 1
    assert recorder.ends == ["cancelled"]


def test_a_stream_that_outlives_its_loop() -> None:
    """Warns, and does nothing to a loop that is closed."""
    kept: list[Rig] = []

    async def leave() -> None:
        kept.append(Rig(99.0))
        await anext(kept[0].stream)

    asyncio.run(leave())
    with pytest.warns(ResourceWarning, match="never closed"):
        kept[0].stream.__del__()
    kept[0].stream._ended = True


# -- evidence ------------------------------------------------------------------------------------


async def test_evidence() -> None:
    """Nothing before it is open; timings, headers and attempts afterwards."""
    rig = Rig(b"one END")
    stream = rig.stream
    assert (stream.headers, stream.attempts, stream.connection, stream.request_id) == (
        {},
        0,
        None,
        None,
    )
    assert stream.timings.total is None
    assert repr(stream) == "<Stream new>"
    await stream
    assert repr(stream) == "<Stream open>"
    rig.call.request_id = "req-9"
    await read(stream)
    assert stream.headers == {"x-thing": "1"}
    assert stream.attempts == 1
    assert stream.request_id == "req-9"
    assert stream.timings.total is not None
    assert repr(stream) == "<Stream ended>"


class Audio(Words):
    def feed(self, data: bytes) -> Any:
        if data == b"!":
            raise ConnectionLostError("cut")
        self.progress += 1
        yield AudioChunk(data, PCM)


def speech(*script: Any) -> SpeechStream:
    rig = Rig(*script)

    async def open_() -> Any:
        first = AudioChunk(b"\x00" * 480, PCM)
        return Opened(rig.call, rig.response, Audio(), deque([first]))  # type: ignore[arg-type]

    return SpeechStream(open_, format=PCM)


async def test_speech_counts_what_it_hands_out() -> None:
    """The account of an interrupted stream is exact: what iteration gave, and no more."""
    stream = speech(b"\x00" * 960, b"!")
    assert await anext(stream) == b"\x00" * 480
    assert stream.delivered_bytes == 480
    assert await anext(stream) == b"\x00" * 960
    with pytest.raises(StreamInterruptedError) as caught:
        await anext(stream)
    assert caught.value.delivered_bytes == 1440
    assert caught.value.delivered_s == pytest.approx(0.03)


async def test_a_clip_of_the_rest() -> None:
    """Everything that is still to come, and the evidence."""
    stream = speech(b"\x01" * 480)
    clip = await stream.clip()
    assert clip.data == b"\x00" * 480 + b"\x01" * 480
    assert clip.format == PCM
    assert clip.duration == pytest.approx(0.02)


class Tokens(Words):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason = "stop"
        self.usage = None
        self.model = "m"
        self.id = "i"
        self.service_tier = "t"
        self.rate_limits = None
        self.raw: Any = None

    def feed(self, data: bytes) -> Any:
        for item in super().feed(data):
            if item.startswith("#"):
                yield (item,)
            else:
                self.text.append(item)
                yield item

    def calls(self) -> tuple[Any, ...]:
        return ()


def text(*script: Any) -> TextStream:
    rig = Rig(*script)

    async def open_() -> Any:
        return Opened(rig.call, rig.response, Tokens(), deque())  # type: ignore[arg-type]

    return TextStream(open_)


async def test_text_iterates_over_text_alone() -> None:
    """Everything else is in events()."""
    assert [delta async for delta in text(b"a #tool b END")] == ["a", "b"]
    assert [event async for event in text(b"a #tool b END").events()] == ["a", ("#tool",), "b"]


async def test_the_whole_answer() -> None:
    """Read to its end, with what the model said besides."""
    result = await text(b"a b END").result()
    assert (result.text, result.refusal, result.finish_reason) == ("ab", None, "stop")


async def test_text_counts_characters() -> None:
    """Those that were handed out."""
    stream = text(b"abc", b"de !")
    assert await anext(stream) == "abc"
    with pytest.raises(StreamInterruptedError) as caught:
        async for _ in stream:
            pass
    assert caught.value.delivered_characters == 5
