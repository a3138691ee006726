"""What a lost connection costs, over sockets made of nothing, on a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import pytest
from deepgram_fakes import METADATA, VIRTUAL, FakeSocket, World, results

from voicekit.clients.deepgram import TranscriptionSession
from voicekit.clients.deepgram.finals import Finals
from voicekit.clients.deepgram.outages import MAX_FAILURES, MAX_HANGS, Outages
from voicekit.clients.deepgram.replay import ReplayBuffer, WavLead
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    GapTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import SpeechStarted, TranscriptionGap, TranscriptionResult, Word
from voicekit.testing import no_waits
from voicekit.transport.ws_aiohttp import SocketClosed

pytestmark = pytest.mark.anyio

SECOND = bytes(32_000)
FRAME = bytes(640)
GONE = ConnectionLostError("gone")


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class Dials(World):
    """Each dial gives another socket, or raises what was put in ``refusals``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sockets: list[FakeSocket] = []
        self.refusals: list[VoicekitError] = []
        self.dialled: list[float] = []
        self.stuck: asyncio.Future[None] | None = None

    def session(self, **options: Any) -> TranscriptionSession:
        session = super().session(**{"reconnect": True, **options})

        async def dial(call: Any) -> FakeSocket:
            self.dialled.append(asyncio.get_running_loop().time())
            if self.sockets and self.refusals:
                raise self.refusals.pop(0)
            self.socket = FakeSocket()
            self.socket.stuck = self.stuck
            call.connection = self.socket.connection
            self.sockets.append(self.socket)
            return self.socket

        session._dial = dial
        return session


async def lost(world: Dials, session: TranscriptionSession, error: VoicekitError = GONE) -> None:
    """Lose the socket, and have the next."""
    count = session.reconnects
    world.socket.lose(error)
    for _ in range(2000):
        if session.reconnects > count or session._ended:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not reconnected")


async def drain(session: TranscriptionSession) -> None:
    async for _ in session:
        pass


# -- what is sent again ---------------------------------------------------------------------


async def test_unsettled_frames_are_sent_again_in_order() -> None:
    """The same objects, from a second before what finals cover; the settled ones are not kept."""
    world = Dials()
    frames = [bytes([number]) * 640 for number in range(200)]
    async with world.session() as session:
        for frame in frames[:150]:
            await session.send(frame)
        world.socket.say(results("a b", duration=2.0, is_final=True))
        assert len(session._replay.items) == 100
        await lost(world, session)
        assert world.socket.audio == frames[50:150]
        for frame in frames[150:]:
            await session.send(frame)
        assert world.socket.audio == frames[50:]
        world.socket.say(results("c", start=1.0, duration=1.0, is_final=True))
        events = [await anext(session), await anext(session)]
        assert [(e.start, e.text) for e in events] == [(0.0, "a b"), (2.0, "c")]  # type: ignore[union-attr]
        assert session.transcript == "a b c"


async def test_nothing_to_say_is_nothing_sent() -> None:
    """Lost before any audio: the next socket gets silence in time, as the first would have."""
    world = Dials()
    async with world.session() as session:
        await lost(world, session)
        assert world.socket.sent == []
        await asyncio.sleep(8.0)
        assert world.socket.audio == [bytes(640)]
        await session.send(FRAME)
        world.socket.say(results("a", start=0.02, duration=0.02, is_final=True))
        assert (await anext(session)).start == pytest.approx(0.0)  # type: ignore[union-attr]


async def test_a_send_into_a_dead_socket_is_no_error() -> None:
    """The frame is kept, and sent by the next."""
    world = Dials()
    async with world.session() as session:
        await session.send(FRAME)
        world.socket.receiver, receiver = None, world.socket.receiver
        world.socket.lose(GONE)  # which nobody has heard of yet
        world.socket.receiver = receiver
        await session.send(FRAME)
        await session.finish()
        await asyncio.sleep(1.0)
        assert session.reconnects == 1
        assert world.socket.audio == [FRAME, FRAME]
        assert world.socket.texts == [{"type": "CloseStream"}]


