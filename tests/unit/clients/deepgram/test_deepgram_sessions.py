"""A transcription's life over a socket made of nothing, on a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from deepgram_fakes import METADATA, VIRTUAL, World, results

from voicekit.clients.deepgram import TranscriptionSession
from voicekit.clients.deepgram import sessions as sessions_module
from voicekit.clients.deepgram.heartbeat import LEAVE_S
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
)
from voicekit.operation import Limits
from voicekit.transport.ws_aiohttp import SocketClosed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


SECOND = bytes(32_000)
FRAME = bytes(640)


async def texts(session: TranscriptionSession) -> list[str]:
    return [item.text async for item in session if hasattr(item, "text")]


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# -- the ordinary way -------------------------------------------------------------------


async def test_send_finish_iterate() -> None:
    """Audio goes out as it came, CloseStream ends it, iteration ends with the last result."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        await session.send(FRAME)
        await session.finish()
        assert world.socket.audio == [FRAME, FRAME]
        assert world.socket.texts == [{"type": "CloseStream"}]
        world.socket.say(results("what"), results("what are", is_final=True), METADATA)
        assert await texts(session) == ["what", "what are"]
        assert session.transcript == "what are"
        assert session.metadata == METADATA
        assert session.headers == {"dg-request-id": "r-1"}
        assert session.connection is not None
        assert session.connection.reused
        assert session.timings.first_output is not None
        assert session.timings.total is not None
    assert len(world.background) == 0


async def test_result_collects_to_the_end() -> None:
    """All finals in one value, with the evidence, whether or not they were iterated over."""
    world = World()
    session = await world.session()
    await session.send(SECOND)
    await session.finish()
    world.socket.say(results("one two", is_final=True), results("", start=1.0))
    world.socket.say(results("three", 1.0, is_final=True))
    assert (await anext(session)).text == "one two"
    world.socket.say({"type": "SpeechStarted", "timestamp": 1}, METADATA)
    transcript = await session.result()
    assert transcript.text == "one two three"
    assert [word.text for word in transcript.words] == ["one", "two", "three"]
    assert transcript.duration == 1.9
    assert transcript.request_id == "r-1"
    assert transcript.raw == METADATA
    assert transcript.headers == {"dg-request-id": "r-1"}
    assert "one" in transcript.to_srt()


async def test_events_come_in_order() -> None:
    """What is no result is an event of its own, in its place."""
    world = World()
    async with world.session(vad_events=True, utterance_end_ms=1000) as session:
        world.socket.say(
            {"type": "SpeechStarted", "timestamp": 0.5},
            results("a"),
            {"type": "News"},
            {"type": "UtteranceEnd", "last_word_end": 0.9},
        )
        kinds = [type(await anext(session)).__name__ for _ in range(3)]
        assert kinds == ["SpeechStarted", "TranscriptionResult", "UtteranceEnd"]


async def test_long_chunks_are_split_and_empty_ones_never_sent() -> None:
    """No frame is longer than 250 ms, and none has zero length: the server would close."""
    world = World()
    async with world.session() as session:
        await session.send(b"")
        await session.send(SECOND)
        await session.send(bytearray(b"abc"))
        await session.send(memoryview(b"d"))
        assert [len(frame) for frame in world.socket.audio] == [8000] * 4 + [2, 2]
        assert world.socket.audio[-2:] == [b"ab", b"cd"]
        for bad in ("text", 5, None):
            with pytest.raises(InvalidArgumentError):
                await session.send(bad)  # type: ignore[arg-type]


async def test_finalize_and_finish_say_what_the_vendor_knows() -> None:
    """Control messages are text frames, and finishing twice says it once."""
    world = World()
    async with world.session() as session:
        await session.finalize()
        await session.finalize(channel=1)
        with pytest.raises(InvalidArgumentError):
            await session.finalize(channel=-1)
        await session.finish()
        await session.finish()
        assert world.socket.texts == [
            {"type": "Finalize"},
            {"type": "Finalize", "channel": 1},
            {"type": "CloseStream"},
        ]