async def test_only_the_summary_is_missing() -> None:
    """Everything is final and finish() was called: the end, without another connection."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND)
        await session.finish()
        world.socket.say(results("done", is_final=True))
        world.socket.lose(SocketClosed("x", status=1000, detail=""))
        assert [e.text async for e in session] == ["done"]  # type: ignore[union-attr]
        assert len(world.sockets) == 1


async def test_buffers_are_bounded_without_results() -> None:
    """A vendor that says nothing, and a caller who reads nothing, fill no memory."""
    world = Dials()
    async with world.session(max_replay_s=2.0) as session:
        for _ in range(1000):
            await session.send(FRAME)
        assert sum(map(len, session._replay.items)) <= 3.0 * 32_000
        await lost(world, session)
        assert session.gaps == (TranscriptionGap(start=0.0, end=pytest.approx(17.0)),)
        world.socket.lose(GONE)
        for _ in range(1000):
            await session.send(FRAME)
        assert sum(map(len, session._replay.items)) <= 3.0 * 32_000
    assert not session._replay.items


async def test_more_audio_than_fits_while_it_is_sent_again() -> None:
    """A socket that takes nothing while audio overflows is given up for another."""
    world = Dials()
    async with world.session(max_replay_s=1.0) as session:
        for _ in range(100):
            await session.send(FRAME)
        world.stuck = asyncio.get_running_loop().create_future()
        world.socket.lose(GONE)
        await asyncio.sleep(0.5)
        for _ in range(200):
            await session.send(FRAME)
        stuck, world.stuck = world.stuck, None
        stuck.set_result(None)
        for _ in range(100):
            await asyncio.sleep(0.01)
        assert session.reconnects == 1
        assert len(world.sockets) == 3
        assert session.gaps[-1].end == pytest.approx(4.0)
        assert sum(map(len, world.socket.audio)) == 64_000


async def test_a_peer_that_reads_nothing_is_given_up() -> None:
    """Audio that cannot be sent again within the gap limit is sent to another socket."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND)
        world.stuck = asyncio.get_running_loop().create_future()
        world.socket.lose(GONE)
        await asyncio.sleep(0.5)
        world.stuck = None
        await asyncio.sleep(11.0)
        assert session.reconnects == 1
        assert len(world.sockets) == 3
        assert world.sockets[1].aborted


async def test_a_stale_socket_is_not_listened_to() -> None:
    """What a connection says that was given up counts for nothing."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND)
        old = world.socket
        receiver = old.receiver
        await lost(world, session)
        assert receiver is not None
        receiver.frame(json.dumps(results("late", is_final=True)))
        receiver.lost(GONE)
        assert session.reconnects == 1
        assert session.transcript == ""


# -- formats --------------------------------------------------------------------------------


async def test_packets_go_on_after_a_gap() -> None:
    """Where bytes do not tell the time, the clock does; packets of the outage are sent."""
    world = Dials()
    async with world.session(format=None, encoding="opus", sample_rate=48_000) as session:
        await session.send(b"one")
        await asyncio.sleep(3.0)
        world.socket.say(results("a", duration=1.0, is_final=True))
        await session.send(b"two")
        world.socket.lose(GONE)
        await session.send(b"three")
        await session.finalize()
        await session.send(b"four")
        await asyncio.sleep(1.0)
        assert world.socket.audio == [b"three", b"four"]
        assert world.socket.texts == [{"type": "Finalize"}]
        await session.send(b"five")
        world.socket.say(results("b", start=0.5, duration=0.5, is_final=True))
        assert session.gaps == (TranscriptionGap(start=1.0, end=pytest.approx(3.0)),)
        assert [type(await anext(session)) for _ in range(2)] == [
            TranscriptionResult,
            TranscriptionGap,
        ]
        assert (await anext(session)).start == pytest.approx(3.5)  # type: ignore[union-attr]
        await lost(world, session)
        assert world.socket.audio == []
        assert len(session.gaps) == 1  # it was all answered


@pytest.mark.parametrize("name", ["ogg_opus", "flac_48000"])
async def test_containers_end_with_their_connection(name: str) -> None:
    """They make no sense in their middle: it fails typed, and says what is lost."""
    world = Dials()
    async with world.session(format=name) as session:
        await session.send(b"OggS")
        await asyncio.sleep(2.0)
        world.socket.lose(GONE)
        assert isinstance(await anext(session), TranscriptionGap)
        with pytest.raises(ConnectionLostError):
            await anext(session)
        assert session.gaps == (TranscriptionGap(start=0.0, end=pytest.approx(2.0)),)
        assert len(world.sockets) == 1


async def test_what_calls_itself_wav_and_is_not() -> None:
    """It goes out as it is; a loss is its end."""
    world = Dials()
    async with world.session(format="wav_16000") as session:
        await session.send(b"no wave of any kind")
        assert world.socket.audio == [b"no wave of any kind"]
        world.socket.lose(GONE)
        with pytest.raises(ConnectionLostError):
            await drain(session)


def test_a_wav_header_cut_anywhere() -> None:
    """Header and samples are told apart however they come."""
    from voicekit.emulator.codecs import wav_header

    whole = wav_header(8000, 100) + bytes(range(100))
    for size in (1, 7, 44, 45, 200):
        lead, header, audio = WavLead(), b"", b""
        for start in range(0, len(whole), size):
            piece = whole[start : start + size]
            parts = lead.take(piece) if lead.info is None else (b"", piece)
            assert parts is not None
            header, audio = header + parts[0], audio + parts[1]
        assert (header, audio) == (whole[:44], whole[44:])
        assert (lead.byte_rate, lead.frame_bytes) == (16_000, 2)


async def test_results_that_go_elsewhere_are_not_sent_twice() -> None:
    """With a callback nobody knows what is settled: no reconnect."""
    world = Dials()
    async with world.session(callback="https://example.com") as session:
        await session.send(SECOND)
        world.socket.lose(GONE)
        with pytest.raises(ConnectionLostError):
            await anext(session)


# -- when, and how often --------------------------------------------------------------------


async def test_pauses_between_dials() -> None:
    """0.15 s doubles to 3 s, half of it left to chance; then the last error, and why."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND)
        world.refusals = [UnavailableError("down", status=503) for _ in range(50)]
        world.socket.lose(GONE)
        with pytest.raises(UnavailableError) as caught:
            await drain(session)
        assert caught.value.retry_stopped == f"{MAX_FAILURES + 1} connections failed in a row"
        assert caught.value.attempts == MAX_FAILURES + 1
        pauses = [b - a for a, b in zip(world.dialled[1:], world.dialled[2:], strict=False)]
        assert len(pauses) == MAX_FAILURES - 1
        for number, pause in enumerate(pauses, 1):
            full = min(3.0, 0.15 * 2**number)
            assert full / 2 - 1e-6 <= pause <= full + 1e-6
        with pytest.raises((ClosedError, UnavailableError)):
            await session.send(FRAME)


async def test_tests_need_not_wait_between_dials() -> None:
    """It dials again in a task of its own, which has not inherited that; no more often, though."""
    world = Dials()
    with no_waits():
        async with world.session() as session:
            await session.send(SECOND)
            world.refusals = [UnavailableError("down", status=503) for _ in range(50)]
            world.socket.lose(GONE)
            with pytest.raises(UnavailableError):
                await drain(session)
    assert len(world.dialled) == MAX_FAILURES + 1
    assert world.dialled[1:] == [world.dialled[1]] * MAX_FAILURES


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (QuotaError("no credit", status=402), None),
        (InvalidRequestError("no", status=1008), None),
        (RateLimitError("slow", status=429, retry_after=7.0), 7.0),
        (RateLimitError("slow", status=429, retry_after=3600.0), None),
    ],
)
def test_what_an_error_asks_for(error: VoicekitError, delay: float | None) -> None:
    """What repeating cannot mend ends it; a Retry-After is waited for, if audio can be kept."""
    outages = Outages()
    assert outages.delay(error, 60.0) == delay
    assert (outages.reason is None) is (delay is not None)