async def test_nothing_is_sent_before_open_after_finish_or_after_close() -> None:
    """Each wrong moment is named, before anything is sent."""
    world = World()
    session = world.session()
    for attempt in (session.send(FRAME), session.finalize(), session.finish(), session.configure()):
        with pytest.raises((ClosedError, InvalidArgumentError)):
            await attempt
    async with session:
        await session.send(FRAME)
        await session.finish()
        for attempt in (
            session.send(FRAME),
            session.finalize(),
            session.configure(keyterms=["a"]),
        ):
            with pytest.raises(ClosedError, match="finish"):
                await attempt
    for attempt in (session.send(FRAME), session.finalize(), session.configure(keyterms=["a"])):
        with pytest.raises(ClosedError):
            await attempt
    await session.finish()  # it was finished; closing changed nothing
    assert world.socket.audio == [FRAME]


# -- signs of life ----------------------------------------------------------------------


async def test_keep_alives_while_no_audio_goes_out() -> None:
    """Every 4 s of silence, as text; audio puts it off; nothing after finish()."""
    world = World()
    async with world.session() as session:
        opened = now()
        await session.send(FRAME)
        await asyncio.sleep(3.0)
        await session.send(FRAME)
        await asyncio.sleep(9.0)
        times = [(round(at - opened, 3), data) for at, data in world.socket.sent if data != FRAME]
        assert times == [(7.0, '{"type":"KeepAlive"}'), (11.0, '{"type":"KeepAlive"}')]
        await session.finish()
        await asyncio.sleep(30.0)
        assert len(world.socket.sent) == 5
    await settle()
    assert len(world.background) == 0


async def test_silence_is_sent_when_the_first_audio_takes_long() -> None:
    """One frame of silence at 7 s keeps NET-0001 away; results are timed without it."""
    world = World()
    async with world.session() as session:
        opened = now()
        await asyncio.sleep(12.0)
        sent = [(round(at - opened, 3), data) for at, data in world.socket.sent]
        assert sent == [(7.0, bytes(640)), (11.0, '{"type":"KeepAlive"}')]
        await session.send(FRAME)
        world.socket.say(results("a", start=0.02, duration=0.02, is_final=True))
        assert (await anext(session)).start == pytest.approx(0.0)


async def test_a_container_gets_keep_alives_only() -> None:
    """Bytes of ours would not be Ogg."""
    world = World()
    async with world.session(format="ogg_opus"):
        await asyncio.sleep(9.0)
        assert world.socket.audio == []
        assert len(world.socket.texts) == 2


async def test_a_peer_that_reads_nothing_gets_one_keep_alive_at_a_time() -> None:
    """Signs of life do not pile up behind back-pressure."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        world.socket.stuck = asyncio.get_running_loop().create_future()
        await asyncio.sleep(60.0)
        assert len(world.background) == 1
        world.socket.stuck.set_result(None)
    await settle()
    assert len(world.background) == 0


# -- the clocks -------------------------------------------------------------------------


async def test_a_hung_peer_is_noticed_within_the_gap() -> None:
    """Audio that no result covers is owed: 10 s after the caller began to wait, it fails."""
    world = World()
    async with world.session() as session:
        await session.send(SECOND * 3)
        started = now()
        with pytest.raises(FirstOutputTimeout) as caught:
            await anext(session)
        assert now() - started == pytest.approx(10.0)
        assert caught.value.limit == 10.0
        assert caught.value.operation == "open_transcription"


async def test_a_gap_after_results_interrupts() -> None:
    """After the first result it is an interruption, with the gap as its cause."""
    world = World(limits=Limits(gap=2.0))
    async with world.session() as session:
        await session.send(SECOND * 5)
        world.socket.say(results("what are", is_final=True))
        await anext(session)
        with pytest.raises(StreamInterruptedError) as caught:
            await anext(session)
        assert isinstance(caught.value.__cause__, GapTimeout)
        assert caught.value.delivered_s == 1.0
        assert caught.value.delivered_characters == len("what are")


async def test_no_clock_runs_while_nothing_is_owed() -> None:
    """A caller who is silent, or whose audio is all covered, may wait for ever."""
    world = World()
    async with world.session() as session:
        waiting = asyncio.create_task(anext(session))
        await asyncio.sleep(60.0)
        assert not waiting.done()
        await session.send(SECOND)
        await asyncio.sleep(5.0)
        world.socket.say(results(""))
        assert (await waiting).text == ""
        waiting = asyncio.create_task(anext(session))
        await asyncio.sleep(60.0)
        assert not waiting.done()
        await session.send(SECOND * 4)
        with pytest.raises(StreamInterruptedError):
            await waiting


async def test_the_clock_starts_with_the_audio_that_is_owed() -> None:
    """Sent while the consumer already waits, the gap counts from the send, not from later."""
    for chunks in ([SECOND * 3], [FRAME] * 150):
        world = World()
        async with world.session() as session:
            waiting = asyncio.create_task(anext(session))
            await asyncio.sleep(1.0)
            for chunk in chunks:
                await session.send(chunk)
            started = now()
            with pytest.raises(FirstOutputTimeout):
                await waiting
            assert now() - started == pytest.approx(10.0)


async def test_a_socket_that_is_lost_at_once() -> None:
    """Closed between handshake and first use: opening raises what it was."""
    world = World()
    world.socket.lose(SocketClosed("x", status=1011, detail="NET-0000"))
    with pytest.raises(UnavailableError):
        await world.session()
    assert world.calls[0].ended_at is not None


async def test_a_short_rest_is_forgiven_while_the_caller_pauses() -> None:
    """The vendor may keep the last part of a second until more audio comes."""
    world = World()
    async with world.session() as session:
        await session.send(SECOND)
        await session.send(FRAME * 20)
        world.socket.say(results("a"))
        await anext(session)
        waiting = asyncio.create_task(anext(session))
        await asyncio.sleep(120.0)
        assert not waiting.done()
        await session.finish()
        with pytest.raises(StreamInterruptedError) as caught:
            await waiting
        assert isinstance(caught.value.__cause__, GapTimeout)


async def test_the_end_is_owed_after_finish() -> None:
    """A server that never ends after CloseStream is noticed, though all audio is covered."""
    world = World(limits=Limits(gap=3.0))
    async with world.session() as session:
        await session.send(SECOND)
        world.socket.say(results("a", is_final=True))
        await anext(session)
        await session.finish()
        started = now()
        with pytest.raises(StreamInterruptedError):
            await anext(session)
        assert now() - started == pytest.approx(3.0)


async def test_a_slow_consumer_spends_no_limit() -> None:
    """The clock counts while the consumer waits, not while it plays."""
    world = World()
    async with world.session() as session:
        await session.send(SECOND * 3)
        await asyncio.sleep(100.0)
        world.socket.say(results("late"))
        assert (await anext(session)).text == "late"


# -- how it breaks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "kind"),
    [
        (SocketClosed("x", status=1008, detail="DATA-0000"), InvalidRequestError),
        (SocketClosed("x", status=1011, detail="see https://dpgr.am/net0001"), UnavailableError),
        (SocketClosed("x", status=1000, detail=""), ConnectionLostError),
        (ConnectionLostError("gone"), ConnectionLostError),
        (RemoteProtocolError("garbage"), RemoteProtocolError),
    ],
)
async def test_a_broken_socket(lost: Exception, kind: type[Exception]) -> None:
    """Before a result it is the error itself; after one an interruption because of it."""
    for delivered in (False, True):
        world = World()
        async with world.session() as session:
            await session.send(SECOND)
            if delivered:
                world.socket.say(results("a"))
            world.socket.lose(lost)  # type: ignore[arg-type]
            if delivered:
                assert (await anext(session)).text == "a"
            with pytest.raises(StreamInterruptedError if delivered else kind) as caught:
                await anext(session)
            error = caught.value.__cause__ if delivered else caught.value
            assert type(error) is kind
            assert error.provider == "deepgram"
            assert error.request_id == ("r-1" if delivered else None)
            with pytest.raises(StopAsyncIteration):
                await anext(session)
            with pytest.raises(ClosedError):
                await session.send(FRAME)


async def test_a_send_into_a_broken_socket_says_what_broke() -> None:
    """The sender learns the provider's meaning, not a bare close code."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        world.socket.lose(SocketClosed("x", status=1008, detail="DATA-0000"))
        with pytest.raises(InvalidRequestError):
            await session.send(FRAME)
        with pytest.raises(InvalidRequestError):
            await session.finish()
        with pytest.raises(InvalidRequestError):
            await anext(session)