def test_only_progress_counts_as_success() -> None:
    """Audio that breaks every connection which hears it is not sent for ever; hangs are dear."""
    outages = Outages()
    for _ in range(MAX_FAILURES):
        outages.lost(heard_s=5.0, lived_s=1.0, owed=True)
        if outages.furthest == 5.0 and outages.failures == 0:
            outages.failures = 1  # the first time it was progress
        outages.failures += 1
    assert outages.delay(GONE, 60.0) is None
    outages.lost(heard_s=5.5, lived_s=1.0, owed=True)
    assert outages.delay(GONE, 60.0) is not None
    hanging = GapTimeout("nothing")
    outages.hangs = 0
    for _ in range(MAX_HANGS - 1):
        outages.lost(heard_s=5.5, lived_s=10.0, owed=True)
        assert outages.delay(hanging, 60.0) is not None
    assert outages.delay(hanging, 60.0) is None
    outages.lost(heard_s=0.0, lived_s=60.0, owed=False)
    assert outages.delay(hanging, 60.0) is not None


async def test_an_idle_session_outlives_any_number_of_connections() -> None:
    """A muted caller's connections may be cut every minute, for hours."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND)
        world.socket.say(results("a", is_final=True))
        reading = asyncio.create_task(anext(session))
        await reading
        for _ in range(40):
            await asyncio.sleep(60.0)
            await lost(world, session)
            world.socket.say(results("", duration=1.0))
        assert session.reconnects == 40


async def test_a_service_that_hangs_on_every_connection() -> None:
    """Three gap limits, not a hundred."""
    world = Dials()
    async with world.session() as session:
        await session.send(SECOND * 3)
        began = asyncio.get_running_loop().time()
        with pytest.raises(VoicekitError) as caught:
            await drain(session)
        assert asyncio.get_running_loop().time() - began < 35.0
        assert "failed in a row" in str(caught.value.retry_stopped)
        assert session.gaps == (TranscriptionGap(start=0.0, end=3.0),)


# -- what else is carried over --------------------------------------------------------------


async def test_what_was_agreed_holds_on_the_next_connection() -> None:
    """Sent first, in one message with what waits for its answer; a refusal is the new one's."""
    world = Dials()
    async with world.session() as session:
        first = asyncio.create_task(session.configure(keyterms=["a"]))
        await asyncio.sleep(0.01)
        world.socket.say({"type": "ConfigureSuccess"})
        await first
        second = asyncio.create_task(session.configure(numerals=True))
        await asyncio.sleep(0.01)
        await session.send(FRAME)
        await lost(world, session)
        agreed = {"type": "Configure", "keyterms": ["a"]}
        assert world.socket.texts == [{**agreed, "features": {"numerals": True}}]
        world.socket.say({"type": "ConfigureFailure", "code": "CONFIGURE_INTERNAL_ERROR"})
        with pytest.raises(UnavailableError):
            await second
        await asyncio.sleep(0.01)
        assert world.socket.texts[1:] == [agreed]
        world.socket.say({"type": "ConfigureSuccess"})
        await lost(world, session)
        assert world.socket.texts == [agreed]
        world.socket.say({"type": "ConfigureFailure", "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED"})
        with pytest.raises(InvalidRequestError):
            await anext(session)


async def test_a_forgotten_session_in_an_outage() -> None:
    """Once it has reconnected nobody holds it, and it warns."""
    world = Dials()
    session = await world.session()
    await session.send(FRAME)
    world.socket.lose(GONE)
    gone = weakref.ref(session)
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031 - two steps to forget
        del session
        await asyncio.sleep(1.0)
        gc.collect()
    assert gone() is None
    await asyncio.sleep(2.0)
    assert world.socket.aborted


async def test_closed_at_any_moment_of_an_outage() -> None:
    """Quiet, and nothing is left behind."""
    for pause in (0.0, 0.01, 0.1, 0.2):
        world = Dials()
        session = await world.session()
        await session.send(SECOND)
        world.refusals = [UnavailableError("down", status=503)]
        world.socket.lose(GONE)
        await asyncio.sleep(pause)
        change = asyncio.create_task(session.configure(keyterms=["b"]))
        await asyncio.sleep(0)
        await session.aclose()
        with pytest.raises(ClosedError):
            await change
        with pytest.raises(StopAsyncIteration):
            await anext(session)
        await asyncio.sleep(2.0)
        assert len(world.background) == 0
        assert not world.socket.alive
        assert session.gaps == ()


async def test_the_summary_of_the_last_connection() -> None:
    """The duration is the session's, whatever each connection heard of it."""
    world = Dials()
    async with world.session() as session:
        for _ in range(5):
            await session.send(SECOND)
        world.socket.say(results("a", duration=4.0, is_final=True))
        await lost(world, session)
        await session.finish()
        world.socket.say(results("a b", duration=2.0, is_final=True), {**METADATA, "duration": 2.0})
        transcript = await session.result()
        assert transcript.text == "a b"
        assert transcript.duration == pytest.approx(5.0)


@pytest.mark.parametrize("act", ["send", "finalize", "finish"])
@pytest.mark.parametrize("reconnect", [True, False])
async def test_a_peer_that_reads_nothing_is_left(act: str, reconnect: bool) -> None:
    """Who only sends, and reads no results, is held up for the gap limit at most."""
    world = Dials()
    loop = asyncio.get_running_loop()
    async with world.session(reconnect=reconnect) as session:
        await session.send(SECOND)
        first = world.socket
        first.stuck = loop.create_future()
        begun = loop.time()
        acting = asyncio.create_task(
            session.send(SECOND) if act == "send" else getattr(session, act)()
        )
        while session._socket is first and loop.time() < begun + 30:
            await asyncio.sleep(0.01)
        assert loop.time() - begun == pytest.approx(10.0, abs=0.05)
        if not first.stuck.done():
            first.stuck.set_exception(ConnectionLostError("aborted"))
        if reconnect:
            await acting
            await asyncio.sleep(1.0)
            assert session.reconnects == 1
            sent = b"".join(world.socket.audio)
            assert sent == SECOND * (2 if act == "send" else 1)
        else:
            with pytest.raises(GapTimeout):
                await acting


@pytest.mark.parametrize(("heard", "lost"), [(2.0, 3.0), (3.9, 1.1), (4.5, 0.0)])
async def test_an_end_before_everything_was_heard(heard: float, lost: float) -> None:
    """The vendor ends the stream as asked, and its final results do not reach that far."""
    world = Dials()
    async with world.session() as session:
        for _ in range(5):
            await session.send(SECOND)
        await session.finish()
        world.socket.say(results("a", duration=heard, is_final=True), METADATA)
        events = [event async for event in session]
        gaps = [event for event in events if isinstance(event, TranscriptionGap)]
        assert session.gaps == tuple(gaps)
        assert [(gap.start, gap.end) for gap in gaps] == ([(heard, 5.0)] if lost else [])
        assert session.transcript == "a"


@pytest.mark.parametrize("bad", [0, -1, "10", float("nan"), 1e9])
def test_bad_options(bad: Any) -> None:
    """Named before any I/O, like every option."""
    client = World().client
    with pytest.raises(InvalidArgumentError, match="max_replay_s"):
        client.live_request(max_replay_s=bad)
    with pytest.raises(InvalidArgumentError, match="reconnect"):
        client.live_request(reconnect="no")  # type: ignore[typeddict-item]
    assert "reconnect" not in client.live_request(reconnect=False, max_replay_s=5).query


# -- sans-IO --------------------------------------------------------------------------------


def final(text: str, start: float, end: float, **fields: Any) -> TranscriptionResult:
    """Evenly spread words; ``word@start-end`` says its own time."""
    pieces = text.split()
    each = (end - start) / max(1, len(pieces))
    words = []
    for number, piece in enumerate(pieces):
        word, _, times = piece.partition("@")
        low, high = (
            map(float, times.split("-"))
            if times
            else (start + number * each, start + (number + 1) * each)
        )
        words.append(Word(text=word, start=low, end=high, punctuated=word.upper()))
    return TranscriptionResult(
        text=" ".join(word.text for word in words),
        words=tuple(words),
        start=start,
        duration=end - start,
        **{"is_final": True, "channel": (0, 1), **fields},
    )