async def test_a_close_before_metadata_is_no_end() -> None:
    """1000 without Metadata after CloseStream is a truncation, never a quiet end."""
    world = World()
    async with world.session() as session:
        await session.send(SECOND)
        await session.finish()
        world.socket.say(results("cut", is_final=True))
        world.socket.lose(SocketClosed("x", status=1000, detail=""))
        await anext(session)
        with pytest.raises(StreamInterruptedError):
            await anext(session)


async def test_metadata_unasked_and_1000_is_an_error() -> None:
    """A server that ends a stream on its own leaves later audio unheard."""
    world = World()
    async with world.session() as session:
        await session.send(SECOND)
        world.socket.say(METADATA)
        world.socket.lose(SocketClosed("x", status=1000, detail=""))
        with pytest.raises(ConnectionLostError):
            await anext(session)


async def test_an_error_message_fails_the_session() -> None:
    """What the vendor says is typed, its words are in the detail only."""
    world = World()
    async with world.session() as session:
        world.socket.say({"type": "Error", "variant": "SchemaError", "description": "marked"})
        with pytest.raises(InvalidRequestError) as caught:
            await anext(session)
        assert caught.value.detail == "marked"
        assert "marked" not in f"{caught.value!r}"
    await settle()


async def test_unread_results_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that reads nothing gets what is buffered, then a typed error."""
    monkeypatch.setattr(sessions_module, "_MAX_UNREAD_BYTES", 2000)
    world = World()
    async with world.session() as session:
        for start in range(20):
            world.socket.say(results("word", start=start))
        buffered = len(session._items)
        assert 0 < buffered < 20
        for _ in range(buffered):
            await anext(session)
        with pytest.raises(StreamInterruptedError) as caught:
            await anext(session)
        assert isinstance(caught.value.__cause__, LocalProtocolError)


async def test_reading_frees_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is unread counts, even if the consumer is always one behind."""
    monkeypatch.setattr(sessions_module, "_MAX_UNREAD_BYTES", 2000)
    world = World()
    async with world.session() as session:
        world.socket.say(results("word"))
        for start in range(100):
            world.socket.say(results("word", start=start))
            await anext(session)


# -- configure --------------------------------------------------------------------------


async def test_configure_waits_for_the_answer() -> None:
    """Yes returns, no raises and leaves the session as it was."""
    world = World()
    async with world.session() as session:
        change = asyncio.create_task(session.configure(keyterms=["voicekit"], numerals=True))
        await settle()
        assert not change.done()
        with pytest.raises(LocalProtocolError, match="another"):
            await session.configure(keyterms=None)
        world.socket.say({"type": "ConfigureSuccess", "keyterms": ["voicekit"]})
        await change
        change = asyncio.create_task(session.configure(keyterms=None))
        await settle()
        world.socket.say({"type": "ConfigureFailure", "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED"})
        with pytest.raises(InvalidRequestError) as caught:
            await change
        assert caught.value.provider == "deepgram"
        world.socket.say(results("on"))
        assert (await anext(session)).text == "on"
        with pytest.raises(InvalidArgumentError):
            await session.configure()


async def test_configure_without_an_answer() -> None:
    """No answer is a timeout; a closed session tells whoever waits; a late answer is nobody's."""
    world = World()
    async with world.session() as session:
        with pytest.raises(GapTimeout):
            await session.configure(keyterms=["a"])
        world.socket.say({"type": "ConfigureSuccess"})
        change = asyncio.create_task(session.configure(keyterms=["b"]))
        await settle()
        await session.aclose()
        with pytest.raises(ClosedError):
            await change