@pytest.mark.parametrize(
    ("again", "left"),
    [
        ("one@1.0-1.4 two@1.5-1.9 three@2.1-2.5", ["THREE"]),
        ("two@1.52-1.93 three@2.1-2.5", ["THREE"]),
        ("two@1.52-2.06 three@2.1-2.5", ["THREE"]),  # the same word, heard a little longer
        ("too@1.52-2.10 three@2.1-2.5", ["THREE"]),  # and misheard
        ("two@1.96-2.2 three@2.2-2.5", ["two", "three"]),  # said twice
        ("half@1.96-2.4", ["half"]),  # cut by the final result, and not in it
        ("three@1.98-2.5", ["three"]),  # nothing was cut: the text is the vendor's
        ("elsewhere@1.2-1.4 three@2.1-2.5", ["THREE"]),  # settled is settled
        ("wo@1.0-2.2 three@2.2-2.5", ["THREE"]),  # begun before this connection's audio
    ],
)
def test_words_that_are_heard_again(again: str, left: list[str]) -> None:
    """Cut by time, with some tolerance: what was said stays said, and nothing is said twice."""
    finals = Finals()
    finals.add(final("one@1.0-1.4 two@1.5-1.95", 0.0, 2.0))
    assert finals.resume(1.0, {0: 2.0}) == 2.0
    rest = finals.cut(final(again, 1.0, 3.0))
    assert rest is not None
    assert (rest.start, rest.end) == (2.0, 3.0)
    assert rest.text.split() == left


def test_results_that_are_wholly_settled_are_not_said() -> None:
    """Neither their words nor the end of their utterance."""
    finals = Finals()
    finals.add(final("one two", 0.0, 2.0, speech_final=True))
    finals.resume(1.0, {0: 2.0})
    assert finals.cut(final("two", 1.0, 2.0, speech_final=True)) is None
    rest = finals.cut(final("two@1.1-1.9", 1.0, 2.3, speech_final=True))
    assert rest is not None
    assert (rest.text, rest.speech_final) == ("", False)
    finals.add(final("", 2.0, 2.0))
    rest = finals.cut(final("two@1.1-1.9", 1.0, 2.3, speech_final=True))
    assert rest is not None
    assert rest.speech_final


def test_text_without_words_is_kept_or_cut_whole() -> None:
    """Without times of its words, a text lies where most of its span does."""
    finals = Finals()
    finals.resume(1.0, {0: 2.0})
    for end, text in ((2.5, ""), (4.0, "a b")):
        spoken = TranscriptionResult(text="a b", start=1.0, duration=end - 1.0, is_final=True)
        rest = finals.cut(spoken)
        assert rest is not None
        assert rest.text == text


def test_channels_are_settled_apart() -> None:
    """Each channel is cut where its own final results end."""
    finals = Finals()
    finals.add(final("a", 0.0, 5.0, channel=(0, 2)))
    finals.add(final("b", 0.0, 3.0, channel=(1, 2)))
    assert finals.resume(2.0, {0: 5.0, 1: 3.0}) == 5.0
    assert finals.cut(final("c@2.0-2.5 d@3.5-4.0", 2.0, 5.0, channel=(0, 2))) is None
    rest = finals.cut(final("c@2.2-2.5 d@3.5-4.0", 2.0, 5.0, channel=(1, 2)))
    assert rest is not None
    assert rest.text == "D"


def test_events_are_told_once() -> None:
    """A connection that hears speech again says again that it began."""
    finals = Finals()
    assert finals.tells(SpeechStarted(at=3.0), 0.0)
    assert not finals.tells(SpeechStarted(at=1.5), 2.0)
    assert not finals.tells(SpeechStarted(at=3.1), 2.0)
    assert finals.tells(SpeechStarted(at=4.0), 2.0)


def test_the_buffer_forgets_in_order() -> None:
    """Whole frames only, messages with what they follow."""
    replay = ReplayBuffer(100, 1000)
    replay.items.extend([bytes(50), "a", bytes(50), "b", bytes(50)])
    replay.settle(0.4)
    assert len(replay.items) == 5
    replay.settle(0.5)
    assert next(iter(replay.items)) == bytes(50)
    assert (replay.start, replay.removed) == (50, 2)
    replay.max_bytes = 60
    replay.bound(150)
    assert (replay.start, list(replay.items)) == (100, ["b", bytes(50)])