# -- how it is left ---------------------------------------------------------------------


async def test_leaving_early_tells_the_vendor_off_the_callers_path() -> None:
    """aclose() returns at once; CloseStream follows, and the server gets half a second."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        started = now()
    assert now() == started
    await settle()
    assert world.socket.texts == [{"type": "CloseStream"}]
    assert not world.socket.aborted
    await asyncio.sleep(LEAVE_S + 0.01)
    assert world.socket.aborted
    await settle()
    assert len(world.background) == 0


async def test_a_hung_peer_cannot_hold_the_socket() -> None:
    """Where even the last word cannot be written, the socket is aborted all the same."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        world.socket.stuck = asyncio.get_running_loop().create_future()
    await asyncio.sleep(LEAVE_S + 0.01)
    assert world.socket.aborted
    world.socket.stuck.set_result(None)
    await settle()
    assert len(world.background) == 0


async def test_a_finished_stream_is_closed_by_the_server() -> None:
    """After Metadata we wait for the server's close, and no longer than half a second."""
    world = World()
    async with world.session() as session:
        await session.send(FRAME)
        await session.finish()
        world.socket.say(results("a", is_final=True), METADATA)
        assert await texts(session) == ["a"]
        assert not world.socket.aborted
        assert world.socket.alive
        world.socket.lose(SocketClosed("x", status=1000, detail=""))
    assert world.socket.texts == [{"type": "CloseStream"}]
    await asyncio.sleep(2 * LEAVE_S)
    assert not world.socket.aborted


async def test_close_is_final_and_may_be_repeated() -> None:
    """Results that were not read are gone, and iteration ends quietly."""
    world = World()
    session = await world.session()
    world.socket.say(results("a"))
    await session.aclose()
    await session.aclose()
    assert await texts(session) == []
    assert "closed" in repr(session)
    world.socket.abort()


async def test_a_cancelled_wait_loses_nothing() -> None:
    """The next __anext__ gets what the cancelled one would have got."""
    world = World()
    async with world.session() as session:
        waiting = asyncio.create_task(anext(session))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        world.socket.say(results("kept"))
        assert (await anext(session)).text == "kept"


async def test_a_cancelled_send_has_sent_its_frame() -> None:
    """Cancelled in back-pressure, the frame is out and counted: it is not sent twice."""
    world = World()
    async with world.session() as session:
        world.socket.stuck = asyncio.get_running_loop().create_future()
        sending = asyncio.create_task(session.send(FRAME))
        await settle()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert world.socket.audio == [FRAME]
        assert session._state.sent_bytes == len(FRAME)
        world.socket.stuck = None


async def test_a_forgotten_session_warns_and_frees_its_socket() -> None:
    """Neither the socket nor a timer keeps a session alive that nobody holds."""
    world = World()
    session = await world.session()
    await session.send(FRAME)
    gone = weakref.ref(session)
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031 - two steps to forget
        del session
        gc.collect()
    assert gone() is None
    await asyncio.sleep(2 * LEAVE_S)
    assert world.socket.aborted


async def test_the_call_ends_once() -> None:
    """Each session has one call, and exactly one terminal record."""
    from voicekit.events import CallEnded, Event

    ended: list[CallEnded] = []

    class Watcher:
        def on_event(self, event: Event) -> None:
            if isinstance(event, CallEnded):
                ended.append(event)

    world = World(observers=[Watcher()])
    async with world.session() as session:
        await session.send(FRAME)
        await session.finish()
        world.socket.say(results("a", is_final=True), METADATA)
        await texts(session)
    world.socket.abort()
    world = World(observers=[Watcher()])
    async with world.session() as session:
        world.socket.lose(SocketClosed("x", status=1011, detail="marked NET-0000"))
        with pytest.raises(UnavailableError):
            await anext(session)
    async with World(observers=[Watcher()]).session():
        pass
    assert [(event.result, event.error, event.status) for event in ended] == [
        ("ok", None, None),
        ("error", "UnavailableError", 1011),
        ("cancelled", "CancelledError", None),
    ]
    assert "marked" not in repr(ended)
